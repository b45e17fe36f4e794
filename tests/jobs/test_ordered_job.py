"""Ordered operators in a job: the run, its bundle and `predict` see the same past."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.comparing import assert_same_table

import headrace as hr
from headrace import side_tables, spool

STEPS = """\
  - normalize: [weight, km]
  - rolling: {columns: [weight], window: 2d, order: sent, by: [courier], stats: [mean, count], include_current: false}
  - time_since_last: {order: sent, by: [courier]}
  - dedupe: {keys: [courier, city, sent], keep: last}
  - fill_missing: {columns: [weight_mean_2d, sent_since_last], value: median}
  - normalize: [sent_since_last]
  - decayed_sum: {columns: [sent_since_last], half_life: 12h, order: sent, by: [city]}
"""


@pytest.fixture
def ordered(desk: Any) -> Any:
    """A job whose features are of each courier's past."""
    desk.swap("  - normalize: [weight, km]\n", STEPS)
    return desk


def _features(latest: Path) -> pa.Table:
    return pq.read_table(latest / "features").sort_by("id")


def test_a_features_row_is_what_a_loop_over_the_past_finds(ordered: Any) -> None:
    assert ordered("run", ordered.job).code == 0
    source = pq.read_table(ordered.data / "parcels")
    parcels, sent = source.to_pydict(), source["sent"].cast("int64").to_numpy()
    courier, days = np.array(parcels["courier"]), parcels["days"]
    kept = np.array([value is not None for value in days])
    features = _features(ordered.out / "latest")
    counted = dict(zip(features["id"].to_pylist(), features["weight_count_2d"].to_pylist(), strict=True))
    for row in range(0, len(sent), 97):
        if kept[row] and parcels["id"][row] in counted:
            before = kept & (courier == courier[row]) & (sent > sent[row] - 2 * 86_400 * 10**6) & (sent <= sent[row])
            before &= (sent < sent[row]) | (np.arange(len(sent)) < row)
            assert counted[parcels["id"][row]] == before.sum()


def test_partitions_and_workers_change_no_bit_of_the_features(ordered: Any) -> None:
    assert ordered("run", ordered.job).code == 0
    once = _features(ordered.out / "latest")
    for setting in ("run.partition=file", "run.workers=1"):
        assert ordered("run", ordered.job, "--set", setting).code == 0
        assert_same_table(_features(ordered.out / "latest"), once)


def test_predicting_the_same_rows_sees_the_same_past(ordered: Any) -> None:
    ordered.swap("  - target_encoding: {columns: [courier], target: late, folds: 3, smoothing: 5}\n", "")
    assert ordered("run", ordered.job).code == 0
    own = pq.read_table(ordered.out / "latest" / "predictions").drop_columns("split").sort_by("id")
    bundle = hr.load(str(ordered.out / "latest" / "bundle"))
    assert_same_table(bundle.predict(str(ordered.data / "parcels")).sort_by("id"), own)


def test_the_plan_shows_which_rows_meet(ordered: Any) -> None:
    shown = " ".join(ordered("plan", ordered.job).stdout.split())
    assert "exchange for step 8: rows meet by courier, in order of sent" in shown
    assert "exchange for step 10: rows meet by courier, city, sent" in shown


def test_duplicates_are_in_the_ledger_and_in_the_count_of_rows(desk: Any, parquet: Callable[..., Path]) -> None:
    desk.swap('  - filter: "days IS NOT NULL"\n', '  - dedupe: [courier, city, days]\n  - filter: "days IS NOT NULL"\n')
    assert desk("run", desk.job).code == 0
    run = hr.Run.load(desk.out / "latest")
    counts = {(one["op"], one["event"]): one["count"] for one in run.record["ledger"]["counts"]}
    rows = run.record["ledger"]["rows"]
    assert counts["dedupe", "duplicates"] > 0
    assert rows["in"] == rows["filtered"] + rows["out"]


def test_any_budget_gives_the_same_bytes(ordered: Any, digests_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ordered("run", ordered.job).code == 0
    roomy = digests_of(ordered.out / "latest" / "features")
    plan = hr.Job.load(ordered.job, ["run.memory=8GiB"]).plan()
    least = plan.predicted_peak_bytes - plan.exchange_bytes
    for cluster, shown in (
        ("local", "rows in memory up to "),
        ("processes", "rows in files"),
        ("tcp://127.0.0.1:9", "the workers' memory"),
    ):
        assert shown in ordered("plan", ordered.job, "--cluster", cluster).stdout
    spilled: list[int] = []
    write = spool._write
    monkeypatch.setattr(spool, "_write", lambda *what: spilled.append(1) or write(*what))
    assert ordered("run", ordered.job, "--set", f"run.memory={least + 200_000}").code == 0
    assert spilled
    assert digests_of(ordered.out / "latest" / "features") == roomy


def test_a_table_too_large_to_be_kept_is_given_again_to_predict(desk: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert desk("run", desk.job).code == 0
    whole = pq.read_table(desk.out / "latest" / "features")
    monkeypatch.setattr(side_tables, "SHARE", 1 << 62)
    shown = desk("plan", desk.job).stdout
    assert "table cities for step 3: shuffled: its rows meet the source's by city; 5 rows" in shown
    assert desk("run", desk.job).code == 0
    assert_same_table(pq.read_table(desk.out / "latest" / "features"), whole)
    bundle, rows = desk.out / "latest" / "bundle", desk.data / "parcels" / "parcels-3.parquet"
    refused = desk("predict", bundle, rows, tmp_path / "no.parquet")
    assert refused.code == 1
    assert "the table 'cities' of step 3 (join_external) was too large to be kept with the pipeline: 5 rows" in refused.stderr
    assert not (tmp_path / "no.parquet").exists()
    assert desk("predict", bundle, rows, tmp_path / "out.parquet", "--table", f"cities={desk.data / 'cities.parquet'}").code == 0
    own = pq.read_table(desk.out / "latest" / "predictions").drop_columns("split")
    again = pq.read_table(tmp_path / "out.parquet")
    assert again.equals(own.slice(own.num_rows - again.num_rows))
    wrong = desk("predict", bundle, rows, tmp_path / "no.parquet", "--table", "cities")
    assert (wrong.code, "is not of the form NAME=PATH" in wrong.stderr) == (2, True)
    assert "5 rows of cities, which are not kept here" in desk("inspect", bundle).stdout
