"""Rollouts: the state of a response being written, in every model's own ids, and its next turn.

A rollout computes a turn from what a model has written and its predictor's labels, by the rules of
`cooperation`. It does no I/O; `scheduler` and `lockstep` call engines and predictors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from tessy.boundary import Predictor, TokenRule
from tessy.chat import Renderer, conversation
from tessy.config.methods import Method
from tessy.config.synthesis import Compatibility
from tessy.engines import Engine, FinishReason, Request
from tessy.records import Problem, Role, Span, Trajectory
from tessy.synthesis.cooperation import (
    State,
    Turn,
    TurnEnd,
    cut,
    first_foreign,
    spans,
    whole_words,
)
from tessy.synthesis.outcomes import stop_reason
from tessy.synthesis.repetition import RepetitionGuard
from tessy.synthesis.views import View


@dataclass(frozen=True, slots=True)
class Author:
    """A model in a run: its name, its engine, and what ends its text in cooperation: a predictor that reads
    the text, or a rule about its tokens.

    `chunk_tokens` is k of Algorithm 1: how many tokens it writes before its predictor is asked.
    """

    model: str
    engine: Engine
    predictor: Predictor | None = None
    chunk_tokens: int = 20
    rule: TokenRule | None = None


PAPER = Compatibility()


@dataclass(frozen=True, slots=True)
class Assignment:
    """What all samples of a run share.

    `authors` are the models the method needs; `renderers` are theirs and that of `home`, the role in whose
    ids a trajectory is kept (the student, who is trained on it). `max_tokens` caps a response in the
    author's tokens and in home's. `answer_schema` constrains answers (`Request.schema`). With `must_finish`,
    an engine failure is not recorded as an outcome of its sample: it ends the run, which can be resumed.
    """

    name: str
    method: Method
    authors: Mapping[Role, Author]
    renderers: Mapping[Role, Renderer]
    home: Role
    max_tokens: int
    seed: int
    sampler: Mapping[str, float]
    system: str = ""
    compat: Compatibility = PAPER
    answer_schema: str | None = None
    must_finish: bool = False

    @property
    def cooperative(self) -> bool:
        return self.method.cooperative


@dataclass(frozen=True, slots=True)
class Sample:
    """One response to write. `sample_id` distinguishes several samples of one problem."""

    sample_id: str
    problem: Problem


def samples_of(problems: Iterable[Problem], repeats: int = 1) -> list[Sample]:
    """`repeats` samples per problem; a problem that occurs twice gets distinct ids, too."""
    seen: dict[str, int] = {}
    out = []
    for problem in problems:
        for _ in range(repeats):
            number = seen[problem.problem_id] = seen.get(problem.problem_id, -1) + 1
            out.append(Sample(f"{problem.problem_id}#{number}", problem))
    return out


class Rollout:
    """An unfinished sample, resumed from the `turns` it already has."""

    def __init__(self, sample: Sample, assignment: Assignment, turns: Iterable[Turn] = ()) -> None:
        method = assignment.method
        self.sample, self.turns = sample, list[Turn]()
        self.state = State.at_start(method)
        self.thinking = ""
        self.answer = ""
        self.held: tuple[int, ...] = ()
        self._held_foreign: tuple[bool, ...] = ()
        self._since_taking_over = 0
        self._assignment = assignment
        self._views = {
            role: View(renderer, sample.problem.prompt, assignment.system, thinks=method.thinks)
            for role, renderer in assignment.renderers.items()
        }
        self._guard = RepetitionGuard()
        self._unrecorded = 0
        for turn in turns:
            self.accept(turn)
        if self.rule:
            # The rule's labels of held ids are not recorded: these ids are written again.
            self.held = ()

    @property
    def author(self) -> Author:
        return self._assignment.authors[self.state.author]

    @property
    def watched(self) -> bool:
        """Whether a boundary predictor reads the part being written."""
        return self.state.part == "thinking" and self._assignment.cooperative

    @property
    def rule(self) -> TokenRule | None:
        """The token rule for the part being written, if there is one."""
        return self.author.rule if self.watched else None

    @property
    def schema(self) -> str | None:
        """The JSON schema of the part being written, if there is one."""
        return self._assignment.answer_schema if self.state.part == "answer" else None

    @property
    def ends_in_text(self) -> bool:
        """Whether the part being written ends with text alone, which no engine looks for."""
        own = self._views[self.state.author].renderer.end_spellings
        return self.state.part == "thinking" and bool(own)

    @property
    def _end_spellings(self) -> tuple[str, ...]:
        """Text that ends the part being written. It has no white space in it, so that it lies in one word,
        and a word is judged when it is whole."""
        if self.state.part != "thinking":
            return ()
        own = self._views[self.state.author].renderer.end_spellings
        return (*self._assignment.compat.end_spellings, *own)

    @property
    def repetitive(self) -> bool:
        """Whether the response repeats itself and has not been stopped yet."""
        return self._guard.repetitive and self.state.part is not None

    @property
    def live_tokens(self) -> int:
        """The approximate number of tokens of this sample in the models' KV caches."""
        return max(len(view.ids) for view in self._views.values())

    def request(self, max_tokens: int, check_interval_tokens: int) -> Request:
        """The request that has the author continue by at most `max_tokens`."""
        part, view = self.state.part, self._views[self.state.author]
        assert part is not None
        form = view.renderer
        return Request(
            self.sample.sample_id,
            [*view.read(), *self.held],
            max(0, min(max_tokens, self.budget())),
            form.thinking_end_ids if part == "thinking" else form.answer_end_ids,
            f"{self._assignment.seed}/{self.state.author}/{self.sample.sample_id}",
            check_interval_tokens,
            self.rule.logprobs if self.rule else 0,
            self.schema,
        )

    def budget(self) -> int:
        """Tokens the author may still write, counted in its own ids and in home's."""
        written = max(self._views[role].written for role in {self.state.author, self._assignment.home})
        return self._assignment.max_tokens - written - len(self.held)

    def proposal(
        self,
        new: Sequence[int],
        finish: FinishReason | None,
        *,
        spent: bool,
        logprobs: Sequence[Sequence[float]] = (),
    ) -> Proposal | None:
        """What the author has written since the last turn: the ids held back, then the `new` ones.

        `spent` says that the token budget is used up; `logprobs` are those of the new ids if they were
        requested. None while nothing in it can be judged yet.
        """
        ended = finish == "stop"
        renderer, part = self._views[self.state.author].renderer, self.state.part
        stray = ended and part == "answer" and renderer.end_reason(part, new[-1]) != "end"
        ids = [*self.held, *new[: -1 if ended else None]]
        texts = renderer.pieces(ids)
        chunk = "".join(texts)
        for spelling in self._end_spellings:
            if spelling in chunk:
                chunk, ended = chunk[: chunk.index(spelling)], True
        as_it_is = ended or spent or not self._assignment.compat.first_token
        settled = len(chunk) if as_it_is else whole_words(chunk, len(chunk))
        self._unrecorded += len(new)
        foreign = (*self._held_foreign, *self._foreign(new, logprobs))
        if not settled and not ended and not spent:
            self.held, self._held_foreign = tuple(ids), foreign
            return None
        return Proposal(ids, texts, chunk, settled, ended, spent, stray, foreign)

    def _foreign(self, new: Sequence[int], logprobs: Sequence[Sequence[float]]) -> Iterator[bool]:
        """The labels of the `new` ids by the author's token rule, if it has one."""
        if self.rule:
            first = self._since_taking_over + len(self.held)
            for number, (_, given) in enumerate(zip_longest(new, logprobs, fillvalue=()), first):
                yield self.rule.foreign(number, given)

    def turn(self, proposal: Proposal, labels: Sequence[tuple[int, bool]]) -> Turn:
        """The next turn, given the predictor's labels of the proposal's settled text."""
        compat, stalled = self._assignment.compat, self.state.stalled
        chunk, ended = proposal.chunk, proposal.ended
        labels = labels or proposal.rule_labels()
        own = list(labels if compat.first_token else labels[1:])
        foreign_at = first_foreign(own, chunk, stalled=stalled)
        decision = cut(chunk, foreign_at, ended=ended, stalled=stalled, hand_over=compat.hand_over)
        spent = proposal.spent and not ended and not decision.hand_over
        as_it_is = spent or not (compat.first_token or decision.hand_over)
        keep = len(chunk) if as_it_is else decision.keep
        ended_by: TurnEnd = "length" if spent else _ENDED_BY[decision.hand_over, decision.end]
        ended_by = "stray" if proposal.stray else ended_by
        view = self._views[self.state.author]
        ids, used = _ids_within(view.renderer, proposal, keep, whole_ids=ended_by == "chunk")
        boundary = ended_by == "boundary"
        self._held_foreign = proposal.foreign[used:] if ended_by == "chunk" else ()
        assert self.state.part is not None
        return Turn(
            part=self.state.part,
            author=self.state.author,
            text="".join(proposal.texts[:used]) if ended_by == "chunk" else chunk[:keep],
            ids=tuple(ids),
            held=tuple(proposal.ids[used:]) if ended_by == "chunk" else (),
            generated=self._unrecorded,
            rolled_back=len(proposal.ids) - used + ended if boundary else 0,
            ended_by=ended_by,
            discarded=chunk[keep:] if boundary else "",
        )

    def stop_repeating(self) -> Turn:
        """The turn that ends a repetitive response."""
        assert self.state.part is not None
        return Turn(self.state.part, self.state.author, "", (), (), 0, len(self.held), "repetition")

    def accept(self, turn: Turn) -> None:
        """Make `turn` part of the response."""
        for role, view in self._views.items():
            if role == turn.author:
                view.add_own(turn.ids)
            else:
                view.add_foreign(turn.text)
        if turn.part == "thinking":
            self.thinking += turn.text
        else:
            self.answer += turn.text
        if (turn.part, turn.ended_by) == ("thinking", "end"):
            for view in self._views.values():
                view.close_thinking(self.thinking)
        self._guard.read(turn.text)
        self.turns.append(turn)
        self.state = self.state.then(turn)
        took_over = turn.ended_by == "boundary"
        self._since_taking_over = 0 if took_over else self._since_taking_over + len(turn.ids)
        self.held = turn.held
        self._unrecorded = 0

    def trajectory(self, failure: str = "") -> Trajectory:
        """The response as a record; `failure` is the reason if the sample was given up."""
        assignment, view = self._assignment, self._views[self._assignment.home]
        thinks = assignment.method.thinks
        closing = Span("student", "markup", view.renderer.close_thinking_text(self.thinking), 0, "template")
        ended_by = self.turns[-1].ended_by if self.turns else "chunk"
        finished = self.state.part is None and ended_by == "end"
        fits = view.written <= assignment.max_tokens
        thinking = self.thinking if thinks else None
        reason = stop_reason(thinking, self.answer, ended_by=ended_by, fits=fits)
        ids = [*view.read(), *view.renderer.close_answer_ids()] if finished else view.read()
        return Trajectory(
            sample_id=self.sample.sample_id,
            problem_id=self.sample.problem.problem_id,
            method=assignment.name,
            prompt=self.sample.problem.prompt,
            messages=conversation(
                view.renderer, self.sample.problem.prompt, ids[view.prompt_tokens :], assignment.system
            ),
            spans=spans(self.turns, cooperative=assignment.cooperative, closing=closing if thinks else None),
            student_token_ids=ids,
            prompt_tokens=view.prompt_tokens,
            stop_reason="failed" if failure else reason,
            generated_tokens=sum(turn.generated for turn in self.turns),
            rolled_back_tokens=sum(turn.rolled_back for turn in self.turns),
            seed=assignment.seed,
            sampler=dict(assignment.sampler),
            models={role: author.model for role, author in assignment.authors.items()},
            failure=failure,
            tokenizer=view.renderer.fingerprint,
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """Text of an author that has not been judged: `ids`, the text each adds, and their sum `chunk`, whose
    first `settled` characters cannot change any more. `stray` says that unexpected markup ended an answer.
    `foreign` says of each id whether the author's rule gives it to the other author; empty without a rule."""

    ids: list[int]
    texts: list[str]
    chunk: str
    settled: int
    ended: bool
    spent: bool
    stray: bool
    foreign: tuple[bool, ...] = ()

    def rule_labels(self) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether it is the other author's) of each id in the settled text."""
        at, out = 0, []
        for text, foreign in zip(self.texts, self.foreign, strict=False):
            if at < self.settled:
                out.append((at, foreign))
            at += len(text)
        return out


_ENDED_BY: dict[tuple[bool, bool], TurnEnd] = {
    (False, False): "chunk",
    (True, False): "boundary",
    (False, True): "end",
}


def _ids_within(
    renderer: Renderer, proposal: Proposal, keep: int, *, whole_ids: bool
) -> tuple[list[int], int]:
    """Ids whose text is the first `keep` characters, and how many of the proposed ids they consume.

    An id that extends beyond is left out (`whole_ids`) or replaced by the encoding of its accepted part.
    Ids without text after the last accepted character are not used: they may begin the next one.
    """
    reached = used = 0
    for count, text in enumerate(proposal.texts, start=1):
        if reached + len(text) > keep:
            part = "" if whole_ids else text[: keep - reached]
            return [*proposal.ids[:used], *renderer.encode(part)], used
        reached += len(text)
        used = count if text else used
    return proposal.ids[:used], used
