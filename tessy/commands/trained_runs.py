"""Training runs in folders of artifacts: the set each was trained on, its student, and the scores of both.

Not covered: checkpoints after earlier epochs; scores in the report's sense, which are per sample here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tessy.artifacts import fingerprint, manifest_of, read_json, read_rows
from tessy.commands.diagnosing import OWN, diagnose
from tessy.commands.diagnosis_options import Options
from tessy.config.methods import TITLES
from tessy.diagnosis.prediction import Trained
from tessy.layout import SAMPLE_SCORES, SCORECARD, TRAJECTORIES, VERDICTS
from tessy.report.diagnosis import write_diagnosis

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: the artifacts of its `student` and its set, its seed, and scores by benchmark. `own`
    are traces that the student wrote alone, if the folder has some."""

    method: str
    setting: str
    seed: int
    student: Path
    trajectories: Path
    format: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    own: Path | None


def trained_runs(folders: Iterable[Path]) -> list[Run]:
    """The runs whose student and checkpoint were tested on the same benchmarks."""
    out: list[tuple[Run, dict[str, Any]]] = []
    for folder in folders:
        manifests = {path.name: found for path in sorted(folder.iterdir()) if (found := manifest_of(path))}
        tests = list(_tests(folder, manifests))
        for name, one in manifests.items():
            if one["kind"] != "sft" or one["config"]["train"].get("start"):
                continue
            student, traces = one["inputs"].get("model"), one["inputs"]["trajectories"]
            before, after = _scores(tests, student), _scores(tests, name)
            if student is None or not before.keys() & after.keys():
                continue
            method, seed = str(manifests[traces]["config"].get("method", traces)), one["config"]["seed"]
            run = Run(
                TITLES.get(method, method),
                "",
                seed,
                folder / student,
                folder / traces,
                one["config"]["model"]["format"],
                before,
                after,
                _own(folder, manifests, student),
            )
            out.append((run, {"runs": str(folder)} | _settings(one, manifests)))
    return _told_apart(out)


def _own(folder: Path, manifests: Mapping[str, Manifest], student: str) -> Path | None:
    """What a student wrote alone for a method of its own."""
    for name, one in manifests.items():
        if one["config"].get("method") == "student_only" and one["inputs"].get("student") == student:
            return folder / name
    return None


def _tests(folder: Path, manifests: Mapping[str, Manifest]) -> Iterator[tuple[str | None, dict[str, float]]]:
    """Every test of a finished model: the artifact that it tested, and its scores."""
    for name, one in manifests.items():
        if one["kind"] in ("evaluate", "lm_eval") and not one["config"]["model"].get("folder"):
            scores: dict[str, float] = {}
            for card in sorted((folder / name).glob(f"*/{SCORECARD}")):
                scores |= benchmark_scores(card.parent)
            yield one["inputs"].get("model"), scores


def benchmark_scores(folder: Path) -> dict[str, float]:
    """The mean score of one benchmark's responses, and that of its easy problems where it has such."""
    name = folder.name
    groups: dict[str, list[float]] = defaultdict(list)
    if (folder / SAMPLE_SCORES).is_file():
        groups[name] = [float(row["score"]) for row in read_rows(folder / SAMPLE_SCORES)]
    elif (folder / VERDICTS).is_file():
        for row in read_rows(folder / VERDICTS):
            groups[name].append(float(row["passed"]))
            if row["tags"].get("difficulty") == "easy":
                groups[f"{name}, easy"].append(float(row["passed"]))
    return {key: fmean(values) for key, values in groups.items() if values}


def _scores(tests: Sequence[tuple[str | None, dict[str, float]]], artifact: str | None) -> dict[str, float]:
    return {name: score for tested, scores in tests if tested == artifact for name, score in scores.items()}


def _settings(manifest: Manifest, manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    """What decided a run besides method and seed: how it was trained, and the world its student is from."""
    own = {f"train.{key}": value for key, value in manifest["config"]["train"].items()}
    student = manifests.get(manifest["inputs"]["model"], {})
    world = manifests.get(student.get("inputs", {}).get("world", ""), {})
    return own | {f"world.{key}": value for key, value in world.get("config", {}).get("world", {}).items()}


def _told_apart(found: Sequence[tuple[Run, dict[str, Any]]]) -> list[Run]:
    """The runs, named by the settings in which they differ."""
    values: dict[str, set[str]] = defaultdict(set)
    for _, settings in found:
        for key, value in settings.items():
            values[key].add(str(value))
    differing = [key for key, seen in values.items() if len(seen) > 1]
    return [
        replace(run, setting=", ".join(f"{key}={settings.get(key)}" for key in differing))
        for run, settings in found
    ]


def measured(run: Run, out: Path, options: Mapping[str, Any]) -> Trained:
    """The run with the gaps of its set, diagnosed now or before; a student's own traces are written once."""
    # Runs made on different machines have artifacts of the same names.
    place = fingerprint(str(run.student.parent.resolve()))[:6]
    folder = out / f"{run.trajectories.name}-for-{run.student.name}-{place}"
    own = out / f"own-{run.student.name}-{place}"
    if not (folder / "diagnosis.json").is_file():
        written = own / OWN / TRAJECTORIES
        given = str(run.own or written) if run.own or written.is_file() else None
        asked = Options(student=str(run.student), form=run.format, own=given, **options)
        shown = diagnose(str(run.trajectories), folder, asked)
        if not given:
            own.mkdir(parents=True, exist_ok=True)
            (folder / OWN).rename(own / OWN)
        write_diagnosis(shown, folder)
    gaps = read_json(folder / "diagnosis.json")["gaps"]
    return Trained(
        run.method,
        run.setting,
        [run.seed],
        {part: gap["difference"]["value"] for part, gap in gaps.items()},
        run.before,
        run.after,
    )
