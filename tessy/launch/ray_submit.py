"""`python -m tessy.launch.ray_submit FILE` submits a rendered Ray job and prints its id.

A process of its own: importing Ray takes seconds, and its client prints what it likes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from tessy.cluster.on_ray import TOKEN


def main() -> None:
    try:
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not on this machine; install it: pip install -e '.[cluster]'")
    job = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
    address = job.pop("address")
    try:
        client = JobSubmissionClient(None if address == "auto" else address)
        print(client.submit_job(**job))
    except AuthenticationError:
        sys.exit(f"execution.cluster.address {address!r}: {TOKEN}")
    except (ConnectionError, RuntimeError, ValueError) as error:
        sys.exit(f"execution.cluster.address {address!r}: {error}")


if __name__ == "__main__":
    main()
