"""The stand-in for CuPy: where the real one differs from NumPy, it does too."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.gpu.standin.memory import TRANSFERS, little_memory
from tests.gpu.standin.use import standins


@pytest.fixture(autouse=True)
def cupy() -> Iterator[Any]:
    with standins():
        yield importlib.import_module("cupy")


def test_an_array_never_becomes_a_host_array_unasked(cupy: Any) -> None:
    array = cupy.asarray([1.0, 2.0])
    assert not isinstance(array, np.ndarray)
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(array)
    assert array.get().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("mixed", ["device + host", "host + device", "numpy.add", "cupy.maximum", "device += host"])
def test_host_arrays_are_refused_in_arithmetic(cupy: Any, mixed: str) -> None:
    device, host = cupy.ones(2), np.ones(2)
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy.ndarray'>"):
        {
            "device + host": lambda: device + host,
            "host + device": lambda: host + device,
            "numpy.add": lambda: np.add(device, host),
            "cupy.maximum": lambda: cupy.maximum(device, host),
            "device += host": lambda: device.__iadd__(host),
        }[mixed]()


def test_numpy_functions_of_device_arrays_stay_on_the_device(cupy: Any) -> None:
    array = cupy.asarray([4.0, 9.0])
    TRANSFERS.clear()
    assert isinstance(np.sqrt(array), cupy.ndarray)
    assert isinstance(np.concatenate([array, array]), cupy.ndarray)
    assert TRANSFERS.n_to_host == TRANSFERS.n_to_device == 0
    with pytest.raises(TypeError, match="Only cupy arrays can be concatenated"):
        np.concatenate([array, np.ones(1)])


def test_reductions_are_arrays_of_no_dimension(cupy: Any) -> None:
    total = cupy.asarray([1, 2]).sum()
    assert isinstance(total, cupy.ndarray)
    assert total.shape == ()
    assert total.dtype == np.int64
    before = TRANSFERS.n_scalars
    assert int(total) == 3
    assert TRANSFERS.n_scalars == before + 1


def test_transfers_are_counted_with_their_bytes(cupy: Any) -> None:
    array = cupy.asarray(np.arange(4, dtype=np.int32))
    assert (TRANSFERS.n_to_device, TRANSFERS.bytes_to_device) == (1, 16)
    cupy.asnumpy(array)
    array[np.array([0, 1])] = 5
    assert (TRANSFERS.n_to_host, TRANSFERS.bytes_to_host) == (1, 16)
    assert (TRANSFERS.n_to_device, TRANSFERS.bytes_to_device) == (2, 32)
    assert array.tolist() == [5, 5, 2, 3]


def test_unknown_names_and_keywords_are_refused(cupy: Any) -> None:
    array = cupy.arange(3)
    with pytest.raises(AttributeError, match="no attribute 'partition_by'"):
        cupy.partition_by  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'to_device'"):
        array.to_device  # noqa: B018
    with pytest.raises(NotImplementedError, match="lacks 'einsum'"):
        cupy.einsum  # noqa: B018
    with pytest.raises(TypeError, match="unexpected keyword argument 'sorted'"):
        cupy.unique(array, sorted=False)
    with pytest.raises(TypeError, match="unexpected keyword argument 'count'"):
        cupy.unpackbits(array.astype(np.uint8), count=3)


def test_what_no_device_has_a_type_for_is_refused(cupy: Any) -> None:
    for values in (np.array(["a"]), np.array([None]), np.array(["2020-01-01"], "datetime64[s]")):
        with pytest.raises(ValueError, match="Unsupported dtype"):
            cupy.asarray(values)


def test_atomic_operations_are_those_of_cupy(cupy: Any) -> None:
    totals = cupy.zeros(2, np.int64)
    cupy.add.at(totals, cupy.asarray([1, 1, 0]), cupy.asarray([5, 6, 7]))
    assert totals.tolist() == [7, 11]
    with pytest.raises(TypeError, match=r"cupy.add.at only supports int32, int64"):
        cupy.add.at(cupy.zeros(2, np.int8), cupy.asarray([1]), 1)
    with pytest.raises(NotImplementedError, match=r"logical_and\.reduce"):
        cupy.logical_and.reduce(totals)
    with pytest.raises(NotImplementedError, match=r"maximum\.accumulate"):
        np.maximum.accumulate(totals)


def test_atomic_extremes_of_doubles_are_those_of_float32(cupy: Any) -> None:
    found = cupy.asarray([0.1, 0.1, -np.inf])
    cupy.maximum.at(found, cupy.asarray([1, 2]), cupy.asarray([0.1, 1e300]))
    assert found.tolist() == [0.1, float(np.float32(0.1)), np.inf]


def test_writes_that_race_are_refused(cupy: Any) -> None:
    array = cupy.zeros(3)
    array[cupy.asarray([1, 1])] = cupy.asarray([4.0, 4.0])
    assert array.tolist() == [0, 4, 0]
    with pytest.raises(ValueError, match="different values are written to one element"):
        array[cupy.asarray([1, 1])] = cupy.asarray([4.0, 5.0])


def test_floats_become_integers_as_on_a_device(cupy: Any) -> None:
    wide = cupy.asarray([np.nan, np.inf, -np.inf, -1.0, 2.9])
    assert wide.astype(np.int32).tolist() == [-(2**31), 2**31 - 1, -(2**31), -1, 2]
    assert wide.astype(np.float32).astype(np.int32).tolist() == [0, 2**31 - 1, -(2**31), -1, 2]
    assert wide.astype(np.uint32).tolist() == [2**31, 2**32 - 1, 0, 0, 2]


def test_lexsort_takes_one_matrix_whose_last_row_comes_first(cupy: Any) -> None:
    assert cupy.lexsort(cupy.asarray([[1, 0, 2], [5, 5, 4]])).tolist() == [2, 1, 0]
    with pytest.raises(TypeError, match="a device array is needed"):
        cupy.lexsort((cupy.arange(2), cupy.arange(2)))


def test_searchsorted_takes_device_arrays_and_python_numbers(cupy: Any) -> None:
    edges = cupy.asarray([1, 3])
    assert int(cupy.searchsorted(edges, 3)) == 1
    assert cupy.searchsorted(edges, cupy.asarray([3, 9]), side="right").tolist() == [2, 2]
    with pytest.raises(NotImplementedError, match="Only python scalars or ndarrays are supported"):
        cupy.searchsorted(edges, np.array([3]))


def test_sorting_is_stable_and_of_no_other_kind(cupy: Any) -> None:
    assert cupy.argsort(cupy.asarray([1, 0, 1, 0])).tolist() == [1, 3, 0, 2]
    with pytest.raises(ValueError, match="kind can only be None or 'stable'"):
        cupy.sort(cupy.arange(2), kind="quicksort")


def test_shifts_by_the_width_are_refused(cupy: Any) -> None:
    assert cupy.left_shift(cupy.asarray(np.array([1], np.uint8)), np.uint8(7)).tolist() == [128]
    with pytest.raises(ValueError, match="undefined on a device"):
        cupy.asarray(np.array([1], np.uint64)) << np.uint64(64)


def test_a_view_by_the_interface_is_the_same_memory(cupy: Any) -> None:
    class Other:
        def __init__(self, array: Any) -> None:
            self.__cuda_array_interface__ = array.__cuda_array_interface__

    array = cupy.arange(3)
    view = cupy.asarray(Other(array))
    view[0] = 9
    assert array.tolist() == [9, 1, 2]
    assert TRANSFERS.n_to_device == 0


def test_host_memory_is_copied_not_shared(cupy: Any) -> None:
    host = np.zeros(2)
    array = cupy.asarray(host)
    host[0] = 1
    assert array.tolist() == [0, 0]


def test_the_end_of_memory_is_a_memory_error(cupy: Any) -> None:
    with little_memory(largest=79), pytest.raises(MemoryError, match="out_of_memory"):
        cupy.zeros(10)
    with little_memory(nth=2, n_failures=1) as limit:
        cupy.zeros(10)
        with pytest.raises(MemoryError, match="out_of_memory"):
            cupy.zeros(10)
        assert cupy.zeros(10).size == 10
        assert limit.n_failed == 1


def test_rmm_has_its_names_and_no_others() -> None:
    rmm = importlib.import_module("rmm")
    assert rmm.is_initialized()
    rmm.reinitialize(pool_allocator=True, initial_pool_size=1 << 20)
    with pytest.raises(TypeError, match="unexpected keyword argument 'pool_size'"):
        rmm.reinitialize(pool_size=1)
    with pytest.raises(AttributeError, match="no attribute 'set_pool'"):
        rmm.set_pool  # noqa: B018
    with pytest.raises(NotImplementedError, match="lacks 'DeviceBuffer'"):
        rmm.DeviceBuffer  # noqa: B018


def test_the_least_floats_of_32_bits_are_0_to_a_kernel_but_can_be_moved(cupy: Any) -> None:
    tiny = cupy.asarray(np.array([1e-40, -1e-40], np.float32))
    assert tiny.astype(np.float64).tolist() == [0.0, 0.0]
    assert np.signbit(tiny.astype(np.float64).get()).tolist() == [False, True]
    assert (tiny == 0).tolist() == [True, True]
    half = cupy.asarray(np.array([np.finfo(np.float32).tiny], np.float32)) / np.float32(2)
    assert half.tolist() == [0.0]
    moved = cupy.where(cupy.asarray([False, True]), cupy.zeros(2, np.float32), tiny)
    assert moved.view(np.int32).tolist() == [71362, 0]


def test_fmod_of_integers_has_53_bits(cupy: Any) -> None:
    wide = cupy.asarray([2**53 + 1, -7, 5])
    assert cupy.fmod(wide, cupy.asarray([2, 3, 0])).tolist() == [0, -1, 0]
    assert (wide % cupy.asarray([2, 3, 0])).tolist() == [1, 2, 0]


def test_floats_are_divided_and_rounded_down(cupy: Any) -> None:
    assert (cupy.asarray([np.inf, 1.0]) // 2.0).tolist() == [np.inf, 0.0]
    assert float((cupy.asarray([1e300]) % 3.0)[0]) == 1e300 - np.floor(1e300 / 3.0) * 3.0


def test_a_power_of_one_half_is_no_root(cupy: Any) -> None:
    assert cupy.power(cupy.asarray([-np.inf, 4.0]), cupy.asarray(0.5)).tolist() == [np.inf, 2.0]
    assert float(cupy.power(cupy.asarray(-np.inf), 0.5)) == np.inf
