"""Every mistake a user can make in a job or its data: a few lines that say where and what, and nothing written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@dataclass(frozen=True)
class Mistake:
    """One text of the job replaced by a wrong one; exit code, key path (with its line) and what the message holds."""

    name: str
    old: str
    new: str
    code: int
    key: str
    wants: tuple[str, ...]
    line: str = ""  # a text of the line named, if it is not that of the change


MISTAKES = [
    Mistake("unknown key", "seed: 7", "sed: 7", 2, "run.sed", ("unknown key", "nearest: 'seed'")),
    Mistake("unknown top key", "evaluate:", "evaluat:", 2, "evaluat", ("unknown key", "nearest: 'evaluate'")),
    Mistake("key as of --set", "run: {", "run.memory: 8GiB\nrun: {", 2, "run.memory", ("unknown key", "here it is `run: {memory: ...}`")),
    Mistake("unknown key with a dot", "evaluate:", "a.b:", 2, "a.b", ("unknown key", "Keys: job,")),
    Mistake("size that is none", "24kB", "infGiB", 2, "run.partition", ("a size such as", "not 'infGiB'")),
    Mistake(
        "unknown key of a step",
        "min_frequency: 2",
        "min_frequenzy: 2",
        2,
        "pipeline[8].categorify.min_frequenzy",
        ("nearest: 'min_frequency'",),
    ),
    Mistake(
        "column called as the split's",
        "- drop:",
        "- rename: {km: split}\n  - drop:",
        2,
        "output.features",
        ("called 'split'",),
        "output: {path",
    ),
    Mistake(
        "column called as the row key's",
        "- drop:",
        "- derive: {id: id + 1, key_id: weight}\n  - drop:",
        2,
        "output.features",
        ("two columns would be called 'key_id'", "rename the other column"),
        "output: {path",
    ),
    Mistake(
        "target called as the row key",
        "target: late, params",
        "target: id, params",
        2,
        "output.predictions",
        ("called 'id'",),
        "output: {path",
    ),
    Mistake("wrong type", "rounds: 8", "rounds: many", 2, "model.rounds", ("'many'", "integer")),
    Mistake("wrong type in a step", "folds: 3", "folds: three", 2, "pipeline[5].target_encoding.folds", ("'three'", "integer")),
    Mistake("operator that is no name", "- normalize:", "- 5:", 2, "pipeline[7].5", ("no operator '5'",)),
    Mistake("number too small", "rounds: 8", "rounds: 0", 2, "model.rounds", ("1",)),
    Mistake(
        "unknown operator", "- normalize:", "- normalise:", 2, "pipeline[7].normalise", ("no operator 'normalise'", "nearest: 'normalize'")
    ),
    Mistake(
        "misspelt column", "[weight, km]\n", "[weight, kn]\n", 2, "pipeline[7].normalize.columns[1]", ("no column 'kn'", "nearest: 'km'")
    ),
    Mistake(
        "misspelt column in an expression",
        "CAST(days >",
        "CAST(dais >",
        2,
        "pipeline[1].derive.late",
        ("no column 'dais'", "nearest: 'days'"),
    ),
    Mistake(
        "expression that does not parse",
        "AS TINYINT",
        "SA TINYINT",
        2,
        "pipeline[1].derive.late",
        ("\n  CAST(days > 3 SA TINYINT)\n", " ^^"),
    ),
    Mistake("unknown function", "CAST(days > 3 AS TINYINT)", "levenshtien(days)", 2, "pipeline[1].derive.late", ("levenshtien",)),
    Mistake(
        "unknown kernel",
        "haversine_km",
        "haversine_kn",
        2,
        "pipeline[4].kernel.name",
        ("no kernel 'haversine_kn'", "nearest: 'haversine_km'"),
    ),
    Mistake(
        "unknown table", "{table: cities", "{table: citys", 2, "pipeline[3].join_external.table", ("no table 'citys'", "nearest: 'cities'")
    ),
    Mistake(
        "misspelt column of a table",
        "[lat, lon]}\n",
        "[lat, lonn]}\n",
        2,
        "pipeline[3].join_external.columns",
        ("no column 'lonn'", "nearest: 'lon'"),
    ),
    Mistake("unknown model parameter", "max_depth", "max_dept", 2, "model.params.max_dept", ("nearest: 'max_depth'",)),
    Mistake("unknown kind of model", "kind: xgboost", "kind: xgbost", 2, "model.kind", ("nearest: 'xgboost'",)),
    Mistake(
        "misspelt target of the model",
        "model: {kind: xgboost, target: late",
        "model: {kind: xgboost, target: lat_e",
        2,
        "model.target",
        ("no column 'lat_e'", "nearest: 'late'"),
    ),
    Mistake("unknown metric", "[auc, log_loss]", "[auc, log_los]", 2, "evaluate[1]", ("no metric 'log_los'", "nearest: 'log_loss'")),
    Mistake(
        "misspelt column of the split",
        "by: sent",
        "by: snet",
        2,
        "split.by",
        ("no column 'snet'", "nearest: 'sent'", "column of the source"),
    ),
    Mistake("split on no date", "2024-03-01", "2024-13-01", 2, "split.test_from", ("2024-13-01",)),
    Mistake(
        "unknown zone",
        "test_from: 2024-03-01, zone: America/New_York",
        "test_from: 2024-03-01, zone: America/New_Yrok",
        2,
        "split.zone",
        ("America/New_Yrok",),
    ),
    Mistake("misspelt row key", "key: [id]", "key: [idd]", 2, "source.key[0]", ("no column 'idd'", "nearest: 'id'")),
    Mistake(
        "source with no files",
        "/parcels/*.parquet",
        "/parzels/*.parquet",
        2,
        "source.path",
        ("no Parquet files at", "holds: cities.parquet, parcels"),
    ),
    Mistake(
        "table with no file",
        "/cities.parquet",
        "/citys.parquet",
        2,
        "tables.cities",
        ("no Parquet files at", "holds: cities.parquet, parcels"),
    ),
    Mistake(
        "features that give the target away",
        'AS TINYINT)"',
        'AS TINYINT)", slow: "days * 2"',
        2,
        "model.features",
        ("'late'", "slow (from days)", "drop"),
        "model:",
    ),
    Mistake(
        "kernel without a name",
        "{name: haversine_km",
        "{nam: haversine_km",
        2,
        "pipeline[4].kernel.name",
        ("is missing", "pipeline[4].kernel.nam: unknown key", "Keys: name, inputs"),
    ),
    Mistake("split on another kind", "2024-03-01, zone: America/New_York}\nmodel", "soon}\nmodel", 2, "split.test_from", ("'soon'",)),
    Mistake(
        "split at no number",
        "by: sent, test_from: 2024-03-01, zone: America/New_York}\nm",
        "by: days, test_from: .inf}\nm",
        2,
        "split.test_from",
        ("finite",),
    ),
    Mistake(
        "split of text at a number",
        "by: sent, test_from: 2024-03-01, zone: America/New_York}\nm",
        "by: city, test_from: 5}\nm",
        2,
        "split.test_from",
        ("'city' is string",),
    ),
    Mistake(
        "target as a feature",
        "target: late, params",
        "target: late, features: [km, late], params",
        2,
        "model.features[1]",
        ("is the target",),
    ),
    Mistake(
        "feature named twice", "target: late, params", "target: late, features: [km, km], params", 2, "model.features[1]", ("stands twice",)
    ),
    Mistake("target of text", "target: late, params", "target: sent, params", 2, "model.target", ("is timestamp", "derive a number of it")),
    Mistake(
        "split by chance", "{by: sent, test_from: 2024-03-01, zone: America/New_York}\nm", "{by: random}\nm", 2, "split", ("{by: hash,",)
    ),
    Mistake(
        "constraint on no feature",
        "params: {",
        "params: {monotone_constraints: {kmm: 1}, ",
        2,
        "model.params.monotone_constraints",
        ("no feature 'kmm'", "nearest: 'km'"),
    ),
    Mistake("contract", "key: [id]", "contract: c.yaml", 2, "source.contract", ("not part of this version",)),
    Mistake("quarantine", "key: [id]", "on_bad_file: quarantine", 2, "source.on_bad_file", ("'fail'", "this version")),
    Mistake("explain", "output: {", "output: {explain: 3, ", 2, "output.explain", ("not part of this version",)),
    Mistake("gpu", "seed: 7", "device: gpu", 2, "run.device", ("needs a GPU", "headrace doctor", "device: cpu")),
    Mistake("unknown cluster", "seed: 7", "cluster: proceses", 2, "run.cluster", ("no cluster 'proceses'", "nearest: 'processes'")),
    Mistake("another machine without TLS", "seed: 7", "cluster: tcp://10.0.0.1:8786", 2, "run.cluster", ("TLS", "tls://")),
    Mistake("memory that is no size", "seed: 7", "memory: plenty", 2, "run.memory", ("8GiB",)),
    Mistake("too little memory", "seed: 7", "memory: 1MiB", 1, "run.memory", ("1.0 MiB", "needs about")),
    Mistake("target with one class", "days > 3 AS", "days > 300 AS", 1, "", ("has one value",)),
    Mistake("zero rows after the filter", "days IS NOT NULL", "days > 3000", 1, "", ("no training row is left", "filters")),
    Mistake("key twice", "evaluate:", "job: again\nevaluate:", 2, "job", ("stands twice",)),
    Mistake("no YAML", "key: [id]", "key: [id", 2, "", ("is no YAML",)),
    Mistake("tabs", "  key: [id]", "\tkey: [id]", 2, "", ("is no YAML",)),
]


def names(cases: list[Mistake]) -> Any:
    return pytest.mark.parametrize("mistake", [pytest.param(one, id=one.name.replace(" ", "-")) for one in cases])


def check(desk: Any, outcome: Any, code: int) -> None:
    """An error is a few lines on standard error, with the right exit code; nothing of the run is left."""
    assert outcome.code == code, outcome.stderr
    assert outcome.stdout == ""
    told = [line for line in outcome.stderr.splitlines() if not line.startswith("kernels: ")]  # which a first run compiles
    lines = [line for line in told if not re.match(r"[a-z0-9 ]+: (\d+ tasks?|done in .*)$", line)]
    assert lines[0].startswith("error: ")
    assert len(lines) <= 6, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "fault of headrace" not in outcome.stderr
    assert code == 1 or len(lines) == len(told), "work was begun on a job that is wrong"
    assert not desk.out.exists()


@names(MISTAKES)
def test_a_mistake_is_told_in_a_few_lines_with_its_place_and_leaves_nothing(desk: Any, mistake: Mistake) -> None:
    desk.swap(mistake.old, mistake.new)
    outcome = desk("run", desk.job)
    check(desk, outcome, mistake.code)
    for wanted in mistake.wants:
        assert wanted in outcome.stderr
    if mistake.key:
        line = desk.line_of(mistake.line or mistake.new.split("\n")[0])
        assert f"error: {desk.job}:{line}: {mistake.key}" in outcome.stderr


def test_data_that_a_step_cannot_take_name_the_step_and_the_file_that_they_are_in(desk: Any) -> None:
    desk.swap("  - normalize: [weight, km]\n", "  - derive: {none: 'NULL::DOUBLE'}\n  - normalize: [none]\n")
    outcome = desk("run", desk.job)
    check(desk, outcome, 1)
    line = desk.line_of("- normalize: [none]")
    assert f"error: {desk.job}:{line}, column 'none': pipeline[8].normalize: has no finite value" in outcome.stderr
    desk.swap("- normalize: [none]", "- derive: {few: 'CAST(id + 200 AS TINYINT)'}")
    outcome = desk("run", desk.job)
    check(desk, outcome, 1)
    place = re.escape(str(desk.data / "parcels")) + r"/parcels-\d.parquet, row group \d"
    assert re.search(rf"error: {place}: pipeline\[8\].derive: cannot cast \d+ to int8", outcome.stderr)


@names([one for one in MISTAKES if one.name in ("unknown key", "misspelt column", "no YAML", "target with one class", "key twice")])
def test_with_json_a_mistake_is_one_object(desk: Any, mistake: Mistake) -> None:
    desk.swap(mistake.old, mistake.new)
    outcome = desk("run", desk.job, "--json")
    assert outcome.code == mistake.code
    (error,) = outcome.json["error"]
    assert error["kind"] == ("JobError" if mistake.code == 2 else "DataError")
    assert error["key"] == (mistake.key or None)
    if mistake.code == 2:
        assert error["file"] == str(desk.job)
        assert error["line"] >= 1


def test_with_debug_the_traceback_is_shown_and_the_exit_code_stays(desk: Any) -> None:
    desk.swap("[weight, km]\n", "[weight, kn]\n")
    outcome = desk("run", desk.job, "--debug")
    assert outcome.code == 2
    assert outcome.stderr.startswith("Traceback (most recent call last):")
    assert "error: " in outcome.stderr


def test_an_error_of_a_real_process_is_a_few_lines_on_standard_error(desk: Any) -> None:
    desk.swap("days > 3 AS", "days > 300 AS")
    check(desk, desk.in_process("run", desk.job), 1)


def test_all_mistakes_of_one_file_are_told_together(desk: Any) -> None:
    desk.swap("rounds: 8", "rounds: many")
    desk.swap("seed: 7", "sed: 7")
    desk.swap("min_frequency: 2", "min_frequenzy: 2")
    outcome = desk("plan", desk.job)
    assert outcome.code == 2
    assert sum(line.startswith("error: ") for line in outcome.stderr.splitlines()) == 3
    assert all(key in outcome.stderr for key in ("model.rounds", "run.sed", "categorify.min_frequenzy"))


def test_all_columns_that_the_data_lack_are_told_together_in_the_order_of_the_file(desk: Any) -> None:
    desk.swap("key: [id]", "key: [idd]")
    desk.swap("[weight, km]\n", "[weight, kn]\n")
    outcome = desk("plan", desk.job)
    assert outcome.code == 2
    told = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert ["source.key[0]" in told[0], "pipeline[7].normalize.columns[1]" in told[1]] == [True, True]
    assert len(told) == 2


def own_data(desk: Any) -> Path:
    """Give the desk a copy of the data that the test may spoil."""
    copied = desk.folder / "data"
    shutil.copytree(desk.data, copied)
    desk.job.write_text(desk.job.read_text(encoding="utf-8").replace(str(desk.data), str(copied)), encoding="utf-8")
    return copied


def put_text(data: Path) -> None:
    (data / "parcels" / "parcels-9.parquet").write_text("id,sent\n1,2024-01-01\n")


def put_nothing(data: Path) -> None:
    (data / "parcels" / "parcels-9.parquet").write_bytes(b"")


def cut_short(data: Path) -> None:
    file = data / "parcels" / "parcels-2.parquet"
    file.write_bytes(file.read_bytes()[:-2000])


def alter_a_page(data: Path) -> None:
    """Flip bytes in the middle of the pages, not in the footer."""
    file = data / "parcels" / "parcels-2.parquet"
    content = bytearray(file.read_bytes())
    for place in range(4, 1200, 7):
        content[place] ^= 0xFF
    file.write_bytes(content)


def change_a_type(data: Path) -> None:
    file = data / "parcels" / "parcels-2.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.schema.get_field_index("weight"), "weight", table["id"].cast(pa.string())), file)


def drop_a_column(data: Path) -> None:
    file = data / "parcels" / "parcels-2.parquet"
    pq.write_table(pq.read_table(file).drop_columns("weight"), file)


def repeat_a_city(data: Path) -> None:
    cities = pq.read_table(data / "cities.parquet")
    pq.write_table(pa.concat_tables([cities, cities.slice(1, 1)]), data / "cities.parquet")


@pytest.mark.parametrize(
    ("spoil", "wants"),
    [
        (put_text, ("parcels-9.parquet", "is not a readable Parquet file")),
        (put_nothing, ("parcels-9.parquet", "is not a readable Parquet file")),
        (cut_short, ("parcels-2.parquet", "is not a readable Parquet file")),
        (alter_a_page, ("parcels-2.parquet",)),
        (change_a_type, ("parcels-2.parquet", "column 'weight'", "is string here, but double in", "parcels-0.parquet")),
        (drop_a_column, ("parcels-2.parquet", "lacks the column 'weight'", "parcels-0.parquet")),
        (repeat_a_city, ("cities", "column 'city'", "Rome", "more than once")),
    ],
)
def test_bad_data_are_named_and_leave_nothing(desk: Any, spoil: Callable[[Path], None], wants: tuple[str, ...]) -> None:
    spoil(own_data(desk))
    outcome = desk("run", desk.job)
    check(desk, outcome, 1)
    for wanted in wants:
        assert wanted in outcome.stderr


def test_an_output_path_that_cannot_be_written_is_refused_before_any_work(desk: Any) -> None:
    desk.out.write_text("a file where the folder should be")
    outcome = desk("run", desk.job, "--set", f"output.path={desk.out}/deeper")
    assert outcome.code == 2
    assert (
        f"error: {desk.job}:{desk.line_of('output: {path')}: output.path: cannot write to '{desk.out}/deeper': Not a directory"
        in outcome.stderr
    )
    assert "tasks" not in outcome.stderr
    assert desk.out.read_text() == "a file where the folder should be"


@pytest.mark.parametrize(
    ("arguments", "wants"),
    [
        (("run", "JOB", "--set", "rounds"), ("--set 'rounds'", "a.b=value")),
        (("run", "JOB", "--set", "run..seed=7"), ("--set 'run..seed=7'", "a.b=value")),
        (("run", "JOB", "--set", "run.seed=["), ("--set run.seed: '[' is no YAML",)),
        (("run", "JOB", "--set", 'source.path=""'), ("source.path", "a path is needed")),
        (("run", "JOB", "--set", 'output.path="a\\0b"'), ("output.path", "a path is needed")),
        (("profile", ""), ("'' is no path",)),
        (("run", "JOB", "--set", "model.rounds.more=3"), ("--set model.rounds.more",)),
        (
            ("run", "JOB", "--set", "pipeline[7].normalize.columns[0]=km"),
            ("no 'columns' to set", "pipeline[7].normalize is a list: name a position from 0 to 1, as pipeline[7].normalize[0]"),
        ),
        (("run", "JOB", "--set", "model.rounds=many"), ("model.rounds", "'many'")),
        (("plan", "JOB", "--cluster", "proceses"), ("run.cluster: no cluster 'proceses'", "nearest: 'processes'")),
        (("run", "nowhere.yaml"), ("nowhere.yaml", "cannot be read: No such file or directory")),
        (("run", "."), ("cannot be read: Is a directory",)),
        (("run", "JOB", "--devise", "cpu"), ("--devise", "--device")),
        (("rum", "JOB"), ("rum", "run")),
        (("run",), ("JOB.yaml",)),
        (("profile", "nowhere/*.parquet"), ("no Parquet files at 'nowhere/*.parquet'",)),
    ],
)
def test_wrong_arguments_exit_with_2(desk: Any, arguments: tuple[str, ...], wants: tuple[str, ...]) -> None:
    outcome = desk(*(str(desk.job) if one == "JOB" else one for one in arguments))
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    for wanted in wants:
        assert wanted in outcome.stderr
    assert not desk.out.exists()


@pytest.mark.parametrize(
    ("arguments", "wants"),
    [
        (("report", "EMPTY"), "holds no run"),
        (("inspect", "EMPTY"), "is no bundle"),
        (("predict", "EMPTY", "nowhere.parquet", "out.parquet"), "is no bundle"),
    ],
)
def test_a_folder_that_is_no_run_or_bundle_is_refused(desk: Any, arguments: tuple[str, ...], wants: str) -> None:
    empty = desk.folder / "empty"
    empty.mkdir()
    outcome = desk(*(empty if one == "EMPTY" else one for one in arguments))
    assert outcome.code == 1
    assert wants in outcome.stderr
    assert str(empty) in outcome.stderr


@pytest.mark.parametrize(
    ("step", "target", "file", "name"),
    [
        ("rename: {lat: split}\n  - normalize: [split]", "late", "features", "split"),
        ("rename: {late: split}", "split", "features", "split"),
        ("rename: {late: row}", "row", "predictions", "row"),
        ("rename: {late: prediction}", "prediction", "predictions", "prediction"),
    ],
    ids=["feature", "target", "row", "prediction"],
)
def test_a_name_that_results_have_themselves_is_refused(desk: Any, step: str, target: str, file: str, name: str) -> None:
    desk.swap("  key: [id]\n", "")
    desk.swap("drop: [lat, lon]", step)
    desk.swap("target: late, params", f"target: {target}, params")
    outcome = desk("run", desk.job)
    check(desk, outcome, 2)
    assert f"error: {desk.job}:{desk.line_of('output: {path')}: output.{file}: two columns would be called {name!r}" in outcome.stderr
    assert "rename: {old: new}" in outcome.stderr


def test_a_plan_refuses_an_output_that_a_run_would_refuse(desk: Any) -> None:
    outcome = desk("plan", desk.job, "--set", "output.path=s3://bucket/out")
    check(desk, outcome, 2)
    assert "output.path: a local or mounted folder is needed in this version, not 's3://bucket/out'" in outcome.stderr


def test_a_column_called_split_is_no_mistake_where_it_is_not_written(desk: Any) -> None:
    desk.swap("drop: [lat, lon]", "rename: {lat: split}\n  - normalize: [split]")
    assert desk("plan", desk.job).code == 2
    assert desk("plan", desk.job, "--set", "output.features=false").code == 0


@pytest.mark.parametrize("source", ["parcels", "**/parcels-?.parquet"])
def test_an_output_that_the_source_would_take_for_rows_is_refused(desk: Any, source: str) -> None:
    data = own_data(desk)
    desk.swap("/parcels/*.parquet", f"/{source}")
    desk.swap(f"output: {{path: {desk.out}}}", f"output: {{path: {data}/parcels/out}}")
    outcome = desk("run", desk.job)
    assert outcome.code == 2
    assert f"output.path: '{data}/parcels/out' lies in '{data}/{source}'" in outcome.stderr
    assert not (data / "parcels" / "out").exists()


def test_a_hidden_output_in_the_source_is_none_of_its_files(desk: Any) -> None:
    data = own_data(desk)
    desk.swap("/parcels/*.parquet", "/parcels")
    desk.swap(f"output: {{path: {desk.out}}}", f"output: {{path: {data}/parcels/_out}}")
    assert desk("plan", desk.job).code == 0


def test_a_report_goes_to_a_new_folder_or_says_why_not(finished: Any, tmp_path: Path) -> None:
    run = finished.out / "latest"
    assert finished("report", run, "--out", tmp_path / "new" / "page.html").code == 0
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == (run / "report.html").read_text(encoding="utf-8")
    again = ("report", run, "--out", tmp_path / "new" / "page.html")
    assert "is there already" in finished(*again).stderr
    assert finished(*again, "--overwrite").code == 0
    (tmp_path / "file").write_text("")
    outcome = finished("report", run, "--out", tmp_path / "file" / "deeper" / "page.html")
    assert outcome.code == 2
    assert "cannot write" in outcome.stderr
    assert "Not a directory" in outcome.stderr


@pytest.mark.parametrize("record", ['{"format": 2}', '{"format": 1, "run": "x"}', "[]"])
def test_a_record_of_another_version_is_refused(desk: Any, record: str) -> None:
    (desk.folder / "run.json").write_text(record)
    outcome = desk("report", desk.folder)
    assert outcome.code == 1
    assert "holds a run.json that this headrace does not read" in outcome.stderr


def test_a_metric_that_the_targets_task_has_not_is_refused_before_training(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xgboost.train", lambda *_, **__: pytest.fail("it trains"))
    desk.swap("target: late, params", "target: days, features: [km, city], params")
    outcome = desk("run", desk.job)
    assert outcome.code == 2
    assert f"job.yaml:{desk.line_of('evaluate:')}: evaluate[0]: no metric 'auc' of a regression model" in outcome.stderr
    assert not desk.out.exists()
