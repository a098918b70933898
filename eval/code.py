"""The stage `evaluate`: one checkpoint's responses to the code benchmarks, judged and scored.

Every benchmark leaves two datasets, `responses` and `verdicts`, and a `scorecard.json` with the protocol
behind them; the report computes scores with intervals over several seeds. A sample that could not be
judged for reasons of ours (IE) is no wrong answer: it is left out and counted, and too many of them stop
the stage.
"""

from __future__ import annotations

import itertools
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.benchmarks import JUDGE_FORMAT, Contest, examined, load, summary
from eval.judge import Judgement, Submission, judge
from eval.judge.conditions import conditions, in_common, require_alike
from eval.judge.formats import FORMATS
from eval.sandbox import require
from eval.scores import failed, scorecard, scored
from tessy.artifacts import write_json, write_parquet
from tessy.config.base import MINIATURE, Generation
from tessy.config.evaluate import CodeBenchmark
from tessy.config.methods import METHODS
from tessy.errors import UserError
from tessy.generation.models import NamedModel
from tessy.generation.writing import Task, journal_of, wait_for_workers, write_responses
from tessy.layout import SCORECARD, VERDICTS
from tessy.miniature.files import contest as contest_of
from tessy.records import Problem, Response, Role, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.stages.evaluate import EvaluateStage
from tessy.stages.testing import Tested
from tessy.synthesis.journal import Journal
from tessy.synthesis.rollouts import samples_of
from tessy.synthesis.scheduler import POLL_S

RESPONSES = "responses/responses.parquet"
CONDITIONS = "conditions-{}.json"
"""File of the stage's work folder, by format: what all processes that judge have in common."""
UNJUDGED = {"verdict": "IE"}
MOST_UNJUDGED = 0.01
"""Share of samples that may stay unjudged before a score is not to be believed."""


def run(job: Job[EvaluateStage]) -> None:
    tested = job.config.evaluate.benchmarks
    # All benchmarks are loaded before the first model, so that a failed download does not show after hours.
    contests = {name: _contest(job, one.benchmark) for name, one in tested.items()}
    for name, one in tested.items():
        _test(job, one, contests[name])


def _contest(job: Job[EvaluateStage], benchmark: CodeBenchmark) -> Contest:
    contest = examined(benchmark, load(benchmark, miniature_contest(job, benchmark)))
    if contest.unusable:
        job.say(f"{benchmark.name}: {summary(contest)}; {SCORECARD} names all")
    return contest


def _test(job: Job[EvaluateStage], tested: Tested[CodeBenchmark], contest: Contest) -> None:
    """Write, judge and score the responses to one benchmark."""
    benchmark, name, limits = tested.benchmark, tested.benchmark.name, job.config.evaluate
    problems = [p for p in contest.problems if contest.judgeable(p.problem_id)]
    asked = Asked(name, limits, job.config.seed, tested.samples, NamedModel(job.config.model, "model"))
    responses = generate(job, asked, problems)
    write_parquet(job.out / name / RESPONSES, responses, f"{name} responses", "What the model answered.")
    judged = judge_responses(job, benchmark, responses, contest.tests)
    rows = [
        *scored(benchmark, problems, responses, judged),
        *failed(benchmark, contest, tested.samples),
    ]
    found = in_common(_conditions_file(job, benchmark), conditions(JUDGE_FORMAT[benchmark.kind]))
    how = {"judged_with": found, **_judged_by(benchmark), **asked.protocol}
    card = scorecard(benchmark, contest, how, rows, len(responses) - _judgeable(rows))
    write_json(job.out / name / SCORECARD, card)
    about = f"One row per response to {name}.\n\n```json\n{json.dumps(_provenance(card), indent=2)}\n```"
    write_parquet(job.out / name / VERDICTS, rows, f"{name} verdicts", about)
    job.tracker.log({f"{name}/{key}": card["scores"][key] for key in ("pass@1", "truncated")})
    job.tracker.table(
        f"{name}/verdicts", [{k: row[k] for k in ("problem_id", "verdict", "passed")} for row in rows]
    )


def _judged_by(benchmark: CodeBenchmark) -> dict[str, str]:
    """Whose rules, where there are several."""
    commits = FORMATS[JUDGE_FORMAT[benchmark.kind]].commits
    return {"judge_commit": benchmark.judge_commit or commits[0]} if commits else {}


def miniature_contest(job: Job[StageConfig], benchmark: CodeBenchmark) -> Path | None:
    return contest_of(job.inputs["world"], benchmark.kind) if benchmark.source == MINIATURE else None


@dataclass(frozen=True, slots=True)
class Asked:
    """How a model under test is asked: `samples` responses to each problem of the benchmark `name`."""

    name: str
    limits: Generation
    seed: int
    samples: int
    model: NamedModel

    @property
    def protocol(self) -> dict[str, Any]:
        """For the scorecard."""
        limits = self.limits
        return {"samples": self.samples, "max_tokens": limits.max_tokens, "sampler": limits.sampler.plain}


def generate(job: Job[StageConfig], asked: Asked, problems: Sequence[Problem]) -> list[Response]:
    """The model's responses: thinking and answer."""
    models: dict[Role, NamedModel] = {"student": asked.model}
    task = Task(asked.name, METHODS["student_only"], models, asked.limits, asked.seed)
    trajectories = write_responses(job, samples_of(problems, asked.samples), task)
    languages = {problem.problem_id: problem.language for problem in problems}
    return [response(t, asked.name, languages[t.problem_id]) for t in trajectories]


def response(trajectory: Trajectory, benchmark: str, language: str) -> Response:
    by_kind = {"thinking": "", "answer": ""}
    for span in trajectory.spans:
        if span.kind != "markup":
            by_kind["answer" if span.kind == "answer" else "thinking"] += span.text
    return Response(
        sample_id=trajectory.sample_id,
        problem_id=trajectory.problem_id,
        benchmark=benchmark,
        language=language,
        thinking=by_kind["thinking"],
        response=by_kind["answer"],
        tokens=trajectory.tokens,
        truncated=trajectory.stop_reason == "length",
        seed=trajectory.seed,
    )


def judge_responses(
    job: Job[StageConfig], benchmark: CodeBenchmark, responses: Sequence[Response], tests: Path
) -> dict[str, dict[str, Any]]:
    """Judgements by sample id, by this process and any that joined. Each is journaled as it comes, so a
    killed stage judges none twice; what could not be judged for reasons of ours is tried again by the next
    run."""
    name = benchmark.name
    submissions = {
        r.sample_id: Submission(
            problem_id=r.problem_id, language=r.language, response=r.response, sample_id=r.sample_id
        )
        for r in responses
    }
    judged: dict[str, dict[str, Any]] = {}
    for attempt in itertools.count():
        left = {key: one for key, one in submissions.items() if judged.get(key, UNJUDGED)["verdict"] == "IE"}
        with journal_of(job, f"{name}.verdicts-{attempt}") as journal:
            by_an_earlier_run = journal.is_complete(left)
            if not by_an_earlier_run:
                _judge_shared(job, benchmark, left, tests, journal)
            judged |= zip(left, journal.rows(left), strict=True)
        if not by_an_earlier_run or not _unjudged(judged):
            break
    if len(unjudged := _unjudged(judged)) > MOST_UNJUDGED * len(responses):
        raise UserError(
            f"{name}: {len(unjudged)} of {len(responses)} samples could not be judged (IE), first "
            f"{unjudged[0]['sample_id']}: "
            f"{unjudged[0]['detail']}; nothing is scored; run `tessy doctor`, then the same command again"
        )
    return judged


def _unjudged(judged: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in judged.values() if row["verdict"] == "IE"]


def _judge_shared(
    job: Job[StageConfig],
    benchmark: CodeBenchmark,
    submissions: Mapping[str, Submission],
    tests: Path,
    journal: Journal,
) -> None:
    """Judge what no other process has claimed, until all of `submissions` are judged by somebody."""
    if not job.works:
        wait_for_workers(job, journal, list(submissions), "judged")
        return
    _require_like_the_first(job, benchmark)
    began, done, ids = time.monotonic(), 0, list(submissions)
    while not journal.is_complete(ids):
        if (first := journal.claim(ids)) is None:
            time.sleep(POLL_S)  # others have what is left: look whether they live
            continue
        for judgement in judge(
            claimed(first, journal, submissions),
            format=JUDGE_FORMAT[benchmark.kind],
            problems=tests,
            workers=job.execution.judge_workers,
            mode="both" if benchmark.mode == "strict" else "fixed",
            commit=benchmark.judge_commit,
            among=list(submissions.values()),
        ):
            journal.finish(judgement.sample_id, _row(judgement))
            done += 1
            rate = done / (time.monotonic() - began)
            journal.show({"stage": job.name, "work": f"{benchmark.name} verdicts", "rate": rate,
                          "unit": "programs/s", "done": done})  # fmt: skip
            job.progress(journal.finished(), len(submissions), "judged")


def claimed(first: str, journal: Journal, submissions: Mapping[str, Submission]) -> Iterator[Submission]:
    """Submissions as this process claims them, `first` already, until others have what is left."""
    ids = list(submissions)
    sample_id: str | None = first
    while sample_id is not None:
        yield submissions[sample_id]
        sample_id = journal.claim(ids)


def _require_like_the_first(job: Job[StageConfig], benchmark: CodeBenchmark) -> None:
    """Raise `UserError` where programs cannot be isolated here, or conditions are others than where the first
    process judges, or judged before an interruption."""
    anew = f", or delete {job.work} to begin the stage anew"
    try:
        require()
        require_alike(_conditions_file(job, benchmark), conditions(JUDGE_FORMAT[benchmark.kind]), anew)
    except ValueError as error:  # a UserError is one, too
        raise UserError(f"{platform.node()}: {error}") from None


def _conditions_file(job: Job[StageConfig], benchmark: CodeBenchmark) -> Path:
    return job.work / CONDITIONS.format(JUDGE_FORMAT[benchmark.kind])


def _judgeable(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(row["judgeable"] for row in rows)


def _provenance(card: Mapping[str, Any]) -> dict[str, Any]:
    return {key: card[key] for key in ("protocol", "problems")}


def _row(judgement: Judgement) -> dict[str, Any]:
    return {
        "sample_id": judgement.sample_id,
        "problem_id": judgement.problem_id,
        "verdict": judgement.verdict,
        "official": judgement.official,
        "detail": judgement.detail,
        "fixed_verdict": judgement.fixed.verdict if judgement.fixed else None,
        "tests": [asdict(test) for test in judgement.tests],
    }
