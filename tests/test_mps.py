"""NVIDIA's Multi-Process Service, with a small program in the place of its daemon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tessy.engines.mps import CONTROL, LOGS, PIPES, multi_process_service
from tessy.errors import UserError


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control program that notes how it is called; the file of its notes."""
    notes, program = tmp_path / "notes", tmp_path / "bin" / CONTROL
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" "${PIPES}" $(test -t 0 || cat) >>{notes}\nexit ${{FAIL:-0}}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv(PIPES, raising=False)
    return notes


def test_what_starts_meanwhile_finds_the_daemon_and_nothing_is_left(daemon: Path) -> None:
    with multi_process_service():
        pipes = os.environ[PIPES]
        assert Path(pipes).is_dir()
        assert Path(os.environ[LOGS]).is_dir()
    assert daemon.read_text().splitlines() == [f"-d {pipes}", f"{pipes} quit"]
    assert not Path(pipes).exists()
    assert not {PIPES, LOGS} & os.environ.keys()


def test_a_daemon_that_somebody_started_is_used(
    daemon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PIPES, str(tmp_path))
    with multi_process_service():
        assert os.environ[PIPES] == str(tmp_path)
    assert os.environ[PIPES] == str(tmp_path)
    assert not daemon.exists()


def test_a_daemon_that_does_not_start_says_so(daemon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL", "3")
    with pytest.raises(UserError, match=f"mps: {CONTROL} -d ended with status 3"), multi_process_service():
        pass
    assert PIPES not in os.environ


def test_where_there_is_none_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv(PIPES, raising=False)
    with (
        pytest.raises(UserError, match=f"{CONTROL} is not on the PATH; it comes with"),
        multi_process_service(),
    ):
        pass
