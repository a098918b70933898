"""The interface of a kind of stage: planning, reuse, checks and running are generic over it.

A kind has a typed configuration, a revision of its meaning, and the function that does its work, named by
module so that planning does not import the libraries that the work needs. `tessy.stages` has one per kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from tessy.cluster import Resources
from tessy.config.base import Section
from tessy.config.execution import Execution

if TYPE_CHECKING:
    from tessy.runtime.job import Job


class StageConfig(Section):
    """A stage's configuration. With its inputs and the revision of its code it decides the result."""

    @property
    def files(self) -> list[str]:
        """Local files and folders named here, whose content also decides the result. May contain hub ids."""
        return []

    def faults(self, execution: Execution) -> Iterable[str]:
        """Faults, with remedies, that would stop the stage later and can be found before anything runs."""
        return ()

    def resources(self, execution: Execution) -> Resources:
        """What one worker needs, where several share the stage."""
        return Resources(cores=execution.threads)

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterable[str]:
        """Titles of the servers that it will ask for (`tessy.engines.shared`), with the folders of its inputs
        by name: those that run already are kept for it. One that is not named here is started anew at
        worst."""
        return ()


Need = Literal["models", "training", "lm-eval", "judging"]
"""What a machine has to have for some kinds of stages (`tessy.commands.doctor` knows what that is)."""
C = TypeVar("C", bound=StageConfig)
C_co = TypeVar("C_co", bound=StageConfig, covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[C_co]):
    """A kind of stage.

    Raise `revision` whenever the same inputs would give other results; earlier artifacts are then made again.
    `run`, and `join` where several processes can share the work, are `module:function`; so is `declared`,
    where this object is found. `join` may be the same function: what it puts into `job.out` is then thrown
    away, and to `job.work` it must write only through journals. `preload` names the modules that the fork
    server imports ahead, `needs` what has to be installed. `on_device` says that numbers depend on the
    device: such a stage is never started on one kind of device and finished on another. `weight` is how many
    times as long as most it usually takes; nothing but the order of stages depends on it.
    """

    name: str
    config: type[C_co]
    revision: int
    declared: str
    run: str
    join: str = ""
    preload: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    on_device: bool = False
    weight: int = 1


def found_at(place: str) -> Any:
    """The object that `module:name` names."""
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def function_at(place: str) -> Callable[[Job[Any]], None]:
    """The stage function at `module:function`."""
    function: Callable[[Job[Any]], None] = found_at(place)
    return function


def missing_files(field: str, *paths: Path) -> Iterator[str]:
    """Faults for files that are named in `field` and do not exist."""
    for path in paths:
        if not path.is_file():
            yield f"{field}: '{path}': no such file or shipped name"
