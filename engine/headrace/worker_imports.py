"""What worker processes of our own need: the one that they are forked from imports this module, and with it all that, once and ahead of time."""

from __future__ import annotations

import gc
import importlib
from contextlib import suppress

from headrace.startup import collect_seldom, keep_freed_memory, spare_pandas
from headrace.worker_setup import load_kernels

keep_freed_memory()
collect_seldom()
spare_pandas()
with suppress(Exception):  # a worker to which it matters will say so
    importlib.import_module("distributed")
    importlib.import_module("headrace.jobs.tasks")
    load_kernels()
gc.freeze()  # looking through what all have in common would copy its pages
