"""One process of the arrangement without servers: both engines, both predictors, on one core.

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

from tessy.bench.crew import Crew, Models
from tessy.engines import SamplingParams
from tessy.engines.turns import Turns
from tessy.records import ROLES


def main() -> None:
    spec = json.loads(sys.argv[1])
    # Nothing but answers may go to the pipe the parent reads.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    crew = _crew(Models.of(spec["models"]), spec["core"], spec["arguments"])
    _answer(answers, {"ready": True})
    for line in sys.stdin:
        _answer(answers, asyncio.run(_do(crew, json.loads(line))))


def _crew(models: Models, core: int, arguments: Mapping[str, Any]) -> Crew:
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = str(core)
    import torch

    from tessy.engines.inprocess import InProcessEngine

    torch.set_num_threads(1)
    os.sched_setaffinity(0, {core})
    renderers, turns = models.renderers(), Turns()
    engines = {
        role: InProcessEngine(
            models.sources[role],
            SamplingParams(**models.sampler),
            max_length=models.max_length(renderers),
            arguments=arguments,
            turns=turns,
        )
        for role in ROLES
    }
    return Crew(models, engines, renderers, turns)


async def _do(crew: Crew, task: Mapping[str, Any]) -> dict[str, Any]:
    if task["what"] == "plain":
        tokens, seconds = await crew.plain(task["teacher_share"], task["tokens"])
        return {"tokens": tokens, "seconds": seconds}
    crew.models = Models.of({**crew.models.plain(), "problems": task["problems"]})
    meters = await crew.stream(Path(task["folder"]), literal=task["what"] == "literal")
    return meters.values()


def _answer(stream: Any, value: Mapping[str, Any]) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
