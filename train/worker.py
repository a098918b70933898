"""One of several training processes, started by torchrun: `python -m train.worker FOLDER ATTEMPT`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessy.processes import die_with_parent
from tessy.runtime.job import open_job, read_spec
from train.ranks import Relay, failure, print_to, record, send
from train.sft import fine_tune


def _keep_quiet(message: Mapping[str, Any]) -> None:
    """Only the first process reports."""


def main() -> None:
    die_with_parent()
    folder, attempt = map(Path, sys.argv[1:])
    rank = int(os.environ["RANK"])
    print_to(attempt, rank)
    try:
        fine_tune(open_job(folder, read_spec(folder), Relay(), _keep_quiet if rank else send))
    except Exception as error:
        record(attempt, failure(error, int(os.environ["GROUP_RANK"]), rank))
        raise


if __name__ == "__main__":
    main()
