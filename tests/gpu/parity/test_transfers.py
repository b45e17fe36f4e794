"""The ledger's count of what moves to the host is complete: it equals what the stand-ins saw move."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gpu.where import MARKS, ON_STANDIN
from tests.laws.examples import TABLES, cases, rows
from tests.laws.running import run

from headrace.ops.base import Op

pytestmark = [*MARKS, pytest.mark.skipif(not ON_STANDIN, reason="only a stand-in sees every transfer")]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.writing import write_parquet

    return write_parquet(tmp_path_factory.mktemp("source") / "rows.parquet", rows(120), 2)


@pytest.mark.parametrize(("name", "op"), cases(), ids=[name for name, _ in cases()])
def test_every_array_that_an_operator_moves_to_the_host_is_in_the_ledger(name: str, op: Op, source: Path) -> None:
    from tests.gpu.standin.memory import TRANSFERS

    TRANSFERS.clear()
    found = run([op], str(source), TABLES, device="gpu")
    counted = found.ledger.transfers
    assert sum(counted.counts.values()) == TRANSFERS.n_to_host > 0
    assert sum(counted.nbytes.values()) >= TRANSFERS.bytes_to_host  # texts are counted as Arrow holds them, with 64-bit offsets
