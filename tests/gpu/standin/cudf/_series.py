"""cudf.Series and cudf.Index: columns with labels of rows, which are never gone through one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
import pandas as pd
import pyarrow as pa
from cupy._array import on_device
from tests.gpu.standin.memory import TRANSFERS
from tests.gpu.standin.offered import offered

from cudf._binary import ARITHMETIC, COMPARISONS, LOGIC, binary
from cudf._column import Column, elements_of, of_anything, of_arrow, of_numpy
from cudf._dtypes import arrow_of
from cudf._dtypes import dtype as cudf_dtype


class Single:
    """What a Series and an Index have in common."""

    _column: Column
    name: Any
    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._column)

    def __iter__(self) -> Any:
        raise TypeError(
            f"{type(self).__name__} object is not iterable. Consider using `.to_arrow()`, `.to_pandas()` or `.to_numpy()` "
            "if you wish to iterate over the values."
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a host NumPy array via __array__ is not allowed, To explicitly construct a GPU matrix, consider using "
            ".to_cupy()\nTo explicitly construct a host matrix, consider using .to_numpy()."
        )

    def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002
        raise TypeError("Implicit conversion to a host PyArrow object via __arrow_array__ is not allowed. Consider using .to_arrow()")

    def __bool__(self) -> bool:
        raise ValueError(f"The truth value of a {type(self).__name__} is ambiguous. Use a.empty, a.bool(), a.item(), a.any() or a.all().")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self._column.interface()


def _given_by_both(cls: type) -> type:
    """Add the members that both classes have; each is then held to its own real signature."""

    def to_arrow(self: Any) -> pa.Array:
        return self._column.to_arrow()

    def to_pandas(self: Any, *, index: bool = True, nullable: bool = False, arrow_type: bool = False) -> pd.Series:
        return pd.Series(self._column.to_arrow().to_pandas(), name=self.name)

    def to_cupy(self: Any, dtype: Any = None, copy: bool = False, na_value: Any = None) -> cupy.ndarray:
        column = self._column if na_value is None else self._column.fillna(na_value)
        if column.null_count and dtype is not None:
            raise ValueError(f"cannot convert to '{dtype}'-dtype NumPy array with missing values.")
        array = column.on_device() if dtype is None else column.astype(cudf_dtype(dtype)).on_device()
        return array.copy() if copy else array

    def to_numpy(self: Any, dtype: Any = None, copy: bool = True, na_value: Any = None) -> np.ndarray:
        return to_cupy(self, dtype, na_value=na_value).get()

    def tolist(self: Any) -> Any:
        raise TypeError(
            "cuDF does not support conversion to host memory via the `tolist()` method. Consider using `.to_arrow().to_pylist()`"
        )

    def factorize(self: Any, sort: bool = False, use_na_sentinel: bool = True) -> tuple[cupy.ndarray, Index]:
        codes, distinct = self._column.factorize(sort=sort, use_na_sentinel=use_na_sentinel)
        return codes, Index._of(distinct)

    def isna(self: Any) -> Any:
        found = self._column.isnull()
        return self._like(found) if isinstance(self, Series) else found.on_device()

    def take(self: Any, indices: Any, axis: int = 0) -> Any:
        return self._rows(_positions(indices))

    def values(self: Any) -> cupy.ndarray:
        return self._column.on_device()

    for function in (to_arrow, to_pandas, to_cupy, to_numpy, tolist, factorize, isna, take):
        setattr(cls, function.__name__, function)
    cls.isnull, cls.to_list = isna, tolist  # type: ignore[attr-defined]
    cls.values = property(values)  # type: ignore[attr-defined]
    cls.dtype = property(lambda self: self._column.dtype)  # type: ignore[attr-defined]
    cls.size = property(len)  # type: ignore[attr-defined]
    cls.shape = property(lambda self: (len(self),))  # type: ignore[attr-defined]
    cls.empty = property(lambda self: not len(self))  # type: ignore[attr-defined]
    cls.ndim = 1  # type: ignore[attr-defined]
    return cls


@offered("cudf", "Index")
@_given_by_both
class Index(Single):
    """Labels of rows, or distinct values."""

    def __init__(
        self,
        data: Any = None,
        dtype: Any = None,
        copy: bool = False,
        name: Any = None,
        tupleize_cols: bool = True,
        nan_as_null: bool = True,
    ) -> None:
        self._column = of_anything(data, dtype, nan_as_null=nan_as_null)
        self.name = name

    @classmethod
    def _of(cls, column: Column) -> Index:
        index = cls.__new__(cls)
        index._column, index.name = column, None
        return index

    @classmethod
    def from_arrow(cls, obj: Any) -> Index:
        return cls._of(of_arrow(obj))

    def _rows(self, rows: np.ndarray) -> Index:
        return self._of(self._column.take(rows))


@offered("cudf", "Series")
@_given_by_both
class Series(Single):
    """A column whose rows have labels. Two series compute together only where their labels are the same: nothing is aligned."""

    def __init__(
        self, data: Any = None, index: Any = None, dtype: Any = None, name: Any = None, copy: bool = False, nan_as_null: bool = True
    ) -> None:
        if index is not None:
            raise NotImplementedError("the stand-in for cudf labels rows by itself")
        column = data._column if isinstance(data, Single) else data
        self._column = of_anything(column, None if dtype is None else cudf_dtype(dtype), nan_as_null=nan_as_null)
        self._labels = np.arange(len(self._column))
        self.name = getattr(data, "name", None) if name is None else name

    @classmethod
    def _of(cls, column: Column, name: Any = None, labels: np.ndarray | None = None) -> Series:
        series = cls.__new__(cls)
        series._column, series.name = column, name
        series._labels = np.arange(len(column)) if labels is None else labels
        return series

    def _like(self, column: Column) -> Series:
        return self._of(column, self.name, self._labels)

    def _rows(self, rows: np.ndarray) -> Series:
        return self._of(self._column.take(rows), self.name, self._labels[rows])

    @classmethod
    def from_arrow(cls, array: Any) -> Series:
        """Take an Arrow array as it is: NaN stays a value, unlike in `Series(array)`."""
        return cls._of(of_arrow(array))

    @property
    def index(self) -> Index:
        return Index._of(of_numpy(self._labels))

    @property
    def null_count(self) -> int:
        return self._column.null_count

    @property
    def has_nulls(self) -> bool:
        return bool(self._column.null_count)

    @property
    def list(self) -> ListMethods:
        return ListMethods(self)

    def reset_index(
        self, level: Any = None, drop: bool = False, name: Any = None, inplace: bool = False, allow_duplicates: bool = False
    ) -> Series:
        if not drop or inplace:
            raise NotImplementedError("the stand-in for cudf only drops an index")
        return self._of(self._column, self.name)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self._rows(np.arange(len(self))[key])
        column = key._column if isinstance(key, Single) else of_anything(key)
        if column.dtype != np.dtype(bool):
            raise NotImplementedError("the stand-in for cudf takes rows by a mask, a slice or .take")
        if isinstance(key, Series) and not np.array_equal(key._labels, self._labels):
            raise NotImplementedError("the stand-in for cudf does not align labels")
        kept = column.array.fill_null(False).to_numpy(zero_copy_only=False)
        return self._of(self._column.filter(column), self.name, self._labels[kept])

    def notna(self) -> Series:
        return ~self.isna()

    notnull = notna

    def fillna(self, value: Any = None, *, axis: Any = None, inplace: bool = False, limit: Any = None) -> Series:
        if inplace or limit is not None:
            raise NotImplementedError("the stand-in for cudf fills all nulls of a new series")
        return self._like(self._column.fillna(value))

    def nans_to_nulls(self) -> Series:
        return self._like(self._column.nans_to_nulls())

    def astype(self, dtype: Any, copy: bool = False, errors: str = "raise") -> Series:
        return self._like(self._column.astype(cudf_dtype(dtype)))

    def copy(self, deep: bool = True) -> Series:
        return self._like(self._column)

    def unique(self) -> Series:
        """Return the distinct values in order of appearance; all NaN are one, and so are all nulls."""
        _, distinct = self._column.factorize(sort=False, use_na_sentinel=False)
        return self._of(distinct, self.name)

    def __invert__(self) -> Series:
        if self._column.dtype.kind not in "biu":
            raise TypeError(f"Operation `~` not supported on {self._column.dtype}")
        return self._like(of_numpy(~self._column.values, self._column.valid))

    def __neg__(self) -> Series:
        column = self._column
        return self._like(of_numpy(~column.values if column.dtype.kind == "b" else -column.values, column.valid))


def _positions(indices: Any) -> np.ndarray:
    return cupy.asarray(indices._column.on_device() if isinstance(indices, Single) else indices)._host


def _operator(name: str, *, reflected: bool) -> Callable[..., Any]:
    def method(self: Series, other: Any) -> Any:
        if isinstance(other, Series):
            if not np.array_equal(other._labels, self._labels):
                raise NotImplementedError("the stand-in for cudf does not align labels")
            operand: Any = other._column
        elif hasattr(other, "__cuda_array_interface__"):
            operand = of_anything(other)
        elif isinstance(other, np.ndarray | list | tuple):
            return NotImplemented  # a host array is not taken to the device unasked
        else:
            operand = other
        left, right = (operand, self._column) if reflected else (self._column, operand)
        found = self._like(binary(name, left, right))
        found.name = self.name if not isinstance(other, Series) or other.name == self.name else None
        return found

    return method


for _name in (*ARITHMETIC, *LOGIC):
    setattr(Series, f"__{_name}__", _operator(_name, reflected=False))
    setattr(Series, f"__r{_name}__", _operator(_name, reflected=True))
for _name in COMPARISONS:
    setattr(Series, f"__{_name}__", _operator(_name, reflected=False))


def _array_ufunc(self: Series, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Refuse host arrays; the real one computes on its own arrays by CuPy, which callers can do themselves."""
    if any(isinstance(value, np.ndarray) for value in inputs):
        return NotImplemented
    raise NotImplementedError(f"the stand-in for cudf has no numpy.{ufunc.__name__} of a series")


Series.__array_ufunc__ = _array_ufunc  # type: ignore[attr-defined]


def _reduction(name: str) -> Callable[..., Any]:
    def method(self: Series, axis: Any = None, skipna: bool = True, numeric_only: bool = False, min_count: int = 0) -> Any:
        if not skipna or min_count:
            raise NotImplementedError("the stand-in for cudf leaves missing values out")
        column = self._column.nans_to_nulls()
        values = column.values[column.valid]
        TRANSFERS.scalar()
        if not len(values) and name not in ("sum", "any", "all"):
            return np.float64("nan")
        with np.errstate(all="ignore"):
            return getattr(on_device(values), name)()._host[()]

    method.__name__ = name
    return method


for _name in ("sum", "min", "max", "mean", "any", "all"):
    setattr(Series, _name, _reduction(_name))


@offered("cudf", "ListMethods")
class ListMethods:
    """What is asked of lists."""

    def __init__(self, parent: Series) -> None:
        self._parent, self._elements = parent, elements_of(parent._column)

    def len(self) -> Series:
        """Return the number of elements, int32, null for a null."""
        column = self._parent._column
        lengths = np.diff(np.frombuffer(column.array.buffers()[1], np.int32, len(column) + 1)) if len(column) else np.empty(0, np.int32)
        return self._parent._like(of_numpy(np.where(column.valid, lengths, 0).astype(np.int32), column.valid))

    @property
    def leaves(self) -> Series:
        """The elements of the innermost lists, labelled anew."""
        column = self._elements
        while pa.types.is_list(arrow_of(column.dtype)):
            column = elements_of(column)
        return Series._of(column, self._parent.name)
