"""A stage that only judges: programs of known verdict, shared by any number of processes (`stage_at`)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from eval.pass_rates import _line
from tessy.artifacts import read_json, write_json
from tessy.config.cluster import AnyCluster, LocalCluster
from tessy.config.evaluate import CodeBenchmark
from tessy.config.execution import Execution, Tracking
from tessy.records import Response
from tessy.runtime.job import JOB, Job, Spec
from tessy.runtime.stage import Kind, StageConfig

PROBLEMS = 5
PROGRAMS = (
    ("print(int(input()) + {n})", "AC"),
    ("print(int(input()) - 1)", "WA"),
    ("print(1 // 0)", "RTE"),
)
"""Programs for the problem "add n", and the verdict of each."""
VERDICTS = "verdicts.json"


class JudgingStage(StageConfig):
    submissions: int


KIND = Kind("judging", JudgingStage, 1, f"{__name__}:KIND", run=f"{__name__}:run", join=f"{__name__}:run")


def expected(submissions: int) -> dict[str, str]:
    """The verdict of every sample."""
    return {f"s{i}": PROGRAMS[i // PROBLEMS % len(PROGRAMS)][1] for i in range(submissions)}


def run(job: Job[JudgingStage]) -> None:
    from eval.code import judge_responses

    tests = job.out.parent / "tests" if job.shared is None else job.shared.parent / "tests"
    benchmark = CodeBenchmark(
        name="sums", kind="livecodebench_v6", source=str(tests), instruction="ours", mode="fixed"
    )
    responses = []
    for i in range(job.config.submissions):
        number = i % PROBLEMS
        code = PROGRAMS[i // PROBLEMS % len(PROGRAMS)][0].format(n=number)
        responses.append(
            Response(f"s{i}", f"add{number}", "sums", "python", "", f"```python\n{code}\n```", 1, False, 0)
        )
    judged = judge_responses(job, benchmark, responses, tests)
    write_json(job.out / VERDICTS, {key: row["verdict"] for key, row in judged.items()})


def write_tests(folder: Path) -> None:
    """The problems "add n", as LiveCodeBench has its own."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (
        _line(f"add{n}", f"Add {n}.", [(f"{x}\n", f"{x + n}\n") for x in (1, 20)]) for n in range(PROBLEMS)
    )
    (folder / "test6.jsonl").write_text("".join(lines))


def stage_at(run_folder: Path, submissions: int, workers: int = 1, cluster: AnyCluster | None = None) -> Path:
    """The `.partial` folder of such a stage, ready for `tessy.runtime.job.run`, in the folder of a run."""
    write_tests(run_folder / "tests")
    folder = run_folder / "judging-0123456789ab.partial"
    folder.mkdir()
    spec = Spec(
        recipe="r",
        name="judging",
        kind=KIND.declared,
        fingerprint="0123456789ab",
        config={"submissions": submissions},
        inputs={},
        execution=Execution(
            workers=workers, cluster=cluster or LocalCluster(), tracking=Tracking(wandb="disabled")
        ),
    )
    write_json(folder / JOB, spec.plain)
    return folder


def verdicts(partial: Path) -> dict[str, str]:
    """What the finished stage found."""
    found: dict[str, str] = read_json(partial.with_suffix("") / VERDICTS)
    return found


def journaled(partial: Path) -> Counter[str]:
    """How often each sample is in the journal so far, by all processes; empty once it has been removed."""
    try:
        files = [file.read_bytes() for file in partial.glob("work/*.journal/done-*.jsonl")]
    except FileNotFoundError:
        return Counter()
    lines = [line for content in files for line in content.split(b"\n")[:-1]]
    return Counter(json.loads(line)["sample_id"] for line in lines)
