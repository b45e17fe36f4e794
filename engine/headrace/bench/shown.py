"""What a person sees of a suite in the terminal: a line for each run, then the tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.bench.cases import SuiteResult
from headrace.bench.pages import headings_of, rows_of

LEFT = ("case", "call", "side")


def tell(line: str) -> None:
    """Say on standard error how it goes."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def show(result: SuiteResult, files: Sequence[Path]) -> None:
    """Show the tables of a suite, and the files it left."""
    # Figures cut off are no use: where it is no terminal, lines are as long as they need to be.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 220)
    for headings in dict.fromkeys(headings_of(case) for case in result.cases):
        table = Table(box=None, padding=(0, 2), show_edge=False)
        for name in headings:
            table.add_column(name, justify="left" if name in LEFT else "right", overflow="fold")
        for case in result.cases:
            if headings_of(case) == headings:
                for row in rows_of(case):
                    table.add_row(*(_marked(cell) for cell in row))
        console.print(table)
    for path in files:
        console.print(escape(str(path)), soft_wrap=True)


def _marked(cell: str) -> str:
    """Return a cell for rich: what Markdown sets in bold is bold here too."""
    text = escape(cell.strip("*"))
    return f"[bold]{text}[/]" if cell.startswith("**") else text
