"""What a person sees in the terminal: progress, plans, summaries, tables."""

from __future__ import annotations

import logging
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.models.settings import ALL_WORKERS
from headrace.ops import op_name
from headrace.plan import count_of, human_bytes

if TYPE_CHECKING:
    from headrace.errors import HeadraceError
    from headrace.execution import Progress
    from headrace.jobs.job import OpenJob
    from headrace.jobs.run import Run
    from headrace.ledger import Ledger
    from headrace.ops.base import Op
    from headrace.plan import Plan
    from headrace.rates import Estimate


class Output(Console):
    """Standard output."""

    def on_broken_pipe(self) -> None:
        """Leave to the command what it does when its reader goes away; rich would exit with 1."""
        raise


out = Output(highlight=False)
if not out.is_terminal:
    out.width = 1_000  # a log or a pipe has no width: nothing is cut to fit one
_COMPILING = "compiling, once for this machine; later runs find them"


class PlainProgress:
    """A line a stage, for logs."""

    def __init__(self) -> None:
        self._stage, self._started, self._total = "", time.perf_counter(), 0
        self._n_compiled = 0

    def start(self, stage: str, total: int) -> None:
        self.finish()
        self._stage, self._started, self._total = stage, time.perf_counter(), total
        print(f"{stage}: {total} task{'s' if total != 1 else ''}", file=sys.stderr, flush=True)  # noqa: T201

    def advance(self) -> None:
        """Say nothing: lines for every task would drown a log."""

    def compile_kernel(self) -> None:
        """Say so of the first."""
        self._n_compiled += 1
        if self._n_compiled == 1:
            print(f"kernels: {_COMPILING}", file=sys.stderr, flush=True)  # noqa: T201

    def finish(self) -> None:
        """Say how long the stage took."""
        if self._stage:
            print(f"{self._stage}: done in {time.perf_counter() - self._started:.1f} s", file=sys.stderr, flush=True)  # noqa: T201

    def close(self) -> None:
        """Finish the last stage, and say how many kernels were compiled."""
        self.finish()
        if self._n_compiled:
            print(f"kernels: {self._n_compiled} compiled", file=sys.stderr, flush=True)  # noqa: T201


class BarProgress:
    """A bar a stage, on a terminal."""

    def __init__(self, bars: Any) -> None:
        self._bars, self._task = bars, None
        self._kernels: Any = None

    def start(self, stage: str, total: int) -> None:
        self._task = self._bars.add_task(stage, total=total)

    def advance(self) -> None:
        if self._task is not None:
            self._bars.advance(self._task)

    def compile_kernel(self) -> None:
        """Count them on a bar that has no end."""
        if self._kernels is None:
            self._bars.console.print(Text(f"kernels: {_COMPILING}"))
            self._kernels = self._bars.add_task("kernels", total=None)
        self._bars.advance(self._kernels)


class _Compilations(logging.Handler):
    """Hear of kernels that this process compiles: a first run spends half a minute on them, and would seem to hang."""

    def __init__(self, progress: PlainProgress | BarProgress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.compile_kernel()


@contextmanager
def _hearing_of_kernels(progress: PlainProgress | BarProgress) -> Iterator[None]:
    log, handler = logging.getLogger("headrace_kernels"), _Compilations(progress)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)


@contextmanager
def make_progress() -> Iterator[Progress]:
    """Give what shows progress: bars on a terminal, lines elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        with Bars(TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as bars:
            shown = BarProgress(bars)
            with _hearing_of_kernels(shown):
                yield shown
    else:
        plain = PlainProgress()
        with _hearing_of_kernels(plain):
            yield plain
        plain.close()


def say(text: str, *, label: str = "", indent: int = 0, style: str = "", console: Console | None = None) -> None:
    """Print a text after a bold label: on a terminal wrapped between words with a hanging indent, elsewhere as one line."""
    console = console or out
    line = " " * indent + label + text
    if console.is_terminal:
        hanging = " " * (indent + min(len(label), 6) + (0 if label else 2))
        lines = textwrap.wrap(line, max(console.width, 40), subsequent_indent=hanging, break_on_hyphens=False, break_long_words=False)
        line = "\n".join(lines)
    shown = Text(line, style)
    shown.stylize("bold", indent, indent + len(label))
    console.print(shown, soft_wrap=True)


def show_error(error: HeadraceError) -> None:
    """Show an error on standard error; on a terminal its lists are wrapped, an expression and the mark below it are not."""
    console = Console(stderr=True, highlight=False)
    first, *rest = str(error).splitlines()
    lines = [f"error: {first}", *rest]
    for index, line in enumerate(lines):
        marks = [one for one in lines[index : index + 2] if one.strip() and not one.strip().strip("^")]
        if marks or not console.is_terminal:
            console.print(Text(line), soft_wrap=True)
        elif index == 0:
            say(first, label="error: ", style="red", console=console)
        else:
            say(line.strip(), indent=len(line) - len(line.lstrip()), console=console)


def run_summary(run: Run, report: Path | None = None) -> None:
    """Show a run's outcome: rows, metrics against a constant guess, where the report is."""
    record = run.record
    rows, dataset = record["ledger"]["rows"], record["dataset"]
    say(f" {record['run']}: done in {record['seconds']['total']:.1f} s", label=record["job"]["name"])
    went = [
        f"{rows['filtered']:,} filtered",
        *([f"{rows['quarantined']:,} quarantined"] if rows["quarantined"] else []),
        f"{rows['out']:,} out",
    ]
    say(f"{count_of(rows['in'], 'row')} of {count_of(dataset['files'], 'file')} in = {' + '.join(went)}", indent=2)
    if "model" in record:
        split, model = record["split"], record["model"]
        trained = f"{split['train_rows']:,} rows trained, {split['test_rows']:,} tested"
        say(f"{model['kind']} with {count_of(len(model['features']), 'feature')}: {trained}", indent=2)
        out.print(_metrics_table(record["metrics"], tested=split["test_rows"] > 0))
        if not split["test_rows"] and record["job"]["settings"].get("split"):
            say(f"no row tests: {split['text']}; these are rows that it learnt from", label="! ", indent=2, style="yellow")
    say(_shown_path(report or run.report), label="report: ", indent=2)
    if "model" in record:
        say(_shown_path(run.directory / "bundle"), label="bundle: ", indent=2)


def _metrics_table(metrics: Mapping[str, Any], *, tested: bool) -> Table:
    table = Table(box=None, padding=(0, 2 if out.width >= 60 else 1), show_edge=False)  # names are whole at 40 columns, too
    which = "test" if tested else "train"
    is_guessed = any(name in metrics["base"] for name in metrics[which])
    for column in ("metric", which, *(["constant guess"] if is_guessed else [])):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name, value in metrics[which].items():
        table.add_row(name, _metric(value), *([_metric(metrics["base"].get(name))] if is_guessed else []))
    return table


def show_plan(opened: OpenJob, plan: Plan, estimate: Estimate) -> None:
    """Show a plan, and what it would take."""
    say(f" on {plan.device}; nothing is computed yet", label=opened.job.name)
    for line in plan.lines():
        say(line.text, label=line.label, indent=2 + line.indent)
    if plan.exchange_bytes:
        held = {
            "local": f"rows in memory up to {human_bytes(plan.exchange_bytes)}, beyond it in files of the temporary folder",
            "processes": "rows in files of the temporary folder",
            "cuda": "rows in files of the temporary folder",
        }
        say(held.get(opened.job.settings.run.cluster, "rows in the workers' memory"), label="exchanges: ", indent=2)
    on_scheduler = "://" in opened.job.settings.run.cluster
    if plan.vocabulary_bytes and (plan.is_bounded or not on_scheduler):
        beyond = "more is refused" if on_scheduler else "beyond it in files of the temporary folder"
        say(f"categories in memory up to {human_bytes(plan.vocabulary_bytes)}, {beyond}", label="vocabularies: ", indent=2)
    say("", label="steps", indent=2)
    for index, op in enumerate(opened.steps.ops):
        say(f"{index} {op_name(op)}: {op.text()}", indent=4)
    if opened.features:
        say(", ".join(opened.features), label=f"{count_of(len(opened.features), 'feature')}: ", indent=2)
    if plan.training == ALL_WORKERS:
        say("on all workers, each with the rows it has", label="training: ", indent=2)
    if estimate.device is None:
        say(estimate.why, label="time: ", indent=2)
    else:
        times = ", ".join(f"{seconds:.1f} s on the {device.upper()}" for device, seconds in estimate.seconds.items())
        trained = ", training not counted" if opened.job.settings.model else ""
        say(f"about {times}{trained}; takes the {estimate.device.upper()}: {estimate.why}", label="time: ", indent=2)


def predict_summary(output: Path, ledger: Ledger, ops: Sequence[Op]) -> None:
    """Show what predicting did, and which steps of the pipeline left rows out."""
    rows = ledger.rows()
    say(f"{count_of(rows['in'], 'row')} in, {rows['filtered']:,} filtered, {rows['out']:,} predicted: {_shown_path(output)}")
    for step, tally in sorted(ledger.tallies.items()):
        if tally.rows_in > tally.rows_out:
            say(f"{tally.rows_in - tally.rows_out:,} left out by step {step}, {op_name(ops[step])}: {ops[step].text()}", indent=2)
    if rows["in"] and not rows["out"]:
        say("the pipeline's filters leave no row; where the target is not known yet, leave its column out", indent=2)


def describe_bundle(loaded: Any) -> dict[str, Any]:
    """Return what a bundle or a saved pipeline holds as JSON values."""
    from headrace.fitted import pipeline_settings

    fitted = loaded.fitted
    described: dict[str, Any] = {
        "pipeline": pipeline_settings(fitted.ops),
        "learnt": [fitted.learnt(index) for index in range(len(fitted.ops))],
        "source": {name: str(type_) for name, type_ in fitted.source.columns.items()},
    }
    if hasattr(loaded, "model"):
        settings = loaded.model.settings
        described.update(
            {
                "job": loaded.job,
                "features": list(loaded.features),
                "target": loaded.target,
                "key": list(loaded.key),
                "metrics": loaded.metrics,
            }
        )
        described["model"] = {"kind": settings.kind, "task": settings.task, "params": dict(settings.params), "rounds": settings.rounds}
    return described


def show_bundle(path: Path, loaded: Any) -> None:
    """Show what a bundle holds."""
    described = describe_bundle(loaded)
    say(": whole, every checksum is right", label=_shown_path(path))
    for index, (step, learnt) in enumerate(zip(described["pipeline"], described["learnt"], strict=True)):
        say(f"{index} {next(iter(step))}: {loaded.fitted.ops[index].text()}", indent=2)
        if learnt:
            say(f"learnt: {learnt}", indent=6, style="dim")
    if "model" in described:
        model = described["model"]
        aim = f" predicts {described['target']}" if described["target"] is not None else ""
        say(f"{model['kind']} ({model['task']}){aim}", label="model: ", indent=2)
        say(", ".join(described["features"]), label=f"{count_of(len(described['features']), 'feature')}: ", indent=2)
        for name, value in (described["metrics"].get("test") or {}).items():
            say(f"{name}: {_metric(value)}", indent=4)


def show_profile(found: Mapping[str, Any]) -> None:
    """Show a profile."""
    source = found["source"]
    groups = f"{count_of(source['files'], 'file')}, {count_of(source['row_groups'], 'row group')}"
    say(f"{count_of(source['rows'], 'row')}, {groups}, {human_bytes(source['bytes'])}")
    table = Table(box=None, padding=(0, 1), show_edge=False)
    rows = [_profile_row(column) for column in found["columns"]]
    room = out.width - 2  # it is the values that give way on a narrow terminal
    for index, name in enumerate(("column", "type", "nulls", "distinct")):
        width = max(len(name), *(len(row[index]) for row in rows))
        table.add_column(name, justify="left" if index < 2 else "right", no_wrap=True, min_width=width)
        room -= width + 2
    table.add_column("values", no_wrap=True, overflow="ellipsis", max_width=max(room, len("values")))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)
    for advice in found["advice"]:
        say(advice, label="! ", indent=2, style="yellow")


def show_findings(findings: Sequence[Mapping[str, str]]) -> None:
    """Show what `doctor` found, a line each."""
    styles = {"ok": "green", "missing": "yellow", "error": "red"}
    for one in findings:
        line = Text(f"{one['state']:8}", styles[one["state"]])
        out.print(line.append(f"{one['what']:14}{one['found']}", "default"), soft_wrap=True)
        if one.get("remedy"):
            say(one["remedy"], indent=22, style="dim")


def show_written(written: Sequence[Any]) -> None:
    """Show the sample files that are there now."""
    for file in written:
        say(f"{_shown_path(file.path)}: {count_of(file.rows, 'row')}, {human_bytes(file.nbytes)}")


def _share(n: int, total: int) -> str:
    """Return a share in percent; what is there at all is never shown as none."""
    if not n or not total:
        return "0"
    return "<0.1%" if n / total < 0.001 else f"{n / total:.1%}"


def _profile_row(column: Mapping[str, Any]) -> tuple[str, ...]:
    distinct = "" if column["distinct"] is None else f"{column['distinct']:,}"
    return column["column"], column["type"], _share(column["nulls"], column["rows"]), distinct, _values(column)


def _values(column: Mapping[str, Any]) -> str:
    """Return a column's range and mean, or its most frequent values."""
    if column["min"] is None:
        return ", ".join(f"{value} ({n:,})" for value, n in (column["top"] or [])[:3])
    mean = "" if column["mean"] is None else f", mean {_number(column['mean'])}"
    return f"{_number(column['min'])} to {_number(column['max'])}{mean}"


def _metric(value: float | None) -> str:
    return f"{value:z.4f}" if value is not None and abs(value) < 10 else _number(value)


def _number(value: Any) -> str:
    """Return a number in four digits; an instant in UTC without its seconds if they are zero."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if 9_999.5 <= abs(value) < 1e15 else f"{value:.4g}"
    return str(value).removesuffix("+00:00").removesuffix(":00") if isinstance(value, str) and value[4:5] == "-" else str(value)


def _shown_path(path: Path) -> str:
    """Return a path relative to the working folder where that is shorter."""
    absolute = path.absolute()
    try:
        return str(absolute.relative_to(Path.cwd()))
    except ValueError:
        return str(absolute)
