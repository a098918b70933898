"""What the sandbox costs: an empty program with it and without, and how runs scale with workers.

    python -m eval.judge.bench [overhead | contest [PROBLEMS TESTS SUBMISSIONS] | memory [TESTS [dmoj | lcb]]
                                | small [SUBMISSIONS TESTS] | write FOLDER [SUBMISSIONS TESTS TURN]
                                | processes [SUBMISSIONS TESTS PROCESSES...]]

prints one JSON object. Figures hold for a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eval.judge.compile import DMOJ, build
from eval.judge.loads import contest, memory, small, timed, write_small
from eval.judge.records import MIB, Source
from eval.judge.shared_load import processes
from eval.judge.workers import physical_cores
from eval.sandbox import Limits, Sealed, require, run, scratch

_EMPTY = Source("cpp", {"main.cpp": b"int main() {}"})
_LIMITS = Limits(cpu_s=1, wall_s=2, memory=256 * MIB, stdout=MIB)


def measure(runs: int = 200) -> dict[str, float]:
    """`bare_ms` and `sandboxed_ms` are medians of one run of an empty C++ program, run in turn so that both
    meet the same machine; `runs_per_s_1` and `runs_per_s_all` count sandboxed runs with one worker and
    with one per physical core. Raises `SandboxUnavailable`."""
    require()
    program = build(DMOJ["cpp"], _EMPTY)
    (binary,) = program.files.values()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "main")
        path.write_bytes(binary.read())
        path.chmod(0o755)
        pairs = [(timed(lambda: _bare(path))[0], timed(lambda: _boxed(binary))[0]) for _ in range(runs)]
    bare, boxed = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
    single, full = (_rate(binary, workers, runs) for workers in (1, len(physical_cores())))
    program.close()
    return {
        "bare_ms": round(bare, 3),
        "sandboxed_ms": round(boxed, 3),
        "overhead_ms": round(boxed - bare, 3),
        "runs_per_s_1": round(single, 1),
        "runs_per_s_all": round(full, 1),
    }


def _bare(path: Path) -> None:
    subprocess.run([path], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _boxed(binary: Sealed) -> None:
    out, err = scratch(), scratch()
    try:
        outcome = run(
            ("/box/main",), _LIMITS, files={"/box/main": binary}, stdin=None, stdout=out, stderr=err
        )
        if outcome.exit_code != 0:
            raise RuntimeError(f"the empty program ended with {outcome}")
    finally:
        os.close(out)
        os.close(err)


def _rate(binary: Sealed, workers: int, runs: int) -> float:
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: _boxed(binary), range(workers)))  # each worker makes its sandbox
        seconds, _ = timed(lambda: list(pool.map(lambda _: _boxed(binary), range(runs))))
    return runs / seconds


if __name__ == "__main__":
    load, *sizes = sys.argv[1:] or ["overhead"]
    loads: dict[str, Callable[..., Any]] = {
        "overhead": measure,
        "contest": contest,
        "memory": memory,
        "small": small,
        "write": write_small,
        "processes": processes,
    }
    print(json.dumps(loads[load](*(int(size) if size.isdigit() else size for size in sizes))))
