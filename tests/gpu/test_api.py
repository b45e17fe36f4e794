"""The snapshot of the GPU packages' signatures: of the version that the project pins, whole, and small."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

API = Path(__file__).parent / "api"
ROOT = Path(__file__).parents[2]
PINNED = {"cudf": "cudf-cu12", "cuml": "cuml-cu12[dask]", "dask_cuda": "dask-cuda"}


@cache
def snapshot(package: str) -> dict[str, Any]:
    return json.loads((API / f"{package}.json").read_text())


@pytest.mark.parametrize("package", sorted(PINNED))
def test_the_snapshot_is_of_the_version_that_is_pinned(package: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (pin,) = [line.removeprefix(PINNED[package]) for line in extras["gpu"] if line.startswith(PINNED[package] + "==")]
    assert pin == "==" + ".".join(snapshot(package)["version"].split(".")[:2]) + ".*", "make gpu-api, and mend what it breaks"


def test_keywords_hidden_behind_kwargs_are_listed() -> None:
    init = snapshot("dask_cuda")["classes"]["LocalCUDACluster"]["init"]
    assert "**kwargs" in init["signature"]
    assert "rmm_pool_size=" in init["signature"]
    assert {"dashboard_address", "silence_logs"} <= set(init["keywords"])


@pytest.mark.parametrize("name", ["cuml.dask.cluster.KMeans", "cuml.dask.linear_model.LinearRegression"])
def test_estimators_of_many_gpus_take_what_those_of_one_take(name: str) -> None:
    classes = snapshot("cuml")["classes"]
    alone = classes[name.replace("cuml.dask.", "cuml.")]["init"]["signature"].strip("()").split(", ")
    offered = classes[name]["init"]
    known = set(offered.get("keywords", ())) | {word.rstrip("=") for word in offered["signature"].strip("()").split(", ")}
    assert {word.rstrip("=") for word in alone if word != "*"} <= known


def test_the_names_that_frames_are_read_and_grouped_by_are_there() -> None:
    cudf = snapshot("cudf")
    assert "row_groups=" in cudf["functions"]["read_parquet"]["signature"]
    assert "dropna=" in cudf["classes"]["DataFrame"]["members"]["groupby"]["signature"]
    assert "seed=" in cudf["classes"]["Series"]["members"]["hash_values"]["signature"]


def test_the_snapshot_is_small() -> None:
    assert sum(path.stat().st_size for path in API.glob("*.json")) < 1 << 20
