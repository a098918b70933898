"""The work of `tessy diagnose`: reads the set, has the student read and write, and puts the numbers together.

Not covered: the page (`tessy.report.diagnosis`).
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from tessy.artifacts import fingerprint, write_parquet
from tessy.commands.diagnosis_options import Options, model_of
from tessy.commands.sets import Sampled, sampled
from tessy.config.base import Generation, Sampler
from tessy.config.execution import Execution
from tessy.config.shipped import lexicon_file
from tessy.diagnosis.phrases import surprising
from tessy.diagnosis.report import Diagnosis, Shown, TokenShown
from tessy.diagnosis.responses import Response, from_trajectory
from tessy.diagnosis.similarity import Similarity, similarity
from tessy.diagnosis.summary import gaps, health
from tessy.diagnosis.tokens import KINDS, STYLE, Tokens
from tessy.errors import UserError
from tessy.generation.diagnosing import Reading, Student, StyleOf, by_lexicon, by_predictor
from tessy.layout import TRAJECTORIES
from tessy.records import Problem, Trajectory
from tessy.runtime.display import Display
from tessy.runtime.job import Job, Report
from tessy.runtime.stage import StageConfig
from tessy.tracking import NoTracker

PHRASES = 30
SHOWN_TOKENS = 600
NAME, OWN = "diagnose", "own"


def diagnose(dataset: str, out: Path, options: Options) -> Shown:
    """Diagnose a set; `out` gets the student's own traces, and a journal for as long as it takes. Progress is
    on standard error."""
    with Display(Console(stderr=True)) as display:
        display.started(NAME)
        found = _diagnose(dataset, out, options, partial(display.heard, NAME))
        display.finished(NAME)
        return found


def _diagnose(dataset: str, out: Path, options: Options, report: Report) -> Shown:
    taken = sampled(dataset, options.samples, options.seed)
    style_of, by = _style(options)
    work = out / ".work" / _identity(dataset, taken, options)
    work.mkdir(parents=True, exist_ok=True)
    student = Student(_job(work, options, report), model_of(options))
    own = _own(student, taken, out, options)
    read = student.read("set", taken.responses, style_of)
    mine = student.read("own", own, style_of)
    _require_read(dataset, read)
    _require_read("the student's own traces", mine)
    measured = gaps(read.tokens, mine.tokens)
    usual = measured["style"].own.nll.value if "style" in measured else 0.0
    contents = Diagnosis(
        dataset=dataset,
        student=options.student,
        format=options.form,
        style_by=by,
        rows=taken.rows,
        left_out={**taken.left_out, **read.unread},
        gaps=measured,
        set=health(taken.responses, read.tokens, list(read.lengths.values()), student.context),
        own=health(own, mine.tokens, list(mine.lengths.values()), student.context),
        phrases=surprising(read.tokens, mine.tokens, usual, PHRASES),
        similarity={
            "responses": _similarity(taken.responses, own),
            "style": _style_similarity(taken.responses, own, style_of),
        },
        context=student.context,
        seed=options.seed,
    )
    shutil.rmtree(out / ".work")
    return Shown(contents, _typical(read.tokens), _command(dataset, options))


def _style(options: Options) -> tuple[StyleOf, str]:
    if options.predictor is None:
        return by_lexicon(lexicon_file(options.lexicon)), f"lexicon {options.lexicon}"
    folder = options.predictor / "model" if (options.predictor / "model").is_dir() else options.predictor
    return by_predictor(str(folder)), f"predictor {options.predictor.name}"


def _identity(dataset: str, taken: Sampled, options: Options) -> str:
    """What a journal belongs to: the sample, the student, and all that decides its traces."""
    settings = {
        key: str(value) for key, value in asdict(options).items() if key not in ("lexicon", "predictor")
    }
    sample = [[r.sample_id, r.prompt, r.thinking, r.answer] for r in taken.responses]
    return fingerprint({"dataset": dataset, "sample": sample, "settings": settings})


def _job(work: Path, options: Options, report: Report) -> Job[StageConfig]:
    execution = Execution.model_validate({"engines": {"student": {"kind": options.engine}}})
    return Job(NAME, NAME, StageConfig(), {}, work, execution, NoTracker(), report)


def _own(student: Student, taken: Sampled, out: Path, options: Options) -> list[Response]:
    """The student's own traces: those given, or written now, to the first of the set's prompts."""
    if options.own is not None:
        return sampled(options.own, options.samples, options.seed).responses
    prompts = dict.fromkeys((r.problem_id, r.prompt) for r in taken.responses)
    problems = [Problem(name, prompt) for name, prompt in list(prompts)[: options.own_samples]]
    limits = Generation(max_tokens=options.max_tokens, sampler=Sampler(temperature=options.temperature))
    traces: list[Trajectory] = student.write(problems, limits, options.seed)
    about = f"Own traces of {options.student}, written for a diagnosis of the prompts of a set."
    write_parquet(out / OWN / TRAJECTORIES, traces, OWN, about)
    return [from_trajectory(trace) for trace in traces]


def _require_read(what: str, reading: Reading) -> None:
    if not reading.tokens:
        why = "; ".join(f"{times} {reason}" for reason, times in reading.unread.items())
        raise UserError(
            f"{what}: none of its responses can be read by the student: {why or 'there are none'}"
        )


def _similarity(found: Sequence[Response], own: Sequence[Response]) -> Similarity | None:
    return similarity(_texts(found, lambda r: r.text), _texts(own, lambda r: r.text))


def _style_similarity(
    found: Sequence[Response], own: Sequence[Response], style_of: StyleOf
) -> Similarity | None:
    def style(response: Response) -> str:
        spans = style_of(response.thinking)
        return "\n".join(response.thinking[start:end] for start, end in spans)

    return similarity(_texts(found, style), _texts(own, style))


def _texts(responses: Sequence[Response], text: Callable[[Response], str]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = defaultdict(list)
    for response in responses:
        out[response.problem_id].append(text(response))
    return out


def _typical(tokens: Sequence[Tokens]) -> list[TokenShown]:
    """The response whose style has the median nll, token by token."""
    styled = [one for one in tokens if (one.kinds == STYLE).any()] or list(tokens)
    ordered = sorted(styled, key=lambda one: float(one.nll.mean()))
    one = ordered[len(ordered) // 2]
    rows = zip(one.pieces, one.nll.tolist(), one.kinds.tolist(), strict=True)
    return [TokenShown(text, nll, KINDS[kind]) for text, nll, kind in list(rows)[:SHOWN_TOKENS]]


def _command(dataset: str, options: Options) -> str:
    said = [f"--student {options.student}", f"--format {options.form}"]
    said.append(f"--predictor {options.predictor}" if options.predictor else f"--lexicon {options.lexicon}")
    said += [f"--own {options.own}"] if options.own else []
    said += [f"--samples {options.samples}", f"--seed {options.seed}"]
    return f"tessy diagnose {dataset} " + " ".join(said)
