"""How sure of every token was what switched the authors of a trace.

That is not stored with a trace: the artifact's manifest says what switched them, and it judges the same text
alike when it is asked again, here in double precision on the CPU. A switch that has labels and no
probabilities, such as a lexicon, counts as sure of them.

Not covered: windows that slide (`synthesis.compat`), which depend on how the text was cut into chunks: the
predictors of such a run are asked with fixed windows. Imports PyTorch; `inspect` imports it when asked to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessy.artifacts import manifest_of
from tessy.boundary import Predictor
from tessy.boundary.operating_point import DEFAULT_THRESHOLD
from tessy.boundary.predictor import BoundaryPredictor
from tessy.errors import UserError
from tessy.hub import recorded_as
from tessy.pipeline.job import Job, open_job
from tessy.pipeline.preflight import is_missing
from tessy.recipe import Execution
from tessy.records import ROLES, Role, Trajectory
from tessy.report.traces import THINKING, Confidences
from tessy.stages.switches import folder_of, style_labels
from tessy.stages.switching import TRAINED, open_switch, title, token_rule
from tessy.synthesis.methods import cooperative


def confidences(source: Path, trajectories: Sequence[Trajectory]) -> tuple[Confidences, dict[Role, float]]:
    """What the switch of the artifact that `source` is, or lies in, says of every token of the thinkings, and
    the thresholds it uses. Raises `UserError` where it had none, or one that text does not tell."""
    job, settings = _switched(source)
    switches = {role: open_switch(job, settings, role, 1) for role in ROLES}
    thresholds = {role: getattr(switch, "threshold", DEFAULT_THRESHOLD) for role, switch in switches.items()}
    thinkings = ["".join(span.text for span in t.spans if span.kind in THINKING) for t in trajectories]
    return [{role: _style(switches[role], role, text) for role in ROLES} for text in thinkings], thresholds


def _style(switch: Predictor, role: Role, text: str) -> list[tuple[int, float]]:
    """(offset, probability of style) of what a role's switch says of a whole thinking."""
    if isinstance(switch, BoundaryPredictor):
        return switch.style_probabilities(text) if text else []
    return [(offset, float(style)) for offset, style in asyncio.run(style_labels(switch, role, text))]


def _switched(source: Path) -> tuple[Job, Mapping[str, Any]]:
    """The job that wrote the traces of `source`, and what switched their authors."""
    artifact = next((place for place in (source, *source.parents[:2]) if manifest_of(place)), source)
    manifest = manifest_of(artifact)
    if manifest is None:
        raise UserError(f"{source}: no manifest.json in it or above says what switched its authors")
    settings = _settings(manifest["config"], (source if source.is_dir() else source.parent).name)
    settings = settings and _pinned(settings, manifest.get("commits", {}))
    if settings is None:
        raise UserError(
            f"{source}: nothing switched its authors; only cooperative artifacts have confidences"
        )
    if token_rule(settings):
        raise UserError(
            f"{source}: its authors were switched by {title(settings)}, which the text does not tell"
        )
    execution = Execution().model_dump(mode="json")
    job = open_job(artifact, {**manifest, "name": manifest["stage"], "execution": execution}, None, None)
    if missing := list(_missing(job, settings)):
        raise UserError(f"{source}: its predictors {', '.join(missing)} are not there")
    return job, settings


def _settings(config: Mapping[str, Any], folder: str) -> Mapping[str, Any] | None:
    """The switch of a `synthesize` artifact, or of the traces in `folder` of a `switches` artifact."""
    if "switches" in config:
        return next((settings for settings in config["switches"] if folder_of(settings) == folder), None)
    settings: Mapping[str, Any] = config.get("synthesis", {}).get("switch", TRAINED)
    return settings if cooperative(config.get("method", "")) else None


def _pinned(settings: Mapping[str, Any], commits: Mapping[str, str]) -> Mapping[str, Any]:
    """The switch with checkpoints of the hub at the commits they were at when the traces were written."""
    if settings["kind"] != "checkpoints":
        return settings
    out = dict(settings)
    for role in ROLES:
        source, revision = settings[role]["source"], settings[role]["revision"]
        out[role] = {**settings[role], "revision": commits.get(recorded_as(source, revision), revision)}
    return out


def _missing(job: Job, settings: Mapping[str, Any]) -> Iterator[str]:
    for role in ROLES:
        if settings["kind"] == "trained" and not (job.inputs[f"predictor-{role}"] / "model").is_dir():
            yield job.inputs[f"predictor-{role}"].name
        if settings["kind"] == "checkpoints" and is_missing(settings[role]["source"]):
            yield settings[role]["source"]
