"""SQL expressions on Arrow arrays: the CPU's implementation of each function that `headrace.expressions` lists."""

from headrace.backends.arrow.expression.evaluator import IMPLEMENTATIONS, evaluate

__all__ = ["IMPLEMENTATIONS", "evaluate"]
