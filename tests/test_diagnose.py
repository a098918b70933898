"""`tessy diagnose` as a user runs it: on our trajectories and on sets of others, with a tiny student."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import training_stage as stage
from click.testing import CliRunner

from tessy.artifacts import read_json, read_parquet
from tessy.records import Trajectory

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-P", "-m", "tessy.cli", "diagnose"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    stage.make_inputs(folder)
    return folder


def diagnose(dataset: Path, inputs: Path, out: Path, *options: str) -> dict[str, Any]:
    from tessy.commands.diagnose import diagnose_command

    done = CliRunner().invoke(diagnose_command, arguments(dataset, inputs, out, *options))
    assert done.exit_code == 0, done.output[-3000:]
    assert (out / "index.html").is_file()
    assert not (out / ".work").exists()
    found: dict[str, Any] = read_json(out / "diagnosis.json")
    return found


def arguments(dataset: Path, inputs: Path, out: Path, *options: str) -> list[str]:
    student = ["--student", str(inputs / "model-student-x"), "--lexicon", str(lexicon(inputs))]
    return [str(dataset), *student, "--out", str(out), *options]


def lexicon(inputs: Path) -> Path:
    file = inputs / "lexicon.txt"
    file.write_text("so\nwait\nlet me see\n")
    return file


def test_a_set_of_the_students_own_has_no_gap_and_the_nll_is_transformers_own(
    inputs: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from tessy.chat import Renderer

    own = inputs / "synthesize-tessy-x"
    found = diagnose(own, inputs, tmp_path, "--own", str(own / "trajectories.parquet"))
    assert (found["rows"], found["set"]["responses"], found["left_out"]) == (21, 21, {})
    assert all(gap["difference"]["value"] == pytest.approx(0) for gap in found["gaps"].values())
    assert set(found["gaps"]) == {"all", "thinking", "style", "capability", "answer"}
    model = AutoModelForCausalLM.from_pretrained(inputs / "model-student-x" / "model")
    renderer, nats, count = Renderer(stage.tokenizer(), "qwen3"), 0.0, 0
    for trace in read_parquet(own / "trajectories.parquet", Trajectory):
        ids = torch.tensor([trace.student_token_ids])
        with torch.no_grad():
            logp = model(ids).logits[0, :-1].log_softmax(-1)
        response = ids[0, trace.prompt_tokens :]
        each = -logp[trace.prompt_tokens - 1 :].gather(1, response[:, None])[:, 0]
        opened, end = len(renderer.open_thinking_ids()), len(response) - 1
        thought = opened + sum(len(renderer.encode(s.text)) for s in trace.spans[:-2])
        said = end - len(renderer.encode(trace.spans[-1].text))
        text = [*range(opened, thought), *range(said, end)]  # All but markup.
        nats, count = nats + float(each[text].sum()), count + len(text)
    assert found["gaps"]["all"]["found"]["tokens"] == count
    assert found["gaps"]["all"]["found"]["nll"]["value"] == pytest.approx(nats / count, rel=1e-4)


def test_sets_of_others_are_read_and_what_cannot_be_used_is_counted(inputs: Path, tmp_path: Path) -> None:
    def said(content: str) -> dict[str, Any]:
        user = {"role": "user", "content": "problem 1"}
        return {"messages": [user, {"role": "assistant", "content": content}]}

    rows = [said("<think>\nso let me see\n</think>\n\none good"), said("one good now")] * 3
    rows += [said("<think>\nso let me see"), {"messages": [{"role": "user", "content": "?"}]}]
    file = tmp_path / "messages.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n")
    found = diagnose(file, inputs, tmp_path / "out", "--own-samples", "2", "--max-tokens", "30")
    assert found["rows"] == 9
    assert sum(found["left_out"].values()) == 3
    assert found["set"]["faults"] == {"no thinking": 3}
    assert (tmp_path / "out" / "own" / "trajectories.parquet").is_file()


def test_a_diagnosis_that_was_killed_goes_on_and_says_the_same(inputs: Path, tmp_path: Path) -> None:
    dataset, short = inputs / "synthesize-tessy-x", ("--max-tokens", "40", "--own-samples", "4")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [*COMMAND, *arguments(dataset, inputs, killed, *short)]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(killed.glob(".work/*/work/nll-set.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert list(killed.glob(".work/*/work/nll-set.jsonl"))
    assert not (killed / "diagnosis.json").exists()
    assert diagnose(dataset, inputs, killed, *short) == diagnose(dataset, inputs, whole, *short)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--student", "nowhere"], "--student nowhere: no such folder; name a checkpoint or a hub id"),
        (["--student", "tests"], "--student tests: no checkpoint there (config.json is missing)"),
        (["--student", "a/b", "--format", "qwen"], "'qwen' is not one of 'auto', 'qwen3'"),
    ],
)
def test_a_student_that_is_not_there_is_refused(options: list[str], said: str, tmp_path: Path) -> None:
    command = [*COMMAND, str(tmp_path), *options, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=stage.ROOT, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()
