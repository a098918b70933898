"""The recipe's section `evaluate`: the benchmarks on which models are tested, and the protocol.

Every field that decides a score is here and is recorded with the result. Not covered: what the benchmarks are
(`eval.benchmarks`, `eval/tasks`).
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tessy.config.base import MINIATURE, Generation, Name, Positive, Section

MINIATURE_TASK = "miniature_ood"
"""The lm-eval task whose test set is made with the miniature's world."""

OFFICIAL = "official"
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
"""A whole commit hash: a branch or tag can move."""

CodeKind = Literal[
    "ojbench", "livecodebench_pro", "livecodebench_v5", "livecodebench_v6",
    "humaneval", "humaneval_plus", "mbpp", "mbpp_plus",
]  # fmt: skip


class CodeBenchmark(Section):
    """A benchmark scored by running programs."""

    name: Name
    kind: CodeKind
    """Whose problems, on-disk format, prompt, extraction and verdict rules apply."""
    source: str
    """`miniature`, a local folder in the official layout, or, with a `revision`, a hub dataset."""
    revision: Commit | None = None
    """Pins the hub dataset `source` to a commit."""
    tests: str | None = None
    """Where the tests are, if not beside the problems (LiveCodeBench-Pro): as `source`."""
    tests_revision: Commit | None = None
    splits: tuple[str, ...] = ()
    """LiveCodeBench-Pro: which splits, all where none is named. A problem in several counts once."""
    released_from: date | None = None
    """LiveCodeBench: first contest date. A window is looked for in all files up to the version's; without
    one, the version's own file is the benchmark."""
    released_to: date | None = None
    """LiveCodeBench: the day after the last contest date."""
    mode: Literal["strict", "fixed"] = "strict"
    """`strict` decides as the official judge does; `fixed` repairs its known faults, and leaves out
    problems that cannot be judged, which strictly count as failed."""
    unusable_problems: Literal["leave_out", "refuse"] = "leave_out"
    """What becomes of problems whose tests or rows cannot be read or are not supported: `leave_out` counts
    and names them in the scorecard and scores the others, `refuse` stops before anything runs."""
    judge_commit: Commit | None = None
    """LiveCodeBench: the commit of the official code that `strict` follows, by default the newest known."""
    instruction: str = OFFICIAL
    """`official` asks in the words of the benchmark's authors: OJBench's and the miniature's come with the
    data, LiveCodeBench's and LiveCodeBench-Pro's are fetched once from where they are published. `ours` asks
    in this project's words; any other text is put before every statement."""
    prompt_file: str | None = None
    """A local copy of the file that `official` reads (`eval.prompts` names it), in place of the network."""
    limit: Positive | None = None
    """Only the first so many problems."""
    samples: Positive | None = None
    """Responses per problem, if not `evaluate.samples`."""
    paper_column: str | None = None
    """The column of the paper's Table 1 this benchmark is the counterpart of."""

    @property
    def files(self) -> list[str]:
        """Local files and folders whose content decides the result."""
        return [self.source, *(file for file in (self.tests, self.prompt_file) if file is not None)]

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Self:
        lcb = self.kind.startswith("livecodebench_v")
        pro = self.kind == "livecodebench_pro"
        miniature = pro or self.kind == "ojbench"
        if self.source == MINIATURE and (not miniature or self.tests or self.revision):
            raise ValueError(
                "source 'miniature' has an ojbench and a livecodebench_pro contest with their tests; "
                "use one of these kinds, without `tests` and `revision`"
            )
        if self.judge_commit is not None and not lcb:
            raise ValueError(f"`judge_commit` is for LiveCodeBench, not {self.kind}; remove it")
        if self.tests_revision is not None and self.tests is None:
            raise ValueError("`tests_revision` pins `tests`, which is missing; add it")
        if self.kind != "livecodebench_pro" and (self.splits or self.tests is not None):
            raise ValueError(f"`splits` and `tests` are for livecodebench_pro, not {self.kind}; remove them")
        given = self.instruction != OFFICIAL or not (lcb or pro) or self.source == MINIATURE
        if self.prompt_file is not None and given:
            raise ValueError(
                "`prompt_file` is where the `official` instruction of LiveCodeBench and LiveCodeBench-Pro is "
                "read; remove it"
            )
        if not lcb and (self.released_from or self.released_to):
            raise ValueError(f"{self.kind} has no contest dates; remove `released_from` and `released_to`")
        if self.released_from and self.released_to and self.released_from >= self.released_to:
            raise ValueError(
                f"released_from {self.released_from} is not before released_to {self.released_to}"
            )
        return self


class LmEvalBenchmark(Section):
    """A benchmark scored by lm-eval, every sample by itself; all samples count."""

    name: Name
    kind: Literal["lm_eval"]
    task: str
    """Task name in lm-eval or in `eval/tasks`."""
    metric: str
    """lm-eval's name of the metric, for example `exact_match`."""
    filter: str = "none"
    data: str | None = None
    """A local .jsonl file with the task's own fields, in place of its hub dataset."""
    fewshot_data: str | None = None
    """A local .jsonl file with the examples of a task that shows some before each question: where `data` has
    its questions, or where they would come from the rows it is tested on."""
    revision: Commit | None = None
    """Pins the task's hub dataset to a commit. One of `data` and `revision` is required, except by
    `miniature_ood`, whose test is made with the world."""
    limit: Positive | None = None
    samples: Positive | None = None
    """Responses per problem, if not `evaluate.samples`."""
    paper_column: str | None = None

    @property
    def files(self) -> list[str]:
        """Local files whose content decides the result."""
        return [file for file in (self.data, self.fewshot_data) if file is not None]

    @model_validator(mode="after")
    def _data_is_pinned(self) -> Self:
        given = [field for field in (self.data, self.revision) if field is not None]
        wanted = 0 if self.task == MINIATURE_TASK else 1
        if len(given) != wanted:
            raise ValueError(
                f"task {self.task} needs {'neither' if not wanted else 'exactly one'} of `data` (a local "
                "file) and `revision` (a commit of its hub dataset)"
            )
        return self


Benchmark = Annotated[CodeBenchmark | LmEvalBenchmark, Field(discriminator="kind")]


class Evaluate(Generation):
    """How models are tested: pass@1 averaged over `samples` responses per problem."""

    benchmarks: Annotated[list[Benchmark], Field(min_length=1)]
    samples: Positive
    pass_at: tuple[Annotated[int, Field(ge=2)], ...] = ()
    """Further k for which unbiased pass@k is reported, where a benchmark has that many samples."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [benchmark.name for benchmark in self.benchmarks]
        if len(set(names)) != len(names):
            raise ValueError(f"benchmark names {names} repeat; each needs its own")
        return self

    @model_validator(mode="after")
    def _samples_suffice(self) -> Self:
        most = max(benchmark.samples or self.samples for benchmark in self.benchmarks)
        if self.pass_at and max(self.pass_at) > most:
            raise ValueError(
                f"pass_at {max(self.pass_at)} needs as many samples per problem; no benchmark has over {most}"
            )
        return self

    @property
    def code(self) -> list[CodeBenchmark]:
        return [b for b in self.benchmarks if isinstance(b, CodeBenchmark)]

    @property
    def lm_eval(self) -> list[LmEvalBenchmark]:
        return [b for b in self.benchmarks if isinstance(b, LmEvalBenchmark)]
