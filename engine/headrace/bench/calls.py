"""The suites `kernels` and `operators`: single calls on columns in memory, each kernel and each operator."""

from __future__ import annotations

from headrace.bench.cases import HEADRACE, CaseResult
from headrace.bench.request import Request, script
from headrace.bench.serving import Tell, run_calls, serving


def run(request: Request, tell: Tell) -> list[CaseResult]:
    """Run the calls of a suite; peers that have no script for it are left out."""
    ours = script(f"{request.suite}_{HEADRACE}")
    devices = request.devices()
    scripts = dict.fromkeys(devices, ours)
    for peer in request.peers:
        path = ours.with_name(f"{request.suite}_{peer}.py")
        if path.exists():
            scripts[peer] = path
    with serving(scripts, {name: (device,) for name, device in devices.items()}) as servers:
        known = tuple(servers[0].calls)
        request.check(known)
        names = [name for name in known if request.wanted(name)]
        return run_calls(servers, names, request.rows, request.runs, request.work, tell)
