"""The job file's keys and types: what is written is checked here, before any data is read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from headrace.errors import JobError, JobErrors
from headrace.plan import parse_bytes
from headrace.setting_errors import setting_errors


class Settings(BaseModel):
    """Base: unknown keys are refused, values are not guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _not_built(what: str) -> Any:
    def refuse(value: Any) -> Any:
        raise ValueError(f"{what} is not part of this version of headrace: leave it out")

    return BeforeValidator(refuse)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    try:
        size = parse_bytes(value)
    except (ValueError, TypeError, AttributeError):
        raise ValueError("a size such as 8GiB or 500MB is needed") from None
    if size <= 0:
        raise ValueError("a size above 0 is needed")
    return size


def _partition(value: Any) -> Any:
    return value if value == "file" else _bytes(value)


def _fail_only(value: str) -> str:
    if value != "fail":
        raise ValueError("only 'fail' is part of this version of headrace")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
        raise ValueError("a name of letters, digits, `.`, `_` and `-` is needed, which begins with a letter or digit")
    return value


def _place(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("a path is needed")
    return os.path.expanduser(value)  # noqa: PTH111  (a Path would lose the two slashes of a URI)


def _folder(value: str) -> str:
    if "://" in value:
        raise ValueError("a local or mounted folder is needed in this version")
    return value


Place = Annotated[str, AfterValidator(_place)]
Names = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]


class SourceSettings(Settings):
    """`source:`: where the rows are."""

    path: Annotated[list[Place], BeforeValidator(_as_list), Field(min_length=1)]
    key: Annotated[list[str], BeforeValidator(_as_list)] = []
    contract: Annotated[str | None, _not_built("a contract")] = None
    on_bad_file: Annotated[str, AfterValidator(_fail_only)] = "fail"


class SplitSettings(Settings):
    """`split:`: which rows test."""

    by: str
    test_from: str | int | float | None = None
    zone: str | None = None
    key: Annotated[list[str], BeforeValidator(_as_list)] = []
    test: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> SplitSettings:
        if self.by == "hash":
            if not self.key or self.test is None:
                raise ValueError("a split by hash needs `key` (columns) and `test` (a share), as in {by: hash, key: [id], test: 0.2}")
            if self.test_from is not None or self.zone is not None:
                raise ValueError("a split by hash has no `test_from` and no `zone`")
        elif self.test_from is None:
            raise ValueError(
                "a split by a column needs `test_from`, as in {by: time, test_from: 2013-11-01}; by chance {by: hash, key: [id], test: 0.2}"
            )
        elif self.key or self.test is not None:
            raise ValueError("`key` and `test` belong to a split by hash")
        return self


class ModelSection(Settings):
    """`model:`: what to train."""

    kind: str
    target: str | None = None
    task: Literal["binary", "multiclass", "regression", "clustering", "decomposition"] | None = None
    features: Names | None = None
    params: dict[str, Any] = {}
    rounds: Annotated[int, Field(ge=1, lt=2**31)] = 100


class OutputSettings(Settings):
    """`output:`: where runs go and what they leave."""

    path: Annotated[Place, AfterValidator(_folder)]
    features: bool = True
    predictions: bool = True
    explain: Annotated[int | None, _not_built("explaining single predictions")] = None


class RunSettings(Settings):
    """`run:`: how it runs."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    cluster: str = "local"
    workers: Annotated[int, Field(ge=1)] | None = None
    memory: Annotated[int | None, BeforeValidator(_bytes)] = None
    partition: Annotated[int | str | None, BeforeValidator(_partition)] = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    strict: bool = False
    training: Literal["one_worker", "all_workers"] = "one_worker"
    trusted_network: bool = False


class JobSettings(Settings):
    """A whole job file."""

    job: Annotated[str, AfterValidator(_name)]
    source: SourceSettings
    tables: dict[str, Place] = {}
    pipeline: list[Any] = []
    split: SplitSettings | None = None
    model: ModelSection | None = None
    evaluate: list[str] | None = None
    output: OutputSettings
    run: RunSettings = RunSettings()


def check_settings(values: Any) -> JobSettings:
    """Return the checked settings of a job; raise JobErrors for all mistakes, each with its key path and the nearest right name."""
    if not isinstance(values, dict):
        raise JobErrors([JobError("a job is a mapping of keys, as in `job: my-job`")])
    try:
        return JobSettings.model_validate(values)
    except ValidationError as error:
        raise JobErrors(setting_errors(error, values, _names_at)) from None


def _names_at(place: Sequence[str | int]) -> list[str]:
    """Return the keys that may stand at a place."""
    model: type[BaseModel] = JobSettings
    for name in place:
        annotation = model.model_fields[str(name)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(model.model_fields)
