"""A file of submissions judged by workers that a cluster places; each runs the same command with `--join`.

Not covered: placing them (`tessy.cluster`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import yaml

from eval.judge.records import Submission
from eval.judge.results import Results
from eval.judge.sharing import POLL_S, Asked, Progress
from tessy.cluster import WORKERS, Resources, Work
from tessy.cluster.choosing import executor_of
from tessy.config.base import Section
from tessy.config.cluster import AnyCluster
from tessy.config.load import check
from tessy.errors import UserError

UNSEEN_S = 60.0
"""How long what workers have written may stay invisible here, as network file systems remember listings."""


class Placement(Section):
    """What --on says."""

    cluster: AnyCluster


def placement(said: str) -> AnyCluster:
    """The cluster that `--on` names, alone by its kind or as the recipe's section; raises `UserError`."""
    try:
        given = yaml.safe_load(said)
    except yaml.YAMLError as error:
        raise UserError(f"--on {said!r}: not valid YAML: {error}") from None
    cluster = {"kind": given} if isinstance(given, str) else given
    return check({"cluster": cluster}, f"--on {said!r}", Placement).cluster


def judge_elsewhere(
    asked: Asked,
    cluster: AnyCluster,
    processes: int,
    submissions: Mapping[int, Submission],
    results: Results,
    progress: Progress,
) -> None:
    """Have `processes` workers on `cluster` judge all that is left, and wait for them. Raises `UserError`
    where they cannot be placed, refuse or fail."""
    total = len(submissions)
    folder = (results.folder / WORKERS).absolute()
    cores = asked.workers or 1
    work = Work("judge", asked.helping, folder, processes, Resources(cores=cores, sandbox=True))
    try:
        with executor_of(cluster).start(work) as workers:
            ended: float | None = None
            while not results.is_complete():
                ended = ended or (time.monotonic() if workers.finished else None)
                if ended and time.monotonic() - ended > UNSEEN_S:
                    raise UserError(
                        f"out {asked.out}: the workers have ended, and not all is judged; the folder must be "
                        "one that all machines share"
                    )
                workers.check()
                progress(results.done(), total, workers.describe())
                time.sleep(POLL_S)
    except RuntimeError as error:
        raise UserError(str(error)) from None
