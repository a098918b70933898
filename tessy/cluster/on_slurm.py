"""Workers as tasks of a Slurm job array, submitted through `submitit`.

On the node submitit calls `run_worker`, which runs the worker's command and returns its exit status; submitit
writes that to a file, so it is known without an accounting database. Everything else is read from a `squeue`
for all jobs of the stage, every few seconds. A task that was cancelled or preempted, that reached its time
limit or lost its node is submitted again; one that Slurm requeues goes on under the same id.

Jobs outlive a run that is killed with SIGKILL and go on with the stage until nothing of it is left. The next
run takes over those that were submitted with the same settings, and cancels the others.

Not covered: clusters whose nodes see the stage's folder under another path; heterogeneous jobs; federations.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tessy.cluster import Resources, Work, Workers, worker
from tessy.cluster.tending import Tending
from tessy.config.cluster import SlurmCluster
from tessy.errors import UserError

SOONEST_S, LATEST_S = 2.0, 10.0
"""How often the queue is asked for, for all workers together: less often long after a submission."""
RETRY_S = 60.0
"""How long after sbatch has refused a replacement it is asked again."""
ENDING_S = 60.0
"""How long cancelled jobs may take to end, which is more than Slurm's own `KillWait` of 30 s."""
SUBMITTED = "slurm"
"""Folder beside the workers' logs with what submitit keeps of its jobs."""
ENDED = frozenset(("COMPLETED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE"))
FAULTY = frozenset(("FAILED", "OUT_OF_MEMORY"))
"""States of jobs that have ended through a fault of their own."""
FAULT, LOST = 1, -1
_NODES = "`sinfo --format='%P %c %m %G'` lists cores, MiB and GPUs of nodes"
FIELDS = (
    ("account", "account", "`sacctmgr show associations user=$USER` lists yours"),
    ("partition", "partition", "`sinfo --summarize` lists those there are"),
    ("qos", "qos", "`sacctmgr show associations user=$USER` lists yours"),
    ("feature", "constraint", "`sinfo --format='%P %f'` lists what nodes have"),
    ("time limit", "time_minutes", "`sinfo --format='%P %l'` lists the longest"),
    *(
        (word, "worker", _NODES)
        for word in ("processors", "cpu count", "memory", "gres", "node configuration")
    ),
    ("option", "options", "`man sbatch` lists long names"),
)
"""What sbatch names when it refuses, the field of `execution.cluster` that says it, and a remedy."""


class Queued(NamedTuple):
    """A job as the queue has it, and why it waits."""

    state: str
    reason: str
    name: str


class SlurmExecutor:
    """Workers on the nodes of `cluster`; the process that runs the stage only waits for them."""

    here = False

    def __init__(self, cluster: SlurmCluster) -> None:
        self._cluster = cluster

    @contextmanager
    def start(self, work: Work) -> Iterator[Workers]:
        jobs = _Jobs(self._cluster, work)
        try:
            jobs.begin()
            with Tending(work, jobs.place) as tending:
                yield _Workers(tending, jobs)
        finally:
            jobs.cancel_all()


def size(cluster: SlurmCluster, each: Resources) -> Resources:
    """What one worker is given: what the recipe says, else what its stage needs."""
    said = cluster.worker.model_dump(exclude_none=True)
    return Resources(**{"gpus": each.gpus, "cores": each.cores, "memory_gib": each.memory_gib, **said})


def parameters(cluster: SlurmCluster, work: Work) -> dict[str, Any]:
    """What submitit is told about the jobs of `work`, by its own names."""
    # What a node of a gang needs is not what the workers of other stages need.
    each = work.each if work.gang else size(cluster, work.each)
    # A gang that has lost one begins anew as a whole.
    requeue = "no_requeue" if work.gang else "requeue"
    given = {
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "time": cluster.time_minutes,
        "cpus_per_task": each.cores,
        "gpus_per_node": each.gpus or None,
        "mem": f"{math.ceil(each.memory_gib * 1024)}M" if each.memory_gib else None,
        "setup": list(cluster.setup),
        "array_parallelism": work.count,
        # Since Slurm 22.05 srun does not take it over from sbatch: a worker would be bound to one core.
        "srun_args": [f"--cpus-per-task={each.cores}"],
        "additional_parameters": _options({requeue: True, **cluster.options}),
    }
    return {name: value for name, value in given.items() if value is not None}


def _options(given: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
    """By the names that submitit has for options, so that these go before those of other fields."""
    return {name.replace("-", "_"): value for name, value in given.items() if value is not False}


def run_worker(name: str, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a worker on its node; returns its exit status, negative where it was ended from outside."""

    def stop(number: int, _: object) -> None:
        raise _Ended(number)

    # Slurm sends SIGTERM when a job is cancelled or preempted, and SIGUSR2 before its time limit, because
    # submitit asks for it. Either ends the worker in order, which gives back at once what it had claimed.
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, stop)
    try:
        status = worker.run(name, folder, command, environment)
    except _Ended as ended:
        return -ended.number
    return -signal.SIGTERM if status == 128 + signal.SIGTERM else status


def run_member(folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """`run_worker` for the task of a gang on this node: its number tells which it is."""
    return run_worker(f"worker-{os.environ['SLURM_PROCID']}", folder, command, environment)


class _Ended(BaseException):
    def __init__(self, number: int) -> None:
        self.number = number


class _Jobs:
    """The jobs of one stage: those submitted, those found in the queue, and the queue itself."""

    def __init__(self, cluster: SlurmCluster, work: Work) -> None:
        self._work = work
        self._parameters = parameters(cluster, work)
        self._arguments = (work.folder, list(work.command), {**work.environment, **cluster.environment})
        # Names tell our jobs from all others of this user, and those with these settings from earlier ones.
        # Every attempt of a gang has a folder of its own beside those of earlier ones.
        place = work.folder.parent if work.gang else work.folder
        self._prefix = f"{re.sub(r'[^A-Za-z0-9_-]', '-', work.name)}-{_digest(str(place))}."
        self._name = self._prefix + _digest(repr((self._parameters, self._arguments)))
        self._ready: dict[str, _Task] = {}
        self._queue: dict[str, Queued] = {}
        self._missing: dict[str, int] = {}
        self._asked = self._submitted = 0.0
        self.refused = ""

    def begin(self) -> None:
        """Take over what an earlier run has left in the queue, and submit the rest as one job array; a gang
        anew, as one job of several nodes."""
        self._executor = _executor(self._work.folder / SUBMITTED)
        self._executor.update_parameters(job_name=self._name, **self._parameters)
        names = [f"worker-{number}" for number in range(self._work.count)]
        if self._work.gang:
            self._ask()
            _cancel(job_id for job_id, _ in self._ours())
            self._ready = self._submit_gang(names)
            return
        self._adopt(names)
        self._ready |= self._submit([name for name in names if name not in self._ready])

    def place(self, name: str) -> _Task | _Refused:
        if task := self._ready.pop(name, None):
            return task
        try:
            (task,) = self._submit([name]).values()
        except UserError as error:
            # The others go on: the controller may be restarting, or a limit be reached for now.
            self.refused = str(error)
            return _Refused(time.monotonic() + RETRY_S)
        self.refused = ""
        return task

    def _adopt(self, names: Sequence[str]) -> None:
        self._ask()
        surplus = []
        for job_id, queued in self._ours():
            job = self._found(job_id) if queued.name == self._name else None
            name = job.submission().args[0] if job else ""
            if job and name in names and name not in self._ready:
                self._ready[name] = self._task(name, job)
            else:
                surplus.append(job_id)
        _cancel(surplus)

    def _found(self, job_id: str) -> Any:
        """The job `job_id` of an earlier run; None where that was killed before it had written it down."""
        from submitit import SlurmJob

        job: Any = SlurmJob(self._executor.folder, job_id)
        return job if job.paths.submitted_pickle.exists() else None

    def _submit(self, names: Sequence[str]) -> dict[str, _Task]:
        if not names:
            return {}
        with _outside_of_jobs():
            try:
                jobs = self._executor.map_array(
                    run_worker, names, *([one] * len(names) for one in self._arguments)
                )
            except RuntimeError as error:
                raise refusal(str(error)) from None
        return {name: self._task(name, job) for name, job in zip(names, jobs, strict=True)}

    def _submit_gang(self, names: Sequence[str]) -> dict[str, _Task]:
        self._executor.update_parameters(nodes=len(names), ntasks_per_node=1)
        with _outside_of_jobs():
            try:
                job = self._executor.submit(run_member, *self._arguments)
            except RuntimeError as error:
                raise refusal(str(error)) from None
        return {name: self._task(name, job.task(number)) for number, name in enumerate(names)}

    def _task(self, name: str, job: Any) -> _Task:
        self._missing[job.job_id], self._submitted = 0, time.monotonic()
        return _Task(name, job, self._work.folder, self)

    def state(self, job_id: str) -> str:
        """Its state by Slurm's name: PENDING until the queue is asked, "" once it is in it no more."""
        now = time.monotonic()
        if now - self._asked > min(LATEST_S, max(SOONEST_S, (now - self._submitted) / 2)):
            self._ask()
        if job_id in self._queue:
            return self._queue[job_id].state
        # A queue that is asked while it changes may once lack a job.
        return "PENDING" if self._missing[job_id] < 2 else ""

    def _ask(self) -> None:
        self._asked = time.monotonic()
        command = ("squeue", "--me", "--array", "--noheader", "--states=all", "--format=%i|%T|%r|%j")
        said = subprocess.run(command, capture_output=True, text=True)
        if said.returncode:
            # The controller may be restarting: nothing is known that was not known before.
            logging.getLogger(__name__).warning("squeue: %s", said.stderr.strip())
            return
        rows = (line.split("|", 3) for line in said.stdout.splitlines())
        self._queue = {job_id: Queued(*rest) for job_id, *rest in rows if rest[-1].startswith(self._prefix)}
        for job_id in self._missing:
            self._missing[job_id] = 0 if job_id in self._queue else self._missing[job_id] + 1

    def _ours(self) -> list[tuple[str, Queued]]:
        return [(job_id, one) for job_id, one in self._queue.items() if one.state not in ENDED | FAULTY]

    def waiting(self) -> str:
        """Why jobs wait: `3 queued (Priority)`; "" where none do."""
        reasons = Counter(one.reason for _, one in self._ours() if one.state == "PENDING")
        return f"{reasons.total()} queued ({', '.join(reasons)})" if reasons else ""

    def cancel_all(self) -> None:
        """Cancel every job of this stage, and wait until none is left or `ENDING_S` have passed."""
        if shutil.which("scancel") is None:
            return
        deadline = time.monotonic() + ENDING_S
        self._ask()
        unseen = [job_id for job_id in self._missing if job_id not in self._queue]
        _cancel([*unseen, *(job_id for job_id, _ in self._ours())])
        while self._ours() and time.monotonic() < deadline:
            time.sleep(2.0)
            self._ask()


@dataclass(frozen=True)
class _Task:
    name: str
    job: Any
    folder: Path
    jobs: _Jobs

    @property
    def status(self) -> int | None:
        state = self.jobs.state(self.job.job_id)
        ended = not state or state in ENDED | FAULTY
        if self.job.paths.result_pickle.exists():
            status = self._result()
            # One that was ended from outside may have been requeued.
            return status if status >= 0 or ended else None
        if not ended:
            return None
        said = (self.job.stderr() or "").splitlines()[-worker.TAIL_LINES :]
        self._note("\n".join([f"Slurm job {self.job.job_id}: {state or 'gone'}", *said]))
        return FAULT if state in FAULTY else LOST

    def _result(self) -> int:
        try:
            return int(self.job.result())
        except RuntimeError as error:
            self._note(f"Slurm job {self.job.job_id}: {error}")
            return FAULT

    def _note(self, text: str) -> None:
        with (self.folder / f"{self.name}{worker.LOG}").open("a", encoding="utf-8") as log:
            log.write(text.rstrip() + "\n")

    @property
    def running(self) -> bool:
        return self.jobs.state(self.job.job_id) == "RUNNING"

    def end(self) -> None:
        """All jobs are cancelled by one command, after this."""


@dataclass(frozen=True)
class _Refused:
    """A replacement that sbatch has refused; lost when it is time to ask again."""

    until: float
    running = False

    @property
    def status(self) -> int | None:
        return LOST if time.monotonic() > self.until else None

    def end(self) -> None:
        """Nothing was started."""


@dataclass(frozen=True)
class _Workers:
    tending: Tending
    jobs: _Jobs

    def check(self) -> None:
        self.tending.check()

    @property
    def finished(self) -> bool:
        return self.tending.finished

    def describe(self) -> str:
        return ", ".join(filter(None, (self.tending.describe(), self.jobs.waiting(), self.jobs.refused)))


def _executor(folder: Path) -> Any:
    try:
        import submitit
    except ImportError:
        raise UserError(
            "execution.cluster.kind: 'slurm' needs the package submitit; run `make cluster` or "
            "`pip install 'tessy[cluster]'`"
        ) from None
    if any(shutil.which(command) is None for command in ("sbatch", "srun", "squeue", "scancel")):
        raise UserError(
            "execution.cluster.kind: 'slurm' needs sbatch, srun, squeue and scancel, and not all of them are "
            "here; start the run on a machine from which jobs are submitted"
        )
    python = shlex.join([sys.executable, "-P", "-X", "utf8"])
    return submitit.SlurmExecutor(folder, python=python)


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Submit as if not from within a job, whose own variables would shape the new one; what the user sets for
    sbatch holds."""
    from submitit.helpers import clean_env

    kept = {name: os.environ[name] for name in os.environ if name.startswith("SBATCH_")}
    kept |= {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():
        os.environ.update(kept)
        yield


def refusal(said: str, others: Mapping[str, str] = MappingProxyType({})) -> UserError:
    """The error for what sbatch says, with the field that is the likely reason: that of `execution.cluster`,
    or the one that `others` names in its place."""
    words = "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in said.splitlines())
    for word, field, remedy in FIELDS:
        if word in said.lower():
            place = others.get(field, f"execution.cluster.{field}")
            return UserError(f"{place}: sbatch refuses: {words}; {remedy}")
    return UserError(
        f"execution.cluster: sbatch refuses: {words}; `sinfo` and `scontrol ping` say whether Slurm is up"
    )


def _cancel(job_ids: Iterable[str]) -> None:
    if found := list(job_ids):
        subprocess.run(["scancel", "--quiet", *found], check=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
