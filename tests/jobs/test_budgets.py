"""Jobs with `run.memory`: strings that no step looks at, and keys of which too much is learnt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr
from headrace.errors import MemoryBudgetError

N_ROWS = 1_500_000
# Two workers in processes of their own take for themselves what threads share.
BUDGETS = {"local": "500MiB", "processes": "800MiB"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    ids = random.permutation(N_ROWS)
    columns = {"s": np.char.add("user-", ids.astype("U9")), "k": ids * 7919, "few": ids % 100, "y": random.normal(size=N_ROWS)}
    pq.write_table(pa.table(columns), path, row_group_size=N_ROWS // 12)
    return path


def job(rows: Path, folder: Path, step: str, cluster: str) -> hr.Job:
    path = folder / "job.yaml"
    path.write_text(
        f"job: budget\nsource: {{path: {rows}}}\npipeline:\n  - {step}\noutput: {{path: {folder / 'out'}, features: true}}\n"
        f"run: {{memory: {BUDGETS[cluster]}, cluster: {cluster}, workers: 2}}\n"
    )
    return hr.Job.load(path)


@pytest.mark.parametrize("cluster", BUDGETS)
def test_strings_that_no_step_looks_at_need_no_share_of_the_budget(rows: Path, tmp_path: Path, cluster: str) -> None:
    done = job(rows, tmp_path, "normalize: [y]", cluster).run()
    profile = {column["column"]: column for column in json.loads((done.directory / "run.json").read_text())["profile"]}
    assert profile["s"]["distinct"] == N_ROWS


@pytest.mark.parametrize("cluster", BUDGETS)
@pytest.mark.parametrize("step", ["join_groupby: {keys: [%s], stats: {y: [mean]}}", "target_encoding: {columns: [%s], target: y}"])
def test_more_keys_than_the_budget_holds_are_refused_by_step(rows: Path, tmp_path: Path, step: str, cluster: str) -> None:
    with pytest.raises(MemoryBudgetError, match=r"what step 0, \w+, learns takes more than") as caught:
        job(rows, tmp_path, step % "k", cluster).run()
    assert caught.value.key == "run.memory"
    assert not list((tmp_path / "out").glob("*"))
    assert job(rows, tmp_path, step % "few", cluster).run().record["ledger"]["rows"]["out"] == N_ROWS
