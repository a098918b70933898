"""What bears on identity and what does not, and that a plan says why a stage runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessy.config.load import load
from tessy.experiment import plan
from tessy.runtime.plan import Plan, Stage
from tessy.runtime.reuse import decide

MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"


def planned(*overrides: str) -> Plan:
    return plan(load(MINI, overrides))


def fingerprints(p: Plan) -> dict[str, str]:
    return {stage.name: stage.fingerprint for stage in p}


def changed(*overrides: str) -> set[str]:
    before, after = fingerprints(planned()), fingerprints(planned(*overrides))
    return {name.partition("-")[0] for name in before if before[name] != after[name]}


def pretend_made(p: Plan, folder: Path) -> None:
    for stage in p:
        (folder / stage.folder).mkdir(parents=True)
        manifest = {
            "stage": stage.name,
            "created": "2026-01-01T00:00:00Z",
            "config": stage.config.plain,
            "revision": stage.kind.revision,
        }
        (folder / stage.folder / "manifest.json").write_text(json.dumps(manifest))


def test_inputs_come_before_their_users() -> None:
    seen: set[str] = set()
    for stage in planned():
        assert set(stage.inputs.values()) <= seen
        seen.add(stage.name)


def test_what_most_others_wait_for_starts_first() -> None:
    plan = planned()
    names = [stage.name for stage in plan.by_need()]
    assert sorted(names) == sorted(stage.name for stage in plan)
    for stage in plan:
        assert all(names.index(name) < names.index(stage.name) for name in stage.inputs.values())
    assert names[-1] == "report"


def test_execution_changes_no_fingerprint() -> None:
    assert not changed("execution.jobs=1", "execution.judge_workers=7", "execution.tracking.wandb=disabled")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.learning_rate=0.1", {"train", "evaluate", "lmeval", "report"}),
        ("evaluate.samples=5", {"evaluate", "lmeval", "report"}),
        ("evaluate.pass_at=[2]", {"report"}),
        (
            "synthesis.chunk_tokens=5",
            {"synthesize", "switches", "train", "evaluate", "lmeval", "instrument", "report"},
        ),
        (
            "predictors.epochs=9",
            {"predictor", "synthesize", "switches", "train", "evaluate", "lmeval", "instrument", "report"},
        ),
    ],
)
def test_only_what_depends_on_a_field_is_made_again(override: str, expected: set[str]) -> None:
    assert changed(override) == expected


def test_chunk_length_does_not_concern_methods_with_one_author() -> None:
    before, after = fingerprints(planned()), fingerprints(planned("synthesis.chunk_tokens=5"))
    assert before["synthesize-teacher_only"] == after["synthesize-teacher_only"]
    assert before["synthesize-tessy"] != after["synthesize-tessy"]


def test_the_student_alone_is_not_tested_again_when_training_changes() -> None:
    before, after = fingerprints(planned()), fingerprints(planned("train.epochs=9"))
    assert before["evaluate-student"] == after["evaluate-student"]


def test_everything_that_was_made_is_reused(tmp_path: Path) -> None:
    pretend_made(planned(), tmp_path)
    assert {decision.action for decision in decide(planned(), tmp_path)} == {"reuse"}


def test_a_plan_names_the_field_that_changed(tmp_path: Path) -> None:
    pretend_made(planned(), tmp_path)
    decisions = {d.stage.name: d for d in decide(planned("train.learning_rate=0.1"), tmp_path)}
    before = load(MINI).train.learning_rate
    assert decisions["train-tessy-seed0"].reason == f"train.learning_rate {before} -> 0.1"
    assert decisions["evaluate-tessy-seed0"].reason == "input train-tessy-seed0"
    assert decisions["synthesize-tessy"].action == "reuse"


def test_half_done_work_is_gone_on_with(tmp_path: Path) -> None:
    world = planned().stage("world")
    (tmp_path / f"{world.folder}.partial").mkdir()
    assert {d.stage.name: d.action for d in decide(planned(), tmp_path)}["world"] == "resume"


def test_predictors_start_from_the_watched_model_or_from_a_named_base() -> None:
    own = plan(load(MINI)).stage("predictor-student")
    assert own.inputs["model"] == "model-student"
    named = plan(load(MINI, ["predictors.base.source=someone/small-base"])).stage("predictor-student")
    assert set(named.inputs) == {"annotations"}
    assert named.config.base.source == "someone/small-base"
    assert named.fingerprint != own.fingerprint


def test_named_predictors_take_the_place_of_trained_ones_and_bear_identity(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    named = f"student: {{source: {tmp_path}}}, teacher: {{source: someone/t}}"
    switch = f"{{kind: checkpoints, {named}, window_tokens: 9}}"

    def synthesis() -> Stage:
        return planned(f"synthesis.switch={switch}").stage("synthesize-tessy")

    before = synthesis()
    assert not any(name.startswith("predictor") for name in before.inputs)
    (tmp_path / "predictor.json").write_text("{}")
    assert synthesis().fingerprint != before.fingerprint


def test_chosen_epochs_are_tested_on_their_own() -> None:
    before, after = planned(), planned("train.evaluate_epochs=[1, 3]")
    new = {stage.name for stage in after} - {stage.name for stage in before}
    assert "evaluate-tessy-seed0-epoch3" in new
    assert len(new) == len(before.recipe.synthesis.methods) * len(before.recipe.train.seeds) * 2 * 2
    assert after.stage("evaluate-tessy-seed0-epoch3").config.model.folder == "epochs/3"
    assert after.stage("evaluate-tessy-seed0-epoch3").inputs["model"] == "train-tessy-seed0"


def test_what_was_trained_behind_a_system_prompt_is_tested_behind_it() -> None:
    isolated = planned("train.system_prompt=Answer briefly.")
    assert isolated.stage("evaluate-tessy-seed0").config.model.system == "Answer briefly."
    assert fingerprints(isolated)["evaluate-student"] == fingerprints(planned())["evaluate-student"]
