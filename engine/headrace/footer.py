"""Footer: one Parquet file and what its footer says, read before anything is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DataError
from headrace.listing import filesystem_of
from headrace.schema import Type

if TYPE_CHECKING:
    from headrace_kernels.page_headers import Footer

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


def read_footer(path: str, partition: dict[str, str]) -> File:
    """Return a file by its footer; raise DataError if it is no Parquet file, or one that cannot be read whole."""
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


def _remedy(path: str) -> str:
    if path.lower().endswith(_TEXTS):
        return "convert it to Parquet first, as in pandas.read_csv(...).to_parquet(...)"
    return "remove it from the source, or write it anew"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
