"""Packing: one writer and one reader for all that a state may hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest

from headrace.counts import Counts
from headrace.errors import BundleError
from headrace.keys import Keys
from headrace.packing import pack, read_streams, unpack, write_streams
from headrace.states import Moments, Quantiles

NAN, INF = math.nan, math.inf
Array = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True)
class Everything:
    flag: bool
    number: int
    real: float
    text: str
    maybe: float | None
    absent: int | None
    keys: Keys
    array: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    column: pa.Array
    table: pa.Table
    names: tuple[str, ...]
    by_name: dict[str, float]


def everything() -> Everything:
    return Everything(
        True,
        -(2**63),
        0.1,
        "Łódź",
        -INF,
        None,
        Keys(pa.table({"k": ["a", None]})),
        np.arange(6).reshape(2, 3),
        pa.array([1, None]),
        pa.table({"a": [b"x"]}),
        ("p", "q"),
        {"m": 1e-310},
    )


def written(value: object) -> tuple[object, list[pa.Table]]:
    streams: list[pa.Table] = []
    packed = pack(value, streams)
    sink = BytesIO()
    places = write_streams(streams, sink)
    return packed, read_streams(pa.py_buffer(sink.getvalue()), places)


def test_what_is_written_is_read_back() -> None:
    value = everything()
    again = unpack(Everything, *written(value))
    for name, expected in vars(value).items():
        found = getattr(again, name)
        if isinstance(expected, np.ndarray):
            assert found.dtype == expected.dtype
            assert found.tolist() == expected.tolist()
        elif isinstance(expected, pa.Array | pa.Table):
            assert found.equals(expected)
        else:
            assert found == expected


@pytest.mark.parametrize("value", [0.1, -0.0, 1e-310, INF, -INF, 2.0**-1074])
def test_floats_come_back_bit_for_bit(value: float) -> None:
    assert unpack(float, *written(value)).hex() == value.hex()


def test_nan_comes_back() -> None:
    assert math.isnan(unpack(float, *written(NAN)))


def test_equal_states_are_equal_bytes() -> None:
    # The same seven flags, once with rubbish behind the last bit.
    flags = [True, None, False, True, True, None, True]
    rubbish = pa.array([*flags, True, None])[:7]
    contents = []
    for array in (pa.array(flags), rubbish, pa.array([None, *flags])[1:]):
        sink = BytesIO()
        write_streams([pa.table({"flags": array})], sink)
        contents.append(sink.getvalue())
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.parametrize("value", [Decimal(1), object(), {1, 2}])
def test_what_no_state_holds_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="a state cannot hold a"):
        pack(value, [])


@pytest.mark.parametrize(
    "packed", [{}, {"flag": True}, None, 7, {"stream": 3}, {"precision": 1, "bins": {"stream": 9}, "counts": {"stream": 0}}]
)
def test_what_does_not_fit_the_state_is_a_bundle_error(packed: object) -> None:
    with pytest.raises(BundleError, match="a saved state does not fit Quantiles"):
        unpack(Quantiles, packed, [])


def test_lengths_that_lead_out_of_the_bytes_are_refused() -> None:
    sink = BytesIO()
    places = write_streams([pa.table({"x": ["ab", "cd", "ef"]})], sink)
    right, wrong = (np.array(offsets, np.int32).tobytes() for offsets in ([0, 2, 4, 6], [0, 2, 1 << 30, 6]))
    content = sink.getvalue()
    assert content.count(right) == 1
    with pytest.raises(pa.ArrowInvalid, match="out of bounds"):
        read_streams(pa.py_buffer(content.replace(right, wrong)), places)


def test_many_columns_are_written_together() -> None:
    value = {f"c{i}": Moments(i, 0, 1, 2, None if i == 1 else i - 2.5, 2**63, np.arange(i), np.full(3 + i % 2, i)) for i in range(1000)}
    packed, tables = written(value)
    assert len(tables) == 2
    found = unpack(dict[str, Moments], packed, tables)
    assert list(found) == list(value)
    for one, expected in zip(found.values(), value.values(), strict=True):
        assert {**vars(one), "total": one.total.tolist(), "squares": one.squares.tolist()} == {
            **vars(expected),
            "total": expected.total.tolist(),
            "squares": expected.squares.tolist(),
        }


def test_arrays_of_several_types_and_shapes_come_back() -> None:
    value = (np.arange(6).reshape(2, 3), np.zeros((0, 4), np.int64), np.array(7), np.zeros(0, np.int64))
    found = unpack(tuple[Array, ...], *written(value))
    assert [(one.shape, one.tolist()) for one in found] == [(one.shape, one.tolist()) for one in value]
    mixed = (np.array([True, False]), np.array([1.5]), np.arange(5000))
    found = unpack(tuple[Array, ...], *written(mixed))
    assert [(one.dtype, one.tolist()) for one in found] == [(one.dtype, one.tolist()) for one in mixed]


def test_records_of_several_classes_and_none_come_back() -> None:
    counts = Counts(Keys(pa.table({"k": ["a", None]})), np.array([2, 1]))
    quantiles = Quantiles(52, np.array([1]), np.array([2]))
    kind = dict[str, Counts | Quantiles | None]
    for value in ({"a": counts, "b": quantiles, "c": None}, {"a": counts, "b": counts}, {"a": quantiles}, {}):
        found = unpack(kind, *written(value))
        assert {name: type(one) for name, one in found.items()} == {name: type(one) for name, one in value.items()}
        assert pack(found, []) == pack(value, [])


@pytest.mark.parametrize(
    "damage",
    [
        {"values": []},
        {"values": {"fields": {"precision": [1], "bins": [], "counts": []}}},
        {"values": {"fields": {"precision": [52], "bins": {"arrays": 0, "shapes": [[2]]}, "counts": {"arrays": 1, "shapes": [[1]]}}}},
        {"values": {"fields": {"precision": [52], "bins": {"arrays": 0, "shapes": []}, "counts": {"arrays": 1, "shapes": [[1]]}}}},
        {"values": {"fields": {}}},
        {"values": None},
    ],
)
def test_columns_that_do_not_fit_are_a_bundle_error(damage: dict[str, object]) -> None:
    packed, tables = written({"a": Quantiles(52, np.array([1]), np.array([2]))})
    assert isinstance(packed, dict)
    with pytest.raises(BundleError, match="a saved state does not fit"):
        unpack(dict[str, Quantiles], packed | damage, tables)
