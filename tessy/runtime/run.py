"""Runs a plan: reuses finished stages and runs the others in parallel, one process per stage.

A stage works in `<stage>-<fingerprint>.partial/`, which is renamed when it is finished. So after a kill at
any point, finished stages are reused and every other one resumes where it stopped. Child processes die with
this process. Several runs may work in one folder (the points of a sweep, on one machine or many): a stage is
made by the run that claimed it, the others wait for it and use it. Servers that stages use belong to the run,
and end when no stage that is left will ask for them.

Not covered: what the workers of a stage do (`tessy.cluster`).
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from tessy.artifacts import PARTIAL, manifest_of, write_json, write_text
from tessy.claims import LEASE_S
from tessy.claims.files import FileClaims
from tessy.config.execution import Execution
from tessy.config.load import as_yaml
from tessy.engines.mps import multi_process_service
from tessy.engines.shared import Keeper
from tessy.errors import UserError
from tessy.processes import inherited
from tessy.runtime.display import Display
from tessy.runtime.fork_server import ForkServer
from tessy.runtime.job import JOB, WORK, Spec
from tessy.runtime.plan import Plan, Runnable, Stage
from tessy.runtime.reuse import Decision, decide
from tessy.tracking import OF_ONE_RUN

LOG = "stage.log"
CLAIMS = ".claims"
"""Folder inside a run's with what each stage's maker has claimed."""
STARTED = f"{WORK}/started.json"
PATIENCE_S = 15.0
"""Between asking stages to end and killing them: they may have servers to stop."""


class StageFailed(RuntimeError):
    """A stage ended with a fault; the message names its log file."""


@dataclass
class _Running:
    """A running stage: its process once started, and its exit status once ended."""

    stage: Stage
    pipe: int
    pid: int | None = None
    status: int | None = None
    buffer: bytes = b""
    error: str = ""

    @property
    def ended(self) -> bool:
        return self.status is not None


def execute(
    planned: Plan[Runnable], runs_dir: Path, display: Display, execution: Execution | None = None
) -> Path:
    """Reuse or run every stage of `planned`; returns the recipe's run folder. `execution` is the recipe's
    with what was worked out for this machine.

    Raises `UserError` where a stage refused its input and `StageFailed` where one failed.
    """
    folder = runs_dir / planned.recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "recipe.yaml", as_yaml(planned.recipe.plain))
    decisions = decide(planned, folder)
    display.plan(decisions)
    _Executor(planned, folder, display, decisions, execution or planned.recipe.execution).run()
    return folder


class _Executor:
    def __init__(
        self,
        planned: Plan[Runnable],
        folder: Path,
        display: Display,
        decisions: list[Decision],
        execution: Execution,
    ) -> None:
        self.planned, self.folder, self.display = planned, folder, display
        self.execution = execution
        self.keeper: Keeper | None = None
        self.needed: set[str] = set()
        self.finished = {decision.stage.name for decision in decisions if decision.action == "reuse"}
        self.waiting = [stage for stage in planned.by_need() if stage.name not in self.finished]
        self.elsewhere: set[str] = set()
        self.running: dict[str, _Running] = {}

    def run(self) -> None:
        if not self.waiting:
            return
        with multi_process_service() if self.execution.mps else nullcontext():
            self._run()

    def _run(self) -> None:
        self.claims = FileClaims(self.folder / CLAIMS)
        self.environment = environment(self.execution.threads) | _home(self.folder)
        self.fork_server = ForkServer(self.environment)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.fork_server, selectors.EVENT_READ)
        try:
            while self.waiting or self.running:
                self._start_ready()
                self._keep_servers()
                self._require_claims()
                self._listen()
                for running in [running for running in self.running.values() if running.ended]:
                    self._conclude(running)
        finally:
            self._stop_all()

    def _keep_servers(self) -> None:
        """Tell the keeper of servers what is still needed."""
        left = [*self.waiting, *(running.stage for running in self.running.values())]
        titles = {
            title for stage in left for title in stage.config.servers(self.execution, self._inputs(stage))
        }
        if self.keeper is not None and not self.keeper.alive:
            self.keeper.close()
            self.keeper = None
        if self.keeper is not None and titles != self.needed:
            self.keeper.need(titles)
            self.needed = titles

    def _start_keeper(self, stage: Stage) -> None:
        try:
            self.keeper, self.needed = Keeper(self.folder, self.environment), set()
        except OSError as error:
            text = f"{self.folder} takes no socket ({error.strerror}): every stage starts servers of its own"
            self.display.heard(stage.name, {"say": text})

    def _inputs(self, stage: Stage) -> dict[str, Path]:
        """The folders of a stage's inputs by name."""
        folder = self.folder.absolute()
        return {key: folder / self.planned.stage(name).folder for key, name in stage.inputs.items()}

    def _start_ready(self) -> None:
        for stage in list(self.waiting):
            if len(self.running) >= self.execution.jobs:
                return
            if all(name in self.finished for name in stage.inputs.values()):
                self._start_or_wait(stage)

    def _start_or_wait(self, stage: Stage) -> None:
        """Start a stage, unless another run has made it or is making it."""
        ours = self.claims.take(stage.folder) is not None
        if manifest_of(self.folder / stage.folder) is not None:
            self.waiting.remove(stage)
            self.finished.add(stage.name)
            self.display.said(f"{stage.name}: made by another run")
        elif ours:
            self.waiting.remove(stage)
            self._start(stage)
        elif stage.name not in self.elsewhere:
            self.elsewhere.add(stage.name)
            self.display.said(f"{stage.name}: another run is making it; waiting")

    def _require_claims(self) -> None:
        """Raise `StageFailed` where another run has taken over a stage, because this one did not show itself:
        both would write the same files."""
        for running in self.running.values():
            if not self.claims.holds(running.stage.folder):
                raise StageFailed(
                    f"{running.stage.name}: another run has taken it over, since this machine was asleep or "
                    f"could not reach the run folder for {LEASE_S:.0f} s"
                )

    def _start(self, stage: Stage) -> None:
        self.display.started(stage.name)
        if self.keeper is None and any(stage.config.servers(self.execution, self._inputs(stage))):
            self._start_keeper(stage)
        partial = self.folder / (stage.folder + PARTIAL)
        partial.mkdir(exist_ok=True)
        write_json(partial / JOB, self._spec(stage, partial).plain)
        read, write = os.pipe()
        with (partial / LOG).open("ab") as log:
            self.fork_server.start(stage.name, stage.kind.preload, partial, log, write)
        os.close(write)
        running = self.running[stage.name] = _Running(stage, read)
        self.selector.register(read, selectors.EVENT_READ, running)

    def _spec(self, stage: Stage, partial: Path) -> Spec:
        return Spec(
            recipe=self.planned.recipe.name,
            name=stage.name,
            kind=stage.kind.declared,
            fingerprint=stage.fingerprint,
            config=stage.config.plain,
            content=dict(stage.content),
            inputs={key: self.planned.stage(name).folder for key, name in stage.inputs.items()},
            execution=self.execution,
            seconds_before=_seconds_before(partial),
        )

    def _listen(self, timeout_s: float = 0.5) -> bool:
        """Handle the messages that arrive within `timeout_s`; returns whether there were any."""
        heard = self.selector.select(timeout_s)
        for key, _ in heard:
            if key.data is None:
                self._note()
            elif not self._hear(key.data):
                self.selector.unregister(key.fd)
        self.display.refresh()
        return bool(heard)

    def _note(self) -> None:
        """Handle the start or the end of a stage's process."""
        try:
            event = self.fork_server.event()
        except EOFError:
            raise StageFailed(
                "the process that stages are forked from has ended; memory may be short, or a "
                f"{LOG} in {self.folder} says why"
            ) from None
        running = self.running[event.name]
        running.pid, running.status = event.pid, event.status

    def _hear(self, running: _Running) -> bool:
        """Handle a stage's progress lines; False at the end of its pipe."""
        data = os.read(running.pipe, 65536)
        *lines, running.buffer = (running.buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            running.error = message.get("error", running.error)
            self.display.heard(running.stage.name, message)
        return bool(data)

    def _conclude(self, running: _Running) -> None:
        del self.running[running.stage.name]
        # All its own messages are in the pipe by now; processes that it started may keep the pipe open.
        os.set_blocking(running.pipe, False)
        with suppress(BlockingIOError):
            while self._hear(running):
                pass
        with suppress(KeyError):
            self.selector.unregister(running.pipe)
        os.close(running.pipe)
        if running.status == 0:
            self.finished.add(running.stage.name)
            self.display.finished(running.stage.name)
            return
        self.display.failed(running.stage.name)
        if running.status == 2 and running.error:
            raise UserError(f"{running.stage.name}: {running.error}")
        log = self.folder / (running.stage.folder + PARTIAL) / LOG
        raise StageFailed(
            f"{running.stage.name} ended with status {running.status}; the end of {log}:\n{_tail(log)}"
        )

    def _stop_all(self) -> None:
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        with suppress(StageFailed):
            while self._alive() and self._listen(max(0.0, deadline - time.monotonic())):
                pass
        self._signal_all(signal.SIGKILL)
        self.fork_server.close()
        self.claims.close()
        if self.keeper is not None:
            self.keeper.close()

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._alive():
            # A stage leads its own process group: this signals what it started, too. It may just have ended.
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    def _alive(self) -> list[int]:
        return [running.pid for running in self.running.values() if running.pid and not running.ended]


def _seconds_before(partial: Path) -> float:
    """Seconds that earlier, interrupted attempts at this stage took, up to their last sign of life."""
    spent = 0.0
    try:
        earlier = json.loads((partial / STARTED).read_text(encoding="utf-8"))
        last = max(file.stat().st_mtime for file in partial.rglob("*") if file.is_file())
        spent = earlier["spent"] + max(0.0, last - earlier["at"])
    except (OSError, ValueError, KeyError):
        pass
    write_json(partial / STARTED, {"at": time.time(), "spent": round(spent, 1)})
    return round(spent, 1)


def environment(threads: int) -> dict[str, str]:
    """A stage's environment: fixed thread counts (sums depend on them), no accidental network access."""
    count = str(threads)
    return {
        **inherited({name: value for name, value in os.environ.items() if name not in OF_ONE_RUN}),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "WANDB_SILENT": "true",
        # Keep freed memory. If it were returned to the system, every step of a model would cause page faults,
        # which took an eighth of a run's CPU time.
        "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
        # Stages are forked: libraries that are loaded before must not run threads.
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }


def _home(folder: Path) -> dict[str, str]:
    """A home directory in the run's `folder` for libraries' caches, where the user's is not writable."""
    usual = Path(os.path.expanduser("~"))
    if usual.is_absolute() and os.access(usual, os.W_OK):
        return {}
    (made := folder.absolute() / ".home").mkdir(exist_ok=True)
    return {"HOME": str(made)}


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
