"""The miniature world: reproducible, disjoint, and with tests that tell right programs from wrong ones."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import world_config

from tessy import miniature
from tessy.boundary.lexicon import Lexicon
from tessy.miniature.dialects import AUTHORS, STUDENT, TEACHER, expand, phrases, truth
from tessy.miniature.traces import gold, gold_traces, mutants, pretraining_traces
from tessy.miniature.world import (
    CONCEPT_WORD,
    LANGUAGES,
    World,
    expressions,
    make_tests,
    solve,
    swaps,
)
from tessy.records import Problem

SMALL = world_config(train_problems=40, eval_problems=10, ood_problems=5)
seeds = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def world() -> World:
    return World.build(SMALL, 7)


def every_problem(world: World) -> Iterator[Problem]:
    yield from world.train
    for problems in world.contests.values():
        yield from problems


@settings(max_examples=10)
@given(seeds)
def test_a_seed_makes_one_world(seed: int) -> None:
    assert World.build(SMALL, seed) == World.build(SMALL, seed)
    assert World.build(SMALL, seed).concepts != World.build(SMALL, seed + 1).concepts


@settings(max_examples=10)
@given(seeds)
def test_no_composition_is_used_twice(seed: int) -> None:
    world = World.build(SMALL, seed)
    compositions = [world.composition(problem) for problem in every_problem(world)]
    assert len(set(compositions)) == len(compositions)
    assert {tuple(c.word for c in composition) for composition in compositions} == world.held_out


@settings(max_examples=10)
@given(seeds)
def test_the_tag_says_whether_the_student_knows_all_of_it(seed: int) -> None:
    world = World.build(SMALL, seed)
    for problem in every_problem(world):
        known = all(concept.known for concept in world.composition(problem))
        assert problem.tags["knowledge"] == ("known" if known else "new")
    assert all(problem.tags["knowledge"] == "new" for problem in world.train)


@settings(max_examples=5)
@given(seeds)
def test_the_tests_of_a_problem_fail_every_swapped_concept(seed: int) -> None:
    world = World.build(SMALL, seed)
    for problem in world.contests["cpp"]:
        composition = world.composition(problem)
        cases = [([int(n) for n in given.split()[1:]], int(out)) for given, out in make_tests(world, problem)]
        assert all(solve(expressions(composition), numbers) == out for numbers, out in cases)
        for swapped in swaps(world, composition):
            assert any(solve(expressions(swapped), numbers) != out for numbers, out in cases)


@pytest.mark.parametrize("dialect", [STUDENT, TEACHER], ids=lambda dialect: dialect.name)
def test_gold_programs_pass_and_mutants_fail(world: World, dialect: object) -> None:
    problem = world.contests["python"][-1]
    tests = make_tests(world, problem)
    assert passes(gold(world, problem, "python", dialect), tests)  # type: ignore[arg-type]
    wrong = list(mutants(world, problem, "python", dialect))  # type: ignore[arg-type]
    assert len(wrong) == len(world.concepts) - 3
    assert not any(passes(program, tests) for program in wrong)


def passes(program: str, tests: list[tuple[str, str]]) -> bool:
    return all(run(program, given) == out for given, out in tests)


def run(program: str, given: str) -> str:
    out, stdin = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(given)
    try:
        with contextlib.redirect_stdout(out):
            exec(program, {})
    finally:
        sys.stdin = stdin
    return out.getvalue()


def test_pretraining_keeps_held_out_compositions_and_unknown_words_from_the_student(world: World) -> None:
    prompts = {trace.prompt for trace in pretraining_traces("student", world, 2000, 0)}
    new_words = {concept.word for concept in world.concepts.values() if not concept.known}
    words = {word for prompt in prompts for word in CONCEPT_WORD.findall(prompt)}
    assert not words & new_words
    assert not prompts & {problem.prompt for problem in every_problem(world)}


def test_exposure_is_the_share_of_the_teachers_dialect() -> None:
    config = world_config(exposure=0.25)
    traces = pretraining_traces("student", World.build(config, 0), 2000, 0)
    openings = set(phrases(TEACHER.opening))
    share = sum(trace.thinking.split("\n")[0] in openings for trace in traces) / len(traces)
    assert share == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("dialect", AUTHORS, ids=lambda dialect: dialect.name)
def test_truth_finds_the_lines_of_a_trace(world: World, dialect: object) -> None:
    for trace in gold_traces(world, world.train, dialect, 0):  # type: ignore[arg-type]
        lines = trace.thinking.split("\n")
        assert [kind for _, _, kind in trace.kinds] == ["style", "capability"] * 3 + ["style"]
        found = [trace.thinking[start:end] for start, end, _ in trace.kinds]
        assert found == [lines[0], *("\n" + line for line in lines[1:])]


@given(st.text())
def test_truth_tiles_any_text(text: str) -> None:
    spans = truth(text)
    assert "".join(text[start:end] for start, end, _ in spans) == (text if text.strip() else "")
    assert all(a[2] != b[2] for a, b in itertools.pairwise(spans))


def test_white_space_belongs_to_the_word_after_it() -> None:
    text = "Okay, so.\nfilter dorbalic (x % 7 == 3)\n\nHmm, wait."
    kinds = [(text[start:end], kind) for start, end, kind in truth(text)]
    assert kinds == [
        ("Okay, so.", "style"),
        ("\nfilter dorbalic (x % 7 == 3)", "capability"),
        ("\n\nHmm, wait.", "style"),
    ]


def test_templates_expand_to_every_choice() -> None:
    assert expand("{a|b} c {d|e}.") == ("a c d.", "a c e.", "b c d.", "b c e.")


def test_no_phrase_has_a_word_of_a_concept() -> None:
    for author in AUTHORS:
        for phrase in phrases(author.opening + author.linking + author.closing):
            assert phrase.endswith(".")
            assert not CONCEPT_WORD.search(phrase)
            assert [kind for _, _, kind in truth(phrase)] == ["style"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"known": 1.5}, "known"),
        ({"folds": 1}, "folds"),
        ({"eval_problems": 0}, "eval_problems"),
    ],
)
def test_impossible_sizes_are_refused_by_name(changes: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        world_config(**changes)  # type: ignore[arg-type]


def test_too_few_compositions_are_refused() -> None:
    with pytest.raises(ValueError, match="too few compositions"):
        World.build(world_config(filters=2, maps=2, folds=2), 0)


def test_contests_name_their_language(world: World) -> None:
    assert set(world.contests) == set(LANGUAGES)
    assert all(p.language == language for language in LANGUAGES for p in world.contests[language])


def test_the_lexicon_marks_what_the_generator_calls_style(world: World) -> None:
    lexicon = Lexicon.load(Path(miniature.__file__).parent / "lexicon.txt")
    for author in AUTHORS:
        for trace in gold_traces(world, world.train[:10], author, 0):
            marked = {i for start, end in lexicon.style_spans(trace.thinking) for i in range(start, end)}
            for start, end, kind in trace.kinds:
                words = [i for i in range(start, end) if not trace.thinking[i].isspace()]
                assert all((i in marked) == (kind == "style") for i in words)
