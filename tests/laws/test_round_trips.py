"""Law: a pipeline is the same after YAML, a fitted one the same after saving and loading."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.comparing import assert_same_table
from tests.laws.examples import CODE, TABLES, cases, rows
from tests.laws.running import content

from headrace.ops.base import Op
from headrace.pipeline import FittedPipeline, Pipeline

CASES = [pytest.param(op, id=name) for name, op in cases()]


@pytest.mark.parametrize("op", CASES)
def test_yaml_gives_the_same_pipeline_back(op: Op) -> None:
    pipeline = Pipeline([op])
    again = Pipeline.from_yaml(pipeline.to_yaml())
    assert again == pipeline
    assert again.to_yaml() == pipeline.to_yaml()


@pytest.mark.parametrize("op", CASES)
def test_a_saved_pipeline_is_the_same_when_loaded(op: Op, tmp_path: Path) -> None:
    fitted = Pipeline([op]).fit(rows(), tables=TABLES)
    fitted.save(tmp_path / "fitted")
    loaded = FittedPipeline.load(tmp_path / "fitted", ops=CODE)
    assert loaded.pipeline == fitted.pipeline
    assert loaded.schema == fitted.schema
    assert loaded.lineage == fitted.lineage
    assert content(loaded.fitted.states) == content(fitted.fitted.states)
    assert content(loaded.fitted.parts) == content(fitted.fitted.parts)
    assert loaded.learnt() == fitted.learnt()
    unseen = rows(500, seed=9)
    assert_same_table(loaded.transform(unseen), fitted.transform(unseen))


@pytest.mark.parametrize("op", CASES)
def test_saving_twice_gives_the_same_bytes(op: Op, tmp_path: Path) -> None:
    fitted = Pipeline([op]).fit(rows(), tables=TABLES)
    fitted.save(tmp_path / "one")
    FittedPipeline.load(tmp_path / "one", ops=CODE).save(tmp_path / "two")
    for path in sorted((tmp_path / "one").iterdir()):
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes(), path.name


def test_all_operators_make_one_yaml() -> None:
    pipeline = Pipeline([op for _, op in cases()])
    assert Pipeline.from_yaml(pipeline.to_yaml()) == pipeline
