"""Decides for every stage of a plan whether to reuse, resume or run it, and gives the reason.

Not covered: running stages (`tessy.runtime.run`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tessy.artifacts import manifest_of
from tessy.runtime.plan import Plan, Runnable, Stage


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a stage is reused, resumed or run, and why."""

    stage: Stage
    action: Literal["reuse", "resume", "run"]
    reason: str


def decide(planned: Plan[Runnable], folder: Path) -> list[Decision]:
    """What `tessy run` would do with every stage, given the content of the recipe's run folder."""
    decisions: list[Decision] = []
    earlier = _newest_manifests(folder)
    for stage in planned:
        if manifest_of(folder / stage.folder) is not None:
            decisions.append(Decision(stage, "reuse", "made before"))
        elif (folder / f"{stage.folder}.partial").exists():
            decisions.append(Decision(stage, "resume", "was interrupted"))
        else:
            decisions.append(Decision(stage, "run", _why(stage, earlier.get(stage.name), decisions)))
    return decisions


def _newest_manifests(folder: Path) -> dict[str, dict[str, Any]]:
    newest: dict[str, dict[str, Any]] = {}
    for path in folder.glob("*-*/manifest.json") if folder.exists() else ():
        manifest = manifest_of(path.parent)
        if manifest and manifest["created"] > newest.get(manifest["stage"], {"created": ""})["created"]:
            newest[manifest["stage"]] = manifest
    return newest


def _why(stage: Stage, earlier: Mapping[str, Any] | None, decisions: list[Decision]) -> str:
    if earlier is None:
        return "never made"
    old, new = dict(_flat(earlier["config"])), dict(_flat(stage.config.plain))
    changed = [
        f"{key} {_show(old, key)} -> {_show(new, key)}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]
    if earlier["revision"] != stage.kind.revision:
        changed.append("the code that makes it")
    before = earlier.get("content", {})
    changed += [f"content of {file}" for file, digest in stage.content.items() if before.get(file) != digest]
    made_anew = {decision.stage.name for decision in decisions if decision.action != "reuse"}
    upstream = [name for name in stage.inputs.values() if name in made_anew]
    if upstream:
        more = f" and {len(upstream) - 2} more" if len(upstream) > 2 else ""
        changed.append("input " + ", ".join(upstream[:2]) + more)
    return "; ".join(changed) or "another input than last time"


def _show(values: Mapping[str, Any], key: str) -> str:
    return str(values[key]) if key in values else "(absent)"


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
