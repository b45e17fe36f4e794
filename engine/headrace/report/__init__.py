"""The run's report: one HTML file that says, in plain words first, what was asked and what came out.

`render` takes a run's record (the content of ``run.json``) and returns the page. The page needs no network and runs
no script; it reads the same on a wide screen, on a phone, in the dark and on paper.
"""

from headrace.report.page import render

__all__ = ["render"]
