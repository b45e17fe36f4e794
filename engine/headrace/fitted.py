"""A fitted pipeline as values, and how it is written to a folder and read back: JSON and Arrow, no code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace import json_text
from headrace.errors import BundleError, JobError
from headrace.ops import make_op, op_name
from headrace.ops.base import FittedOp, Op, StatefulOp
from headrace.ops.code import among
from headrace.packing import pack, read_streams, unpack, write_streams
from headrace.runs import Bucket
from headrace.schema import Schema
from headrace.steps import Steps, at_step
from headrace.versions import version

FORMAT = 4
# What may be raised by content that does not hold together.
_DISORDER = (JobError, OSError, AttributeError, LookupError, ArithmeticError, TypeError, ValueError, RecursionError, pa.ArrowException)


@dataclass(frozen=True, eq=False)
class FittedSteps:
    """Operators, the schemas they were fitted on, what they learnt, and the parts it was made of."""

    ops: tuple[Op, ...]
    source: Schema
    tables: Mapping[str, Schema] = field(default_factory=dict)
    states: Mapping[int, Any] = field(default_factory=dict)
    parts: Mapping[int, Any] = field(default_factory=dict)

    @cached_property
    def steps(self) -> Steps:
        return Steps.of(self.ops, self.source, self.tables)

    def learnt(self, index: int) -> str:
        """Return in one line for people what a step learnt; empty for steps that learn nothing."""
        op = self.ops[index]
        return op.learnt(self.states[index]) if isinstance(op, StatefulOp) else ""


def pipeline_settings(ops: Sequence[Op]) -> list[dict[str, Any]]:
    """Return operators as the list that stands under `pipeline:` in a job."""
    return [{op_name(op): op.settings()} for op in ops]


def write_fitted(fitted: FittedSteps, folder: Path) -> None:
    """Write `pipeline.json` and `states.arrows` into a folder that exists."""
    streams: list[pa.Table | Bucket] = []
    content = {
        "format": FORMAT,
        "headrace": version("headrace"),
        "pipeline": pipeline_settings(fitted.ops),
        "source": pack(fitted.source.to_arrow().empty_table(), streams),
        "tables": {name: pack(schema.to_arrow().empty_table(), streams) for name, schema in fitted.tables.items()},
        "states": _packed(fitted.ops, fitted.states, streams),
        "parts": _packed(fitted.ops, fitted.parts, streams),
    }
    with pa.OSFile(str(folder / "states.arrows"), "wb") as sink:
        places = write_streams(streams, sink)
    (folder / "pipeline.json").write_text(json_text.dump({**content, "streams": places}) + "\n")


def _packed(ops: Sequence[Op], values: Mapping[int, Any], streams: list[pa.Table | Bucket]) -> dict[str, Any]:
    packed = {}
    for index, value in values.items():
        with at_step(index, ops[index]):
            packed[str(index)] = pack(value, streams)
    return packed


def read_fitted(folder: Path, ops: Sequence[Any] = ()) -> FittedSteps:
    """Read what `write_fitted` wrote.

    Users' operators and functions that it names are taken from `ops` or from installed entry points.

    Raises BundleError if it does not hold together or names one that is in neither; nothing is imported or run by a name
    found in the files.
    """
    find = among(ops)
    try:
        content = json.loads((folder / "pipeline.json").read_text())
        if content["format"] != FORMAT:
            hint = "run its job again, or use the version of Headrace that wrote it"
            raise BundleError(f"has format {content['format']}, and this version reads {FORMAT}", file=str(folder), hint=hint)
        streams = read_streams(pa.memory_map(str(folder / "states.arrows")).read_buffer(), content["streams"])
        made = tuple(make_op(name, value, find) for step in content["pipeline"] for name, value in step.items())
        source = Schema.from_arrow(streams[content["source"]["stream"]].schema)
        tables = {name: Schema.from_arrow(streams[place["stream"]].schema) for name, place in content["tables"].items()}
        states = {int(index): unpack(_stateful(made[int(index)]).state_type(), one, streams) for index, one in content["states"].items()}
        unlearnt = [op.name for index, op in enumerate(made) if isinstance(op, StatefulOp) and index not in states]
        if unlearnt:
            raise BundleError(f"holds no state for {unlearnt[0]}")
        parts = {int(index): unpack(_fitted(made[int(index)]).part_type(), one, streams) for index, one in content["parts"].items()}
    except BundleError as error:
        raise BundleError(error.message, file=error.file or str(folder), hint=error.hint) from error
    except _DISORDER as error:
        raise BundleError(f"holds no fitted pipeline: {type(error).__name__}: {error}", file=str(folder)) from error
    return FittedSteps(made, source, tables, states, parts)


def _stateful(op: Op) -> StatefulOp[Any]:
    if not isinstance(op, StatefulOp):
        raise BundleError(f"holds a state for {op.name}, which has none")
    return op


def _fitted(op: Op) -> FittedOp[Any, Any]:
    if not isinstance(op, FittedOp):
        raise BundleError(f"holds a part for {op.name}, which has none")
    return op
