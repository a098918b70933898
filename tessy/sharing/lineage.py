"""What an artifact was made of: the manifests of its run, followed from input to input.

Not covered: work of other projects that went in; a given set names its source and commit, no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.artifacts import manifest_of, read_json
from tessy.config.base import MINIATURE
from tessy.errors import UserError
from tessy.layout import SYNTHESIS
from tessy.records import ROLES


@dataclass(frozen=True, slots=True)
class Made:
    """An artifact and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def stage(self) -> str:
        return str(self.manifest["stage"])

    @property
    def config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.manifest["config"]
        return config


@dataclass(frozen=True, slots=True)
class Report:
    """What the report of a run says: its recipe and the rows of its result table."""

    recipe: Mapping[str, Any]
    rows: list[Mapping[str, Any]]


def lineage(artifact: Path) -> list[Made]:
    """The artifact and all that it was made of, inputs first; raises `UserError` where it has no manifest."""
    found: dict[str, Made] = {}
    _follow(artifact.resolve(), found)
    return list(found.values())


def _follow(folder: Path, found: dict[str, Made]) -> None:
    manifest = manifest_of(folder)
    if manifest is None:
        raise UserError(f"{folder}: no manifest.json, so this is no finished artifact of a run")
    for name in manifest["inputs"].values():
        if name not in found and manifest_of(folder.parent / name) is not None:
            _follow(folder.parent / name, found)
    found[folder.name] = Made(folder, manifest)


def report_of(artifact: Path) -> Report | None:
    """The newest report in the run folder that has this artifact among its inputs."""
    best: tuple[str, Path] | None = None
    for folder in artifact.resolve().parent.glob("report-*"):
        manifest = manifest_of(folder)
        if manifest and artifact.resolve().name in manifest["inputs"].values():
            best = max(best or ("", folder), (str(manifest["created"]), folder))
    if best is None:
        return None
    manifest = manifest_of(best[1]) or {}
    return Report(manifest["config"]["recipe"], read_json(best[1] / "results.json")["rows"])


def traces_of(made: list[Made]) -> Made | None:
    """The training set in a lineage, the last of several."""
    sets = [one for one in made if (one.folder / SYNTHESIS).exists()]
    return sets[-1] if sets else None


def models_of(made: list[Made]) -> dict[str, dict[str, Any]]:
    """By part (`student`, `teacher`, `annotator` ...), the model's source and revision."""
    found: dict[str, dict[str, Any]] = {}
    for one in made:
        for role, model in _named(one.config):
            if model.get("source") and model["source"] not in ("?", MINIATURE):
                found.setdefault(role, {"source": model["source"], "revision": _commit(one, model)})
            elif model.get("source") == MINIATURE:
                found.setdefault(role, {"source": "the miniature's own", "revision": None})
    return found


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for role, model in (config.get("models") or {}).items():
        yield role, model
    for role in ROLES:
        if isinstance(config.get(role), Mapping):
            yield role, config[role]
    start = (config.get("train") or {}).get("start") if isinstance(config.get("train"), Mapping) else None
    if start:
        yield "start of training", start
    if isinstance(config.get("model"), Mapping):
        yield "student", config["model"]


def _commit(one: Made, model: Mapping[str, Any]) -> str | None:
    commits: Mapping[str, str] = one.manifest.get("commits", {})
    revision: str | None = model.get("revision")
    return commits.get(f"{model['source']}@{revision or 'main'}", revision)


def method_of(traces: Made) -> str:
    """The name of the method of a training set."""
    config = traces.config
    given = config.get("given")
    name = given["name"] if isinstance(given, Mapping) else config.get("method")
    return str(name or traces.stage.removeprefix("synthesize-"))
