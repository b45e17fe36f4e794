"""Law: learning from more rows equals learning from all rows at once, and no id given before moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.comparing import assert_same_table
from tests.laws.examples import TABLES, cases, rows
from tests.laws.running import canonical, content

from headrace.ops.base import FittedOp, Op
from headrace.ops.categorify import Categorify
from headrace.ops.one_hot import OneHot
from headrace.ops.vocabulary import Vocabulary
from headrace.pipeline import FittedPipeline, Pipeline

# Ids given before never move, so a vocabulary that has grown is ordered otherwise than one learnt at once.
GROWS = (Categorify, OneHot)
FITTED = [pytest.param(op, id=name) for name, op in cases() if isinstance(op, FittedOp) and op.learns]
OLD, NEW = rows(seed=0), rows(400, seed=1)


@pytest.mark.parametrize("op", [case for case in FITTED if not isinstance(case.values[0], GROWS)])
def test_update_equals_fitting_on_all_rows(op: Op) -> None:
    updated = Pipeline([op]).fit(OLD, tables=TABLES).update(NEW)
    at_once = Pipeline([op]).fit(pa.concat_tables([OLD, NEW]), tables=TABLES)
    assert canonical(updated.fitted.states[0]) == canonical(at_once.fitted.states[0])
    assert_same_table(updated.transform(NEW), at_once.transform(NEW))


@pytest.mark.parametrize("op", FITTED)
def test_update_leaves_the_old_pipeline_as_it_was(op: Op) -> None:
    fitted = Pipeline([op]).fit(OLD, tables=TABLES)
    before = canonical(fitted.fitted.states[0])
    fitted.update(NEW)
    assert canonical(fitted.fitted.states[0]) == before


@pytest.mark.parametrize("op", FITTED)
def test_updating_a_loaded_pipeline_equals_updating_the_first(op: Op, tmp_path: Path) -> None:
    fitted = Pipeline([op]).fit(OLD, tables=TABLES)
    fitted.save(tmp_path / "fitted")
    loaded = FittedPipeline.load(tmp_path / "fitted")
    assert canonical(loaded.update(NEW).fitted.states[0]) == canonical(fitted.update(NEW).fitted.states[0])


@pytest.mark.parametrize("op", [case for case in FITTED if isinstance(case.values[0], GROWS)])
def test_a_vocabulary_grows_at_its_end(op: Categorify | OneHot) -> None:
    fitted = Pipeline([op]).fit(OLD)
    updated = fitted.update(NEW)
    at_once = Pipeline([op]).fit(pa.concat_tables([OLD, NEW]))
    limited = isinstance(op, OneHot) or op.max_size is not None
    for name, old in fitted.fitted.states[0].items():
        new, all_ = updated.fitted.states[0][name], at_once.fitted.states[0][name]
        assert content(new.keys.take(np.arange(len(old.keys)))) == content(old.keys.take(np.arange(len(old.keys))))
        grown, whole = _counts(new), _counts(all_)
        assert {key: n for key, n in grown.items() if key in whole} == {key: n for key, n in whole.items() if key in grown}
        assert limited or grown.keys() == whole.keys()


def _counts(vocabulary: Vocabulary) -> dict[str, int]:
    return {repr(key): n for key, n in zip(vocabulary.keys.table.to_pylist(), vocabulary.counts.tolist(), strict=True)}


def test_a_category_that_becomes_frequent_gets_the_next_id() -> None:
    fitted = Pipeline([Categorify(["city"], min_frequency=2)]).fit(pa.table({"city": ["Oslo", "Oslo", "Rome", "Rome", "Rome", "Lima"]}))
    asked = pa.table({"city": ["Rome", "Oslo", "Lima", "Bern"]})
    assert fitted.transform(asked)["city"].to_pylist() == [2, 3, 1, 1]
    updated = fitted.update(pa.table({"city": ["Lima", "Oslo", "Oslo"]}))
    assert updated.transform(asked)["city"].to_pylist() == [2, 3, 4, 1]
