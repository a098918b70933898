"""The public sets are read as they are published, from small copies in their layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from problem_sets import MAKERS, PATH, SUM, TRUTH

from tessy.config.problems import PRESET_NAMES, ProblemSource
from tessy.curate.reading import Draft, of_tables, opened


def read(preset: str, folder: Path, tests: bool = True, **more: Any) -> list[Draft]:
    MAKERS[preset](folder / preset)
    source = ProblemSource(preset=preset, source=str(folder / preset), **more)
    return list(of_tables(opened(source, "sources", tests), folder, "sources").drafts())


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_every_set_has_a_small_copy_that_is_read_with_its_licence(preset: str, tmp_path: Path) -> None:
    references = {}
    for name in ("taco", "apps", "codecontests", "codeforces"):
        MAKERS[name](tmp_path / "others" / name)
        references[name] = str(tmp_path / "others" / name)
    given = {"references": references} if preset.startswith("opencodereasoning") else {}
    found = [draft for draft in read(preset, tmp_path, **given) if draft.unread is None]
    assert found
    assert all(draft.statement.prompt and draft.statement.license and draft.id for draft in found)
    assert len({(draft.source, draft.position) for draft in found}) == len(found)


def test_openthoughts_asks_the_same_question_many_times(tmp_path: Path) -> None:
    found = read("openthoughts3", tmp_path)
    assert [draft.statement.prompt for draft in found] == [SUM, SUM, SUM, PATH]
    assert len({draft.id for draft in found}) == 4
    first = found[0].statement
    assert (first.origin, first.topics, first.difficulty) == ("stackexchange_codegolf", ("code",), "7")
    assert found[3].origin == "data/train-00001-of-00002.parquet:1"
    assert found[3].statement.difficulty == ""


def test_statements_that_stand_in_other_sets_are_looked_up_there(tmp_path: Path) -> None:
    MAKERS["taco"](tmp_path / "taco")
    found = read("opencodereasoning", tmp_path, references={"taco": str(tmp_path / "taco")})
    assert [draft.statement.prompt for draft in found] == [SUM, SUM, PATH, ""]
    assert [draft.id for draft in found[:3]] == ["h1", "h1", "h2"]
    assert str(found[3].unread) == "its statement is missing in another set: taco, train, row 99"
    assert found[3].origin == "split_1/split_1/train-00000-of-00001.parquet:2"


def test_all_four_sets_that_opencodereasoning_refers_to_are_known(tmp_path: Path) -> None:
    names = ("taco", "apps", "codecontests", "codeforces")
    for name in names:
        MAKERS[name](tmp_path / name)
    references = {name: str(tmp_path / name) for name in names}
    found = read("opencodereasoning2", tmp_path, references=references)
    assert [draft.id for draft in found] == ["q1", "q2", "q3", "q4"]
    assert [draft.statement.prompt for draft in found[:3]] == [SUM, SUM, SUM]
    assert found[3].statement.prompt.startswith("A + B\n\nYou are given two integers")


def test_one_part_of_a_set_can_be_named(tmp_path: Path) -> None:
    assert len(read("opencodereasoning", tmp_path, split="split_0")) == 2


def test_tests_are_read_where_they_run_on_standard_input(tmp_path: Path) -> None:
    stdin, called = read("taco", tmp_path)
    assert list(stdin.statement.tests) == [("1 2\n", "3\n"), ("3 4\n", "7\n")]
    assert list(called.statement.tests) == []
    assert (stdin.statement.topics, stdin.statement.date) == (("Mathematics", "Implementation"), "2019-12-31")
    assert (called.statement.difficulty, called.statement.date) == ("", "")
    (apps,) = read("apps", tmp_path)
    assert (apps.id, apps.statement.origin, len(apps.statement.tests)) == ("17", "codewars.com", 1)
    contests = read("codecontests", tmp_path)
    assert list(contests[0].statement.tests) == [("1 2\n", "3\n"), ("5 6\n", "11\n")]
    assert [draft.statement.origin for draft in contests] == ["Codeforces", "Aizu"]
    assert [draft.statement.difficulty for draft in contests] == ["800", ""]


def test_tests_are_left_unread_where_nobody_wants_them(tmp_path: Path) -> None:
    assert not any(draft.statement.tests for draft in read("codecontests", tmp_path, tests=False))


def test_a_codeforces_statement_is_put_together_from_its_parts(tmp_path: Path) -> None:
    whole, checked, gone = read("codeforces", tmp_path)
    assert whole.statement.prompt == (
        "A + B\n\nYou are given two integers a and b. Print their sum.\n\nInput\nOne line with both numbers."
        "\n\nOutput\nTheir sum.\n\nExample 1\nInput:\n1 2\nOutput:\n3\n\nNote\nDo not overthink it."
    )
    assert (whole.statement.date, whole.statement.difficulty, len(whole.statement.tests)) == (
        "2020-01-01",
        "800",
        1,
    )
    assert list(checked.statement.tests) == []  # its answers need a checker
    assert str(gone.unread) == "no statement: `description` is empty"


def test_deepmath_has_a_topic_of_several_levels(tmp_path: Path) -> None:
    (only,) = read("deepmath", tmp_path)
    said = only.statement
    assert (said.prompt, said.topics, said.difficulty) == (
        TRUTH,
        ("Mathematics", "Calculus", "Limits"),
        "4.5",
    )


def test_a_single_file_of_a_set_is_read_as_the_set(tmp_path: Path) -> None:
    MAKERS["tessy_code"](tmp_path)
    source = ProblemSource(preset="tessy_code", source=str(tmp_path / "tessy.jsonl"))
    (only,) = of_tables(opened(source, "sources", False), tmp_path, "sources").drafts()
    assert (only.id, only.statement.prompt) == ("da7bada6-0e9b-4fa4-b4c4-cea75a1435ea", SUM)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"conversations": []}, "no prompt: no turns"),
        ({"conversations": [{"from": "gpt", "value": "x"}]}, "no prompt: the conversation begins with"),
        ({"conversations": None}, "conversation is no list of turns: it is NoneType"),
        ({"conversations": [{"from": "human", "value": "\ud83d"}]}, "not UTF-8: `content` at character 0"),
    ],
)
def test_a_row_without_a_statement_is_named_with_its_rule(
    row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "set.jsonl"
    good = {"conversations": [{"from": "human", "value": SUM}]}
    path.write_text(json.dumps(row) + "\n" + json.dumps(good) + "\n")
    source = ProblemSource(preset="openthoughts3", source=str(path))
    bad, fine = of_tables(opened(source, "sources", False), tmp_path, "sources").drafts()
    assert bad.origin == "set.jsonl:1"
    assert str(bad.unread).startswith(said)
    assert fine.statement.prompt == SUM
