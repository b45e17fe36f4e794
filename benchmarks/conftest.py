"""The pytest-benchmark suites make the same calls as `headrace bench`: its scripts find their neighbours by this path."""

from __future__ import annotations

import sys

from headrace.bench.request import script

sys.path.insert(0, str(script("serving").parent))
