"""The cache of built programs stays within its size and loses what was not used for longest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.judge import cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tessy" / "programs"


def test_what_is_kept_is_found_again(folder: Path) -> None:
    assert cache.get("a") is None
    cache.put("a", b"binary")
    assert cache.get("a") == b"binary"
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_cache_that_cannot_be_written_is_no_error(folder: Path) -> None:
    folder.parent.parent.joinpath("tessy").write_text("in the way")
    for _ in range(100):
        cache.put("a", b"binary")
    assert cache.get("a") is None


def test_use_protects_from_pruning(folder: Path) -> None:
    for age, name in enumerate("cba"):
        cache.put(name, bytes(100))
        os.utime(folder / name, (age, age))
    assert cache.get("c") is not None
    cache.prune(folder, 299)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "c"]


@given(sizes=st.lists(st.integers(0, 50), max_size=12), limit=st.integers(0, 300))
def test_pruning_keeps_the_youngest_within_the_limit(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    for age, size in enumerate(sizes):
        (folder / str(age)).write_bytes(bytes(size))
        os.utime(folder / str(age), (age, age))
    cache.prune(folder, limit)
    left = sorted(int(path.name) for path in folder.iterdir())
    assert left == list(range(len(sizes) - len(left), len(sizes)))
    assert sum(sizes[age] for age in left) <= limit
    if sum(sizes) <= limit:
        assert len(left) == len(sizes)
