"""Cooperative synthesis with two servers that somebody else started: what `tessy bench synthesis` runs.

What is not said is found out: the model's folder and context from the server, the chat format from the
tokenizer's markers, the window from the predictor.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tessy.artifacts import read_json
from tessy.bench.harness import Harness, Models, trajectories
from tessy.boundary.operating_point import FILE as OPERATING_POINT
from tessy.chat import FORMATS, load_tokenizer
from tessy.config.base import Sampler
from tessy.config.sources import Columns, Source
from tessy.engines.codec import WAYS
from tessy.engines.server import ServerEngine
from tessy.errors import UserError, described
from tessy.records import ROLES, Role, Trajectory
from tessy.sources import layout_of, open_table
from tessy.stages.problems import problems_of
from tessy.stages.tables import Reading
from tessy.synthesis.meters import Meters

NEEDED = ("student", "teacher", "problems", "student_predictor", "teacher_predictor")
"""Options that have no default."""
RELEASE_WINDOW = 200
TIMEOUT_S = 300.0
MARKERS = {"qwen3": "<|im_start|>", "harmony": "<|channel|>", "deepseek_r1": "<｜Assistant｜>"}
"""A marker that only this format's tokenizers have."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    urls: dict[Role, str]
    problems: list[tuple[str, str]]
    predictors: dict[Role, str]
    tokenizers: dict[Role, str | None]
    formats: dict[Role, str | None]
    sampler: dict[str, Any]
    max_tokens: int | None
    window_tokens: int | None
    concurrency: int
    check_interval_tokens: int
    max_continuation_tokens: int

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        return cls(
            {role: given[role].rstrip("/").removesuffix("/v1") for role in ROLES},
            read_problems(given["problems"]),
            {role: given[f"{role}_predictor"] for role in ROLES},
            {role: given[f"{role}_tokenizer"] for role in ROLES},
            {role: given[f"{role}_format"] for role in ROLES},
            {key: given[key] for key in ("temperature", "top_p", "top_k")},
            given["max_tokens"],
            given["window_tokens"],
            given["concurrency"],
            given["check_interval_tokens"],
            given["max_continuation_tokens"],
        )


async def run(options: Options, scheduler: str, scratch: Path) -> tuple[Meters, list[Trajectory]]:
    """Write all problems; the meters and the trajectories."""
    served = {role: await _served(options.urls[role]) for role in ROLES}
    sources = {role: options.tokenizers[role] or served[role][0] for role in ROLES}
    formats = {role: options.formats[role] or _format(role, sources[role]) for role in ROLES}
    models = Models(
        sources,
        formats,
        options.predictors,
        options.problems,
        options.window_tokens or _window(options.predictors["student"]),
        options.max_tokens or 1,
        options.sampler,
        options.concurrency,
        options.check_interval_tokens,
        options.max_continuation_tokens,
    )
    renderers = models.renderers()
    if options.max_tokens is None:
        room = min(length for _, length in served.values()) - (models.max_length(renderers) - 1)
        models = Models.of({**models.plain(), "max_tokens": max(1, room)})
    async with AsyncExitStack() as stack:
        engines = {}
        for role in ROLES:
            engines[role] = await ServerEngine.connect(
                [options.urls[role]],
                Sampler(**options.sampler),
                timeout_s=TIMEOUT_S,
                codec=renderers[role],
                ways=("text",) if scheduler == "lockstep" else WAYS,
            )
            stack.push_async_callback(engines[role].close)
        harness = Harness(models, engines, renderers)
        if scheduler == "lockstep":
            return await harness.lockstep()
        meters = await harness.stream(scratch / "journal", literal=scheduler == "literal")
    return meters, trajectories(scratch / "journal", models.samples())


def read_problems(path: Path) -> list[tuple[str, str]]:
    """(id, prompt) of every row; raises `UserError` where one has no prompt, or there is none."""
    table = open_table(Source(source=str(path)), "problems")
    layout = layout_of(Columns(), (row.values for row in table.first_rows()), "problems")
    reading = Reading(table, layout)
    found = [(problem.problem_id, problem.prompt) for problem in problems_of(reading)]
    if reading.left_out.rows or not found:
        raise UserError(f"problems {path}: " + ("; ".join(reading.left_out.lines()) or "no rows"))
    return found


async def _served(url: str) -> tuple[str, int]:
    """The checkpoint behind a vLLM server, and its context."""
    url = url.rstrip("/").removesuffix("/v1")
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/models") as response:
            entry = (await response.json(content_type=None))["data"][0]
        return entry.get("root") or entry["id"], int(entry.get("max_model_len") or 0) or 1 << 20
    except (aiohttp.ClientError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"server {url}: /v1/models does not answer ({described(error)}); is it running?"
        ) from None


def _format(role: Role, source: str) -> str:
    vocabulary = load_tokenizer(source).get_vocab()
    for name, marker in MARKERS.items():
        if marker in vocabulary:
            return name
    raise UserError(
        f"{role} {source}: its tokenizer has the markers of no known chat format; "
        f"give --{role}-format, one of {', '.join(FORMATS)}"
    )


def _window(predictor: str) -> int:
    """What a predictor was trained to see, or the release's window where that fits."""
    folder = Path(predictor)
    if (folder / OPERATING_POINT).exists():
        return int(read_json(folder / OPERATING_POINT)["window_tokens"])
    config = folder / "config.json"
    most = int(read_json(config)["max_position_embeddings"]) - 1 if config.exists() else RELEASE_WINDOW
    return min(RELEASE_WINDOW, most)
