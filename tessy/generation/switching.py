"""A recipe's switch in synthesis: the predictor or token rule that decides where an author's text ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import torch

from tessy.boundary import Predictor
from tessy.boundary.apart import REST, apart
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.operating_point import DEFAULT_THRESHOLD, OperatingPoint, operating_point
from tessy.boundary.predictor import BoundaryPredictor, classifier_tokenizer
from tessy.boundary.served import ServedPredictor
from tessy.boundary.sliding import SlidingPredictor
from tessy.boundary.switches import EveryTokens, LexiconPredictor, NeverPredictor
from tessy.boundary.uncertainty import Uncertainty
from tessy.config.switches import (
    CheckpointsSwitch,
    EntropySwitch,
    EveryTokensSwitch,
    LexiconSwitch,
    MarginSwitch,
    Switch,
)
from tessy.engines.command import ServedModel
from tessy.engines.connect import api_key
from tessy.engines.needs import in_process
from tessy.engines.shared import Asked, Wanted, serving, watcher
from tessy.engines.turns import Turns
from tessy.records import ROLES, Role
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig


def token_rule(switch: Switch) -> Uncertainty | EveryTokens | None:
    """The switch, if it uses the active model's tokens and reads no text; otherwise None."""
    if isinstance(switch, EntropySwitch):
        return Uncertainty("entropy", switch.above)
    if isinstance(switch, MarginSwitch):
        return Uncertainty("margin", switch.below)
    return EveryTokens(switch.tokens) if isinstance(switch, EveryTokensSwitch) else None


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained predictor's location and operating point (`tessy.boundary.operating_point`)."""

    source: str
    revision: str | None
    window_tokens: int
    threshold: float


@dataclass(frozen=True, slots=True)
class Switching:
    """A job's `switch`. `window_tokens` is the window of the recipe's own predictors; with `sliding` windows
    every predictor has the threshold 0.5, as in the release."""

    job: Job[StageConfig]
    switch: Switch
    window_tokens: int | None = None
    sliding: bool = False

    def trained(self, role: Role) -> Trained | None:
        """The trained predictor of `role`, if the switch has one: the job's input `predictor-<role>`, or one
        that the recipe names. Records its operating point; raises `UserError` where that is unknown."""
        switch, job = self.switch, self.job
        if isinstance(switch, CheckpointsSwitch):
            checkpoint = switch.student if role == "student" else switch.teacher
            source, revision = job.pinned(checkpoint.source, checkpoint.revision)
            window_tokens, threshold = switch.window_tokens, checkpoint.threshold
        elif switch.kind == "trained":
            source, revision = str(job.inputs[f"predictor-{role}"] / "model"), None
            window_tokens, threshold = self.window_tokens, None
        else:
            return None
        point = operating_point(source, window_tokens, revision=revision, threshold=threshold)
        used = OperatingPoint(DEFAULT_THRESHOLD if self.sliding else point.threshold, point.window_tokens)
        job.used.predictors.setdefault(switch.title, {})[role] = used
        return Trained(source, revision, used.window_tokens, used.threshold)

    def require_usable(self) -> None:
        """Raise `UserError` before any model loads if predictors cannot be used."""
        for role in ROLES:
            one = self.trained(role)
            if one is not None:
                classifier_tokenizer(one.source, one.window_tokens, one.revision)

    def open(self, role: Role, slots: int, turns: Turns | None = None) -> Predictor:
        """The predictor of `role`'s text in this process, for up to `slots` live samples.

        `turns` are shared with the models in this process, if there are any."""
        predictor = self.trained(role)
        if predictor is not None:
            # Double precision makes a predictor independent of its batches and takes twice the time: that is
            # worth it only where the models are independent of theirs, too.
            exact = self.job.execution.engines.of(role).numerics.exact
            return BoundaryPredictor(
                predictor.source,
                role,
                predictor.window_tokens,
                slots=slots,
                revision=predictor.revision,
                threshold=predictor.threshold,
                dtype=torch.float64 if exact else torch.float32,
                device=self.job.execution.predictors.of(role).device,
                turns=turns,
            )
        if isinstance(self.switch, LexiconSwitch):
            return LexiconPredictor(role, Lexicon.load(self.switch.file))
        return NeverPredictor()

    def served(self, role: Role) -> Wanted | None:
        """The servers that the predictor of `role`'s text needs, if the run starts any for it."""
        where, predictor = self.job.execution.predictors.of(role), self.trained(role)
        if predictor is None or not where.starts_servers or self.sliding:
            return None
        context = max(predictor.window_tokens, where.context or 0)
        model = ServedModel(predictor.source, predictor.revision, context)
        return Wanted(watcher(role), where.serving, model)

    def taken(self, role: Role, slots: int) -> dict[str, int]:
        """Bytes by device that the predictor of `role`'s text takes where it is in this process."""
        where, predictor = self.job.execution.predictors.of(role), self.trained(role)
        if predictor is None or where.kind != "transformers":
            return {}
        source, revision = predictor.source, predictor.revision
        return in_process(where.device, source, revision, predictor.window_tokens, slots)

    @asynccontextmanager
    async def alone(self, role: Role, slots: int) -> AsyncIterator[Predictor]:
        """The predictor of `role`'s text, its servers included, where no model is needed beside it."""
        job, served = self.job, self.served(role)
        asked = Asked([served] if served else [], self.taken(role, slots))
        async with (
            serving(job.out.parent, asked, job.out, job.say) as urls,
            self.watching(role, slots, Turns(), urls) as predictor,
        ):
            yield predictor

    @asynccontextmanager
    async def watching(
        self, role: Role, slots: int, turns: Turns, urls: Mapping[str, Sequence[str]]
    ) -> AsyncIterator[Predictor]:
        """The predictor of `role`'s text, on the engine that the recipe's execution gives; `urls` are those
        of servers that were `served`."""
        where = self.job.execution.predictors.of(role)
        predictor = self.trained(role)
        if predictor is not None and self.sliding:
            source, window_tokens = predictor.source, predictor.window_tokens
            yield SlidingPredictor(
                source, role, window_tokens, revision=predictor.revision, device=where.device
            )
        elif predictor is not None and where.kind == "transformers" and where.device != "cpu":
            async with apart(
                *(predictor.source, role, predictor.window_tokens),
                slots=slots,
                device=where.device,
                dtype="bfloat16",
                rest=REST if self.job.execution.beside_models(role) else 0.0,
                revision=predictor.revision,
                threshold=predictor.threshold,
            ) as beside:
                yield beside
        elif predictor is None or where.kind == "transformers":
            yield self.open(role, slots, turns)
        else:
            served = await ServedPredictor.connect(
                predictor.source,
                role,
                predictor.window_tokens,
                urls.get(watcher(role)) or where.endpoints,
                revision=predictor.revision,
                threshold=predictor.threshold,
                model=where.model,
                timeout_s=where.token_timeout_s,
                api_key=api_key(where.api_key_env),
            )
            try:
                yield served
            finally:
                await served.close()
