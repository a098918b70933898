"""DMOJ's judge, asked through the command line that it installs: programs on folders of problems.

Its code is run, never read. It must run as root, and what it runs is not isolated as well as in our sandbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.judge.official.runners import Row

LANGUAGES = {"cpp": ("CPP17", ".cpp"), "python": ("PYPY3", ".py")}
"""OJBench's, and the end of a source file's name."""
LIMITS = "-tl 10 -ml 1048576"
"""OJBench's for every problem: seconds and KiB."""
HELPERS = ("PY3", "C", "C11", "CPP11", "CPP14", "CPP20")
"""Languages that problems have checkers and interactors in."""
RUNTIMES = {
    **dict.fromkeys(["g++", "g++11", "g++14", "g++17", "g++20"], "g++"),
    **dict.fromkeys(["gcc", "gcc11"], "gcc"),
    "python3": "python3",
    "pypy3": "pypy3",
}
"""DMOJ's name of an executable, and ours."""

_STARTED = re.compile(r"Start grading .*?/(\d+) in .*\n")
_TEST = re.compile(r"(?m)^ *Test case +\d+ +(\S+)")
_PASSED, _SKIPPED = ("AC", "*AC"), ("--", "SC")


def words(cli: Path, problems: Path, rows: Sequence[Row]) -> list[list[str]]:
    """The words of the tests that each row's program was given, as `cli` (DMOJ's `dmoj-cli`) prints them; CE
    alone is a program that does not compile, IE the end of one where the judge itself fails."""
    with readable(problems) as readable_problems:
        folder = readable_problems.parent
        commands = []
        for number, row in enumerate(rows):
            language, suffix = LANGUAGES[row["language"]]
            source = folder / f"{number}{suffix}"
            source.write_bytes(row["code"].encode())
            source.chmod(0o644)
            commands.append(f"submit {LIMITS} {row['problem']} {language} {source}\n")
        settings = folder / "judge.yml"
        settings.write_text(json.dumps(_settings(folder)))
        executors = ",".join([language for language, _ in LANGUAGES.values()] + [*HELPERS])
        done = subprocess.run(
            [cli, "-c", settings, "--skip-self-test", "--no-ansi", "-e", executors],
            input="".join([*commands, "quit\n"]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "HOME": str(folder)},
            check=True,
        )
    text = done.stdout.decode(errors="replace")
    said = _STARTED.split(text)
    found = dict(zip(map(int, said[1::2]), map(_words, said[2::2]), strict=True))
    if len(found) < len(rows):
        raise RuntimeError(f"{cli} judged {len(found)} of {len(rows)} programs:\n{text[-2000:]}")
    return [found[number] for number in range(1, len(rows) + 1)]


@contextlib.contextmanager
def readable(problems: Path) -> Iterator[Path]:
    """A copy of `problems`, alone in a folder, that everybody may read: checkers do not run as root."""
    with tempfile.TemporaryDirectory() as name:
        copied = Path(name, "problems")
        shutil.copytree(problems, copied, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", name], check=True)
        yield copied


def verdict(said: Sequence[str]) -> str:
    """Of a program with these words, as rows have it: that of the first test that fails, or pass."""
    failed = [word for word in said if word not in _PASSED + _SKIPPED]
    if not failed:
        return "pass"
    return "RTE" if failed[0] == "IR" else failed[0]


def tests(said: Sequence[str]) -> list[str]:
    """The words of the tests that were run."""
    return [word for word in said if word not in _SKIPPED]


def _settings(folder: Path) -> dict[str, Any]:
    """DMOJ's settings; as YAML reads JSON, too."""
    (folder / "scratch").mkdir()
    paths = {name: shutil.which(ours, path=os.defpath) for name, ours in RUNTIMES.items()}
    return {
        "id": "judge",
        "key": "none",
        "problem_storage_globs": [f"{folder}/problems/*"],
        "tempdir": f"{folder}/scratch",
        "runtime": {name: path for name, path in paths.items() if path},
    }


def _words(text: str) -> list[str]:
    if "Failed compiling" in text:
        return ["CE"]
    found = _TEST.findall(text)
    return [*found, "IE"] if "Traceback" in text else found
