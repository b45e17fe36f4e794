"""The tasks of a run on a cluster: prepare a partition's rows, predict them, pick some of all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.backends import counting
from headrace.cluster import Cluster
from headrace.execution import Work, part_name, transform_partition
from headrace.jobs.bundle import prediction_table
from headrace.jobs.directory import Written
from headrace.ledger import Ledger
from headrace.models import Model
from headrace.models.device import to_host
from headrace.partitions import Partition
from headrace.profile import Profile, merge_profiles
from headrace.schema import Schema
from headrace.split import TEST
from headrace.table import KEY, TRAINING, Table

SPLITS = pa.array(["train", "test"])
SPLIT_FIELD = pa.field("split", pa.dictionary(pa.int8(), pa.string()))


@dataclass(frozen=True, eq=False)
class Prepare:
    """What preparing a partition takes."""

    columns: tuple[str, ...]
    outputs: Schema
    keys: Mapping[str, str]  # the row key: name in the feature files -> name in the source
    key_types: Schema
    features: tuple[str, ...]  # none without a model
    target: str | None  # None without a model, and of one that has no target
    folder: Path | None
    has_split: bool


class Prepared(NamedTuple):
    """A partition's rows on their way to the model: float32 matrix [rows, features], target, which rows train and test.

    The target of a model without one is zeros, so that rows look the same to all. A tuple, into which Dask looks for what it takes, and
    dask-cuda for what lies on a device: beyond its limit it moves such results to the host.
    """

    matrix: npt.NDArray[np.float32]
    target: npt.NDArray[Any]
    training: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]
    passed: tuple[Table, ...]


@dataclass(frozen=True, eq=False)
class Counted:
    """What preparing a partition counted: its ledger, the profile of its rows or of the first of them, and its file."""

    ledger: Ledger
    profile: Profile
    files: Mapping[Path, Written]


class Predicted(NamedTuple):
    """What was predicted for a partition's rows, their targets, which of them train and test, and its file."""

    predicted: npt.NDArray[Any]
    target: npt.NDArray[Any]
    training: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]
    files: Mapping[Path, Written]


def prepare_partition(work: Work, what: Prepare, partition: Partition) -> tuple[Prepared, Counted]:
    """Apply every step to a partition, write its feature file, and return the rows for the model and what was counted."""
    ledger = Ledger()
    rows: list[Prepared] = []
    profiles: list[Profile] = []

    def batches() -> Any:
        for table in transform_partition(work, what.columns, range(len(work.ops)), partition, ledger, profiles):
            if what.features:
                rows.append(_rows_for_model(table, what))
            yield feature_table(table, what)

    files = {}
    with counting(work.device, ledger):
        if what.folder is not None:
            path = what.folder / part_name(partition)
            unfinished = path.with_name(f".{path.name}")
            files[path] = _write(unfinished, batches(), feature_schema(what))
            unfinished.rename(path)  # whoever sees the name may read the file
        else:
            for _ in batches():
                pass
    return _joined(rows, what), Counted(ledger, merge_profiles(profiles), files)


def feature_schema(what: Prepare) -> pa.Schema:
    """Return the columns of the feature files: the split, if there is one, the row key, then the outputs."""
    keys = {new: what.key_types[name] for new, name in what.keys.items()}
    schema = Schema({**keys, **what.outputs.columns}).to_arrow()
    return schema.insert(0, SPLIT_FIELD) if what.has_split else schema


def feature_table(table: Table, what: Prepare) -> pa.Table:
    """Return a table's key and output columns on the host."""
    columns = {new: table.columns[KEY + name] for new, name in what.keys.items()} | table.pick_kept(what.outputs.names)
    with table.backend.moving("output"):
        host = pa.table({name: table.backend.to_arrow(column) for name, column in columns.items()})
    return host.add_column(0, SPLIT_FIELD, split_column(table)) if what.has_split else host


def split_column(table: Table) -> pa.DictionaryArray:
    """Return "train", "test", or null for rows that the split cannot place."""
    with table.backend.moving("output"):
        training, test = (table.backend.to_numpy(flags) for flags in _flags(table))
    codes = pa.array(np.where(training, 0, 1).astype(np.int8), mask=~(training | test))
    return pa.DictionaryArray.from_arrays(codes, SPLITS)


def predict_prepared(
    what: Prepare, schema: Schema, folder: Path | None, model: Model, part: tuple[Prepared, Counted], partition: Partition
) -> Predicted:
    """Predict a partition's rows and write them to its file."""
    prepared, _ = part
    predicted = model.predict(prepared.matrix)
    files = {}
    if folder is not None:
        tables = []
        start = 0
        for table in prepared.passed:
            one = prediction_table(table, model.as_columns(predicted[start : start + table.n_rows]), schema)
            tables.append(one.add_column(0, SPLIT_FIELD, split_column(table)) if what.has_split else one)
            start += table.n_rows
        arrow = schema.to_arrow()
        arrow = arrow.insert(0, SPLIT_FIELD) if what.has_split else arrow
        path = folder / part_name(partition)
        files[path] = _write(path, tables, arrow)
    return Predicted(predicted, to_host(prepared.target), to_host(prepared.training), to_host(prepared.test), files)


def _write(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> Written:
    from headrace.backends.arrow.write import write_batches  # loads Numba

    digest = hashlib.sha256()
    rows = write_batches(path, tables, schema, digest)
    return Written(digest.hexdigest(), rows)


def counted_of(*parts: tuple[Prepared, Counted]) -> Counted:
    """Return only what was counted of some partitions, merged, so that the rows need not leave their worker."""
    counted = [one for _, one in parts]
    files = {path: written for one in counted for path, written in one.files.items()}
    return Counted(Ledger.total(one.ledger for one in counted), merge_profiles([one.profile for one in counted]), files)


def sample_rows(cluster: Cluster, n_rows: int, which: str, counts: Sequence[int], handles: Sequence[Any]) -> npt.NDArray[np.float32]:
    """Return up to `n_rows` rows of the matrix, evenly spaced over those that are in `training`, in `test`, or over `all`.

    `counts` says how many there are in each partition: so they are picked where they lie, and no more of them travel than are wanted.
    """
    total = sum(counts)
    wanted = np.unique(np.linspace(0, total - 1, min(n_rows, total)).astype(np.int64)) if total else np.zeros(0, np.int64)
    picked, start = [], 0
    for handle, count in zip(handles, counts, strict=True):
        inside = wanted[(wanted >= start) & (wanted < start + count)] - start
        if len(inside):
            picked.append(cluster.submit(pick_rows, which, inside, handle))
        start += count
    return np.concatenate(cluster.gather(picked or [cluster.submit(pick_rows, which, wanted, handles[0])]))


def pick_rows(which: str, places: npt.NDArray[np.int64], part: tuple[Prepared, Counted]) -> npt.NDArray[np.float32]:
    """Return some rows of a partition, by their places among those that are in `training`, in `test`, or among `all`."""
    prepared, _ = part
    if which == "all":
        return to_host(prepared.matrix[places])
    return to_host(prepared.matrix[np.flatnonzero(prepared.test if which == "test" else prepared.training)[places]])


def _flags(table: Table) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    return table.backend.is_true(table.columns[TRAINING]), table.backend.is_true(table.columns[TEST])


def _rows_for_model(table: Table, what: Prepare) -> Prepared:
    matrix = table.backend.matrix([table[name] for name in what.features])
    # where the matrix lies, on a device too: what is picked from one by a mask there is picked from both
    target = np.zeros_like(matrix[:, 0]) if what.target is None else table.backend.matrix([table[what.target]])[:, 0]
    training, test = _flags(table)
    kept = Table(
        table.backend,
        {name: column for name, column in table.columns.items() if name == what.target or name.startswith("\0")},
        table.n_rows,
    )
    return Prepared(matrix, target, training, test, (kept,))


def _joined(rows: Sequence[Prepared], what: Prepare) -> Prepared:
    if not rows:
        none = np.zeros(0, bool)
        return Prepared(np.zeros((0, len(what.features)), np.float32), np.zeros(0, np.float32), none, none, ())
    if len(rows) == 1:
        return rows[0]
    return Prepared(
        np.concatenate([part.matrix for part in rows]),
        np.concatenate([part.target for part in rows]),
        np.concatenate([part.training for part in rows]),
        np.concatenate([part.test for part in rows]),
        tuple(table for part in rows for table in part.passed),
    )
