"""The part of one node in a training run: it finds the other nodes and runs torchrun's agent.

`python -m train.agent FOLDER ATTEMPT [NODE]` trains the stage in FOLDER. ATTEMPT is a folder that all nodes
share and that no earlier attempt has used. There each node says where it is, and the first one which port
torchrun's store will listen on. torchrun starts nothing again: a broken run is started again as a whole, by
the stage, in another attempt, and what is left of this one then ends by itself.

Not covered: nodes that join a run under way.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from tessy.artifacts import read_json
from tessy.claims.files import first_wins
from tessy.cluster.worker import number
from tessy.config.train import TrainExecution
from tessy.processes import die_with_parent, with_parent
from tessy.runtime.job import read_spec
from train.ranks import Cause, Failure, failure, failures, node_file, record

MEET_S = 600.0
"""How long a node waits for the others. Clusters start all of them at about the same time."""
LOOK_S = 0.2
ELSEWHERE = ("192.0.2.1", 9)
"""An address of none (RFC 5737): which of this machine's addresses would be used to reach others?"""


def meet(attempt: Path, node: int, spread: TrainExecution, patience_s: float = MEET_S) -> str:
    """HOST:PORT of the first node, once all nodes are there. Raises `TimeoutError` with those that are, and
    `ConnectionError` where this node has been in this attempt before."""
    endpoint = spread.rendezvous or f"{own_address()}:{free_port()}"
    here = json.dumps({"host": platform.node(), "pid": os.getpid(), "endpoint": endpoint})
    if first_wins(attempt / node_file(node), here) != here:
        raise ConnectionError(f"node {node} is already part of {attempt}; only a new attempt can begin anew")
    present = [attempt / node_file(each) for each in range(spread.nodes)]
    deadline = time.monotonic() + patience_s
    while missing := [path.stem for path in present if not path.exists()]:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"after {patience_s:.0f} s {', '.join(missing)} of {spread.nodes} nodes is missing: not "
                f"started, or without a view of {attempt}; see the logs there and the cluster's queue"
            )
        time.sleep(LOOK_S)
    return str(read_json(present[0])["endpoint"])


def own_address() -> str:
    """An address of this machine that others can reach, as far as can be known here: what its name means, or
    if that is itself only (Debian's 127.0.1.1), that of the interface towards other networks."""
    try:
        named = socket.gethostbyname(socket.gethostname())
    except OSError:
        named = "127.0.0.1"
    if not named.startswith("127."):
        return named
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        try:
            unsent.connect(ELSEWHERE)
        except OSError:
            return named
        return str(unsent.getsockname()[0])


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listening:
        listening.bind(("", 0))
        return int(listening.getsockname()[1])


def end_with(attempt: Path) -> None:
    """End this process, and the ranks with it, once the stage has begun another attempt or is gone."""
    while not any(int(path.name) > int(attempt.name) for path in attempt.parent.glob("[0-9]*")):
        if not attempt.exists():
            break
        time.sleep(2)
    os.kill(os.getpid(), signal.SIGKILL)


def torchrun(folder: Path, attempt: Path, node: int, spread: TrainExecution) -> None:
    """Train; raises torchrun's `ChildFailedError` where a rank of this node fails, which is then recorded."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as run

    where = ["--standalone"]
    if spread.nodes > 1:
        host, _, port = meet(attempt, node, spread).rpartition(":")
        where = [f"--node-rank={node}", f"--master-addr={host}", f"--master-port={port}"]
    size = [f"--nnodes={spread.nodes}", f"--nproc-per-node={spread.processes}", "--max-restarts=0"]
    os.environ |= with_parent()
    try:
        run([*size, *where, "-m", "train.worker", str(folder), str(attempt)])
    except ChildFailedError as error:
        for rank, ended in error.failures.items():
            note_end(attempt, node, rank, ended.exitcode)
        raise
    except SignalException as ended:
        sys.exit(128 + ended.sigval)


def note_end(attempt: Path, node: int, rank: int, status: int) -> None:
    """Record how a rank ended that could not record it itself; SIGTERM comes from torchrun, after another's
    failure."""
    if status == -signal.SIGTERM or any(known.rank == rank for known in failures(attempt)):
        return
    said = f"ended with status {status}"
    if status < 0:
        said = f"killed by {signal.Signals(-status).name}"
        said += " (out of memory?)" if status == -signal.SIGKILL else ""
    # NCCL aborts a process that has waited in vain for others.
    cause: Cause = "loss" if status == -signal.SIGABRT else "fault"
    record(attempt, Failure(rank, node, platform.node(), cause, said))


def main() -> None:
    folder, attempt, *by_hand = sys.argv[1:]
    if not by_hand:
        die_with_parent()
    threading.Thread(target=end_with, args=[Path(attempt)], daemon=True).start()
    node = int(by_hand[0]) if by_hand else number()
    try:
        torchrun(Path(folder), Path(attempt), node, read_spec(Path(folder)).execution.train)
    except Exception as error:
        # A rank's failure explains more than that its node failed for it.
        if not any(known.node == node for known in failures(Path(attempt))):
            record(Path(attempt), failure(error, node))
        raise


if __name__ == "__main__":
    main()
