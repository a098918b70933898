"""`tessy status` says what is going on from what lies in a run's folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from click.testing import CliRunner

from tessy.artifacts import finish, write_json
from tessy.claims import LEASE_S
from tessy.commands.status import status_command
from tessy.config.execution import Execution
from tessy.errors import UserError
from tessy.runtime.job import JOB, Spec
from tessy.runtime.run import CLAIMS
from tessy.synthesis.journal import Journal
from tests.test_join import KIND


def under_way(run: Path, name: str) -> Path:
    folder = run / f"{name}-0123.partial"
    folder.mkdir()
    spec = Spec(
        recipe="r",
        name=name,
        kind=KIND.declared,
        fingerprint="x",
        config={},
        inputs={},
        execution=Execution(),
    )
    write_json(folder / JOB, spec.plain)
    return folder


def said(run: Path) -> str:
    result = CliRunner().invoke(status_command, [str(run)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_stages_and_workers_of_a_run_are_shown(tmp_path: Path) -> None:
    (made := tmp_path / "problems-aa.partial").mkdir()
    finish(made, {"stage": "problems", "seconds": 3.0})
    folder = under_way(tmp_path, "synthesize-tessy") / "work" / "tessy.journal"
    with Journal(folder) as journal, Journal(folder) as other:
        state = {"rate": 1234.5, "unit": "tokens/s", "done": 17, "in_flight": 3, "faults": 1, "gpu_use": 0.9}
        journal.show(state)
        journal._claims._life.beat()
        other.show({"rate": 0.5, "unit": "tokens/s", "done": 0})
        other._claims._life.beat()
        path = folder / f"owner-{other._owner}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "node7", "pid": 42}))
        text = said(tmp_path)
        assert "made in 3 s" in text
        assert "2: 1,235.0 tokens/s, 17 done by them" in text
        itself = "1,234.5 tokens/s, 17 done, 3 in flight, 1 faults, GPU 90%"
        assert f"{os.uname().nodename}/{os.getpid()}: {itself}" in text
        old = time.time() - LEASE_S - 1
        os.utime(path, (old, old))
        text = said(tmp_path)
        assert "node7/42: no sign of life" in text
        assert "1: 1,234.5 tokens/s" in text


def test_what_nobody_works_on_was_interrupted(tmp_path: Path) -> None:
    under_way(tmp_path, "synthesize-tessy")
    assert "interrupted; see" in said(tmp_path)


def test_where_no_run_is_the_remedy_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(status_command, [str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert "runs/<recipe name>" in str(result.exception)


def test_a_run_that_was_launched_and_waits_is_shown(tmp_path: Path) -> None:
    write_json(tmp_path / "launch" / "job.json", {"on": "slurm", "job": "7", "name": "mini-3fa9c1"})
    assert "launched on slurm as job 7" in said(tmp_path)


def test_a_run_that_was_killed_is_not_shown_as_under_way(tmp_path: Path) -> None:
    under_way(tmp_path, "synthesize-tessy")
    sign = tmp_path / CLAIMS / "owner-a.json"
    write_json(sign, {"host": "node7", "pid": 42, "state": {}})
    assert "run by process 42 on node7" in said(tmp_path)
    old = time.time() - LEASE_S - 1
    os.utime(sign, (old, old))
    assert "node7" not in said(tmp_path)
    assert "interrupted; see" in said(tmp_path)
