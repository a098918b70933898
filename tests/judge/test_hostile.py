"""Programs that attack the sandbox: each is contained, leaves nothing, and does not disturb the next one.

Each program's first line names how it may end. The suite runs as the caller and, where that is root, once
more as an ordinary user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).with_name("hostile")
PROGRAMS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".c", ".py"))
NOBODY = 65534
IDENTITIES = ["caller", "ordinary user"] if os.getuid() == 0 else ["caller"]


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest) -> Iterator[Path]:
    """What was asked for, in a folder others can read, unlike pytest's own."""
    wanted = {
        item.callspec.params.get("program") for item in request.session.items if hasattr(item, "callspec")
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for source in (source for source in PROGRAMS if source in wanted):
            if source.suffix == ".py":
                (folder / source.name).write_bytes(source.read_bytes())
                continue
            command = [
                "g++",
                "-x",
                "c",
                "-w",
                "-O1",
                "-pthread",
                str(source),
                "-o",
                str(folder / source.stem),
            ]
            subprocess.run(command, check=True)
        yield folder


@pytest.fixture(scope="session", params=IDENTITIES)
def reports(request: pytest.FixtureRequest, built: Path) -> dict:
    temporary = tempfile.mkdtemp()
    command = [sys.executable, str(Path(__file__).with_name("hostile_runner.py")), str(built)]
    identity = {}
    if request.param == "ordinary user":
        os.chown(temporary, NOBODY, NOBODY)
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        # The interpreter of a virtual environment may lie where others cannot look.
        command[0] = "/usr/bin/python3"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TMPDIR": str(temporary), "SECRET": "x"}
    environment["SLOWNESS"] = os.environ.get("SLOWNESS", "1")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, **identity)
    os.rmdir(temporary)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line.get("name", "summary"): line for line in lines}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_attack_is_contained(program: Path, reports: dict) -> None:
    report = reports[program.name if program.suffix == ".py" else program.stem]
    allowed = program.read_text().splitlines()[0].partition("ends: ")[2].split()
    assert "ESCAPED" not in report["said"], report["said"]
    assert report["ended"] in allowed, report["outcome"]
    assert report["wall_s"] < 5 * 1.0 + 1, report["outcome"]
    assert report["honest"], "the next program was disturbed"


def test_nothing_is_left_behind(reports: dict) -> None:
    assert reports["summary"]["left"] == {}
    assert reports["summary"]["in sandboxes"] == []
    assert len(PROGRAMS) >= 60
