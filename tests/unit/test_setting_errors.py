"""What is wrong with settings is told in the words of the job file: one error a key, at the key that somebody wrote."""

from __future__ import annotations

from typing import Any

import pytest

import headrace as hr
from headrace.errors import JobErrors
from headrace.jobs.settings import check_settings

JOB: dict[str, Any] = {"job": "j", "source": {"path": "a.parquet"}, "output": {"path": "out"}}


@pytest.mark.parametrize(
    ("section", "wants"),
    [
        ({"source": None}, "source: a mapping is needed, not null"),
        ({"source": {"path": 5}}, "source.path: a list is needed, not 5"),
        ({"source": {"path": []}}, "source.path: at least 1 must be named, not []"),
        ({"job": "ż"}, "job: a name of letters, digits, `.`, `_` and `-` is needed, which begins with a letter or digit, not 'ż'"),
        ({"run": {"strict": "yes"}}, "run.strict: true or false is needed, not 'yes'"),
        ({"run": {"partition": True}}, "run.partition: an integer or a text is needed, not true"),
        ({"split": {"by": "day", "test_from": [1]}}, "split.test_from: a text, an integer or a number is needed, not [1]"),
        ({"run": {"device": "x" * 500}}, f"run.device: input should be 'auto', 'cpu' or 'gpu', not '{'x' * 55} ..."),
    ],
)
def test_a_job_is_told_in_words_of_yaml(section: dict[str, Any], wants: str) -> None:
    with pytest.raises(JobErrors) as caught:
        check_settings(JOB | section)
    assert [str(one) for one in caught.value.errors] == [wants]


@pytest.mark.parametrize(
    ("make", "wants"),
    [
        (lambda: hr.FillMissing(["km"], value=None), ["value: true or false, an integer, a number or a text is needed, not null"]),
        (lambda: hr.Bucketize(["km"], edges=[1, "x"]), ["edges[1]: a number is needed, not 'x'"]),
        (lambda: hr.Derive({"a b": 5}), ["expressions.a b: a text is needed, not 5"]),
        (lambda: hr.JoinExternal("t", on=["city", 5], columns=["x"]), ["on: names of columns are needed, not ['city', 5]"]),
        (lambda: hr.TargetEncoding(["city"], target="y", seed=-1), ["seed: input should be greater than or equal to 0, not -1"]),
        (lambda: hr.Sample(0.5, seed=2**64), [f"seed: input should be less than {2**63}, not {2**64}"]),
        (
            lambda: hr.TargetEncoding(["city"], target="y", folds=2**40),
            [f"folds: input should be less than or equal to 65536, not {2**40}"],
        ),
    ],
)
def test_an_operator_tells_each_setting_once(make: Any, wants: list[str]) -> None:
    with pytest.raises(JobErrors) as caught:
        make()
    assert [str(one) for one in caught.value.errors] == wants


def test_settings_beyond_those_that_there_are_are_refused() -> None:
    with pytest.raises(hr.errors.JobError, match="Normalize has 2 settings, and 3 were given"):
        hr.Normalize(["km"], "float32", "x")  # type: ignore[call-arg]
