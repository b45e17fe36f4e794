"""cudf.DataFrame: columns by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tests.gpu.standin.offered import offered

from cudf._column import Column, of_arrow
from cudf._series import Series


@offered("cudf", "DataFrame")
class DataFrame:
    """Columns of one length, by name."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, data: Any = None, index: Any = None, columns: Any = None, dtype: Any = None, copy: Any = None, nan_as_null: bool = True
    ) -> None:
        if index is not None or columns is not None or dtype is not None:
            raise NotImplementedError("the stand-in for cudf makes a frame of a dictionary of columns alone")
        series = {
            name: value if isinstance(value, Series) else Series(value, nan_as_null=nan_as_null) for name, value in dict(data or {}).items()
        }
        self._columns = {name: value._column for name, value in series.items()}
        self._n_rows = len(next(iter(self._columns.values()), ()))

    @classmethod
    def _of(cls, columns: dict[str, Column], n_rows: int) -> DataFrame:
        frame = cls.__new__(cls)
        frame._columns, frame._n_rows = columns, n_rows
        return frame

    @classmethod
    def from_arrow(cls, table: pa.Table) -> DataFrame:
        return cls._of({name: of_arrow(column) for name, column in zip(table.column_names, table.columns, strict=True)}, table.num_rows)

    def to_arrow(self, *, preserve_index: bool | None = None) -> pa.Table:
        if preserve_index is not False:
            raise NotImplementedError("the stand-in for cudf hands over no index: preserve_index=False")
        return pa.table({name: column.to_arrow() for name, column in self._columns.items()})

    @property
    def columns(self) -> pd.Index:
        return pd.Index(list(self._columns))

    @property
    def shape(self) -> tuple[int, int]:
        return self._n_rows, len(self._columns)

    @property
    def dtypes(self) -> pd.Series:
        return pd.Series({name: column.dtype for name, column in self._columns.items()})

    def __len__(self) -> int:
        return self._n_rows

    def __iter__(self) -> Any:
        return iter(self._columns)

    def __contains__(self, name: Any) -> bool:
        return name in self._columns

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a host NumPy array via __array__ is not allowed, To explicitly construct a GPU matrix, consider using .to_cupy()"
        )

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, list):
            return self._of({name: self._columns[name] for name in key}, self._n_rows)
        if not isinstance(key, str):
            raise NotImplementedError("the stand-in for cudf takes columns of a frame by name")
        return Series._of(self._columns[key], key, np.arange(self._n_rows))
