"""`headrace bench` measures what it says, notices sides that disagree, and keeps its pages from being typed by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headrace.bench import criteo, pages, suites
from headrace.bench.agreement import compare
from headrace.bench.cases import Case, CaseResult, Side, SideResult, SuiteResult
from headrace.bench.chart import draw
from headrace.bench.files import MANY_FILES, WIDE_COLUMNS, make_files
from headrace.bench.interleave import run_case
from headrace.bench.measure import CommandFailedError, measure
from headrace.bench.request import config, script
from headrace.bench.serving import Server, run_calls, serving
from headrace.cli import app
from headrace.errors import DataError, HeadraceError, JobError
from headrace.ops import OPS

ROOT = Path(__file__).parents[2]
PEERS = script("serving").parent
MEGABYTE = 1 << 20


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def write(path: Path, **columns: Sequence[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


# measure


def test_wall_and_cpu_are_those_of_the_process(tmp_path: Path) -> None:
    code = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(0.3)"
    usage = measure(python(code), tmp_path)
    assert usage.wall_s > 0.6
    assert 0.3 <= usage.cpu_s < usage.wall_s


def test_cpu_of_children_counts(tmp_path: Path) -> None:
    busy = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    usage = measure(python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"), tmp_path)
    assert usage.cpu_s > 0.4


def measured_from_a_small_driver(code: str, folder: Path) -> dict[str, int]:
    """Measure as the harness does: Linux counts the driver's own memory for what it starts, and this test process is large."""
    driver = f"""
import dataclasses, json, pathlib, sys
from headrace.bench.measure import measure
print(json.dumps(dataclasses.asdict(measure([sys.executable, "-c", {code!r}], pathlib.Path({str(folder)!r})))))
"""
    found: dict[str, int] = json.loads(subprocess.run(python(driver), capture_output=True, check=True).stdout)
    return found


def test_peak_memory_is_that_of_the_process(tmp_path: Path) -> None:
    small = measured_from_a_small_driver("pass", tmp_path)
    large = measured_from_a_small_driver(f"x = bytearray({200 * MEGABYTE})", tmp_path)
    assert small["peak_rss_bytes"] < 100 * MEGABYTE
    assert large["peak_rss_bytes"] > 200 * MEGABYTE


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
def test_memory_of_a_child_adds_to_its_parents(tmp_path: Path) -> None:
    child = f"import time; x = bytearray({150 * MEGABYTE}); time.sleep(0.6)"
    code = f"x = bytearray({150 * MEGABYTE}); import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    usage = measured_from_a_small_driver(code, tmp_path)
    assert usage["peak_rss_bytes"] > 300 * MEGABYTE
    assert 150 * MEGABYTE < usage["peak_process_bytes"] < 300 * MEGABYTE


def test_a_side_that_fails_is_an_error_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="ended with status 3") as caught:
        measure(python("import sys; print('out of luck', file=sys.stderr); sys.exit(3)"), tmp_path)
    assert caught.value.hint == "out of luck"


def test_a_side_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(1.5); pathlib.Path({str(mark)!r}).touch()"
    with pytest.raises(CommandFailedError, match="took too long"):
        measure(python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"), tmp_path, limit_s=0.5)
    time.sleep(1.5)  # the child would have left its mark by now
    assert not mark.exists()


# agreement


def test_files_that_are_cut_elsewhere_agree(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.parquet", id=[1, 2, 3, None], x=[0.5, None, float("nan"), 1e9])
    first = write(tmp_path / "b0.parquet", id=pa.array([1], pa.int8()), x=pa.array([0.5], pa.float32()))
    second = write(tmp_path / "b1.parquet", id=pa.array([2, 3, None], pa.int8()), x=pa.array([None, float("nan"), 1e9], pa.float32()))
    found = compare([whole], [first, second])
    assert (found["rows"], found["columns"], found["mismatches"], found["mismatched_rows"]) == (4, 2, {}, 0)


@pytest.mark.parametrize(
    ("ours", "theirs", "column"),
    [
        ({"id": [1, 2]}, {"id": [1, 3]}, "id"),
        ({"id": [1, None]}, {"id": [1, 0]}, "id"),
        ({"x": [1.0, 2.0]}, {"x": [1.0, 2.0001]}, "x"),
        ({"x": [1.0, None]}, {"x": [1.0, float("nan")]}, "x"),
        ({"x": [1.0, float("inf")]}, {"x": [1.0, -float("inf")]}, "x"),
        ({"name": ["a", "b"]}, {"name": ["a", "c"]}, "name"),
    ],
)
def test_one_differing_value_is_found(tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any], column: str) -> None:
    found = compare([write(tmp_path / "a.parquet", **ours)], [write(tmp_path / "b.parquet", **theirs)])
    assert (found["mismatches"], found["mismatched_rows"]) == ({column: 1}, 1)


def test_other_rows_or_columns_are_an_error(tmp_path: Path) -> None:
    one = write(tmp_path / "a.parquet", x=[1, 2])
    assert "2 rows in 1 files against 3 rows" in compare([one], [write(tmp_path / "b.parquet", x=[1, 2, 3])])["error"]
    assert compare([one], [write(tmp_path / "c.parquet", y=[1, 2])])["error"] == "the columns differ: x, y"
    assert "0 rows in 0 files" in compare([], [])["error"]


# interleave


def writing(name: str, folder: Path, value: int, log: Path) -> Side:
    code = (
        "import pyarrow as pa, pyarrow.parquet as pq, pathlib\n"
        f"pathlib.Path('out').mkdir(); pq.write_table(pa.table({{'x': [{value}]}}), 'out/x.parquet')\n"
        f"open({str(log)!r}, 'a').write({name + ' '!r}); print('{{\"seconds\": [9.0, 0.5]}}')"
    )
    return Side(name, python(code), folder / name)


def test_sides_run_in_turn_after_a_round_that_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sides = tuple(writing(name, tmp_path, 1, log) for name in ("headrace", "other"))
    found = run_case(Case("c", "", 1, sides, times="last"), 2, lambda line: None)
    assert log.read_text().split() == ["headrace", "other"] * 3
    assert [side.seconds for side in found.sides] == [(0.5, 0.5), (0.5, 0.5)]
    assert all(side.output_bytes and len(side.cpu_s) == 2 for side in found.sides)
    assert found.agreement["other"]["mismatched_rows"] == 0


def test_sides_that_wrote_different_things_are_not_timed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sides = (writing("headrace", tmp_path, 1, log), writing("other", tmp_path, 2, log))
    with pytest.raises(DataError, match="headrace and other differ in 1 of 1 rows: x in 1 rows"):
        run_case(Case("c", "", 1, sides), 2, lambda line: None)
    assert log.read_text().split() == ["headrace", "other"]


def test_a_case_of_memory_compares_the_largest_process_of_sides_with_rows_of_their_own(tmp_path: Path) -> None:
    sides = tuple(
        replace(writing(name, tmp_path, rows, tmp_path / "log"), rows=rows) for name, rows in (("headrace-8", 8), ("headrace-2", 2))
    )
    found = run_case(Case("memory", "", 8, sides, compares="memory"), 1, lambda line: None)
    ours, other = found.sides
    ratio = ours.peak_process_bytes[0] / other.peak_process_bytes[0]
    assert (ours.rows, other.rows) == (8, 2)
    assert found.agreement == {"headrace-2": {"largest_process": pytest.approx(ratio, abs=1e-4)}}
    assert pages.rows_of(found)[1][-1] == f"**{ratio:.2f}**"


def test_the_case_of_memory_is_run_where_it_is_asked_for(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"rows": 2_000, "peers": "", "runs": 1, "shape": "dictionary"}
    named = [
        [case.name for case in criteo.cases(suites.make_request("criteo", tmp_path / "out", tmp_path, cases=cases, **asked))]
        for cases in (None, "memory")
    ]
    assert named == [["job", "second", "workers", "processes"], ["memory"]]


# data and suites


def test_the_wide_shape_has_its_columns_and_nulls(tmp_path: Path) -> None:
    folder = make_files("wide", tmp_path, 300)
    table = pq.read_table(folder)
    assert (table.num_rows, table.num_columns) == (300, WIDE_COLUMNS)
    assert table["f0"].null_count > 0 == table["f1"].null_count


def test_many_files_hold_the_rows_of_the_usual_shape(tmp_path: Path) -> None:
    folder = make_files("many-files", tmp_path, 2 * MANY_FILES)
    assert len(list(folder.glob("*.parquet"))) == MANY_FILES
    usual = pq.read_table(make_files("dictionary", tmp_path, 2 * MANY_FILES))
    assert pq.read_table(folder).equals(usual)


def test_files_that_cannot_be_made_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "plain-10").write_text("no folder")
    with pytest.raises(HeadraceError, match="shape plain cannot be made"):
        make_files("plain", tmp_path, 10)


@pytest.mark.parametrize(
    ("suite", "asked", "message"),
    [
        ("critoe", {}, "nearest: 'criteo'"),
        ("criteo", {"shape": "wild"}, "nearest: 'wide'"),
        ("criteo", {"peers": "polar"}, "nearest: 'polars'"),
        ("taxi", {"cases": "predct"}, "nearest: 'predict'"),
    ],
)
def test_misspelt_requests_are_refused_with_the_nearest(tmp_path: Path, suite: str, asked: dict[str, str], message: str) -> None:
    settings: dict[str, Any] = {"rows": 10, "peers": "", "runs": 1, "shape": "dictionary", "cases": None, **asked}
    with pytest.raises(JobError, match=message):
        suites.run_suite(suites.make_request(suite, tmp_path, tmp_path, **settings), lambda line: None)


def test_the_criteo_suite_runs_and_polars_agrees(tmp_path: Path) -> None:
    pytest.importorskip("polars")
    request = suites.make_request("criteo", tmp_path / "out", tmp_path, rows=3_000, peers="polars", runs=1, shape="dictionary", cases="job")
    found = suites.run_suite(request, lambda line: None)
    (case,) = found.cases
    assert [side.name for side in case.sides] == ["headrace", "polars", "polars_eager"]
    assert all(result["mismatched_rows"] == 0 and result["rows"] == 3_000 for result in case.agreement.values())
    assert not request.work.exists()


# calls


@pytest.mark.parametrize("suite", ["kernels", "operators"])
def test_every_call_of_a_peer_is_one_of_ours(suite: str) -> None:
    pytest.importorskip("polars")
    with serving({name: PEERS / f"{suite}_{name}.py" for name in ("headrace", "polars")}) as (ours, theirs):
        assert set(theirs.calls) < set(ours.calls)
        assert all(call["title"] for call in ours.calls.values())


def test_every_operator_is_measured() -> None:
    server = Server("headrace", PEERS / "operators_headrace.py")
    server.close()
    assert set(server.calls) == set(OPS)


def test_calls_are_timed_and_compared(tmp_path: Path) -> None:
    with serving({name: PEERS / f"kernels_{name}.py" for name in ("headrace", "numpy")}) as servers:
        (found,) = run_calls(servers, ["look_up"], 1_000, 3, tmp_path, lambda line: None)
    assert [len(side.seconds) for side in found.sides] == [3, 3]
    assert found.agreement == {"numpy": {"values": ["ids"], "mismatches": {}}}


def test_a_call_that_returns_something_else_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(PEERS)!r})\nfrom serving import Offer, serve\n"
        "serve({'look_up': Offer(lambda rows: lambda: {'ids': [0] * rows})})\n"
    )
    refused = pytest.raises(DataError, match="look_up: headrace and wrong did not return the same")
    with serving({"headrace": PEERS / "kernels_headrace.py", "wrong": script}) as servers, refused:
        run_calls(servers, ["look_up"], 1_000, 1, tmp_path, lambda line: None)


# results


def result(seconds: float = 1.0) -> SuiteResult:
    ours = SideResult("headrace", (seconds, seconds), (2.0, 2.0), (10**9, 10**9), (10**9, 10**9), 1_000)
    peer = SideResult("polars", (2.0, 4.0), (2.0, 2.0), (10**9, 10**9), (10**9, 10**9), 1_000)
    machine = {"processor": "a processor", "cores": 2, "memory_bytes": 2**34}
    return SuiteResult(
        "criteo", "", 2, "2026-01-02T03:04:05+00:00", machine, {"polars": "2"}, (CaseResult("job", "the job", 5_000_000, (ours, peer)),)
    )


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    written = result().write(tmp_path)
    assert written.name == "criteo-5M.json"
    assert SuiteResult.read(written) == result()
    assert json.loads(written.read_text())["cases"][0]["sides"][0]["seconds"] == [1.0, 1.0]


def test_a_page_is_filled_from_results_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- results criteo-5M -->\nold\n<!-- end criteo-5M -->\nafter\n")
    results = result().write(tmp_path / "results")
    for _ in range(2):  # the second time changes nothing
        pages.main([str(results), "--into", str(page)])
    text = page.read_text()
    assert text.startswith("before\n<!-- results criteo-5M -->\n| case |")
    assert text.endswith("<!-- end criteo-5M -->\nafter\n")
    assert "old" not in text
    assert "|  | polars | 3.00 | 2.00-4.00 | 2.00 | 2.50 M | 1.00 GB | 1.00 GB | 0.0 MB | **0.33** |" in text
    assert "../results/criteo-5M.svg" in text
    assert (tmp_path / "results" / "criteo-5M.svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')


def test_a_page_without_a_block_for_a_result_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- results taxi-5M -->\n<!-- end taxi-5M -->\n")
    with pytest.raises(JobError, match="no block <!-- results criteo-5M -->"):
        pages.fill(page, [result()], tmp_path)
    assert page.read_text() == "<!-- results taxi-5M -->\n<!-- end taxi-5M -->\n"


def test_the_chart_names_every_side_and_has_its_figures_as_text() -> None:
    svg = draw(result())
    assert all(word in svg for word in ("the job", "headrace", "polars", "1 s", "3 s", "prefers-color-scheme:dark"))


def test_the_driver_imports_nothing_large() -> None:
    code = "import sys, headrace.bench.suites, headrace.bench.shown, headrace.cli; print(*{'numpy', 'pyarrow', 'matplotlib', 'polars'} & set(sys.modules))"
    done = subprocess.run(python(code), capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# the command


def bench(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def test_the_command_writes_results_and_a_chart(tmp_path: Path) -> None:
    done = bench("kernels", "--rows", 500, "--runs", 2, "--cases", "look_up", "--peers", "numpy", "--out", tmp_path)
    assert done.exit_code == 0, done.stderr
    found = SuiteResult.read(tmp_path / "kernels-500.json")
    assert [(side.name, len(side.seconds)) for side in found.cases[0].sides] == [("headrace", 2), ("numpy", 2)]
    assert (tmp_path / "kernels-500.svg").read_text().startswith("<svg")
    assert "look_up: headrace" in done.stderr
    assert "look ids of codes up" in done.stdout
    assert "kernels-500.svg" in done.stdout


def test_the_command_prints_one_object_of_json(tmp_path: Path) -> None:
    done = bench("kernels", "--rows", 500, "--runs", 1, "--cases", "look_up", "--peers", "", "--out", tmp_path, "--json")
    assert json.loads(done.stdout)["cases"][0]["name"] == "look_up"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("critoe",), "Did you mean 'criteo'"),
        (("criteo", "--peers", "polras"), "nearest: 'polars'"),
        (("kernels", "--rows", "0"), "Invalid value for '--rows'"),
    ],
)
def test_wrong_arguments_end_with_status_2(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = bench(*arguments, *(["--out", tmp_path] if len(arguments) > 1 else []))
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_peer_that_is_not_installed_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "installed_versions", lambda names: {})
    done = bench("criteo", "--peers", "duckdb", "--out", tmp_path)
    assert done.exit_code == 1
    assert done.stderr == "error: the peer duckdb is not installed\n  pip install 'headrace[bench]', or leave it out of --peers\n"


def test_results_that_cannot_be_written_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    done = bench("kernels", "--peers", "", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "results cannot be written" in done.stderr


@pytest.mark.parametrize("name", ["criteo.yaml", "taxi.yaml"])
def test_the_jobs_are_those_of_the_source_tree(name: str) -> None:
    assert Path(config(name)).read_bytes() == (ROOT / "configs" / name).read_bytes()
