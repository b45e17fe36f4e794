"""The start of a process: what is put off is not there, and behaves as ever once somebody asks for it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.startup import ahead

JOB = """
job: small
source: {path: data.parquet}
pipeline:
  - fill_missing: {columns: [x], value: 0}
  - normalize: [x]
  - categorify: [c]
output: {path: out, features: true}
"""


ONE_ARENA = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or (os.cpu_count() or 1) >= 8, reason="only one arena of glibc is filled ahead"
)


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_a_job_with_json_imports_none_of_what_it_does_not_use(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0, None, 3.0], "c": ["a", "b", "a"]}), tmp_path / "data.parquet")
    (tmp_path / "job.yaml").write_text(JOB)
    unused = ["pandas", "scipy.linalg", "rich", "matplotlib", "sqlglot", "distributed", "fsspec", "xgboost", "sklearn"]
    for _ in range(2):  # the first may have kernels to compile, and a compiler asks for more
        found = run(
            "import atexit, sys; from headrace.cli import main; sys.argv = ['headrace', 'run', 'job.yaml', '--json'];"
            f"atexit.register(lambda: print([name for name in {unused!r} if name in sys.modules])); main()",
            tmp_path,
        ).splitlines()
    assert json.loads(found[0])["rows"]["out"] == 3
    assert found[1] == "[]"


def test_what_workers_need_is_imported_beside_what_the_job_needs(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB + "run: {cluster: local}\ntypo: 1\n")
    found = run(
        "import sys; from headrace import cluster\n"
        "cluster.prepare_cluster = lambda name: print(name, [heavy for heavy in ('numpy', 'pyarrow') if heavy in sys.modules])\n"
        "from headrace.cli import main; sys.argv = ['headrace', 'run', 'job.yaml', '--cluster', 'processes']\n"
        "try: main()\nexcept SystemExit as done: print(done.code)",
        tmp_path,
    )
    assert found.splitlines() == ["processes []", "2"]


def test_threads_of_blas_are_told_to_sleep_soon_before_numpy_comes(tmp_path: Path) -> None:
    found = run(
        "import atexit, os, sys; from headrace.cli import main; print('numpy' in sys.modules); sys.argv = ['headrace', '--version']\n"
        "atexit.register(lambda: print(os.environ['OPENBLAS_THREAD_TIMEOUT'])); main()",
        tmp_path,
    ).splitlines()
    assert (found[0], found[-1]) == ("False", "20")


@pytest.mark.parametrize(("asked", "is_huge"), [("", "False"), ("1", "True")])
def test_numpy_takes_small_pages_unless_it_is_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, is_huge: str
) -> None:
    monkeypatch.delenv("NUMPY_MADVISE_HUGEPAGE", raising=False)
    if asked:
        monkeypatch.setenv("NUMPY_MADVISE_HUGEPAGE", asked)
    code = "import numpy as np, headrace.backends; print(np._core.multiarray._set_madvise_hugepage(False))"
    assert run(code, tmp_path).split() == [is_huge]


def test_pandas_is_known_to_arrow_as_soon_as_somebody_imports_it(tmp_path: Path) -> None:
    found = run(
        "import sys; from headrace.startup import spare_pandas; spare_pandas(); import pyarrow as pa\n"
        "pa.array([1.0]).to_numpy(); print('pandas' in sys.modules)\n"
        "import pandas as pd; print(pa.array(pd.Series([1.0, float('nan')])).null_count, pa.table(pd.DataFrame({'a': [1]})).num_rows)",
        tmp_path,
    )
    assert found.split() == ["False", "1", "1"]


def test_arrow_imports_pandas_for_who_asks_for_a_data_frame(tmp_path: Path) -> None:
    found = run(
        "from headrace.startup import spare_pandas; spare_pandas(); import pyarrow as pa\n"
        "print(pa.table({'a': [1, 2]}).to_pandas()['a'].sum(), pa.array(pa.array([1]).to_pandas()).to_pylist())",
        tmp_path,
    )
    assert found.split() == ["3", "[1]"]


def test_kernels_bring_no_package_that_numba_can_do_without(tmp_path: Path) -> None:
    found = run("import sys, headrace_kernels.addresses; print([name for name in ('scipy', 'coverage') if name in sys.modules])", tmp_path)
    assert found.strip() == "[]"


def test_linear_algebra_works_in_kernels_though_scipy_is_imported_late(tmp_path: Path) -> None:
    found = run(
        "import sys, headrace_kernels.compiled, numba, numpy as np\n"
        "print('scipy.linalg' in sys.modules, numba.njit(lambda a: np.dot(a, a))(np.eye(2) * 2)[0, 0])",
        tmp_path,
    )
    assert found.split() == ["False", "4.0"]


def test_calls_ahead_are_made_in_order() -> None:
    made: list[int] = []
    ahead(lambda: made.append(1), lambda: made.append(2)).join()
    assert made == [1, 2]


def test_the_command_ends_with_its_exit_code_and_all_its_output() -> None:
    script = (
        "import atexit, sys; from headrace.__main__ import command;"
        "sys.argv = ['headrace', *sys.argv[1:]]; atexit.register(lambda: print('at the end')); command()"
    )

    def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)

    done = ended("doctor", "--help")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "at the end")
    assert "Usage: headrace doctor" in done.stdout
    done = ended("run", "nowhere.yaml")
    assert (done.returncode, done.stdout) == (2, "at the end\n")
    assert "nowhere.yaml" in done.stderr


def test_an_interruption_before_anything_is_imported_shows_no_traceback() -> None:
    script = (
        "import signal, sys, types; sys.modules['headrace.cli'] = types.SimpleNamespace(main=lambda: signal.raise_signal(signal.SIGINT));"
        "from headrace.__main__ import command; command()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@ONE_ARENA
def test_touched_memory_is_there_for_what_comes(tmp_path: Path) -> None:
    code = """
import resource, threading
from headrace.startup import keep_freed_memory, touch_memory

keep_freed_memory()
until = threading.Event()
if {too_late}:
    until.set()
touch_memory(96 << 20, until)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
filled = b"1" * (64 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    too_late, touched = (int(run(code.format(too_late=late), tmp_path)) for late in (True, False))
    assert touched < too_late / 4


@ONE_ARENA
def test_no_more_memory_is_touched_than_the_library_keeps(tmp_path: Path) -> None:
    code = """
import re, threading
from headrace import startup

startup._KEPT_BYTES = 128 << 20
startup.keep_freed_memory()
startup.touch_memory(1 << 30, threading.Event())
print(re.search(r"VmRSS:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""
    assert int(run(code, tmp_path)) > 64 << 10


def test_warnings_of_a_command_are_one_line(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]}), tmp_path / "data.parquet")
    job = (
        JOB.partition("pipeline")[0]
        + "pipeline: [{normalize: [x]}]\nmodel: {kind: logistic_regression, target: y, params: {max_iter: 1}}\noutput: {path: out}\n"
    )
    (tmp_path / "job.yaml").write_text(job)
    command = [sys.executable, "-c", "from headrace.__main__ import command; command()", "run", "job.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    warned = [line for line in done.stderr.splitlines() if "not converged" in line]
    assert warned == ["warning: not converged in 1 iterations: normalize the features, or raise max_iter"]
    assert ".py:" not in done.stderr
