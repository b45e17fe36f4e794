"""On a real device: every CUDA kernel equals its CPU form, and `cluster: cuda` sets its workers up as it says."""

from __future__ import annotations

import pytest
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
