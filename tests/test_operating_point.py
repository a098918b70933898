"""What a predictor says of its own use, where that is found, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tessy.boundary.operating_point import FILE, OperatingPoint, operating_point, write_operating_point
from tessy.config.load import load
from tessy.errors import UserError
from tessy.experiment import plan
from tessy.runtime.preflight import preflight

ROOT = Path(__file__).parents[1]
COMMITS = {"main": "a" * 40, "v1": "b" * 40}
SAID = {("someone/says", "a" * 40): 0.3, ("someone/says", "b" * 40): 0.7}
"""Threshold in the file of a repository's commit; `someone/silent` has no such file."""


def content(threshold: float) -> str:
    return json.dumps({"format": 1, "threshold": threshold, "window_tokens": 64})


def test_written_and_read(tmp_path: Path) -> None:
    write_operating_point(tmp_path, OperatingPoint(0.3, 64))
    assert operating_point(str(tmp_path), 64) == OperatingPoint(0.3, 64)


def test_what_the_caller_names_wins(tmp_path: Path) -> None:
    write_operating_point(tmp_path, OperatingPoint(0.3, 64))
    assert operating_point(str(tmp_path), None) == OperatingPoint(0.3, 64)
    assert operating_point(str(tmp_path), 32) == OperatingPoint(0.3, 32)
    assert operating_point(str(tmp_path), None, threshold=0.6) == OperatingPoint(0.6, 64)


def test_a_checkpoint_without_one_takes_its_callers_window(tmp_path: Path) -> None:
    assert operating_point(str(tmp_path), 200) == OperatingPoint(0.5, 200)
    with pytest.raises(UserError, match=r"window_tokens is not set, and predictor .* has no predictor\.json"):
        operating_point(str(tmp_path), None)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 1}', '{"format": 1, "threshold": 2, "window_tokens": 64}']
)
def test_an_unusable_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UserError, match=r"predictor\.json"):
        operating_point(str(tmp_path), 64)


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"format": 9, "threshold": 0.5, "window_tokens": 64}')
    with pytest.raises(UserError, match="format 9"):
        operating_point(str(tmp_path), 64)


def test_a_recipe_whose_predictors_nobody_says_how_to_use_is_refused_before_it_runs(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.mkdir()
    (silent / "config.json").write_text("{}")
    both = f"student: {{source: {silent}}}, teacher: {{source: {silent}}}"
    switch = f"synthesis.switch={{kind: checkpoints, {both}}}"
    with pytest.raises(UserError, match=rf"window_tokens is not set, and predictor {silent} has no"):
        preflight(plan(load(ROOT / "recipes" / "mini.yaml", [switch])), tmp_path)


# The hub ------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """Answers for files of repositories as a hub does: what there is, at which commit."""

    def do_HEAD(self) -> None:
        _, owner, name, _, revision, _ = self.path.split("/")
        commit = COMMITS.get(revision, revision)
        said = SAID.get((f"{owner}/{name}", commit))
        body = content(said).encode() if said else b""
        self.send_response(200 if said else 403 if name == "locked" else 404)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{commit}"')
        self.send_header("Content-Length", str(len(body)))
        if not said and name != "locked":
            self.send_header("X-Error-Code", "EntryNotFound" if owner == "someone" else "RepoNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def asked(cache: Path, *predictors: tuple[str, str | None], **environment: str) -> list[object]:
    """Threshold, or what is said instead, of (hub id, revision) in a process with such an environment."""
    script = (
        "import json, sys\n"
        "from tessy.boundary.operating_point import operating_point\n"
        "from tessy.errors import UserError\n"
        "for source, revision in json.loads(sys.argv[1]):\n"
        "    try: said = operating_point(source, 64, revision=revision).threshold\n"
        "    except UserError as error: said = str(error)\n"
        "    print(json.dumps(said))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(predictors)],
        env={**os.environ, "HF_HUB_CACHE": str(cache), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_hub_predictor_is_asked_for_its_file_and_may_have_none(tmp_path: Path, hub: str) -> None:
    says, pinned, silent = ("someone/says", None), ("someone/says", "v1"), ("someone/silent", None)
    unknown, locked = ("nobody/else", None), ("someone/locked", None)
    online = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"}
    *found, fault, unsure = asked(tmp_path, says, pinned, silent, unknown, locked, **online)
    assert found == [0.3, 0.7, 0.5]
    assert "predictor nobody/else: no such folder, and on the hub: 404" in str(fault)
    # A hub that does not answer has not said that there is none; off line the cache has the last word.
    assert "someone/locked: cannot find out whether it has a predictor.json (403" in str(unsure)
    assert asked(tmp_path, says, pinned, silent, locked, HF_HUB_OFFLINE="1") == [0.3, 0.7, 0.5, 0.5]
