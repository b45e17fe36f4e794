"""The CPU backend, on Arrow's arrays and kernels."""
