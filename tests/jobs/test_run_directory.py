"""What a run leaves: one directory that appears whole, what lies in it, and `latest`."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

PARTS = ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet", "part-00003.parquet"]


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_a_run_leaves_the_files_of_the_contract(finished: Any) -> None:
    latest = finished.out / "latest"
    assert latest.is_symlink()
    assert latest.readlink().parent == Path("runs")
    assert visible(finished.out) == ["latest", "runs"]
    assert hidden(finished.out / "runs") == []
    assert visible(finished.out / "runs") == [latest.readlink().name]
    assert {"bundle", "features", "manifest.json", "predictions", "report.html", "run.json"} == set(visible(latest))
    assert visible(latest / "features") == visible(latest / "predictions")
    assert visible(latest / "features")[:4] == PARTS


def test_the_manifest_names_every_file_with_its_size_sum_and_rows(finished: Any) -> None:
    folder = (finished.out / "latest").resolve()
    entries = json.loads((folder / "manifest.json").read_text())["files"]
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"}
    assert [entry["path"] for entry in entries] == sorted(there)
    for entry in entries:
        content = there[entry["path"]].read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry.get("rows") == (pq.read_metadata(there[entry["path"]]).num_rows if entry["path"].endswith(".parquet") else None)


def test_the_record_accounts_for_every_row(finished: Any) -> None:
    record = json.loads((finished.out / "latest" / "run.json").read_text())
    source = pq.read_table(finished.data / "parcels")
    lost = source["days"].null_count
    assert record["status"] == "done"
    assert record["run"] == (finished.out / "latest").readlink().name
    assert record["ledger"]["rows"] == {"in": 4000, "out": 4000 - lost, "filtered": lost, "quarantined": 0}
    assert record["split"]["train_rows"] + record["split"]["test_rows"] == 4000 - lost
    assert record["dataset"]["files"] == 4
    assert record["dataset"]["row_groups"] == 16
    unmatched = [count for count in record["ledger"]["counts"] if count["event"] == "unmatched" and count["column"] == "lat"]
    kept = source.filter(source["days"].is_valid())["city"].to_pylist()
    assert [count["count"] for count in unmatched] == [sum(city in ("Nowhere", None) for city in kept)]


def test_predictions_have_every_row_once_with_its_key_target_and_split(finished: Any) -> None:
    predictions = pq.read_table(finished.out / "latest" / "predictions")
    source = pq.read_table(finished.data / "parcels")
    source = source.filter(source["days"].is_valid())
    assert predictions.column_names == ["split", "id", "late", "prediction"]
    assert predictions["id"].equals(source["id"])
    assert predictions["late"].to_pylist() == [int(days > 3) for days in source["days"].to_pylist()]
    assert set(predictions["split"].to_pylist()) == {"train", "test"}
    scores = predictions["prediction"].to_numpy()
    assert ((scores > 0) & (scores < 1)).all()


def test_feature_files_hold_key_target_and_features_without_nulls(finished: Any) -> None:
    features = pq.read_table(finished.out / "latest" / "features")
    record = json.loads((finished.out / "latest" / "run.json").read_text())
    assert features.column_names == ["split", "id", "late", *record["model"]["features"]]
    assert set(record["model"]["features"]) == {"courier", "city", "weight", "sent_day_of_week", "km", "courier_te"}
    assert all(features[name].null_count == 0 for name in ("split", "id", "late", "courier", "city", "km", "courier_te"))


def test_the_report_is_one_file_that_asks_nothing_of_a_network(finished: Any) -> None:
    html = (finished.out / "latest" / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!")
    assert "parcels" in html
    assert not [mark for mark in ('src="http', 'href="http', "@import", "url(http") if mark in html]


def test_json_is_one_object_with_what_a_program_needs(desk: Any) -> None:
    outcome = desk.in_process("run", desk.job, "--json")
    assert outcome.code == 0
    assert outcome.stderr == ""
    told = outcome.json
    assert Path(told["directory"]) == (desk.out / "latest").resolve()
    assert Path(told["report"]).is_file()
    assert set(told["metrics"]) == {"auc", "log_loss"}
    assert 0.6 < told["metrics"]["auc"] < 1
    assert told["metrics"]["log_loss"] < told["base"]["log_loss"]
    assert told["rows"]["in"] == 4000


def test_without_a_terminal_progress_is_plain_lines_on_standard_error(desk: Any) -> None:
    outcome = desk.in_process("run", desk.job)
    assert outcome.code == 0
    assert "\x1b" not in outcome.stderr + outcome.stdout
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("kernels: ")]  # which a first run compiles
    assert [line.split(":")[0] for line in lines[::2]] == ["fit 1 of 2", "fit 2 of 2", "transform", "train", "predict"]
    assert lines[0] == f"fit 1 of 2: {len(visible(desk.out / 'latest' / 'features'))} tasks"
    assert "auc" in outcome.stdout
    assert "report.html" in outcome.stdout


def test_a_second_run_leaves_the_first_as_it_was_and_moves_latest(desk: Any, digests_of: Any) -> None:
    assert desk("run", desk.job).code == 0
    first = (desk.out / "latest").resolve()
    before = digests_of(first)
    assert desk("run", desk.job).code == 0
    second = (desk.out / "latest").resolve()
    assert second != first
    assert second.name > first.name
    assert digests_of(first) == before
    assert visible(desk.out / "runs") == [first.name, second.name]
    # Nothing that a reader takes from a run depends on when it ran.
    same = {name: digest for name, digest in digests_of(second).items() if name.split("/")[0] in ("features", "predictions", "bundle")}
    assert same == {name: digest for name, digest in before.items() if name in same}
    assert len(same) > 12


@pytest.mark.parametrize(
    ("old", "new"),
    [("days IS NOT NULL", "days > 3000"), ("[weight, km]\n", "[weight, kn]\n"), ("days > 3 AS", "days > 300 AS")],
    ids=["fails when fitting", "fails when checked", "fails when training"],
)
def test_a_second_run_that_fails_leaves_the_folder_exactly_as_it_was(desk: Any, digests_of: Any, old: str, new: str) -> None:
    assert desk("run", desk.job).code == 0
    before = digests_of(desk.out)
    desk.swap(old, new)
    assert desk("run", desk.job).code in (1, 2)
    assert digests_of(desk.out) == before


def test_a_run_that_is_killed_shows_nothing_and_the_next_one_is_whole(desk: Any, digests_of: Any) -> None:
    assert desk("run", desk.job).code == 0
    before = digests_of(desk.out)
    desk.swap("rounds: 8", "rounds: 100000")
    process = desk.start("run", desk.job)
    line = next(line for line in process.stderr if line.startswith("train:"))
    process.kill()
    assert process.wait(60) == -signal.SIGKILL, line
    process.communicate()
    (left,) = hidden(desk.out / "runs")
    assert {name: digest for name, digest in digests_of(desk.out).items() if f"runs/{left}" not in name} == before
    desk.swap("rounds: 100000", "rounds: 8")
    assert desk("run", desk.job).code == 0
    assert len(visible(desk.out / "runs")) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_says_so_and_leaves_nothing(desk: Any, number: signal.Signals) -> None:
    desk.swap("seed: 7, partition: 24kB", "seed: 7, partition: 4kB")
    process = desk.start("run", desk.job)
    next(line for line in process.stderr if line.startswith("fit 1"))
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert stderr.splitlines()[-1] == "stopped; nothing of this run is kept"
    assert "Traceback" not in stderr
    assert not desk.out.exists()


def test_a_run_that_is_stopped_while_it_trains_waits_for_no_model(desk: Any) -> None:
    desk.swap("rounds: 8", "rounds: 10000000")
    process = desk.start("run", desk.job)
    next(line for line in process.stderr if line.startswith("train:"))
    process.send_signal(signal.SIGTERM)
    try:
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()  # it would train for a day
    assert process.returncode == 128 + signal.SIGTERM
    assert stderr.splitlines()[-1] == "stopped; nothing of this run is kept"  # before it how many kernels were compiled, if any
    assert "Traceback" not in stderr
    assert not desk.out.exists()


def test_ctrl_c_while_workers_start_says_so_and_leaves_nothing(desk: Any) -> None:
    process = desk.start("run", desk.job, "--cluster", "processes", start_new_session=True)
    while not desk.out.exists():  # from then on workers are started
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    stdout, stderr = process.communicate(timeout=60)
    assert (stdout, stderr) == ("", "stopped; nothing of this run is kept\n")
    assert process.returncode == 128 + signal.SIGINT
    assert not desk.out.exists()


def test_a_split_that_leaves_no_row_to_test_is_told(desk: Any) -> None:
    desk.swap("test_from: 2024-03-01", "test_from: 2034-03-01")
    told = desk("run", desk.job).stdout
    assert "! no row tests: rows with sent before 2034-03-01 (America/New_York) train, the others test" in told
    assert "metric" in told
    assert "! " not in desk("run", desk.job, "--set", "split.test_from=2024-03-01").stdout


def test_a_run_without_a_model_leaves_features_and_a_pipeline(desk: Any) -> None:
    text = desk.job.read_text().replace("model: {", "# model: {").replace("evaluate:", "# evaluate:")
    desk.job.write_text(text)
    assert desk("run", desk.job, "--debug").code == 0
    latest = desk.out / "latest"
    assert visible(latest) == ["bundle", "features", "manifest.json", "report.html", "run.json"]
    assert pq.read_table(latest / "features").num_rows > 3000
    assert "bundle.json" not in visible(latest / "bundle")


def test_features_and_predictions_can_be_left_out(desk: Any) -> None:
    outcome = desk("run", desk.job, "--set", "output.features=false", "--set", "output.predictions=false")
    assert outcome.code == 0
    assert visible(desk.out / "latest") == ["bundle", "manifest.json", "report.html", "run.json"]


def test_folders_made_for_a_first_run_that_fails_go_again(desk: Any) -> None:
    desk.swap("days > 3 AS", "days > 300 AS")
    assert desk("run", desk.job, "--set", f"output.path={desk.out}/a/b/c").code == 1
    assert not desk.out.exists()


def test_a_folder_where_the_pointer_should_be_is_refused_before_any_work(desk: Any, digests_of: Any) -> None:
    (desk.out / "latest").mkdir(parents=True)
    before = digests_of(desk.out)
    outcome = desk("run", desk.job)
    assert outcome.code == 2
    assert "output.path: '" in outcome.stderr
    assert "latest' is no link to a run" in outcome.stderr
    assert digests_of(desk.out) == before
