"""`tessy inspect`: shows traces in the terminal, or writes them as a page with keyboard navigation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from tessy.artifacts import write_text
from tessy.errors import UserError
from tessy.records import Role, Trajectory
from tessy.report.traces import Confidences, Inspected, Piece, inspected, load, render_traces
from tessy.terminal import shown

STYLES = {"student": "blue", "teacher": "dark_orange3"}
IN_TERMINAL = 5
ON_A_PAGE = 200
VISIBLE = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}
"""What control characters are shown as: a terminal would obey a model that writes them."""
ASCII_QUOTES = {ord("«"): "<<", ord("»"): ">>"}


@click.command(
    "inspect",
    epilog="""\b
Examples:
  tessy inspect runs/mini/synthesize-tessy-*/
  tessy inspect runs/mini/synthesize-tessy-*/ --sample 'train-17#0' --confidence
  tessy inspect runs/mini/synthesize-tessy-*/ --html traces.html
""",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--sample", "samples", multiple=True, help="Only this sample or problem id; may be repeated.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"Traces shown; {IN_TERMINAL} in the terminal and {ON_A_PAGE} on a page unless given.",
)
@click.option("--confidence", is_flag=True, help="Ask what switched the authors about every token again.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page instead.")
def inspect_command(
    source: Path, samples: tuple[str, ...], limit: int | None, confidence: bool, html: Path | None
) -> None:
    """Show the traces in SOURCE, an artifact with trajectories or a Parquet file of them.

    Authors are coloured and rolled-back text is struck out; without colours, the teacher's text is in «»
    and rolled-back text in [- -]. With --confidence, the run's switch (its predictors, the recipe's
    checkpoints, a lexicon ...) is computed again, and uncertain tokens are followed by their probability
    of style.
    """
    trajectories = load(source, samples=samples, limit=limit or (ON_A_PAGE if html else IN_TERMINAL))
    traces = inspected(trajectories, *(_confidences(source, trajectories) if confidence else ()))
    if html:
        try:
            write_text(html, render_traces(traces, source.name))
        except OSError as error:
            raise UserError(
                f"--html {html}: cannot be written: {error.strerror}; name another file"
            ) from None
        click.echo(f"{len(traces)} traces in {html}")
        return
    console = Console(highlight=False, soft_wrap=True)
    visible = VISIBLE | ({} if shown("«»", console.encoding, "") else ASCII_QUOTES)
    for trace in traces:
        for line in lines(trace, colours=console.color_system is not None):
            line.plain = line.plain.translate(visible)
            console.print(line)


def _confidences(source: Path, trajectories: Sequence[Trajectory]) -> tuple[Confidences, dict[Role, float]]:
    from tessy.commands.confidences import confidences  # Imports PyTorch, which nothing else here needs.

    return confidences(source, trajectories)


def lines(trace: Inspected, *, colours: bool) -> Iterator[Text]:
    """One trace for the terminal: a heading, the prompt, the text in its authors' colours.

    Without colours the teacher's text is in «», rolled-back text in [- -].
    """
    t = trace.trajectory
    reason = f"{t.stop_reason}: {t.failure}" if t.failure else t.stop_reason
    yield Text(f"{t.sample_id}  {t.method}  {reason}", style="bold")
    legend = Text("  ")
    for role, count in trace.tokens.items():
        legend.append(f"{role} {count} tokens  ", style=STYLES[role])
    places = f" in {trace.roll_backs} places" if trace.roll_backs else ""
    yield legend.append(f"{t.rolled_back_tokens} of {t.generated_tokens} rolled back{places}", style="dim")
    yield Text(t.prompt, style="dim")
    body = Text()
    for stretch in trace.stretches:
        style = "dim" if stretch.span.kind == "markup" else STYLES[stretch.span.author]
        quoted = not colours and stretch.span.author == "teacher" and stretch.span.kind != "markup"
        body.append("«" if quoted else "")
        for piece in stretch.pieces:
            body.append_text(_shown(piece, style))
        body.append("»" if quoted else "")
        if stretch.span.discarded:
            discarded = stretch.span.discarded if colours else f"[-{stretch.span.discarded}-]"
            body.append(discarded, style="red strike dim")
    yield body.append("\n")


def _shown(piece: Piece, style: str) -> Text:
    text = Text(piece.text, style=style)
    if piece.in_doubt:
        text.append(f"[{piece.style:.2f}]", style="dim")
    return text
