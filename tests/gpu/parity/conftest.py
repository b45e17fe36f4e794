"""The device of these tests: stand-ins for all of the session, or the real one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.gpu.driver import pretend
from tests.gpu.standin.boosted import let_xgboost_take_device_arrays
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
        let_xgboost_take_device_arrays(patch)
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
