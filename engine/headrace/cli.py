"""The command `headrace`: run, plan, predict, report, inspect, profile, doctor, data, bench.

Progress bars on a terminal, plain lines elsewhere, one JSON object on standard output with `--json`. Exit codes:
0 done, 1 the job failed, 2 the job file or the arguments are wrong, 130 and 143 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli_bench import bench
from headrace.commands import DebugOption, JsonOption, guarded, heed_signals, print_json, reader_left, signal_behind, told_as_json
from headrace.errors import JobError
from headrace.startup import collect_seldom, sleep_soon, spare_pandas

if TYPE_CHECKING:
    from headrace.execution import Progress

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Machine-learning pipelines on Parquet: features, models, predictions and a report, from one job file.",
    epilog="Start with: headrace data flights --out data/flights && headrace run configs/flights.yaml",
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"headrace {version('headrace')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take what stands before the command's name."""


JobFile = Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file.", show_default=False)]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=value", help="Replace one setting of the job; may be repeated.")]
DeviceOption = Annotated[str | None, typer.Option(metavar="DEVICE", help="auto, cpu or gpu.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace the file if it is there.")]
ClusterOption = Annotated[str | None, typer.Option(metavar="KIND", help="local, processes, or a scheduler's address.")]


@app.command(epilog="Example: headrace run configs/flights.yaml --set model.rounds=200")
def run(
    job: JobFile,
    settings: SetOption = None,
    cluster: ClusterOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a job: fit, transform, train, predict, report."""

    def act() -> None:
        from headrace.cluster import prepare_cluster
        from headrace.jobs.text import JobText

        text = JobText.read(job, _overrides(settings, cluster, device))
        prepare_cluster(text.cluster)  # what workers need is imported beside what this process needs
        spare_pandas()
        from headrace.jobs.job import Job

        loaded = Job.of(text)
        with _progress(quiet=as_json) as progress:
            done = loaded.run(progress)
        if as_json:
            print_json(
                {
                    "run": done.id,
                    "directory": str(done.directory),
                    "report": str(done.report),
                    "metrics": done.metrics,
                    **_brief(done.record),
                }
            )
        else:
            from headrace.terminal import run_summary

            run_summary(done)

    guarded(act, as_json=as_json, debug=debug, with_arrow=False)


@app.command(epilog="Example: headrace plan configs/flights.yaml")
def plan(
    job: JobFile,
    settings: SetOption = None,
    cluster: ClusterOption = None,
    device: DeviceOption = None,
    rates: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Rates of `headrace bench calibrate --out FILE`.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what a job would do: passes, partitions, columns read, bytes, time. Nothing is computed."""

    def act() -> None:
        from headrace.jobs.job import Job
        from headrace.rates import MachineRates, rates_file
        from headrace.terminal import show_plan

        opened = Job.load(job, _overrides(settings, cluster, device)).open()
        made = opened.plan()
        found = opened.estimate(made, MachineRates.read(rates_file() if rates is None else rates, must_exist=rates is not None))
        if as_json:
            print_json({**made.describe(), "features": list(opened.features), "estimate": found.describe()})
        else:
            show_plan(opened, made, found)

    guarded(act, as_json=as_json, debug=debug)


@app.command(epilog="Example: headrace predict out/flights/latest/bundle data/flights/flights-2013-12.parquet out.parquet")
def predict(
    bundle: Annotated[Path, typer.Argument(help="A run's bundle folder, as out/flights/latest/bundle.", show_default=False)],
    source: Annotated[str, typer.Argument(metavar="IN", help="Parquet: a file, a glob or a folder.", show_default=False)],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The Parquet file (.parquet) or folder to write.", show_default=False)],
    table: Annotated[list[str] | None, typer.Option(metavar="NAME=PATH", help="A table to look things up in; may be repeated.")] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Predict rows that the model has not seen."""

    def act() -> None:
        from headrace.jobs.bundle import Bundle

        with _progress(quiet=as_json) as progress:
            loaded = Bundle.load(bundle)
            ledger = loaded.predict(
                source, output, tables=_named_paths(table), progress=progress, device=device or "auto", overwrite=overwrite
            )
        if as_json:
            print_json({"output": str(output), "rows": ledger.rows()})
        else:
            from headrace.terminal import predict_summary

            predict_summary(output, ledger, loaded.fitted.ops)

    guarded(act, as_json=as_json, debug=debug)


@app.command(epilog="Example: headrace report out/flights/latest")
def report(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, as out/flights/latest.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report here instead of showing where it is.")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what a run did, and where its report is; with --out, render it anew."""

    def act() -> None:
        from headrace.jobs.run import Run
        from headrace.terminal import run_summary

        done = Run.load(directory)
        place = done.report
        if out is not None:
            from headrace.new_folder import new_file
            from headrace.report import render

            with new_file(out, overwrite=overwrite) as hidden:
                hidden.write_text(render(done.record), encoding="utf-8")
            place = out
        if as_json:
            print_json({"run": done.id, "report": str(place), "metrics": done.metrics, **_brief(done.record)})
        else:
            run_summary(done, report=place)

    guarded(act, as_json=as_json, debug=debug)


@app.command(epilog="Example: headrace inspect out/flights/latest/bundle")
def inspect(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder.", show_default=False)],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what a bundle holds: steps, what they learnt, features, model. Its checksums are verified."""

    def act() -> None:
        import headrace
        from headrace.terminal import describe_bundle, show_bundle

        loaded = headrace.load(str(bundle))
        if as_json:
            print_json(describe_bundle(loaded))
        else:
            show_bundle(bundle, loaded)

    guarded(act, as_json=as_json, debug=debug)


@app.command(epilog='Example: headrace profile "data/flights/*.parquet"')
def profile(
    path: Annotated[str, typer.Argument(help="Parquet: a file, a glob or a folder.", show_default=False)],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show the columns of Parquet files: types, nulls, ranges, distinct values; and whether the row groups suit."""

    def act() -> None:
        from headrace.profiling import profile_source

        with _progress(quiet=as_json) as progress:
            found = profile_source(path, progress)
        if as_json:
            print_json(found)
        else:
            from headrace.terminal import show_profile

            show_profile(found)

    guarded(act, as_json=as_json, debug=debug)


@app.command(epilog="Example: headrace doctor --json")
def doctor(as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Say what this machine offers, what is missing, and what to install."""

    def act() -> None:
        from headrace.doctor import examine
        from headrace.terminal import show_findings

        findings = examine()
        if as_json:
            print_json({"findings": findings})
        else:
            show_findings(findings)
        if any(one["state"] == "error" for one in findings):
            raise typer.Exit(1)

    guarded(act, as_json=as_json, debug=debug)


data = typer.Typer(no_args_is_help=True, help="Write sample data: the flights of New York in 2013, the Criteo shape, the taxi shape.")
app.add_typer(data, name="data")
app.add_typer(bench, name="bench")

OutOption = Annotated[Path, typer.Option(metavar="FOLDER", help="The folder for the Parquet files.")]
RowsOption = Annotated[int, typer.Option(min=1, help="How many rows.")]
SeedOption = Annotated[int, typer.Option(min=0, help="The generator's seed.")]


@data.command(epilog="Example: headrace data flights --out data/flights")
def flights(out: OutOption = Path("data/flights"), as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """336,776 real flights of 2013 (CC0), with weather, planes and airports beside the folder."""

    def make() -> Any:
        from headrace.sample_data.flights import write_flights

        return write_flights(out)

    _write_sample(make, as_json=as_json, debug=debug)


@data.command(epilog="Example: headrace data criteo --rows 5000000 --out data/criteo")
def criteo(
    out: OutOption = Path("data/criteo"),
    rows: RowsOption = 1_000_000,
    seed: SeedOption = 7,
    shape: Annotated[str, typer.Option(help="dictionary, or plain (plain pages, near-unique strings).")] = "dictionary",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Click logs of the Criteo shape: 13 numbers and 26 categories a row; generated."""

    def make() -> Any:
        from headrace.sample_data.criteo import write_criteo

        return write_criteo(out, rows, seed, shape)

    _write_sample(make, as_json=as_json, debug=debug)


@data.command(epilog="Example: headrace data taxi --rows 5000000 --out data/taxi")
def taxi(
    out: OutOption = Path("data/taxi"),
    rows: RowsOption = 1_000_000,
    seed: SeedOption = 7,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Taxi trips of the New York shape; generated."""

    def make() -> Any:
        from headrace.sample_data.taxi import write_taxi

        return write_taxi(out, rows, seed)

    _write_sample(make, as_json=as_json, debug=debug)


def _write_sample(make: Callable[[], Any], *, as_json: bool, debug: bool) -> None:
    def act() -> None:
        from headrace.terminal import show_written

        written = make()
        if as_json:
            print_json({"files": [{"path": str(file.path), "rows": file.rows, "bytes": file.nbytes} for file in written]})
        else:
            show_written(written)

    guarded(act, as_json=as_json, debug=debug)


def _progress(*, quiet: bool) -> AbstractContextManager[Progress]:
    """Give what shows progress: nothing with `--json`, which then does without the libraries that draw on a terminal."""
    if quiet:
        from headrace.execution import Silent

        return nullcontext(Silent())
    from headrace.terminal import make_progress

    return make_progress()


def _overrides(settings: list[str] | None, cluster: str | None, device: str | None) -> list[str]:
    chosen = [*(settings or ())]
    if cluster is not None:
        chosen.append(f"run.cluster={cluster}")
    if device is not None:
        chosen.append(f"run.device={device}")
    return chosen


def _named_paths(options: list[str] | None) -> dict[str, str]:
    """Return path by name of ``--table NAME=PATH``."""
    found = {}
    for option in options or ():
        name, mark, path = option.partition("=")
        if not name or not mark or not path:
            raise JobError(f"--table {option!r} is not of the form NAME=PATH", hint="as in --table customers=data/customers.parquet")
        found[name] = path
    return found


def _brief(record: Any) -> dict[str, Any]:
    """Return what a program wants to know of a run at once."""
    names = ("seconds", "dataset", "split", "model")
    found = {name: record[name] for name in names if name in record}
    found["rows"] = record["ledger"]["rows"]
    if "metrics" in record:
        found["base"] = record["metrics"]["base"]
    return found


def main() -> None:
    """Run the command line."""
    collect_seldom()
    sleep_soon()
    heed_signals()
    try:
        if "--json" in sys.argv:
            sys.exit(told_as_json(lambda: app(prog_name="headrace", standalone_mode=False)))
        app(prog_name="headrace")
    except SystemExit as done:
        if number := signal_behind(done):
            sys.exit(128 + number)
        if not isinstance(done.__context__, BrokenPipeError):
            raise
        reader_left()  # `headrace --help | head`: Typer and rich end with 1
        sys.exit(0)
