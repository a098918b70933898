"""Asks a running LightCPVerifier to decide a group's rows.

The service reads problems from a folder of its own: they are put there under names of this call, since it
keeps what it compiled of a problem, and taken away afterwards. Two programs at a time go through its API.

Not covered: starting the service (`README.md` says how it was), and answers to extract programs from, which
is not its part.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.judge.official import runners
from tests.judge.official.runners import Row

FAILED = "Judge Failed"
"""LiveCodeBench-Pro's word for what the service could not judge: a program that does not compile, too."""
VERDICTS: Mapping[str, str] = {
    "Accepted": "pass",
    "Wrong Answer": "WA",
    "Time Limit Exceeded": "TLE",
    "Memory Limit Exceeded": "MLE",
    "Output Limit Exceeded": "OLE",
    "Nonzero Exit Status": "RTE",
    "Signalled": "RTE",
    "Dangerous Syscall": "RTE",
}
"""Of the service's words; others are its own failures, IE."""
_NOT_COMPILED, _BUSY = "Error: compile failed", "er compile failed: Time Limit Exceeded"
_TRIALS = 3
"""Where a busy machine is why a checker or interactor did not compile in time."""
_AT_ONCE = 2
_PATIENCE_S = 300.0
_NAP_S = 0.05


def decisions(group: Path, rows: Sequence[Row], url: str, problems: Path) -> list[dict[str, Any]]:
    """For each row what the service at `url`, whose problems lie in `problems`, decides: `official`, and
    `word` and `tests` where the row has them. Where the row allows several verdicts, or any failure, that
    stays as it is if the service's is among them."""
    call = f"asked-{uuid.uuid4().hex[:8]}-"
    with runners.problems(group) as folder:
        placed = {path.name: problems / (call + path.name) for path in folder.iterdir() if path.is_dir()}
        try:
            for name, place in placed.items():
                shutil.copytree(folder / name, place)
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                results = list(pool.map(lambda row: _settled(url, call + row["problem"], row), rows))
        finally:
            for place in placed.values():
                shutil.rmtree(place, ignore_errors=True)
    return [_decided(row, result) for row, result in zip(rows, results, strict=True)]


def _settled(url: str, problem: str, row: Row) -> dict[str, Any]:
    for _ in range(_TRIALS):
        result = _asked(url, problem, row)
        if _BUSY not in result.get("error", ""):
            break
    return result


def _asked(url: str, problem: str, row: Row) -> dict[str, Any]:
    """What the service says at last."""
    asked = {"pid": problem, "lang": row["language"], "code": row["code"]}
    request = Request(f"{url}/submit", json.dumps(asked).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=_PATIENCE_S) as reply:
        place = f"{url}/result/{json.load(reply)['sid']}"
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            with urlopen(place, timeout=_PATIENCE_S) as reply:
                result = json.load(reply)
            if result["status"] in ("done", "error"):
                return result
        except HTTPError as error:
            if error.code != 404:  # which it answers until it has decided
                raise
        time.sleep(_NAP_S)
    raise TimeoutError(f"{row['name']}: {url} decided nothing for {_PATIENCE_S:.0f} s")


def _decided(row: Row, result: Mapping[str, Any]) -> dict[str, Any]:
    if result["status"] == "error":
        verdict = "CE" if result["error"].startswith(_NOT_COMPILED) else "IE"
        said = {"official": verdict, "word": FAILED, "tests": []}
    else:
        verdict = VERDICTS.get(result["result"], "IE")
        tests = [case["status"] for case in result["cases"]]
        said = {"official": verdict, "word": result["result"], "tests": tests}
    allowed = row["official"]
    if (allowed == "fail" and verdict not in ("pass", "IE")) or (
        isinstance(allowed, list) and verdict in allowed
    ):
        said["official"] = allowed
    return {key: said[key] for key in ("official", "word", "tests") if key in row or key == "official"}
