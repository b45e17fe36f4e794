"""Side tables: opened by their footers, the columns needed read, small ones whole and large ones by exchange."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.comparing import assert_same_table

from headrace import side_tables
from headrace.backends.arrow import backend
from headrace.dataset import Dataset
from headrace.errors import DataError, JobError
from headrace.ops.as_of_join import AsOfJoin
from headrace.ops.join import Apart
from headrace.ops.join_external import JoinExternal
from headrace.partitions import TableSource
from headrace.pipeline import FittedPipeline, Pipeline
from headrace.side_tables import SHARE, SideTables, read_side

Write = Callable[..., Path]
ROWS = pa.table({"k": [3, 1, None, 2, 9], "x": [0.0, 1.0, 2.0, 3.0, 4.0]})
OTHER = pa.table({"k": pa.array([1, 2, 3], pa.int64()), "v": ["a", None, "c"], "unused": [b"x" * 99] * 3})
JOIN = JoinExternal("other", on=["k"], columns=["v"])


@pytest.fixture
def read_columns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The columns of every read of row groups, as they happen."""
    seen: list[str] = []
    original = backend.read_batches

    def watched(dataset: Dataset, groups: Any, columns: Any) -> Any:
        seen.extend(columns)
        return original(dataset, groups, columns)

    monkeypatch.setattr(backend, "read_batches", watched)
    return seen


def test_only_the_columns_needed_are_read_and_none_before_the_run(parquet: Write, read_columns: list[str]) -> None:
    sides = SideTables.open([JOIN], {"other": parquet(OTHER, 3)})
    assert read_columns == []
    assert_same_table(sides.states([JOIN])[0].values, OTHER.select(["v"]))
    assert set(read_columns) == {"k", "v"}


def test_columns_are_plain_in_the_common_type_of_all_files(parquet: Write, tmp_path: Path) -> None:
    parquet(pa.table({"id": pa.array([1], pa.int32()), "s": pa.array(["a"]).dictionary_encode()}), name="d/a.parquet")
    parquet(pa.table({"id": [None, 2**40], "s": ["b", None]}), name="d/b.parquet")
    found = read_side(Dataset.open(tmp_path / "d"), ["s", "id"])
    assert found.equals(pa.table({"s": ["a", "b", None], "id": [1, None, 2**40]}))
    (tmp_path / "d" / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"b\.parquet"):
        read_side(Dataset.open(tmp_path / "d"), ["id"])


def test_a_table_in_memory_is_as_plain_as_one_in_files() -> None:
    times = pa.array([2, 1], pa.timestamp("ns"))
    layouts = pa.table(
        {
            "t": times.dictionary_encode(),
            "s": pa.array(["a", "b"]).dictionary_encode(),
            "v": pa.array(["x", "y"], pa.large_string()),
            "runs": pc.run_end_encode(pa.array([None, 7])),
        }
    )
    found = read_side(TableSource(layouts), ["t", "s", "v", "runs"])
    assert found.equals(pa.table({"t": times, "s": ["a", "b"], "v": ["x", "y"], "runs": [None, 7]}))
    as_of = Pipeline([AsOfJoin("other", on="t", columns=["v"])])
    assert as_of.fit_transform(pa.table({"t": times}), tables={"other": layouts}).table["v"].to_pylist() == ["x", "y"]


def test_hive_folders_are_columns_to_look_things_up_by(parquet: Write, tmp_path: Path) -> None:
    for month in (1, 2):
        parquet(pa.table({"v": [month * 10]}), name=f"d/month={month}/a.parquet")
    join = JoinExternal("other", on={"k": "month"}, columns=["v"])
    assert Pipeline([join]).fit_transform(ROWS, tables={"other": tmp_path / "d"}).table["v"].to_pylist() == [None, 10, None, 20, None]


def test_the_smallest_tables_are_read_whole_while_they_fit_together() -> None:
    small, large = pa.table({"k": [1], "v": ["a"]}), pa.table({"k": list(range(100)), "v": ["a"] * 100})
    ops = [JoinExternal(name, on=["k"], columns=["v"]) for name in ("large", "small", "small")]
    tables = {"small": small, "large": large}
    nbytes = {name: table.nbytes for name, table in tables.items()}
    assert _ways(ops, tables, nbytes["large"] + 2 * nbytes["small"]) == [False, False, False]
    assert _ways(ops, tables, nbytes["large"] + 2 * nbytes["small"] - 1) == [True, False, False]
    assert _ways(ops, tables, nbytes["small"]) == [True, False, True]


def test_a_series_without_keys_cannot_be_dealt_and_is_read_whole() -> None:
    prices = pa.table({"t": [1, 2], "bid": [1.0, 2.0], "ticker": ["a", "b"]})
    ops = [AsOfJoin("prices", on="t", columns=["bid"]), AsOfJoin("prices", on="t", columns=["bid"], by="ticker")]
    assert _ways(ops, {"prices": prices}, 1) == [False, True]


def _ways(ops: list[Any], tables: dict[str, pa.Table], limit: int) -> list[bool]:
    return [one.shuffled for one in SideTables.open(ops, tables, limit * SHARE).look_ups]


def test_a_job_s_memory_decides_and_a_job_without_one_is_the_same_everywhere() -> None:
    assert side_tables.USUAL_MEMORY // SHARE == 256 << 20
    plan = Pipeline([JOIN]).plan(ROWS, tables={"other": OTHER})
    assert plan.describe()["tables"] == [
        {"step": 0, "table": "other", "join": "broadcast", "keys": ["k"], "rows": 3, "bytes": OTHER.select(["k", "v"]).nbytes}
    ]
    assert [one.shuffled for one in SideTables.open([JOIN], {"other": OTHER}, 1 << 10).look_ups] == [False]
    assert [one.shuffled for one in SideTables.open([JOIN], {"other": OTHER}, 1 << 9).look_ups] == [True]


def test_an_unknown_table_is_refused_with_the_step_and_the_nearest() -> None:
    with pytest.raises(JobError, match=r"pipeline\[0\]\.join_external\.table: no table 'other'\n  nearest: 'others'"):
        SideTables.open([JOIN], {"others": OTHER})


# ---- serving ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FittedPipeline:
    """A pipeline whose table was joined by exchange, saved and loaded."""
    with monkeypatch.context() as patch:
        patch.setattr(side_tables, "SHARE", 1 << 62)
        fitted = Pipeline([JOIN]).fit(ROWS, tables={"other": OTHER})
    fitted.save(tmp_path / "fitted")
    return FittedPipeline.load(tmp_path / "fitted")


def test_a_table_that_is_not_kept_must_be_given_again(apart: FittedPipeline) -> None:
    assert apart.fitted.states[0] == Apart(3, TableSource(OTHER).fingerprint)
    assert apart.learnt() == ["3 rows of other, which are not kept here"]
    for serve in (apart.transform, apart.update):
        with pytest.raises(DataError, match=r"the table 'other' of step 0 \(join_external\) was too large to be kept") as caught:
            serve(ROWS)  # type: ignore[operator]
        assert "--table other=PATH" in str(caught.value)


@pytest.mark.parametrize("share", [SHARE, 1 << 62], ids=["whole", "by exchange"])
def test_a_table_given_again_serves_whichever_way_it_is_joined(
    apart: FittedPipeline, parquet: Write, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_tables, "SHARE", share)
    path = parquet(OTHER, name="other.parquet")
    assert apart.transform(ROWS, tables={"other": path})["v"].to_pylist() == ["c", "a", None, None, None]
    assert apart.update(ROWS, tables={"other": path}).fitted.ops == apart.fitted.ops


def test_a_table_given_takes_the_place_of_one_that_is_kept() -> None:
    fitted = Pipeline([JOIN]).fit(ROWS, tables={"other": OTHER})
    newer = OTHER.set_column(1, "v", pa.array(["new", "new", "new"]))
    assert fitted.transform(ROWS, tables={"other": newer})["v"].to_pylist() == ["new", "new", None, "new", None]
    assert fitted.transform(ROWS)["v"].to_pylist() == ["c", "a", None, None, None]


def test_a_table_of_another_name_or_type_or_without_a_column_is_refused(apart: FittedPipeline) -> None:
    with pytest.raises(JobError, match="no table 'othr'\n  nearest: 'other'"):
        apart.transform(ROWS, tables={"othr": OTHER})
    with pytest.raises(DataError, match="other, column 'k': is int32, and the pipeline was fitted on int64\n  cast it before"):
        apart.transform(ROWS, tables={"other": OTHER.set_column(0, "k", OTHER["k"].cast("int32"))})
    with pytest.raises(DataError, match="other: no column 'v'"):
        apart.transform(ROWS, tables={"other": OTHER.drop_columns(["v"])})
