"""The command's surface: help, version, streams, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headrace.cli import app
from headrace.errors import DataError, JobError
from headrace.execution import Silent
from headrace.profiling import profile_source
from headrace.terminal import out, say, show_error, show_profile

COMMANDS = ("run", "plan", "predict", "report", "inspect", "profile", "doctor", "data")


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A Parquet file of six rows."""
    columns = {"km": [1.5, 2.5, None, 4.0, 20_000.0, 1.0], "city": ["Oslo", "Oslo", "Rome", None, "Łódź", "Oslo"], "n": [1, 2, 3, 4, 5, 6]}
    pq.write_table(pa.table(columns), tmp_path / "small.parquet", row_group_size=3)
    return tmp_path / "small.parquet"


def test_the_bare_command_shows_every_command_and_where_to_start() -> None:
    shown = call().stdout
    assert all(name in shown for name in COMMANDS)
    assert "headrace data flights --out data/flights" in shown


@pytest.mark.parametrize("name", [*(name for name in COMMANDS if name != "data"), "data flights", "data criteo", "data taxi"])
def test_every_help_has_an_example_of_its_own_command(name: str) -> None:
    done = call(*name.split(), "--help")
    assert done.exit_code == 0
    assert f"Example: headrace {name}" in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "data"])
def test_every_command_speaks_json_and_shows_tracebacks_when_asked(name: str) -> None:
    shown = call(name, "--help").stdout
    assert "--json" in shown
    assert "--debug" in shown


def test_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert call("--version").stdout == f"headrace {version('headrace')}\n"


def test_a_command_that_does_not_exist_gets_the_nearest_one() -> None:
    done = call("profil", "x")
    assert done.exit_code == 2
    assert "Did you mean" in done.stderr
    assert "'profile'" in done.stderr


def test_profile_shows_nulls_ranges_and_frequent_values(small: Path) -> None:
    done = call("profile", str(small))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].startswith("6 rows, 1 file, 2 row groups, ")
    rows = {line.split()[0]: line.split(maxsplit=1)[1].rstrip() for line in done.stdout.splitlines()[2:5]}
    assert rows["km"].split("  ")[-1].strip() == "1 to 20,000, mean 4002"
    assert "16.7%" in rows["km"]
    assert rows["city"].endswith("Oslo (3), Rome (1), Łódź (1)") or rows["city"].endswith("Oslo (3), Łódź (1), Rome (1)")
    assert rows["n"].endswith("1 to 6, mean 3.5")


def test_profile_as_json_has_the_same_figures(small: Path) -> None:
    told = json.loads(call("profile", str(small), "--json").stdout)
    by_name = {column["column"]: column for column in told["columns"]}
    assert (by_name["km"]["min"], by_name["km"]["max"], by_name["km"]["nulls"]) == (1.0, 20_000.0, 1)
    assert by_name["n"]["mean"] == 3.5
    assert told["source"]["row_groups"] == 2


def test_doctor_as_json_is_one_object() -> None:
    done = call("doctor", "--json")
    assert done.exit_code == 0
    assert {"python", "kernels", "gpu"} <= {one["what"] for one in json.loads(done.stdout)["findings"]}


def test_doctor_exits_with_1_if_something_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [{"what": "numba", "state": "error", "found": "not installed", "remedy": "install it"}]
    monkeypatch.setattr("headrace.doctor.examine", lambda: broken)
    done = call("doctor")
    assert done.exit_code == 1
    assert done.stdout.split() == ["error", "numba", "not", "installed", "install", "it"]


def test_data_taxi_writes_files_and_names_them(tmp_path: Path) -> None:
    done = call("data", "taxi", "--rows", "1000", "--out", str(tmp_path / "taxi"), "--json")
    assert done.exit_code == 0
    files = json.loads(done.stdout)["files"]
    assert sum(pq.read_metadata(file["path"]).num_rows for file in files if "taxi/" in file["path"]) >= 1000


def test_an_unexpected_fault_is_one_line_and_asks_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("the roof is on fire")

    monkeypatch.setattr("headrace.doctor.examine", fail)
    done = call("doctor")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == "error: RuntimeError: the roof is on fire"
    assert "--debug" in done.stderr
    told = json.loads(call("doctor", "--json").stdout)["error"]
    assert told[0]["kind"] == "unexpected"
    assert "Traceback" in call("doctor", "--debug").stderr


@pytest.mark.parametrize("what", [("profile", "SMALL", "--json"), ("--help",), ("run", "--help")])
def test_a_reader_that_goes_away_is_no_error(small: Path, what: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from headrace.cli import main; main()", *(str(small) if word == "SMALL" else word for word in what)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['headrace', '--help']\nfrom headrace.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numba', 'pyarrow', 'dask', 'distributed', 'xgboost', 'sklearn', 'pandas', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "[]\n"


class Screen:
    """A terminal of a given width that keeps what is printed."""

    def __init__(self, width: int) -> None:
        import io

        from rich.console import Console

        self.file = io.StringIO()
        self.console = Console(file=self.file, width=width, force_terminal=True, color_system=None, highlight=False)

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


def test_on_a_terminal_long_lines_are_wrapped_between_words() -> None:
    screen = Screen(44)
    say("one, two, three, four, five, six, seven, eight, nine", label="numbers: ", indent=2, console=screen.console)
    assert screen.lines == ["  numbers: one, two, three, four, five, six,", "        seven, eight, nine"]


def test_on_a_narrow_terminal_values_that_are_cut_say_so(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(50)
    monkeypatch.setattr("headrace.terminal.out", screen.console)
    show_profile(profile_source(str(small), Silent()))
    rows = [line.rstrip() for line in screen.lines if line.startswith(" ") and "column" not in line]
    assert any(row.endswith("…") for row in rows)
    assert all(len(row) <= 50 for row in rows)


def test_elsewhere_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("word " * 100, indent=2)
    assert not out.is_terminal
    assert capsys.readouterr().out == "  " + "word " * 100 + "\n"


def test_the_mark_below_an_expression_stays_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    expression = "CAST(a_rather_long_name > 15 SA TINYINT) AND another_name < 30"
    show_error(JobError("cannot read the expression", key="derive.late", hint=f"{expression}\n{' ' * 29}^^"))
    assert capsys.readouterr().err.splitlines() == [
        "error: derive.late: cannot read the expression",
        f"  {expression}",
        "  " + " " * 29 + "^^",
    ]


def test_square_brackets_in_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(DataError("no column '[bold]x[/bold]'", file="a[1].parquet"))
    assert capsys.readouterr().err == "error: a[1].parquet: no column '[bold]x[/bold]'\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plan", "--json"], "Missing argument 'JOB.yaml'."),
        (["plan", "job.yaml", "--nope", "--json"], "No such option: --nope"),
        (["nope", "--json"], "No such command 'nope'."),
    ],
)
def test_wrong_arguments_are_one_json_object_too(arguments: list[str], told: str) -> None:
    code = f"import sys; sys.argv = ['headrace', *{arguments!r}]; from headrace.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"][0]["message"] == told
    assert told in done.stderr


def test_a_run_that_is_stopped_is_one_json_object_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("headrace.doctor.examine", stop)
    done = call("doctor", "--json")
    assert done.exit_code == 130
    assert json.loads(done.stdout)["error"][0]["kind"] == "Interrupted"


def test_memory_that_is_used_up_is_no_fault_of_headrace(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine() -> None:
        raise MemoryError("Unable to allocate 7 GiB")

    monkeypatch.setattr("headrace.doctor.examine", examine)
    done = call("doctor", "--json")
    assert done.exit_code == 1
    (error,) = json.loads(done.stdout)["error"]
    assert (error["kind"], error["message"]) == ("MemoryBudgetError", "the system gives no more memory: Unable to allocate 7 GiB")


@pytest.mark.parametrize("command", [("profile", "DATA"), ("plan", "JOB")])
@pytest.mark.parametrize(("output", "code"), [(">&-", 0), ("2>&-", 0), ("> /dev/full", 1), ("| true", 0)])
def test_an_output_that_takes_nothing_ends_in_no_traceback(tmp_path: Path, command: tuple[str, str], output: str, code: int) -> None:
    places = {"DATA": tmp_path / "a.parquet", "JOB": tmp_path / "job.yaml"}
    pq.write_table(pa.table({"x": [1.0, 2.0]}), places["DATA"])
    places["JOB"].write_text(f"job: a\nsource: {{path: {places['DATA']}}}\npipeline: [normalize: [x]]\noutput: {{path: {tmp_path}/out}}\n")
    call = f"{sys.executable} -c 'from headrace.__main__ import command; command()' {command[0]} {places[command[1]]} {output}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", call], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "fault of headrace" not in done.stderr
    assert ("No space left on device" in done.stderr) == bool(code)


def test_the_command_is_a_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headrace", "plan", "nowhere.yaml"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "nowhere.yaml: cannot be read" in done.stderr
