"""vLLM's API server for the CPU build, with waiting that leaves the processor to others.

The engine and its worker are two processes that wait for each other in a loop around `sched_yield`. On a
GPU machine that costs nothing. Where they share a few cores with everybody else, they take one or two of
them whole, and recent kernels (6.18, where a yield forfeits virtual runtime) then starve everybody else
for as long as the server writes: a client waited 8 s for 0.3 s of processor time. A short sleep in its
place waits as well.

Worker processes import this module again, which is how it reaches them. Not covered: the GPU build.
"""

from __future__ import annotations

import os
import time

PAUSE_S = 5e-5
"""Far less than a step of any model takes on a CPU."""


def _pause() -> None:
    time.sleep(PAUSE_S)


os.sched_yield = _pause

if __name__ == "__main__":
    from vllm.entrypoints.launchers.api_server.entry import main

    main()
