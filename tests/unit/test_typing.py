"""What a user's type checker says of programs that use headrace: right ones pass, wrong ones do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

USER = """
from __future__ import annotations

import headrace as hr

columns: list[str] = ["a", "b"]
pipeline = hr.Pipeline(
    [
        hr.AsOfJoin("t", on="time", columns=["v"], by={"a": "key"}),
        hr.Bucketize(columns, edges=[1.0, 2.0]),
        hr.Categorify(columns),
        hr.Categorify(["a", ["b", "c"]], min_frequency=2),
        hr.CountEncoding("a"),
        hr.DateParts(["time"], parts=["day", "hour"]),
        hr.DecayedSum(["a"], half_life="1h", order="time", by=["b"]),
        hr.Dedupe(["a"], keep="last", order="time"),
        hr.DifferenceLag(["a"], order="time", by="b", lags=[1, 2]),
        hr.Drop(["a"]),
        hr.FillMissing(["a"], value="mean", by=["b"]),
        hr.Groupby(["a"], stats={"b": ["mean", "sum"]}),
        hr.HashedCross(["a", "b"], buckets=10),
        hr.JoinExternal("t", on=["a"], columns={"v": "w"}),
        hr.JoinGroupby("a", stats={"b": "mean"}),
        hr.Kernel("haversine_km", inputs=["a", "b", "c", "d"], output="km"),
        hr.Normalize(["a"]),
        hr.OneHot(categories={"a": ["x", "y"]}),
        hr.RobustScale(["a"], quantile_range=[10.0, 90.0]),
        hr.Rolling(["a"], window="7d", order="time", by=["b"], stats=["mean", "max"]),
        hr.Sample(fraction=0.5, key=["a"]),
        hr.SessionId("time", by=["a"]),
        hr.TargetEncoding([["a", "b"]], target=["x", "y"], key=["id"]),
        hr.TimeSinceLast("time", by="a"),
    ]
)
names: tuple[str, ...] = hr.Normalize(["a"]).columns
fitted: hr.FittedPipeline = pipeline.fit("rows.parquet", tables={"t": "t.parquet"})
"""

WRONG = """
import headrace as hr

hr.Normalize(3)
hr.Rolling(["a"], window="7d", order="time", stats=["median"])
hr.Normalize(["a"], colums=["b"])
"""


@pytest.fixture
def check(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[str, int]]:
    """Check a program as its author would, and return what is said and the exit code."""
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", ":".join(str(ROOT / folder) for folder in ("engine", "kernels")))
    path, cache = tmp_path / "program.py", tmp_path_factory.getbasetemp() / "mypy-cache"

    def run(program: str) -> tuple[str, int]:
        path.write_text(program)
        said, _, code = api.run(["--strict", "--follow-imports=silent", "--cache-dir", str(cache), "--config-file=", str(path)])
        return said, code

    return run


def test_a_program_that_writes_lists_passes_a_strict_check(check: Callable[[str], tuple[str, int]]) -> None:
    said, code = check(USER)
    assert code == 0, said


def test_wrong_settings_are_found_before_the_program_runs(check: Callable[[str], tuple[str, int]]) -> None:
    said, _ = check(WRONG)
    assert [line.split(":")[1] for line in said.splitlines() if "error:" in line] == ["4", "5", "6"]
