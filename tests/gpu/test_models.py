"""Models on `device: gpu`, on a stand-in of cuML and CuPy: the CPU's numbers, the CPU's files, and clear errors without a library."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import xgboost
from tests.gpu import device_arrays

from headrace.errors import DataError, JobError, MemoryBudgetError, MissingLibraryError
from headrace.models import KINDS, ModelSettings, boosted, fit_model, load_model
from headrace.models.together import Member, fit_together, starting_score

STANDIN = Path(__file__).parent / "standin"
FEATURES = ("a", "b", "c")
EVERY_MODEL = [(kind, task) for kind, entry in KINDS.items() for task in entry.tasks if entry.explains]
LINEAR = [
    ("linear_regression", "regression", {}),
    ("linear_regression", "regression", {"fit_intercept": False}),
    ("linear_regression", "regression", {"alpha": 30.0}),
    ("logistic_regression", "binary", {"C": 0.01}),
    ("logistic_regression", "binary", {"class_weight": "balanced", "fit_intercept": False}),
    ("logistic_regression", "binary", {"class_weight": {1: 2.5}, "C": 0.01}),
    ("logistic_regression", "multiclass", {"class_weight": {0: 0.5, 2: 4.0}, "C": 0.01, "tol": 1e-8}),
    ("logistic_regression", "multiclass", {"max_iter": 60, "tol": 1e-6}),
]


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """cupy and cuml of the stand-in, and an XGBoost that says it was built for GPUs."""
    monkeypatch.syspath_prepend(STANDIN)
    monkeypatch.setitem(sys.modules, "cupy", device_arrays.module())
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": True})
    let_xgboost_take_device_arrays(monkeypatch)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "cuml"]:
        del sys.modules[name]


HANDED: list[str] = []


def let_xgboost_take_device_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """XGBoost for the CPU would read a device's addresses: hand it the host's, and note what it was handed."""
    take_block, predict, set_param = boosted.FixedBlocks.next, xgboost.Booster.inplace_predict, xgboost.Booster.set_param
    devices: WeakKeyDictionary[xgboost.Booster, str] = WeakKeyDictionary()

    def next_block(self: boosted.FixedBlocks, input_data: Any) -> bool:
        def take(data: Any, label: Any) -> None:
            HANDED.append(f"train {type(data).__name__} {type(label).__name__}")
            input_data(data=device_arrays.asnumpy(data), label=device_arrays.asnumpy(label))

        return take_block(self, take)

    def inplace_predict(self: xgboost.Booster, data: Any) -> Any:
        on_device = devices.get(self) == "cuda"
        assert isinstance(data, device_arrays.DeviceArray) == on_device, "XGBoost would copy the rows to the other device"
        predicted = predict(self, device_arrays.asnumpy(data))
        return device_arrays.asarray(predicted) if on_device else predicted

    def note(self: xgboost.Booster, params: Any, value: Any = None) -> None:
        if "device" in params:
            devices[self] = params["device"]
        set_param(self, {name: value for name, value in dict(params).items() if name != "device"})

    HANDED.clear()
    monkeypatch.setattr(boosted.FixedBlocks, "next", next_block)
    monkeypatch.setattr(xgboost.Booster, "inplace_predict", inplace_predict)
    monkeypatch.setattr(xgboost.Booster, "set_param", note)


def rows(n: int = 3_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(n, 3)).astype(np.float32)
    return matrix, 2 * matrix[:, 0] - 0.5 * matrix[:, 1] + rng.normal(size=n)


def target_of(task: str, score: np.ndarray) -> np.ndarray:
    return {"binary": (score > 0).astype(np.int8), "multiclass": np.digitize(score, [-1, 1]), "regression": score}[task]


def trained(kind: str, task: str, device: str, params: dict[str, Any] | None = None, where: Any = np.asarray) -> Any:
    matrix, score = rows()
    target = target_of(task, score)
    blocks = [(where(matrix[part]), where(target[part])) for part in (slice(0, 700), slice(700, 3_000))]
    return fit_model(ModelSettings(kind, task, params or {}, rounds=8), FEATURES, blocks, 1, device)


@pytest.mark.parametrize(("kind", "task", "params"), LINEAR)
@pytest.mark.parametrize("where", [np.asarray, device_arrays.asarray], ids=["host", "device"])
def test_linear_models_have_the_meaning_of_the_cpu(kind: str, task: str, params: dict[str, Any], where: Any) -> None:
    matrix, _ = rows()
    on_cpu, on_gpu = trained(kind, task, "cpu", params), trained(kind, task, "gpu", params, where)
    np.testing.assert_allclose(on_gpu.predict(matrix), on_cpu.predict(matrix), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(on_gpu.contributions(matrix), on_cpu.contributions(matrix), rtol=1e-3, atol=1e-3)
    assert on_gpu.seen == on_cpu.seen


@pytest.mark.parametrize("params", [{}, {"alpha": 3.0}], ids=str)
def test_a_single_feature_has_a_slope_on_both(params: dict[str, Any]) -> None:
    matrix, score = rows(100)
    settings = ModelSettings("linear_regression", "regression", params)
    on_cpu, on_gpu = (fit_model(settings, ("a",), [(matrix[:, :1], score)], 1, device) for device in ("cpu", "gpu"))
    np.testing.assert_allclose(on_gpu.coef, on_cpu.coef, rtol=1e-6)


@pytest.mark.parametrize(
    "told",
    [
        "[10:20:30] device_helpers.cu:20: Memory allocation error on worker 0: std::bad_alloc: cudaErrorMemoryAllocation: out of memory\n- Free",
        "parallel_for failed: cudaErrorMemoryAllocation: out of memory",
    ],
)
def test_a_device_that_is_full_is_no_mistake_of_the_parameters(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise xgboost.core.XGBoostError(told)

    monkeypatch.setattr(xgboost, "train", full)
    with pytest.raises(MemoryBudgetError, match=r"the GPU has no room to train: .*cudaErrorMemoryAllocation: out of memory\n") as caught:
        trained("xgboost", "regression", "gpu")
    assert caught.value.key == "run.device"


@pytest.mark.parametrize("kind", ["linear_regression", "kmeans"])
def test_a_device_that_is_full_is_told_of_each_kind(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError("std::bad_alloc: out_of_memory: CUDA error (failed to allocate 8 bytes)")

    matrix, score = rows(50)
    monkeypatch.setattr(sys.modules["cupy"], "concatenate", full)
    settings = ModelSettings(kind)
    with pytest.raises(MemoryBudgetError, match="the GPU has no room to train: std::bad_alloc: out_of_memory: "):
        fit_model(settings, FEATURES, [(matrix, score)], 1, "gpu")


def test_a_device_that_is_full_before_members_join_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise xgboost.core.XGBoostError("parallel_for failed: cudaErrorMemoryAllocation: out of memory")

    matrix, score = rows()
    settings = ModelSettings("xgboost", "regression").resolved(score)
    monkeypatch.setattr(xgboost, "QuantileDMatrix", full)
    with pytest.raises(MemoryBudgetError, match=r"the GPU has no room to train: .*cudaErrorMemoryAllocation"):
        fit_together(settings, FEATURES, [(matrix, score)], matrix, "0.5", 1, "gpu", Member())


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"max_leaves": 9, "max_features": 1.0, "min_samples_leaf": 4},
        {"max_samples": 750, "max_features": 5, "min_samples_split": 0.1},
        {"max_samples": 1},
        {"bootstrap": False},
    ],
    ids=str,
)
def test_forests_have_the_meaning_of_the_cpu(task: str, params: dict[str, Any]) -> None:
    """The stand-in finds the CPU's splits, so all is equal; inner nodes' values, which cuML does not export, are computed again."""
    matrix, _ = rows()
    on_cpu, on_gpu = trained("random_forest", task, "cpu", params), trained("random_forest", task, "gpu", params, device_arrays.asarray)
    np.testing.assert_array_equal(on_gpu.predict(matrix), on_cpu.predict(matrix))
    np.testing.assert_allclose(on_gpu.contributions(matrix), on_cpu.contributions(matrix), atol=1e-7)


@pytest.mark.parametrize(("kind", "task"), EVERY_MODEL)
def test_a_model_of_one_device_predicts_on_the_other(kind: str, task: str, tmp_path: Path) -> None:
    matrix, _ = rows(200)
    for device in ("cpu", "gpu"):
        model = trained(kind, task, device)
        model.save(tmp_path / device)
        again = load_model(tmp_path / device, threads=1)
        expected = again.predict(matrix)
        for where in (np.asarray, device_arrays.asarray):
            predicted = again.predict(where(matrix))
            assert type(predicted) is np.ndarray
            np.testing.assert_allclose(predicted, expected, rtol=1e-6)
            np.testing.assert_allclose(again.contributions(where(matrix)), model.contributions(matrix), rtol=1e-6)


def test_threads_that_predict_on_different_devices_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, _ = rows()
    model = trained("xgboost", "multiclass", "cpu")  # which XGBoost itself predicts, on the CPU too
    expected = model.predict(matrix)
    predict, within, done = xgboost.Booster.inplace_predict, threading.Event(), threading.Event()

    def wait_within(self: xgboost.Booster, data: Any) -> Any:
        if isinstance(data, device_arrays.DeviceArray):
            within.set()
            assert done.wait(60)
        return predict(self, data)

    monkeypatch.setattr(xgboost.Booster, "inplace_predict", wait_within)
    with ThreadPoolExecutor(1) as pool:
        on_device = pool.submit(model.predict, device_arrays.asarray(matrix))
        try:
            assert within.wait(60)
            np.testing.assert_array_equal(model.predict(matrix), expected)
        finally:
            done.set()
        np.testing.assert_array_equal(on_device.result(60), expected)


def test_threads_of_one_device_load_one_booster(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, _ = rows()
    model = trained("xgboost", "binary", "cpu")
    load, second, loads = xgboost.Booster, threading.Event(), []

    def wait_for_the_second(**settings: Any) -> xgboost.Booster:
        loads.append(settings)
        assert second.wait(60)
        return load(**settings)

    def follow() -> np.ndarray:
        second.set()
        return model.predict(device_arrays.asarray(matrix))

    monkeypatch.setattr(xgboost, "Booster", wait_for_the_second)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(model.predict, device_arrays.asarray(matrix))
        np.testing.assert_array_equal(pool.submit(follow).result(60), first.result(60))
    assert len(loads) == 1


def test_files_do_not_name_the_device(tmp_path: Path) -> None:
    for kind, task in EVERY_MODEL:
        trained(kind, task, "gpu").save(tmp_path / kind / task)
        assert "device" not in json.loads((tmp_path / kind / task / "model.json").read_text())["settings"]


def test_xgboost_gets_its_quantiles_from_device_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    train = xgboost.train

    def on_the_cpu(params: dict[str, Any], *rest: Any, **more: Any) -> Any:
        asked.append(params)
        return train({name: value for name, value in params.items() if name != "device"}, *rest, **more)

    monkeypatch.setattr(xgboost, "train", on_the_cpu)
    for device, where in (("gpu", device_arrays.asarray), ("gpu", np.asarray), ("cpu", np.asarray)):
        trained("xgboost", "binary", device, where=where)
        assert set(HANDED) == {"train DeviceArray DeviceArray" if device == "gpu" else "train ndarray ndarray"}
        HANDED.clear()
    assert [params.get("device") for params in asked] == ["cuda", "cuda", None]


def test_one_that_trains_with_others_hands_device_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    train = xgboost.train

    def on_the_cpu(params: dict[str, Any], *rest: Any, **more: Any) -> Any:
        asked.append(params)
        return train({name: value for name, value in params.items() if name != "device"}, *rest, **more)

    monkeypatch.setattr(xgboost, "train", on_the_cpu)
    matrix, score = rows()
    target = target_of("binary", score)
    settings = ModelSettings("xgboost", rounds=8).resolved(target)
    start = starting_score(settings, target)
    asked.clear()
    block = (device_arrays.asarray(matrix), device_arrays.asarray(target))
    model = fit_together(settings, FEATURES, [block], matrix, start, 1, "gpu", Member())
    assert [params["device"] for params in asked] == ["cuda"]
    assert set(HANDED) == {"train DeviceArray DeviceArray"}
    np.testing.assert_array_equal(model.predict(matrix), trained("xgboost", "binary", "cpu").predict(matrix))
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": False})
    with pytest.raises(MissingLibraryError, match="was built without CUDA"):
        fit_together(settings, FEATURES, [block], matrix, start, 1, "gpu", Member())


def test_an_xgboost_without_cuda_is_refused_and_does_not_train_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": False})
    with pytest.raises(MissingLibraryError, match=r"was built without CUDA\n  pip install 'headrace\[gpu\]', in an environment without"):
        trained("xgboost", "binary", "gpu")


def test_a_missing_cuml_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuml", None)
    with pytest.raises(MissingLibraryError, match=r"needs the library 'cuml.linear_model'.*\n  pip install 'headrace\[gpu\]'"):
        trained("linear_regression", "regression", "gpu")


def test_a_value_that_cuml_refuses_is_the_jobs_mistake() -> None:
    with pytest.raises(JobError, match="cuML refuses: class_weight must be a dict"):
        trained("random_forest", "binary", "gpu", {"class_weight": "balanced_subsample"})
    with pytest.raises(JobError, match="cuML refuses: max_samples is 4000, and there are 3000 training rows"):
        trained("random_forest", "binary", "gpu", {"max_samples": 4_000})


def test_missing_values_on_the_device_are_refused_by_name() -> None:
    matrix, score = rows(50)
    matrix[3, 1] = np.nan
    with pytest.raises(DataError, match="column 'b': missing in 1 of 50 rows"):
        fit_model(ModelSettings("linear_regression"), FEATURES, [(device_arrays.asarray(matrix), score)], 1, "gpu")


@pytest.mark.parametrize("target", [np.ones(50), np.where(np.arange(50) % 5, np.arange(50.0), np.nan)], ids=["one value", "NaN"])
def test_what_is_wrong_with_a_target_is_counted_in_rows(target: np.ndarray) -> None:
    matrix, _ = rows(50)
    said = []
    for where in (np.asarray, device_arrays.asarray):
        with pytest.raises(DataError, match=r"(of|all) 50 training rows") as caught:
            fit_model(ModelSettings("xgboost"), FEATURES, [(where(matrix), where(target))], 1, "gpu")
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_the_standin_refuses_what_the_real_estimators_lack() -> None:
    from cuml.linear_model import LogisticRegression, Ridge

    with pytest.raises(TypeError, match="unexpected keyword argument 'solvr'"):
        Ridge(solvr="eig")
    with pytest.raises(TypeError, match="takes 0 positional arguments"):
        LogisticRegression("l2")
    with pytest.raises(AttributeError, match="has no attribute 'coefs_'"):
        _ = Ridge().coefs_
    with pytest.raises(NotImplementedError, match="lacks 'predict_log_proba'"):
        _ = LogisticRegression().predict_log_proba
