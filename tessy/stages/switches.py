"""The stage `switches`: ways to switch authors, held against the generator's truth.

F1 is taken on gold thinkings, each author's in its own dialect, about problems nobody was trained on.
Leaks are those of real traces: both models write, and the switch decides. Every switch writes the same
problems.

The traces are kept, a folder for each switch, for `tessy inspect`.

Not covered: what students trained on these traces would learn; that is a recipe with `synthesis.switch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from tessy.artifacts import write_json, write_parquet
from tessy.boundary import Predictor
from tessy.boundary.labels import FOREIGN_LABEL
from tessy.boundary.quality import Confusion, compare, leaks
from tessy.boundary.switches import EveryTokens
from tessy.chat import Renderer
from tessy.miniature.dialects import STUDENT, TEACHER, Dialect, truth
from tessy.miniature.traces import gold_traces
from tessy.miniature.world import World
from tessy.pipeline.job import Job
from tessy.records import ROLES, Role, Trajectory
from tessy.stages.gold_doubts import TokenLogprobs, gold_logprobs
from tessy.stages.miniature import load_world
from tessy.stages.names import SWITCHES, TRAJECTORIES
from tessy.stages.switching import open_switch, require_usable, title, token_rule
from tessy.stages.writing import renderer_of, write_responses
from tessy.synthesis.drafts import samples_of
from tessy.synthesis.methods import METHODS

DIALECTS: dict[Role, Dialect] = {"student": STUDENT, "teacher": TEACHER}


@dataclass(frozen=True, slots=True)
class Quality:
    """A switch's row of the table; all are fractions (`tessy.boundary.quality`)."""

    token_f1: float
    boundary_f1: float
    style_leak: float
    capability_leak: float


def run(job: Job) -> None:
    for settings in job.config["switches"]:
        # First: what cannot be used must not stop it half-way.
        require_usable(job, settings)
    world = load_world(job.inputs["world"])
    gold = Gold(job, world)
    rows: dict[str, dict[str, float]] = {}
    for settings in job.config["switches"]:
        found, traces = judged(job, settings, gold), written(job, settings, world)
        style, capability = leaks((t, truth(thinking(t))) for t in traces)
        quality = Quality(found.token_f1, found.boundary_f1, style, capability)
        rows[title(settings)] = {name: getattr(quality, name) for name in Quality.__slots__}
        job.tracker.log({f"{title(settings)}/{key}": value for key, value in rows[title(settings)].items()})
    write_json(job.out / SWITCHES, rows)


class Gold:
    """Each author's gold thinkings of the contests' problems, in its own dialect."""

    def __init__(self, job: Job, world: World) -> None:
        problems = [problem for contest in world.contests.values() for problem in contest]
        self._job = job
        self.traces = {
            role: gold_traces(world, problems, DIALECTS[role], job.config["seed"]) for role in ROLES
        }

    @cached_property
    def logprobs(self) -> dict[Role, list[TokenLogprobs]]:
        """What each author's model says of its thinkings: read once for all switches that ask."""
        return asyncio.run(gold_logprobs(self._job, self.traces))


def judged(job: Job, settings: Mapping[str, Any], gold: Gold) -> Confusion:
    """Both authors' switches on gold thinkings."""
    total = Confusion()
    for role, traces in gold.traces.items():
        for trace, labels in zip(traces, labelled(job, settings, role, gold), strict=True):
            total += compare(trace.thinking, labels, trace.kinds)
    return total


def labelled(
    job: Job, settings: Mapping[str, Any], role: Role, gold: Gold
) -> Iterator[list[tuple[int, bool]]]:
    """(offset, whether it is style) of what a role's switch says of each of its thinkings."""
    rule = token_rule(settings)
    if isinstance(rule, EveryTokens):
        yield from alternating(renderer_of(job, role), [t.thinking for t in gold.traces[role]], rule)
        return
    if rule:
        style_is_foreign = bool(FOREIGN_LABEL[role])
        for tokens in gold.logprobs[role]:
            yield [(offset, rule.foreign(0, given) == style_is_foreign) for offset, given in tokens]
        return
    switch = open_switch(job, settings, role, 1)
    for trace in gold.traces[role]:
        yield asyncio.run(style_labels(switch, role, trace.thinking))


def alternating(
    renderer: Renderer, thinkings: Sequence[str], rule: EveryTokens
) -> Iterator[list[tuple[int, bool]]]:
    """(offset, whether it is style) of the tokens of whole thinkings, by turns of the authors."""
    for thinking in thinkings:
        pieces = renderer.pieces(renderer.encode(thinking))
        starts = accumulate(map(len, pieces), initial=0)
        yield [(at, rule.style(number)) for number, (at, _) in enumerate(zip(starts, pieces, strict=False))]


async def style_labels(switch: Predictor, role: Role, text: str) -> list[tuple[int, bool]]:
    """(offset, whether it is style) of what a role's switch says of a whole thinking."""
    foreign = await switch.foreign("", "", text)
    switch.release("")
    return [(offset, is_foreign == bool(FOREIGN_LABEL[role])) for offset, is_foreign in foreign]


def written(job: Job, settings: Mapping[str, Any], world: World) -> Sequence[Trajectory]:
    """Thinkings of the first training problems by both models, switched so."""
    synthesis = job.config["synthesis"]
    name = folder_of(settings)
    traces = write_responses(
        job,
        samples_of(world.train[: job.config["problems"]]),
        name=name,
        method=METHODS["tessy"],
        sampler=synthesis["sampler"],
        max_tokens=synthesis["max_tokens"],
        chunk_tokens=synthesis["chunk_tokens"],
        switch=settings,
    )
    write_parquet(
        job.out / name / TRAJECTORIES, traces, name, f"Cooperative traces, authors switched by: {name}."
    )
    return traces


def folder_of(settings: Mapping[str, Any]) -> str:
    """Where in the artifact a switch's traces are."""
    return title(settings).replace(" ", "-")


def thinking(trajectory: Trajectory) -> str:
    return "".join(span.text for span in trajectory.spans if span.kind in ("style", "capability"))
