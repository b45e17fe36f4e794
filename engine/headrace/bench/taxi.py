"""The suite `taxi`: raw trips to predicted minutes, without training; `headrace predict` with a bundle trained before.

    python -m headrace.bench.taxi BUNDLE OUT

writes what the bundle learnt as `learnt.json` and the trees as `model.ubj`, for peers: their users would have saved the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.bench.cases import Case, Side
from headrace.bench.files import make_files
from headrace.bench.request import Request, config, headrace, script
from headrace.errors import HeadraceError

CASES = ("predict", "second")
TRAINING_ROWS = 500_000
# A distance that differs in its last bit may fall on the other side of a split: such rows may be so many, and are counted.
MISMATCHES = 1e-4


def cases(request: Request) -> list[Case]:
    """Make the data, train the bundle, and return the case."""
    request.check(CASES)
    training = make_files("taxi-training", request.data, TRAINING_ROWS)
    source = make_files("taxi", request.data, request.rows)
    bundle, saved = _train(request, training)
    made = []
    title = "taxi: features, matrix, predict, write"
    for name, shown, repeat in (("predict", title, 1), ("second", f"{title}: second time in one process", 2)):
        if request.wanted(name):
            sides = (*_ours(request, source, bundle, repeat), *_peers(request, source, saved, repeat))
            made.append(Case(name, shown, request.rows, sides, "wall" if repeat == 1 else "last", MISMATCHES))
    return made


def _train(request: Request, training: Path) -> tuple[Path, Path]:
    """Train, and save for the peers what was learnt; return the bundle and the folder of what was saved."""
    out, saved = request.work / "training", request.work / "saved"
    saved.mkdir(parents=True, exist_ok=True)
    settings = (f"source.path={json.dumps(str(training / '*.parquet'))}", f"output.path={json.dumps(str(out))}")
    _finish(headrace("run", config("taxi.yaml"), *[argument for setting in settings for argument in ("--set", setting)], "--json"))
    bundle = out / "latest" / "bundle"
    _finish((sys.executable, "-m", "headrace.bench.taxi", str(bundle), str(saved)))
    return bundle, saved


def _finish(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HeadraceError(f"the model of the suite taxi cannot be made: {done.stderr.strip()[-800:]}")


def _ours(request: Request, source: Path, bundle: Path, repeat: int) -> list[Side]:
    sides = []
    for name, device in request.devices().items():
        folder = request.work / name
        files = (str(bundle), str(source / "*.parquet"), str(folder / "out" / "predictions.parquet"))
        if repeat == 1:
            command = headrace("predict", *files, "--device", device)
        else:
            command = (sys.executable, str(script("predict_headrace")), *files, str(repeat), device)
        sides.append(Side(name, command, folder))
    return sides


def _peers(request: Request, source: Path, saved: Path, repeat: int) -> list[Side]:
    sides = []
    for peer in request.peers:
        folder = request.work / peer
        command = (sys.executable, str(script(f"taxi_{peer}")), str(source), str(folder / "out"), "--repeat", str(repeat))
        sides.append(Side(peer, command, folder, environment={"TAXI_SAVED": str(saved)}))
    return sides


def learnt_by(bundle: Any) -> dict[str, Any]:
    """Return what the steps of a bundle learnt as JSON values: fills, means and deviations, ids by zone."""
    from headrace.ops.categorify import Categorify
    from headrace.ops.fill_missing import FillMissing
    from headrace.ops.normalize import Normalize

    fitted = bundle.fitted
    learnt: dict[str, Any] = {"features": list(bundle.features), "ids": {}}
    for index, op in enumerate(fitted.ops):
        state = fitted.states.get(index)
        if isinstance(op, FillMissing):
            learnt["fills"] = dict(state.values)
        elif isinstance(op, Normalize):
            learnt["means"], learnt["deviations"] = state.means, state.stds
        elif isinstance(op, Categorify):
            for column in op.columns:
                rows = bundle.pipeline.categories(column[0]).to_pylist()
                learnt["ids"][column[0]] = [[row["category"], row["id"]] for row in rows if row["category"] is not None]
    return learnt


def main(arguments: Sequence[str]) -> None:
    """Save for peers what a bundle learnt."""
    from headrace.jobs.bundle import Bundle

    path, out = map(Path, arguments)
    (out / "learnt.json").write_text(json.dumps(learnt_by(Bundle.load(path))))
    (out / "model.ubj").write_bytes((path / "model" / "model.ubj").read_bytes())


if __name__ == "__main__":
    main(sys.argv[1:])
