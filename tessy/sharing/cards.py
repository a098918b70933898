"""The card of a data set or model, from what the run's manifests and report say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

RECIPE = "recipe.yaml"
LINEAGE = "lineage.json"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that had a part in it."""

    part: str
    source: str
    revision: str | None
    licence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card says. `counts` are those of the training set; `scores` are rows of the report's table."""

    name: str
    method: str
    about: str
    licence: str
    models: Sequence[Model]
    counts: Mapping[str, Any]
    sources: Mapping[str, str] = field(default_factory=dict)
    """Tables that went in, with their terms."""
    scores: Sequence[Mapping[str, Any]] = ()
    stages: Sequence[Mapping[str, Any]] = ()
    """Lineage: `stage`, `fingerprint`, `revision`, `seconds`, inputs first."""
    command: str = ""
    version: str = ""
    stopping: str = ""
    """Whether the checkpoint stops by itself, as its own check found."""


def dataset_card(facts: Facts, splits: Mapping[str, str]) -> str:
    """The card of a data set with files by split."""
    files = [{"split": split, "path": path} for split, path in splits.items()]
    head = {
        **_licence(facts),
        "task_categories": ["text-generation"],
        "tags": ["reasoning", "sft", "distillation", "tessy"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    return _card(head, facts, [*_set(facts), *_columns(splits), *_common(facts)])


def model_card(facts: Facts, base: str | None, datasets: Sequence[str] = ()) -> str:
    """The card of a model that was trained from the hub's `base`, if it was one of the hub's."""
    head = {
        **_licence(facts),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["reasoning", "sft", "tessy"],
        **({"base_model": base} if base else {}),
        **({"datasets": list(datasets)} if datasets else {}),
    }
    stops = ["## Does it stop?", "", facts.stopping, ""] if facts.stopping else []
    return _card(head, facts, [*stops, *_set(facts), *_common(facts)])


def _licence(facts: Facts) -> dict[str, str]:
    return {"license": facts.licence} if facts.licence else {}


def _card(head: Mapping[str, Any], facts: Facts, body: Iterable[str]) -> str:
    front = yaml.safe_dump(dict(head), sort_keys=False, allow_unicode=True)
    return "\n".join([f"---\n{front}---\n", f"# {facts.name}", "", facts.about, "", *body]).rstrip() + "\n"


def _set(facts: Facts) -> list[str]:
    """Method, counts and failures of the training set."""
    counts = facts.counts
    lines = ["## Training set", "", f"Method: {facts.method}.", ""]
    named = {
        "traces": counts.get("trajectories"),
        "of them finished, and so for training": counts.get("trajectories", 0) - counts.get("failed", 0),
        "mean tokens of a response": _rounded(counts.get("mean_tokens")),
        "share of tokens by the teacher": _rounded(counts.get("teacher_token_share"), 3),
        "tokens generated": counts.get("generated_tokens") or None,
        "tokens rolled back": counts.get("rolled_back_tokens") or None,
    }
    lines += _table(("", ""), [(name, value) for name, value in named.items() if value is not None])
    ended = [("did not finish", reason, n) for reason, n in counts.get("stop_reasons", {}).items()]
    ended = [row for row in ended if row[1] != "finished"]
    ended += [("gave up", reason, n) for reason, n in counts.get("failures", {}).items()]
    ended += [("row not used", reason, n) for reason, n in counts.get("left_out", {}).items()]
    if ended:
        lines += ["Failures and what was left out:", "", *_table(("what", "why", "how many"), ended)]
    return lines


def _columns(splits: Mapping[str, str]) -> list[str]:
    more = (
        "`unfinished` has traces that did not end properly; they are not for training.\n"
        if "unfinished" in splits
        else ""
    )
    return [
        "`messages` is the whole conversation, thinking in the markers of the student's own chat template;",
        "`spans` say who wrote which piece of it; `student_token_ids` are the ids that were trained on, the",
        f"first `prompt_tokens` of them without loss. {more}",
        "```python",
        "from datasets import load_dataset",
        "",
        'load_dataset("<this repository>", split="train")',
        "```",
        "",
    ]


def _common(facts: Facts) -> list[str]:
    lines = ["## Models", ""]
    lines += _table(
        ("part", "model", "revision", "licence"),
        [(one.part, one.source, one.revision or "", one.licence) for one in facts.models],
    )
    if facts.sources:
        lines += ["## Sources", "", *_table(("source", "licence"), list(facts.sources.items()))]
    if facts.scores:
        lines += [
            "## Scores",
            "",
            "Of models trained on this set, and of the student before; 95 % intervals.",
            "",
        ]
        lines += _table(
            ("method", "benchmark", "metric", "score", "interval", "problems", "seeds"),
            [_score(row) for row in facts.scores],
        )
    lines += ["## Lineage", ""]
    lines += _table(
        ("stage", "fingerprint", "revision", "seconds"),
        [(one["stage"], one["fingerprint"], one["revision"], one["seconds"]) for one in facts.stages],
    )
    made = f"```bash\n{facts.command}\n```\n" if facts.command else ""
    lines += [
        f"Made with tessy {facts.version}; `{LINEAGE}` has every stage's settings. {made and 'The command:'}"
    ]
    return [*lines, "", made]


def _score(row: Mapping[str, Any]) -> tuple[object, ...]:
    low, value, high = (f"{100 * row[key]:.1f}" for key in ("ci_low", "value", "ci_high"))
    seeds = ", ".join(map(str, row["seeds"]))
    return row["method"], row["benchmark"], row["metric"], value, f"[{low}, {high}]", row["n_problems"], seeds


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table, and an empty line."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]


def _rounded(value: float | None, digits: int = 0) -> float | None:
    return None if value is None else round(value, digits) if digits else round(value)
