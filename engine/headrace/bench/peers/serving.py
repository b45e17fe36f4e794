"""Serve single calls: prepare one when asked, make it when asked, say how long it took. A line of JSON each way:

{"list": true}                                   -> {"calls": {name: {"title": ..., "tolerance": ..., "note": ...}}}
{"prepare": name, "rows": n, "result": path}     -> {"seconds": of a call when warm}; what it returns lies at `path` (npz)
{"call": times}                                  -> {"seconds": the mean of so many}
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Call = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Offer:
    """A call that a side offers.

    Parameters
    ----------
    make : callable
        ``make(rows)`` draws the data and returns the call, which returns arrays by name.
    title : str
        For people; of the first side.
    tolerance : float, optional
        How near other sides' values must be; None: they are not meant to be equal.
    note : str
        What to know of this side's way.
    """

    make: Callable[[int], Call]
    title: str = ""
    tolerance: float | None = None
    note: str = ""


def serve(offers: Mapping[str, Offer], to_numpy: Callable[[Any], np.ndarray] = np.asarray) -> None:
    """Answer questions until there are no more."""
    call: Call | None = None
    for line in sys.stdin:
        question = json.loads(line)
        if "list" in question:
            _answer({"calls": {name: {"title": o.title, "tolerance": o.tolerance, "note": o.note} for name, o in offers.items()}})
        elif "prepare" in question:
            call = offers[question["prepare"]].make(question["rows"])
            np.savez(question["result"], **{name: to_numpy(values) for name, values in call().items()})
            _answer({"seconds": min(_seconds(call, 1) for _ in range(2))})
        else:
            assert call is not None
            _answer({"seconds": _seconds(call, question["call"])})


def _seconds(call: Call, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times


def _answer(values: Mapping[str, Any]) -> None:
    print(json.dumps(values), flush=True)
