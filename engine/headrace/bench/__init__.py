"""Benchmarks: the engine and its kernels against the best that a user could write or pick instead.

| module | what it is for |
|---|---|
| `measure` | one command as a fresh process: wall, CPU and memory of it and all its children |
| `cases`, `interleave` | what is compared, and the runs in turn: A B A B ... |
| `serving` | the same for single calls: a process a side, warmed up, asked in turn |
| `agreement` | do the files that the sides wrote hold the same? |
| `files`, `criteo`, `taxi`, `calls` | the suites: their data, jobs and sides |
| `chart`, `pages`, `shown` | results as a chart, as tables in docs/performance.md and in a terminal |
| `suites` | the table of suites, and the one function that runs one |

`peers/` has scripts, not modules: each runs as a process of its own, as what a user of Polars, DuckDB, Dask or NumPy would write (and
ours beside them); nothing here imports one. `jobs/` has the jobs that suites run, the same as in `configs/` of the source tree. The
driver itself imports little: what it holds would count as memory of each process that it starts.
"""
