"""CuPy without a device: NumPy behind what CuPy refuses; names and signatures as the real package has them."""

from __future__ import annotations

import numpy as _np
from tests.gpu.standin import offered as _offered

from cupy._array import ndarray
from cupy._functions import functions as _functions
from cupy._ufuncs import UFUNCS as _UFUNCS
from cupy._ufuncs import ufunc

__version__ = "14.2.0"
__all__ = ["ndarray", "ufunc"]

# Types and constants are NumPy's own there too.
_CONSTANTS = {
    name: found
    for name, found in vars(_np).items()
    if _offered.has_name("cupy", name) and (isinstance(found, type | float) or found is None) and name != "ndarray"
}
globals().update({**_CONSTANTS, **_UFUNCS, **_functions()})
globals().update(result_type=_np.result_type, promote_types=_np.promote_types, can_cast=_np.can_cast, issubdtype=_np.issubdtype)

__getattr__ = _offered.refuse_names("cupy")
