"""The contests on disk: complete, byte-for-byte reproducible, and C++ means what Python means."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from worlds import world_config

from tessy.miniature.contests import write_livecodebench_pro, write_ojbench, write_ood
from tessy.miniature.dialects import STUDENT, TEACHER, Dialect
from tessy.miniature.traces import gold
from tessy.miniature.world import World, make_tests

SMALL = world_config(train_problems=6, eval_problems=6, ood_problems=3)


@pytest.fixture(scope="module")
def world() -> World:
    return World.build(SMALL, 3)


def test_ojbench_folder_names_files_that_exist(world: World, tmp_path: Path) -> None:
    write_ojbench(world, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "prompts/full.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in rows] == [problem.prompt for problem in world.contests["python"]]
    for row in rows:
        folder = tmp_path / row["dataset"] / row["id"]
        init = yaml.safe_load((folder / "init.yml").read_text())
        with zipfile.ZipFile(folder / init["archive"]) as archive:
            named = [case[side] for case in init["test_cases"] for side in ("in", "out")]
            assert sorted(archive.namelist()) == sorted(named)


def test_livecodebench_pro_zips_hold_their_cases(world: World, tmp_path: Path) -> None:
    write_livecodebench_pro(world, tmp_path)
    for line in (tmp_path / "statements.jsonl").read_text().splitlines():
        row = json.loads(line)
        with zipfile.ZipFile(tmp_path / f"{row['problem_id']}.zip") as archive:
            config = yaml.safe_load(archive.read("config.yaml"))
            cases = config["subtasks"][0]["n_cases"]
            wanted = {f"testdata/{n}.{suffix}" for n in range(1, cases + 1) for suffix in ("in", "ans")}
            assert set(archive.namelist()) == wanted | {"config.yaml", config["checker"]}


def test_files_are_the_same_each_time(world: World, tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_ojbench(world, folder / "ojbench")
        write_livecodebench_pro(world, folder / "pro")
        write_ood(world, folder / "ood.jsonl")
    for file in (tmp_path / "a").rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()


def test_ood_answers_move_the_first_word_to_the_end(world: World, tmp_path: Path) -> None:
    write_ood(world, tmp_path / "ood.jsonl")
    for line in (tmp_path / "ood.jsonl").read_text().splitlines():
        row = json.loads(line)
        words = re.findall(r"[a-z]+", row["prompt"].split(":")[1])
        assert row["answer"].split() == words[1:] + words[:1]


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [STUDENT, TEACHER], ids=lambda dialect: dialect.name)
def test_cpp_programs_print_what_the_tests_expect(world: World, dialect: Dialect, tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    assert compiler, "g++ is needed: apt-get install g++"
    for problem in world.contests["cpp"]:
        (tmp_path / "main.cpp").write_text(gold(world, problem, "cpp", dialect))
        subprocess.run([compiler, "-O2", "main.cpp", "-o", "main"], cwd=tmp_path, check=True)
        for given, expected in make_tests(world, problem):
            run = subprocess.run(
                ["./main"], input=given, capture_output=True, text=True, cwd=tmp_path, check=True
            )
            assert run.stdout.strip() == expected.strip()
