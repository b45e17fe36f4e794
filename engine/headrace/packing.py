"""How parts and states are written and read back: the structure becomes JSON, the arrays go one after another into a file of Arrow streams.

One writer and one reader serve all operators. What there is much of stands together: of 1,000 columns' moments, each field is a list and
all sums are one array. The reader builds the class that the op declares, never one that the file names.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.counts import Counts, SpilledCounts, ThinnedCounts
from headrace.errors import BundleError
from headrace.keys import Keys
from headrace.rare import RareKeys
from headrace.runs import N_BUCKETS, SCHEMA, Bucket, StoredRun

# Arrays up to this long are put together: longer ones would be copied for it, and take as long by themselves.
_SHORT = 1 << 12
_PLAIN = (bool, int, str)


def pack(value: Any, streams: list[pa.Table | Bucket]) -> Any:
    """Return `value` as JSON values; arrays are appended to `streams` and referred to by their index.

    >>> streams = []
    >>> pack({"a": np.arange(2), "b": np.arange(3)}, streams)
    {'keys': ['a', 'b'], 'values': {'arrays': 0, 'shapes': [[2], [3]]}}
    >>> streams[0]["values"].to_pylist()
    [0, 1, 0, 1, 2]

    Raises
    ------
    TypeError
        If it, or what it holds, is none of what a state may hold.
    """
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, Keys):
        return pack(value.table, streams)
    if isinstance(value, ThinnedCounts):
        return {"known": pack(value.known, streams), "rare": pack(value.rare, streams), "apart": value.are_apart}
    if isinstance(value, SpilledCounts):
        (run,) = value.runs  # of a part that is settled
        held, first = pack(value.held, streams), len(streams)
        streams += [Bucket(run, index) for index in range(N_BUCKETS)]
        return {"held": held, "buckets": {"stream": first}}
    if isinstance(value, np.ndarray):
        return {"stream": _append(np.ascontiguousarray(value).reshape(-1), streams), "shape": list(value.shape)}
    if isinstance(value, pa.Array):
        return {"stream": _append(value, streams)}
    if isinstance(value, pa.Table):
        streams.append(value)
        return {"stream": len(streams) - 1}
    if isinstance(value, tuple):
        return _pack_all(value, streams)
    if isinstance(value, Mapping):
        return {"keys": _pack_all(list(value), streams), "values": _pack_all(list(value.values()), streams)}
    if dataclasses.is_dataclass(value):
        return {field.name: pack(getattr(value, field.name), streams) for field in dataclasses.fields(value)}
    raise TypeError(f"a state cannot hold a {type(value).__name__}")


def _pack_all(values: Sequence[Any], streams: list[pa.Table | Bucket]) -> Any:
    """Return several values: records of one class by their fields, short arrays of one type as one, all else one by one."""
    kinds = set(map(type, values))
    (kind,) = kinds if len(kinds) == 1 else (None,)
    if kind in _PLAIN:
        return list(values)
    if kind is np.ndarray and len({array.dtype for array in values}) == 1 and all(array.size <= _SHORT for array in values):
        joined = np.concatenate([array.reshape(-1) for array in values])
        return {"arrays": _append(joined, streams), "shapes": [list(array.shape) for array in values]}
    if kind is not None and _is_record(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        return {"fields": {name: _pack_all([getattr(value, name) for value in values], streams) for name in names}}
    return [pack(value, streams) for value in values]


def _is_record(kind: type) -> bool:
    """Return whether values of a class are packed by their fields: not keys and counts, of which there are classes for one and the same."""
    return dataclasses.is_dataclass(kind) and not issubclass(kind, Keys | Counts)


def _append(values: Any, streams: list[pa.Table | Bucket]) -> int:
    streams.append(pa.table({"values": pa.array(values)}))
    return len(streams) - 1


def unpack(kind: Any, packed: Any, streams: list[pa.Table]) -> Any:
    """Return the value of type `kind` that `pack` made `packed` of; raise BundleError if it does not fit."""
    try:
        return _unpack(kind, packed, streams)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"a saved state does not fit {getattr(kind, '__name__', kind)}: {error}") from error


def _unpack(kind: Any, packed: Any, streams: list[pa.Table]) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    origin = typing.get_origin(getattr(origin, "__value__", None)) or origin  # NumPy's NDArray is an alias since 2.5
    if origin in (types.UnionType, typing.Union):
        return _unpack_union(kind, packed, streams)
    if kind in _PLAIN:
        return kind(packed)
    if kind is float:
        return float.fromhex(packed["float"])
    if kind is Keys:
        return Keys(streams[packed["stream"]])
    if origin is np.ndarray:
        return _numbers(packed["stream"], streams).reshape(packed["shape"])
    if kind is Counts and "rare" in packed:
        known, rare = _unpack(Counts, packed["known"], streams), _unpack(RareKeys, packed["rare"], streams)
        return ThinnedCounts(known, rare, are_apart=bool(packed["apart"]))
    if kind is Counts and "buckets" in packed:
        first = packed["buckets"]["stream"]
        run = StoredRun(tuple(streams[first : first + N_BUCKETS]))
        if [table.schema for table in run.tables] != [SCHEMA] * N_BUCKETS:
            raise ValueError("its buckets are others")
        return SpilledCounts(_unpack(Counts, packed["held"], streams), (run,))
    if kind is pa.Array:
        return streams[packed["stream"]]["values"].combine_chunks()
    if kind is pa.Table:
        return streams[packed["stream"]]
    if origin is tuple:
        return tuple(_unpack_all(arguments[0], packed, streams))
    if origin is dict:
        keys, values = _unpack_all(arguments[0], packed["keys"], streams), _unpack_all(arguments[1], packed["values"], streams)
        return dict(zip(keys, values, strict=True))
    hints = typing.get_type_hints(kind)
    return kind(**{field.name: _unpack(hints[field.name], packed[field.name], streams) for field in dataclasses.fields(kind)})


def _unpack_all(kind: Any, packed: Any, streams: list[pa.Table]) -> list[Any]:
    """Return the values of type `kind` that `_pack_all` made `packed` of."""
    if isinstance(packed, list):
        return [_unpack(kind, one, streams) for one in packed]
    if "arrays" in packed:
        shapes = packed["shapes"]
        ends = np.cumsum([np.prod(shape, dtype=np.int64) for shape in shapes])
        pieces = np.split(_numbers(packed["arrays"], streams), ends)
        if len(pieces.pop()):
            raise ValueError("an array has other numbers than its shapes say")
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]
    record = _record_of(kind, packed["fields"])
    hints = typing.get_type_hints(record)
    columns = {field.name: _unpack_all(hints[field.name], packed["fields"][field.name], streams) for field in dataclasses.fields(record)}
    return [record(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _unpack_union(kind: Any, packed: Any, streams: list[pa.Table]) -> Any:
    """Read an optional value, one of several kinds of scalars, or a record of one of several classes."""
    kinds = set(typing.get_args(kind))
    if packed is None and type(None) in kinds:
        return None
    if kinds - {type(None)} <= {*_PLAIN, float}:
        return float.fromhex(packed["float"]) if isinstance(packed, dict) else packed
    return _unpack(_record_of(kind, packed), packed, streams)


def _record_of(kind: Any, fields: Mapping[str, Any]) -> Any:
    """Return the class that a type allows and whose fields are those found, or the only one that it allows."""
    kinds = [one for one in typing.get_args(kind) or (kind,) if one is not type(None)]
    if len(kinds) > 1:
        kinds = [one for one in kinds if {field.name for field in dataclasses.fields(one)} == set(fields)]
    (found,) = kinds
    return found


def _numbers(index: int, streams: list[pa.Table]) -> np.ndarray[Any, Any]:
    return streams[index]["values"].combine_chunks().to_numpy(zero_copy_only=False)


def write_streams(tables: Sequence[pa.Table | Bucket], sink: pa.NativeFile) -> list[tuple[int, int]]:
    """Write Arrow tables one after another to a file; a bucket of a run is in memory only while it is written.

    Returns
    -------
    list of tuple
        The offset and the length of each, in bytes.
    """
    places: list[tuple[int, int]] = []
    for table in tables:
        columns = [_settled(column) for column in (table.read() if isinstance(table, Bucket) else table).columns]
        position = sink.tell()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(pa.table(columns, schema=table.schema))
        places.append((position, sink.tell() - position))
    return places


def _settled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column whose unused bits, behind the last row of a bitmap, are 0: Arrow leaves there what it finds, and equal states must be equal bytes."""
    chunks = []
    for chunk in column.chunks:
        if (
            pa.types.is_nested(chunk.type)
            or pa.types.is_dictionary(chunk.type)
            or not (chunk.null_count or pa.types.is_boolean(chunk.type))
        ):
            chunks.append(chunk)
            continue
        whole = pa.concat_arrays([chunk, chunk.slice(0, 0)]) if chunk.offset else chunk
        buffers = [_bitmap(whole.is_valid()), *whole.buffers()[1:]]
        if pa.types.is_boolean(whole.type):
            buffers[1] = _bitmap(whole.fill_null(pa.scalar(value=False)))
        chunks.append(pa.Array.from_buffers(whole.type, len(whole), buffers))
    return pa.chunked_array(chunks, column.type)


def _bitmap(flags: pa.Array) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags.to_numpy(zero_copy_only=False), bitorder="little"))


def read_streams(content: pa.Buffer, places: Sequence[tuple[int, int]]) -> list[pa.Table]:
    """Return the Arrow tables that `write_streams` wrote; raise ArrowInvalid for one whose lengths lead out of its bytes: Arrow does not look."""
    tables = []
    for offset, length in places:
        with pa.ipc.open_stream(content.slice(offset, length)) as reader:
            tables.append(reader.read_all())
        tables[-1].validate(full=True)
    return tables
