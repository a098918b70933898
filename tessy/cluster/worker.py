"""One worker on the machine where it runs: its command, its log and its messages.

`python -m tessy.cluster.worker NAME FOLDER -- COMMAND...` appends output to `FOLDER/NAME.log` and messages
(what a stage reports through `TESSY_PROGRESS_FD`, JSON lines) to `FOLDER/NAME.messages`; it ends with the
command's exit status, and the command ends with it, however it dies. The command finds its name in
`TESSY_WORKER`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tessy.jsonl import whole_lines
from tessy.processes import PARENT, end_in_order, inherited

WORKER = "TESSY_WORKER"
MESSAGES_FD = "TESSY_PROGRESS_FD"
LOG, MESSAGES = ".log", ".messages"
PATIENCE_S = 10.0
TAIL_LINES = 15


def start(
    name: str, folder: Path, command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own, as a child that dies with this process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}{LOG}").open("ab") as log, (folder / f"{name}{MESSAGES}").open("ab") as messages:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=inherited({**os.environ, **environment})
            | {WORKER: name, PARENT: str(os.getpid()), MESSAGES_FD: str(messages.fileno())},
            pass_fds=[messages.fileno()],
            start_new_session=True,
        )


def number() -> int:
    """The number of the worker whose command calls this: 0 for the first."""
    return int(os.environ[WORKER].rpartition("-")[2])


def end(process: subprocess.Popen[bytes]) -> None:
    """End a worker and all it has started, in good order if it takes less than `PATIENCE_S`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(PATIENCE_S)
        except ProcessLookupError:
            process.wait()
        except subprocess.TimeoutExpired:
            continue
        return


def refuse(message: str) -> None:
    """Say why this worker is about to end with exit status 2, where an executor has placed it."""
    if (messages := int(os.environ.get(MESSAGES_FD, "-1"))) >= 0:
        os.write(messages, (json.dumps({"error": message}) + "\n").encode())


def refusal(name: str, folder: Path) -> str:
    """The error message with which a worker has ended, or ""."""
    found = ""
    for line in whole_lines(folder / f"{name}{MESSAGES}", skip_damaged=True):
        found = line.row.get("error", found)
    return found


def tail(name: str, folder: Path) -> str:
    """The end of a worker's log."""
    try:
        text = (folder / f"{name}{LOG}").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def run(name: str, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a worker until it ends; returns its exit status. An exception (a signal's) ends it."""
    process = start(name, folder, command, environment)
    try:
        return process.wait()
    finally:
        end(process)


def main() -> None:
    name, folder, dashes, *command = sys.argv[1:]
    assert dashes == "--", sys.argv
    end_in_order()
    sys.exit(run(name, Path(folder), command, {}))


if __name__ == "__main__":
    main()
