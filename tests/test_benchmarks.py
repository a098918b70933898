"""Benchmarks from files in the official layouts: which problems, which prompts, and what cannot be judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmark_samples import lcb_row, livecodebench, ojbench, pro_statement, pro_zips, write_jsonl
from pydantic import ValidationError

from eval.benchmarks import KINDS, check, examined, load
from eval.scores import difference, failed, scorecard, scored
from tessy.config.evaluate import CodeBenchmark, Evaluate, LmEvalBenchmark
from tessy.errors import UserError
from tessy.records import Response


def benchmark(kind: str, source: Path, **fields: Any) -> CodeBenchmark:
    return CodeBenchmark(**{"name": "b", "kind": kind, "source": str(source), "instruction": "ours"} | fields)


def names(found: Any) -> list[str]:
    return [problem.problem_id for problem in found.problems]


def test_ojbench_asks_every_problem_in_both_languages(tmp_path: Path) -> None:
    given = benchmark("ojbench", ojbench(tmp_path))
    contest = load(given)
    check(given)
    assert names(contest) == ["a", "a", "loj-7", "loj-7", "swerc2023_L", "swerc2023_L"]
    assert contest.problems[2].prompt == "Double it (7)."
    assert contest.problems[2].tags == {"difficulty": "hard", "dataset": "NOI", "language": "cpp"}
    assert contest.undecidable == {"swerc2023_L"}
    assert not contest.missing


def test_one_bad_problem_takes_no_other_with_it(tmp_path: Path) -> None:
    """Without tests, of a kind that is not supported, a row that is none: named with the reason, and not
    scored."""
    folder = ojbench(tmp_path)
    with (folder / "prompts" / "full.jsonl").open("a") as stream:
        stream.write('\n{"id": "b", "prompt": "Double it."\n{"id": "c", "prompt": "Double it."}\n')
        for name in ("no_tests", "scored_by_java"):
            row = {"id": name, "prompt": "", "dataset": "ICPC", "language": "cpp", "difficulty": "easy"}
            stream.write(json.dumps(row) + "\n")
    (folder / "ICPC" / "scored_by_java").mkdir()
    unsupported = {
        "test_cases": [{}],
        "checker": {"name": "bridged", "args": {"files": ["Main.java"], "lang": "JAVA"}},
    }
    (folder / "ICPC" / "scored_by_java" / "init.yml").write_text(json.dumps(unsupported))
    given = benchmark("ojbench", folder)
    check(given)
    contest = examined(given, load(given))
    assert dict(contest.unusable) == {
        "full.jsonl, line 8": contains("line 8: not JSON"),
        "full.jsonl, line 9": contains("line 9: no dataset, language, difficulty; each row needs"),
        "no_tests": contains("problem 'no_tests': no tests in"),
        "scored_by_java": contains("only C, C++ and Python 3 are supported"),
    }
    assert list(failed(given, contest, samples=1)), "what the official judge skips still counts"
    assert {row["problem_id"] for row in failed(given, contest, samples=1)} == {"swerc2023_L"}
    problems = scorecard(given, contest, {}, [], 0)["problems"]
    assert (problems["denominator"], problems["left_out"]) == (6, 4)
    assert list(problems["left_out_because"]) == sorted(contest.unusable)
    assert str(tmp_path) not in problems["left_out_because"]["scored_by_java"]
    refused = "4 of 7 problems cannot be used, the first because of: .*line 8: not JSON.*leave_out"
    with pytest.raises(UserError, match=refused):
        check(benchmark("ojbench", folder, unusable_problems="refuse"))


class contains(str):
    """Equals every text that it is a part of."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str.__str__(self) in str(other)


def test_a_benchmark_of_which_nothing_can_be_judged_is_refused(tmp_path: Path) -> None:
    folder = ojbench(tmp_path)
    for path in folder.rglob("init.yml"):
        path.write_text("not: [closed")
    with pytest.raises(UserError, match=r"cannot be used, the first because of: .*init.yml: cannot be read"):
        check(benchmark("ojbench", folder))
    (folder / "prompts" / "full.jsonl").write_text("{")
    with pytest.raises(UserError, match=r"no problems are left; .*line 1: not JSON"):
        check(benchmark("ojbench", folder))


def test_livecodebench_pro_without_some_zips_names_them(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "statements.jsonl", [pro_statement(name) for name in "abc"])
    pro_zips(tmp_path / "zips", "ab")
    given = benchmark("livecodebench_pro", tmp_path, tests=str(tmp_path / "zips"))
    check(given)
    contest = load(given)
    assert contest.missing == {"c"}
    assert contest.problems[0].prompt.endswith("Double it (a).")
    assert "```cpp" in contest.problems[0].prompt


def test_livecodebench_pro_without_any_zip_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "statements.jsonl", [pro_statement("a")])
    with pytest.raises(UserError, match="holds no LiveCodeBench-Pro"):
        check(benchmark("livecodebench_pro", tmp_path))


@pytest.mark.slow
def test_livecodebench_pro_s_splits_overlap_and_each_problem_counts_once(tmp_path: Path) -> None:
    from datasets import Dataset

    splits = {"biannual_2024_7_12": "abcd", "quater_2024_10_12": "cd", "quater_2025_1_3": "e"}
    for split, rows in splits.items():
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        Dataset.from_list([pro_statement(name) for name in rows]).to_parquet(str(path))
    pro_zips(tmp_path, "abcde")
    contest = load(benchmark("livecodebench_pro", tmp_path))
    found = {problem.problem_id: problem.tags["split"] for problem in contest.problems}
    assert found == {
        "a": "biannual_2024_7_12", "b": "biannual_2024_7_12", "c": "quater_2024_10_12",
        "d": "quater_2024_10_12", "e": "quater_2025_1_3",
    }  # fmt: skip
    assert names(load(benchmark("livecodebench_pro", tmp_path, splits=["quater_2025_1_3"]))) == ["e"]
    with pytest.raises(UserError, match="no split 'quarter_2025_1_3'; there are"):
        load(benchmark("livecodebench_pro", tmp_path, splits=["quarter_2025_1_3"]))


def test_a_livecodebench_tag_is_one_file(tmp_path: Path) -> None:
    given = benchmark("livecodebench_v5", livecodebench(tmp_path))
    check(given)
    contest = load(given)
    assert names(contest) == ["abc380_a", "3600"]
    assert contest.released == ("2024-11-02", "2025-01-05")
    stdin, functional = contest.problems
    assert stdin.tags == {
        "difficulty": "easy", "platform": "atcoder", "month": "2024-11", "date": "2024-11-02"
    }  # fmt: skip
    assert "standard input" in stdin.prompt
    assert "class Solution:" in functional.prompt
    assert "standard input" not in functional.prompt


def test_a_livecodebench_window_looks_into_all_files_up_to_its_version(tmp_path: Path) -> None:
    livecodebench(tmp_path)
    window = {"released_from": "2024-08-01", "released_to": "2025-01-05"}
    contest = load(benchmark("livecodebench_v5", tmp_path, **window))
    assert names(contest) == ["abc350_c", "abc380_a"]
    assert not contest.undecidable
    assert load(benchmark("livecodebench_v5", tmp_path, mode="fixed", **window)).undecidable == {"abc350_c"}
    with pytest.raises(UserError, match="no problems are left"):
        load(benchmark("livecodebench_v5", tmp_path, released_from="2030-01-01"))


def test_a_missing_livecodebench_file_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [lcb_row("abc300_a", "2023-05-01")])
    with pytest.raises(UserError, match=r"test6\.jsonl: no such file"):
        load(benchmark("livecodebench_v6", tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "line 1: no question_id"), ('{"question_id": "1"}', "line 1: no question_content")],
)
def test_an_unreadable_row_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "test5.jsonl").write_text(text + "\n")
    with pytest.raises(UserError, match=said):
        load(benchmark("livecodebench_v5", tmp_path))


def test_what_is_neither_a_folder_nor_pinned_is_refused() -> None:
    with pytest.raises(UserError, match="or a hub dataset with its revision"):
        check(benchmark("ojbench", Path("He-Ren/OJBench_testdata")))


def test_denominators_are_the_paper_s() -> None:
    assert {name: kind.paper_problems for name, kind in KINDS.items() if kind.paper_problems} == {
        "ojbench": 464, "livecodebench_pro": 706, "livecodebench_v5": 167, "livecodebench_v6": 175
    }  # fmt: skip


HUB_TEST = """
from eval.benchmarks import load
from tessy.config.evaluate import CodeBenchmark

benchmark = CodeBenchmark(name="b", kind="ojbench", source="He-Ren/OJBench_testdata", revision="{revision}")
contest = load(benchmark)
print(len(contest.problems), sorted(contest.missing), contest.tests.name)
"""


@pytest.mark.slow
def test_a_pinned_revision_is_taken_from_the_hub_s_cache_when_offline(tmp_path: Path) -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    ojbench(tmp_path / "hub" / "datasets--He-Ren--OJBench_testdata" / "snapshots" / revision)
    done = subprocess.run(
        [sys.executable, "-c", HUB_TEST.format(revision=revision)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.split() == ["6", "[]", revision], done.stderr


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"kind": "livecodebench_v5", "source": "miniature"},
            "has an ojbench and a livecodebench_pro",
        ),
        ({"kind": "ojbench", "splits": ["x"]}, "for livecodebench_pro, not ojbench"),
        ({"kind": "ojbench", "released_from": "2024-08-01"}, "ojbench has no contest dates"),
        ({"kind": "livecodebench_pro", "tests_revision": "0" * 40}, "pins `tests`, which is missing"),
        ({"kind": "ojbench", "revision": "main"}, "should match pattern"),
        (
            {"kind": "livecodebench_v6", "released_from": "2025-05-01", "released_to": "2025-02-01"},
            "is not before",
        ),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CodeBenchmark(**{"name": "b", "source": "somewhere", **fields})


@pytest.mark.parametrize("fields", [{}, {"data": "x.jsonl", "revision": "0" * 40}])
def test_an_lm_eval_task_needs_its_data_pinned_once(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of `data`"):
        LmEvalBenchmark(name="b", kind="lm_eval", task="gsm8k", metric="exact_match", **fields)


def test_pass_at_more_than_any_benchmark_samples_is_refused() -> None:
    given = {"benchmarks": [{"name": "b", "kind": "ojbench", "source": "x", "samples": 4}], "samples": 1}
    given |= {"max_tokens": 1, "sampler": {"temperature": 1.0}}
    assert Evaluate.model_validate({**given, "pass_at": [4]}).pass_at == (4,)
    with pytest.raises(ValidationError, match="no benchmark has over 4"):
        Evaluate.model_validate({**given, "pass_at": [5]})


def test_the_card_tells_strict_from_fixed(tmp_path: Path) -> None:
    rows = [lcb_row("abc311_c", "2025-01-05"), lcb_row("abc400_a", "2025-01-06")]
    write_jsonl(tmp_path / "test5.jsonl", rows)
    given = benchmark("livecodebench_v5", tmp_path)
    contest = load(given)
    verdicts = {
        "a": ("WA", "AC"),
        "b": ("WA", "SKIP"),
        "c": ("WA", "AC"),
        "d": ("AC", "AC"),
        "e": ("WA", "IE"),
    }
    responses = [
        Response(name, "abc311_c" if name in "ab" else "abc400_a", "b", "python", "", "", 1, False, 0)
        for name in verdicts
    ]
    judged = {
        name: {"sample_id": name, "verdict": strict, "fixed_verdict": fixed, "tests": []}
        for name, (strict, fixed) in verdicts.items()
    }
    found = list(scored(given, contest.problems, responses, judged))
    # Of a problem in the errata a wrong answer says nothing, so a right one must not count either.
    assert [row["fixed"] for row in found] == [None, None, True, True, None]
    assert difference(found) == {
        "pass@1": 1.0, "responses": 2, "changed": {"WA to AC": 2, "WA to SKIP": 1, "WA to IE": 1}
    }  # fmt: skip


def test_the_card_says_over_which_problems_a_score_is(tmp_path: Path) -> None:
    ojbench(tmp_path)
    strict, fixed = (benchmark("ojbench", tmp_path, mode=mode) for mode in ("strict", "fixed"))
    rows = list(failed(strict, load(strict), 2))
    assert [(row["problem_id"], row["language"], row["judgeable"]) for row in rows[::2]] == [
        ("swerc2023_L", "cpp", False), ("swerc2023_L", "python", False)
    ]  # fmt: skip
    assert not list(failed(fixed, load(fixed), 2))
    card = scorecard(strict, load(strict), {"samples": 2}, rows, 0)
    assert card["problems"]["denominator"] == 6
    assert card["problems"]["those_count_as"] == "failed"
    assert card["protocol"]["judge"] == "dmoj, strict"
    assert scorecard(fixed, load(fixed), {}, [], 0)["problems"]["denominator"] == 4
