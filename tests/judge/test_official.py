"""Decisions made by the official code, row by row, beside ours: every group that lies in `official/`.

`python -m tests.judge.official.runners` prints the same tables; `official/README.md` says how rows are made.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.judge.official import runners

IN_THE_SANDBOX = {"judge"}
"""Runners that run programs."""


def parameters() -> list:
    return [
        pytest.param(
            group,
            id=str(group.relative_to(runners.HERE)),
            marks=[pytest.mark.sandbox] if runners.about(group)["runner"] in IN_THE_SANDBOX else [],
        )
        for group in runners.groups()
    ]


@pytest.mark.parametrize("group", parameters())
def test_decides_as_the_official_code(group: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compared = runners.compare(group, runners.about(group).get("every", 1))
    said = runners.table(group, compared)
    with capsys.disabled():
        print(f"\n{said}")
    assert compared
    assert len({one.row["name"] for one in compared}) == len(compared), "names repeat"
    assert not any(one.trouble for one in compared), said
