"""The device of these tests: stand-ins for all of the session, or the real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.gpu.driver import pretend
from tests.gpu.where import ON_STANDIN

from headrace.table import Backend


@pytest.fixture(scope="session", autouse=True)
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """On stand-ins: a driver that answers for one GPU, and an XGBoost that takes rows from it."""
    if not ON_STANDIN:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch, tmp_path_factory.mktemp("driver"), 1)
        _let_xgboost_take_device_arrays(patch)
        with np.errstate(all="ignore"):  # a device says nothing of overflow and invalid values, plain Python does
            yield


@pytest.fixture
def cpu() -> Backend:
    from headrace.backends import open_backend

    return open_backend("cpu")


@pytest.fixture
def gpu() -> Backend:
    from headrace.backends import open_backend

    return open_backend("gpu")


def _let_xgboost_take_device_arrays(patch: pytest.MonkeyPatch) -> None:
    """XGBoost for the CPU would read a device's addresses: hand it the host's copy, and let it train where it can."""
    import cupy
    import xgboost

    from headrace.models import boosted

    take_block, predict, set_param = boosted.FixedBlocks.next, xgboost.Booster.inplace_predict, xgboost.Booster.set_param

    def next_block(self: boosted.FixedBlocks, input_data: Any) -> bool:
        return take_block(self, lambda data, label: input_data(data=cupy.asnumpy(data), label=cupy.asnumpy(label)))

    def inplace_predict(self: xgboost.Booster, data: Any) -> Any:
        if not hasattr(data, "__cuda_array_interface__"):
            return predict(self, data)
        return cupy.asarray(predict(self, cupy.asnumpy(data)))

    def without_device(self: xgboost.Booster, params: Any, value: Any = None) -> None:
        set_param(self, {name: value for name, value in dict(params).items() if name != "device"})

    patch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": True})
    patch.setattr(boosted.FixedBlocks, "next", next_block)
    patch.setattr(xgboost.Booster, "inplace_predict", inplace_predict)
    patch.setattr(xgboost.Booster, "set_param", without_device)
