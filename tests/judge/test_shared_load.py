"""A file of submissions judged by one process and by two, as `python -m eval.judge.bench processes` does."""

from __future__ import annotations

import pytest

from eval.judge.shared_load import processes

pytestmark = pytest.mark.sandbox


def test_every_submission_is_judged_once_whoever_judges() -> None:
    found = processes(120, 1, 1, 2)
    for one in found["processes"].values():
        assert (one["missing"], one["other_verdicts"], one["judged_twice"]) == (0, 0, 0)
