"""Names of the files that the stage `world` writes: the miniature's problems and tests."""

from __future__ import annotations

from pathlib import Path

PROBLEMS = "problems.parquet"
WORLD = "world.json"
OOD = "ood.jsonl"
CONTESTS = {"ojbench": "contests/ojbench", "livecodebench_pro": "contests/livecodebench_pro"}
"""By kind of benchmark, a contest in its official layout."""
TRAIN_CONTESTS = {kind: f"train_{folder}" for kind, folder in CONTESTS.items()}
"""The training problems as contests, so that synthesised traces can be judged, too."""


def contest(world: Path, kind: str) -> Path:
    """The folder of the contest of a kind in the artifact `world`."""
    return world / CONTESTS[kind]
