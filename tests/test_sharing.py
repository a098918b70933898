"""Traces and models for others: TRL's own trainer gets our ids from what is exported, and cards say what the
manifests say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from training_stage import make_inputs, tokenizer, trajectories
from vocabularies import file_of

from tessy.artifacts import write_json, write_parquet
from tessy.cli import main
from tessy.errors import UserError
from tessy.layout import SYNTHESIS, TRAJECTORIES
from tessy.records import Trajectory
from tessy.sharing.files import export
from tessy.sharing.publishing import stage_repository
from tessy.sharing.shapes import Layout, row
from tests.hub import Hub
from tests.hub_writing import TOKEN

COUNT = 12


def manifest(stage: str, kind: str, config: Mapping[str, Any], **inputs: str) -> dict[str, Any]:
    return {
        "stage": stage, "kind": kind, "fingerprint": "0123456789ab", "revision": 3, "config": dict(config),
        "inputs": inputs, "commits": {"Qwen/Qwen3-8B@main": "c" * 40}, "used": {}, "created": "2026-01-01",
        "seconds": 12.5, "environment": {"torch": "2"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: a training set with one trace that did not finish, a model trained on it, a report."""
    folder = tmp_path_factory.mktemp("runs")
    make_inputs(folder, COUNT)
    traces = folder / "synthesize-tessy-1"
    made = trajectories(COUNT)
    made[3] = replace(made[3], stop_reason="length")
    write_parquet(traces / TRAJECTORIES, made, "t", "t")
    counts = {
        "trajectories": COUNT, "failed": 1, "failures": {},
        "stop_reasons": {"finished": COUNT - 1, "length": 1},
        "mean_tokens": 31.4, "teacher_token_share": 0.75, "generated_tokens": 900, "rolled_back_tokens": 100,
    }  # fmt: skip
    write_json(traces / SYNTHESIS, counts)
    student = {"source": "Qwen/Qwen3-8B", "revision": None, "format": "qwen3"}
    teacher = {"source": "/models/openai/secret-place", "revision": None, "format": "qwen3"}
    config = {"method": "tessy", "models": {"student": student, "teacher": teacher}}
    problems = {"problems": {"source": "/data/mine/prompts.jsonl", "licence": "cc-by-4.0"}}
    write_json(folder / "problems-1" / "manifest.json", manifest("problems", "problems", problems))
    write_json(
        traces / "manifest.json", manifest("synthesize-tessy", "synthesize", config, problems="problems-1")
    )
    model = folder / "train-tessy-seed0-1"
    (folder / "model-student-x" / "model").rename(folder / "kept")
    (model).mkdir()
    (folder / "kept").rename(model / "model")
    trained = {"train": {"epochs": 1}, "model": student, "seed": 0}
    write_json(
        model / "manifest.json", manifest("train-tessy-seed0", "sft", trained, trajectories=traces.name)
    )
    recipe = {"name": "mine", "problems": problems["problems"]}
    score = {"benchmark": "OJBench", "metric": "pass@1", "n_problems": 464, "seeds": [0]}
    rows = [
        {"method": "TESSY", **score, "value": 0.254, "ci_low": 0.221, "ci_high": 0.29},
        {"method": "Student", **score, "value": 0.188, "ci_low": 0.15, "ci_high": 0.22},
        {"method": "Teacher-Only", **score, "value": 0.087, "ci_low": 0.06, "ci_high": 0.12},
    ]
    report = folder / "report-1"
    inputs = {"a": traces.name, "b": model.name}
    write_json(report / "manifest.json", manifest("report", "report", {"recipe": recipe}, **inputs))
    write_json(report / "results.json", {"rows": rows})
    return folder


def made() -> list[Trajectory]:
    from tessy.chat import Renderer, conversation

    ours = Renderer(tokenizer(), "qwen3")
    return [
        replace(t, messages=conversation(ours, t.prompt, t.student_token_ids[t.prompt_tokens :]))
        for t in trajectories(COUNT)
    ]


LAYOUTS = {
    "messages": Layout(),
    "apart": Layout(thinking="reasoning_content"),
    "sharegpt": Layout("sharegpt", tags=("user", "assistant")),
    "alpaca": Layout("alpaca"),
}


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_every_file_is_read_by_datasets_and_by_our_own_reader(tmp_path: Path, ending: str) -> None:
    from datasets import load_dataset

    from tessy.config.sources import Source
    from tessy.sources import LeftOut, open_table

    path = tmp_path / f"set{ending}"
    done = export(made(), path, Layout())
    ours = [dict(values) for values, _ in open_table(Source(source=str(path)), "f").rows(LeftOut())]
    assert done.rows == len(ours) == COUNT
    if ending == ".jsonl.zst":  # datasets needs a package for it that nothing else here does
        return
    kind = "parquet" if ending == ".parquet" else "json"
    theirs = load_dataset(kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert theirs.to_list() == ours == [row(t, Layout()) for t in made()]


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_trl_s_own_trainer_gets_our_ids_and_labels_from_an_export(
    tmp_path: Path, runs: Path, name: str
) -> None:
    """Alpaca's columns become messages by the map that its users write; the others are read as they are."""
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    traces, path = made(), tmp_path / "set.jsonl"
    words = tokenizer()
    words.chat_template = file_of("trl", "chat_templates/qwen3_training.jinja").read_text(encoding="utf-8")
    done = export(traces, path, LAYOUTS[name], words, check=COUNT)
    assert (done.rows, done.checked, done.same_ids) == (COUNT, COUNT, COUNT)
    rows = load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    if name == "alpaca":
        rows = rows.map(
            lambda one: {
                "messages": [
                    {"role": "user", "content": one["instruction"]},
                    {"role": "assistant", "content": one["output"]},
                ]
            },
            remove_columns=["instruction", "input", "output"],
        )
    settings = SFTConfig(
        output_dir=str(tmp_path / "out"), max_length=None, report_to=[], save_strategy="no",
        # TRL cannot yet mask turns that it has to convert: there it learns the prompt as well.
        assistant_only_loss=name != "sharegpt",
        per_device_train_batch_size=1, max_steps=1, bf16=False, use_cpu=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(runs / "train-tessy-seed0-1" / "model")
    trainer = SFTTrainer(model, settings, train_dataset=rows, processing_class=words)
    for trace, theirs in zip(traces, trainer.train_dataset, strict=True):
        ids, count = trace.student_token_ids, len(trace.student_token_ids)
        assert theirs["input_ids"][:count] == ids
        # The template writes a line break behind the end.
        assert words.decode(theirs["input_ids"][count:]) == "\n"
        batch = trainer.data_collator([theirs])
        learned = [label for label in batch["labels"][0].tolist()[:count] if label != -100]
        assert learned == ids[0 if name == "sharegpt" else trace.prompt_tokens :]
    trainer.train()


def test_rows_have_the_names_that_their_readers_expect() -> None:
    (trace, *_) = made()
    thinking = "".join(span.text for span in trace.spans if span.kind in ("style", "capability"))
    answer = trace.spans[-1].text
    said = f"<think>\n{thinking}\n</think>\n\n{answer}"
    assert row(trace, Layout("sharegpt")) == {
        "id": trace.sample_id,
        "conversations": [{"from": "human", "value": trace.prompt}, {"from": "gpt", "value": said}],
    }
    assert row(trace, Layout(thinking="thinking"))["messages"][1] == {
        "role": "assistant", "content": answer, "thinking": thinking
    }  # fmt: skip
    with_system = replace(trace, messages=[{"role": "system", "content": "S"}, *trace.messages])
    assert row(with_system, Layout("alpaca")) == {
        "id": trace.sample_id, "system": "S", "instruction": trace.prompt, "input": "", "output": said
    }  # fmt: skip
    with pytest.raises(UserError, match="run the recipe again"):
        row(replace(trace, messages=trace.messages[:1]), Layout())


def test_traces_that_did_not_finish_are_left_out_and_counted(tmp_path: Path) -> None:
    traces = made()
    traces[2] = replace(traces[2], stop_reason="repetitive")
    done = export(traces, tmp_path / "set.jsonl", Layout())
    assert (done.rows, dict(done.left_out)) == (COUNT - 1, {"repetitive": 1})
    with pytest.raises(UserError, match="must end in"):
        export(traces, tmp_path / "set.csv", Layout())


def published(command: list[str], **environment: str) -> str:
    done = CliRunner(env=environment).invoke(main, command)
    assert done.exit_code == 0, done.output
    return str(done.output)


def test_a_dry_run_leaves_the_repository_in_a_folder(runs: Path, tmp_path: Path) -> None:
    source, folder = runs / "synthesize-tessy-1", tmp_path / "build"
    said = published(
        ["publish", str(source), "me/traces", "--dry-run", str(folder), "--licence", "apache-2.0"]
    )
    assert "the dataset repository me/traces is in" in said
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "README.md", "lineage.json", "recipe.yaml", "data/train.parquet", "data/unfinished.parquet"
    }  # fmt: skip
    card = (folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["license"] == "apache-2.0"
    assert [one["split"] for one in head["configs"][0]["data_files"]] == ["train", "unfinished"]
    for fact in (
        "| did not finish | length | 1 |",
        "| student | Qwen/Qwen3-8B | " + "c" * 40 + " | apache-2.0 |",
        "| teacher | (local) secret-place |  | not known here |",
        "| (local) prompts.jsonl | cc-by-4.0 |",
        "| TESSY | OJBench | pass@1 | 25.4 | [22.1, 29.0] | 464 | 0 |",
        "| Student | OJBench | pass@1 | 18.8 | [15.0, 22.0] | 464 | 0 |",
        "| synthesize-tessy | 0123456789ab | 3 | 12.5 |",
        "tessy run recipe.yaml",
    ):
        assert fact in card
    assert "Teacher-Only" not in card
    whole = "".join(
        path.read_text() for path in folder.rglob("*") if path.suffix in (".md", ".json", ".yaml")
    )
    assert "/data/mine" not in whole
    assert "/models/openai" not in whole
    assert [one["stage"] for one in json.loads((folder / "lineage.json").read_text())] == [
        "problems", "synthesize-tessy"
    ]  # fmt: skip


def test_a_model_s_card_names_its_base_and_its_traces(runs: Path, tmp_path: Path) -> None:
    source = runs / "train-tessy-seed0-1"
    kind = stage_repository(source, tmp_path / "m", "me/model", datasets=("me/traces",), ask_hub=False)
    assert kind == "model"
    head = yaml.safe_load((tmp_path / "m" / "README.md").read_text().split("---\n")[1])
    assert (head["base_model"], head["datasets"]) == ("Qwen/Qwen3-8B", ["me/traces"])
    assert {"model.safetensors", "config.json", "tokenizer.json", "lineage.json"} <= {
        path.name for path in (tmp_path / "m").iterdir()
    }
    with pytest.raises(UserError, match="name a training set or a model"):
        stage_repository(runs / "problems-1", tmp_path / "p", "me/x", ask_hub=False)


PUBLISH = "import sys\nfrom tessy.cli import main\nmain(sys.argv[1:], standalone_mode=False)"
READ = """
import sys
from datasets import load_dataset
rows = load_dataset(sys.argv[1])
print({split: rows[split].num_rows for split in rows})
"""
LOAD = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
print(model.num_parameters(), len(AutoTokenizer.from_pretrained(sys.argv[1])))
"""


@pytest.mark.slow
def test_what_is_published_is_read_back_by_the_real_clients(hub: Hub, runs: Path, tmp_path: Path) -> None:
    home, traces, model = tmp_path / "home", runs / "synthesize-tessy-1", runs / "train-tessy-seed0-1"
    said = hub.run(PUBLISH, home, "publish", str(traces), "me/traces", "--private", HF_TOKEN=TOKEN)
    assert "/commit/" in said
    assert hub.written.private == {"me/traces": True}
    assert hub.run(READ, home, "me/traces").strip() == str({"train": COUNT - 1, "unfinished": 1})
    hub.run(PUBLISH, home, "publish", str(model), "me/model", "--message", "First", HF_TOKEN=TOKEN)
    assert hub.written.messages[-1] == "First"
    assert int(hub.run(LOAD, home, "me/model").split()[0]) > 10_000
    assert not list(runs.glob(".publish-*"))
    with pytest.raises(AssertionError, match=r"the hub refuses|401"):
        hub.run(PUBLISH, home, "publish", str(traces), "me/other", HF_TOKEN="hf_wrong")
