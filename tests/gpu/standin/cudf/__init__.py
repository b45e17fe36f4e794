"""cuDF without a device: Arrow's memory behind cuDF's names, types and rules of nulls, as far as the engine asks for them."""

from __future__ import annotations

import pandas as _pd
from tests.gpu.standin import offered as _offered

from cudf._dtypes import Decimal32Dtype, Decimal64Dtype, Decimal128Dtype, ListDtype, dtype
from cudf._frame import DataFrame
from cudf._parquet import read_parquet
from cudf._series import Index, Series

NA = _pd.NA
__version__ = "26.10.02"
__all__ = [
    "NA",
    "DataFrame",
    "Decimal32Dtype",
    "Decimal64Dtype",
    "Decimal128Dtype",
    "Index",
    "ListDtype",
    "Series",
    "dtype",
    "read_parquet",
]

__getattr__ = _offered.refuse_names("cudf")
