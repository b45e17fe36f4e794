"""Run the sides of a case in turn, A B A B ..., and check that they made the same."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from headrace.bench.agreement import agreement_of
from headrace.bench.cases import Case, CaseResult, Side, SideResult
from headrace.bench.measure import Usage, measure
from headrace.errors import DataError

Tell = Callable[[str], None]


def run_case(case: Case, runs: int, tell: Tell) -> CaseResult:
    """Run each side once to warm up and to compare the outputs, then `runs` times in turn.

    The machine's own state drifts (load, heat, caches): runs in turn share it, blocks of one side would not. The round
    that warms up fills the file cache and compiles kernels, and does not count.

    Raises
    ------
    DataError
        If the outputs of two sides differ.
    CommandFailedError
        If a side fails.
    """
    first = {side.name: _run(side, case, "warm-up", tell) for side in case.sides}
    agreement = _check(case) if case.compares == "seconds" else {}
    counted: dict[str, list[Usage]] = {side.name: [] for side in case.sides}
    for index in range(runs):
        for side in case.sides:
            counted[side.name].append(_run(side, case, f"run {index + 1} of {runs}", tell))
    sides = tuple(_result(side, counted[side.name] or [first[side.name]], case.times) for side in case.sides)
    for side in case.sides:
        shutil.rmtree(side.folder, ignore_errors=True)
    found = CaseResult(case.name, case.title, case.rows, sides, agreement, case.compares)
    ratio = found.ratio()
    if case.compares == "seconds" or ratio is None:
        return found
    return replace(found, agreement={ratio[1]: {"largest_process": round(ratio[0], 4)}})


def _run(side: Side, case: Case, label: str, tell: Tell) -> Usage:
    shutil.rmtree(side.folder, ignore_errors=True)
    side.folder.mkdir(parents=True)
    # What the last side left in the write cache is not this one's to wait for.
    os.sync()
    usage = measure(side.command, side.folder, side.environment)
    tell(f"{case.name}, {side.name}, {label}: {usage.wall_s:.2f} s, CPU {usage.cpu_s:.2f} s, {usage.peak_rss_bytes / 1e9:.2f} GB")
    return usage


def _check(case: Case) -> dict[str, Any]:
    """Compare every side's output with ours; raise DataError where they differ."""
    ours, *peers = case.sides
    found = {}
    for peer in peers:
        result = agreement_of(ours.files(), peer.files())
        found[peer.name] = result
        if "error" in result:
            raise DataError(f"{case.name}: {ours.name} and {peer.name} did not write the same: {result['error']}")
        if result["mismatched_rows"] > case.mismatches * result["rows"]:
            worst = sorted(result["mismatches"].items(), key=lambda item: -item[1])[:5]
            shown = ", ".join(f"{name} in {count:,} rows" for name, count in worst)
            raise DataError(
                f"{case.name}: {ours.name} and {peer.name} differ in {result['mismatched_rows']:,} of {result['rows']:,} rows: {shown}"
            )
    return found


def _result(side: Side, usages: Sequence[Usage], times: str) -> SideResult:
    return SideResult(
        name=side.name,
        seconds=tuple(round(usage.wall_s if times == "wall" else _last_repetition(usage), 4) for usage in usages),
        cpu_s=tuple(round(usage.cpu_s, 3) for usage in usages),
        peak_rss_bytes=tuple(usage.peak_rss_bytes for usage in usages),
        peak_process_bytes=tuple(usage.peak_process_bytes for usage in usages),
        output_bytes=sum(path.stat().st_size for path in side.files()),
        rows=side.rows,
    )


def _last_repetition(usage: Usage) -> float:
    last: float = json.loads(usage.stdout.splitlines()[-1])["seconds"][-1]
    return last
