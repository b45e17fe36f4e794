"""Dataset: Parquet files, their row groups, one schema and a fingerprint, all from the footers, before anything is computed."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from headrace.errors import DataError, JobError
from headrace.order import UNITS
from headrace.schema import FLOAT64, Schema, Type, odd_name

if TYPE_CHECKING:
    from headrace_kernels.page_headers import Footer

FOOTER_THREADS = 8
GLOB_MARKS = "*?["
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"  # what Hive, Spark, Arrow and Polars write, and read, for a null
SUFFIXES = (".parquet", ".parq", ".pq")
_TEXTS = (".csv", ".tsv", ".csv.gz", ".json", ".jsonl", ".ndjson")  # what people have before they have Parquet
# A dictionary costs some 20 us to make and as much to join with others, whatever its rows: row groups of fewer are read as plain strings.
# 1M rows x 26 strings in files of 500 rows took 9.6 s of CPU so, and 13.2 s as dictionaries; of 5,000 rows 9.0 s and 7.8 s.
DICTIONARY_ROWS = 2_000
# The format's numbers of encodings, a bit each.
_DICTIONARY_ENCODINGS, _DELTA_ENCODINGS = 1 << 2 | 1 << 8, 1 << 5 | 1 << 6 | 1 << 7
# Instants of INT96 do not fit nanoseconds before 1678 and after 2262; what writes them (Spark, Impala) counts in microseconds.
INT96_UNIT = "us"
# What pyarrow raises for files that are not what they say; OSError and UnicodeDecodeError are no ArrowException.
READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, OverflowError)


@dataclass(frozen=True)
class RowGroup:
    """One row group: its file's index, its index in the file, the number of its first row in the data set, rows, and bytes by column."""

    file: int
    index: int
    first_row: int
    n_rows: int
    nbytes: dict[str, int]


@dataclass(frozen=True)
class File:
    """One Parquet file and what its footer says.

    `partition` holds the values of hive folders such as ``month=3``; `dictionaries` are the string columns that can be read as
    dictionaries, and had better be: every row group is large enough and has a dictionary page of them, and none has pages of
    differences, which pyarrow cannot read so.
    """

    path: str
    nbytes: int
    row_groups: tuple[tuple[int, dict[str, int]], ...]  # rows, decoded bytes by column
    schema: pa.Schema
    digest: str
    partition: dict[str, str] = field(default_factory=dict)
    dictionaries: frozenset[str] = frozenset()


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
        found = [place for item in sources for place in _find_files(item)]
        _refuse_twice(path for path, _ in found)
        with ThreadPoolExecutor(FOOTER_THREADS) as pool:
            files = tuple(pool.map(lambda place: _read_footer(*place), found))
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


def filesystem_of(path: str) -> tuple[Any, str]:
    """Return the Arrow file system and the path in it of a local path or URI."""
    if "://" not in path:
        return pafs.LocalFileSystem(), path
    try:
        filesystem, inner = pafs.FileSystem.from_uri(path)
    except (pa.ArrowException, ValueError, OSError):
        import fsspec

        try:
            handler, inner = fsspec.core.url_to_fs(path)
        except (ImportError, ValueError) as error:
            raise JobError(f"cannot open {path!r}: {error}") from error
        filesystem = pafs.PyFileSystem(pafs.FSSpecHandler(handler))
    return filesystem, inner


def _find_files(source: str) -> list[tuple[str, dict[str, str]]]:
    """Return the Parquet files of one path, glob or directory, sorted, with their hive values."""
    if not source or "\0" in source:
        raise JobError(f"{source!r} is no path")
    if "://" in source:
        paths, root = _find_remote(source)
    elif any(mark in source for mark in GLOB_MARKS) and not Path(source).exists():
        paths, root = sorted(glob.glob(source, recursive=True)), _before_marks(source)
        paths = [file for path in paths for file in (_below(path) if Path(path).is_dir() and path.endswith(SUFFIXES) else [path])]
        paths = [path for path in paths if _is_data(Path(path))]
    elif Path(source).is_dir():
        root = str(Path(source))  # as rglob writes it: ./a and a/ are a
        paths = _below(root)
    elif Path(source).is_file():
        return [(source, {})]
    else:
        paths, root = [], source
    if not paths:
        raise JobError(f"no Parquet files at {source!r}", hint=_what_is_there(source))
    return [(path, _hive_values(path.removeprefix(root))) for path in paths]


def _below(folder: str) -> list[str]:
    root = str(Path(folder))
    return _parquet_below(root, (str(path) for path in Path(root).rglob("*") if _is_data(path)))


def _is_data(path: Path) -> bool:
    """Say whether a path is a file, or a link to one: to read one that leads nowhere says so, and to pass over it would lose its rows."""
    return path.is_file() or (path.is_symlink() and not path.is_dir())


def _refuse_twice(paths: Iterable[str]) -> None:
    """Raise JobError for a file that two of several sources name: its rows would count twice."""
    for path, n in Counter(path if "://" in path else os.path.abspath(path) for path in paths).items():  # noqa: PTH100
        if n > 1:
            raise JobError(f"{path!r} is named {n} times", hint="its rows would be read as often: name each file once")


def takes_below(source: str, folder: str) -> bool:
    """Say whether a source takes what will be written below a folder: it is, or is above, that folder and looks into all folders."""
    root = source if Path(source).is_dir() else _before_marks(source) if "**" in source else None
    place = Path(folder).absolute()
    if root is None or not place.is_relative_to(Path(root).absolute()):
        return False
    return "**" in source or bool(_parquet_below(str(Path(root).absolute()), [f"{place}/x.parquet"]))


def _find_remote(source: str) -> tuple[list[str], str]:
    import fsspec

    address = urlsplit(source)
    if address.password is not None:  # neither the error nor a run's record may hold it
        shown = f"{address.scheme}://...@{address.netloc.rpartition('@')[2]}{address.path}"
        hint = "paths are written into the run's record: set credentials where the file system looks for them, as its environment variables"
        raise JobError(f"a password stands in {shown!r}", hint=hint)
    try:
        handler, inner = fsspec.core.url_to_fs(source)
        if any(mark in inner for mark in GLOB_MARKS):
            names = sorted(handler.glob(inner))
        elif handler.isdir(inner):
            names = _parquet_below(inner, handler.find(inner))
        else:
            names = [inner] if handler.exists(inner) else []
    except (ImportError, OSError, ValueError) as error:
        raise JobError(
            f"cannot list {source!r}: {error}", hint="is the file system's package installed, and are its credentials set?"
        ) from error
    scheme = source.split("://", maxsplit=1)[0]
    return [f"{scheme}://{name}" for name in names], f"{scheme}://{_before_marks(inner)}"


def _before_marks(pattern: str) -> str:
    """Return the folders of a glob that are written out: all before the first part with a mark."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return fixed if fixed == pattern else fixed[: fixed.rfind("/") + 1]


def _parquet_below(root: str, paths: Iterable[str]) -> list[str]:
    """Keep data files: what starts with a dot or an underscore is metadata of some writer, or a file being written."""
    kept = []
    for path in paths:
        parts = path.removeprefix(root).strip("/").split("/")
        if not any(part.startswith((".", "_")) for part in parts) and parts[-1].endswith(SUFFIXES):
            kept.append(path)
    return sorted(kept)


def _what_is_there(source: str) -> str:
    """Say what the nearest existing folder holds."""
    folder = Path(_before_marks(source))
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    names = sorted(path.name for path in folder.iterdir())[:8] if "://" not in source else []
    return f"{folder} holds: {', '.join(names) or 'nothing'}"


def _hive_values(relative: str) -> dict[str, str]:
    parts = (part.partition("=") for part in relative.split("/")[:-1])
    return {name: unquote(value) for name, mark, value in parts if mark}


def hive_value(text: str, type_: Type) -> int | str | None:
    """Return what the name of a hive folder stands for in a column of a type."""
    if text == HIVE_NULL:
        return None
    return int(text) if type_.is_integer else text


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


def _read_footer(path: str, partition: dict[str, str]) -> File:
    # pyarrow is not asked for column chunks: one wrong bit of a footer can end the process there.
    from headrace_kernels.page_headers import scan_footer  # a library that cannot be loaded is no fault of the file

    try:
        filesystem, inner = filesystem_of(path)
        with filesystem.open_input_file(inner) as handle:
            nbytes = handle.size()
            opened = pq.ParquetFile(handle, coerce_int96_timestamp_unit=INT96_UNIT)
            metadata, schema = opened.metadata, opened.schema_arrow
            length = int.from_bytes(handle.read_at(4, nbytes - 8), "little")
            # A footer in clear of a file with encrypted columns is longer: it is signed. To look at such a column
            # ends the whole process (an exception of C++ that nobody catches, pyarrow 26).
            if length != metadata.serialized_size:
                raise ValueError(f"{length - metadata.serialized_size} bytes of its footer are no metadata: encrypted columns, or damage")
            end = handle.read_at(length + 8, nbytes - length - 8)
            chunks = _complete(scan_footer(np.frombuffer(end[:length], np.uint8), metadata.num_row_groups, metadata.num_columns))
            groups = tuple(_groups(chunks, metadata, schema))
            if sum(n_rows for n_rows, _ in groups) != metadata.num_rows:
                raise ValueError(f"its footer promises {metadata.num_rows} rows, and its row groups {sum(n_rows for n_rows, _ in groups)}")
            dictionaries = _dictionaries(chunks, metadata, schema)
            digest = _digest(end)
    except FileNotFoundError as error:
        raise DataError("no such file", file=path) from error
    except READ_ERRORS as error:
        raise DataError(f"is not a readable Parquet file: {_first_line(error)}", file=path, hint=_remedy(path)) from error
    # A task may run in a process with another working folder.
    place = path if "://" in path else str(Path(path).absolute())
    return File(place, nbytes, groups, schema, digest, partition, dictionaries)


def refuse_changed(file: File, handle: Any) -> None:
    """Raise DataError if an open file is not the one that was planned with: passes would learn from one and transform another."""
    same = handle.size() == file.nbytes
    if not same or _footer_digest(handle, int.from_bytes(handle.read_at(4, file.nbytes - 8), "little")) != file.digest:
        raise DataError("has changed since the run began", file=file.path, hint="run again, on files that nobody writes to")


def _footer_digest(handle: Any, length: int) -> str:
    """Return the SHA-256 of an open file's footer of `length` bytes, with its length and the last mark."""
    return _digest(handle.read_at(length + 8, handle.size() - length - 8))


def _digest(footer: bytes) -> str:
    return hashlib.sha256(footer).hexdigest()


def _complete(found: Footer | None) -> Footer:
    """Return what a footer says, if it says how many rows and bytes each row group and column chunk has."""
    from headrace_kernels.page_headers import CHUNK_UNPACKED

    if found is None or (found.n_rows < 0).any() or (found.chunks[:, :, CHUNK_UNPACKED] < 0).any():
        raise ValueError("its footer does not describe each column of each row group")
    return found


def _groups(footer: Footer, metadata: Any, schema: pa.Schema) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield of each row group its rows, and the bytes of each column unpacked."""
    from headrace_kernels.page_headers import CHUNK_UNPACKED

    names = _top_names(metadata, schema)
    for n_rows, sizes in zip(footer.n_rows.tolist(), footer.chunks[:, :, CHUNK_UNPACKED].tolist(), strict=True):
        nbytes: dict[str, int] = dict.fromkeys(schema.names, 0)
        for name, size in zip(names, sizes, strict=True):
            nbytes[name] = nbytes.get(name, 0) + size
        yield n_rows, nbytes


def _top_names(metadata: Any, schema: pa.Schema) -> list[str]:
    """Return of each leaf column the name of the column that it is part of."""
    if metadata.num_columns == len(schema.names):  # one leaf each
        return list(schema.names)
    top, parquet = frozenset(schema.names), metadata.schema
    paths = (parquet.column(index).path for index in range(metadata.num_columns))
    return [path if path in top else path.split(".")[0] for path in paths]


def _dictionaries(footer: Footer, metadata: Any, schema: pa.Schema) -> frozenset[str]:
    """Return the string columns with a dictionary page, and no page of differences, in every row group; none of small row groups."""
    from headrace_kernels.page_headers import CHUNK_ENCODINGS

    if metadata.num_rows < DICTIONARY_ROWS * metadata.num_row_groups:
        return frozenset()
    encodings = footer.chunks[:, :, CHUNK_ENCODINGS]
    regular = (((encodings & _DICTIONARY_ENCODINGS) != 0) & ((encodings & _DELTA_ENCODINGS) == 0)).all(axis=0)
    places = {name: index for index, name in enumerate(_top_names(metadata, schema))}
    texts = (name for name, type_ in zip(schema.names, schema.types, strict=True) if _is_text(type_))
    return frozenset(name for name in texts if name in places and regular[places[name]])


def _is_text(type_: pa.DataType) -> bool:
    return Type.from_arrow(type_).is_string


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
                        hint="files of one source need one schema: write the odd file anew, or leave it out of source.path",
                    )
                type_ = wider
            fields[name] = type_
            where.setdefault(name, file.path)
    for file in files:
        if len(file.schema) == len(fields):
            continue  # no name stands twice, so none is missing
        missing = next((name for name in fields if name not in set(file.schema.names)), None)
        if missing is not None:
            raise DataError(f"lacks the column {missing!r} that {where[missing]} has", file=file.path, column=missing)
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


def _remedy(path: str) -> str:
    if path.lower().endswith(_TEXTS):
        return "convert it to Parquet first, as in pandas.read_csv(...).to_parquet(...)"
    return "remove it from the source, or write it anew"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
