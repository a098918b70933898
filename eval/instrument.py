"""The stage `instrument`: checks, with the real judge and models, that the miniature measures what it should.

Scores are meaningful only if gold programs are accepted and mutated ones rejected, if the teacher
knows what the student does not, and if the student can answer from a right thinking. Right traces per
method are reported, not judged: they are a result. Predictors have a stage of their own
(`tessy.stages.switches`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eval.benchmarks import JUDGE_FORMAT
from eval.code import response
from eval.judge import Submission, judge
from tessy.artifacts import read_parquet, write_json
from tessy.config.methods import METHODS, TITLES, cooperative
from tessy.generation.models import named
from tessy.generation.writing import Task, write_responses
from tessy.layout import RIGHT_TRACES, TRAJECTORIES
from tessy.miniature.dialects import STUDENT, answer
from tessy.miniature.files import CONTESTS, TRAIN_CONTESTS
from tessy.miniature.traces import gold, gold_traces, mutants
from tessy.miniature.world import World
from tessy.records import ROLES, Problem, Role, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.stages.instrument import InstrumentStage
from tessy.stages.switch_verdicts import SwitchVerdictsStage
from tessy.stages.switches import folder_of
from tessy.stages.world import load_world
from tessy.synthesis.cooperation import Turn
from tessy.synthesis.journal import Journal
from tessy.synthesis.rollouts import samples_of

RESULT = "instrument.json"
KIND_OF = {"python": "ojbench", "cpp": "livecodebench_pro"}
GOLD_PROBLEMS = 12
"""Problems per contest whose gold and mutated programs are judged."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the instrument's record; `passed` is None where a value is reported, not judged."""

    name: str
    value: float
    expectation: str
    passed: bool | None
    note: str = ""


def run(job: Job[InstrumentStage]) -> None:
    world = load_world(job.inputs["world"])
    problems = [problem for contest in world.contests.values() for problem in contest]
    teacher = own_responses(job, "teacher", problems)
    student = own_responses(job, "student", problems)
    checks = [
        *gold_and_mutants(job, world),
        *teacher_knows_more(job, problems, teacher, student),
        answers_from_gold(job, world, [p for p in problems if p.tags["knowledge"] == "new"]),
        *right_traces(job, world),
    ]
    write_json(job.out / RESULT, {"checks": [asdict(check) for check in checks]})
    job.tracker.log({check.name: float(check.value) for check in checks})


def gold_and_mutants(job: Job[InstrumentStage], world: World) -> Iterator[Check]:
    rng = random.Random(job.config.seed)
    for language, problems in world.contests.items():
        chosen = rng.sample(problems, min(GOLD_PROBLEMS, len(problems)))
        right = {f"gold {p.problem_id}": (p, gold(world, p, language)) for p in chosen}
        wrong = {f"mutant {p.problem_id}": (p, rng.choice(list(mutants(world, p, language)))) for p in chosen}
        verdicts = verdicts_of(job, KIND_OF[language], CONTESTS, {**right, **wrong})
        accepted = share(verdicts[key] == "AC" for key in right)
        refused = share(verdicts[key] == "WA" for key in wrong)
        yield Check(f"gold programs accepted, {language}", accepted, "all", accepted == 1)
        yield Check(f"mutated programs refused as wrong, {language}", refused, "all", refused == 1)


def verdicts_of(
    job: Job[StageConfig], kind: str, folders: dict[str, str], programs: dict[str, tuple[Problem, str]]
) -> dict[str, str]:
    """Verdict by key of programs, wrapped into an answer so that the benchmark's extraction runs, too."""
    submissions = [
        Submission(p.problem_id, p.language, response=answer(STUDENT, p.language, code), sample_id=key)
        for key, (p, code) in programs.items()
    ]
    return judged(job, kind, folders, submissions)


def judged(
    job: Job[StageConfig], kind: str, folders: dict[str, str], submissions: Sequence[Submission]
) -> dict[str, str]:
    folder = job.inputs["world"] / folders[kind]
    out: dict[str, str] = {}
    for judgement in judge(
        submissions,
        format=JUDGE_FORMAT[kind],
        problems=folder,
        workers=job.execution.judge_workers,
        mode="strict",
    ):
        out[judgement.sample_id] = judgement.verdict
        job.progress(len(out), len(submissions), "judged")
    return out


def right_answers(
    job: Job[StageConfig],
    folders: dict[str, str],
    problems: Sequence[Problem],
    trajectories: Sequence[Trajectory],
) -> dict[str, bool]:
    """Whether each finished trajectory's program is accepted; others are not right."""
    by_id = {problem.problem_id: problem for problem in problems}
    out = {t.sample_id: False for t in trajectories}
    for language, kind in KIND_OF.items():
        submissions = [
            Submission(
                p.problem_id, language, response=response(t, kind, language).response, sample_id=t.sample_id
            )
            for t in trajectories
            if (p := by_id[t.problem_id]).language == language and t.stop_reason == "finished"
        ]
        out |= {key: verdict == "AC" for key, verdict in judged(job, kind, folders, submissions).items()}
    return out


def own_responses(job: Job[InstrumentStage], role: Role, problems: Sequence[Problem]) -> list[Trajectory]:
    """A model's own responses to the contests' problems, one each."""
    return write_responses(job, samples_of(problems), _task(job, f"{role}-alone", f"{role}_only"))


def teacher_knows_more(
    job: Job[StageConfig],
    problems: Sequence[Problem],
    teacher: Sequence[Trajectory],
    student: Sequence[Trajectory],
) -> Iterator[Check]:
    right = {
        role: right_answers(job, CONTESTS, problems, trajectories)
        for role, trajectories in (("teacher", teacher), ("student", student))
    }
    knowledge = {problem.problem_id: problem.tags["knowledge"] for problem in problems}
    rates = {
        (role, group): share(
            ok for key, ok in right[role].items() if knowledge[key.partition("#")[0]] == group
        )
        for role in ROLES
        for group in ("known", "new")
    }
    yield Check(
        "teacher right, new concepts", rates["teacher", "new"], "at least 0.9", rates["teacher", "new"] >= 0.9
    )
    yield Check(
        "student right, new concepts", rates["student", "new"], "at most 0.1", rates["student", "new"] <= 0.1
    )
    yield Check(
        "student right, known concepts",
        rates["student", "known"],
        "at least 0.9",
        rates["student", "known"] >= 0.9,
    )


def answers_from_gold(job: Job[InstrumentStage], world: World, problems: Sequence[Problem]) -> Check:
    """The student's answers when the thinking, of new concepts, is given and right."""
    traces = {t.problem_id: t for t in gold_traces(world, problems, STUDENT, job.config.seed)}
    samples = samples_of(problems)
    with Journal(job.work / "from-gold.journal") as journal:
        for sample in samples:
            thinking = traces[sample.problem.problem_id].thinking
            journal.append(sample.sample_id, Turn("thinking", "teacher", thinking, (), (), 0, 0, "end"))
    trajectories = write_responses(job, samples, _task(job, "from-gold", "teacher_think"))
    rate = share(right_answers(job, CONTESTS, problems, trajectories).values())
    return Check(
        "student's answer right, given a right thinking of new concepts", rate, "at least 0.95", rate >= 0.95
    )


def right_traces(job: Job[InstrumentStage], world: World) -> Iterator[Check]:
    for method in job.config.methods:
        trajectories = list(read_parquet(job.inputs[f"synthesize-{method}"] / TRAJECTORIES, Trajectory))
        right = share(right_answers(job, TRAIN_CONTESTS, world.train, trajectories).values())
        yield Check(f"right training traces, {TITLES[method]}", right, "reported", None)
        if cooperative(method):
            both = share(
                {s.author for s in t.spans if s.kind in ("style", "capability")} == set(ROLES)
                for t in trajectories
            )
            answers = METHODS[method].answer
            ends = share(t.spans[-1].author == answers and t.spans[-1].kind == "answer" for t in trajectories)
            yield Check(f"traces by both authors, {TITLES[method]}", both, "at least 0.95", both >= 0.95)
            yield Check(
                f"traces that end in the {answers}'s answer, {TITLES[method]}",
                ends,
                "at least 0.95",
                ends >= 0.95,
            )


def judge_switches(job: Job[SwitchVerdictsStage]) -> None:
    """The stage `switch_verdicts`: of each compared switch's traces, the share whose program is right."""
    world, shares = load_world(job.inputs["world"]), {}
    for switch in job.config.switches:
        folder = job.inputs["switches"] / folder_of(switch)
        trajectories = list(read_parquet(folder / TRAJECTORIES, Trajectory))
        right = right_answers(job, TRAIN_CONTESTS, world.train, trajectories)
        shares[switch.title] = share(right.values())
    write_json(job.out / RIGHT_TRACES, shares)
    job.tracker.log({f"{name}/right_traces": value for name, value in shares.items()})


def _task(job: Job[InstrumentStage], name: str, method: str) -> Task:
    config = job.config
    return Task(name, METHODS[method], named(config.models), config.evaluate, config.seed)


def share(outcomes: Any) -> float:
    """Fraction of true outcomes; 0 where there are none."""
    listed = [bool(outcome) for outcome in outcomes]
    return sum(listed) / len(listed) if listed else 0.0
