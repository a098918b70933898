"""Renders what a cluster is given to run a recipe: an sbatch script, a Ray job, a SkyPilot task, a RayJob of
Kubernetes. Pure: no file is read but the templates, and nothing here is a path of the cluster's that was not
given.

Not covered: whether the cluster has the partition, the GPUs, the image or the volume. Only it knows.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2

from tessy.cluster import Resources
from tessy.config.execution import Execution
from tessy.config.launch import Target
from tessy.config.load import as_yaml
from tessy.config.recipe import Recipe
from tessy.errors import UserError
from tessy.launch.sizes import head_size, names_gpus, worker_size

HERE = Path(__file__).parent
FILES: Mapping[Target, str] = {"slurm": "slurm.sh", "ray": "ray.yaml", "sky": "sky.yaml", "k8s": "k8s.yaml"}
"""What a target's rendered text is called."""
LONGEST_NAME = 40
"""Characters of a job's name: KubeRay adds to it and refuses a RayJob of more than 47."""
RAY_VERSION = "2.60.0"
"""The version in the images, which KubeRay wants to be told."""
PLACES: Mapping[Target, tuple[str, ...]] = {
    "slurm": ("local", "slurm"),
    "ray": ("local", "ray"),
    "sky": ("local", "ray"),
    "k8s": ("local", "ray"),
}
"""By target, the kinds of `execution.cluster` whose workers a head job there can start."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head job: `recipe`, its `file` and `overrides` as they were given, its safe `name`; the folders
    `runs_dir` and `directory` (where it starts) and the `python` of this machine; and whether any of its
    stages `judges` programs."""

    recipe: Recipe
    file: str
    overrides: Sequence[str]
    name: str
    runs_dir: str
    directory: str
    python: str
    judges: bool = False

    @property
    def execution(self) -> Execution:
        return self.recipe.execution

    @property
    def job_name(self) -> str:
        """What the cluster calls the job: its name and a digest of the run folder there, by which a launch
        finds what an earlier one has submitted for that folder."""
        launch, away = self.execution.launch, self.execution.launch.volume is not None
        place = f"{launch.volume}:{launch.mount}" if away else self.runs_dir
        digest = hashlib.sha256(f"{place}/{self.recipe.name}".encode()).hexdigest()[:6]
        return f"{self.name[: LONGEST_NAME - len(digest) - 1].rstrip('-')}-{digest}"

    @property
    def folder(self) -> str:
        """Where what belongs to the launch lies, on this machine."""
        return str(PurePosixPath(self.runs_dir, self.recipe.name, "launch"))


def safe_name(text: str) -> str:
    """`text` as a name that every target takes (RFC 1035: a-z, 0-9 and -, a letter first); one that had to be
    changed ends with a digest, so that different texts have different names."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = name if name[:1].isalpha() else f"tessy-{name}".rstrip("-")
    if name == text and len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{name[: LONGEST_NAME - len(digest) - 1].rstrip('-')}-{digest}"


def render(target: Target, head: Head) -> str:
    """The text that `target`'s tool is given; raises `UserError` where the recipe does not fit the target."""
    require_fit(target, head)
    values = {"slurm": _slurm, "ray": _ray, "sky": _sky, "k8s": _k8s}[target](head)
    shared = {"name": head.job_name, "size": head_size(head.execution)}
    return _environment().get_template(f"{FILES[target]}.jinja").render(**shared, **values)


def require_fit(target: Target, head: Head) -> None:
    """Raise `UserError` where `target` lacks what it needs."""
    cluster, launch, size = head.execution.cluster, head.execution.launch, head_size(head.execution)
    if cluster.kind not in PLACES[target]:
        raise UserError(
            f"execution.cluster.kind {cluster.kind!r}: a job on {target} cannot start such workers; use "
            + " or ".join(map(repr, reversed(PLACES[target])))
        )
    if odd := [name for name in cluster.environment if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)]:
        raise UserError(
            f"execution.cluster.environment {odd[0]!r}: not the name of a variable; use A-Z, 0-9, _"
        )
    if target in ("sky", "k8s") and cluster.kind == "ray" and cluster.address != "auto":
        raise UserError(
            f"execution.cluster.address {cluster.address!r}: on {target} the Ray cluster is made for the "
            "job; use 'auto'"
        )
    if target == "k8s" and not (launch.image and launch.volume):
        field = (
            "image" if launch.volume else "volume" if launch.image else "image and execution.launch.volume"
        )
        raise UserError(f"execution.launch.{field}: required on k8s, and missing; add it")
    if target == "sky" and max(size.gpus, _sky_gpus(head)) and not launch.accelerator:
        raise UserError(
            "execution.launch.accelerator: the recipe runs on GPUs, and SkyPilot must know which; add it "
            "(H100; `sky show-gpus` lists them)"
        )
    if target == "sky" and _nodes(head) > 1 and not launch.volume:
        raise UserError(
            "execution.launch.volume: required where several nodes share the run folder, and missing; add "
            "one (`sky volumes apply` makes it)"
        )


def remarks(target: Target, head: Head) -> list[str]:
    """What the user should know and only the cluster can tell."""
    execution, said = head.execution, list[str]()
    if not names_gpus(execution) and execution.launch.head.gpus is None:
        said.append(
            "the recipe does not say that it runs on GPUs (execution.train.device), so none are asked for; "
            "execution.launch.head.gpus=1 asks for one"
        )
    if execution.cluster.kind == "local":
        other = PLACES[target][1]
        said.append(
            "all stages run in the one job; execution.cluster.kind="
            f"{other} gives those that can be shared execution.workers workers"
        )
    elif head_size(execution).gpus:
        said.append("the head job holds the GPUs for training from its beginning")
    if target in ("sky", "k8s"):
        said.append("files that the recipe names are looked for on the cluster when the job runs")
    if target == "sky" and not execution.launch.volume:
        said.append("results are on the cluster's own disk: copy ~/tessy-runs before `sky down`")
    return said


def _slurm(head: Head) -> dict[str, Any]:
    cluster, launch = head.execution.cluster, head.execution.launch
    options: dict[str, str | int] = {}
    if cluster.kind == "slurm":
        named = {
            "partition": cluster.partition,
            "account": cluster.account,
            "qos": cluster.qos,
            "constraint": cluster.constraint,
        }
        options |= {name: value for name, value in named.items() if value is not None}
        options |= cluster.options
    options |= launch.options
    return {
        "time_minutes": launch.time_minutes,
        "log": f"{head.folder}/head-%j.log".replace("%", "%%").replace("%%j", "%j"),
        "status": f"{head.folder}/status-",
        "options": {name.replace("_", "-"): value for name, value in sorted(options.items())},
        "setup": cluster.setup if cluster.kind == "slurm" else (),
        "variables": cluster.environment,
        "directory": launch.directory or head.directory,
        "command": _command(launch.python or head.python, head.file, head.overrides, head.runs_dir),
    }


def _ray(head: Head) -> dict[str, Any]:
    launch, cluster = head.execution.launch, head.execution.cluster
    return {
        "address": cluster.address if cluster.kind == "ray" else "auto",
        "variables": cluster.environment,
        "directory": launch.directory or head.directory,
        "command": _command(launch.python or head.python, head.file, head.overrides, head.runs_dir),
    }


def _sky(head: Head) -> dict[str, Any]:
    execution, launch = head.execution, head.execution.launch
    size, worker, nodes = head_size(execution), worker_size(execution), _nodes(head)
    engines = execution.every_engine.values()
    serves = any(one.kind in ("vllm", "server") and not one.endpoints for one in engines)
    cores = max(size.cores, worker.cores * _per_node(head) if nodes > 1 else 0)
    memory = [one.memory_gib for one in (size, worker) if one.memory_gib]
    runs = launch.mount if launch.volume else "~/tessy-runs"
    return {
        "directory": head.directory,
        "nodes": nodes,
        "gpus": _sky_gpus(head),
        "accelerator": launch.accelerator,
        "cores": cores,
        "memory": math.ceil(max(memory)) if memory else None,
        "variables": execution.cluster.environment,
        "volume": launch.volume,
        "mount": launch.mount,
        "goals": ["setup", *["vllm"] * serves, *["cluster"] * (nodes > 1)],
        "python": launch.python or ".venv/bin/python",
        "command": _command(launch.python or ".venv/bin/python", head.file, head.overrides, runs),
    }


def _nodes(head: Head) -> int:
    """Nodes of a SkyPilot cluster, which are all alike: the head job has the first, workers the others."""
    if head.execution.cluster.kind == "local":
        return 1
    return 1 + math.ceil(head.execution.workers / _per_node(head))


def _per_node(head: Head) -> int:
    """Workers that fit a node's GPUs; one where they need none."""
    worker = worker_size(head.execution)
    return max(1, _sky_gpus(head) // worker.gpus) if worker.gpus else 1


def _sky_gpus(head: Head) -> int:
    sizes = [head_size(head.execution)]
    if head.execution.cluster.kind == "ray":
        sizes.append(worker_size(head.execution))
    return max(size.gpus for size in sizes)


def _k8s(head: Head) -> dict[str, Any]:
    execution, launch = head.execution, head.execution.launch
    command = _command(launch.python or "python", "/etc/tessy/recipe.yaml", (), launch.mount)
    return {
        "recipe": as_yaml(head.recipe.model_dump(mode="json", exclude_unset=True)),
        "directory": launch.directory or launch.mount,
        "command": command,
        "image": launch.image,
        "volume": launch.volume,
        "mount": launch.mount,
        "secret": launch.secret,
        "privileged": launch.privileged,
        "variables": execution.cluster.environment,
        "workers": execution.workers if execution.cluster.kind == "ray" else 0,
        "worker": worker_size(execution),
        "judges": head.judges,
        "ray": RAY_VERSION,
    }


def _command(python: str, file: str, overrides: Sequence[str], runs_dir: str) -> str:
    """The command line of `tessy run`, quoted for a shell; a `~` at the beginning stays one."""
    words = [python, "-P", "-X", "utf8", "-m", "tessy.cli", "run", file, *overrides, "--runs-dir", runs_dir]
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """`word` for a shell; the home directory is that of the machine where it runs."""
    return f"~/{shlex.quote(word[2:])}" if word.startswith("~/") else shlex.quote(word)


def option(value: str | int) -> str:
    """A value in a line `#SBATCH --name=value`, where a word ends with a space and `#` begins a comment."""
    text = str(value)
    if any(ord(letter) < 32 for letter in text):
        raise UserError(f"{text!r}: an option of sbatch is one line; remove its control characters")
    if re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_json(value: Any) -> str:
    """A value in YAML, of which JSON is a part."""
    return json.dumps(value, ensure_ascii=False)


def limits(size: Resources) -> dict[str, str | int]:
    """Kubernetes' names for what a pod is given."""
    asked: dict[str, str | int] = {"cpu": size.cores}
    if size.memory_gib:
        asked["memory"] = f"{math.ceil(size.memory_gib * 1024)}Mi"
    return asked | ({"nvidia.com/gpu": size.gpus} if size.gpus else {})


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"sh": quoted, "option": option, "json": as_json, "limits": limits}
    return environment
