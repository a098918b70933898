"""A real Slurm on loopback: munged, slurmctld and slurmd from Debian's packages, in a temporary folder.

No systemd, no cgroups, no accounting database. All nodes are this machine, and declared larger than it is.
Everything that knows this Slurm's configuration (daemons, job steps, workers) is ended with it, by a process
of its own (`main`), so that a test process that is killed leaves nothing.

Not covered: users other than the one that starts it, which has to be root.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
PATIENCE_S = 40.0
CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job begins once its old credential has expired: after two minutes, where not told otherwise.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
ReturnToService=2
KillWait=15
EnforcePartLimits=ALL
DefMemPerCPU=512
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=1440 State=UP
"""
NODE = "NodeName={name} NodeAddr=127.0.0.1 NodeHostname={host} Port={port} CPUs={cpus} RealMemory=8192"


@dataclass(frozen=True)
class SlurmCluster:
    """A Slurm that runs; its commands find it by the environment variable SLURM_CONF."""

    folder: Path

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    def jobs(self) -> dict[str, str]:
        """The states of the jobs that wait or run, by id; each task of an array by itself."""
        lines = self.ask("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def lose(self, node: str) -> None:
        """A power failure of a node: all that runs there is gone, and it comes back."""
        for pid in _of(self, f"SLURMD_NODENAME={node}"):
            with suppress(OSError):
                step = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                if Path(f"/proc/{step}/comm").read_text().startswith("slurmstepd"):
                    os.kill(step, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
        (daemon,) = (pid for pid in _of(self) if _command(pid).endswith(f"\0-N\0{node}\0"))
        os.kill(daemon, signal.SIGKILL)
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")
        _start(self, *_daemon(node))


def missing() -> list[str]:
    """The commands that this machine lacks."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [command for command in NEEDED if shutil.which(command, path=path) is None]


@contextmanager
def slurm_cluster(folder: Path, nodes: int = 2, cpus: int = 2) -> Iterator[SlurmCluster]:
    """A Slurm of `nodes` nodes with `cpus` CPUs each, with its files in `folder`."""
    cluster = SlurmCluster(folder)
    names = [f"node{number}" for number in range(nodes)]
    _write_conf(cluster, names, cpus)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    with _ending(cluster):
        files = [f"--{what}-file={folder}/munge.{what}" for what in ("key", "log", "pid", "seed")]
        _start(cluster, "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
        _wait(lambda: (folder / "munge.socket").exists(), cluster)
        _start(cluster, "slurmctld", "-D")
        for name in names:
            _start(cluster, *_daemon(name))
        _wait(lambda: _idle(cluster) == nodes, cluster)
        yield cluster


@contextmanager
def _ending(cluster: SlurmCluster) -> Iterator[None]:
    """End all of `cluster` on leaving, or when this process dies."""
    command = [sys.executable, "-P", __file__, str(cluster.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield


def _write_conf(cluster: SlurmCluster, names: list[str], cpus: int) -> None:
    (cluster.folder / "state").mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    controller, *ports = _free_ports(1 + len(names))
    nodes = [
        NODE.format(name=name, host=host, port=port, cpus=cpus)
        for name, port in zip(names, ports, strict=True)
    ]
    text = CONF.format(host=host, controller=controller, folder=cluster.folder, nodes="\n".join(nodes))
    cluster.conf.write_text(text)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _start(cluster: SlurmCluster, *command: str) -> None:
    environment = {**os.environ, "SLURM_CONF": str(cluster.conf)}
    environment["PATH"] = environment.get("PATH", "") + ":/usr/sbin:/sbin"
    with (cluster.folder / "daemons.log").open("ab") as log:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


def _wait(ready: Callable[[], bool], cluster: SlurmCluster) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, (cluster.folder / "daemons.log").read_text()[-4000:]
        time.sleep(0.1)


def _idle(cluster: SlurmCluster) -> int:
    try:
        return cluster.ask("sinfo", "--noheader", "--Node", "--format=%t").split().count("idle")
    except subprocess.CalledProcessError:
        return 0


def _end_all(cluster: SlurmCluster) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 5
        while (found := _of(cluster)) and time.monotonic() < deadline:
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.2)


def _daemon(node: str) -> tuple[str, ...]:
    return ("slurmd", "-D", "-N", node)


def _of(cluster: SlurmCluster, *variables: str) -> list[int]:
    """The processes of `cluster`: the daemons, job steps, and what those have started; those with these
    `variables` in their environment."""
    wanted, found = {f"SLURM_CONF={cluster.conf}", *variables}, []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (process / "environ").read_bytes().decode(errors="replace").split("\0")
            if wanted.issubset(environment) and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def _command(pid: int) -> str:
    """A process's command line; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def main() -> None:
    """End all processes of the Slurm in a folder once standard input ends, as when its starter dies."""
    sys.stdin.read()
    _end_all(SlurmCluster(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
