"""A diagnosis for the tests of its page; every number here is made up."""

from __future__ import annotations

from report_samples import HOSTILE

from tessy.diagnosis.phrases import Phrase
from tessy.diagnosis.report import Diagnosis, Shown, TokenShown
from tessy.diagnosis.similarity import Similarity
from tessy.diagnosis.summary import Gap, Health, Nll
from tessy.statistics import Estimate


def gap(value: float, own: float) -> Gap:
    return Gap(
        Nll(1000, Estimate(value, value - 0.1, value + 0.1)),
        Nll(900, Estimate(own, own - 0.1, own + 0.1)),
        Estimate(value - own, value - own - 0.14, value - own + 0.14),
    )


def shown() -> Shown:
    side = Health(64, 0.1, 0.02, {"length": 6, "no thinking": 1}, [20, 100, 240, 512], 130.0, 0.5, 1)
    contents = Diagnosis(
        dataset=f"traces {HOSTILE}",
        student="model",
        format="qwen3",
        style_by="lexicon english",
        rows=80_000,
        left_out={"more than one exchange": 3},
        gaps={"style": gap(2.5, 0.4), "capability": gap(0.6, 0.3), "answer": gap(0.3, 0.3)},
        set=side,
        own=side,
        phrases=[Phrase(HOSTILE, 7, 4.2, 99.0, 0), Phrase("Thus we go. " * 20, 3, 2.0, 5.0, 1)],
        similarity={"responses": Similarity(0.3, 0.2, 0.4, None), "style": None},
        context=1024,
        seed=0,
    )
    typical = [TokenShown(HOSTILE, 3.0, "style"), TokenShown("x=1 ", 0.1, "capability")] * 50
    return Shown(contents, typical, "tessy diagnose traces --student model")
