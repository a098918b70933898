"""The recipe's section `execution.launch`: what `tessy launch` asks a cluster for, besides the workers of
`execution.cluster`.

Each field says for which of Slurm, Ray, SkyPilot and Kubernetes it is; the others leave it aside, so that one
recipe can be launched on several.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from tessy.config.base import Positive, Section
from tessy.config.cluster import WorkerSize

Target = Literal["slurm", "ray", "sky", "k8s"]
TARGETS: tuple[Target, ...] = get_args(Target)
AbsolutePath = Annotated[str, Field(pattern=r"^/[^\n]*$")]
OWN_OPTIONS = frozenset(
    {"job_name", "output", "error", "open_mode", "array", "wrap", "parsable", "test_only"}
)
"""Options of sbatch that follow from the recipe: job and log could not be found again."""


class Launch(Section):
    """The job that runs the recipe, called the head job; workers are jobs or actors of their own."""

    head: WorkerSize = WorkerSize()
    """What the head job is given. What is not said follows from the stages that it runs itself
    (`tessy.launch.sizes`)."""
    time_minutes: Positive | None = None
    """Slurm's time limit of the head job; the partition's where not said."""
    options: dict[str, str | int] = Field(default_factory=dict)
    """Slurm: further options of sbatch for the head job by their long names, before those that
    `execution.cluster` has for workers, too: {partition: cpu}."""
    directory: AbsolutePath | None = None
    """Where the recipe's relative paths begin on the cluster. Not said: here (Slurm, Ray), the volume
    (Kubernetes). SkyPilot copies the current folder."""
    python: str | None = None
    """The Python that has this project on the cluster. Not said: the one that launches (Slurm, Ray), `python`
    (Kubernetes), `.venv/bin/python`, which `make setup` makes there (SkyPilot)."""
    image: str | None = None
    """Kubernetes: an image with this project (containers/), required there."""
    volume: str | None = None
    """What holds the run folder, and is written by all: Kubernetes' PersistentVolumeClaim (required there),
    SkyPilot's volume (required with several nodes)."""
    mount: AbsolutePath = "/runs"
    """Where the volume is mounted."""
    secret: str | None = None
    """Kubernetes: a Secret whose keys become environment variables (HF_TOKEN, WANDB_API_KEY)."""
    accelerator: str | None = None
    """SkyPilot's name of the GPU (H100), required there with GPUs."""
    privileged: bool = False
    """Kubernetes: run pods that judge programs as privileged, where the cluster or the volume's file system
    has no user namespaces for pods; bubblewrap needs the one or the other."""

    @model_validator(mode="after")
    def _options_are_the_users(self) -> Self:
        own = OWN_OPTIONS & {name.replace("-", "_") for name in self.options}
        if own:
            raise ValueError(f"options {', '.join(sorted(own))} follow from the recipe; remove them")
        return self
