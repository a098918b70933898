"""What the coordinator of a Ray cluster grants, without Ray: after a restart, beside a later one, to whom."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tessy.claims.life import identity
from tessy.cluster.coordinator import Coordinator, Superseded

HERE = identity(os.getpid())
DEAD = {**HERE, "pid": 1 << 30}
FAR: Mapping[str, Any] = {**DEAD, "host": "another"}


def coordinator(folder: Path) -> Coordinator:
    return Coordinator(folder, end=lambda: None)


def test_a_key_is_granted_once_while_its_owner_lives(tmp_path: Path) -> None:
    one = coordinator(tmp_path)
    assert one.take("a", HERE, "k", 0)[0] == 1
    assert one.take("b", HERE, "k", 0)[0] is None
    assert one.take("a", HERE, "k", 0)[0] == 1, "asked again, because the answer was lost"
    assert one.holds("a", HERE, "k")
    one.close("a")
    assert one.take("b", HERE, "k", 0)[0] == 2
    assert not one.holds("a", HERE, "k")


def test_the_next_start_knows_all_that_was_granted(tmp_path: Path) -> None:
    before = coordinator(tmp_path)
    for owner, who, key in (
        ("far", FAR, "x"),
        ("here", HERE, "y"),
        ("dead", DEAD, "z"),
        ("closed", HERE, "c"),
    ):
        assert before.take(owner, dict(who), key, 0)[0] == 1
    before.close("closed")
    after = coordinator(tmp_path)
    # Of another machine nothing is known but that it was silent while nobody listened.
    assert after.living("new", HERE) == {"far", "here", "new"}
    granted = [after.take("new", HERE, key, 0)[0] for key in "xyzc"]
    assert granted == [None, None, 2, 2]


def test_an_answer_brings_the_claims_of_others(tmp_path: Path) -> None:
    one = coordinator(tmp_path)
    one.take("a", HERE, "k", 0)
    one.take("a", HERE, "l", 0)
    assert one.take("b", HERE, "k", 0)[1] == [("k", "a", 1), ("l", "a", 1)]
    assert one.take("b", HERE, "m", 2)[1] == [("m", "b", 1)]


def test_one_that_was_replaced_grants_nothing(tmp_path: Path) -> None:
    before = coordinator(tmp_path)
    before.show("a", HERE)
    coordinator(tmp_path)
    with pytest.raises(Superseded):
        before.take("a", HERE, "k", 0)


def test_an_incomplete_line_is_as_good_as_none(tmp_path: Path) -> None:
    coordinator(tmp_path).take("a", HERE, "k", 0)
    (path,) = tmp_path.glob("coordinator-*.jsonl")
    path.write_bytes(path.read_bytes()[:-5])
    assert coordinator(tmp_path).take("b", HERE, "k", 0)[0] == 1


def test_when_all_is_done_and_the_folder_gone_nothing_is_granted(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    one = coordinator(tmp_path / "j")
    one.show("a", HERE)
    shutil.rmtree(tmp_path / "j")
    with pytest.raises(FileNotFoundError):
        one.take("a", HERE, "k", 0)
