"""On a real device: every CUDA kernel equals its CPU form, `cluster: cuda` sets its workers up as it says, and cuDF spills."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.comparing import assert_same_table
from tests.gpu import spilling
from tests.kernels.cuda_parity import CASES, parity

from headrace.cluster import open_cluster
from headrace.gpus import find_gpus

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(("kind", "names"), CASES.items(), ids=CASES)
def test_the_device_equals_the_cpu(kind: str, names: tuple[str, ...]) -> None:
    done = parity(kind, names)
    assert (done.stdout.split(), done.returncode) == (list(names), 0), done.stderr


def allocator_and_spilling() -> tuple[str, bool]:
    import cudf
    import rmm

    return type(rmm.mr.get_current_device_resource()).__name__, cudf.get_option("spill")


def test_workers_of_the_cuda_cluster_have_their_allocator_and_spill() -> None:
    pytest.importorskip("dask_cuda")
    cluster = open_cluster("cuda")
    try:
        assert cluster.n_workers == len(find_gpus())
        assert cluster.gather([cluster.submit(allocator_and_spilling)]) == [("LimitingResourceAdaptor", True)]
    finally:
        cluster.close()


def test_cudf_spills_where_it_may_keep_little_and_the_rows_are_the_same(tmp_path: Path) -> None:
    pytest.importorskip("cudf")
    draw = np.random.default_rng(3)
    numbers = {f"x{index}": pa.array(draw.normal(size=200_000), mask=draw.random(200_000) < 0.1) for index in range(8)}
    words = pa.array([f"w{index}" for index in draw.integers(0, 1_000, 200_000)])
    pq.write_table(pa.table({**numbers, "word": words}), tmp_path / "rows.parquet", row_group_size=50_000)
    command = [sys.executable, "-m", "tests.gpu.spilling", str(tmp_path / "rows.parquet"), str(tmp_path / "gpu")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > int(spilling.SETTINGS["CUDF_SPILL_DEVICE_LIMIT"])
    spilling.pipeline().fit_transform(str(tmp_path / "rows.parquet"), output=str(tmp_path / "cpu"), device="cpu")
    assert_same_table(pq.read_table(tmp_path / "gpu"), pq.read_table(tmp_path / "cpu"), 2e-6)
