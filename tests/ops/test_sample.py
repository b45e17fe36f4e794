"""Sample: a fraction of the rows by a hash of their identity."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.applying import applied

from headrace.errors import JobError, JobErrors
from headrace.jobs.job import Job
from headrace.ops.sample import Sample
from headrace.pipeline import Pipeline
from headrace.schema import Schema
from headrace.table import Backend

ROWS = pa.table({"n": np.arange(20_000), "city": np.arange(20_000) % 50})


def kept(op: Sample, rows: pa.Table = ROWS) -> list[int]:
    found: list[int] = Pipeline([op]).fit(rows).transform(rows)["n"].to_pylist()
    return found


def test_about_the_fraction_is_kept_in_order() -> None:
    found = kept(Sample(0.3))
    assert abs(len(found) - 6_000) < 4 * (20_000 * 0.3 * 0.7) ** 0.5
    assert found == sorted(found)


def test_a_larger_fraction_keeps_the_rows_of_a_smaller_one() -> None:
    assert set(kept(Sample(0.1))) < set(kept(Sample(0.2)))


def test_the_seed_chooses_other_rows() -> None:
    assert kept(Sample(0.1, seed=1)) != kept(Sample(0.1, seed=2))
    assert kept(Sample(0.1, seed=1)) == kept(Sample(0.1, seed=1))


def test_none_and_all() -> None:
    assert kept(Sample(0.0)) == []
    assert kept(Sample(1.0)) == list(range(20_000))


def test_rows_of_one_key_stay_or_go_together() -> None:
    found = {n % 50 for n in kept(Sample(0.5, key="city"))}
    assert 0 < len(found) < 50
    assert len(kept(Sample(0.5, key="city"))) == 400 * len(found)


def test_with_a_key_neither_order_nor_company_matters() -> None:
    shuffled = ROWS.take(np.random.default_rng(0).permutation(20_000))
    assert sorted(kept(Sample(0.2, key=["n"]), shuffled.slice(0, 500))) == sorted(
        set(kept(Sample(0.2, key=["n"]))) & set(shuffled["n"].slice(0, 500).to_pylist())
    )


def test_a_null_key_is_a_key(backend: Backend) -> None:
    data = pa.table({"k": pa.array([None, None, None], pa.string())})
    assert applied(backend, Sample(0.5, key=["k"]), data).table.num_rows in (0, 3)


def test_an_empty_table_stays_empty() -> None:
    assert Pipeline([Sample(0.5)]).fit(ROWS).transform(ROWS.slice(0, 0)).num_rows == 0


def test_the_jobs_seed_is_taken_unless_the_step_has_one() -> None:
    text = "{{job: j, source: {{path: x}}, pipeline: [sample: {}], output: {{path: y}}, run: {{seed: 9}}}}"
    assert Job.from_text(text.format("0.5")).pipeline.steps == (Sample(0.5, seed=9),)
    assert Job.from_text(text.format("{fraction: 0.5, seed: 1}")).pipeline.steps == (Sample(0.5, seed=1),)


@pytest.mark.parametrize("fraction", [-0.1, 1.5, "0.5"])
def test_a_fraction_is_from_0_to_1(fraction: float) -> None:
    with pytest.raises(JobError, match="fraction"):
        Sample(fraction)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(JobErrors, match=r"key\[0\]: no column 'm'"):
        Sample(0.5, key=["m"]).declare(Schema.from_arrow(ROWS.schema), {})
