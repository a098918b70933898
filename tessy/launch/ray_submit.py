"""`python -m tessy.launch.ray_submit FILE` submits a rendered Ray job and prints its id; with `--find` it
only prints that of a job of this name that waits or runs, if there is one.

Ids are NAME-1, NAME-2 and so on, so that no job is submitted twice: Ray refuses an id that it knows.

A process of its own: importing Ray takes seconds, and its client prints what it likes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from tessy.cluster.on_ray import TOKEN


def main() -> None:
    try:
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not on this machine; install it: pip install -e '.[cluster]'")
    *flag, file = sys.argv[1:]
    job = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    address = job.pop("address")
    try:
        client = JobSubmissionClient(None if address == "auto" else address)
        known = _known(client, job["metadata"]["name"])
        active = [name for name, status in known.items() if not status.is_terminal()]
        if flag or active:
            print(*active[:1])
        else:
            print(client.submit_job(**job, submission_id=_next(job["metadata"]["name"], known)))
    except AuthenticationError:
        sys.exit(f"execution.cluster.address {address!r}: {TOKEN}")
    except (ConnectionError, RuntimeError, ValueError) as error:
        sys.exit(f"execution.cluster.address {address!r}: {error}")


def _known(client: Any, name: str) -> dict[str, Any]:
    """The states of all jobs of this name, by id."""
    ids = {one.submission_id: one.status for one in client.list_jobs() if one.submission_id}
    return {job: status for job, status in ids.items() if job.rpartition("-")[0] == name}


def _next(name: str, known: dict[str, Any]) -> str:
    numbers = [int(job.rpartition("-")[2]) for job in known if job.rpartition("-")[2].isdecimal()]
    return f"{name}-{max(numbers, default=0) + 1}"


if __name__ == "__main__":
    main()
