"""The table of operators: YAML name -> where its class is. A new operator is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from headrace.errors import JobError, unknown_name

if TYPE_CHECKING:
    from headrace.ops.base import Op

OPS: Mapping[str, str] = {
    "bucketize": "bucketize:Bucketize",
    "cast": "cast:Cast",
    "categorify": "categorify:Categorify",
    "clip": "clip:Clip",
    "count_encoding": "count_encoding:CountEncoding",
    "data_stats": "data_stats:DataStats",
    "date_parts": "date_parts:DateParts",
    "derive": "derive:Derive",
    "drop": "select:Drop",
    "dropna": "dropna:Dropna",
    "fill_missing": "fill_missing:FillMissing",
    "filter": "filter:Filter",
    "hash_bucket": "hash_bucket:HashBucket",
    "hashed_cross": "hashed_cross:HashedCross",
    "join_external": "join_external:JoinExternal",
    "join_groupby": "join_groupby:JoinGroupby",
    "kernel": "kernel:Kernel",
    "log": "log:Log",
    "normalize": "normalize:Normalize",
    "normalize_min_max": "normalize_min_max:NormalizeMinMax",
    "one_hot": "one_hot:OneHot",
    "power": "power:Power",
    "rank_gauss": "rank_gauss:RankGauss",
    "rename": "select:Rename",
    "robust_scale": "robust_scale:RobustScale",
    "sample": "sample:Sample",
    "select": "select:Select",
    "target_encoding": "target_encoding:TargetEncoding",
}


@cache
def op_class(name: str) -> type[Op]:
    """Return the class of an operator by its YAML name; raise JobError with the nearest name if there is none."""
    if name not in OPS:
        message, hint = unknown_name("operator", name, OPS)
        raise JobError(message, hint=hint)
    module, class_name = OPS[name].split(":")
    found: type[Op] = getattr(import_module(f"headrace.ops.{module}"), class_name)
    return found


def make_op(name: str, value: Any) -> Op:
    """Make an operator of its YAML name and value."""
    return op_class(name).from_settings(value)


def class_names() -> dict[str, str]:
    """Return YAML name by class name: what `import headrace` offers as `headrace.Normalize` and so on."""
    return {place.split(":")[1]: name for name, place in OPS.items()}
