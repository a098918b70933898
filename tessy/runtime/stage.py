"""What a kind of stage declares of itself, so that planning, reuse, checks and running need to know no kind.

A kind has a typed configuration, a revision of its meaning, and the function that does its work, named by
module so that a plan loads none of the libraries that the work needs. `tessy.stages` has one module for each.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from tessy.config.base import Section
from tessy.config.execution import Execution

if TYPE_CHECKING:
    from tessy.runtime.job import Job


class StageConfig(Section):
    """What decides a stage's result, together with its inputs and the revision of its code."""

    @property
    def files(self) -> list[str]:
        """Local files and folders named here: their content decides, too. Hub ids may be among them."""
        return []

    def faults(self, execution: Execution) -> Iterable[str]:
        """What would stop the stage later and can be known before anything runs, with the remedy."""
        return ()


Need = Literal["models", "training", "lm-eval", "judging"]
"""What a machine has to have for some kinds of stages (`tessy.commands.doctor` knows what that is)."""
C = TypeVar("C", bound=StageConfig)
C_co = TypeVar("C_co", bound=StageConfig, covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[C_co]):
    """A kind of stage.

    `revision` is that of its meaning: raise it whenever the same inputs would give other results, and what
    was made before is made again. `run`, and `join` where several processes can share the work, are
    `module:function`; `declared` is where this object is found, likewise. `preload` names what a process that
    stages are forked from imports ahead, `needs` what has to be installed. `on_device` says that numbers
    depend on what computes them: such a stage is never begun on one kind of device and ended on another.
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


def found_at(place: str) -> Any:
    """What `module:name` names."""
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def function_at(place: str) -> Callable[[Job[Any]], None]:
    """The function of a stage at `module:function`."""
    function: Callable[[Job[Any]], None] = found_at(place)
    return function


def missing_files(field: str, *paths: Path) -> Iterator[str]:
    """Faults of files that are named in `field` and are not there."""
    for path in paths:
        if not path.is_file():
            yield f"{field}: '{path}': no such file or shipped name"
