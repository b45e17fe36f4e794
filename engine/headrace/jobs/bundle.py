"""Bundle: a fitted pipeline and a model that can be loaded anywhere and cannot execute code."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.backends import counting
from headrace.cluster import Cluster
from headrace.dataset import Dataset
from headrace.errors import BundleError, JobError
from headrace.exchange import Rows, exchange_steps, exchanging
from headrace.execution import Progress, Silent, Work, transform_partition
from headrace.fitted import FittedSteps, read_fitted, write_fitted
from headrace.ledger import Ledger
from headrace.listing import SUFFIXES, takes
from headrace.models import Model, load_model
from headrace.new_folder import check_new, new_file
from headrace.opened import Tables, naming, open_source
from headrace.partitions import Partition, Source, cut
from headrace.pipeline import FittedPipeline
from headrace.plan import usual_bytes
from headrace.schema import FLOAT32, INT32, INT64, Schema, Type
from headrace.sha256sums import check_sums, write_sums
from headrace.side_tables import serve_tables
from headrace.split import Serving
from headrace.table import KEY, ROW, Table
from headrace.workers import using, worker_device

FORMAT = 1
_TYPES = {"float32": FLOAT32, "int32": INT32}


@dataclass(frozen=True, eq=False)
class Bundle:
    """A fitted pipeline with a model: predicts on unseen data.

    `features` are the columns the model takes, `target` what it predicts (None of a kind that has none), `key` the columns that name
    a row.
    """

    fitted: FittedSteps
    model: Model
    features: tuple[str, ...]
    target: str | None
    key: tuple[str, ...] = ()
    job: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        of = self.model.settings
        return f"Bundle(job={self.job!r}, model={of.kind!r}, task={of.task!r}, target={self.target!r}, features={list(self.features)})"

    @property
    def pipeline(self) -> FittedPipeline:
        return FittedPipeline(self.fitted)

    def write(self, folder: Path) -> dict[Path, str]:
        """Write the bundle into a new folder: JSON, Arrow and UBJ, with a SHA-256 for each file; return these."""
        folder.mkdir()
        write_fitted(self.fitted, folder)
        (folder / "model").mkdir()
        self.model.save(folder / "model")
        content = {
            "format": FORMAT,
            "job": self.job,
            "features": list(self.features),
            "target": self.target,
            "key": list(self.key),
            "metrics": self.metrics,
        }
        (folder / "bundle.json").write_text(json.dumps(content, indent=1) + "\n")
        return write_sums(folder)

    @classmethod
    def load(cls, path: str | os.PathLike[str], ops: Sequence[Any] = ()) -> Bundle:
        """Read a bundle.

        Parameters
        ----------
        path : path
            The folder that a run left.
        ops : list of operator classes and functions, optional
            Your own, which the bundle names and which are never imported by a name found in it.

        Raises
        ------
        BundleError
            If a byte of it was altered, it does not hold together, or it names an operator that is neither built in, passed
            nor installed.
        """
        folder = Path(path)
        check_sums(folder)
        try:
            content = json.loads((folder / "bundle.json").read_text())
            if content["format"] != FORMAT:
                hint = "run its job again, or use the version of Headrace that wrote it"
                raise BundleError(f"has format {content['format']}, and this version reads {FORMAT}", file=str(folder), hint=hint)
            features, target, key = tuple(content["features"]), content["target"], tuple(content["key"])
            if not isinstance(target, str | None) or not all(isinstance(name, str) for name in (*features, *key)):
                raise TypeError("its target, features or key are no names")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleError(f"is no bundle with a model: {error}", file=str(folder)) from error
        fitted, model = read_fitted(folder, ops), load_model(folder / "model")
        if features != model.features or not set(features) <= set(fitted.steps.schema):
            raise BundleError("names other features than its model or its pipeline has", file=str(folder))
        return cls(fitted, model, features, target, key, content.get("job", ""), content.get("metrics", {}))

    def predict(
        self,
        source: Any,
        output: str | os.PathLike[str] | None = None,
        *,
        tables: Tables | None = None,
        cluster: str = "local",
        progress: Progress | None = None,
        device: str = "auto",
        overwrite: bool = False,
    ) -> Any:
        """Predict rows that the model has not seen; wherever it was trained, on the device that the workers have.

        Parameters
        ----------
        source : path, list of paths, or table
            Raw rows, as the pipeline's source has them. Columns that only the target is made of may be missing; those that hold no value,
            or values of another kind, count as missing.
        output : path, optional
            A Parquet file (``.parquet``) to write, or a folder to write one to.
        tables : mapping of str to path or table, optional
            Tables that take the place of those of training. Those that were too large to be kept in the bundle must be given.
        overwrite : bool
            Whether `output` takes the place of a file of its name; else one that is there is an error.

        Returns
        -------
        A table of the source's kind (pyarrow for paths), or the `Ledger` of what was counted if `output` is given: the
        row key (else ``row``, the row's number), the target where it is known, and the columns of the model's predictions.

        Raises
        ------
        DataError
            If a column is missing that a feature needs, or is of another kind than in training; if a table that is needed is not
            given.
        JobError
            If there is no such source, or `output` is there already.
        """
        opened, back = open_source(source, self._read())
        target = None if output is None else output_file(output)
        if target is not None:
            _refuse_source(source, opened, target)
            if not overwrite:
                check_new(target)
        with naming(opened):
            asked = Asked.of(self, opened)
        states, sides = serve_tables(self.fitted.ops, self.fitted.tables, self.fitted.states, asked.steps, tables or {})
        ready = Work(opened, self.fitted.ops, Serving(), states, asked.key, expects=self.fitted.source, absent=asked.absent, sides=sides)
        with using(cluster, device) as workers, exchanging(workers, ready, usual_bytes()) as spooled:
            work = replace(spooled, device=worker_device(workers, device))
            partitions = cut(opened, asked.columns)
            rows = exchange_steps(workers, work, self.fitted.steps, Rows.of(partitions), asked.steps, progress or Silent())
            shared, shared_bundle = workers.share(work), workers.share((self.model, asked))
            (progress or Silent()).start("predict", len(partitions))
            handles = deque(workers.submit(predict_partition, shared, shared_bundle, partition) for partition in rows.partitions)
            ledgers: list[Ledger] = []
            parts = _in_order(workers, handles, ledgers, progress or Silent())
            schema = asked.schema.to_arrow()
            if target is None:
                return back(pa.concat_tables([schema.empty_table(), *parts]))
            write_output(target, parts, schema, overwrite=overwrite)
            return Ledger.total(ledgers)

    def _read(self) -> set[str]:
        """Return the columns of a source that predicting looks at, where they are there."""
        steps = self.fitted.steps
        wanted = [*self.features, *(name for name in steps.schema if name == self.target)]
        return {*steps.columns_for(wanted), *steps.label_columns(self.target), *self.key}


def _in_order(workers: Cluster, handles: deque[Any], ledgers: list[Ledger], progress: Progress) -> Iterator[pa.Table]:
    """Yield the predictions of each partition as soon as they and all before them are there, and hold none of them afterwards.

    They are written while the workers are at the next: at the end, on one core, 5 million would take another half second.
    """
    while handles:
        handle = handles.popleft()
        workers.wait([handle], progress.advance)
        ((part, ledger),) = workers.gather([handle])
        del handle
        ledgers.append(ledger)
        if part.num_rows:
            yield part


@dataclass(frozen=True)
class Asked:
    """What predicting a source takes: steps to apply, columns to read, columns of the label that are absent, columns to return."""

    steps: tuple[int, ...]
    columns: tuple[str, ...]
    absent: Mapping[str, Type]
    features: tuple[str, ...]
    key: tuple[str, ...]
    schema: Schema

    @classmethod
    def of(cls, bundle: Bundle, source: Source) -> Asked:
        """Work out what can be made of a source's columns."""
        steps = bundle.fitted.steps
        target = [bundle.target] if bundle.target is not None and bundle.target in steps.schema else []
        usable = _usable(bundle, source.schema)
        indices, outputs = steps.serving([*bundle.features, *target], usable, bundle.target)
        known = steps.schema.select([name for name in target if name in outputs])
        key = tuple(name for name in bundle.key if name in source.schema)
        needed = steps.columns_for(outputs, indices)
        columns = tuple(dict.fromkeys([*(name for name in needed if name in usable), *key]))
        absent = {name: steps.source[name] for name in needed if name not in usable}
        return cls(indices, columns, absent, bundle.features, key, prediction_schema(source.schema.select(key), known, bundle.model))


def _usable(bundle: Bundle, given: Schema) -> list[str]:
    """Return the columns of a source less those of the label that say nothing of it, as an empty column does that stands in for it."""
    fitted, labels = bundle.fitted.source, bundle.fitted.steps.label_columns(bundle.target)
    return [name for name, type_ in given.columns.items() if name not in labels or (not type_.is_empty and type_.is_like(fitted[name]))]


def prediction_schema(key: Schema, target: Schema, model: Model) -> Schema:
    """Return the columns of predictions: row key or number, the target where it is known, and what the model says."""
    identity = key.columns or {"row": INT64}
    if taken := sorted({*identity, *target} & model.columns.keys()):
        message = f"the column {taken[0]!r} stands beside predictions, and a {model.kind} model has one of that name"
        raise JobError(message, key="source.key" if taken[0] in identity else "model.target", hint="rename the column in the source")
    return Schema({**identity, **target.columns, **{name: _TYPES[type_] for name, type_ in model.columns.items()}})


def prediction_table(table: Table, predicted: Mapping[str, np.ndarray[Any, Any]], schema: Schema) -> pa.Table:
    """Return predictions beside the columns that name their rows."""
    keys = {name.removeprefix(KEY): column for name, column in table.columns.items() if name.startswith(KEY)}
    columns = {**table.pick(table.names), **(keys or {"row": table.columns[ROW]})}
    with table.backend.moving("output"):
        host = {name: table.backend.to_arrow(columns[name]) for name in schema if name in columns}
    host.update({name: pa.array(np.ascontiguousarray(column)) for name, column in predicted.items()})
    return pa.table({name: host[name] for name in schema}).cast(schema.to_arrow())


def predict_partition(work: Work, what: tuple[Model, Asked], partition: Partition) -> tuple[pa.Table, Ledger]:
    """Return the predictions of one partition's rows."""
    model, asked = what
    ledger = Ledger()
    tables = []
    with counting(work.device, ledger):
        for table in transform_partition(work, asked.columns, asked.steps, partition, ledger):
            matrix = table.backend.matrix([table[name] for name in asked.features])
            tables.append(prediction_table(table, model.as_columns(model.predict(matrix)), asked.schema))
    return pa.concat_tables(tables) if tables else asked.schema.to_arrow().empty_table(), ledger


def output_file(output: str | os.PathLike[str]) -> Path:
    """Return the file that predictions go to: the one that is named, or one in the folder that is."""
    path = Path(os.path.expanduser(output))  # noqa: PTH111
    if path.suffix.lower() in (".csv", ".tsv", ".json", ".jsonl", ".feather", ".arrow"):
        raise JobError(
            f"predictions are written as Parquet, not as {path.name!r}",
            key="output",
            hint=f"name {path.with_suffix('.parquet').name!r}, or a folder",
        )
    return path if path.suffix in SUFFIXES else path / "part-00000.parquet"


def _refuse_source(source: Any, opened: Source, target: Path) -> None:
    """Raise JobError if predictions would take the place of the rows that they are made of, or be taken for such."""
    if not isinstance(opened, Dataset):
        return
    if target.exists() and any(Path(file.path).exists() and target.samefile(file.path) for file in opened.files):
        raise JobError(f"{str(target)!r} is a file of the source, which predictions would replace", hint="name another output")
    places = [] if isinstance(source, Dataset) else [source] if isinstance(source, str | os.PathLike) else source
    for place in places:
        if takes(os.path.expanduser(place), target):  # noqa: PTH111
            message = (
                f"{str(target)!r} lies in {os.fspath(place)!r}: who reads that next time would take predictions for rows of the source"
            )
            raise JobError(message, hint="write elsewhere")


def write_output(target: Path, tables: Sequence[pa.Table] | Iterator[pa.Table], schema: pa.Schema, *, overwrite: bool = False) -> None:
    """Write one Parquet file under a hidden name and make it visible in one step."""
    from headrace.backends.arrow.write import write_batches  # loads Numba

    with new_file(target, overwrite=overwrite) as hidden:
        write_batches(hidden, tables, schema)
