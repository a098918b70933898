"""`tessy inspect --confidence` asks what switched the authors of a run, whatever that was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jobs import MODELS
from predictor_model import make_predictor
from report_samples import cooperative_spans, trace

from tessy.artifacts import write_json, write_parquet
from tessy.boundary.operating_point import OperatingPoint, write_operating_point
from tessy.cli import main
from tessy.config.engines import Numerics
from tessy.config.synthesis import Cooperation
from tessy.errors import UserError
from tessy.records import ROLES
from tessy.report.traces import THINKING
from tessy.runtime.stage import StageConfig
from tessy.stages.switches import SwitchesStage
from tessy.stages.synthesize import SynthesizeStage

pytestmark = pytest.mark.slow
WINDOW = 16
TRACE = trace("TESSY", cooperative_spans())
TEXT = "".join(span.text for span in TRACE.spans if span.kind in THINKING)
OWN = {f"predictor-{role}": f"predictor-{role}-1" for role in ("student", "teacher")}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_predictor(tmp_path_factory.mktemp("predictor"))
    write_operating_point(folder, OperatingPoint(0.3, WINDOW))
    return folder


def artifact(folder: Path, config: StageConfig, inputs: Any = None, traces_in: str = ".") -> Path:
    """A finished artifact with one trace; where that is."""
    made = folder / "synthesize-tessy-1"
    write_parquet(made / traces_in / "trajectories.parquet", [TRACE], "traces", "")
    kind = "synthesize" if isinstance(config, SynthesizeStage) else "switches"
    manifest = {"stage": "s", "kind": kind, "config": config.plain, "inputs": inputs or {}}
    write_json(made / "manifest.json", manifest)
    return made / traces_in


LIMITS = {"max_tokens": 9, "sampler": {"temperature": 1.0}}
ENGINES = {role: Numerics() for role in ROLES}


def switched(switch: Any, *, method: str = "tessy", window_tokens: int | None = None) -> SynthesizeStage:
    synthesis = Cooperation(**LIMITS, **({"switch": switch} if switch else {}))
    given = {"method": method, "synthesis": synthesis, "window_tokens": window_tokens, "seed": 0}
    return SynthesizeStage(models=MODELS, engines=ENGINES, **given)


def asked(source: Path) -> Any:
    from tessy.commands.confidences import confidences

    return confidences(source, [TRACE])


def by_predictor(checkpoint: Path) -> list[tuple[int, float]]:
    from tessy.boundary.predictor import BoundaryPredictor

    return BoundaryPredictor(str(checkpoint), "student", WINDOW).style_probabilities(TEXT)


def test_a_runs_own_predictors_are_asked(checkpoint: Path, tmp_path: Path) -> None:
    for name in OWN.values():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").symlink_to(checkpoint)
    config = switched(None, window_tokens=WINDOW)
    (found,), thresholds = asked(artifact(tmp_path, config, OWN))
    assert found == dict.fromkeys(("student", "teacher"), by_predictor(checkpoint))
    assert thresholds == {"student": 0.3, "teacher": 0.3}


def test_checkpoints_named_by_the_recipe_are_asked(checkpoint: Path, tmp_path: Path) -> None:
    named = {"source": str(checkpoint), "revision": None}
    switch = {"kind": "checkpoints", "student": named, "teacher": {**named, "threshold": 0.6}}
    source = artifact(tmp_path, switched(switch))
    (found,), thresholds = asked(source)
    assert found["teacher"] == by_predictor(checkpoint)
    assert thresholds == {"student": 0.3, "teacher": 0.6}
    done = CliRunner().invoke(main, ["inspect", str(source), "--confidence"])
    assert done.exit_code == 0, done.output
    # The predictor of noise is in doubt of something.
    assert "[0." in done.output


def test_labels_without_probabilities_are_sure(tmp_path: Path) -> None:
    (found,), _ = asked(artifact(tmp_path, switched({"kind": "lexicon", "lexicon": "english"})))
    assert found["student"] == found["teacher"]
    assert {style for _, style in found["student"]} == {0.0, 1.0}
    assert found["student"][0] == (0, 1.0)


def test_each_folder_of_a_comparison_has_its_own_switch(tmp_path: Path) -> None:
    english = {"kind": "lexicon", "lexicon": "english"}
    compared = SwitchesStage(
        switches=[{"kind": "trained"}, english, {"kind": "never"}],
        problems=1,
        window_tokens=WINDOW,
        synthesis=LIMITS | {"chunk_tokens": 20},
        models=MODELS,
        engines=ENGINES,
        watching=ENGINES,
        seed=0,
    )
    folder = artifact(tmp_path, compared, traces_in="lexicon-english")
    ((found,), _), ((same,), _) = asked(folder), asked(folder / "trajectories.parquet")
    assert found == same
    assert {style for _, style in found["teacher"]} == {0.0, 1.0}


def test_what_cannot_be_asked_is_named(tmp_path: Path) -> None:
    gone = {"source": "/gone", "revision": None}
    checkpoints = switched({"kind": "checkpoints", "student": gone, "teacher": gone})
    entropy = switched({"kind": "entropy", "above": 1.0})
    tokens = switched({"kind": "every_tokens", "tokens": 8})
    own = switched(None, window_tokens=WINDOW)
    for config, inputs, said in (
        (own, OWN, "predictor-student-1, predictor-teacher-1 are not there"),
        (checkpoints, {}, "/gone, /gone are not there"),
        (entropy, {}, "entropy above 1, which the text does not tell"),
        (tokens, {}, "every 8 tokens, which the text does not tell"),
        (switched(None, method="teacher_only"), {}, "nothing switched its authors"),
    ):
        with pytest.raises(UserError, match=said):
            asked(artifact(tmp_path, config, inputs))
    write_parquet(tmp_path / "alone" / "trajectories.parquet", [TRACE], "traces", "")
    with pytest.raises(UserError, match=r"no manifest\.json"):
        asked(tmp_path / "alone" / "trajectories.parquet")


def test_an_artifact_of_another_version_is_named(tmp_path: Path) -> None:
    source = artifact(tmp_path, switched({"kind": "never"}))
    before = {"stage": "s", "kind": "synthesize", "config": {"method": "tessy"}, "inputs": {}}
    write_json(source / "manifest.json", before)
    with pytest.raises(UserError, match=r"manifest\.json is not of this version.*models"):
        asked(source)
