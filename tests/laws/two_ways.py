"""One pipeline with its tables read whole, and with its tables joined by exchange."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa

from headrace import dealing, side_tables
from headrace.ops.base import Op
from headrace.ops.join import Apart
from headrace.pipeline import Pipeline, Transformed


def shuffling(bucket_rows: int = 1 << 18) -> Any:
    """While this holds, every table that can be joined by exchange is, in buckets of so many rows."""
    return mock.patch.multiple(side_tables, SHARE=1 << 62), mock.patch.multiple(dealing, BUCKET_ROWS=bucket_rows)


def two_ways(
    ops: Sequence[Op], source: pa.Table | Path, tables: dict[str, Any], bucket_rows: int = 1 << 18
) -> tuple[Transformed, Transformed]:
    """Fit and transform both ways; the second really was by exchange."""
    whole = Pipeline(ops).fit_transform(source, tables=tables)
    small_share, small_buckets = shuffling(bucket_rows)
    with small_share, small_buckets:
        met = Pipeline(ops).fit_transform(source, tables=tables)
    assert not any(isinstance(state, Apart) for state in whole.fitted.fitted.states.values())
    assert any(isinstance(state, Apart) for state in met.fitted.fitted.states.values())
    return whole, met
