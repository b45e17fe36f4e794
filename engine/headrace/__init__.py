"""Headrace: a GPU-accelerated, high-throughput batch engine for machine-learning pipelines on Parquet.

>>> import headrace as hr
>>> pipeline = hr.Pipeline([hr.Filter("arr_delay IS NOT NULL"), hr.Categorify(["carrier", "dest"], min_frequency=15)])
>>> len(pipeline.steps)
2

Everything is imported when it is first used, so that ``import headrace`` costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.cluster import open_cluster
    from headrace.dataset import Dataset
    from headrace.errors import HeadraceError
    from headrace.jobs.bundle import Bundle
    from headrace.jobs.job import Job
    from headrace.jobs.run import Run
    from headrace.ops.apply import Apply
    from headrace.ops.as_of_join import AsOfJoin
    from headrace.ops.bucketize import Bucketize
    from headrace.ops.cast import Cast
    from headrace.ops.categorify import Categorify
    from headrace.ops.clip import Clip
    from headrace.ops.count_encoding import CountEncoding
    from headrace.ops.cyclical import Cyclical
    from headrace.ops.data_stats import DataStats
    from headrace.ops.date_parts import DateParts
    from headrace.ops.decayed_sum import DecayedSum
    from headrace.ops.dedupe import Dedupe
    from headrace.ops.derive import Derive
    from headrace.ops.difference_lag import DifferenceLag
    from headrace.ops.dropna import Dropna
    from headrace.ops.fill_missing import FillMissing
    from headrace.ops.filter import Filter
    from headrace.ops.groupby import Groupby
    from headrace.ops.hash_bucket import HashBucket
    from headrace.ops.hashed_cross import HashedCross
    from headrace.ops.join_external import JoinExternal
    from headrace.ops.join_groupby import JoinGroupby
    from headrace.ops.kernel import Kernel
    from headrace.ops.list_hash import ListHash
    from headrace.ops.list_slice import ListSlice
    from headrace.ops.log import Log
    from headrace.ops.normalize import Normalize
    from headrace.ops.normalize_min_max import NormalizeMinMax
    from headrace.ops.normalize_text import NormalizeText
    from headrace.ops.one_hot import OneHot
    from headrace.ops.power import Power
    from headrace.ops.rank_gauss import RankGauss
    from headrace.ops.robust_scale import RobustScale
    from headrace.ops.rolling import Rolling
    from headrace.ops.sample import Sample
    from headrace.ops.select import Drop, Rename, Select
    from headrace.ops.session_id import SessionId
    from headrace.ops.target_encoding import TargetEncoding
    from headrace.ops.time_since import TimeSince
    from headrace.ops.time_since_last import TimeSinceLast
    from headrace.ops.token_hash import TokenHash
    from headrace.pipeline import FittedPipeline, Pipeline

_PLACES = {
    "Bundle": "headrace.jobs.bundle",
    "Dataset": "headrace.dataset",
    "FittedPipeline": "headrace.pipeline",
    "HeadraceError": "headrace.errors",
    "Job": "headrace.jobs.job",
    "Pipeline": "headrace.pipeline",
    "Run": "headrace.jobs.run",
    "open_cluster": "headrace.cluster",
}


def load(path: str, ops: Sequence[Any] = ()) -> Any:
    """Load what a run left in `bundle/` (a `Bundle`), or what `FittedPipeline.save` wrote.

    Parameters
    ----------
    path : str
        The folder.
    ops : list of operator classes and functions, optional
        Your own operators and functions that it names: they are never imported by a name found in it.

    Raises
    ------
    BundleError
        If a byte of it was altered, it is neither, or it names an operator that is neither built in, passed nor installed.
    """
    from pathlib import Path

    from headrace.jobs.bundle import Bundle
    from headrace.pipeline import FittedPipeline

    return Bundle.load(path, ops) if (Path(path) / "bundle.json").exists() else FittedPipeline.load(path, ops)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("headrace")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    from headrace.ops import class_names, op_class

    if name in class_names():
        return op_class(class_names()[name])
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")


def __dir__() -> list[str]:
    from headrace.ops import class_names

    return sorted([*_PLACES, *class_names(), "load"])


__all__ = [
    "Apply",
    "AsOfJoin",
    "Bucketize",
    "Bundle",
    "Cast",
    "Categorify",
    "Clip",
    "CountEncoding",
    "Cyclical",
    "DataStats",
    "Dataset",
    "DateParts",
    "DecayedSum",
    "Dedupe",
    "Derive",
    "DifferenceLag",
    "Drop",
    "Dropna",
    "FillMissing",
    "Filter",
    "FittedPipeline",
    "Groupby",
    "HashBucket",
    "HashedCross",
    "HeadraceError",
    "Job",
    "JoinExternal",
    "JoinGroupby",
    "Kernel",
    "ListHash",
    "ListSlice",
    "Log",
    "Normalize",
    "NormalizeMinMax",
    "NormalizeText",
    "OneHot",
    "Pipeline",
    "Power",
    "RankGauss",
    "Rename",
    "RobustScale",
    "Rolling",
    "Run",
    "Sample",
    "Select",
    "SessionId",
    "TargetEncoding",
    "TimeSince",
    "TimeSinceLast",
    "TokenHash",
    "load",
    "open_cluster",
]
