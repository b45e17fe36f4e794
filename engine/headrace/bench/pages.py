"""Results as tables: Markdown for docs/performance.md, rows for the terminal.

    python -m headrace.bench.pages benchmarks/results/*.json --into docs/performance.md

puts the tables and charts of results into a page, between the lines ``<!-- results NAME -->`` and ``<!-- end NAME -->``
(NAME as in ``criteo-5M``, the name of the file). Nothing in them is typed by hand.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace.bench.cases import CaseResult, SuiteResult, short_count
from headrace.bench.chart import draw
from headrace.errors import JobError

BLOCK = re.compile(r"(<!-- results (?P<name>[\w-]+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)
PROCESS_HEADINGS = (
    "case",
    "side",
    "seconds",
    "spread",
    "CPU s",
    "rows/s a core",
    "peak memory",
    "largest process",
    "output",
    "headrace / it",
)
CALL_HEADINGS = ("call", "side", "ns a row", "spread", "headrace / it")


def headings_of(case: CaseResult) -> tuple[str, ...]:
    """Return the headings that `rows_of` fits."""
    return PROCESS_HEADINGS if case.sides[0].cpu_s else CALL_HEADINGS


def rows_of(case: CaseResult) -> list[tuple[str, ...]]:
    """Return the rows of a case's table, one a side; what ours takes in units of a peer's stands in the peer's row."""
    row = _process_row if case.sides[0].cpu_s else _call_row
    return [row(case, index) for index in range(len(case.sides))]


def _process_row(case: CaseResult, index: int) -> tuple[str, ...]:
    side = case.sides[index]
    low, high = side.spread
    # Where the last repetition counts, the CPU is the whole process's, all repetitions included.
    cpu = statistics.median(side.cpu_s)
    return (
        f"{case.title}, {short_count(case.rows)} rows" if index == 0 else "",
        side.name,
        f"{side.median:.2f}",
        f"{low:.2f}-{high:.2f}",
        f"{cpu:.2f}",
        _rate((side.rows or case.rows) / cpu) if cpu else "",
        _gigabytes(statistics.median(side.peak_rss_bytes)),
        _gigabytes(statistics.median(side.peak_process_bytes)),
        f"{side.output_bytes / 1e6:.1f} MB" if side.output_bytes else "",
        _ratio(case, index),
    )


def _call_row(case: CaseResult, index: int) -> tuple[str, ...]:
    side = case.sides[index]
    middle, low, high = (seconds * 1e9 / case.rows for seconds in (side.median, *side.spread))
    name = f"{side.name} ({side.note})" if side.note else side.name
    return (case.title if index == 0 else "", name, f"{middle:.2f}", f"{low:.2f}-{high:.2f}", _ratio(case, index))


def _ratio(case: CaseResult, index: int) -> str:
    """Return our median in units of a peer's, for the peer's row; the best peer's is set in bold."""
    best = case.ratio()
    if best is None or index == 0:
        return ""
    ratio = f"{case.sides[0].compared_by(case.compares) / case.sides[index].compared_by(case.compares):.2f}"
    return f"**{ratio}**" if best[1] == case.sides[index].name else ratio


def _rate(rows: float) -> str:
    return f"{rows / 1e6:.2f} M" if rows >= 1e5 else f"{rows / 1e3:.1f} k"


def _gigabytes(nbytes: float) -> str:
    return f"{nbytes / 1e9:.2f} GB"


def markdown(result: SuiteResult) -> str:
    r"""Return the tables of a suite, and below them the machine and the versions.

    >>> from headrace.bench.cases import SideResult
    >>> case = CaseResult("look_up", "look up", 1_000_000_000, (SideResult("headrace", (0.5,)), SideResult("numpy", (1.0,))))
    >>> machine = {"processor": "x", "cores": 2, "memory_bytes": 0}
    >>> print(*markdown(SuiteResult("kernels", "", 1, "2026-01-01", machine, {}, (case,))).splitlines()[2:4], sep="\n")
    | look up | headrace | 0.50 | 0.50-0.50 |  |
    |  | numpy | 1.00 | 1.00-1.00 | **0.50** |
    """
    lines: list[str] = []
    for headings in dict.fromkeys(headings_of(case) for case in result.cases):
        lines += [_line(headings), "|" + "---|" * len(headings)]
        lines += [_line(row) for case in result.cases if headings_of(case) == headings for row in rows_of(case)]
        lines.append("")
    machine = result.machine
    told = f"{result.runs} runs of each side in turn, {result.started[:10]}; {machine['processor']}, {machine['cores']} cores"
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return "\n".join([*lines, f"{told}, {machine['memory_bytes'] / 2**30:.0f} GiB; {versions}.", ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def fill(page: Path, results: Sequence[SuiteResult], folder: Path) -> list[str]:
    """Put tables and charts of results into a page; return the names of the blocks that were filled.

    Parameters
    ----------
    page : Path
        Markdown with the lines that mark the blocks.
    results : list of SuiteResult
    folder : Path
        Where the charts are written, as ``NAME.svg``.

    Raises
    ------
    JobError
        If the page has no block for one of the results; nothing is written then.
    """
    text = page.read_text()
    names = [match["name"] for match in BLOCK.finditer(text)]
    homeless = [result.name for result in results if result.name not in names]
    if homeless:
        raise JobError(f"no block <!-- results {homeless[0]} -->", file=str(page), hint=f"Blocks: {', '.join(names) or 'none'}")
    blocks = {}
    for result in results:
        chart = folder / f"{result.name}.svg"
        chart.write_text(draw(result))
        place = Path(os.path.relpath(chart, page.parent)).as_posix()
        blocks[result.name] = f"{markdown(result)}\n![{result.name}: what each side takes]({place})\n"
    page.write_text(BLOCK.sub(lambda match: match[1] + blocks[match["name"]] + match[3] if match["name"] in blocks else match[0], text))
    return list(blocks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill a page from results, as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m headrace.bench.pages")
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    try:
        filled = fill(chosen.into, [SuiteResult.read(path) for path in chosen.results], chosen.results[0].parent)
    except JobError as error:
        sys.exit(f"error: {error}")
    print(f"{chosen.into}: {', '.join(filled)}")  # noqa: T201


if __name__ == "__main__":
    main()
