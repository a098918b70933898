"""What is named on the hub: the real client libraries against a hub on this machine (`tests.hub`)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from benchmark_samples import lcb_row, livecodebench, ojbench, pro_statement, pro_zips, write_jsonl
from official_samples import write_published

from tests.hub import Hub

OJBENCH = "He-Ren/OJBench_testdata"
PRO, PRO_TESTS = "QAQAQAQAQ/LiveCodeBench-Pro", "QAQAQAQAQ/LiveCodeBench-Pro-Testcase"
LCB = "livecodebench/code_generation_lite"
AIME = "Maxwell-Jia/AIME_2024"
GONE = "0" * 40

LOAD = """
import json, sys
from eval.benchmarks import check, load
from tessy.errors import UserError
from tessy.config.evaluate import CodeBenchmark

said = []
for fields in json.loads(sys.argv[1]):
    benchmark = CodeBenchmark(name="b", instruction="", **fields)
    try:
        check(benchmark)
        contest = load(benchmark)
        said.append([[p.problem_id for p in contest.problems], str(contest.tests)])
    except UserError as error:
        said.append(str(error))
print(json.dumps(said))
"""
"""Prints, for each benchmark, its problems and where their tests are, or what its user is told."""


def loaded(hub: Hub, home: Path, *benchmarks: dict[str, Any], **environment: str) -> list[Any]:
    out: list[Any] = json.loads(hub.run(LOAD, home, json.dumps(benchmarks), **environment))
    return out


def two_of_ojbench(hub: Hub, folder: Path) -> str:
    """The commit of a whole OJBench, after which `main` has moved on to a broken one."""
    pinned = hub.publish("datasets", OJBENCH, ojbench(folder / "old"))
    (ojbench(folder / "new") / "NOI" / "loj-7" / "init.yml").unlink()
    hub.publish("datasets", OJBENCH, folder / "new")
    return pinned


def test_benchmarks_are_those_of_the_pinned_commit_and_files(hub: Hub, tmp_path: Path) -> None:
    pinned = two_of_ojbench(hub, tmp_path)
    lcb = hub.publish("datasets", LCB, livecodebench(tmp_path / "lcb"))
    write_jsonl(tmp_path / "later" / "test5.jsonl", [lcb_row("abc400_a", "2025-01-01")])
    write_jsonl(tmp_path / "later" / "test6.jsonl", [lcb_row("abc401_a", "2025-03-01")])
    later = hub.publish("datasets", LCB, tmp_path / "later")
    found = loaded(
        hub,
        tmp_path / "home",
        {"kind": "ojbench", "source": OJBENCH, "revision": pinned},
        {"kind": "livecodebench_v5", "source": LCB, "revision": lcb},
        {"kind": "livecodebench_v6", "source": LCB, "revision": later},
        {"kind": "livecodebench_v6", "source": LCB, "revision": lcb},
    )
    assert [names for names, _ in found[:3]] == [
        ["a", "a", "loj-7", "loj-7", "swerc2023_L", "swerc2023_L"], ["abc380_a", "3600"], ["abc401_a"]
    ]  # fmt: skip
    assert all(commit in tests for commit, (_, tests) in zip((pinned, lcb, later), found, strict=False))
    assert "test6.jsonl: no such file" in found[3]
    files = [path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path and LCB in path]
    assert set(files) == {"test5.jsonl", "test6.jsonl"}


@pytest.mark.slow
def test_statements_and_tests_of_livecodebench_pro_are_pinned_apart(hub: Hub, tmp_path: Path) -> None:
    from datasets import Dataset

    for folder, splits in {"old": {"quater_2025_1_3": "ab"}, "new": {"quater_2025_1_3": "xyz"}}.items():
        for split, names in splits.items():
            path = tmp_path / folder / "data" / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True)
            Dataset.from_list([pro_statement(name) for name in names]).to_parquet(str(path))
    pro_zips(tmp_path / "zips", "abx")
    statements, _ = (hub.publish("datasets", PRO, tmp_path / folder) for folder in ("old", "new"))
    tests = hub.publish("datasets", PRO_TESTS, tmp_path / "zips")
    hub.publish("datasets", PRO_TESTS, pro_zips(tmp_path / "no zips", ""))
    pinned = {"source": PRO, "revision": statements, "tests": PRO_TESTS, "tests_revision": tests}
    ((names, where),) = loaded(hub, tmp_path / "home", {"kind": "livecodebench_pro", **pinned})
    assert names == ["a", "b"]
    assert tests in where
    assert not [path for path in hub.asked if path.endswith("/x.zip")]


def test_what_a_hub_does_not_give_is_said(hub: Hub, tmp_path: Path) -> None:
    pinned = two_of_ojbench(hub, tmp_path)
    faults = {"gated": "gated", "private": "private", "broken": "broken", "silent": "silent"}
    commits = {name: hub.publish("datasets", f"o/{name}", tmp_path / "old") for name in faults}
    hub.faults.update({f"o/{name}": fault for name, fault in faults.items()})  # type: ignore[misc]
    wanted = [(OJBENCH, GONE), *((f"o/{name}", commit) for name, commit in commits.items())]
    named = [{"kind": "ojbench", "source": source, "revision": commit} for source, commit in wanted]
    said = loaded(hub, tmp_path / "home", *named)
    for (source, commit), text in zip(wanted, said, strict=True):
        assert f"data set {source} at revision {commit}: " in text
        assert text.endswith("or name a local copy instead")
    gone, gated, private, broken, silent = said
    assert "the repository has no such revision (any more); give a commit" in gone
    assert "refuses it (401), because it is gated; accept its terms and set HF_TOKEN" in gated
    assert "knows none (401) that it shows to you; check its name, or set HF_TOKEN" in private
    assert "answers 500; try again later" in broken
    assert "check the network and run the same command again" in silent
    ((_, where),) = loaded(hub, tmp_path / "home", {"kind": "ojbench", "source": OJBENCH, "revision": pinned})
    hub.faults[OJBENCH] = "broken"
    again = {"kind": "ojbench", "source": OJBENCH, "revision": pinned}
    assert [found[1] for found in loaded(hub, tmp_path / "home", again)] == [where]


@pytest.mark.slow
def test_half_of_a_download_is_never_used(hub: Hub, tmp_path: Path) -> None:
    pinned = hub.publish("datasets", OJBENCH, ojbench(tmp_path / "whole"))
    named = {"kind": "ojbench", "source": OJBENCH, "revision": pinned}
    hub.faults[OJBENCH] = "cut"
    (cut,) = loaded(hub, tmp_path / "home", named)
    assert f"data set {OJBENCH} at revision {pinned}: it could not be fetched" in cut
    nowhere = "http://127.0.0.1:9"
    with ThreadPoolExecutor() as pool:
        down = pool.submit(loaded, hub, tmp_path / "home", named, HF_ENDPOINT=nowhere)
        offline = pool.submit(loaded, hub, tmp_path / "home", named, HF_HUB_OFFLINE="1")
    assert "the cache does not hold all of it" in down.result()[0]
    assert "HF_HUB_OFFLINE is set; unset that once" in offline.result()[0]
    del hub.faults[OJBENCH]
    assert len(loaded(hub, tmp_path / "home", named)[0][0]) == 6
    assert len(loaded(hub, tmp_path / "home", named, HF_ENDPOINT=nowhere)[0][0]) == 6


STAGE = """
import json, sys
from pathlib import Path
from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.errors import UserError
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig

student = ModelReference(source=sys.argv[2], format="qwen3")
job = Job("s", "k", StageConfig(), {}, Path(sys.argv[1]), Execution(), None, None)
try:
    print(json.dumps([job.model(student), job.commits]))
except UserError as error:
    print(json.dumps(str(error)))
"""


def test_a_stage_reads_an_unpinned_model_at_one_commit_and_keeps_which(hub: Hub, tmp_path: Path) -> None:
    def stage(name: str, source: str, **environment: str) -> Any:
        (tmp_path / name).mkdir(exist_ok=True)
        return json.loads(hub.run(STAGE, tmp_path / "home", str(tmp_path / name), source, **environment))

    first = hub.publish("models", "o/student", tmp_path)
    found = [["o/student", first], {"o/student@main": first}]
    assert stage("a", "o/student") == found
    second = hub.publish("models", "o/student", tmp_path)
    assert stage("a", "o/student") == found
    assert stage("b", "o/student")[0] == ["o/student", second]
    assert stage("c", "o/student", HF_HUB_OFFLINE="1")[0] == ["o/student", second]
    assert stage("d", str(tmp_path)) == [[str(tmp_path), None], {}]
    assert stage("e", "o/none").startswith("model o/none: the hub knows none (401) that it shows to you")


def write_prose(folder: Path) -> dict[str, Path]:
    """One document of each task whose answer stands in prose, by the repository that has them."""
    choices = {name: name for name in ("Correct Answer", *(f"Incorrect Answer {n}" for n in (1, 2, 3)))}
    olympiad = {"question": "Q", "final_answer": ["1"], "answer_type": "Numerical", "subject": "Maths"}
    olympiad |= dict.fromkeys(("context", "unit", "error"), "") | {"is_multiple_answer": False}
    documents: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
        AIME: ({"ID": "1", "Problem": "One?", "Answer": 1}, ("default",)),
        "math-ai/aime25": ({"problem": "One?", "answer": "1"}, ("default",)),
        "Idavidrein/gpqa": ({"Question": "Which?", **choices}, ("gpqa_diamond",)),
        "Hothan/OlympiadBench": (olympiad, ("OE_TO_maths_en_COMP", "OE_TO_physics_en_COMP")),
    }
    for repository, (document, configs) in documents.items():
        split = "test" if repository == "math-ai/aime25" else "train"
        files = "".join(
            f"- config_name: {name}\n  data_files:\n  - {{split: {split}, path: {name}.jsonl}}\n"
            for name in configs
        )
        for name in configs:
            write_jsonl(folder / repository / f"{name}.jsonl", [document])
        (folder / repository / "README.md").write_text(f"---\nconfigs:\n{files}---\n")
    return {repository: folder / repository for repository in documents}


LM_EVAL = """
import json, sys
from tessy.errors import UserError
from tessy.config.evaluate import LmEvalBenchmark

command, *revisions = sys.argv[1:]
if command:
    from lm_eval.__main__ import cli_evaluate
    sys.argv = json.loads(command)
    cli_evaluate()
from eval.general import load_task

said = []
for revision in revisions:
    fields = {"kind": "lm_eval", "task": "tessy_aime2024", "metric": "exact_match", "revision": revision}
    try:
        task = load_task(LmEvalBenchmark(name="b", **fields), None, 0)
        said.append([doc["Problem"] for doc in task.test_docs()])
    except UserError as error:
        said.append(str(error))
print(json.dumps(said))
"""
"""Runs lm-eval's own command, if any; prints a task's documents at each revision, or what is said instead."""


@pytest.mark.slow
def test_lm_eval_s_own_command_and_ours_read_tasks_from_the_hub(hub: Hub, tmp_path: Path) -> None:
    """One test, since a process with lm-eval in it takes ten seconds to start."""
    for repository, folder in write_prose(tmp_path / "prose").items():
        hub.publish("datasets", repository, folder)
    where = {"ojbench": {"source": OJBENCH, "revision": two_of_ojbench(hub, tmp_path)}}
    names = ("aime2024", "aime2025", "gpqa_diamond", "olympiadbench", "ojbench")
    write_published(tmp_path / "cache" / "tessy" / "official")
    command = ["lm_eval", "--model", "dummy", "--include_path", "eval/tasks", "--metadata", json.dumps(where)]
    command += ["--tasks", ",".join(f"tessy_{name}" for name in names)]

    def printed(*arguments: str) -> list[str]:
        home, cache = tmp_path / "home", str(tmp_path / "cache")
        return hub.run(LM_EVAL, home, *arguments, XDG_CACHE_HOME=cache).splitlines()

    (old,) = hub.commits("datasets", AIME)
    *table, said = printed(json.dumps(command), old, GONE)
    scored = {line.split("|")[1].strip() for line in table if line.startswith("|tessy_")}
    assert scored == {f"tessy_{name}" for name in names} - {"tessy_olympiadbench"} | {
        "tessy_olympiadbench_maths", "tessy_olympiadbench_physics"
    }  # fmt: skip
    first, gone = json.loads(said)
    assert first == ["One?"]
    assert f"data set of task tessy_aime2024 at revision {GONE}: the repository has no such" in gone
    write_jsonl(tmp_path / "new" / "aime.jsonl", [{"ID": "2", "Problem": "Two?", "Answer": 2}])
    new = hub.publish("datasets", AIME, tmp_path / "new")
    hub.faults[AIME] = "gated"
    # `datasets` itself would now take the other revision, which it has read before.
    kept, other = json.loads(printed("", old, new)[-1])
    assert kept == ["One?"]
    assert f"at revision {new}: the hub did not give it, and the cache holds another one" in other


TABLE = """
import json, sys
from tessy.config.sources import Source
from tessy.errors import UserError
from tessy.sources import LeftOut, open_table

said = []
for fields in json.loads(sys.argv[1]):
    try:
        table = open_table(Source(**fields), "problems")
        said.append([table.commit, table.said, [row for row in table.rows(LeftOut())]])
    except UserError as error:
        said.append(str(error))
print(json.dumps(said))
"""
"""Prints, for each source, its commit, what was chosen, and its rows, or what its user is told."""


def write_splits(folder: Path, word: str) -> Path:
    """A data set of two configurations: one with two splits, one with a file by that name."""
    card = (
        "---\nconfigs:\n- config_name: code\n  data_files:\n"
        "  - {split: train, path: code/train.jsonl}\n  - {split: test, path: code/test.jsonl}\n"
        "- config_name: maths\n  data_files: maths/*.jsonl\n---\n"
    )
    for name in ("code/train", "code/test", "maths/a", "maths/b"):
        write_jsonl(folder / f"{name}.jsonl", [{"prompt": f"{word} {name}"}])
    (folder / "README.md").write_text(card)
    return folder


@pytest.mark.slow
def test_a_table_is_read_from_the_files_of_its_split_at_one_commit(hub: Hub, tmp_path: Path) -> None:
    name = "o/traces"
    old = hub.publish("datasets", name, write_splits(tmp_path / "old", "old"))
    new = hub.publish("datasets", name, write_splits(tmp_path / "new", "new"))
    wanted = [
        {"source": name, "revision": old, "subset": "code"},
        {"source": name, "subset": "code", "split": "test"},
        {"source": name, "subset": "maths", "limit": 1},
        {"source": name, "subset": "code", "split": "dev"},
        {"source": name, "subset": "arts"},
        {"source": name, "revision": GONE, "subset": "code"},
        {"source": str(tmp_path / "old"), "subset": "code", "split": "test"},
    ]

    here = {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def read(home: str, **environment: str) -> list[Any]:
        out: list[Any] = json.loads(hub.run(TABLE, tmp_path / home, json.dumps(wanted), **here | environment))
        return out

    first, second, third, dev, arts, gone, local = read("home")
    assert first == [old, ["split train"], [[{"prompt": "old code/train"}, "code/train.jsonl:1"]]]
    assert second == [new, [], [[{"prompt": "new code/test"}, "code/test.jsonl:1"]]]
    assert third[2] == [[{"prompt": "new maths/a"}, "maths/a.jsonl:1"]]
    assert "problems.split: o/traces has the splits train, test; name one" in dev
    assert "maths" in arts
    assert "set `subset`" in arts
    assert f"data set {name} at revision {GONE}: the repository has no such revision" in gone
    assert local[2] == [[{"prompt": "old code/test"}, "code/test.jsonl:1"]]
    asked = [path for path in hub.asked if path.startswith("GET") and path.endswith(".jsonl")]
    assert not [path for path in asked if "/old" in path and "test" in path]
    assert read("home", HF_HUB_OFFLINE="1")[:2] == [first, second]
