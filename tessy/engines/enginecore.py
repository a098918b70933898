"""What this project adds to the process in which a vLLM server's engine runs: hashes of prefixes that are
known already, and a record of steps.

**Hashes.** vLLM finds what it has cached of a prompt by hashes of blocks, each over all that is before it.
A span of a trace is a request with the whole trace as its prompt, so that a trace of 10,000 tokens would be
hashed anew for every dozen it grows by. Requests say in their names which sample they continue (`named`);
what the sample's last request had hashed is taken over as far as the ids are the same, and hashing goes on
from there.

**Steps.** Where TESSY_STEPS names a folder, a line of JSON is written there for every step (`Step`).

Loaded by vLLM's plugin protocol where VLLM_PLUGINS names it (`vllm.general_plugins`). It replaces a
function by name and adds to two methods; a version of vLLM that has them no longer works as without this.
Requests of others are left alone. Not covered: prompts with images, adapters or salts, which are hashed as
vLLM does.
"""

from __future__ import annotations

import functools
import json
import os
import re
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

STEPS = "TESSY_STEPS"
"""The environment variable that names the folder of records."""
SAMPLES = 4096
"""Samples whose hashes are kept, the last ones: at 10,000 tokens about 80 KiB each."""
_NAME = re.compile(r"tessy-[0-9a-f]+-\d+(?=\.)")

Hasher = Callable[[Any], list[Any]]


def named(client: str, sample: int, number: int) -> str:
    """The name of a client's request for its `sample`-th sample."""
    return f"tessy-{client}-{sample}.{number}"


def install() -> None:
    """What the entry point names."""
    from vllm.v1.engine import core

    if (make := getattr(core, "get_request_block_hasher", None)) is not None:
        core.get_request_block_hasher = functools.partial(remembering, make)
    if folder := os.environ.get(STEPS):
        record_steps(Path(folder))


def remembering(make: Callable[..., Hasher], block_size: int, *rest: Any) -> Hasher:
    """The hasher that `make` gives, kept from hashing again what a sample's last request had hashed."""
    return _Remembering(make(block_size, *rest), block_size)


class _Remembering:
    """Hashes a request's blocks that are not hashed yet, as vLLM's own hasher does."""

    def __init__(self, plain: Hasher, block_size: int) -> None:
        self._plain, self._block_size = plain, block_size
        self._last: OrderedDict[str, tuple[array[int], list[Any]]] = OrderedDict()

    def __call__(self, request: Any) -> list[Any]:
        # One that has hashes is being written; it is new blocks that are asked for then.
        name = None if request.block_hashes else _sample_of(request)
        if name is None:
            return self._plain(request)
        ids = array("i", request.prompt_token_ids)
        before, hashes = self._last.pop(name, (array("i"), []))
        known = hashes[: shared(before, ids, self._block_size) // self._block_size]
        # vLLM's hasher goes on behind the hashes that a request has, and its caller adds what is returned.
        request.block_hashes.extend(known)
        new = self._plain(request)
        self._last[name] = ids, [*known, *new]
        if len(self._last) > SAMPLES:
            self._last.popitem(last=False)
        return new


def shared(before: array[int], ids: array[int], block_size: int) -> int:
    """How many leading ids are the same, whole blocks at the least."""
    if ids[: len(before)] == before:
        return len(before)
    same = 0
    while before[same : same + block_size] == ids[same : same + block_size]:
        same += block_size
    return same


def _sample_of(request: Any) -> str | None:
    """The sample that `request` continues; None where its hashes depend on more than ids."""
    found = _NAME.search(request.request_id)
    more = ("lora_request", "mm_features", "cache_salt", "prompt_embeds")
    if (
        found is None
        or request.prompt_token_ids is None
        or any(getattr(request, name, None) for name in more)
    ):
        return None
    return found[0]


class Step(NamedTuple):
    """One step of an engine: when its result had been dealt with (seconds since 1970), milliseconds since the
    step before or, after a pause, since it was scheduled; of these, milliseconds of scheduling and of dealing
    with the result, in which the engine's process computes; requests in it, how many of these began, tokens
    read, and the kind of CUDA graph (with the server's option `cudagraph_metrics`, else "")."""

    at: float
    ms: float
    schedule_ms: float
    update_ms: float
    requests: int
    begun: int
    tokens: int
    graph: str = ""


def record_steps(folder: Path) -> None:
    """Have this process write each step of its engine into a file in `folder`, named by the model."""
    from vllm.v1.core.sched.scheduler import Scheduler

    plain_schedule, plain_update = Scheduler.schedule, Scheduler.update_from_output
    scheduled: dict[int, tuple[float, float]] = {}
    files: dict[int, Any] = {}
    last = 0.0

    def schedule(self: Any, *args: Any, **named: Any) -> Any:
        began = time.time()
        out = plain_schedule(self, *args, **named)
        scheduled[id(out)] = began, time.time()
        return out

    def update(self: Any, out: Any, result: Any) -> Any:
        nonlocal last
        began, done = scheduled.pop(id(out), (0.0, 0.0))
        dealing = time.time()
        answer = plain_update(self, out, result)
        now = time.time()
        if out.total_num_scheduled_tokens:
            stats = getattr(result, "cudagraph_stats", None)
            step = Step(
                now,
                1e3 * (now - max(last, began)),
                1e3 * (done - began),
                1e3 * (now - dealing),
                len(out.num_scheduled_tokens),
                len(out.scheduled_new_reqs),
                out.total_num_scheduled_tokens,
                getattr(stats, "runtime_mode", ""),
            )
            if os.getpid() not in files:
                name = Path(self.vllm_config.model_config.model).name
                files[os.getpid()] = (folder / f"{name}-{os.getpid()}.jsonl").open("a", buffering=1)
            files[os.getpid()].write(json.dumps(step) + "\n")
        last = now
        return answer

    Scheduler.schedule, Scheduler.update_from_output = schedule, update
