"""The table of docs/gpu.md: what each CUDA kernel must move, and the share of the memory's bandwidth that it can be expected to reach.

`python -m tests.gpu.kernel_floors --write` puts it there. It is made of the kernels' own declarations (`headrace_kernels.cuda_catalogue`) and
of the double-precision work that tests/gpu/kernels.json counted in their PTX; nothing in it was measured.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tests.gpu.kernel_resources import read_record

from headrace_kernels.cuda_catalogue import ATOMIC, LOOKUP, ROW, SCAN, STRING, CudaForm, cuda_forms

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"
BEGIN, END = "<!-- kernel floors: begin (make gpu-ptx-record) -->", "<!-- kernel floors: end -->"

# The share of the peak that memory traffic of each kind gets if nothing else holds it up.
BY_ACCESS = {
    ROW: 0.90,  # what a plain copy gets
    LOOKUP: 0.70,  # the table stays in the caches, but each row waits for it
    STRING: 0.30,  # neighbours read at unlike distances
    SCAN: 0.25,  # each thread walks its own rows: a 32-byte sector for 8 bytes, unless the first-level cache keeps it
    ATOMIC: 0.05,  # one atomic a row in the second-level cache
}


@dataclass(frozen=True)
class Device:
    """A device's peaks by its maker's data sheet: bytes a second, and double-precision multiply-adds a second."""

    name: str
    bytes_per_s: float
    fp64_slots_per_s: float


DEVICES = (
    Device("A100 80 GB", 2.04e12, 9.7e12 / 2),
    Device("H100", 3.35e12, 33.5e12 / 2),
    Device("L4", 0.30e12, 0.47e12 / 2),
)


def expected_share(form: CudaForm, fp64_slots: int, device: Device) -> float:
    """Return the share of the peak bandwidth: by its kind of access, less where arithmetic takes longer than memory."""
    memory_s = form.bytes_a_row / (device.bytes_per_s * BY_ACCESS[form.access])
    arithmetic_s = fp64_slots / device.fp64_slots_per_s
    return form.bytes_a_row / device.bytes_per_s / max(memory_s, arithmetic_s)


def table() -> str:
    """Return the table as Markdown."""
    record = read_record()
    head = ["kernel", "access", "bytes a row", "FP64 slots a row", *(device.name for device in DEVICES)]
    lines = [_line(head), _line(["---", "---", *["---:"] * (len(head) - 2)])]
    for form in cuda_forms():
        slots = record[form.name]["sm_80"]["fp64_slots_a_row"]
        shares = [f"{expected_share(form, slots, device):.0%}" for device in DEVICES]
        lines.append(_line([f"`{form.name}`", form.access, f"{form.bytes_a_row:g}", str(slots), *shares]))
    return "\n".join(lines)


def written_table() -> str:
    """Return what docs/gpu.md has between the two marks."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.kernel_floors", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the table into docs/gpu.md")
    if not parser.parse_args().write:
        print(table())
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
