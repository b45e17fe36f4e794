"""The table of operators: YAML name -> where its class is. A new operator is one file and one line here.

A user's own operator needs no line: a job names it as ``my_package.my_module:MyOp``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from inspect import isabstract
from typing import TYPE_CHECKING, Any

from headrace.errors import JobError, unknown_name
from headrace.ops.code import Find, code_name, imported

if TYPE_CHECKING:
    from headrace.ops.base import Op

OPS: Mapping[str, str] = {
    "apply": "apply:Apply",
    "as_of_join": "as_of_join:AsOfJoin",
    "bucketize": "bucketize:Bucketize",
    "cast": "cast:Cast",
    "categorify": "categorify:Categorify",
    "clip": "clip:Clip",
    "count_encoding": "count_encoding:CountEncoding",
    "cyclical": "cyclical:Cyclical",
    "data_stats": "data_stats:DataStats",
    "date_parts": "date_parts:DateParts",
    "decayed_sum": "decayed_sum:DecayedSum",
    "dedupe": "dedupe:Dedupe",
    "derive": "derive:Derive",
    "difference_lag": "difference_lag:DifferenceLag",
    "drop": "select:Drop",
    "dropna": "dropna:Dropna",
    "fill_missing": "fill_missing:FillMissing",
    "filter": "filter:Filter",
    "groupby": "groupby:Groupby",
    "hash_bucket": "hash_bucket:HashBucket",
    "hashed_cross": "hashed_cross:HashedCross",
    "join_external": "join_external:JoinExternal",
    "join_groupby": "join_groupby:JoinGroupby",
    "kernel": "kernel:Kernel",
    "list_hash": "list_hash:ListHash",
    "list_slice": "list_slice:ListSlice",
    "log": "log:Log",
    "normalize": "normalize:Normalize",
    "normalize_min_max": "normalize_min_max:NormalizeMinMax",
    "normalize_text": "normalize_text:NormalizeText",
    "one_hot": "one_hot:OneHot",
    "power": "power:Power",
    "rank_gauss": "rank_gauss:RankGauss",
    "rename": "select:Rename",
    "robust_scale": "robust_scale:RobustScale",
    "rolling": "rolling:Rolling",
    "sample": "sample:Sample",
    "select": "select:Select",
    "session_id": "session_id:SessionId",
    "target_encoding": "target_encoding:TargetEncoding",
    "time_since": "time_since:TimeSince",
    "time_since_last": "time_since_last:TimeSinceLast",
    "token_hash": "token_hash:TokenHash",
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


def make_op(name: str, value: Any, find: Find = imported) -> Op:
    """Make an operator of its YAML name and value.

    Parameters
    ----------
    name : str
        A name of `OPS`, or ``my_package.my_module:MyOp``.
    value : Any
        What stands under it in YAML.
    find : callable
        Turns the name of a user's class or function into it: `imported` for a job, `among` for a bundle.
    """
    name = str(name)  # YAML's keys need not be text
    made_by = _users_class(name, find) if ":" in name else op_class(name)
    key = made_by.code
    named = value.get(key) if key is not None and isinstance(value, Mapping) else None
    if key is not None and isinstance(named, str) and not made_by.has_built_in(named):
        value = {**value, key: _users_function(named, key, find)}
    return made_by.from_settings(value)


def op_name(op: Op) -> str:
    """Return the name by which `make_op` makes an operator of the same class."""
    return op.name if is_built_in(op) else code_name(type(op))


def is_built_in(op: Op) -> bool:
    """Say whether an operator is one of Headrace's own."""
    return f"headrace.ops.{OPS.get(op.name, '')}" == code_name(type(op))


def _users_class(name: str, find: Find) -> type[Op]:
    from headrace.ops.base import BoundOp, FittedOp, OrderedOp, PlainOp

    found = find(name)
    kinds = (PlainOp, FittedOp, BoundOp, OrderedOp)
    if not (isinstance(found, type) and issubclass(found, kinds) and is_dataclass(found)):
        hint = "write @operator above a class derived from PlainOp, FittedOp, BoundOp or OrderedOp of headrace.ops.base"
        raise JobError(f"{name!r} is no operator", hint=hint)
    if isabstract(found):
        raise JobError(f"{name!r} is no operator yet: it has no {', '.join(sorted(found.__abstractmethods__))}")
    return found


def _users_function(name: str, key: str, find: Find) -> Any:
    try:
        return find(name)
    except JobError as error:
        raise JobError(error.message, key=key, hint=error.hint) from error


def class_names() -> dict[str, str]:
    """Return YAML name by class name: what `import headrace` offers as `headrace.Normalize` and so on."""
    return {place.split(":")[1]: name for name, place in OPS.items()}
