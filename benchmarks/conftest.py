"""The pytest-benchmark suites make the same calls as the harness: its scripts find their neighbours by this path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
