"""Workers on a Ray cluster of three nodes, which are processes of this machine: results of a local run,
whatever dies in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pytest
from processes import end
from scripted import ANSWER, THINKING, samples
from shared_stages import MODULES, ROOT, Stage, started
from test_journal import check_every_sample_once_without_a_hole

from tessy.bench.claims import measure
from tessy.claims.life import states
from tessy.cluster import Resources, Work, Workers
from tessy.cluster.coordinator import coordinator
from tessy.cluster.on_ray import RayExecutor, connect
from tessy.config.cluster import LocalCluster, RayCluster
from tessy.errors import UserError
from tests import shared_judging
from tests.evaluated_elsewhere import evaluated
from tests.judged_file import asked, expected, rows_of
from tests.shared_writing import WritingStage, stage_at, traces

pytestmark = [pytest.mark.ray, pytest.mark.timeout(800)]

COUNT = 500
PAUSE_S = 0.02
NODE = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 * 2**20}
"""Its GPU is a number that Ray hands out."""


class Nodes:
    """A Ray cluster of three nodes, two of which may be killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self.cluster = Cluster()
        for _ in range(3):
            self.add()
        self.section = RayCluster(
            kind="ray", address=self.cluster.address, environment={"PYTHONPATH": MODULES}
        )
        self.ray = connect(self.section)

    def add(self) -> None:
        self.cluster.add_node(**NODE, include_dashboard=False)

    def kill(self) -> None:
        """Kill a node that is not the head, with everything on it."""
        node = next(iter(self.cluster.worker_nodes))
        self.cluster.remove_node(node, allow_graceful=False)

    def coordinator(self, folder: Path) -> int:
        """The process id of the coordinator for `folder`."""
        asked = coordinator(self.ray, folder).process.remote()
        return int(self.ray.get(asked, timeout=30))

    def names(self) -> list[str]:
        return [actor["name"] for actor in self.ray.util.list_named_actors(all_namespaces=True)]

    def close(self) -> None:
        self.ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="run: pip install 'tessy[cluster]'")
    started = Nodes()
    yield started
    started.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """The traces of a local run of as many workers, and how long it took."""
    here = LocalCluster(environment={"PYTHONPATH": MODULES})
    folder = stage_at(tmp_path_factory.mktemp("local"), WritingStage(count=COUNT), 3, here)
    with started(folder) as stage:
        took = seconds(stage)
        stage.finished()
    return traces(folder), took


def seconds(stage: Stage) -> str:
    """How long a stage needs to its first response, for the others, and to its end."""
    times = [time.monotonic()]
    for wait in (lambda: stage.reaches(1), lambda: stage.reaches(COUNT), stage.finished):
        wait()
        times.append(time.monotonic())
    first, others, rest = (after - before for before, after in pairwise(times))
    return f"{first:.1f} s to the first, {1000 * others / COUNT:.1f} ms for each, {rest:.1f} s to the end"


def check(stage: Stage, expected: bytes) -> float:
    """Nothing lost, nothing done twice, and `expected` is the result. Returns the share of tokens written
    twice."""
    stage.finished()
    assert traces(stage.folder) == expected
    ids = [sample.sample_id for sample in samples(COUNT)]
    return check_every_sample_once_without_a_hole(stage.kept / "traces.journal", ids, THINKING + ANSWER)


def notes(stage: Stage) -> str:
    return "\n".join(str(message.get("note", message)) for message in stage.messages())


def eventually(what: Callable[[], bool], within_s: float = 30) -> bool:
    deadline = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_traces_are_those_of_a_local_run(
    nodes: Nodes, local: tuple[bytes, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with started(stage_at(tmp_path, WritingStage(count=COUNT), 3, nodes.section)) as stage:
        took = seconds(stage)
        assert check(stage, local[0]) <= 0
    with capsys.disabled():
        print(f"\n{COUNT} traces, three workers: locally {local[1]}; on Ray {took}")


def test_the_coordinator_and_a_node_are_killed_in_the_middle(
    nodes: Nodes, local: tuple[bytes, str], tmp_path: Path
) -> None:
    """No worker is lost with the coordinator; what the node had is written by others."""
    partial = stage_at(tmp_path, WritingStage(count=COUNT, pause_s=PAUSE_S), 3, nodes.section)
    with started(partial) as stage:
        for done in (50, 150):
            stage.reaches(done)
            os.kill(nodes.coordinator(*stage.journals), signal.SIGKILL)
        stage.reaches(250)
        assert "lost" not in notes(stage)
        nodes.kill()
        assert len(stage.done) < COUNT, "killed too late to matter"
        nodes.add()
        assert check(stage, local[0]) < 0.1
        assert "(1 lost)" in notes(stage)


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is missing")
def test_judging_goes_on_when_a_node_and_the_coordinator_are_killed(nodes: Nodes, tmp_path: Path) -> None:
    partial = shared_judging.stage_at(tmp_path, COUNT, 3, nodes.section)
    with started(partial) as stage:
        stage.reaches(50)
        nodes.kill()
        nodes.add()
        stage.reaches(150)
        os.kill(nodes.coordinator(*stage.journals), signal.SIGKILL)
        assert len(stage.done) < COUNT, "killed too late to matter"
        stage.finished(300)
        assert sorted(stage.done) == sorted(shared_judging.expected(COUNT))
    assert shared_judging.verdicts(partial) == shared_judging.expected(COUNT)


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is missing")
def test_a_file_of_programs_is_judged_on_ray(nodes: Nodes, tmp_path: Path) -> None:
    command = [*asked(tmp_path, 60), f"--on={json.dumps(nodes.section.plain)}", "--processes=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [row["verdict"] for row in rows_of(tmp_path / "out.jsonl")] == expected(60)


CLAIMING = """
import json, sys, threading
from pathlib import Path
from tessy.cluster.coordinator import RayClaims
from tessy.cluster.on_ray import connect
from tessy.config.cluster import RayCluster

cluster = RayCluster(kind="ray", address={address!r})
connect(cluster)
owners = [RayClaims(cluster, Path({folder!r})) for _ in range({owners})]
keys, taken = [str(key) for key in range({keys})], []

def claim(owner):
    at = int(owner.owner, 16) % len(keys)  # each begins elsewhere, as journals do
    mine = [key for key in keys[at:] + keys[:at] if owner.take(key) == 1]
    taken.extend(key for key in mine if owner.holds(key))

print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=claim, args=[owner]) for owner in owners]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(taken), flush=True)
sys.stdin.readline()
"""


def test_no_two_of_64_owners_claim_the_same_while_the_coordinator_is_killed(
    nodes: Nodes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, processes = 3000, 4
    script = CLAIMING.format(
        address=nodes.section.address, folder=str(tmp_path), keys=keys, owners=64 // processes
    )
    with ExitStack() as stack:
        running = [stack.enter_context(talking(script)) for _ in range(processes)]
        assert [one.readline() for one, _ in running] == ["ready\n"] * processes
        began, victim = time.monotonic(), nodes.coordinator(tmp_path)
        for _, to in running:
            print(file=to, flush=True)
        time.sleep(0.5)
        os.kill(victim, signal.SIGKILL)
        taken = [key for one, _ in running for key in json.loads(one.readline())]
        took = time.monotonic() - began
    assert sorted(taken) == sorted(map(str, range(keys)))
    with capsys.disabled():
        print(f"\n64 owners: {keys} claims in {took:.1f} s, {keys / took:.0f} a second")


def test_claims_through_ray_are_measured(nodes: Nodes, tmp_path: Path) -> None:
    found = measure(2, 60, tmp_path, nodes.section)
    assert (found["twice"], found["missing"], found["asked_in_vain"]) == (0, 0, 60)
    assert found["connect_s"] > 0
    assert found["first_claim_s"] > 0


@contextmanager
def talking(script: str) -> Iterator[tuple[IO[str], IO[str]]]:
    """The output and the input of a Python process that runs `script`."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout, process.stdin
    finally:
        process.kill()
        process.communicate()


def test_a_killed_stage_leaves_nothing_on_the_cluster_and_goes_on(
    nodes: Nodes, local: tuple[bytes, str], tmp_path: Path
) -> None:
    partial = stage_at(tmp_path, WritingStage(count=COUNT, pause_s=PAUSE_S), 3, nodes.section)
    with started(partial) as stage:
        stage.reaches(100)
        (journal,) = stage.journals
        workers = [said["pid"] for said in states(journal).values()]
    assert end(workers)
    assert eventually(lambda: nodes.ray.available_resources().get("CPU") == 3)
    assert eventually(lambda: not nodes.names())
    with started(partial) as stage:
        assert check(stage, local[0]) < 0.1


def work(tmp_path: Path, command: str, count: int = 1, **each: Any) -> Work:
    return Work("w", [sys.executable, "-c", command], tmp_path / "workers", count, Resources(**each))


def watch(workers: Workers, path: Path, lines: int) -> list[str]:
    """The lines of a log, once there are so many."""

    def complete() -> bool:
        workers.check()
        return path.exists() and len(path.read_text().splitlines()) >= lines

    assert eventually(complete)
    return path.read_text().splitlines()


def test_a_worker_sees_the_gpu_that_ray_gave_it(nodes: Nodes, tmp_path: Path) -> None:
    script = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)"
    with RayExecutor(nodes.section).start(work(tmp_path, script, 2, gpus=1)) as workers:
        assert watch(workers, tmp_path / "workers" / "worker-1.log", 1) == ["0"]


def test_workers_that_find_no_room_yet_are_told_of(nodes: Nodes, tmp_path: Path) -> None:
    sleep = "import time; print('up', flush=True); time.sleep(600)"
    executor = RayExecutor(nodes.section)
    with executor.start(work(tmp_path / "a", sleep, 3)) as first:
        watch(first, tmp_path / "a" / "workers" / "worker-2.log", 1)
        with executor.start(work(tmp_path / "b", sleep)) as second:
            assert eventually(
                lambda: "waiting for room on Ray: 1 times 1 CPU; free are 0 CPU" in second.describe()
            )
            assert second.describe().startswith("0 of 1 workers")
    assert eventually(lambda: nodes.ray.available_resources().get("CPU") == 3)


def test_what_the_cluster_can_never_hold_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    with (
        pytest.raises(
            UserError, match=r"execution\.cluster\.worker: 2 CPU .* room for 0 \(3 nodes: 1 CPU, 1 GPU"
        ),
        RayExecutor(nodes.section).start(work(tmp_path, "", cores=2)),
    ):
        pass


def test_a_command_that_fails_again_and_again_is_shown(nodes: Nodes, tmp_path: Path) -> None:
    failing = work(tmp_path, "raise SystemExit('no such model')")
    with (
        RayExecutor(nodes.section).start(failing) as workers,
        pytest.raises(RuntimeError, match="no such model"),
    ):
        eventually(lambda: workers.check() is not None)


NOBODY = """
from tessy.cluster.on_ray import connect
from tessy.config.cluster import RayCluster
connect(RayCluster(kind="ray", address={address!r}))
"""


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_where_no_cluster_is_the_remedy_is_named_and_nothing_printed(address: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-P", "-c", NOBODY.format(address=address)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == ""
    assert f"UserError: execution.cluster.address: {address}: " in ran.stderr.splitlines()[-1]
    assert "ray start --head" in ran.stderr or address.startswith("ray://")


def test_an_evaluation_on_ray_is_that_of_this_machine(nodes: Nodes, tmp_path: Path) -> None:
    """By lm-eval; a node and the coordinator are killed while responses are written."""
    evaluation = evaluated(tmp_path, "lmeval-student_only")
    with evaluation.on(nodes.section.plain, workers=2) as run:
        journals = list[Path]()
        while not journals and run.poll() is None:
            time.sleep(0.05)
            journals = list(evaluation.partial.glob("work/*.journal"))
        nodes.kill()
        os.kill(nodes.coordinator(*journals), signal.SIGKILL)
        nodes.add()
        said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said
    evaluation.check()
