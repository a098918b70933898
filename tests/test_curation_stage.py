"""The stage `curation` through its own code: nothing is lost, what goes is named with its reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from benchmark_samples import write_jsonl as write_benchmark
from curation_samples import PROBLEMS, problem, rows, write_jsonl
from jobs import job_at

from tessy.artifacts import read_json, read_parquet, read_rows
from tessy.config.curation_recipe import CurationRecipe
from tessy.config.load import load
from tessy.config.problems import PRESET_NAMES, Curation
from tessy.curate.passes import repeated
from tessy.curate.selecting import Chosen
from tessy.errors import UserError
from tessy.experiment import plan, plan_curation
from tessy.layout import CURATION, HELD_OUT, LEFT_OUT_ROWS, MATCHES
from tessy.layout import PROBLEMS as TABLE
from tessy.records import Problem
from tessy.report.curation import CurationRecord, write_page
from tessy.stages.curation import CurationStage, run
from tessy.synthesis.rollouts import samples_of

MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"


def curated(
    folder: Path, *sources: dict[str, Any], benchmarks: list[dict[str, Any]] | None = None, **settings: Any
) -> Path:
    """The artifact of a curation of `sources`, each a dictionary or a file."""
    recipe = CurationRecipe.model_validate(
        {
            "name": "test",
            "curation": {"sources": sources, "check_benchmarks": bool(benchmarks), **settings},
            "benchmarks": benchmarks or [],
        }
    )
    (stage,) = plan_curation(recipe)
    assert isinstance(stage.config, CurationStage)
    folder.mkdir(exist_ok=True)
    job = job_at(folder, "curation", stage.config)
    run(job)
    return job.out


def ojbench(folder: Path, *prompts: str) -> dict[str, Any]:
    """A benchmark in OJBench's layout with these statements."""
    tests = [
        {"id": f"t{n}", "prompt": text, "dataset": "ICPC", "language": "cpp", "difficulty": "easy"}
        for n, text in enumerate(prompts)
    ]
    write_benchmark(folder / "prompts" / "full.jsonl", tests)
    return {"name": "oj", "kind": "ojbench", "source": str(folder)}


def funnel(out: Path) -> dict[str, int]:
    """Rows that each rule left out."""
    steps = read_json(out / CURATION)["funnel"]
    return {step["rule"]: step["removed"] for step in steps[1:]}


def test_every_row_is_kept_or_left_out_with_its_place_and_reason(tmp_path: Path) -> None:
    bad = [
        "not json",
        "[1]",
        '{"id": "x", "prompt": ""}',
        '{"id": "y"}',
        '{"id": "z", "prompt": "too short"}',
    ]
    leak = f"Solve this. {PROBLEMS[9]} Good luck!"
    found = [*rows(9), {"id": "again", "prompt": PROBLEMS[0].upper()}, {"id": "leak", "prompt": leak}, *bad]
    source = write_jsonl(tmp_path / "p.jsonl", found)
    oj = ojbench(tmp_path / "oj", PROBLEMS[9])
    out = curated(tmp_path / "a", {"source": str(source)}, benchmarks=[oj])
    kept = list(read_parquet(out / TABLE, Problem))
    assert [one.problem_id for one in kept] == [f"p{n}" for n in range(9)]
    assert [one.prompt for one in kept] == list(PROBLEMS[:9])
    gone = {row["origin"]: (row["rule"], row["evidence"]) for row in read_rows(out / LEFT_OUT_ROWS)}
    assert {origin: rule for origin, (rule, _) in gone.items()} == {
        "p.jsonl:10": "same_text",
        "p.jsonl:11": "benchmark",
        "p.jsonl:12": "unreadable",
        "p.jsonl:13": "unreadable",
        "p.jsonl:14": "unreadable",
        "p.jsonl:15": "unreadable",
        "p.jsonl:16": "too_short",
    }
    assert gone["p.jsonl:12"][1].startswith("not JSON")
    assert gone["p.jsonl:13"][1] == "not an object: list where an object is needed"
    assert gone["p.jsonl:14"][1] == "empty prompt"
    assert gone["p.jsonl:10"][1] == "p.jsonl:1 stands for it, similarity 1.00"
    record = CurationRecord.model_validate(read_json(out / CURATION))
    assert record.read == len(found)
    assert record.funnel[-1].left == len(kept)
    assert all(step.remedy and step.examples for step in record.funnel[1:])
    (match,) = read_rows(out / MATCHES)
    assert (match["rule"], match["text"], match["statement"]) == ("contained", leak, PROBLEMS[9])


def test_the_page_shows_both_texts_and_trusts_neither(tmp_path: Path) -> None:
    evil = f"<script>alert(1)</script> {PROBLEMS[3]}"
    source = write_jsonl(tmp_path / "p.jsonl", [*rows(3), {"id": "e", "prompt": evil}])
    oj = ojbench(tmp_path / "oj", PROBLEMS[3])
    out = curated(tmp_path / "a", {"source": str(source)}, benchmarks=[oj])
    write_page(read_json(out / CURATION), "test", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; Alice writes" in page
    assert "oj t0 · contained" in page


def test_a_leaked_problem_goes_with_its_near_duplicates(tmp_path: Path) -> None:
    """The longer copy would stand for the other, and is none of the test's itself."""
    changed = PROBLEMS[1] + " " + problem(500)
    source = write_jsonl(tmp_path / "p.jsonl", [{"prompt": PROBLEMS[1]}, {"prompt": changed}, *rows(1)])
    oj = ojbench(tmp_path / "oj", PROBLEMS[1])
    settings = {"ngram_13": None, "ngram_8": None, "edit": None, "masked": None}
    out = curated(
        tmp_path / "a",
        {"source": str(source)},
        benchmarks=[oj],
        decontamination=settings,
        duplicates={"threshold": 0.2},
    )
    assert funnel(out) == {"near_duplicate": 1, "benchmark": 1}


def test_without_benchmarks_the_page_says_that_nothing_is_known(tmp_path: Path) -> None:
    out = curated(tmp_path / "a", {"source": str(write_jsonl(tmp_path / "p.jsonl", rows(2)))})
    write_page(read_json(out / CURATION), "test", tmp_path / "page.html")
    assert "nothing is known about leaks" in (tmp_path / "page.html").read_text()


def test_ids_are_kept_or_made_and_always_differ(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "one.jsonl", [{"id": "a", "prompt": problem(1)}, {"prompt": problem(2)}])
    two = write_jsonl(tmp_path / "two.jsonl", [{"id": "a", "prompt": problem(n)} for n in (3, 4)])
    out = curated(tmp_path / "a", {"source": str(one)}, {"source": str(two)})
    ids = [row["problem_id"] for row in read_rows(out / TABLE)]
    assert len(set(ids)) == 4
    assert [ids[0], ids[2]] == ["one.jsonl/a", "two.jsonl/a"]
    assert ids[3].startswith("two.jsonl/a~")


def test_samples_have_ids_that_more_samples_do_not_change(tmp_path: Path) -> None:
    source = {"source": str(write_jsonl(tmp_path / "p.jsonl", rows(40)))}

    def drawn(samples: int) -> list[str]:
        out = curated(tmp_path / f"s{samples}", source, selection={"problems": 30, "samples": samples})
        found = read_rows(out / TABLE)
        # What synthesis will call its samples.
        assert [row["sample_id"] for row in found] == [
            sample.sample_id for sample in samples_of(read_parquet(out / TABLE, Problem))
        ]
        return [row["sample_id"] for row in found]

    fewer, more = drawn(65), drawn(80)
    assert more[:60] == fewer[:60]
    assert set(fewer) < set(more)
    assert (len(set(more)), len({one.partition("#")[0] for one in more})) == (80, 30)
    assert set(Counter(one.partition("#")[0] for one in more).values()) == {2, 3}


def test_sources_have_caps_and_weights(tmp_path: Path) -> None:
    a = {"source": str(write_jsonl(tmp_path / "a.jsonl", rows(40))), "name": "a", "weight": 3}
    b = {"source": str(write_jsonl(tmp_path / "b.jsonl", rows(40, 40))), "name": "b", "licence": "mit"}
    out = curated(tmp_path / "w", a, b, selection={"problems": 20})
    assert Counter(row["source"] for row in read_rows(out / TABLE)) == {"a": 15, "b": 5}
    capped = curated(tmp_path / "c", {**a, "weight": 1, "cap": 7}, b)
    assert Counter(row["source"] for row in read_rows(capped / TABLE)) == {"a": 7, "b": 40}
    assert {row["license"] for row in read_rows(capped / TABLE) if row["source"] == "b"} == {"mit"}
    assert funnel(capped) == {"cap": 33}


def test_a_source_with_little_left_is_not_repeated_without_end(tmp_path: Path) -> None:
    few = {"source": str(write_jsonl(tmp_path / "few.jsonl", rows(1)))}
    many = {"source": str(write_jsonl(tmp_path / "many.jsonl", rows(40, 40)))}
    drawn = curated(tmp_path / "a", few, many, selection={"samples": 80})
    assert max(Counter(row["problem_id"] for row in read_rows(drawn / TABLE)).values()) == 40
    chosen = Chosen([0] * 40 + list(range(1, 41)))
    assert list(repeated(chosen)) == [
        "a problem is there 40 times, where the average is 2.0, because its source has few left; set "
        "selection.repeats"
    ]
    most = curated(tmp_path / "b", few, many, selection={"samples": 80, "repeats": 2})
    assert set(Counter(row["problem_id"] for row in read_rows(most / TABLE)).values()) == {1, 2}
    assert len(read_rows(most / TABLE)) == 80
    with pytest.raises(ValueError, match="`repeats` is for `samples`"):
        curated(tmp_path / "c", few, selection={"repeats": 2})


def test_traits_are_balanced(tmp_path: Path) -> None:
    found = [row | {"difficulty": "easy" if n < 30 else "hard"} for n, row in enumerate(rows(40))]
    source = {"source": str(write_jsonl(tmp_path / "p.jsonl", found))}
    out = curated(tmp_path / "a", source, selection={"balance": [{"by": "difficulty", "most": 0.5}]})
    assert Counter(row["difficulty"] for row in read_rows(out / TABLE)) == {"easy": 10, "hard": 10}


def test_held_out_problems_are_in_no_training_row(tmp_path: Path) -> None:
    pairs = [
        {"id": f"{n}{k}", "prompt": f"{problem(n)} {'Hint: none.' * k}"} for n in range(30) for k in (0, 1)
    ]
    source = {"source": str(write_jsonl(tmp_path / "p.jsonl", pairs))}
    settings: dict[str, Any] = {"held_out": {"share": 0.2}, "duplicates": {"threshold": 0.5}}
    out = curated(tmp_path / "a", source, **settings)
    held, kept = read_rows(out / HELD_OUT), read_rows(out / TABLE)
    assert 0 < len(held) <= 0.2 * (len(held) + len(kept))
    assert not {row["cluster"] for row in held} & {row["cluster"] for row in kept}


def test_a_limit_is_that_of_the_result(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "p.jsonl", rows(8))
    recipe = load(MINI, [f"problems.source={source}", "problems.limit=3"])
    stage = plan(recipe).stage("curation")
    job = job_at(tmp_path, "curation", stage.config.model_copy(update={"benchmarks": (), "pretraining": {}}))
    run(job)
    assert [row["problem_id"] for row in read_rows(job.out / TABLE)] == ["p0", "p1", "p2"]


def test_where_nothing_is_left_it_is_said_what_went_and_why(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "p.jsonl", [{"prompt": "short"}, {"prompt": "brief"}])
    with pytest.raises(UserError, match=r"no problem is left; left out: too_short 2"):
        curated(tmp_path / "a", {"source": str(source)})


def test_several_processes_give_the_same_artifact(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "p.jsonl", [*rows(300), "{", *rows(5)])
    recipe = CurationRecipe.model_validate(
        {"name": "t", "curation": {"sources": [{"source": str(source)}], "check_benchmarks": False}}
    )
    (stage,) = plan_curation(recipe)
    found = []
    for threads in (1, 3):
        job = job_at(tmp_path, "curation", stage.config, threads=threads)
        run(job)
        found.append([read_rows(job.out / name) for name in (TABLE, LEFT_OUT_ROWS)])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": []}, "curation.sources is empty"),
        ({"sources": [{}]}, "neither `source` nor `preset` is given"),
        ({"sources": [{"source": "a.jsonl"}, {"source": "b/a.jsonl"}]}, "two have one name"),
        ({"sources": [{"source": "a.jsonl", "weight": 2}]}, "nothing says of how many rows"),
        ({"sources": [{"preset": "taco", "columns": {"prompt": "x"}}]}, "preset taco knows its columns"),
        ({"sources": [{"preset": "taco", "references": {"apps": "x"}}]}, "`references` are for"),
        ({"check_benchmarks": True}, "nothing would be known about leaks"),
        ({"audit": [{"source": "a.jsonl"}]}, "check_benchmarks is false"),
        (
            {"selection": {"ratings": [{"name": "a", "model": "student", "prompt": "difficulty_1"}]}},
            "models.student is missing, and rating a asks it",
        ),
        (
            {"selection": {"pass_rate": {"samples": 1, "max_tokens": 9, "sampler": {"temperature": 0}}}},
            "student",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], said: str) -> None:
    curation = {"sources": [{"source": "a.jsonl"}], "check_benchmarks": False} | changes
    with pytest.raises(ValueError, match=said):
        CurationRecipe.model_validate({"name": "t", "curation": curation})


@pytest.mark.slow
def test_the_miniature_says_which_tests_its_models_have_read(tmp_path: Path) -> None:
    """Against the sets of texts themselves, on a smaller world."""
    from eval.statements import _lm_eval, statements
    from tessy.config.world import WorldConfig
    from tessy.miniature.traces import pretraining_traces
    from tessy.stages import world
    from tessy.stages.world import WorldStage, load_world

    recipe = load(
        MINI, ["models.student.pretraining.documents=2500", "models.teacher.pretraining.documents=2500"]
    )
    stage, made = plan(recipe).stage("curation"), plan(recipe).stage("world").config
    assert isinstance(made, WorldStage)
    assert isinstance(made.world, WorldConfig)
    small = made.model_copy(
        update={"world": made.world.model_copy(update={"eval_problems": 8, "ood_share": 0.9})}
    )
    built = job_at(tmp_path, "world", small)
    world.run(built)
    job = job_at(tmp_path, "curation", stage.config, {"world": built.out.name})
    run(job)
    before, after = (list(read_parquet(folder / TABLE, Problem)) for folder in (built.out, job.out))
    assert before == after
    tests = load_world(built.out)
    (own,) = recipe.evaluate.lm_eval
    assert list(_lm_eval(own, built.out, 0)) == list(statements(own, built.out, 0))
    for audit in read_json(job.out / CURATION)["audits"]:
        role = audit["name"].partition("-")[0]
        read = {trace.prompt for trace in pretraining_traces(role, tests, 2500, recipe.seed)}
        counts = audit["benchmarks"]["out_of_domain_mini"]
        assert counts == {"tests": 100, "found": len({p.prompt for p in tests.ood} & read)}
        assert counts["found"] > 0


def test_a_recipe_without_curation_has_the_stage_of_before() -> None:
    whole = plan(load(MINI, ["problems={source: miniature}"]))
    assert whole.stage("problems").kind.name == "problems"
    assert "curation" not in {stage.name for stage in whole}
    assert load(MINI).problems.curation == Curation.model_validate(
        {
            "cleaning": {"languages": []},
            "duplicates": {"near": False},
            "decontamination": dict.fromkeys(("ngram_13", "ngram_8", "edit", "masked")),
            "fit_contexts": False,
            "audit": [{"source": "miniature"}],
        }
    )


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_stage_of_each_preset_comes_whole_out_of_its_job_file(preset: str) -> None:
    """A stage reads its settings back with every default written out."""
    recipe = CurationRecipe.model_validate(
        {"name": "t", "curation": {"sources": [{"preset": preset}], "check_benchmarks": False}}
    )
    (stage,) = plan_curation(recipe)
    assert CurationStage.model_validate(json.loads(json.dumps(stage.config.plain))) == stage.config
