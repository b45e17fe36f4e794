"""A driver's tool that answers as a test tells it: the engine asks `nvidia-smi` and nothing else which devices there are."""

from __future__ import annotations

from pathlib import Path

import pytest

SMI = """#!/bin/sh
case "$1" in
  --query-gpu=*) cat {folder}/devices;;
  topo) cat {folder}/peers;;
  -L) cat {folder}/list;;
  "") cat {folder}/page;;
  *) exit 6;;
esac
"""
PAGE = "| NVIDIA-SMI {driver}    Driver Version: {driver}    CUDA Version: 12.8     |\n"
H100 = "{index}, GPU-{index}a2b-3c, NVIDIA H100 80GB HBM3, 81559, 9.0, {driver}\n"
LISTED = """GPU {index}: NVIDIA H100 80GB HBM3 (UUID: GPU-{index}a2b-3c)
  MIG 3g.40gb     Device  0: (UUID: MIG-{index}c73-84)
  MIG 1g.10gb+me  Device  1: (UUID: MIG-{index}d01-99)
"""


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, devices: int = 1, *, driver: str = "570.86.15", line: str = H100) -> None:
    """Let this process find so many devices; with 0 the tool fails as it does without a driver."""
    folder.mkdir(exist_ok=True)
    tool = folder / "nvidia-smi"
    tool.write_text(SMI.format(folder=folder) if devices else "#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    tool.chmod(0o755)
    (folder / "devices").write_text("".join(line.format(index=index, driver=driver) for index in range(devices)))
    (folder / "page").write_text(PAGE.format(driver=driver))
    (folder / "list").write_text("".join(LISTED.format(index=index) for index in range(devices)))
    rows = ["\tGPU0\tGPU1\t", "GPU0\tX\tOK\t", "GPU1\tNS\tX\t", "", "Legend:", "  X    = Self", "  OK   = Status Ok"]
    (folder / "peers").write_text("\n".join(rows) + "\n")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
