"""Pipeline and FittedPipeline: the engine as a library."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.comparing import assert_same_table

import headrace as hr
from headrace.errors import BundleError, DataError, JobError, JobErrors
from headrace.fitted import read_fitted
from headrace.local_cluster import LocalCluster
from headrace.ops.base import Declaration, PlainOp, operator
from headrace.pipeline import FittedPipeline, Pipeline
from headrace.schema import Schema
from headrace.sha256sums import write_sums
from headrace.table import Table

STEPS = """
- filter: late IS NOT NULL
- fill_missing: {columns: [km], value: median}
- normalize: [km]
- categorify: [city]
- target_encoding: {columns: [city], target: late, folds: 3}
"""
Write = Callable[..., Path]


def rows(n_rows: int = 300, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "city": pa.array(random.choice(["Oslo", "Łódź", "Lima"], n_rows), mask=random.random(n_rows) < 0.1).dictionary_encode(),
            "km": pa.array(random.lognormal(3, 1, n_rows), mask=random.random(n_rows) < 0.1),
            "late": pa.array(random.integers(0, 2, n_rows), pa.int8(), mask=random.random(n_rows) < 0.1),
        }
    )


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline.from_yaml(STEPS)


def test_fitting_and_transforming_at_once_is_out_of_fold(pipeline: Pipeline) -> None:
    done = pipeline.fit_transform(rows())
    again = done.fitted.transform(rows())
    assert done.table.num_rows == again.num_rows == rows().num_rows - rows()["late"].null_count
    assert_same_table(done.table.drop_columns("city_te"), again.drop_columns("city_te"))
    assert len(set(again["city_te"].to_pylist())) == 4  # three cities and the null
    assert len(set(done.table["city_te"].to_pylist())) == 12  # each in three folds


def test_every_row_and_value_is_accounted_for(pipeline: Pipeline) -> None:
    ledger = pipeline.fit_transform(rows()).ledger
    nulls = rows()["late"].null_count
    assert ledger.rows() == {"in": 300, "filtered": nulls, "quarantined": 0, "out": 300 - nulls}
    kept = rows().filter(rows()["late"].is_valid())
    assert ledger.step_counts(1) == [{"event": "nulls_filled", "column": "km", "count": kept["km"].null_count}]


def test_files_give_what_the_table_gives(pipeline: Pipeline, parquet: Write) -> None:
    path = parquet(rows(), 5)
    assert_same_table(pipeline.fit_transform(path).table, pipeline.fit_transform(rows()).table)
    assert_same_table(pipeline.fit([str(path)]).transform(str(path)), pipeline.fit(rows()).transform(rows()))
    assert_same_table(pipeline.fit(hr.Dataset.open(path)).transform(path), pipeline.fit(rows()).transform(rows()))


def test_output_goes_to_a_folder_that_appears_when_it_is_whole(pipeline: Pipeline, tmp_path: Path) -> None:
    done = pipeline.fit_transform(rows(), tmp_path / "out")
    assert done.table is None
    assert done.dataset is not None
    assert done.dataset.n_rows == rows().num_rows - rows()["late"].null_count
    assert_same_table(pq.read_table(tmp_path / "out"), pipeline.fit_transform(rows()).table)
    written = done.fitted.transform(rows(), tmp_path / "served")
    assert_same_table(pq.read_table(tmp_path / "served"), done.fitted.transform(rows()))
    assert written.n_rows == done.dataset.n_rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "served"]


def test_an_output_that_is_there_is_not_touched(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    with pytest.raises(JobError, match=r"out' is there already"):
        pipeline.fit_transform(rows(), tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "keep"


def test_a_failure_leaves_nothing_half_written(pipeline: Pipeline, tmp_path: Path) -> None:
    fitted = pipeline.fit(rows())
    wrong = rows().set_column(1, "km", pa.array(["far"] * 300))
    with pytest.raises(DataError, match="km"):
        fitted.transform(wrong, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="cannot write"):
        pipeline.fit_transform(rows(), tmp_path / "file" / "out")


def test_a_source_without_rows_is_transformed_to_none_and_teaches_nothing(pipeline: Pipeline, parquet: Write, tmp_path: Path) -> None:
    fitted = pipeline.fit(rows())
    no_groups = tmp_path / "none.parquet"
    pq.ParquetWriter(no_groups, rows().schema).close()
    for index, source in enumerate((parquet(rows().slice(0, 0)), no_groups, rows().slice(0, 0))):
        assert_same_table(fitted.transform(source), fitted.transform(rows()).slice(0, 0))
        assert fitted.transform(source, tmp_path / f"out{index}").n_rows == 0
        assert_same_table(fitted.update(source).transform(rows()), fitted.transform(rows()))
        with pytest.raises(DataError, match="no training row is left"):
            pipeline.fit(source)


def test_a_filter_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match="no training row is left\n  look at the filters"):
        Pipeline.from_yaml("- filter: km < 0\n- normalize: [km]").fit(rows())


def test_columns_of_another_width_are_taken_and_of_another_kind_refused(pipeline: Pipeline) -> None:
    fitted = pipeline.fit(rows())
    narrow = rows().set_column(1, "km", pa.array(range(300), pa.int16()))
    wide = rows().set_column(1, "km", pa.array([float(value) for value in range(300)]))
    assert_same_table(fitted.transform(narrow), fitted.transform(wide))
    with pytest.raises(DataError, match="column 'km'"):
        fitted.transform(rows().set_column(1, "km", pa.array(["1"] * 300)))
    with pytest.raises(DataError, match="column 'late'"):
        fitted.transform(rows().set_column(2, "late", pa.array([1000] * 300)))


@pytest.mark.parametrize("type_", ["int32", "int64", "uint64"])
def test_integers_that_fit_are_taken_for_decimals(type_: str) -> None:
    fitted = Pipeline([hr.Normalize(["x"])]).fit(pa.table({"x": pa.array([Decimal("1.5"), Decimal("2.5")], pa.decimal128(9, 2))}))
    assert fitted.transform(pa.table({"x": pa.array([2, None], type_)}))["x"].to_pylist() == [0.0, None]
    with pytest.raises(DataError, match=r"column 'x': cannot be cast from .* does not fit in precision 9"):
        fitted.transform(pa.table({"x": pa.array([10**9], type_)}))


def test_a_missing_column_is_named_with_the_nearest(pipeline: Pipeline) -> None:
    fitted = pipeline.fit(rows())
    with pytest.raises(DataError, match="no column 'km'\n  nearest: 'kms'"):
        fitted.transform(rows().rename_columns(["city", "kms", "late"]))
    with pytest.raises(DataError, match="no column 'late'"):
        fitted.update(rows().drop_columns("late"))


def test_unseen_rows_need_no_label(pipeline: Pipeline) -> None:
    fitted = pipeline.fit(rows())
    unlabelled = fitted.transform(rows().drop_columns("late"))
    assert unlabelled.column_names == ["city", "km", "city_te"]
    assert unlabelled.num_rows == 300


def test_columns_in_another_order_and_more_of_them_change_nothing(pipeline: Pipeline) -> None:
    fitted = pipeline.fit(rows())
    moved = rows().select(["late", "km", "city"]).append_column("more", pa.array([1] * 300))
    assert_same_table(fitted.transform(moved), fitted.transform(rows()))


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("- normalise: [km]", "pipeline[0].normalise", "no operator 'normalise'"),
        ("- normalize: [km]\n  drop: [late]", "pipeline[0]", "a step is one operator and its settings"),
        ("- normalize", "pipeline[0]", "a step is one operator and its settings"),
        ("- normalize: {columns: [km], dtyp: float32}", "pipeline[0].normalize.dtyp", "unknown key"),
        ("- normalize: []", "pipeline[0].normalize.columns", "at least 1 must be named"),
        ("- target_encoding: {columns: [city]}", "pipeline[0].target_encoding.target", "is missing"),
        ("- categorify: {columns: [city], min_frequency: '15'}", "pipeline[0].categorify.min_frequency", "an integer is needed"),
        ("- normalize: {1: km}", "pipeline[0].normalize", "keys are names, not 1"),
    ],
)
def test_mistakes_in_yaml_name_their_key(text: str, key: str, message: str) -> None:
    with pytest.raises(JobErrors) as caught:
        Pipeline.from_yaml(text)
    assert caught.value.errors[0].key == key
    assert message in caught.value.errors[0].message


def test_all_mistakes_of_a_pipeline_come_together() -> None:
    with pytest.raises(JobErrors) as caught:
        Pipeline.from_yaml("- nosuch: 1\n- normalize: [km]\n- categorify: {columns: [c], min_frequency: -1}")
    assert [error.key for error in caught.value.errors] == ["pipeline[0].nosuch", "pipeline[2].categorify.min_frequency"]


@pytest.mark.parametrize("text", ["normalize: [km]", "5", ""])
def test_a_pipeline_is_a_list(text: str) -> None:
    with pytest.raises(JobError, match="a pipeline in YAML is a list of steps"):
        Pipeline.from_yaml(text)


def test_only_operators_make_a_pipeline() -> None:
    with pytest.raises(JobError, match="a pipeline is a list of operators, and 'normalize' is none"):
        Pipeline(["normalize"])  # type: ignore[list-item]


def test_a_pipeline_without_steps_changes_nothing(tmp_path: Path) -> None:
    done = Pipeline([]).fit_transform(rows())
    assert_same_table(done.table, rows())
    done.fitted.save(tmp_path / "saved")
    assert_same_table(hr.load(str(tmp_path / "saved")).transform(rows()), rows())


def buffers(column: pa.ChunkedArray) -> list[int | None]:
    return [buffer and buffer.address for chunk in column.chunks for buffer in chunk.buffers()]


@pytest.mark.parametrize("steps", ["- clip: {columns: [km], min: 1}", "- drop: [more]\n- derive: {more: km}\n- normalize: [km]"])
def test_columns_of_a_table_that_no_step_changes_are_handed_on_without_a_copy(steps: str) -> None:
    halves = rows(20_000), rows(10_000, seed=1)
    given = pa.concat_tables([half.drop_columns("city").append_column("more", half["km"]) for half in halves])
    given = given.append_column("title", pa.array([f"title {row}" for row in range(30_000)], pa.large_string()))
    given = given.append_column("tags", pa.array([[row] for row in range(30_000)]))
    done = Pipeline.from_yaml(steps).fit_transform(given)
    again = done.fitted.transform(given)
    for table in (done.table, again):
        assert table.schema == done.fitted.schema.to_arrow()
        assert [buffers(table[name]) for name in ("late", "tags")] == [buffers(given[name]) for name in ("late", "tags")]
        assert table["title"].type == pa.string()
        assert table["title"].to_pylist() == given["title"].to_pylist()
        assert table["km"].to_pylist() != given["km"].to_pylist()
    assert_same_table(again, done.table)
    assert (done.ledger.rows_in, done.ledger.rows_out) == (30_000, 30_000)


def test_rows_out_of_the_middle_of_long_texts_are_handed_on() -> None:
    ends = np.array([0, 2**31, 2**31 + 2, 2**31 + 3])  # of memory that nobody touches but for its end
    texts = pa.Array.from_buffers(pa.large_string(), 3, [None, pa.py_buffer(ends), pa.py_buffer(np.zeros(2**31 + 3, np.uint8))])
    last = pa.table({"s": texts, "n": [1.0, 2.0, 4.0]}).slice(1)
    for steps in ("- normalize: [n]", "- {normalize: [n]}\n- fill_missing: {columns: [s], value: none}"):
        made = Pipeline.from_yaml(steps).fit_transform(last).table
        assert (made["s"].type, made["s"].to_pylist()) == (pa.string(), ["\0\0", "\0"])


def test_a_user_s_own_operator_is_given_every_column() -> None:
    @operator
    class Everything(PlainOp):
        """Count the columns that it is given, and change one that it does not declare."""

        name: ClassVar[str] = "everything"

        def declare(self, schema: Schema, tables: Mapping[str, Schema]) -> Declaration:
            return Declaration((), schema, {})

        def apply(self, table: Table) -> Table:
            return table.with_columns({"km": table.backend.from_arrow(pa.array([float(len(table.names))] * table.n_rows))})

    assert Pipeline([Everything()]).fit_transform(rows(5)).table["km"].to_pylist() == [3.0] * 5


def test_a_cluster_that_is_open_stays_open(pipeline: Pipeline) -> None:
    cluster = LocalCluster(2)
    first = pipeline.fit(rows(), cluster=cluster)
    assert_same_table(first.transform(rows(), cluster=cluster), pipeline.fit(rows()).transform(rows()))
    cluster.close()


def test_progress_counts_every_task(pipeline: Pipeline) -> None:
    class Counting:
        def __init__(self) -> None:
            self.stages: list[tuple[str, int]] = []
            self.done = 0

        def start(self, stage: str, total: int) -> None:
            self.stages.append((stage, total))

        def advance(self) -> None:
            self.done += 1

    progress = Counting()
    pipeline.fit_transform(rows(), progress=progress)
    assert progress.stages == [("fit 1 of 2", 1), ("fit 2 of 2", 1), ("transform", 1)]
    assert progress.done == 3


def test_a_plan_is_made_without_reading_a_row(pipeline: Pipeline, parquet: Write) -> None:
    path = parquet(rows(), 3, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[100:200] = bytes(100)
    path.write_bytes(content)
    plan = pipeline.plan(path)
    assert [one.name for one in plan.passes] == ["fit 1 of 2", "fit 2 of 2", "transform"]
    with pytest.raises(DataError, match="cannot be read"):
        pipeline.fit(path)


def test_what_was_learnt_is_told_step_by_step(pipeline: Pipeline) -> None:
    told = pipeline.fit(rows()).learnt()
    assert told[0] == ""
    assert told[1].startswith("km = ")
    assert told[2].startswith("km: mean ")
    assert told[3] == "city: 3 categories"
    assert told[4].startswith("city_te: 4 keys, prior ")


def test_a_saved_pipeline_is_json_and_arrow_and_says_so(pipeline: Pipeline, tmp_path: Path) -> None:
    fitted = pipeline.fit(rows())
    fitted.save(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["SHA256SUMS", "pipeline.json", "states.arrows"]
    assert json.loads((tmp_path / "saved" / "pipeline.json").read_text())["pipeline"][0] == {"filter": "late IS NOT NULL"}
    assert_same_table(hr.load(str(tmp_path / "saved")).transform(rows(seed=1)), fitted.transform(rows(seed=1)))
    with pytest.raises(JobError, match="is there already"):
        fitted.save(tmp_path / "saved")


@pytest.mark.parametrize("name", ["pipeline.json", "states.arrows"])
def test_an_altered_byte_is_refused(pipeline: Pipeline, tmp_path: Path, name: str) -> None:
    pipeline.fit(rows()).save(tmp_path / "saved")
    content = bytearray((tmp_path / "saved" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "saved" / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"the file '{name}' was altered"):
        FittedPipeline.load(tmp_path / "saved")


def _with(**changes: object) -> Callable[[dict[str, object]], object]:
    return lambda content: {**content, **changes}


@pytest.mark.parametrize(
    "change",
    [
        _with(format=99),
        _with(pipeline=[{"os:system": "echo"}]),
        _with(pipeline=[{"nosuch": 1}]),
        _with(pipeline=["filter"]),
        _with(pipeline=7),
        _with(states={"0": {"values": {"items": []}}}),
        _with(states={"3": 5}),
        _with(states={"99": {}}),
        _with(states={"x": {}}),
        _with(parts={"0": {}}),
        _with(streams=[[0, 10**12]]),
        _with(streams=[]),
        _with(source={"stream": "zero"}),
        _with(tables=[1]),
        lambda content: [content],
        lambda content: None,
    ],
)
def test_a_saved_pipeline_that_does_not_hold_together_is_a_bundle_error(
    pipeline: Pipeline, tmp_path: Path, change: Callable[[object], object]
) -> None:
    pipeline.fit(rows()).save(tmp_path / "saved")
    content = json.loads((tmp_path / "saved" / "pipeline.json").read_text())
    (tmp_path / "saved" / "pipeline.json").write_text(json.dumps(change(content)))
    (tmp_path / "saved" / "SHA256SUMS").unlink()
    write_sums(tmp_path / "saved")  # somebody who knows what he does
    with pytest.raises(BundleError) as caught:
        read_fitted(tmp_path / "saved")
    assert caught.value.file == str(tmp_path / "saved")


def test_what_is_no_saved_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle: it has no SHA256SUMS"):
        hr.load(str(tmp_path))
    with pytest.raises(BundleError):
        hr.load(str(tmp_path / "gone"))


def test_one_operator_is_no_pipeline() -> None:
    with pytest.raises(JobError, match="a pipeline is a list of operators, and this is one alone"):
        Pipeline(hr.Normalize(["km"]))  # type: ignore[arg-type]


def test_what_a_prompt_shows_of_a_fitted_pipeline_does_not_grow_with_what_it_learnt() -> None:
    many = pa.table({f"c{i}": [f"{i}-{j}" for j in range(100)] for i in range(50)})
    fitted = Pipeline([hr.Categorify(many.column_names), hr.Drop(["c0"])]).fit(many)
    first, op, learnt, last = repr(fitted).splitlines()
    assert first == "FittedPipeline"
    assert op.startswith("  0 categorify: c0, c1, ")
    assert learnt.startswith("      learnt: c0: 100 categories, c1: 100 categories, ")
    assert learnt.endswith(" ...")
    assert last == "  1 drop: c0"
    assert len(repr(fitted)) < 500


def test_what_a_prompt_shows_of_transformed_rows_is_their_number_and_the_pipeline(tmp_path: Path) -> None:
    rows = pa.table({"km": [1.0, 3.0, None]})
    pipeline = Pipeline([hr.Dropna(["km"]), hr.Normalize(["km"])])
    shown = repr(pipeline.fit_transform(rows)).splitlines()
    assert shown[:2] == ["Transformed: 3 rows in, 2 out; table of pyarrow", "fitted = FittedPipeline"]
    assert "rows=2" in repr(pipeline.fit_transform(rows, tmp_path / "out")).splitlines()[0]
