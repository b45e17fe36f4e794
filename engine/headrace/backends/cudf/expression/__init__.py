"""SQL expressions on a GPU: arithmetic, comparisons and times on the device, all else by the CPU's own functions on distinct values."""

from headrace.backends.cudf.expression.evaluator import NATIVE, evaluate

__all__ = ["NATIVE", "evaluate"]
