"""What model to train: its kind, task and parameters, checked against lists before any data or library is read.

XGBoost itself only warns about a parameter that it does not know, and trains on with the default; a job that says
``max_dept: 8`` must stop instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, JobError, JobErrors, unknown_name
from headrace.models.checks import Check, class_weights, count_or_share, flag, groups, number, number_or_list, one_of, signs, truth, whole

if TYPE_CHECKING:
    import numpy as np

# Who trains: one worker, which gets all rows; or all of them, each with the rows it has.
ONE_WORKER, ALL_WORKERS = "one_worker", "all_workers"
# How all workers do: they find trees, in rounds, each of which they must agree on; or each sums its rows as often as it is asked to.
TREES, SUMS = "trees", "sums"
# Where all workers train, so many rows decide where features may be split. The standard error of the median is then a quarter of the width of
# one of 256 bins, that of other quantiles less. LightGBM's default is 200,000.
QUANTILE_ROWS = 262_144

TASKS = ("binary", "multiclass", "regression")
# Those of kinds that look at the features alone.
TASKS_WITHOUT_TARGET = ("clustering", "decomposition")

# Objective -> task. Left out on purpose: objectives whose output is no probability or value a row (logitraw, hinge,
# softmax), and those that need more than a target (ranking groups, survival bounds).
OBJECTIVES = {
    "binary:logistic": "binary",
    "multi:softprob": "multiclass",
    "reg:squarederror": "regression",
    "reg:squaredlogerror": "regression",
    "reg:pseudohubererror": "regression",
    "reg:absoluteerror": "regression",
    "reg:quantileerror": "regression",
    "reg:logistic": "regression",
    "reg:gamma": "regression",
    "reg:tweedie": "regression",
    "count:poisson": "regression",
}

# Their leaves are medians or other quantiles, and those of a worker's own rows: XGBoost averages what the workers find.
_OF_ONE_WORKER = ("reg:absoluteerror", "reg:quantileerror")

_positive, _not_negative = number(above=0), number(least=0)
_share, _some = number(least=0, most=1), number(above=0, most=1)
# fmt: off
# What these may be decides more than they themselves: see `_check_params`.
_XGBOOST_UNCHECKED = frozenset({"booster", "objective"})
_XGBOOST_CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(("max_cached_hist_node", "num_parallel_tree"), whole(1)),
    **dict.fromkeys(("max_depth", "max_leaves"), whole(0)),
    **dict.fromkeys(("alpha", "eta", "gamma", "lambda", "learning_rate", "max_delta_step", "min_child_weight"), _not_negative),
    **dict.fromkeys(("min_split_loss", "reg_alpha", "reg_lambda", "scale_pos_weight"), _not_negative),
    **dict.fromkeys(("colsample_bylevel", "colsample_bynode", "colsample_bytree", "subsample"), _some),
    **dict.fromkeys(("quantile_alpha", "rate_drop", "skip_drop"), _share),
    "base_score": number_or_list,
    "grow_policy": one_of("depthwise", "lossguide"),
    "huber_slope": number(),
    "interaction_constraints": groups,
    "max_bin": whole(2),
    "monotone_constraints": signs,
    "one_drop": flag,
    "normalize_type": one_of("tree", "forest"),
    "sample_type": one_of("uniform", "weighted"),
    "tweedie_variance_power": number(least=1, most=2),
}

# What scikit-learn and cuML both take with the same meaning, a count of rows to draw but for `forest`.
_FOREST_UNCHECKED = frozenset({"class_weight"})
_FOREST_CHECKS: Mapping[str, Check] = {
    "bootstrap": truth, "max_depth": whole(1), "max_leaves": whole(2), "min_impurity_decrease": _not_negative,
    "max_features": count_or_share(1, "sqrt", "log2"), "max_samples": count_or_share(1),
    "min_samples_leaf": count_or_share(1), "min_samples_split": count_or_share(2),
}
# fmt: on

# Names that the libraries know, but that another key of the job decides.
_DECIDED_ELSEWHERE = {
    "device": "run.device decides it",
    "eval_metric": "list metrics under evaluate",
    "n_estimators": "write model.rounds",
    "n_jobs": "run.cluster decides it; the model does not depend on it",
    "nthread": "run.cluster decides it; the model does not depend on it",
    "num_boost_round": "write model.rounds",
    "num_class": "it is counted from the target",
    "random_state": "write run.seed",
    "seed": "write run.seed",
    "tree_method": "it is always hist, the one that trains on blocks",
}


@dataclass(frozen=True)
class Kind:
    """What one kind of model can do, and the parameters that it takes.

    Parameters
    ----------
    tasks : tuple of str
        Of those without a target a kind has one alone.
    params : set of str
        The parameters' names.
    checks : mapping
        Checks of parameters' values; values without one are the library's to refuse.
    explains : bool
        Whether its predictions are sums over features: see `Model.contributions`.
    has_rounds : bool
        Whether `model.rounds` means something.
    together : str
        How all workers train it, each with the rows it has: ``trees`` or ``sums``; empty if they cannot.
    """

    tasks: tuple[str, ...]
    params: frozenset[str]
    checks: Mapping[str, Check] = field(default_factory=dict)
    explains: bool = False
    has_rounds: bool = False
    together: str = ""

    @classmethod
    def checked(cls, *tasks: str, **checks: Check) -> Kind:
        """Return a kind every parameter of which has a check."""
        return cls(tasks, frozenset(checks), checks)

    @property
    def has_target(self) -> bool:
        """Whether it learns from a target beside the features."""
        return not set(self.tasks) & set(TASKS_WITHOUT_TARGET)


KINDS: Mapping[str, Kind] = {
    "xgboost": Kind(
        TASKS, frozenset(_XGBOOST_CHECKS) | _XGBOOST_UNCHECKED, _XGBOOST_CHECKS, explains=True, has_rounds=True, together=TREES
    ),
    "logistic_regression": replace(
        Kind.checked(
            "binary",
            "multiclass",
            C=_positive,
            class_weight=class_weights,
            fit_intercept=truth,
            max_iter=whole(1),
            tol=number(least=0),
        ),
        explains=True,
        together=SUMS,
    ),
    "linear_regression": replace(Kind.checked("regression", alpha=number(least=0), fit_intercept=truth), explains=True, together=SUMS),
    "random_forest": Kind(TASKS, frozenset(_FOREST_CHECKS) | _FOREST_UNCHECKED, _FOREST_CHECKS, explains=True, has_rounds=True),
    "nearest_neighbors": Kind.checked(
        *TASKS, n_neighbors=whole(1), weights=one_of("uniform", "distance"), metric=one_of("euclidean", "manhattan", "chebyshev")
    ),
    "kmeans": replace(
        Kind.checked("clustering", n_clusters=whole(2), n_init=whole(1), max_iter=whole(1), tol=number(least=0)), together=SUMS
    ),
    "dbscan": Kind.checked("clustering", eps=number(above=0), min_samples=whole(1)),
    "hdbscan": Kind.checked(
        "clustering",
        min_cluster_size=whole(2),
        min_samples=whole(2),
        cluster_selection_method=one_of("eom", "leaf"),
        max_cluster_size=whole(1),
        allow_single_cluster=truth,
    ),
    "pca": replace(Kind.checked("decomposition", n_components=whole(1), whiten=truth), together=SUMS),
    "truncated_svd": replace(Kind.checked("decomposition", n_components=whole(1)), together=SUMS),
    "umap": Kind.checked(
        "decomposition", n_neighbors=whole(2), n_components=whole(1), min_dist=number(least=0), spread=number(above=0), n_epochs=whole(1)
    ),
}
DEFAULT_COMPONENTS = 2
# The parameter of kinds that iterate until nothing changes, where other kinds have rounds.
MOST_ITERATIONS = "max_iter"


@dataclass(frozen=True)
class ModelSettings:
    """What to train; wrong names and values are refused when it is made.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    task : str, optional
        ``binary``, ``multiclass`` or ``regression``; None leaves it to the parameters and the target. Kinds without a target have a
        task of their own.
    params : mapping
        The library's own parameters, under its own names.
    rounds : int
        Boosting rounds of xgboost, trees of a random forest.
    seed : int
        Seeds the sampling of rows and columns.
    n_classes : int
        Number of classes of a multiclass target; 0 until it is counted.

    Raises
    ------
    JobError
        Unknown kind, task or parameter (``model.params.<name>``, with the nearest right one), or a kind that cannot
        do the task.

    Examples
    --------
    >>> ModelSettings("xgboost", params={"max_dept": 8})
    Traceback (most recent call last):
    ...
    headrace.errors.JobError: model.params.max_dept: no parameter 'max_dept'
      nearest: 'max_depth'. Parameters: ...
    """

    kind: str
    task: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    rounds: int = 100
    seed: int = 0
    n_classes: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            message, hint = unknown_name("kind", self.kind, KINDS)
            raise JobError(message, key="model.kind", hint=hint)
        known = (*TASKS, *TASKS_WITHOUT_TARGET)
        if self.task is not None and self.task not in known:
            message, hint = unknown_name("task", self.task, known)
            raise JobError(message, key="model.task", hint=hint)
        _check_params(self.kind, self.params)
        _check_count("rounds", self.rounds, 1, "model.rounds")
        _check_count("seed", self.seed, 0, "run.seed")
        _check_task(self.kind, self.task, self.params)

    @property
    def has_target(self) -> bool:
        """Whether the kind learns from a target."""
        return KINDS[self.kind].has_target

    @property
    def together(self) -> str:
        """How all workers train it: ``trees`` or ``sums``."""
        return KINDS[self.kind].together

    def check_together(self) -> None:
        """Raise JobError if all workers cannot train it, each with the rows it has."""
        if not KINDS[self.kind].together:
            able = ", ".join(name for name, kind in KINDS.items() if kind.together)
            message = f"{self.kind} trains on one worker"
            raise JobError(message, key="run.training", hint=f"kinds that all workers can train: {able}; or write {ONE_WORKER}")
        objective = self.params.get("objective")
        if objective in _OF_ONE_WORKER:
            message = f"the leaves of {objective!r} are quantiles of their rows, and no worker has all of a leaf's rows"
            raise JobError(message, key="run.training", hint=f"write {ONE_WORKER}, or take reg:pseudohubererror")

    def check_features(self, features: Sequence[str]) -> None:
        """Raise JobErrors if parameters name other features than these, JobError if one asks for more than so many columns have."""
        errors = []
        named = {"monotone_constraints": [*self.params.get("monotone_constraints", {})]}
        named["interaction_constraints"] = [name for group in self.params.get("interaction_constraints", []) for name in group]
        for param, names in named.items():
            for name in names:
                if name not in features:
                    message, hint = unknown_name("feature", str(name), features)
                    errors.append(JobError(message, key=f"model.params.{param}", hint=hint))
        if errors:
            raise JobErrors(errors)
        if self.kind not in ("pca", "truncated_svd"):
            return
        # the library's iteration finds all directions but the last
        most = len(features) if self.kind == "pca" else len(features) - 1
        wanted = self.params.get("n_components", DEFAULT_COMPONENTS)
        if wanted > most:
            message = f"{wanted} components of {len(features)} features: {self.kind} finds at most {most}"
            raise JobError(message, key="model.params.n_components", hint="ask for fewer, or give the model more features")

    def resolved(self, target: np.ndarray, name: str = "", metrics: Sequence[str] = ()) -> ModelSettings:
        """Return the settings with the task and the number of classes that `target` gives; `name` is what errors call it.

        `metrics` are what predictions will be measured by.

        Raises
        ------
        DataError
            The target does not fit the task; see `resolve_task`.
        JobError
            The target's task is none that this kind can do, or has no such metric.
        """
        from headrace.metrics import check_metrics

        if not self.has_target:
            if not target.size:
                raise DataError("no rows to train on", hint="look at the filters and the split")
            return replace(self, task=KINDS[self.kind].tasks[0])
        task = resolve_task(self.task, self.params, target, self.kind, name)
        check_metrics(task, metrics)
        n_classes = int(target.max()) + 1 if task == "multiclass" else 0
        return replace(self, task=task, n_classes=n_classes)


def resolve_task(task: str | None, params: Mapping[str, Any], target: np.ndarray, kind: str = "xgboost", name: str = "") -> str:
    """Decide the task, and check that the target fits it.

    In this order: `task` if given, the objective in `params`, the only task of `kind`, and then the target: truth
    values or nothing but 0 and 1 mean binary, other numbers regression (for logistic regression: multiclass).

    Parameters
    ----------
    task : str, optional
        ``binary``, ``multiclass`` or ``regression``.
    params : mapping
        The model's parameters.
    target : array ``[n]``
        All training rows' targets.
    kind : str
        The kind of model.
    name : str, optional
        What errors call the target.

    Raises
    ------
    DataError
        No rows; null, NaN or infinite values; one value only; values that are no classes of the task.

    Examples
    --------
    >>> import numpy as np
    >>> resolve_task(None, {}, np.array([0, 1, 1])), resolve_task(None, {}, np.array([0.5, 3.0]))
    ('binary', 'regression')
    >>> resolve_task(None, {"objective": "reg:logistic"}, np.array([0, 1, 1]))
    'regression'
    """
    called = f"the target {name!r}" if name else "the target"
    _check_target(target, name, called)
    decided = task or OBJECTIVES.get(str(params.get("objective")))
    tasks = KINDS[kind].tasks
    if decided is None:
        decided = "binary" if _is_zero_one(target) else ("regression" if "regression" in tasks else "multiclass")
        decided = decided if len(tasks) > 1 else tasks[0]
    if decided == "binary" and not _is_zero_one(target):
        raise DataError(f"a binary target is 0 or 1, {called} has {_shown(target)}", hint="derive a truth value, or set model.task")
    if decided == "multiclass" and not _is_class_codes(target):
        raise DataError(f"classes are whole numbers from 0, {called} has {_shown(target)}", hint="add categorify for the target")
    return decided


def _check_params(kind: str, params: Mapping[str, Any]) -> None:
    errors = []
    for name, value in params.items():
        try:
            _check_param(KINDS[kind], name, value)
        except JobError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else JobErrors(errors)
    if kind == "random_forest" and "max_samples" in params and not params.get("bootstrap", True):
        raise JobError("without bootstrap all rows are taken", key="model.params.max_samples", hint="leave out max_samples or bootstrap")
    if kind != "xgboost":
        return
    if params.get("objective", "reg:squarederror") not in OBJECTIVES:
        message, hint = unknown_name("objective", str(params["objective"]), OBJECTIVES)
        raise JobError(message, key="model.params.objective", hint=hint)
    if params.get("objective") == "reg:quantileerror" and "quantile_alpha" not in params:
        raise JobError(
            "reg:quantileerror needs quantile_alpha", key="model.params.objective", hint="the share below, as in quantile_alpha: 0.9"
        )
    if params.get("booster", "gbtree") not in ("gbtree", "dart"):
        message = f"booster {params['booster']!r} does not train on blocks"
        raise JobError(message, key="model.params.booster", hint="gbtree or dart; for linear models there are kinds of their own")


def _check_param(kind: Kind, name: str, value: object) -> None:
    key = f"model.params.{name}"
    if name in _DECIDED_ELSEWHERE:
        raise JobError(f"{name!r} is not set here", key=key, hint=_DECIDED_ELSEWHERE[name])
    if name not in kind.params:
        message, hint = unknown_name("parameter", name, kind.params)
        raise JobError(message, key=key, hint=hint)
    if value is None:
        raise JobError("no value", key=key, hint="give one, or leave the parameter out")
    if name in kind.checks:
        kind.checks[name](key, value)


def _check_task(kind: str, task: str | None, params: Mapping[str, Any]) -> None:
    if task is None:
        return
    if task not in KINDS[kind].tasks:
        able = [name for name, entry in KINDS.items() if task in entry.tasks]
        raise JobError(f"{kind} cannot do the task {task!r}", key="model.task", hint=f"kinds that can: {', '.join(able)}")
    objective = params.get("objective")
    if objective is not None and OBJECTIVES[objective] != task:
        message = f"the objective {objective!r} is for the task {OBJECTIVES[objective]!r}, not {task!r}"
        raise JobError(message, key="model.params.objective", hint="leave out the objective or model.task")


def _check_count(name: str, value: object, least: int, key: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
        raise JobError(f"{name} is a whole number of {least} or more, below 2^31, not {value!r}", key=key)


def _check_target(target: np.ndarray, name: str, called: str) -> None:
    import numpy as np

    if target.dtype.kind not in "biuf":
        raise DataError(f"{called} is {target.dtype}, not numbers or truth values", hint="cast or categorify it")
    if target.size == 0:
        raise DataError("no rows to train on", hint="look at the filters and the split")
    bad = int(target.size - np.isfinite(target).sum())
    if bad:
        step = f"filter: 'isfinite({name or 'target'})'" if np.isinf(target).any() else f"dropna: [{name or 'target'}]"  # NaN is not null
        message = f"{called} is null, NaN or infinite in {bad} of {target.size} training rows"
        raise DataError(message, hint=f"leave these rows out, as in {step}")
    if (target == target[0]).all():
        message = f"{called} has one value: all {target.size} training rows are {target[0].item():g}"
        raise DataError(message, hint="look at the filters, the split and how the target is derived")


def _is_zero_one(target: np.ndarray) -> bool:
    return bool(((target == 0) | (target == 1)).all())


# More classes than this are a number or an identifier taken for a class: each costs trees in every round.
_MOST_CLASSES = 10_000


def _is_class_codes(target: np.ndarray) -> bool:
    return bool((target >= 0).all() and target.max() < _MOST_CLASSES and (target == target.astype("int64")).all())


def _shown(target: np.ndarray) -> str:
    import numpy as np

    values = np.unique(target)
    some = ", ".join(str(value.item()) for value in values[:5])
    return f"{values.size} values ({some}{', ...' if values.size > 5 else ''})"
