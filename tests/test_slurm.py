"""Workers in a real Slurm: job arrays write and judge, whatever happens to their tasks."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tessy.cluster import Resources, Work
from tessy.cluster.on_slurm import SlurmExecutor
from tessy.config.cluster import SlurmCluster as Configured
from tessy.config.cluster import WorkerSize
from tessy.errors import UserError
from tessy.processes import python_module, with_parent
from tessy.runtime import job as stages
from tests import shared_judging, shared_writing
from tests.evaluated_elsewhere import evaluated
from tests.judged_file import KEPT, asked, rows_of
from tests.shared_judging import journaled
from tests.slurm_cluster import SlurmCluster, missing, slurm_cluster

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(800)]
ROOT = Path(__file__).parents[1]
COUNT = 3
"""Workers of a stage."""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    if missing() and not os.environ.get("CI"):
        pytest.skip(f"not installed: {', '.join(missing())}")
    with pytest.MonkeyPatch.context() as patch, slurm_cluster(tmp_path_factory.mktemp("s") / "c") as running:
        patch.setenv("SLURM_CONF", str(running.conf))
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_left(slurm: SlurmCluster) -> Iterator[None]:
    yield
    assert slurm.jobs() == {}


def configured(**fields: Any) -> Configured:
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    return Configured(kind="slurm", worker=WorkerSize(memory_gib=0.5), environment=environment, **fields)


def work(folder: Path, *command: str, count: int = 1, cores: int = 1) -> Work:
    return Work("a stage", command, folder, count, Resources(cores=cores))


def until(found: Callable[[], Any], within_s: float = 240) -> Any:
    """What `found` returns, once that is something; a busy machine may need a while."""
    deadline = time.monotonic() + within_s
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return result


def running(slurm: SlurmCluster, least: int = COUNT) -> list[str]:
    """The jobs that run, once there are so many."""
    found = [job for job, state in slurm.jobs().items() if state == "RUNNING"]
    return found if len(found) >= least else []


class Disturbed:
    """Watches the stage in `folder`: calls `disturb` with the jobs of its workers once all of them run and
    some work is done, and then sees how often each sample is finished."""

    def __init__(self, slurm: SlurmCluster, folder: Path, disturb: Callable[[list[str]], object]) -> None:
        self._slurm, self._folder, self._disturb = slurm, folder, disturb
        self._thread = threading.Thread(target=self._look_on)
        self.finished: Counter[str] = Counter()
        self.jobs: set[str] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _look_on(self) -> None:
        self._disturb(until(lambda: journaled(self._folder) and running(self._slurm)))
        while found := journaled(self._folder):
            self.finished = found
            self.jobs.update(self._slurm.jobs())
            time.sleep(0.1)


def test_an_array_of_writers_loses_two_tasks_and_has_one_requeued(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    said = []

    def disturb(jobs: list[str]) -> None:
        said.append(slurm.ask("scontrol", "show", "job", jobs[0]))
        slurm.ask("scancel", jobs[0])
        slurm.ask("scontrol", "requeue", jobs[1])
        # What Slurm sends before the time limit.
        slurm.ask("scancel", "--signal=USR2", jobs[2])

    config = shared_writing.WritingStage(count=60, pause_s=0.4)
    folder = shared_writing.stage_at(tmp_path / "there", config, COUNT, configured())
    with Disturbed(slurm, folder, disturb) as disturbed:
        stages.run(folder)
    assert "ArrayTaskId=" in said[0]
    assert "TRES=cpu=1,mem=512M" in said[0]
    array = {job.split("_")[0] for job in disturbed.jobs if "_" in job}
    assert len(array) == 1
    assert len(disturbed.jobs) == COUNT + 2
    assert set(disturbed.finished.values()) == {1}
    alone = shared_writing.stage_at(tmp_path / "here", config)
    stages.run(alone)
    assert shared_writing.traces(folder) == shared_writing.traces(alone)


def test_an_array_that_judges_loses_a_node_and_a_task(slurm: SlurmCluster, tmp_path: Path) -> None:
    def disturb(jobs: list[str]) -> None:
        node = slurm.ask("squeue", "--noheader", f"--jobs={jobs[0]}", "--format=%N").strip()
        slurm.lose(node)
        slurm.ask("scancel", jobs[-1])

    folder = shared_judging.stage_at(tmp_path, 120, COUNT, configured())
    with Disturbed(slurm, folder, disturb) as disturbed:
        stages.run(folder)
    assert set(disturbed.finished.values()) == {1}
    assert shared_judging.verdicts(folder) == shared_judging.expected(120)


def test_an_evaluation_by_an_array_is_that_of_this_machine(slurm: SlurmCluster, tmp_path: Path) -> None:
    """Of code: responses and verdicts. One task is cancelled and one requeued while responses are written."""
    evaluation = evaluated(tmp_path, "evaluate-student_only")
    with evaluation.on(configured().plain, workers=2) as run:
        until(lambda: journaled(evaluation.partial) or run.poll() is not None)
        jobs = list(slurm.jobs())
        slurm.ask("scancel", jobs[0])
        slurm.ask("scontrol", "requeue", jobs[1])
        said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said
    evaluation.check()


def test_a_file_of_programs_is_judged_by_an_array_that_loses_a_task_and_has_one_requeued(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    alone = subprocess.run(asked(tmp_path, 240, "alone.jsonl"), cwd=ROOT, capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    where = f"--on={json.dumps(configured().plain)}"
    command = [*asked(tmp_path, 240), where, f"--processes={COUNT}"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as judging:
        until(lambda: any(path.stat().st_size for path in tmp_path.glob(KEPT)))
        jobs = until(lambda: running(slurm, least=2))
        slurm.ask("scontrol", "requeue", jobs[1])
        slurm.ask("scancel", jobs[0])
        _, said = judging.communicate(timeout=240)
    assert judging.returncode == 0, said
    assert rows_of(tmp_path / "out.jsonl") == rows_of(tmp_path / "alone.jsonl")
    assert "240 judged" in said


def test_the_jobs_of_a_killed_run_go_on_and_belong_to_the_next(slurm: SlurmCluster, tmp_path: Path) -> None:
    folder = shared_writing.stage_at(
        tmp_path, shared_writing.WritingStage(count=120, pause_s=0.4), COUNT, configured()
    )
    environment = {**with_parent(), **configured().environment}
    killed = subprocess.Popen(python_module("tessy.runtime.job", str(folder)), env=environment)
    jobs = until(lambda: journaled(folder) and list(slurm.jobs()))
    killed.kill()
    killed.wait()
    before = len(journaled(folder))
    until(lambda: len(journaled(folder)) > before)
    with Disturbed(slurm, folder, lambda jobs: slurm.ask("scancel", jobs[0])) as disturbed:
        stages.run(folder)
    # What the killed run has left, and one job in the place of the one that was lost.
    assert len(disturbed.jobs - set(jobs)) == 1
    assert set(disturbed.finished.values()) == {1}
    assert len(json.loads(shared_writing.traces(folder))) == 120


def test_jobs_with_other_settings_than_now_are_replaced(slurm: SlurmCluster, tmp_path: Path) -> None:
    sleeping, folder = ("sleep", "600"), tmp_path / "w"
    earlier = SlurmExecutor(configured()).start(work(folder, *sleeping, count=2))
    earlier.__enter__()
    old = set(slurm.jobs())
    with SlurmExecutor(configured(time_minutes=30)).start(work(folder, *sleeping)) as workers:
        until(lambda: old.isdisjoint(slurm.jobs()))
        workers.check()
        assert len(slurm.jobs()) == 1


def test_refused_input_is_the_users_error(slurm: SlurmCluster, tmp_path: Path) -> None:
    config = shared_writing.WritingStage(count=5, refused=True)
    folder = shared_writing.stage_at(tmp_path, config, 2, configured())
    with pytest.raises(UserError, match=r"^temperature: 9: at most 2; lower it$"):
        stages.run(folder)


def test_what_fails_before_a_worker_begins_is_told_with_its_output(
    slurm: SlurmCluster, tmp_path: Path
) -> None:
    broken = configured(setup=("echo no such module >&2", "exit 3"))
    said = r"(?s)4 times with a fault.*FAILED.*no such module"
    starting = SlurmExecutor(broken).start(work(tmp_path / "w", "true"))
    with pytest.raises(RuntimeError, match=said), starting as workers:
        until(workers.check)


def test_a_replacement_that_is_refused_does_not_end_the_others(slurm: SlurmCluster, tmp_path: Path) -> None:
    with SlurmExecutor(configured()).start(work(tmp_path / "w", "sleep", "600", count=2)) as workers:
        until(lambda: set(slurm.jobs().values()) == {"RUNNING"})
        slurm.ask("scontrol", "update", "partitionname=debug", "state=inactive")
        slurm.ask("scancel", next(iter(slurm.jobs())))
        until(lambda: workers.check() or "sbatch refuses" in workers.describe())
        slurm.ask("scontrol", "update", "partitionname=debug", "state=up")
        assert workers.describe().startswith("1 of 2 workers (1 lost)")
        assert len(slurm.jobs()) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"partition": "none"}, r"execution\.cluster\.partition: sbatch refuses: invalid partition"),
        ({"time_minutes": 10_000}, r"execution\.cluster\.time_minutes: sbatch refuses: .*time limit"),
        ({"options": {"colour": "red"}}, r"execution\.cluster\.options: sbatch refuses: .*colour"),
        ({"constraint": "gpu"}, r"execution\.cluster\.constraint: sbatch refuses: .*feature"),
    ],
)
def test_what_sbatch_refuses_names_the_field(
    slurm: SlurmCluster, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    starting = SlurmExecutor(configured(**fields)).start(work(tmp_path / "w", "true", count=2))
    with pytest.raises(UserError, match=said), starting:
        pass


def test_no_node_has_so_many_cores(slurm: SlurmCluster, tmp_path: Path) -> None:
    starting = SlurmExecutor(configured()).start(work(tmp_path / "w", "true", cores=64))
    with pytest.raises(UserError, match=r"execution\.cluster\.worker: sbatch refuses"), starting:
        pass


def test_a_machine_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starting = SlurmExecutor(configured()).start(work(tmp_path / "w", "true"))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(UserError, match=r"^execution\.cluster\.kind: 'slurm' needs sbatch"), starting:
            pass
