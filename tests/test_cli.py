"""The command line as a user meets it: quick, helpful, and refusing before anything loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tessy.config.load import load
from tessy.errors import UserError
from tessy.experiment import plan
from tessy.runtime.preflight import preflight

ROOT = Path(__file__).parents[1]


def tessy(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tessy.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **env}, timeout=60
    )


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["plan"], ["sweep"], ["launch"], ["judge"], ["doctor"], ["diagnose"], ["diagnose-runs"]],
)
def test_every_command_has_help(command: list[str]) -> None:
    done = tessy(*command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, tessy, tessy.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "pydantic", "pyarrow", "numpy", "rich", "wandb"} & set(loaded)


@pytest.mark.parametrize("module", ["tessy.stages.report", "tessy.commands.sweep"])
def test_reporting_loads_no_model_library(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {"torch", "transformers", "datasets", "wandb"} & set(loaded.stdout.split())


def test_the_judge_needs_no_model_library() -> None:
    code = "import sys, eval.judge.command, eval.sandbox; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert not {"torch", "transformers", "datasets", "wandb", "pydantic", "numpy", "pyarrow"} & set(loaded)


def test_tessy_and_train_never_import_eval_at_module_level() -> None:
    for package, foreign in (("tessy", ("eval", "train")), ("train", ("eval",)), ("eval", ("train",))):
        for path in (ROOT / package).rglob("*.py"):
            for line in path.read_text().splitlines():
                if line.startswith(("import ", "from ")):
                    assert line.split()[1].partition(".")[0] not in foreign, f"{path}: {line}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recipes/nowhere.yaml"], "no such file"),
        (["recipes/mini.yaml", "synthesis.chunk_tokens=0"], "synthesis.chunk_tokens.student: 0"),
        (["recipes/mini.yaml", "synthesis.metods=[tessy]"], "did you mean 'methods'"),
        (["recipes/mini.yaml", "train.epochs=many"], "train.epochs: 'many'"),
        (["recipes/mini.yaml", "problems.source=gone.jsonl"], "problems.source 'gone.jsonl': no such file"),
        (["recipes/mini.yaml", "predictors.annotator.lexicon=gone.txt"], "'gone.txt': no such file"),
    ],
)
def test_bad_input_ends_with_2_and_leaves_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = tessy("run", *arguments, "--runs-dir", str(tmp_path / "runs"))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    done = tessy("run", "recipes/mini.yaml", "--runs-dir", "/proc/runs")
    assert done.returncode == 2
    assert "--runs-dir: cannot write in /proc/runs/mini" in done.stderr


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="free some or choose another disk"):
        preflight(plan(load(ROOT / "recipes" / "mini.yaml")), tmp_path, disk_needed=1 << 60)


def test_what_only_predictors_would_stumble_over_is_refused_before_anything_runs(tmp_path: Path) -> None:
    def refused(*overrides: str) -> str:
        with pytest.raises(UserError) as caught:
            preflight(plan(load(ROOT / "recipes" / "mini.yaml", overrides)), tmp_path)
        return str(caught.value)

    base, broken, empty = tmp_path / "base", tmp_path / "broken.txt", tmp_path / "empty.txt"
    base.mkdir()
    (base / "config.json").write_text('{"max_position_embeddings": 40}')
    broken.write_bytes(b"caf\xe9")
    empty.write_text("# nothing yet")
    named, watched = refused(f"predictors.base={{source: {base}}}"), refused("predictors.window_tokens=1025")
    for role in ("student", "teacher"):
        own = f"of the {role}'s predictor holds"
        assert f"predictors.window_tokens 64: model '{base}' {own} 40 tokens; lower it" in named
        assert f"predictors.window_tokens 1025: model 'miniature' {own} 1024 tokens; lower it" in watched
    asked = "model: teacher, thinking: true, max_tokens: 9, attempts: 1, sampler: {temperature: 0}"
    said = refused(
        f"predictors.annotator={{kind: llm, prompt: {empty}, {asked}}}",
        f"predictors.agreement={{segments: 9, annotator: {{kind: lexicon, lexicon: {broken}}}}}",
        f"synthesis.switch={{kind: lexicon, lexicon: {empty}}}",
    )
    assert f"prompt {empty}: holds {{segment}} 0 times" in said
    assert f"lexicon {broken}: cannot be read: 'utf-8'" in said
    assert "lexicon: no phrases in it" in said


def test_without_a_sandbox_nothing_is_evaluated(tmp_path: Path) -> None:
    done = tessy("run", "recipes/mini.yaml", "--runs-dir", str(tmp_path), PATH="/nowhere")
    assert done.returncode == 2
    assert "sandbox: " in done.stderr


def test_a_benchmark_whose_tests_are_missing_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "ojbench" / "prompts"
    folder.mkdir(parents=True)
    row = '{"id": 7, "prompt": "?", "dataset": "NOI", "language": "cpp", "difficulty": "easy"}\n'
    (folder / "full.jsonl").write_text(row)
    text = (ROOT / "recipes" / "mini.yaml").read_text()
    text = text.replace("kind: ojbench, source: miniature", f"kind: ojbench, source: {tmp_path / 'ojbench'}")
    (tmp_path / "r.yaml").write_text(text)
    done = tessy("run", str(tmp_path / "r.yaml"), "--runs-dir", str(tmp_path / "runs"))
    assert done.returncode == 2
    assert "benchmark ojbench_mini" in done.stderr
    assert "holds no OJBench (DMOJ) problem" in done.stderr


def test_a_plan_is_printed_without_running_anything(tmp_path: Path) -> None:
    done = tessy("plan", "recipes/mini.yaml", "--runs-dir", str(tmp_path / "runs"))
    assert done.returncode == 0
    assert done.stdout.startswith("The TESSY paper in miniature")
    assert "synthesize-tessy" in done.stdout
    assert not (tmp_path / "runs").exists()
