"""The GPU backend is imported where CuPy is: on a GPU, or on the stand-ins of `tests/gpu/parity`."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("cupy") else ["headrace/backends/cudf/*"]
