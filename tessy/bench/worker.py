"""One process of an arrangement without servers: both engines, both predictors, on one core.

Several of these drain one journal. The parent writes one task a line, as JSON, and reads one line back:
all workers do the same task at the same time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tessy.bench.harness import Harness, Models
from tessy.config.base import Sampler
from tessy.engines import Engine
from tessy.engines.inprocess import InProcessEngine
from tessy.engines.transformers_engine import TransformersEngine
from tessy.engines.turns import Turns
from tessy.records import ROLES


def main() -> None:
    spec = json.loads(sys.argv[1])
    # Nothing but answers may go to the pipe the parent reads.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    turns = Turns()
    harness = _harness(Models.of(spec["models"]), spec["core"], spec["kind"], spec["arguments"], turns)
    _answer(answers, {"ready": True})
    for line in sys.stdin:
        before = turns.busy_s
        done = asyncio.run(_do(harness, json.loads(line)))
        _answer(answers, done | {"models_busy_s": turns.busy_s - before})


def _harness(models: Models, core: int, kind: str, arguments: Mapping[str, Any], turns: Turns) -> Harness:
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = str(core)
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {core})
    renderers, sampling = models.renderers(), Sampler(**models.sampler)
    length = models.max_length(renderers)

    def engine(source: str) -> Engine:
        if kind == "vllm":
            return InProcessEngine(source, sampling, max_length=length, arguments=arguments, turns=turns)
        slots = models.concurrency
        return TransformersEngine(
            source, sampling, slots=slots, max_length=length, dtype=torch.float32, turns=turns
        )

    return Harness(models, {role: engine(models.sources[role]) for role in ROLES}, renderers, turns)


async def _do(harness: Harness, task: Mapping[str, Any]) -> dict[str, Any]:
    if task["what"] == "plain":
        tokens, seconds = await harness.plain(task["teacher_share"], task["tokens"])
        return {"tokens": tokens, "seconds": seconds}
    harness.models = Models.of({**harness.models.plain(), "problems": task["problems"]})
    meters = await harness.stream(Path(task["folder"]), literal=task["what"] == "literal")
    return meters.values()


def _answer(stream: Any, value: Mapping[str, Any]) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
