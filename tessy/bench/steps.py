"""Where an engine's time goes, step by step: what its process recorded (`tessy.engines.enginecore`), summed
up.

A step in which no request begins reads one token of each; one in which some do reads their prompts' ends as
well. Whether it takes longer as a whole or by as much for each of them says what a remedy has to change. Not
covered: what a device does within a step.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tessy.engines.enginecore import Step

BEGUN = (0, 1, 2, 4, 8)
"""Steps are told apart by how many requests begin: none, one, 2 to 3, 4 to 7, more."""
LEAST = 20
"""Steps below which no line is fitted."""


def read_steps(folder: Path) -> dict[str, list[Step]]:
    """All steps recorded in `folder`, by the model's name, as they came."""
    found: dict[str, list[Step]] = defaultdict(list)
    for file in sorted(folder.glob("*.jsonl")):
        lines = file.read_text().splitlines()
        found[file.stem.rpartition("-")[0]] += (Step(*json.loads(line)) for line in lines)
    return dict(found)


def between(steps: Mapping[str, Sequence[Step]], began: float, ended: float) -> dict[str, Any]:
    """Figures of each model's steps in that time (seconds since 1970)."""
    within = {name: [step for step in many if began <= step.at <= ended] for name, many in steps.items()}
    return {name: summary(many) for name, many in within.items() if many}


def summary(steps: Sequence[Step]) -> dict[str, Any]:
    """Medians by how many requests begin, and what each adds by the line through all steps."""
    kinds: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        kinds[max(least for least in BEGUN if step.begun >= least)].append(step)
    return {
        "steps": len(steps),
        "ms": round(statistics.fmean(step.ms for step in steps), 2),
        "begun_per_step": round(statistics.fmean(step.begun for step in steps), 2),
        "by_begun": {f"{least}": _medians(kinds[least]) for least in sorted(kinds)},
        **_line(steps),
    }


def _medians(steps: Sequence[Step]) -> dict[str, Any]:
    median = {
        name: round(statistics.median(getattr(step, name) for step in steps), 2)
        for name in ("ms", "schedule_ms", "update_ms", "requests", "tokens")
    }
    graphs = Counter(step.graph for step in steps if step.graph)
    return {"steps": len(steps), **median, **({"graphs": dict(graphs)} if graphs else {})}


def _line(steps: Sequence[Step]) -> dict[str, float]:
    """Milliseconds of a step in which none begins, and for each that does, by least squares over the steps
    but the slowest twentieth: those that waited for something else."""
    kept = _without_slowest(steps)
    begun = [step.begun for step in kept]
    if len(kept) < LEAST or len(set(begun)) == 1:
        return {}
    slope, rest = np.polyfit(begun, [step.ms for step in kept], 1)
    return {"ms_without": round(float(rest), 2), "ms_per_begun": round(float(slope), 3)}


def _without_slowest(steps: Iterable[Step]) -> list[Step]:
    ordered = sorted(steps, key=lambda step: step.ms)
    return ordered[: len(ordered) * 19 // 20]
