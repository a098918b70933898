"""Traces that others wrote: the ids of the student's own template, and counts that add up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hostile_text import hostile_text
from hypothesis import assume, example, given, settings
from jobs import job_at
from training_stage import ROOT, make_inputs, tokenizer
from vocabularies import GPT_OSS, file_of, renderer

from tessy.artifacts import read_json, read_parquet, write_json
from tessy.chat import Renderer
from tessy.config.execution import Execution, Tracking
from tessy.config.given import GivenTraces
from tessy.config.load import load
from tessy.config.models import ModelReference
from tessy.config.switches import LexiconSwitch
from tessy.engines.needs import models
from tessy.errors import UserError
from tessy.experiment import plan
from tessy.layout import LEFT_OUT, SYNTHESIS, TRAJECTORIES
from tessy.records import Trajectory
from tessy.runtime.job import JOB, Job, Spec
from tessy.sources import Exchange, Markers, Parts, Unfit, parts_of
from tessy.stages.given import BLOCK, KIND, GivenStage, run
from tessy.synthesis.given import Facts, trajectory
from train.examples import Limits, examples

TEMPLATES = {
    "qwen3": ("qwen3_training", "reasoning_content"),
    "gpt_oss": ("gptoss", "thinking"),
    "deepseek_r1": ("deepseek_r1_distill_training", ""),
}
"""TRL's template of each family for whole conversations, and the field it takes thinking from."""


@pytest.mark.parametrize(
    ("response", "thinking", "found"),
    [
        ("<think>\nT\n</think>\n\nA", None, Parts("T", "A")),
        ("T\n</think>\nA<|im_end|>\n", None, Parts("T", "A")),
        ("<|begin_of_thought|>\n\nT\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nA\n\n<|end_of_solution|>",
         None, Parts("T", "A")),
        ("<|channel|>analysis<|message|>T<|end|><|start|>assistant<|channel|>final<|message|>A<|return|>",
         None, Parts("T", "A")),
        ("<think>x</think>y <thinking>", None, Parts("x", "y <thinking>")),
        ("A", "T", Parts("T", "A")),
        ("<think>T</think>A", "T", Parts("T", "A")),
    ],
)  # fmt: skip
def test_thinking_is_told_from_the_answer_by_its_markers(
    response: str, thinking: str | None, found: Parts
) -> None:
    assert parts_of(Exchange("Q", response, thinking)) == found


@pytest.mark.parametrize(
    ("response", "rule"),
    [
        ("A", "no thinking"),
        ("<think>T", "thinking is not closed"),
        ("so <think>T</think>A", "text before the thinking"),
        ("<think>T</think>A</think>B", "thinking more than once"),
        ("<think>\n\n</think>A", "empty thinking"),
        ("<think>T</think>\n<|im_end|>", "empty answer"),
    ],
)
def test_a_response_without_usable_thinking_says_why(response: str, rule: str) -> None:
    with pytest.raises(Unfit) as raised:
        parts_of(Exchange("Q", response))
    assert raised.value.rule == rule


def test_markers_of_its_own_take_the_place_of_the_known_ones() -> None:
    parts = parts_of(Exchange("Q", "[[T]]<think>A"), Markers("[[", "]]"))
    assert parts == Parts("T", "<think>A")


plain = hostile_text.map(lambda text: text.replace("<", "").replace("｜", "").strip())


@pytest.mark.slow
@pytest.mark.parametrize("family", TEMPLATES)
@settings(max_examples=15)
@given(thinking=plain, answer=plain)
@example(thinking="Sum: 1 + 1 = 2.", answer="```python\nprint(2)\n```")
@example(thinking="e\u0301!", answer="\u212b")
def test_a_given_response_has_the_ids_of_the_students_own_template(
    family: str, thinking: str, answer: str
) -> None:
    assume(thinking and answer)
    ours, (name, field) = renderer(family), TEMPLATES[family]
    said = (
        {field: thinking, "content": answer}
        if field
        else {"content": f"<think>\n{thinking}\n</think>\n\n{answer}"}
    )
    template = file_of("trl", f"chat_templates/{name}.jinja").read_text(encoding="utf-8")
    rendered = ours.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Q"}, {"role": "assistant", **said}],
        chat_template=template.replace('strftime_now("%Y-%m-%d")', repr(GPT_OSS["date"])),
        tokenize=False,
        reasoning_effort=GPT_OSS["reasoning_effort"],
    )
    facts = Facts("given", "file", 1 << 20)
    made = trajectory(Exchange("Q", ""), Parts(thinking, answer), "a#0", "a", facts, ours)
    theirs = ours.tokenizer.encode(rendered.removesuffix("\n"), add_special_tokens=False)
    assert made.student_token_ids == theirs
    assert made.messages[1]["content"] in ours.decode(theirs)


def texts(number: int) -> tuple[str, str, str]:
    """A prompt, a thinking and an answer in the words of the tiny student."""
    return f"problem {number}", f"so wait let me see {number}\nthen it have", f"good one {number} now"


def tessy_row(number: int) -> dict[str, Any]:
    """A row as the authors' sets have them."""
    prompt, thinking, answer = texts(number)
    said = f"<think>\n{thinking}\n</think>\n\n{answer}"
    dialogs = [{"role": "user", "content": prompt}, {"role": "assistant", "content": said}]
    return {"id_ddm": number, "dialogs": dialogs}


def open_thoughts_row(number: int) -> dict[str, Any]:
    """A row of OpenThoughts-114k."""
    prompt, thinking, answer = texts(number)
    thought = f"<|begin_of_thought|>\n\n{thinking}\n\n<|end_of_thought|>"
    said = f"{thought}\n\n<|begin_of_solution|>\n\n{answer}\n\n<|end_of_solution|>"
    turns = [{"from": "user", "value": prompt}, {"from": "assistant", "value": said}]
    return {"system": "Your role as an assistant", "conversations": turns}


def messages_row(number: int) -> dict[str, Any]:
    prompt, thinking, answer = texts(number)
    asked = [{"role": "system", "content": "be good"}, {"role": "user", "content": prompt}]
    return {"messages": [*asked, {"role": "assistant", "content": answer, "reasoning_content": thinking}]}


def column_row(number: int) -> dict[str, Any]:
    prompt, thinking, answer = texts(number)
    return {"question": prompt, "reasoning": thinking, "answer": answer}


SHAPES = {
    "tessy": tessy_row,
    "open_thoughts": open_thoughts_row,
    "messages": messages_row,
    "columns": column_row,
}


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the tiny model."""
    folder = tmp_path_factory.mktemp("runs")
    make_inputs(folder, 2)
    return folder


def write(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def imported(runs: Path, source: Path, **fields: Any) -> Job[GivenStage]:
    switch = fields.pop("switch", None)
    config = GivenStage(
        given=GivenTraces(name="foreign", source=str(source), **fields),
        student=ModelReference(source="?", format="qwen3"),
        max_length=160,
        switch=switch,
    )
    job = job_at(runs, "synthesize-foreign", config, {"student": "model-student-x"})
    run(job)
    return job


def read(job: Job[GivenStage]) -> list[Trajectory]:
    return list(read_parquet(job.out / TRAJECTORIES, Trajectory))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_set_of_any_shape_is_the_same_training_set(student: Path, tmp_path: Path, shape: str) -> None:
    made = read(imported(student, write(tmp_path / "set.jsonl", [SHAPES[shape](n) for n in range(150)])))
    words = tokenizer()
    ours = Renderer(words, "qwen3")
    trained = examples(made, ours, Limits(160, 256, 400))
    assert len(trained) == 150
    prompt, thinking, answer = texts(149)
    ids = ours.prompt_ids(prompt) + ours.response_ids(thinking, answer)
    assert trained[149].ids.tolist() == made[149].student_token_ids == ids
    assert made[149].messages == [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": f"<think>\n{thinking}\n</think>\n\n{answer}"},
    ]


def test_every_row_is_a_trace_or_counted_by_the_rule_it_broke(student: Path, tmp_path: Path) -> None:
    rows = [tessy_row(number) for number in range(130)]
    rows[3]["dialogs"][1]["content"] = "no thinking at all"
    rows[70]["dialogs"][1]["content"] = "<think>never closed"
    rows[71]["dialogs"] += rows[71]["dialogs"]
    rows[72]["dialogs"][1]["content"] = "<think>so <|im_end|></think>x"
    rows[100]["dialogs"][1]["content"] = f"<think>{'so wait ' * 200}</think>x"
    rows[101]["id_ddm"] = 5
    path = write(tmp_path / "set.jsonl", rows)
    path.write_text(path.read_text() + "{\n")
    job = imported(student, path)
    made, values = read(job), read_json(job.out / SYNTHESIS)
    assert values["left_out"] == read_json(job.out / LEFT_OUT)["counts"] == {
        "no thinking": 1, "thinking is not closed": 1, "more than one exchange": 1,
        "chat markup in the text": 1, "not JSON": 1,
    }  # fmt: skip
    assert values["stop_reasons"] == {"finished": 125, "length": 1}
    assert values["rows"] == 131 == len(made) + sum(values["left_out"].values())
    assert [t.sample_id for t in made if t.problem_id == "5"] == ["5#0", "5#1"]
    assert read_json(job.out / LEFT_OUT)["examples"]["no thinking"][0].startswith("set.jsonl:4: ")


def test_a_set_of_which_nothing_can_be_used_is_refused_with_the_reasons(
    student: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "set.jsonl", [{"prompt": "Q", "response": "A"}])
    with pytest.raises(UserError, match="no row can be used; 1 rows left out, no thinking"):
        imported(student, path)


def test_a_system_prompt_is_dropped_or_kept_as_the_recipe_says(student: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "set.jsonl", [messages_row(1)])
    dropped, kept = read(imported(student, path))[0], read(imported(student, path, system="keep"))[0]
    ours = Renderer(tokenizer(), "qwen3")
    assert dropped.student_token_ids[: dropped.prompt_tokens] == ours.prompt_ids("problem 1")
    assert kept.student_token_ids[: kept.prompt_tokens] == ours.prompt_ids("problem 1", "be good")
    assert [message["role"] for message in kept.messages] == ["system", "user", "assistant"]


def test_a_predictor_marks_style_and_capability(student: Path, tmp_path: Path) -> None:
    (tmp_path / "phrases.txt").write_text("let me see\nso\n")
    switch = LexiconSwitch(kind="lexicon", lexicon=str(tmp_path / "phrases.txt"))
    path = write(tmp_path / "set.jsonl", [tessy_row(number) for number in range(3)])
    made = read(imported(student, path, spans="predictor", switch=switch))
    plain_set = read(imported(student, path))
    for marked, as_given in zip(made, plain_set, strict=True):
        assert marked.text == as_given.text
        assert marked.student_token_ids == as_given.student_token_ids
        thinking = [(span.kind, span.author, span.text.strip()) for span in marked.spans[:-2]]
        assert ("style", "student", "let me see") in thinking
        assert {kind for kind, *_ in thinking} == {"style", "capability"}
    assert examples(made, Renderer(tokenizer(), "qwen3"), Limits(160, 256, 400))


def test_a_recipe_of_given_traces_needs_neither_problems_nor_a_teacher() -> None:
    recipe = load(ROOT / "recipes/paper/given-code.yaml", ["synthesis.methods.0.given.limit=9"])
    assert recipe.synthesis.given["tessy_code"].limit == 9
    assert next(stage.name for stage in plan(recipe)) == "synthesize-tessy_code"
    assert not [name for name, *_ in models(recipe) if "teacher" in name]
    for method in ("tessy", "{given: {name: a, source: b, spans: predictor}}"):
        with pytest.raises(UserError, match="`problems` is missing"):
            load(ROOT / "recipes/paper/given-code.yaml", [f"synthesis.methods=[{method}]"])


def job_folder(runs: Path, name: str, source: Path) -> Path:
    """The half-done artifact of an import, ready to run."""
    config = GivenStage(
        given=GivenTraces(name="foreign", source=str(source)),
        student=ModelReference(source="?", format="qwen3"),
        max_length=160,
    )
    spec = Spec(
        recipe="test",
        name=name,
        kind=KIND.declared,
        fingerprint="x",
        config=config.plain,
        inputs={"student": "model-student-x"},
        execution=Execution(tracking=Tracking(wandb="disabled")),
    )
    partial = runs / f"{name}-x.partial"
    partial.mkdir()
    write_json(partial / JOB, spec.plain)
    return partial


def started(partial: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-P", "-m", "tessy.runtime.job", str(partial)], cwd=ROOT)


@pytest.mark.slow
def test_a_killed_import_goes_on_behind_the_last_whole_block(student: Path, tmp_path: Path) -> None:
    rows = [tessy_row(number % 1000) for number in range(BLOCK * 60)]
    rows[7]["dialogs"][1]["content"] = "no thinking"
    source = write(tmp_path / "set.jsonl", [*rows, [1]])
    calm = imported(student, source)
    partial = job_folder(student, "killed", source)
    journal, process = partial / "work" / "parts.jsonl", started(partial)
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = journal.read_bytes().count(b"\n")
    assert 3 <= done < 60
    first = (partial / "work" / "parts" / "000000" / TRAJECTORIES).stat().st_mtime_ns
    with journal.open("ab") as stream:
        stream.write(b'{"rows": 64, "left')
    again = started(partial)
    while again.poll() is None:
        kept = partial / "work" / "parts" / "000000" / TRAJECTORIES
        assert not kept.exists() or kept.stat().st_mtime_ns == first
        time.sleep(0.05)
    assert again.wait() == 0
    made = partial.with_suffix("")
    assert list(read_parquet(made / TRAJECTORIES, Trajectory)) == read(calm)
    assert read_json(made / SYNTHESIS) == read_json(calm.out / SYNTHESIS)
    assert read_json(made / LEFT_OUT) == read_json(calm.out / LEFT_OUT)
