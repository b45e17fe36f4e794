"""Law: numbers that a file holds as codes of few values give the same output as a value a row, bit for bit, whatever is done to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.comparing import assert_same_table
from tests.laws.examples import TABLES, cases, rows
from tests.laws.running import Outcome, content, run

from headrace.backends.arrow import pages, read
from headrace.ops.base import Op
from headrace.ops.clip import Clip
from headrace.ops.derive import Derive
from headrace.ops.dropna import Dropna
from headrace.ops.fill_missing import FillMissing
from headrace.ops.filter import Filter
from headrace.ops.log import Log
from headrace.ops.normalize import Normalize
from headrace.ops.normalize_min_max import NormalizeMinMax
from headrace.pipeline import Pipeline

CASES = [pytest.param(op, id=name) for name, op in cases()]
FEW = ["delay", "late", "third", "small", "odd"]
CHAINS = {
    "filled, clipped, logged, scaled": [FillMissing(FEW, 0), Clip(FEW, min=0), Log(FEW), Normalize(FEW)],
    "clipped at both ends": [Clip(FEW, min=3, max=9), NormalizeMinMax(FEW)],
    "logged where there is none": [Log(["third", "odd"]), FillMissing(["third", "odd"], "mean"), Normalize(["third", "odd"])],
    "logged with nulls": [Log(["third", "odd"], base=10, plus=25), Normalize(["third", "odd"])],
    "filled by the median": [FillMissing(["third", "delay"], "median"), Normalize(["third", "delay"])],
    "fewer rows": [Filter("late = 1 or third > 5"), Dropna(["small"]), FillMissing(FEW, 1), Normalize(FEW)],
    "no row": [Clip(FEW, min=0), Normalize(FEW), Filter("third > 1000")],
    "read by others": [Clip(["third"], min=0), Derive({"sum": "third + delay", "late": "late * 2"}), Normalize(["third", "sum"])],
}


@pytest.fixture
def coded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """While this holds, small row groups are read as codes, too; it lists the columns that were."""
    found: list[str] = []
    read_coded = pages._coded_numbers

    def counted(chunk: pages._Chunk, *rest: object) -> pa.Array | None:
        column = read_coded(chunk, *rest)  # type: ignore[arg-type]
        if column is not None:
            found.append(chunk.name)
        return column

    monkeypatch.setattr(pages, "_coded_numbers", counted)
    monkeypatch.setattr(pages, "LEAST_CODED_ROWS", 1)
    monkeypatch.setattr(pages, "LEAST_ROWS_A_VALUE", 1)
    monkeypatch.setattr(read, "LEAST_DECODED", 1)
    return found


def _more_rows() -> pa.Table:
    """Return the rows with columns of few values more: with and without nulls, float32, NaN and infinities."""
    table, random = rows(), np.random.default_rng(4)
    third = random.integers(-30, 40, table.num_rows) / 3
    odd = random.choice([np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, 1.5, -24.0, 1e300], table.num_rows)
    columns = {
        "third": pa.array(third),
        "small": pa.array(third.astype(np.float32), mask=random.random(table.num_rows) < 0.5),
        "odd": pa.array(odd, mask=random.random(table.num_rows) < 0.2),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("codes")
    for name, dictionary in (("coded", True), ("plain", False)):
        pq.write_table(_more_rows(), made / f"{name}.parquet", use_dictionary=dictionary)
    return made


@pytest.mark.parametrize("op", CASES)
def test_an_operator_sees_values(op: Op, folder: Path, coded: list[str]) -> None:
    plain = run([op], folder / "plain.parquet", TABLES)
    assert not coded
    _assert_same_outcome(run([op], folder / "coded.parquet", TABLES, workers=2), plain)


def test_rows_are_read_as_codes(folder: Path, coded: list[str]) -> None:
    run([Normalize(["third", "small"])], folder / "coded.parquet", TABLES)
    assert {"third", "small"} <= set(coded)


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_the_same(name: str, folder: Path, coded: list[str]) -> None:
    plain = run(CHAINS[name], folder / "plain.parquet", TABLES)
    assert not coded
    found = run(CHAINS[name], folder / "coded.parquet", TABLES)
    assert coded
    _assert_same_outcome(found, plain)
    assert found.counts() == plain.counts()


@pytest.mark.parametrize("name", CHAINS)
def test_what_is_written_is_the_same(name: str, folder: Path, tmp_path: Path, coded: list[str]) -> None:
    written = {}
    for kind in ("plain", "coded"):
        Pipeline(CHAINS[name]).fit_transform(folder / f"{kind}.parquet", output=tmp_path / kind)
        written[kind] = pq.read_table(tmp_path / kind)
    assert coded
    assert_same_table(written["coded"], written["plain"])


def _assert_same_outcome(found: Outcome, expected: Outcome) -> None:
    assert_same_table(found.table, expected.table)
    assert content(found.states) == content(expected.states)
