"""The GPU backend: Parquet read by cuDF, columns on the device as CuPy arrays, kernels of Numba on their buffers."""
