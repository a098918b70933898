"""Worked solutions: thinking and answer in a dialect, and the corpora for pre-training both models.

Not covered: text written by models; nothing here runs one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessy.miniature.dialects import (
    AUTHORS,
    LINE_HEADS,
    STUDENT,
    TEACHER,
    Dialect,
    Spans,
    answer,
    phrases,
    program,
    truth,
)
from tessy.miniature.world import (
    KINDS,
    LANGUAGES,
    Composition,
    Concept,
    ConceptKind,
    World,
    draw_ood_words,
    expressions,
    one_off,
    ood_prompt,
    rotate,
    statement,
    swaps,
)
from tessy.records import Problem, Role


@dataclass(frozen=True, slots=True)
class Trace:
    """A prompt and a complete response to it. `kinds` covers `thinking`, which has no chat markup."""

    problem_id: str
    prompt: str
    thinking: str
    answer: str

    @property
    def kinds(self) -> Spans:
        """Which characters of the thinking are style and which are capability."""
        return truth(self.thinking)


def gold(world: World, problem: Problem, language: str, dialect: Dialect = STUDENT) -> str:
    """The right program for `problem`, as plain code."""
    return program(dialect, language, expressions(world.composition(problem)))


def mutants(world: World, problem: Problem, language: str, dialect: Dialect = STUDENT) -> Iterator[str]:
    """Every program with exactly one concept of `problem` replaced by another; all are wrong."""
    for swapped in swaps(world, world.composition(problem)):
        yield program(dialect, language, expressions(swapped))


def gold_traces(world: World, problems: Sequence[Problem], dialect: Dialect, seed: int) -> list[Trace]:
    """Right traces for `problems`, thinking and answer in `dialect`; one per problem, in order."""
    rng = random.Random(f"{seed}/gold traces")
    return [
        _contest_trace(p.problem_id, world.composition(p), p.language, _sole(dialect), dialect, rng)
        for p in problems
    ]


def pretraining_traces(role: Role, world: World, count: int, seed: int) -> list[Trace]:
    """A model's pre-training corpus: right solutions to other problems.

    The student's is in its own dialect, except for a share `exposure` in the teacher's; the teacher's is in
    its own, except for a share `mixed` of thinkings in which every phrase may be another author's.
    """
    rng = random.Random(f"{seed}/pre-training/{role}")
    return [_pretraining_trace(role, world, rng) for _ in range(count)]


def _line(concept: Concept) -> str:
    return f"{LINE_HEADS[concept.kind]} {concept.word} {concept.expression}"


def _pretraining_trace(role: Role, world: World, rng: random.Random) -> Trace:
    own = STUDENT if role == "student" else TEACHER
    styles = _sole(own)
    if role == "teacher" and rng.random() < world.config.mixed:
        styles = [rng.choice(AUTHORS) for _ in range(4)]
    elif role == "student" and rng.random() < world.config.exposure:
        own, styles = TEACHER, _sole(TEACHER)
    if rng.random() < world.config.ood_share:
        return _ood_trace(draw_ood_words(rng), styles, rng)
    composition = _draw_composition(role, world, rng)
    return _contest_trace("", composition, rng.choice(LANGUAGES), styles, own, rng)


def _draw_composition(role: Role, world: World, rng: random.Random) -> Composition:
    pool = world.known_to(role)

    def draw(kind: ConceptKind) -> Concept:
        return one_off(world, kind, rng) if rng.random() < world.config.one_off else rng.choice(pool[kind])

    while True:
        one, two, three = (draw(kind) for kind in KINDS)
        if (one.word, two.word, three.word) not in world.held_out:
            return one, two, three


def _contest_trace(
    problem_id: str,
    composition: Composition,
    language: str,
    styles: Sequence[Dialect],
    answering: Dialect,
    rng: random.Random,
) -> Trace:
    lines = [_line(concept) for concept in composition]
    thinking = _think(lines, styles, rng)
    code = program(answering, language, expressions(composition))
    return Trace(problem_id, statement(composition, language), thinking, answer(answering, language, code))


def _ood_trace(words: list[str], styles: Sequence[Dialect], rng: random.Random) -> Trace:
    rotated = rotate(words)
    thinking = _think([f"{LINE_HEADS['ood']} ({rotated})"], styles, rng)
    return Trace("", ood_prompt(words), thinking, f"Answer: {rotated}")


def _think(lines: Sequence[str], styles: Sequence[Dialect], rng: random.Random) -> str:
    """Alternate a phrase of each of `styles` in turn with `lines`; the first and last are phrases."""
    opening, *linking = styles[: len(lines)]
    closing = styles[-1]
    text = rng.choice(phrases(opening.opening))
    for line, dialect in zip(lines, linking, strict=False):
        text += f"\n{line}\n{rng.choice(phrases(dialect.linking))}"
    return text + f"\n{lines[-1]}\n{rng.choice(phrases(closing.closing))}"


def _sole(dialect: Dialect) -> list[Dialect]:
    return [dialect] * 4
