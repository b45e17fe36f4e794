"""XGBoost for the CPU, with rows from the stand-in's device."""

from __future__ import annotations

from typing import Any

import pytest


def let_xgboost_take_device_arrays(patch: pytest.MonkeyPatch) -> None:
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
