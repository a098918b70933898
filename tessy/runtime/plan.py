"""A plan: a graph of stages, each with a fingerprint. Independent of the kinds of stages.

A fingerprint covers the stage's configuration without fields that are at their default, the content of the
files it names, its inputs' fingerprints and the revision of its code. So a default that is added to the
schema later changes no fingerprint; a change to the meaning of a default requires a new revision.

Pure, apart from the digests of files. Not covered: which stages a recipe has (`tessy.experiment`), which of
them exist already (`tessy.runtime.reuse`), and running them (`tessy.runtime.run`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from tessy.artifacts import fingerprint
from tessy.config.execution import Execution
from tessy.digests import content_digest
from tessy.records import Role
from tessy.runtime.stage import C, Kind, StageConfig


@dataclass(frozen=True, slots=True)
class Stage:
    """One step. Its result depends on `config`, `inputs` (input name -> stage name) and `content`, the
    digests of the files it names (None for those on the hub)."""

    name: str
    kind: Kind[StageConfig]
    config: StageConfig
    content: Mapping[str, str | None]
    inputs: Mapping[str, str]
    fingerprint: str

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.fingerprint}"


class Runnable(Protocol):
    """What a run needs of a recipe besides its stages."""

    @property
    def name(self) -> str: ...
    @property
    def execution(self) -> Execution: ...
    @property
    def plain(self) -> dict[str, Any]: ...


R_co = TypeVar("R_co", bound=Runnable, covariant=True)


@dataclass(frozen=True)
class Plan(Generic[R_co]):
    """Stages in topological order: every stage comes after its inputs."""

    recipe: R_co
    stages: tuple[Stage, ...]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def by_need(self) -> list[Stage]:
        """Stages with those first that begin the longest chains, by their kinds' weights: what starts late
        must not be what everything waits for."""
        chain: dict[str, int] = dict.fromkeys((stage.name for stage in self.stages), 0)
        for stage in reversed(self.stages):
            chain[stage.name] += stage.kind.weight
            for name in stage.inputs.values():
                chain[name] = max(chain[name], chain[stage.name])
        return sorted(self.stages, key=lambda stage: -chain[stage.name])

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the whole experiment, which is that of its last stage."""
        return self.stages[-1].fingerprint


class Graph:
    """Builds a plan; an input is named by the stage that makes it."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}

    def add(self, kind: Kind[C], name: str, config: C, inputs: Mapping[str, str | None] | None = None) -> str:
        """Add a stage; inputs that are None are left out. Returns the stage's name."""
        given = {key: value for key, value in (inputs or {}).items() if value is not None}
        content = {file: content_digest(Path(file)) for file in config.files}
        known = {key: self.stages[value].fingerprint for key, value in given.items()}
        identity = fingerprint(identity_of(kind, config, list(content.values()), known))
        self.stages[name] = Stage(name, kind, config, content, given, identity)
        return name


def by_name(stages: Mapping[Role, str] | Mapping[Role, str | None]) -> dict[str, str | None]:
    """The stages of both roles as inputs named by role."""
    return {str(role): stage for role, stage in stages.items()}


def identity_of(
    kind: Kind[StageConfig], config: StageConfig, content: list[str | None], inputs: Mapping[str, str]
) -> dict[str, Any]:
    """What a fingerprint is computed from. Files count by content, in order; their paths do not matter."""
    decisive = config.model_dump(mode="json", exclude_defaults=True)
    identity = {"kind": kind.name, "revision": kind.revision, "config": decisive, "inputs": dict(inputs)}
    return identity | ({"content": content} if content else {})
