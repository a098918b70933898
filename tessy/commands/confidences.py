"""Per-token predictor confidence of finished traces, recomputed.

Confidences are not stored with traces: the artifact's manifest names the switch, which gives the same labels
for the same text again, here in double precision on the CPU. A switch with labels but without probabilities,
such as a lexicon, has probabilities 0 and 1.

Not covered: sliding windows (`synthesis.compat`), which depend on how the text was cut into chunks:
predictors of such runs are used with fixed windows. Imports PyTorch; `inspect` imports it if needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tessy.artifacts import manifest_of
from tessy.boundary import Predictor
from tessy.boundary.operating_point import DEFAULT_THRESHOLD
from tessy.boundary.predictor import BoundaryPredictor
from tessy.config.execution import Execution
from tessy.config.switches import CheckpointsSwitch, Switch
from tessy.errors import UserError
from tessy.generation.switching import Switching, token_rule
from tessy.hub import recorded_as
from tessy.records import ROLES, Role, Trajectory
from tessy.report.traces import THINKING, Confidences
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.stages import switches, synthesize
from tessy.stages.checks import is_missing
from tessy.stages.switches import SwitchesStage, folder_of, style_labels
from tessy.stages.synthesize import SynthesizeStage
from tessy.tracking import NoTracker


def confidences(source: Path, trajectories: Sequence[Trajectory]) -> tuple[Confidences, dict[Role, float]]:
    """The probabilities of style for every token of the thinkings, by the switch of the artifact `source` (or
    the one that contains it), and its thresholds. Raises `UserError` where the artifact has no switch, or one
    that does not depend on the text alone."""
    switching = _switched(source)
    predictors = {role: switching.open(role, 1) for role in ROLES}
    thresholds = {role: getattr(one, "threshold", DEFAULT_THRESHOLD) for role, one in predictors.items()}
    thinkings = ["".join(span.text for span in t.spans if span.kind in THINKING) for t in trajectories]
    return [{role: _style(predictors[role], role, text) for role in ROLES} for text in thinkings], thresholds


def _style(predictor: Predictor, role: Role, text: str) -> list[tuple[int, float]]:
    """(offset, probability of style) of a whole thinking, by a role's switch."""
    if isinstance(predictor, BoundaryPredictor):
        return predictor.style_probabilities(text) if text else []
    return [(offset, float(style)) for offset, style in asyncio.run(style_labels(predictor, role, text))]


def _switched(source: Path) -> Switching:
    """The switch with which the traces of `source` were written, from the artifact that contains them."""
    artifact = next((place for place in (source, *source.parents[:2]) if manifest_of(place)), source)
    manifest = manifest_of(artifact)
    if manifest is None:
        raise UserError(f"{source}: no manifest.json in it or above says what switched its authors")
    try:
        found = _found(manifest, (source if source.is_dir() else source.parent).name)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors()[:3])
        raise UserError(
            f"{artifact}: its manifest.json is not of this version of tessy ({fields}); run the recipe again"
        ) from None
    if found is None:
        raise UserError(
            f"{source}: nothing switched its authors; only cooperative artifacts have confidences"
        )
    config, window_tokens, switch = found
    if token_rule(switch):
        raise UserError(
            f"{source}: its authors were switched by {switch.title}, which the text does not tell"
        )
    inputs = {name: artifact.parent / folder for name, folder in manifest["inputs"].items()}
    name, tracker = manifest["stage"], NoTracker()
    job = Job(name, manifest["kind"], config, inputs, artifact, Execution(), tracker, lambda _: None)
    if missing := list(_missing(job, switch)):
        raise UserError(f"{source}: its predictors {', '.join(missing)} are not there")
    return Switching(job, _pinned(switch, manifest.get("commits", {})), window_tokens)


def _found(manifest: Mapping[str, Any], folder: str) -> tuple[StageConfig, int | None, Switch] | None:
    """The configuration, window and switch of a `synthesize` artifact, or those for the traces in `folder` of
    a `switches` artifact."""
    if manifest["kind"] == switches.KIND.name:
        compared = SwitchesStage.model_validate(manifest["config"])
        chosen = next((switch for switch in compared.switches if folder_of(switch) == folder), None)
        return (compared, compared.window_tokens, chosen) if chosen else None
    if manifest["kind"] != synthesize.KIND.name:
        return None
    config = SynthesizeStage.model_validate(manifest["config"])
    return (config, config.window_tokens, config.synthesis.switch) if config.cooperative else None


def _pinned(switch: Switch, commits: Mapping[str, str]) -> Switch:
    """The switch with hub checkpoints at the commits with which the traces were written."""
    if not isinstance(switch, CheckpointsSwitch):
        return switch
    at = {
        str(role): one.model_copy(
            update={"revision": commits.get(recorded_as(one.source, one.revision), one.revision)}
        )
        for role, one in zip(ROLES, switch.both, strict=True)
    }
    return switch.model_copy(update=at)


def _missing(job: Job[StageConfig], switch: Switch) -> Iterator[str]:
    for role in ROLES if switch.kind == "trained" else ():
        if not (job.inputs[f"predictor-{role}"] / "model").is_dir():
            yield job.inputs[f"predictor-{role}"].name
    for one in switch.both if switch.kind == "checkpoints" else ():
        if is_missing(one.source):
            yield one.source
