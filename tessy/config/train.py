"""The recipe's section `train`, and the part of `execution` that distributes training over devices.

`Train` decides the trained weights. `TrainExecution` does not, apart from the rounding of sums: the global
batch, its samples and their order are the recipe's, and each device's share is derived (`train.batches`).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from tessy.config.base import MINIATURE, Checkpoint, Positive, Rate, Section, Seed, Share
from tessy.records import SpanKind

EPOCHS = "epochs"
"""Folder of a trained artifact with the models after chosen epochs, by number."""

Weight = Annotated[float, Field(ge=0)]
Endpoint = Annotated[str, Field(pattern=r"^[^\s:]+:\d+$")]
"""HOST:PORT."""


class Start(Checkpoint):
    """A checkpoint that training starts from in the student's place; it shares the student's vocabulary."""

    @model_validator(mode="after")
    def _is_a_checkpoint(self) -> Self:
        if self.source == MINIATURE:
            raise ValueError("source 'miniature' is the student itself; leave `train.start` out")
        return self


class Training(Section):
    """Supervised fine-tuning of the student with TRL. `batch_size` is global."""

    epochs: Positive
    learning_rate: Rate
    batch_size: Positive
    """Samples per optimizer step over all devices; with `packing`, rows of up to `max_length` tokens."""
    max_length: Positive
    """Longest training sequence in tokens, prompt included; a longer one stops the run, none is cut."""
    warmup_share: Share
    schedule: Literal["constant", "linear", "cosine"]
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Rate = 1.0
    """Gradients are scaled down to this norm."""
    method: Literal["full", "lora"] = "full"
    """All weights, or low-rank adapters on every linear layer, merged at the end."""
    lora_rank: Positive = 8
    """Rank of the adapters (paper's ablation: 8)."""
    lora_alpha: Positive = 16
    """Scale of the adapters, divided by their rank (paper's ablation: 16)."""
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    """AdamW with moments of 32 bits, or of 8 in blocks with a scale each (bitsandbytes): 2 bytes of states
    per weight in place of 8."""
    packing: bool = False
    """Put several whole samples into one row; attention never crosses them, and none is cut."""
    loss_weights: dict[SpanKind, Weight] = Field(default_factory=dict)
    """Factor of each kind's term of the loss, 1 where not named; all target tokens stay the denominator."""
    start: Start | None = None
    """Train this model on the student's data, instead of the student: its base, or another student."""
    system_prompt: str = ""
    """Put before every training prompt, and before every prompt of the tests of what was trained (the
    paper's isolation of the teacher's style)."""
    evaluate_epochs: tuple[Positive, ...] = ()
    """Epochs after which the model is kept and tested, too (the paper's score after each epoch)."""
    validation: bool = False
    """Have responses written to the held-out problems (`problems.curation.held_out`), too, and measure the
    loss on them after every epoch."""

    @model_validator(mode="after")
    def _epochs_are_named_once(self) -> Self:
        if len(set(self.evaluate_epochs)) != len(self.evaluate_epochs):
            raise ValueError(f"evaluate_epochs {list(self.evaluate_epochs)} names one twice; name each once")
        return self

    @model_validator(mode="after")
    def _epochs_are_before_the_last(self) -> Self:
        if self.evaluate_epochs and max(self.evaluate_epochs) >= self.epochs:
            raise ValueError(
                f"evaluate_epochs {max(self.evaluate_epochs)} is not below epochs {self.epochs}: the model "
                "after the last epoch is always tested; name earlier ones"
            )
        return self

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not any(self.loss_weights.get(kind, 1) for kind in get_args(SpanKind)):
            raise ValueError("loss_weights are 0 for every kind, so nothing would be learned; raise one")
        return self


class Train(Training):
    """The training runs of each method."""

    seeds: Annotated[list[Seed], Field(min_length=1)]
    """One training run per seed and method."""

    @model_validator(mode="after")
    def _seeds_are_named_once(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {self.seeds} names one twice; every seed trains one model")
        return self


class Device(Section):
    """What `tessy plan` needs to know of one training device to estimate time and cost."""

    memory_gib: Rate
    tflops: Rate
    """Dense bfloat16 peak, in 10^12 operations per second."""
    utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of that peak that training reaches (MFU), as `python -m train.probe` measures it; by default what
    an H200 reached (`tessy.estimate.UTILIZATION`)."""
    price_per_hour: Annotated[float, Field(ge=0)] = 0.0


class StopCheck(Section):
    """How a finished checkpoint is used as an outsider would, to see that it stops by itself."""

    prompts: Positive = 8
    """Prompts of the training set; those with short traces are preferred."""
    max_new_tokens: Annotated[int, Field(ge=16)] = 768
    """Tokens it may write. Where a trace is longer than half of them, it goes on from within that trace."""
    required: Share = 0.0
    """Share of answers that must end by themselves, or the stage refuses the checkpoint; 0 only warns."""


class TrainExecution(Section):
    """How SFT is spread over devices. The recipe's global batch stays what it is."""

    processes: Positive = 1
    """Training processes on each node, one per device."""
    nodes: Positive = 1
    """Machines that train one model together; with more than one, `execution.cluster` starts them, and all
    see the run folder under the same path."""
    rendezvous: Endpoint | None = None
    """HOST:PORT where the first node can be reached; found by itself where not given. On a cluster of kind
    `local` it says that the other nodes are started by hand."""
    zero: Literal[0, 2, 3] = 0
    """DeepSpeed ZeRO stage: 2 shards optimizer states and gradients, 3 the weights as well; 0 is without."""
    offload: bool = False
    """Keep optimizer states (ZeRO-3: weights, too) in main memory."""
    sequence_parallel: Positive = 1
    """Devices that share each sequence (Ulysses); needs `zero`, and rows of one sample, one at a time."""
    micro_batch: Positive | None = None
    """Rows a device works on at once; its whole share of the batch where not given."""
    attention: Literal["sdpa", "eager", "flash_attention_2", "flash_attention_3"] = "sdpa"
    """`sdpa`: PyTorch's own, on a GPU sample by sample, so that packed rows cost no masks. The others by
    transformers' names; flash attention from packages of its own."""
    recompute: Literal["nothing", "all_but_attention", "layers"] | None = None
    """What backward computes again instead of having kept it (activation checkpointing): whole layers (on a
    GPU, if not said), the same without their attention, or nothing."""
    recomputed_layers: Annotated[int, Field(ge=0)] | None = None
    """Layers that are recomputed; the others keep all they computed. All of them, if not said."""
    kernels: Literal["torch", "liger"] = "torch"
    """What computes norms, rotary positions and the activation of feed-forward layers: PyTorch operation by
    operation, or Liger's fused kernels (GPU)."""
    save_steps: Positive = 50
    """Steps between two checkpoints to resume from; only the last is kept."""
    answer_with: Literal["transformers", "vllm"] = "transformers"
    """What answers with the finished checkpoint before the stage counts as done; vLLM does so after
    transformers."""
    stop_check: StopCheck = StopCheck()
    """Whether the finished checkpoint stops by itself."""
    device: Device | None = None
    """The device that `tessy plan` estimates for."""

    @property
    def world(self) -> int:
        """The number of processes on all nodes."""
        return self.processes * self.nodes

    @property
    def replicas(self) -> int:
        """The number of rows processed in parallel: processes that share a sequence count once."""
        return self.world // self.sequence_parallel

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.zero == 0 and (self.offload or self.sequence_parallel > 1):
            raise ValueError("`offload` and `sequence_parallel` are DeepSpeed's; set zero to 2 or 3")
        if self.recomputed_layers is not None and self.recompute == "nothing":
            raise ValueError(
                "`recomputed_layers` has no effect where nothing is recomputed; remove one of them"
            )
        if self.attention == "cudnn" and self.sequence_parallel > 1:
            raise ValueError(
                "devices that share a sequence use transformers' attention; set attention to sdpa"
            )
        if self.sequence_parallel > 1 and self.micro_batch != 1:
            raise ValueError(
                "devices that share a sequence hold one at a time: with `sequence_parallel`, set "
                "micro_batch to 1"
            )
        if self.world % self.sequence_parallel:
            raise ValueError(
                f"{self.world} processes do not divide into groups of {self.sequence_parallel} "
                "(sequence_parallel); change one of them"
            )
        return self

    def check(self, train: Training) -> None:
        """Raise `ValueError` where `train` cannot be distributed in this way."""
        self.accumulation(train.batch_size)
        if train.optimizer == "adamw_8bit" and self.zero:
            raise ValueError(
                "train.optimizer 'adamw_8bit' goes without DeepSpeed; set execution.train.zero to 0, or use "
                "'adamw'"
            )
        if train.method == "lora" and self.zero == 3 and self.recompute == "all_but_attention":
            raise ValueError(
                "execution.train.recompute 'all_but_attention' does not go with adapters under ZeRO-3; use "
                "'layers'"
            )
        if train.packing and self.sequence_parallel > 1:
            raise ValueError(
                "train.packing with execution.train.sequence_parallel: packed samples would see each other; "
                "switch one of them off"
            )

    def micro(self, batch_size: int) -> int:
        """Rows per device and micro-batch."""
        return self.micro_batch or max(1, batch_size // self.world)

    def accumulation(self, batch_size: int) -> int:
        """Micro-batches per replica and optimizer step; raises `ValueError` where the devices cannot divide
        the batch."""
        micro = self.micro(batch_size)
        step = self.world * (self.micro_batch or 1)
        if batch_size % (self.world * micro):
            below = batch_size // step * step
            rows = f" with {micro} rows at once" if self.micro_batch else ""
            raise ValueError(
                f"train.batch_size {batch_size} cannot be divided among {self.world} processes{rows}; use "
                f"{f'{below} or ' if below else ''}{below + step}, or change `execution.train`"
            )
        return batch_size // (self.replicas * micro)
