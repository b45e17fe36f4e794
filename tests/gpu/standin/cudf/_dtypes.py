"""cuDF's types, and which Arrow type becomes which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

STRING = pd.StringDtype(na_value=np.nan)


class _Decimal:
    MAX_PRECISION = 0
    PA_TYPE: Any = None

    def __init__(self, precision: int, scale: int = 0) -> None:
        if precision > self.MAX_PRECISION:
            raise ValueError(f"Cannot construct a {type(self).__name__} with precision > {self.MAX_PRECISION}")
        if abs(scale) > precision:
            raise ValueError(f"{scale=} cannot exceed {precision=}")
        self.precision, self.scale = precision, scale

    def to_arrow(self) -> pa.DataType:
        return type(self).PA_TYPE(self.precision, self.scale)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.precision, self.scale))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(precision={self.precision}, scale={self.scale})"

    kind = "O"


class Decimal32Dtype(_Decimal):
    MAX_PRECISION, PA_TYPE = 9, pa.decimal32


class Decimal64Dtype(_Decimal):
    MAX_PRECISION, PA_TYPE = 18, pa.decimal64


class Decimal128Dtype(_Decimal):
    MAX_PRECISION, PA_TYPE = 38, pa.decimal128


class ListDtype:
    """Lists of one type of element."""

    kind = "O"

    def __init__(self, element_type: Any) -> None:
        self.element_type = element_type

    @property
    def leaf_type(self) -> Any:
        return self.element_type.leaf_type if isinstance(self.element_type, ListDtype) else self.element_type

    def to_arrow(self) -> pa.DataType:
        return pa.list_(arrow_of(self.element_type))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ListDtype) and self.element_type == other.element_type

    def __hash__(self) -> int:
        return hash(("list", self.element_type))

    def __repr__(self) -> str:
        return f"ListDtype({self.element_type})"


_DECIMALS = {pa.Decimal32Type: Decimal32Dtype, pa.Decimal64Type: Decimal64Dtype, pa.Decimal128Type: Decimal128Dtype}


def dtype_of(type_: pa.DataType) -> Any:
    """Return cuDF's type of an Arrow type; what cuDF refuses is refused."""
    if pa.types.is_float16(type_) or pa.types.is_decimal256(type_):
        raise NotImplementedError(f"cudf does not support {type_}")
    if type(type_) in _DECIMALS:
        return _DECIMALS[type(type_)](type_.precision, type_.scale)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return STRING
    if pa.types.is_list(type_):
        return ListDtype(dtype_of(type_.value_type))
    if pa.types.is_timestamp(type_):
        return np.dtype(f"datetime64[{type_.unit}]") if type_.tz is None else pd.DatetimeTZDtype(type_.unit, type_.tz)
    if pa.types.is_duration(type_):
        return np.dtype(f"timedelta64[{type_.unit}]")
    if pa.types.is_date32(type_):
        return np.dtype("datetime64[s]")
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_):
        return np.dtype(type_.to_pandas_dtype())
    if pa.types.is_struct(type_) or pa.types.is_dictionary(type_):
        raise NotImplementedError(f"the stand-in for cudf has no columns of {type_}, which the real one has")
    raise TypeError(f"Unsupported type: {type_}")


def arrow_of(dtype: Any) -> pa.DataType:
    """Return the Arrow type of a cuDF type, as columns hold it."""
    if isinstance(dtype, _Decimal | ListDtype):
        return dtype.to_arrow()
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pa.timestamp(dtype.unit, str(dtype.tz))
    return pa.string() if dtype == STRING else pa.from_numpy_dtype(dtype)


def dtype(arbitrary: Any) -> Any:
    """Return the cuDF type that a name, a class or another type stands for."""
    if isinstance(arbitrary, _Decimal | ListDtype | pd.StringDtype | pd.DatetimeTZDtype):
        return arbitrary
    if arbitrary in (str, "str", "string", "object", object):
        return STRING
    found = np.dtype(arbitrary)
    if (
        found.kind not in "biufmM"
        or found == np.dtype("float16")
        or (found.kind in "mM" and np.datetime_data(found)[0] not in ("s", "ms", "us", "ns"))
    ):
        raise TypeError(f"Unsupported type {found}")
    return found
