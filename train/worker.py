"""One of several training processes, started by torchrun: `python -m train.worker FOLDER`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessy.errors import UserError
from tessy.processes import die_with_parent
from tessy.runtime.job import open_job, read_spec
from train.launch import Relay, send
from train.sft import fine_tune


def _keep_quiet(message: Mapping[str, Any]) -> None:
    """Only the first process reports."""


def main() -> None:
    die_with_parent()
    folder = Path(sys.argv[1])
    report = send if os.environ["RANK"] == "0" else _keep_quiet
    try:
        fine_tune(open_job(folder, read_spec(folder), Relay(), report))
    except UserError as error:
        send({"error": str(error)})
        sys.exit(2)


if __name__ == "__main__":
    main()
