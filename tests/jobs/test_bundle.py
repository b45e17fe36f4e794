"""Bundles: whole or refused, free of code, and the same predictions as the run's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr
from headrace.bench.request import script
from headrace.errors import BundleError, DataError, JobError
from headrace.sha256sums import write_sums


@pytest.fixture(scope="module")
def bundle(finished: Any) -> Path:
    """The bundle of a finished run."""
    return finished.out / "latest" / "bundle"


@pytest.fixture(scope="module")
def loaded(bundle: Path) -> Any:
    """The same, loaded."""
    return hr.load(str(bundle))


@pytest.fixture
def own(bundle: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def new_rows(finished: Any) -> pa.Table:
    """The first 400 raw rows of the last file, all of them test rows."""
    return pq.read_table(finished.data / "parcels" / "parcels-3.parquet").slice(0, 400)


@pytest.fixture(scope="module")
def expected(finished: Any, new_rows: pa.Table) -> pa.Table:
    """What the run itself predicted for those of them that have a label."""
    predictions = pq.read_table(finished.out / "latest" / "predictions")
    kept = set(new_rows["id"].to_pylist())
    return predictions.filter(pa.array([row in kept for row in predictions["id"].to_pylist()])).drop_columns("split")


def test_what_a_prompt_shows_of_a_bundle_is_one_line(loaded: Any) -> None:
    assert repr(loaded).startswith(f"Bundle(job={loaded.job!r}, model='xgboost', task='binary', target={loaded.target!r}, features=[")
    assert len(repr(loaded)) < 1000
    assert len(repr(loaded.model)) < 1000


FILES = ("bundle.json", "pipeline.json", "states.arrows", "model/model.json", "model/model.ubj")


def test_a_bundle_holds_these_files_and_no_pickle(bundle: Path) -> None:
    assert {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()} == {*FILES, "SHA256SUMS"}
    for name in FILES:
        content = (bundle / name).read_bytes()
        if name.endswith(".json"):
            json.loads(content)
        assert not content.startswith(b"\x80")


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_an_altered_byte_is_refused(own: Path, name: str, place: float) -> None:
    file = own / name
    content = bytearray(file.read_bytes())
    content[int((len(content) - 1) * place)] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=f"the file '{name}' was altered"):
        hr.load(str(own))


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_refused(own: Path, name: str) -> None:
    (own / name).unlink()
    with pytest.raises(BundleError, match=f"the file '{name}' is missing"):
        hr.load(str(own))


def test_without_its_own_description_it_is_no_bundle_with_a_model(own: Path) -> None:
    (own / "bundle.json").unlink()
    with pytest.raises(BundleError, match=r"the file 'bundle\.json' is missing"):
        hr.load(str(own))


def test_a_file_too_many_is_refused(own: Path) -> None:
    (own / "model" / "extra.json").write_text("{}")
    with pytest.raises(BundleError, match=r"the file 'model/extra\.json' does not belong to it"):
        hr.load(str(own))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pipeline.json", '"normalize"', '"os.system"'),
        ("pipeline.json", '"format": 4', '"format": 99'),
        ("bundle.json", '"target": "late"', '"goal": "late"'),
        ("bundle.json", '"format": 1', '"format": 2'),
        ("bundle.json", '"km"', '"kn"'),
        ("bundle.json", '"key": [\n  "id"', '"key": [\n  ["id"]'),
        ("pipeline.json", '"streams": [\n  [0', f'"streams": [\n  [{1 << 70}'),
        ("model/model.json", '"xgboost"', '"subprocess"'),
    ],
)
def test_a_bundle_that_does_not_hold_together_is_refused_although_its_sums_are_right(own: Path, name: str, old: str, new: str) -> None:
    text = (own / name).read_text()
    assert old in text
    (own / name).write_text(text.replace(old, new, 1))
    write_sums(own)
    with pytest.raises(BundleError):
        hr.load(str(own))


@pytest.mark.parametrize("name", ["pipeline.json", "bundle.json"])
def test_json_that_is_nested_too_deeply_is_refused(own: Path, name: str) -> None:
    (own / name).write_text("[" * 100_000)
    write_sums(own)
    with pytest.raises(BundleError):
        hr.load(str(own))


def test_a_pipeline_without_what_a_step_learnt_is_refused(own: Path) -> None:
    content = json.loads((own / "pipeline.json").read_text())
    (own / "pipeline.json").write_text(json.dumps({**content, "states": {}}))
    write_sums(own)
    with pytest.raises(BundleError, match="holds no state for join_external"):
        hr.load(str(own))


def test_the_command_refuses_an_altered_bundle_and_writes_nothing(finished: Any, own: Path, tmp_path: Path) -> None:
    (own / "bundle.json").write_text((own / "bundle.json").read_text().replace("late", "soon"))
    outcome = finished("predict", own, finished.data / "parcels", tmp_path / "out.parquet")
    assert outcome.code == 1
    assert "the file 'bundle.json' was altered" in outcome.stderr
    assert not (tmp_path / "out.parquet").exists()
    assert finished("inspect", own).code == 1


def test_predict_gives_the_run_s_own_predictions_in_all_columns(finished: Any, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    outcome = finished("predict", bundle, finished.data / "parcels" / "parcels-3.parquet", out)
    assert outcome.code == 0
    own = pq.read_table(finished.out / "latest" / "predictions").drop_columns("split")
    again = pq.read_table(out)
    assert again.num_rows > 900
    assert again.equals(own.slice(own.num_rows - again.num_rows))


def test_predictions_are_written_partition_by_partition(
    finished: Any, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.partitions.SMALLEST", 1)
    monkeypatch.setattr("headrace.partitions.LEAST_ROWS", 1)
    source, loaded = str(finished.data / "parcels" / "*.parquet"), hr.load(str(bundle))
    ledger = loaded.predict(source, tmp_path / "out.parquet")
    written = pq.read_table(tmp_path / "out.parquet")
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups > 1
    assert written.num_rows == ledger.rows()["out"]
    assert written.equals(loaded.predict(source))


def test_predict_writes_a_folder_too_and_tells_rows_as_json(finished: Any, bundle: Path, tmp_path: Path) -> None:
    outcome = finished("predict", bundle, finished.data / "parcels" / "parcels-0.parquet", tmp_path / "out", "--json")
    rows = outcome.json["rows"]
    assert rows["in"] == 1000
    assert rows["out"] + rows["filtered"] == 1000
    assert pq.read_table(tmp_path / "out").num_rows == rows["out"]


def test_predict_says_what_to_do_where_filters_leave_no_row(finished: Any, bundle: Path, tmp_path: Path) -> None:
    rows = pq.read_table(finished.data / "parcels" / "parcels-0.parquet")
    place = rows.schema.get_field_index("days")
    pq.write_table(rows.set_column(place, "days", pa.nulls(rows.num_rows, rows.schema.types[place])), tmp_path / "new.parquet")
    outcome = finished("predict", bundle, tmp_path / "new.parquet", tmp_path / "out.parquet")
    assert outcome.code == 0
    assert "0 predicted" in outcome.stdout
    assert "leave its column out" in outcome.stdout


def test_predict_runs_on_the_device_it_is_told(finished: Any, bundle: Path, tmp_path: Path) -> None:
    what = ("predict", bundle, finished.data / "parcels" / "parcels-0.parquet", tmp_path / "out.parquet", "--device")
    refused = finished(*what, "gup")
    assert refused.code == 2
    assert "no device 'gup'" in refused.stderr
    assert not (tmp_path / "out.parquet").exists()
    assert finished(*what, "cpu").code == 0
    assert (tmp_path / "out.parquet").exists()


def test_a_prediction_that_cannot_be_written_is_refused(finished: Any, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = finished("predict", bundle, finished.data / "parcels" / "parcels-0.parquet", tmp_path / "file" / "out.parquet")
    assert outcome.code == 2
    assert "cannot write" in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_pyarrow_in_pyarrow_out(loaded: Any, new_rows: pa.Table, expected: pa.Table) -> None:
    found = loaded.predict(new_rows)
    assert isinstance(found, pa.Table)
    assert found.equals(expected)


def test_polars_in_polars_out(loaded: Any, new_rows: pa.Table, expected: pa.Table) -> None:
    found = loaded.predict(pl.from_arrow(new_rows))
    assert isinstance(found, pl.DataFrame)
    assert found.equals(pl.from_arrow(expected))


def test_pandas_in_pandas_out(loaded: Any, new_rows: pa.Table, expected: pa.Table) -> None:
    # pandas has one kind of missing number: nulls and NaN of `weight` are the same to it, as they are to the model.
    frame = new_rows.to_pandas(types_mapper=pd.ArrowDtype)
    found = loaded.predict(frame)
    assert isinstance(found, pd.DataFrame)
    assert list(found.columns) == expected.column_names
    assert found["id"].tolist() == expected["id"].to_pylist()
    assert found["prediction"].to_numpy(np.float32).tobytes() == expected["prediction"].to_numpy().tobytes()


def test_without_the_label_s_columns_every_row_is_predicted(loaded: Any, new_rows: pa.Table, expected: pa.Table) -> None:
    found = loaded.predict(new_rows.drop_columns("days"))
    assert found.column_names == ["id", "prediction"]
    assert found.num_rows == new_rows.num_rows
    labelled = set(expected["id"].to_pylist())
    kept = found.filter(pa.array([row in labelled for row in found["id"].to_pylist()]))
    assert kept.equals(expected.drop_columns("late"))


@pytest.mark.parametrize("stand_in", [pa.nulls, lambda n: pa.nulls(n, pa.string()), lambda n: pa.array(["?"] * n)])
def test_columns_that_stand_in_for_the_label_s_count_as_missing(loaded: Any, new_rows: pa.Table, stand_in: Any) -> None:
    labels = sorted(loaded.fitted.steps.label_columns(loaded.target))
    without = new_rows.drop_columns(labels)
    given = without
    for name in labels:
        given = given.append_column(name, stand_in(given.num_rows))
    assert loaded.predict(given).equals(loaded.predict(without))


def test_a_step_that_reads_the_label_beside_features_predicts_without_it(desk: Any, new_rows: pa.Table) -> None:
    desk.swap("  - derive:", "  - clip: {columns: [days, weight], min: 0}\n  - derive:")
    desk.swap("drop: [lat, lon]", "drop: [lat, lon, days]")
    assert desk.in_process("run", desk.job).code == 0
    bundle = hr.load(desk.out / "latest" / "bundle")
    without = new_rows.drop_columns("days")
    found = bundle.predict(without)
    known = pa.compute.is_valid(new_rows["days"])
    assert found.filter(known).equals(bundle.predict(new_rows).drop_columns("late"))
    assert bundle.predict(without.append_column("days", pa.array(["?"] * new_rows.num_rows))).equals(found)


def test_without_the_row_key_rows_are_numbered(loaded: Any, new_rows: pa.Table) -> None:
    found = loaded.predict(new_rows.drop_columns(["id", "days"]))
    assert found.column_names == ["row", "prediction"]
    assert found["row"].to_pylist() == list(range(400))


@pytest.mark.parametrize("name", ["weight", "city", "sent", "depot_lat"])
def test_a_missing_feature_column_is_named(loaded: Any, new_rows: pa.Table, name: str) -> None:
    with pytest.raises(DataError, match=f"no column '{name}'"):
        loaded.predict(new_rows.drop_columns(name))


def test_a_column_of_another_kind_is_named(loaded: Any, new_rows: pa.Table) -> None:
    text = new_rows.set_column(new_rows.schema.get_field_index("weight"), "weight", pa.array(["heavy"] * 400))
    with pytest.raises(DataError, match="weight"):
        loaded.predict(text)


def test_a_column_of_another_width_is_taken_where_no_value_changes(loaded: Any, new_rows: pa.Table, expected: pa.Table) -> None:
    place = new_rows.schema.get_field_index("courier")
    changed = new_rows.set_column(place, "courier", new_rows["courier"].cast(pa.large_string()).combine_chunks().dictionary_encode())
    assert loaded.predict(changed).equals(expected)


def test_unseen_categories_and_nulls_are_predicted(loaded: Any, new_rows: pa.Table) -> None:
    rows = new_rows.slice(0, 3).drop_columns(["courier", "city", "weight"])
    rows = rows.append_column("courier", pa.array(["a new one", None, "courier-01"]))
    rows = rows.append_column("city", pa.array([None, "Atlantis", "Rome"])).append_column("weight", pa.array([None, 1e30, -0.0]))
    scores = loaded.predict(rows.drop_columns("days"))["prediction"].to_numpy()
    assert np.isfinite(scores).all()


def test_a_value_that_the_model_cannot_hold_is_named(loaded: Any, new_rows: pa.Table) -> None:
    place = new_rows.schema.get_field_index("weight")
    heavy = new_rows.set_column(place, "weight", pa.array([1e300] * 400))
    with pytest.raises(DataError, match="'weight': infinite in"):
        loaded.predict(heavy)


def test_no_row_gives_no_prediction(loaded: Any, new_rows: pa.Table, expected: pa.Table) -> None:
    assert loaded.predict(new_rows.slice(0, 0)).schema.equals(expected.schema)


def test_a_bundle_writes_and_reads_back_the_same(loaded: Any, bundle: Path, tmp_path: Path, digests_of: Any) -> None:
    loaded.write(tmp_path / "again")
    assert digests_of(tmp_path / "again") == digests_of(bundle)


def test_inspect_shows_steps_what_they_learnt_features_and_model(finished: Any, bundle: Path) -> None:
    told = finished("inspect", bundle, "--json").json
    assert [next(iter(step)) for step in told["pipeline"]][5:9] == ["target_encoding", "fill_missing", "normalize", "categorify"]
    assert told["target"] == "late"
    assert told["model"]["kind"] == "xgboost"
    assert told["model"]["params"] == {"max_depth": 3}
    assert told["source"]["sent"] == "timestamp[us, tz=UTC]"
    shown = finished("inspect", bundle).stdout
    assert "every checksum is right" in shown
    assert "learnt:" in shown


def test_a_run_hands_over_its_bundle_and_metrics(finished: Any, new_rows: pa.Table, expected: pa.Table) -> None:
    run = hr.Run.load(finished.out / "latest")
    assert run.bundle.predict(new_rows).equals(expected)
    assert set(run.metrics) == {"auc", "log_loss"}


def test_predictions_never_replace_the_rows_that_they_are_made_of(finished: Any, bundle: Path, tmp_path: Path) -> None:
    rows = tmp_path / "part-00000.parquet"
    shutil.copy(finished.data / "parcels" / "parcels-0.parquet", rows)
    before = rows.read_bytes()
    for source, output in ((rows, rows), (tmp_path, tmp_path)):
        outcome = finished("predict", bundle, source, output, "--overwrite")
        assert outcome.code == 2
        assert "is a file of the source, which predictions would replace" in outcome.stderr
    assert rows.read_bytes() == before


def test_predictions_are_not_written_where_the_source_would_take_them_for_rows(finished: Any, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    shutil.copy(finished.data / "parcels" / "parcels-0.parquet", folder)
    for source, output in ((folder, folder), (folder / "*.parquet", folder), (tmp_path / "**", folder / "new"), (folder, folder / "a.pq")):
        outcome = finished("predict", bundle, source, output)
        assert outcome.code == 2
        assert f"lies in '{source}': who reads that next time would take predictions for rows" in outcome.stderr
    assert [path.name for path in folder.iterdir()] == ["parcels-0.parquet"]
    for source, output in ((folder, folder / "_out"), (folder, tmp_path), (folder / "parcels-*.parquet", folder / "a.parquet")):
        assert finished("predict", bundle, source, output).code == 0


def test_predictions_replace_no_file_unless_they_are_told_to(finished: Any, bundle: Path, loaded: Any, tmp_path: Path) -> None:
    mine, source = tmp_path / "mine.parquet", finished.data / "parcels" / "parcels-0.parquet"
    mine.write_text("mine")
    outcome = finished("predict", bundle, source, mine)
    assert outcome.code == 2
    assert f"'{mine}' is there already\n  name another, or replace it by --overwrite" in outcome.stderr
    assert "predict:" not in outcome.stderr  # told before anything is computed
    with pytest.raises(JobError, match="is there already"):
        loaded.predict(source, mine)
    assert mine.read_text() == "mine"
    assert finished("predict", bundle, source, mine, "--overwrite").code == 0
    assert pq.read_metadata(mine).num_rows > 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.parquet"]


def test_the_script_of_the_suite_taxi_predicts_into_one_file_again(finished: Any, bundle: Path, tmp_path: Path) -> None:
    source, out = finished.data / "parcels" / "parcels-0.parquet", tmp_path / "out.parquet"
    command = [sys.executable, script("predict_headrace"), bundle, source, out, "2", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert len(json.loads(done.stdout)["seconds"]) == 2


def test_the_steps_that_leave_rows_out_are_told(finished: Any, bundle: Path, tmp_path: Path) -> None:
    outcome = finished("predict", bundle, finished.data / "parcels" / "parcels-0.parquet", tmp_path / "out.parquet")
    n_left_out = 1000 - pq.read_metadata(tmp_path / "out.parquet").num_rows
    assert n_left_out > 0
    assert f"\n  {n_left_out} left out by step 0, filter: " in outcome.stdout


def test_threads_that_predict_into_one_file_do_not_disturb_each_other(finished: Any, loaded: Any, tmp_path: Path) -> None:
    source = str(finished.data / "parcels" / "*.parquet")
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(lambda _: loaded.predict(source, tmp_path / "out.parquet", overwrite=True), range(8)))
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == ledgers[0].rows()["out"]


def test_columns_of_pandas_that_nothing_reads_may_hold_anything(loaded: Any, new_rows: pa.Table, expected: pa.Table) -> None:
    predicted = loaded.predict(new_rows.to_pandas().assign(junk=[[1], "a"] * (new_rows.num_rows // 2) + ["b"] * (new_rows.num_rows % 2)))
    assert pa.Table.from_pandas(predicted)["prediction"].equals(expected["prediction"])


def test_predictions_are_written_as_parquet_only(loaded: Any, new_rows: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"are written as Parquet, not as 'new.csv'\n  name 'new.parquet'"):
        loaded.predict(new_rows, tmp_path / "new.csv")
    loaded.predict(new_rows, tmp_path / "new.pq")
    assert pq.read_metadata(tmp_path / "new.pq").num_rows > 0
