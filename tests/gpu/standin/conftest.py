"""The stand-ins are imported under the real packages' names, not collected as modules of tests."""

collect_ignore = ["cudf", "cuml", "cupy", "dask_cuda", "rmm"]
