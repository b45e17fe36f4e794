"""The GPU's verbs beside the CPU's, on every layout of a column."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.comparing import assert_same_column
from tests.gpu.where import MARKS
from tests.laws.examples import rows
from tests.laws.running import canonical, content

from headrace.counts import Counts
from headrace.errors import DataError
from headrace.keys import Keys
from headrace.schema import Type
from headrace.states import MAX_BINS
from headrace.table import Backend

pytestmark = MARKS

NAN, INF = math.nan, math.inf
ROWS = rows(200)
COLUMNS = {name: ROWS[name].combine_chunks() for name in ROWS.column_names}


def column(array: pa.Array, backend: Backend) -> Any:
    return backend.from_arrow(array)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_goes_there_and_back(name: str, gpu: Backend) -> None:
    for array in (COLUMNS[name], COLUMNS[name].slice(3, 50), COLUMNS[name].slice(0, 0)):
        there = gpu.from_arrow(array)
        assert_same_column(gpu.to_arrow(there), array, name=name)
        assert gpu.type_of(there) == Type.from_arrow(array.type)
        assert (len(there), gpu.null_count(there)) == (len(array), array.null_count)


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_are_taken_kept_and_put_together_as_on_the_cpu(name: str, cpu: Backend, gpu: Backend) -> None:
    places = np.array([5, -1, 0, 5, 199, -1])
    mask = pa.array([None if row % 7 == 0 else row % 3 == 0 for row in range(200)])
    for backend in (gpu,):
        there = {"x": backend.from_arrow(COLUMNS[name])}
        few = cpu.take({"x": COLUMNS[name]}, places)["x"]
        assert_same_column(gpu.to_arrow(backend.take(there, places)["x"]), few)
        kept = backend.filter(there, backend.from_arrow(mask))["x"]
        assert_same_column(gpu.to_arrow(kept), cpu.filter({"x": COLUMNS[name]}, mask)["x"])
        empty = {"x": backend.from_arrow(COLUMNS[name].slice(0, 0))}
        assert gpu.to_arrow(backend.take(empty, np.array([-1, -1]))["x"]).null_count == 2
        other = {"x": backend.from_arrow(COLUMNS[name].slice(100, 60))}
        joined = backend.concat([there, other, empty])["x"]
        assert_same_column(gpu.to_arrow(joined), _plain(COLUMNS[name], COLUMNS[name].slice(100, 60)))


def _plain(*arrays: pa.Array) -> pa.Array:
    return pa.concat_arrays([one.dictionary.take(one.indices) if pa.types.is_dictionary(one.type) else one for one in arrays])


@pytest.mark.parametrize("name", [name for name, array in COLUMNS.items() if not pa.types.is_list(array.type)])
def test_keys_are_counted_found_and_hashed_as_on_the_cpu(name: str, cpu: Backend, gpu: Backend) -> None:
    array = COLUMNS[name]
    columns, there = {"x": array, "flag": COLUMNS["flag"]}, {"x": gpu.from_arrow(array), "flag": gpu.from_arrow(COLUMNS["flag"])}
    for names in (["x"], ["x", "flag"]):
        expected, found = (b.counts({n: c[n] for n in names}) for b, c in ((cpu, columns), (gpu, there)))
        # a column of near-unique strings may be counted in another form there: keys and counts are the same
        assert canonical(Counts(found.keys, found.counts)) == canonical(Counts(expected.keys, expected.counts))
        some = expected.keys.take(np.arange(0, len(expected.keys), 2))
        codes = cpu.find({n: columns[n] for n in names}, some)
        assert gpu.to_numpy(gpu.find({n: there[n] for n in names}, some)).tolist() == codes.tolist()
        hashes = cpu.hash_rows({n: columns[n] for n in names}, 3)
        assert gpu.to_numpy(gpu.hash_rows({n: there[n] for n in names}, 3)).tolist() == hashes.tolist()


def test_the_smallest_floats_are_no_zeros(cpu: Backend, gpu: Backend) -> None:
    array = pa.array([1e-40, -3e-45, 0.0, -0.0], pa.float32())
    there = gpu.from_arrow(array)
    assert gpu.to_numpy(gpu.hash_rows({"x": there}, 0)).tolist() == cpu.hash_rows({"x": array}, 0).tolist()
    assert canonical(gpu.counts({"x": there})) == canonical(cpu.counts({"x": array}))


@pytest.mark.parametrize("type_", ["int32", "uint64", "float32", "float64", "int8"])
def test_keys_of_another_width_are_found(type_: str, cpu: Backend, gpu: Backend) -> None:
    array = pa.array([1, None, 3, 100], Type.of(type_).arrow)
    for values in ([3, 1], [3.0, None], [1.5, 3.0], [2**40, 1], [], ["3"]):
        keys = [Keys.of({"x": values}) for _ in range(2)]
        try:
            expected = cpu.find({"x": array}, keys[0]).tolist()
        except DataError as error:
            with pytest.raises(DataError) as caught:
                gpu.find({"x": gpu.from_arrow(array)}, keys[1])
            assert str(caught.value) == str(error)  # noqa: PT017  (the same words)
        else:
            assert gpu.to_numpy(gpu.find({"x": gpu.from_arrow(array)}, keys[1])).tolist() == expected


EXTREME = {
    "floats of all sizes": pa.array([1e300, -1e-300, 5e-324, 1.7976931348623157e308, -0.0, 0.1, None, NAN, INF, -INF] * 3),
    "one magnitude": pa.array(np.random.default_rng(1).normal(1.7e9, 1.0, 500)),
    "float32": pa.array([0.1, 1e30, None, NAN, -1e-38, 1e-45, -0.0], pa.float32()),
    "uint64": pa.array([2**64 - 1, 0, None, 2**63, 7], pa.uint64()),
    "int64": pa.array([2**63 - 1, -(2**63), None, -1, 0], pa.int64()),
    "int8": pa.array([-128, 127, None], pa.int8()),
    "truth": pa.array([True, None, False, True]),
    "decimal": pa.array([Decimal("1.25"), None, Decimal("-3.50")], pa.decimal128(9, 2)),
    "dates": pa.array([1, None, -5], pa.int32()).view(pa.date32()),
    "nulls": pa.nulls(4, pa.float64()),
    "nothing": pa.array([], pa.float64()),
    "null type": pa.nulls(3),
}


@pytest.mark.parametrize("name", EXTREME)
def test_sums_and_extremes_are_the_cpus_bits(name: str, cpu: Backend, gpu: Backend) -> None:
    array, there = EXTREME[name], gpu.from_arrow(EXTREME[name])
    assert content(gpu.moments([there])[0]) == content(cpu.moments([array])[0])
    if not pa.types.is_date(array.type) and not pa.types.is_null(array.type):
        assert content(gpu.quantiles(there)) == content(cpu.quantiles(array))
    key = {"k": pa.array([row % 3 for row in range(len(array))], pa.int64())}
    fold = np.array([row % 2 - (row % 5 == 0) for row in range(len(array))], np.int32)
    there_key = {"k": gpu.from_arrow(key["k"])}
    sums = gpu.group_sums(there_key, there, gpu.values(gpu.from_numpy(fold)), 2)
    assert content(sums) == content(cpu.group_sums(key, array, fold, 2))
    for squared in ((), ("x",)):
        stats = gpu.group_stats(there_key, {"x": there}, squared)
        assert content(stats) == content(cpu.group_stats(key, {"x": array}, squared))


def test_neighbours_share_a_bin_beyond_the_most_bins_as_on_the_cpu(cpu: Backend, gpu: Backend) -> None:
    values = pa.array(np.random.default_rng(4).lognormal(0.0, 3.0, MAX_BINS * 2))
    expected, found = cpu.quantiles(values), gpu.quantiles(gpu.from_arrow(values))
    assert expected.precision < 52
    assert content(found) == content(expected)


def test_nulls_are_filled_whatever_holds_them(cpu: Backend, gpu: Backend) -> None:
    cases = [
        (pa.array([1.0, None, NAN]), 2.5),
        (pa.array([1, None], pa.int16()), 7),
        (pa.array([True, None]), True),
        (pa.array(["a", None]).dictionary_encode(), "b"),
        (pa.array(["a", None]), "a"),
        (pa.array(["a", "b"]), "c"),
        (pa.array([Decimal("1.00"), None], pa.decimal128(5, 2)), "2.345"),
    ]
    for array, value in cases:
        there = gpu.fill(gpu.from_arrow(array), value)
        assert_same_column(gpu.to_arrow(there), cpu.fill(cpu.from_arrow(array), value))
        assert gpu.missing_count(gpu.from_arrow(array)) == cpu.missing_count(array)


@pytest.mark.parametrize(
    "target", ["int8", "int64", "uint8", "float16", "float32", "float64", "bool", "string", "date32", "timestamp[s]", "timestamp[ns]"]
)
def test_a_cast_gives_or_refuses_what_the_cpu_does(target: str, cpu: Backend, gpu: Backend) -> None:
    arrays = [
        pa.array([1, None, 0], pa.int64()),
        pa.array([2**62, None], pa.int64()),
        pa.array([1.0, None, NAN]),
        pa.array([1.5, None], pa.float32()),
        pa.array([1e-40, -3e-45], pa.float32()),
        pa.array([True, None]),
        pa.array(["1", None]),
        pa.array([0, None, 86_400_000], pa.timestamp("ms")),
        pa.array([2**61, None], pa.timestamp("us", "UTC")),
        pa.array([5, None], pa.int32()).view(pa.date32()),
    ]
    for array in arrays:
        try:
            expected = cpu.cast(array, Type.of(target))
        except DataError as error:
            with pytest.raises(DataError) as caught:
                gpu.cast(gpu.from_arrow(array), Type.of(target))
            assert str(caught.value).replace("large_string", "string") == str(error)  # noqa: PT017  (the same words)
        else:
            assert_same_column(gpu.to_arrow(gpu.cast(gpu.from_arrow(array), Type.of(target))), expected)


def test_truth_of_nothing_but_nulls_is_nowhere_true(cpu: Backend, gpu: Backend) -> None:
    for array in (pa.nulls(3), pa.nulls(3, pa.bool_()), pa.array([True, None, False])):
        there = gpu.from_arrow(array)
        assert gpu.to_numpy(gpu.is_true(there)).tolist() == [value is True for value in array.to_pylist()]
        assert gpu.count_true(there) == sum(value is True for value in array.to_pylist())
        assert gpu.to_numpy(gpu.is_null(there)).tolist() == cpu.is_null(array).tolist()


def test_lists_come_apart_and_together(cpu: Backend, gpu: Backend) -> None:
    for name in ("tags", "visits"):
        lengths, elements = gpu.explode(gpu.from_arrow(COLUMNS[name]))
        assert gpu.to_numpy(lengths).tolist() == cpu.explode(COLUMNS[name])[0].tolist()
        assert_same_column(gpu.to_arrow(gpu.implode(lengths, elements)), COLUMNS[name])


def test_a_matrix_stays_on_the_device(cpu: Backend, gpu: Backend) -> None:
    names = ["measure", "delay", "flag", "price", "lat"]
    matrix = gpu.matrix([gpu.from_arrow(COLUMNS[name]) for name in names])
    assert hasattr(matrix, "__cuda_array_interface__")
    np.testing.assert_array_equal(gpu.to_numpy(matrix), cpu.matrix([COLUMNS[name] for name in names]))


def test_a_scan_is_the_cpus(cpu: Backend, gpu: Backend) -> None:
    times, starts = pa.array([0, 10, 99, 5], pa.int64()), np.array([0, 3, 4])
    (found,), (expected,) = (b.scan("session_id", [b.from_arrow(times)], starts, {"gap": 30}) for b in (gpu, cpu))
    assert_same_column(gpu.to_arrow(found), expected)


def test_the_last_row_at_or_before_is_the_cpus(cpu: Backend, gpu: Backend) -> None:
    draw = np.random.default_rng(8)
    times = pa.array(np.sort(draw.integers(0, 50, 30)))
    starts = np.array([0, 12, 12, 30])
    times = pa.array(np.concatenate([np.sort(draw.integers(0, 50, 12)), np.sort(draw.integers(0, 50, 18))]))
    groups = draw.integers(-1, 3, 200)
    for wanted in (pa.array(draw.integers(-5, 55, 200)), pa.array(draw.uniform(-5, 55, 200), mask=draw.random(200) < 0.1)):
        for exact in (True, False):
            for tolerance in (INF, 3.0, 0.0):
                expected = cpu.find_as_of(wanted, times, starts, groups, tolerance, allow_exact=exact)
                there = gpu.find_as_of(
                    gpu.from_arrow(wanted), times, starts, gpu.values(gpu.from_numpy(groups)), tolerance, allow_exact=exact
                )
                assert gpu.to_numpy(there).tolist() == expected.tolist()
    nothing = gpu.find_as_of(gpu.from_arrow(times), times.slice(0, 0), np.array([0, 0]), gpu.row_numbers(30), INF, allow_exact=True)
    assert set(gpu.to_numpy(nothing).tolist()) == {-1}
