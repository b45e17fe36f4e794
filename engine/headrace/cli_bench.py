"""The commands `headrace bench`: a suite against what else one could use, and the rates of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.commands import DebugOption, JsonOption, guarded, print_json

bench = typer.Typer(
    no_args_is_help=True,
    help="Measure: Headrace against what else one could use, in turn; and what this machine does a second.",
    epilog="Peers need the extra: pip install 'headrace\\[bench]'. How it is measured: docs/performance.md.",
)

RowsOption = Annotated[int | None, typer.Option(min=1, show_default=False, help="How many rows; default: the suite's usual number.")]
PeersOption = Annotated[str | None, typer.Option(metavar="NAMES", help="Whom to compare with, comma-separated; default: all of the suite.")]
CasesOption = Annotated[str | None, typer.Option(metavar="NAMES", help="Which cases, comma-separated; default: all of the suite.")]
RunsOption = Annotated[int, typer.Option(min=1, help="How often each side runs, in turn, after a round that warms up.")]
DeviceOption = Annotated[
    str, typer.Option(help="auto, cpu, or gpu: then the CPU is one more side, and the device's name is in the file's.")
]
OutOption = Annotated[Path, typer.Option(metavar="FOLDER", help="For the results (JSON) and the chart (SVG).")]
DataOption = Annotated[Path, typer.Option(metavar="FOLDER", help="For the generated data, which is kept.")]
OUT, DATA = Path("out/bench"), Path("data/bench")


@bench.command(epilog="Example: headrace bench kernels --rows 1000000 --peers numpy")
def kernels(
    rows: RowsOption = None,
    peers: PeersOption = None,
    cases: CasesOption = None,
    runs: RunsOption = 5,
    out: OutOption = OUT,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Single kernels on arrays in memory, against Polars and NumPy."""
    _run("kernels", rows, peers, cases, runs, out, DATA, as_json=as_json, debug=debug)


@bench.command(epilog="Example: headrace bench operators --rows 200000 --cases normalize,categorify")
def operators(
    rows: RowsOption = None,
    peers: PeersOption = None,
    cases: CasesOption = None,
    runs: RunsOption = 5,
    device: DeviceOption = "auto",
    out: OutOption = OUT,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Every operator on a table in memory, fitted and applied, against Polars."""
    _run("operators", rows, peers, cases, runs, out, DATA, device=device, as_json=as_json, debug=debug)


@bench.command(epilog="Example: headrace bench criteo --shape plain --peers polars --cases job")
def criteo(
    rows: RowsOption = None,
    peers: PeersOption = None,
    shape: Annotated[str, typer.Option(help="dictionary, plain, wide or many-files.")] = "dictionary",
    cases: CasesOption = None,
    runs: RunsOption = 5,
    device: DeviceOption = "auto",
    out: OutOption = OUT,
    data: DataOption = DATA,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Features of the Criteo shape, fitted, transformed and written, against Polars, DuckDB and dask.dataframe."""
    _run("criteo", rows, peers, cases, runs, out, data, shape, device=device, as_json=as_json, debug=debug)


@bench.command(epilog="Example: headrace bench taxi --rows 1000000")
def taxi(
    rows: RowsOption = None,
    peers: PeersOption = None,
    cases: CasesOption = None,
    runs: RunsOption = 5,
    device: DeviceOption = "auto",
    out: OutOption = OUT,
    data: DataOption = DATA,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Raw trips to predictions by a trained model, against Polars with XGBoost."""
    _run("taxi", rows, peers, cases, runs, out, data, device=device, as_json=as_json, debug=debug)


@bench.command(epilog="Example: headrace bench calibrate")
def calibrate(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Instead of headrace/rates.json in XDG_CACHE_HOME, else ~/.cache."),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure what this machine does a second, for the estimates of `headrace plan`."""

    def act() -> None:
        from headrace.bench.calibrate import calibrate as measure_rates
        from headrace.bench.shown import tell
        from headrace.rates import rates_file

        found = measure_rates((lambda line: None) if as_json else tell)
        path = rates_file() if out is None else out
        found.write(path)
        if as_json:
            print_json({"file": str(path), **found.describe()})
        else:
            print(path)  # noqa: T201

    guarded(act, as_json=as_json, debug=debug)


def _run(
    suite: str,
    rows: int | None,
    peers: str | None,
    cases: str | None,
    runs: int,
    out: Path,
    data: Path,
    shape: str = "dictionary",
    *,
    device: str = "auto",
    as_json: bool,
    debug: bool,
) -> None:
    def act() -> None:
        from headrace.bench.shown import show, tell
        from headrace.bench.suites import make_request, run_suite

        request = make_request(suite, out, data, rows=rows, peers=peers, runs=runs, shape=shape, cases=cases, device=device)
        found = run_suite(request, (lambda line: None) if as_json else tell)
        results = found.write(out)
        # Only now: Matplotlib in the driver would count as memory of what it starts.
        from headrace.bench.chart import draw

        chart = results.with_suffix(".svg")
        chart.write_text(draw(found), encoding="utf-8")
        if as_json:
            print_json(found.describe())
        else:
            show(found, (results, chart))

    guarded(act, as_json=as_json, debug=debug, with_arrow=False)
