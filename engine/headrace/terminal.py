"""What a person sees in the terminal: progress, plans, summaries, tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.plan import human_bytes

if TYPE_CHECKING:
    from headrace.execution import Progress
    from headrace.jobs.job import OpenJob
    from headrace.jobs.run import Run
    from headrace.ledger import Ledger
    from headrace.plan import Plan

out = Console(highlight=False)


class PlainProgress:
    """A line a stage, for logs."""

    def __init__(self) -> None:
        self._stage, self._started, self._total = "", time.perf_counter(), 0

    def start(self, stage: str, total: int) -> None:
        self.finish()
        self._stage, self._started, self._total = stage, time.perf_counter(), total
        print(f"{stage}: {total} task{'s' if total != 1 else ''}", file=sys.stderr, flush=True)  # noqa: T201

    def advance(self) -> None:
        """Say nothing: lines for every task would drown a log."""

    def finish(self) -> None:
        """Say how long the stage took."""
        if self._stage:
            print(f"{self._stage}: done in {time.perf_counter() - self._started:.1f} s", file=sys.stderr, flush=True)  # noqa: T201


class BarProgress:
    """A bar a stage, on a terminal."""

    def __init__(self, bars: Any) -> None:
        self._bars, self._task = bars, None

    def start(self, stage: str, total: int) -> None:
        self._task = self._bars.add_task(stage, total=total)

    def advance(self) -> None:
        if self._task is not None:
            self._bars.advance(self._task)


@contextmanager
def make_progress(*, quiet: bool) -> Iterator[Progress]:
    """Give what shows progress: bars on a terminal, lines elsewhere, nothing with `--json`."""
    from headrace.execution import Silent

    console = Console(stderr=True)
    if quiet:
        yield Silent()
    elif console.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        with Bars(TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as bars:
            yield BarProgress(bars)
    else:
        plain = PlainProgress()
        yield plain
        plain.finish()


def run_summary(run: Run, report: Path | None = None) -> None:
    """Show a run's outcome: rows, metrics against a constant guess, where the report is."""
    record = run.record
    rows, dataset = record["ledger"]["rows"], record["dataset"]
    out.print(f"[bold]{escape(record['job']['name'])}[/] {record['run']}: done in {record['seconds']['total']:.1f} s")
    out.print(f"  {rows['in']:,} rows of {dataset['files']} files in = {rows['filtered']:,} filtered + {rows['quarantined']:,} quarantined + {rows['out']:,} out")
    if "model" in record:
        split = record["split"]
        out.print(f"  {record['model']['kind']} with {len(record['model']['features'])} features: {split['train_rows']:,} rows trained, {split['test_rows']:,} tested")
        out.print(_metrics_table(record["metrics"], tested=split["test_rows"] > 0))
    out.print(f"  report: {_shown_path(report or run.report)}", soft_wrap=True)
    if "model" in record:
        out.print(f"  bundle: {_shown_path(run.directory / 'bundle')}", soft_wrap=True)


def _metrics_table(metrics: Mapping[str, Any], *, tested: bool) -> Table:
    table = Table(box=None, padding=(0, 2), show_edge=False)
    which = "test" if tested else "train"
    for column in ("metric", which, "constant guess"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name, value in metrics[which].items():
        base = metrics["base"].get(name)
        table.add_row(name, _number(value), _number(base))
    return table


def show_plan(opened: OpenJob, plan: Plan) -> None:
    """Show a plan."""
    source = plan.source
    out.print(f"[bold]{escape(opened.job.name)}[/] on {plan.device}")
    out.print(f"  source: {source['rows']:,} rows, {source['files']} files, {source['row_groups']} row groups, {human_bytes(source['bytes'])}", soft_wrap=True)
    largest = max((partition.nbytes for partition in plan.partitions), default=0)
    out.print(f"  partitions: {len(plan.partitions)}, the largest {human_bytes(largest)}")
    out.print(f"  predicted peak: {human_bytes(plan.predicted_peak_bytes)}")
    for one in plan.passes:
        out.print(f"  [bold]{one.name}[/]: reads {len(one.columns)} columns, {human_bytes(one.nbytes)}")
        out.print(f"    columns: {escape(', '.join(one.columns))}", soft_wrap=True)
        for index in one.observed:
            op = opened.steps.ops[index]
            out.print(f"    learns: {index} {op.name} ({escape(op.text())})", soft_wrap=True)
    out.print("  [bold]steps[/]")
    for index, op in enumerate(opened.steps.ops):
        out.print(f"    {index} {op.name}: {escape(op.text())}", soft_wrap=True)
    if opened.features:
        out.print(f"  [bold]features[/] ({len(opened.features)}): {escape(', '.join(opened.features))}", soft_wrap=True)
    out.print(f"  falls back to the CPU: {escape('; '.join(plan.fallbacks)) or 'nothing'}")


def predict_summary(output: Path, ledger: Ledger) -> None:
    """Show what predicting did."""
    rows = ledger.rows()
    out.print(f"{rows['in']:,} rows in, {rows['filtered']:,} filtered, {rows['out']:,} predicted: {_shown_path(output)}", soft_wrap=True)


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
        described.update({"job": loaded.job, "features": list(loaded.features), "target": loaded.target, "key": list(loaded.key), "metrics": loaded.metrics})
        described["model"] = {"kind": settings.kind, "task": settings.task, "params": dict(settings.params), "rounds": settings.rounds}
    return described


def show_bundle(path: Path, loaded: Any) -> None:
    """Show what a bundle holds."""
    described = describe_bundle(loaded)
    out.print(f"[bold]{_shown_path(path)}[/]: whole, every checksum is right", soft_wrap=True)
    for index, (step, learnt) in enumerate(zip(described["pipeline"], described["learnt"], strict=True)):
        name = next(iter(step))
        out.print(f"  {index} {name}: {escape(loaded.fitted.ops[index].text())}", soft_wrap=True)
        if learnt:
            out.print(f"      learnt: {escape(learnt)}", soft_wrap=True, style="dim")
    if "model" in described:
        model = described["model"]
        out.print(f"  model: {model['kind']} ({model['task']}), target {escape(described['target'])}, {len(described['features'])} features")
        for name, value in (described["metrics"].get("test") or {}).items():
            out.print(f"    {name}: {_number(value)}")


def show_profile(found: Mapping[str, Any]) -> None:
    """Show a profile."""
    source = found["source"]
    out.print(f"{source['rows']:,} rows, {source['files']} files, {source['row_groups']} row groups, {human_bytes(source['bytes'])}")
    table = Table(box=None, padding=(0, 1), show_edge=False)
    for name in ("column", "type", "nulls", "distinct", "min", "mean", "max", "most frequent"):
        table.add_column(name, justify="left" if name in ("column", "type", "most frequent") else "right", overflow="fold")
    for column in found["columns"]:
        share = f"{column['nulls'] / column['rows']:.1%}" if column["rows"] and column["nulls"] else "0"
        top = ", ".join(f"{value} ({n:,})" for value, n in (column["top"] or [])[:3])
        distinct = "" if column["distinct"] is None else f"{column['distinct']:,}"
        table.add_row(escape(column["column"]), column["type"], share, distinct, _number(column["min"]), _number(column["mean"]), _number(column["max"]), escape(top))
    out.print(table)
    for advice in found["advice"]:
        out.print(f"  [yellow]![/] {escape(advice)}", soft_wrap=True)


def show_findings(findings: Sequence[Mapping[str, str]]) -> None:
    """Show what `doctor` found, a line each."""
    marks = {"ok": "[green]ok[/]     ", "missing": "[yellow]missing[/]", "error": "[red]error[/]  "}
    for one in findings:
        out.print(f"{marks[one['state']]} {escape(one['what'])}: {escape(one['found'])}", soft_wrap=True)
        if one.get("remedy"):
            out.print(f"          {escape(one['remedy'])}", soft_wrap=True, style="dim")


def show_written(written: Sequence[Any]) -> None:
    """Show the sample files that are there now."""
    for file in written:
        out.print(f"{_shown_path(file.path)}: {file.rows:,} rows, {human_bytes(file.nbytes)}", soft_wrap=True)


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))


def _shown_path(path: Path) -> str:
    """Return a path relative to the working folder where that is shorter."""
    absolute = path.absolute()
    try:
        return escape(str(absolute.relative_to(Path.cwd())))
    except ValueError:
        return escape(str(absolute))
