"""The world: invented concepts, problems composed of them, and the tests that distinguish them.

Knowledge is a map from an invented word to an expression that means the same in Python and in C++. A
problem composes three words, so only a model that knows all three can solve it. The student
knows some of the words, the teacher all of them; everything follows from a `WorldConfig` and a seed.

Not covered: how authors write (`dialects`), worked solutions (`traces`), files (`contests`).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tessy.config.world import WorldConfig
from tessy.records import Problem, Role

ConceptKind = Literal["filter", "map", "fold"]
KINDS: tuple[ConceptKind, ...] = ("filter", "map", "fold")
LANGUAGES: tuple[str, ...] = ("python", "cpp")
LANGUAGE_NAMES: Mapping[str, str] = {"python": "Python", "cpp": "C++"}

_SYLLABLES = (  # noqa: SIM905
    "bal bem bor bun dak del dor dum fal fen fir fos gam gel gor gub kan ked kil kor lam lek lin lor "
    "mab mer mip mun nad nel nib nok pag pem pil pon rab reg rin rov sal sev sib sul tam tek tir tol "
    "van vel vit vog zam zed zil zor bif doz gip kuv lup nug ruz tuf"
).split()
_SUFFIX: Mapping[ConceptKind, str] = {"filter": "ic", "map": "ed", "fold": "um"}
CONCEPT_WORD = re.compile(rf"(?:{'|'.join(_SYLLABLES)}){{2}}(?:{'|'.join(_SUFFIX.values())})")
"""Shape of invented words: two of the syllables, and an ending that tells the kind."""

OOD_WORDS = (  # noqa: SIM905
    "apple river stone cloud table garden window silver morning bridge candle forest "
    "market engine letter button island carpet doctor pencil summer violin basket mirror"
).split()
"""Plain words of the out-of-domain task; both models know them all."""

_PROMPT = re.compile(r"Solve in (\S+)\. Of the (\w+) integers, each (\w+), print the (\w+)\.")


@dataclass(frozen=True, slots=True)
class Concept:
    """A word and its meaning; `known` says whether the student knows it from pre-training."""

    kind: ConceptKind
    word: str
    expression: str
    known: bool


Composition = tuple[Concept, Concept, Concept]
"""A filter, a map and a fold, in the order in which a solution thinks of them."""


@dataclass(frozen=True)
class World:
    """Concepts and problems; no composition occurs twice in `train` and `contests` together."""

    config: WorldConfig
    seed: int
    concepts: Mapping[str, Concept]
    train: tuple[Problem, ...]
    contests: Mapping[str, tuple[Problem, ...]]
    """Language -> its contest's problems, tagged `knowledge` = known | new."""
    ood: tuple[Problem, ...]
    held_out: frozenset[tuple[str, str, str]]
    """Words of every composition above: pre-training leaves these compositions out."""

    @classmethod
    def build(cls, config: WorldConfig, seed: int) -> World:
        """Generate the world of `seed`; the same arguments always give the same world.

        Raises `ValueError` if there are fewer compositions than the problems asked for.
        """
        concepts = _invent(config, random.Random(f"{seed}/concepts"))
        splits = _split_compositions(config, concepts, random.Random(f"{seed}/compositions"))
        contests = {language: tuple(splits[language]) for language in LANGUAGES}
        ood = _ood_problems(config.ood_problems, random.Random(f"{seed}/ood"))
        problems = itertools.chain.from_iterable(splits.values())
        held_out = frozenset(_words(problem) for problem in problems)
        return cls(config, seed, concepts, tuple(splits["train"]), contests, ood, held_out)

    def composition(self, problem: Problem) -> Composition:
        """The three concepts of `problem`, read from its prompt; raises `ValueError` for other prompts."""
        one, two, three = (self.concepts[word] for word in _words(problem))
        return one, two, three

    def known_to(self, role: Role) -> dict[ConceptKind, list[Concept]]:
        """The concepts that a role's pre-training may use, by kind."""
        able = [c for c in self.concepts.values() if c.known or role == "teacher"]
        return {kind: [c for c in able if c.kind == kind] for kind in KINDS}


def statement(composition: Composition, language: str) -> str:
    """The user's message of a problem."""
    one, two, three = (concept.word for concept in composition)
    return f"Solve in {LANGUAGE_NAMES[language]}. Of the {one} integers, each {two}, print the {three}."


def one_off(world: World, kind: ConceptKind, rng: random.Random) -> Concept:
    """A concept for a single document: a word outside the world and any expression of the grammar."""
    while (word := _invent_word(kind, rng)) in world.concepts:
        pass
    return Concept(kind, word, rng.choice(_grammar(kind)), known=False)


def ood_prompt(words: Sequence[str]) -> str:
    """The user's message of the out-of-domain task."""
    return f"Move the first word to the end: {' '.join(words)}."


def draw_ood_words(rng: random.Random) -> list[str]:
    """Distinct words, few enough that a tiny model can reorder them without error."""
    return rng.sample(OOD_WORDS, 3)


def ood_answer(problem: Problem) -> str:
    """The right answer to an out-of-domain problem."""
    return rotate(problem.prompt.rstrip(".").split(": ")[1].split())


def rotate(words: Sequence[str]) -> str:
    """The words as a line, with the first word moved to the end."""
    return " ".join([*words[1:], words[0]])


def solve(expressions: Sequence[str], numbers: Sequence[int]) -> int:
    """The output for `numbers` of the program with these filter, map and fold expressions."""
    keep, change, combine = (_compiled(expression) for expression in expressions)
    r = 0
    for x in numbers:
        if keep(x, 0, r):
            r = combine(x, change(x, 0, r), r)
    return r


def expressions(composition: Composition) -> tuple[str, str, str]:
    """The three expressions of a right program."""
    one, two, three = composition
    return one.expression, two.expression, three.expression


def swaps(world: World, composition: Composition) -> Iterator[Composition]:
    """Every composition that differs from this one in exactly one concept."""
    for place, concept in enumerate(composition):
        for rival in world.concepts.values():
            if rival.kind == concept.kind and rival != concept:
                swapped = list(composition)
                swapped[place] = rival
                yield swapped[0], swapped[1], swapped[2]


def make_tests(world: World, problem: Problem) -> list[tuple[str, str]]:
    """Inputs and expected outputs such that every swap of one concept fails at least one test."""
    rng = random.Random(f"{world.seed}/tests/{problem.problem_id}")
    right = expressions(world.composition(problem))
    rivals = [expressions(swapped) for swapped in swaps(world, world.composition(problem))]
    cases: list[list[int]] = []
    while rivals or len(cases) < 3:
        assert len(cases) < 100, f"{problem.problem_id}: two concepts of this world compute the same"
        cases.append([rng.randrange(1000) for _ in range(rng.randint(20, 40))])
        expected = solve(right, cases[-1])
        rivals = [rival for rival in rivals if solve(rival, cases[-1]) == expected]
    return [(f"{len(case)}\n{' '.join(map(str, case))}\n", f"{solve(right, case)}\n") for case in cases]


def _invent(config: WorldConfig, rng: random.Random) -> dict[str, Concept]:
    concepts: dict[str, Concept] = {}
    for kind, count in zip(KINDS, (config.filters, config.maps, config.folds), strict=True):
        expressions_of_kind = rng.sample(_grammar(kind), count)
        words = _distinct_words(kind, count, rng)
        for place, (word, expression) in enumerate(zip(words, expressions_of_kind, strict=True)):
            concepts[word] = Concept(kind, word, expression, known=place < round(config.known * count))
    return concepts


def _invent_word(kind: ConceptKind, rng: random.Random) -> str:
    return rng.choice(_SYLLABLES) + rng.choice(_SYLLABLES) + _SUFFIX[kind]


def _distinct_words(kind: ConceptKind, count: int, rng: random.Random) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < count:
        words[_invent_word(kind, rng)] = None
    return list(words)


def _split_compositions(
    config: WorldConfig, concepts: Mapping[str, Concept], rng: random.Random
) -> dict[str, list[Problem]]:
    by_kind = ([c for c in concepts.values() if c.kind == kind] for kind in KINDS)
    everything = [(one, two, three) for one, two, three in itertools.product(*by_kind)]
    rng.shuffle(everything)
    pools = {
        "known": iter([c for c in everything if all(concept.known for concept in c)]),
        "new": iter([c for c in everything if not all(concept.known for concept in c)]),
    }
    splits: dict[str, list[Problem]] = {}
    for language in LANGUAGES:
        half = config.eval_problems // 2
        wanted = [("known", half), ("new", config.eval_problems - half)]
        splits[language] = [
            _problem(f"{language}_{pool}_{i:03d}", _next(pools, pool), language, pool)
            for pool, count in wanted
            for i in range(count)
        ]
    splits["train"] = [
        _problem(f"train_{i:05d}", _next(pools, "new"), LANGUAGES[i % 2], "new")
        for i in range(config.train_problems)
    ]
    return splits


def _next(pools: Mapping[str, Iterator[Composition]], pool: str) -> Composition:
    composition = next(pools[pool], None)
    if composition is None:
        raise ValueError(
            f"world: too few compositions of {pool} concepts for the problems asked for;"
            " lower train_problems or eval_problems, or raise filters, maps or folds"
        )
    return composition


def _problem(problem_id: str, composition: Composition, language: str, knowledge: str) -> Problem:
    return Problem(problem_id, statement(composition, language), language, {"knowledge": knowledge})


def _ood_problems(count: int, rng: random.Random) -> tuple[Problem, ...]:
    return tuple(Problem(f"ood_{i:03d}", ood_prompt(draw_ood_words(rng))) for i in range(count))


def _words(problem: Problem) -> tuple[str, str, str]:
    match = _PROMPT.fullmatch(problem.prompt)
    if not match:
        raise ValueError(f"problem {problem.problem_id}: not a composition of concepts: {problem.prompt!r}")
    return match[2], match[3], match[4]


@cache
def _grammar(kind: ConceptKind) -> list[str]:
    """Every expression a concept of `kind` may stand for. No two of a kind compute the same, none
    overflows 64 bits, and Python and C++ give each the same value. No word that may vary (between white
    space) is one of another kind or place: a tiny model can tell by a word what it is."""
    numbers = range(2, 10)
    if kind == "filter":
        return [f"({b} == x%{a})" for a in range(3, 10) for b in range(a)]
    if kind == "map":
        return [f"(x*{a} + {b})" for a in numbers for b in numbers]
    return [f"(r {operator} y-{a})" for operator in "+-^" for a in numbers]


@cache
def _compiled(expression: str) -> Callable[[int, int, int], int]:
    function: Callable[[int, int, int], int] = eval(f"lambda x, y, r: {expression}")
    return function
