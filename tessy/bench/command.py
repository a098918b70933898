"""`tessy bench`: how fast this machine does what the project does."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from tessy.artifacts import write_json
from tessy.bench.costs import machine
from tessy.bench.curation.command import curation_command
from tessy.bench.options import (
    OF_ENGINES,
    OF_SERVERS,
    OF_SIZES,
    Number,
    arguments_of,
    flags,
    refuse,
    require_vllm,
)
from tessy.records import to_row
from tessy.terminal import only_answers

PARTS: dict[str, str] = {
    "synthesis": "tessy.bench.miniature:synthesis",
    "predictors": "tessy.bench.miniature:predictors",
    "judge": "eval.judge.bench:measure",
    "training": "train.bench:measure",
}
"""What `all` measures, each imported when its turn comes."""

NEEDS_MODELS = ("synthesis", "predictors")


@click.group()
def bench_command() -> None:
    """Measure the speed of synthesis, boundary predictors, the judge, training and curation."""


bench_command.add_command(curation_command)


@bench_command.command(
    "all",
    epilog="""\b
Examples:
  tessy bench all
  tessy bench all --only judge
""",
)
@click.option("--only", type=click.Choice(list(PARTS)), help="Measure one part; the others' figures stay.")
@click.option(
    "--recipe", type=click.Path(path_type=Path), default=Path("recipes/mini.yaml"), show_default=True
)
@click.option("--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
def all_command(only: str | None, recipe: Path, runs_dir: Path) -> None:
    """Measure on the miniature models of RECIPE; writes RUNS_DIR/bench/results.json.

    Models that are missing are trained first, and kept. Nothing else should run meanwhile.
    """
    path = runs_dir / "bench" / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    parts = [only] if only else list(PARTS)
    if "synthesis" in parts:
        require_vllm("synthesis", "measure another part with --only")
    for part in parts:
        module, function = PARTS[part].split(":")
        click.echo(f"measuring {part}", err=True)
        with only_answers():
            measure: Callable[..., Any] = getattr(importlib.import_module(module), function)
            results[part] = measure(recipe, runs_dir, _say) if part in NEEDS_MODELS else measure()
        results["machine"] = machine()
        write_json(path, results)
    click.echo(json.dumps(results, indent=2))


@bench_command.command(
    "claims",
    epilog="""\b
Examples:
  tessy bench claims
  tessy bench claims --workers 64 --keys 100000 --folder runs
  tessy bench claims --workers 4 --ray local
""",
)
@click.option("--workers", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--keys", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option(
    "--folder", type=click.Path(path_type=Path, exists=True), help="Where the claims are; a temporary one."
)
@click.option(
    "--ray", metavar="ADDRESS", help="Claim through this Ray cluster: HOST:PORT, auto, or local to start one."
)
def claims_command(workers: int, keys: int, folder: Path | None, ray: str | None) -> None:
    """Have many processes claim the same keys through files, as workers of a stage do; prints one JSON."""
    from tessy.bench.claims import measure
    from tessy.config.cluster import RayCluster

    cluster = RayCluster(kind="ray", address=ray) if ray else None
    with only_answers():
        found = measure(workers, keys, folder, cluster)
    click.echo(json.dumps(found))


@bench_command.command(
    "synthesis",
    epilog="""\b
Example:
  tessy bench synthesis --student http://127.0.0.1:8001 --teacher http://127.0.0.1:8002 \\
      --problems problems.jsonl --student-predictor DIR --teacher-predictor DIR
  tessy bench synthesis --sizes student=8b,teacher=8b,predictor=0.6b --dummy-weights
  tessy bench synthesis --sizes student=8b,teacher=8b,predictor=0.6b --dummy-weights \\
      --concurrency 96 --max-tokens 384 --variants base,mps,no-async
""",
)
@click.option("--student", metavar="URL", help="Server of the student.")
@click.option("--teacher", metavar="URL", help="Server of the teacher.")
@click.option("--problems", type=click.Path(path_type=Path), help="JSON lines with `id` and `prompt`.")
@click.option("--student-predictor", metavar="DIR", help="Checkpoint of the predictor.")
@click.option("--teacher-predictor", metavar="DIR")
@click.option(
    "--sizes", metavar="ROLE=SIZE,...", help="Start both servers here instead, models of these sizes."
)
@click.option("--dummy-weights", is_flag=True, help="With random weights: needed with --sizes.")
@click.option(
    "--server-arguments",
    metavar="JSON",
    default="{}",
    callback=arguments_of,
    help="vLLM's, by name (with --sizes).",
)
@click.option(
    "--variants",
    metavar="NAME,...",
    help="Compare servers with these settings (with --sizes); `base` is those of --sizes alone.",
)
@click.option("--seconds", type=Number(min=0), default=240.0, show_default=True, help="For all --variants.")
@click.option(
    "--predictor-rest",
    type=Number(min=0),
    multiple=True,
    help="After a pass, times it took (with --sizes); as a run on this device does, where not given.",
)
@click.option(
    "--boundary-every", type=Number(min=1), default=12.0, show_default=True, help="Tokens (with --sizes)."
)
@click.option(
    "--scheduler", type=click.Choice(["stream", "literal", "lockstep"]), default="stream", show_default=True
)
@click.option("--out", type=click.Path(path_type=Path), help="Keep the trajectories, as JSON lines.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help="Longest response; as much as the servers' context holds, or 512 with --sizes.",
)
@click.option(
    "--concurrency", type=click.IntRange(min=1), default=256, show_default=True, help="Samples in flight."
)
@click.option(
    "--check-interval-tokens",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Tokens between two looks (stream).",
)
@click.option(
    "--max-continuation-tokens",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Longest continuation (stream).",
)
@click.option(
    "--window-tokens",
    type=click.IntRange(min=1),
    help="What the predictors see, where they do not say themselves.",
)
@click.option("--student-tokenizer", metavar="DIR", help="Where it is not in the folder the server names.")
@click.option("--teacher-tokenizer", metavar="DIR")
@click.option("--student-format", help="Chat format; told from the tokenizer's markers where not given.")
@click.option("--teacher-format")
@click.option("--temperature", type=Number(0, 2), default=0.6, show_default=True)
@click.option("--top-p", type=Number(0, 1, min_open=True), default=1.0, show_default=True)
@click.option("--top-k", type=click.IntRange(min=0), default=0, show_default=True)
def synthesis_command(
    scheduler: str,
    out: Path | None,
    sizes: str | None,
    dummy_weights: bool,
    boundary_every: float,
    variants: str | None,
    seconds: float,
    **options: Any,
) -> None:
    """Write every problem's trace with two servers that run already; prints one JSON line. With --sizes,
    start both, and compare stream, literal chunks and lock step with plain requests."""
    if sizes is not None:
        if not dummy_weights:
            raise click.UsageError("--sizes needs --dummy-weights: it knows no other")
        refuse(OF_SERVERS, "with --sizes, which starts servers of its own; leave it out")
        if variants is None:
            refuse(["seconds"], "without --variants; give it, too")
        elif len(options["predictor_rest"]) > 1:
            raise click.UsageError("--predictor-rest: with --variants there is one; give one")
        with only_answers():
            found = _sizes(sizes, boundary_every, options, variants, seconds)
        click.echo(json.dumps(found))
        return
    from tessy.bench.servers import NEEDED, Options, run

    refuse(OF_SIZES, "without --sizes; give it, too")
    if missing := [name for name in NEEDED if options[name] is None]:
        raise click.UsageError(f"Missing option {flags(missing)}; or measure --sizes here")
    with only_answers(), tempfile.TemporaryDirectory() as scratch:
        meters, written = asyncio.run(run(Options.of(options), scheduler, Path(scratch)))
        if out is not None:
            with out.open("w", encoding="utf-8") as stream:
                stream.writelines(json.dumps(to_row(t), ensure_ascii=False) + "\n" for t in written)
    kept = ("accepted_tokens", "seconds", "accepted_tokens_per_s", "requests", "generated_tokens")
    values = meters.values()
    figures = {key: values[key] for key in (*kept, "rolled_back_tokens", "teacher_token_share")}
    click.echo(json.dumps({**figures, "outcomes": dict(meters.outcomes), "faults": dict(meters.faults)}))


def _sizes(
    sizes: str, boundary_every: float, options: Mapping[str, Any], variants: str | None, seconds: float
) -> dict[str, Any]:
    from tessy.bench.sizes import parse_sizes
    from tessy.bench.variants import measure_variants, parse_variants
    from tessy.bench.whole import Plan, default_rest, measure_sizes

    plan = Plan(
        parse_sizes(sizes),
        options["concurrency"],
        options["max_tokens"] or 512,
        100,
        boundary_every,
        options["check_interval_tokens"],
        options["max_continuation_tokens"],
        options["temperature"],
        options["predictor_rest"] or (default_rest(),),
        options["server_arguments"],
    )
    chosen = parse_variants(variants) if variants is not None else None
    require_vllm("--sizes", "measure servers elsewhere (--student URL --teacher URL)")
    with tempfile.TemporaryDirectory() as scratch:
        if chosen is not None:
            return asyncio.run(measure_variants(plan, chosen, seconds, Path(scratch), _say))
        return asyncio.run(measure_sizes(plan, Path(scratch), _say))


@bench_command.command(
    "scheduling",
    epilog="""\b
Examples:
  tessy bench scheduling
  tessy bench scheduling --engine-ms 10 --predictor-ms 0.5 --predictor-ms 5 --predictor-ms 50
  tessy bench scheduling --engine-ms 7.4 --one-device --ahead --begin-request-ms 0.6 --span-tokens 15
  tessy bench scheduling --engine-ms 7.4 --one-device --predictors-beside --predictor-ms 4 --predictor-rest 19
""",
)
@click.option(
    "--problems", type=click.IntRange(min=1), help="Traces; 10,000, or 96 at once with --engine-ms."
)
@click.option(
    "--tokens", type=click.IntRange(min=1), help="Tokens of each trace; 2,000, or 1,000 with --engine-ms."
)
@click.option(
    "--engine-ms", type=Number(min=0, min_open=True), help="Simulate engines that take so long for a step."
)
@click.option(
    "--predictor-ms", type=Number(min=0), multiple=True, help="A pass of a simulated predictor; may repeat."
)
@click.option(
    "--predictor-us-per-token",
    type=Number(min=0),
    default=10.0,
    show_default=True,
    help="In a pass, besides.",
)
@click.option(
    "--span-tokens", type=Number(min=1), default=12.0, show_default=True, help="Mean length of a span."
)
@click.option(
    "--begin-step-ms", type=Number(min=0), default=0.0, help="More for a step in which requests begin."
)
@click.option("--begin-request-ms", type=Number(min=0), default=0.0, help="More for each of them.")
@click.option("--ahead", is_flag=True, help="Steps are scheduled while the previous one runs.")
@click.option("--one-device", is_flag=True, help="Both engines' steps take turns on one device.")
@click.option("--predictors-beside", is_flag=True, help="Predictors' passes take turns with them, too.")
@click.option(
    "--predictor-rest",
    type=Number(min=0),
    default=0.0,
    show_default=True,
    help="After a pass, times it took.",
)
@click.option("--real-clock", is_flag=True, help="Have this process's own time count as well.")
def scheduling_command(
    problems: int | None,
    tokens: int | None,
    engine_ms: float | None,
    predictor_ms: tuple[float, ...],
    predictor_us_per_token: float,
    span_tokens: float,
    begin_step_ms: float,
    begin_request_ms: float,
    ahead: bool,
    one_device: bool,
    predictors_beside: bool,
    predictor_rest: float,
    real_clock: bool,
) -> None:
    """Measure what scheduling itself costs, and its memory, with authors that need no time; or, with
    --engine-ms, what stream and literal chunks reach of plain requests at a GPU's timing."""
    from tessy.bench.scheduling import measure
    from tessy.bench.simulation import Begin, Timing, simulate

    if engine_ms is None:
        refuse(OF_ENGINES, "without --engine-ms; give it, too")
        click.echo(json.dumps(measure(problems or 10_000, tokens or 2_000), indent=2))
        return
    if predictors_beside and not one_device:
        raise click.UsageError("--predictors-beside is about one device; give --one-device, too")
    begin = Begin(begin_step_ms, begin_request_ms, ahead)
    found = {}
    for pass_ms in predictor_ms or (5.0,):
        timing = Timing(
            engine_ms,
            pass_ms,
            predictor_us_per_token,
            problems or 96,
            tokens or 1_000,
            span_tokens,
            begin,
            one_device,
            predictors_beside,
            predictor_rest,
        )
        found[f"predictor_ms={pass_ms:g}"] = simulate(timing, virtual=not real_clock)
    click.echo(json.dumps(found, indent=2))


@bench_command.command(
    "prompts",
    epilog="""\b
Example:
  tessy bench prompts --tokens 500 --tokens 10000
""",
)
@click.option(
    "--tokens",
    type=click.IntRange(min=1),
    multiple=True,
    default=(500, 1_000, 4_000, 10_000, 16_000),
    help="Length.",
)
@click.option(
    "--block-size", type=click.IntRange(min=1), default=16, show_default=True, help="vLLM's, of its cache."
)
def prompts_command(tokens: tuple[int, ...], block_size: int) -> None:
    """Measure what a span's request costs client, server and engine before its first token (milliseconds of
    processor time), where its prompt is sent and hashed whole and where it is continued."""
    require_vllm("tessy bench prompts", "measure where it is: its own code is timed")
    with only_answers():
        from tessy.bench.prompts import measure

        found = measure(tokens, block_size)
    click.echo(json.dumps(found, indent=2))


@bench_command.command(
    "cost",
    epilog="""\b
Example:
  tessy bench cost --samples 80000 --tokens 14600
""",
)
@click.option("--samples", type=click.IntRange(min=1), default=80_000, show_default=True, help="Traces.")
@click.option(
    "--tokens", type=click.IntRange(min=1), default=14_600, show_default=True, help="Mean length of a trace."
)
def cost_command(samples: int, tokens: int) -> None:
    """Reckon the GPU-hours of synthesis with GPT-OSS-120B and Qwen3-8B: streamed, in chunks, and in lock step
    as the authors' release runs it. Assumptions are in tessy/bench/scale.py."""
    from tessy.bench.scale import cost

    click.echo(json.dumps(cost(samples, tokens), indent=2))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
