"""Dataset: Parquet files, their row groups, one schema and a fingerprint, all from the footers, before anything is computed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.errors import DataError, JobError, nearest
from headrace.footer import File, read_footer
from headrace.listing import HIVE_NULL, find_files, refuse_twice
from headrace.order import UNITS
from headrace.schema import FLOAT64, Schema, Type, odd_name

FOOTER_THREADS = 8
_ONE_SCHEMA = "files of one source need one schema: write the odd file anew, or leave it out of source.path"


@dataclass(frozen=True)
class RowGroup:
    """One row group: its file's index, its index in the file, the number of its first row in the data set, rows, and bytes by column."""

    file: int
    index: int
    first_row: int
    n_rows: int
    nbytes: dict[str, int]


@dataclass(frozen=True)
class Dataset:
    """Parquet files + row groups + schema + fingerprint.

    Rows are numbered in canonical order: files by path, then row groups, then rows.
    """

    source: str
    files: tuple[File, ...]
    schema: Schema
    hive: dict[str, Type]

    def __repr__(self) -> str:
        return f"Dataset({self.source!r}, files={len(self.files)}, rows={self.n_rows}, columns={list(self.schema.columns)})"

    @classmethod
    def open(cls, source: str | Path | Sequence[str | Path]) -> Dataset:
        """Read the footers of a file, a glob, a directory (hive folders included), or a list of files.

        Parameters
        ----------
        source : str, Path or list of these
            Local paths or URIs (``s3://``, ``gs://``, ``az://``).

        Raises
        ------
        JobError
            If no file is there.
        DataError
            If a file is not Parquet, or the files' schemas clash; it names file and column.
        """
        sources = [os.path.expanduser(str(item)) for item in ([source] if isinstance(source, str | Path) else source)]  # noqa: PTH111
        if not sources:
            raise JobError("no file is named", hint="an empty list was given: did a glob find nothing?")
        found = [place for item in sources for place in find_files(item)]
        refuse_twice(path for path, _ in found)
        with ThreadPoolExecutor(FOOTER_THREADS) as pool:
            files = tuple(pool.map(lambda place: read_footer(*place), found))
        hive = _hive_types(files)
        return cls(", ".join(sources), files, _common_schema(files).with_columns(hive), hive)

    @cached_property
    def row_groups(self) -> tuple[RowGroup, ...]:
        groups = []
        first_row = 0
        for file_index, file in enumerate(self.files):
            for index, (n_rows, nbytes) in enumerate(file.row_groups):
                groups.append(RowGroup(file_index, index, first_row, n_rows, nbytes))
                first_row += n_rows
        return tuple(groups)

    @property
    def n_rows(self) -> int:
        return sum(group.n_rows for group in self.row_groups)

    @property
    def nbytes(self) -> int:
        """The files' size on disk in bytes."""
        return sum(file.nbytes for file in self.files)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over names, hive values and footers (each column chunk's size, statistics, offset), in canonical order."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{Path(file.path).name}\0{sorted(file.partition.items())}\0{file.nbytes}\0{file.digest}\n".encode())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what a run records of its source."""
        return {
            "path": self.source,
            "files": len(self.files),
            "row_groups": len(self.row_groups),
            "rows": self.n_rows,
            "bytes": self.nbytes,
            "fingerprint": self.fingerprint,
        }


def _hive_types(files: Sequence[File]) -> dict[str, Type]:
    """Return the types of hive columns: integers where every value is one, else strings; raise DataError if a file lies in no such folder."""
    types: dict[str, Type] = {}
    for name in dict.fromkeys(name for file in files for name in file.partition):
        odd = next((file for file in files if name not in file.partition), None)
        if odd is not None:
            hint = "move it, or leave it out of source.path"
            raise DataError(f"lies in no folder {name}=..., and other files do", file=odd.path, column=name, hint=hint)
        values = {file.partition[name] for file in files} - {HIVE_NULL}
        integers = values and all(re.fullmatch(r"-?[0-9]{1,18}", value) for value in values)
        types[name] = Type(pa.int64() if integers else pa.string())
    return types


def _common_schema(files: Sequence[File]) -> Schema:
    """Return one schema for all files: numbers and times of the wider kind, a type for columns that are all null in some file."""
    fields: dict[str, Type] = {}
    where: dict[str, str] = {}
    previous: pa.Schema | None = None
    for file in files:
        if previous is not None and file.schema.equals(previous):
            continue  # says nothing new: of 2,000 files nearly all
        previous = file.schema
        names = file.schema.names
        odd = odd_name(names)
        if odd is not None:
            raise DataError(odd[1], file=file.path, column=odd[0])
        for name, arrow_type in zip(names, file.schema.types, strict=True):
            type_ = Type.from_arrow(arrow_type)
            if name in fields:
                wider = _wider(fields[name], type_)
                if wider is None:
                    raise DataError(
                        f"is {type_} here, but {fields[name]} in {where[name]}",
                        file=file.path,
                        column=name,
                        hint=_ONE_SCHEMA,
                    )
                type_ = wider
            fields[name] = type_
            where.setdefault(name, file.path)
    for file in files:
        if len(file.schema) == len(fields):
            continue  # no name stands twice, so none is missing
        missing = next((name for name in fields if name not in set(file.schema.names)), None)
        if missing is not None:
            near = nearest(missing, set(file.schema.names))
            hint = f"nearest: {near!r}. {_ONE_SCHEMA}" if near else _ONE_SCHEMA
            raise DataError(f"lacks the column {missing!r} that {where[missing]} has", file=file.path, column=missing, hint=hint)
    return Schema(fields)


def _wider(one: Type, other: Type) -> Type | None:
    """Return the type that holds both, or None; a value that it does not hold is an error when it is read."""
    if one == other:
        return one
    if pa.types.is_null(one.arrow):
        return other
    if pa.types.is_null(other.arrow):
        return one
    if one.is_timestamp and other.is_timestamp and (one.zone is None) == (other.zone is None):
        finer = max(one.arrow.unit, other.arrow.unit, key=UNITS.index)
        return Type(pa.timestamp(finer, one.zone if one.zone == other.zone else "UTC"))
    if not all(type_.is_integer or type_.is_float for type_ in (one, other)):
        return None
    if one.is_integer != other.is_integer:
        return FLOAT64  # as pandas writes a column of integers: as floats where it has a null
    if "uint64" in (str(one), str(other)):
        return None
    unified = pa.unify_schemas([pa.schema([("x", one.arrow)]), pa.schema([("x", other.arrow)])], promote_options="permissive")
    return Type(unified.field(0).type)
