"""A hub repository of an artifact: its folder, and the upload.

A data set has its finished traces in the split `train` and the others in `unfinished`; a model is its
checkpoint. Both come with a card, the recipe and the lineage. Local paths are shortened to their last part.

Not covered: deleting and renaming on the hub.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from tessy.artifacts import read_json, write_json, write_text
from tessy.config.methods import TITLES
from tessy.errors import UserError
from tessy.hub import unusable
from tessy.layout import SYNTHESIS, TRAJECTORIES
from tessy.report.scores import STUDENT
from tessy.sharing.cards import LINEAGE, RECIPE, Facts, Model, dataset_card, model_card
from tessy.sharing.licences import licence_of
from tessy.sharing.lineage import Made, Report, lineage, method_of, models_of, report_of, traces_of

Kind = Literal["dataset", "model"]
SPLITS = {"train": "data/train.parquet", "unfinished": "data/unfinished.parquet"}


def kind_of(artifact: Path) -> Kind:
    """Whether the artifact is a training set or a model; raises `UserError` if it is neither."""
    if (artifact / TRAJECTORIES).exists():
        return "dataset"
    if (artifact / "model" / "config.json").exists():
        return "model"
    raise UserError(f"{artifact}: neither {TRAJECTORIES} nor model/ is in it; name a training set or a model")


def stage_repository(
    artifact: Path,
    folder: Path,
    name: str,
    *,
    licence: str = "",
    datasets: tuple[str, ...] = (),
    ask_hub: bool,
) -> Kind:
    """Fill `folder` with what the repository called `name` holds."""
    kind, made = kind_of(artifact), lineage(artifact)
    report = report_of(artifact)
    facts = facts_of(made, report, name, kind, licence=licence, ask_hub=ask_hub)
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "dataset":
        splits = _split(artifact / TRAJECTORIES, folder)
        write_text(folder / "README.md", dataset_card(facts, splits))
    else:
        for file in sorted((artifact / "model").rglob("*")):
            if file.is_file() and file.name != "README.md":
                _place(file, folder / file.relative_to(artifact / "model"))
        student = next((one for one in facts.models if one.part == "student"), None)
        on_hub = student is not None and student.source.count("/") == 1 and not Path(student.source).exists()
        base = student.source if student and on_hub else None
        write_text(folder / "README.md", model_card(facts, base, datasets))
    write_json(folder / LINEAGE, [_without_paths(dict(one.manifest)) for one in made])
    if report:
        recipe = yaml.safe_dump(_without_paths(report.recipe), sort_keys=False, allow_unicode=True)
        write_text(folder / RECIPE, recipe)
    return kind


def facts_of(
    made: list[Made],
    report: Report | None,
    name: str,
    kind: Kind,
    *,
    licence: str = "",
    ask_hub: bool = False,
) -> Facts:
    """What the card says of the last artifact of a lineage."""
    traces = traces_of(made)
    if traces is None:
        raise UserError(f"{made[-1].folder}: no training set among what it was made of")
    title = _title(traces, report)
    counts: dict[str, Any] = read_json(traces.folder / SYNTHESIS)
    models = [
        Model(
            part, one["source"], one["revision"], licence_of(one["source"], one["revision"], ask_hub=ask_hub)
        )
        for part, one in models_of(made).items()
    ]
    about = (
        f"Traces for training a reasoning model, by the method {title}."
        if kind == "dataset"
        else f"A reasoning model, fine-tuned on traces by the method {title}."
    )
    scored = [row for row in (report.rows if report else []) if row["method"] in (title, STUDENT)]
    return Facts(
        name=name,
        method=title,
        about=about,
        licence=licence,
        models=[_shortened(one) for one in models],
        counts=counts,
        sources=dict(_sources(made)),
        scores=scored,
        stages=[one.manifest for one in made],
        command=f"tessy run {RECIPE}" if report else "",
        version=importlib.metadata.version("tessy"),
        stopping=_stopping(made[-1]),
    )


def upload(folder: Path, repository: str, kind: Kind, *, private: bool, message: str) -> str:
    """Make the repository if there is none, and commit the folder's files to it; returns the commit's
    address. Raises `UserError` with the reason where the hub refuses."""
    from huggingface_hub import HfApi

    try:
        hub = HfApi()
        hub.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        done = hub.upload_folder(
            repo_id=repository, folder_path=folder, repo_type=kind, commit_message=message
        )
    except Exception as error:
        text = unusable(f"{kind} {repository}", None, error).removesuffix(", or name a local copy instead")
        raise UserError(f"{text}; --dry-run FOLDER writes the repository without uploading it") from error
    return str(done.commit_url)


def _title(traces: Made, report: Report | None) -> str:
    name = method_of(traces)
    given = traces.config.get("given")
    return str(given["title"] or name) if isinstance(given, Mapping) else TITLES.get(name, name)


def _sources(made: list[Made]) -> Iterator[tuple[str, str]]:
    for one in made:
        for key in ("given", "problems"):
            table = one.config.get(key)
            if isinstance(table, Mapping) and "source" in table:
                commits: Mapping[str, str] = one.manifest.get("commits", {})
                revision = table.get("revision")
                commit = commits.get(f"{table['source']}@{revision or 'main'}", revision)
                source = _last_part(str(table["source"]))
                yield f"{source}@{commit}" if commit else source, table.get("licence") or "not stated"


def _stopping(made: Made) -> str:
    found: Mapping[str, Mapping[str, Any]] = made.manifest.get("used", {}).get("stopping", {})
    return " ".join(
        f"{engine}, with the checkpoint's own chat template and settings: {one['stopped']} of "
        f"{one['prompts']} answers of at most {one['max_new_tokens']} tokens ended by themselves."
        for engine, one in found.items()
    )


def _split(trajectories: Path, folder: Path) -> dict[str, str]:
    """Write the finished and the unfinished traces as files of their own; returns those that hold any."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    counts = dict.fromkeys(SPLITS, 0)
    with pq.ParquetFile(trajectories, buffer_size=1 << 20, pre_buffer=False) as file:
        for path in SPLITS.values():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        writers = {
            split: pq.ParquetWriter(folder / path, file.schema_arrow) for split, path in SPLITS.items()
        }
        for batch in file.iter_batches(batch_size=256):
            finished = pc.equal(batch["stop_reason"], "finished")
            for split, chosen in (("train", finished), ("unfinished", pc.invert(finished))):
                rows = batch.filter(chosen)
                counts[split] += rows.num_rows
                if rows.num_rows:
                    writers[split].write_batch(rows)
        for writer in writers.values():
            writer.close()
    for split, path in SPLITS.items():
        if not counts[split]:
            (folder / path).unlink()
    return {split: path for split, path in SPLITS.items() if counts[split]}


def _place(file: Path, target: Path) -> None:
    """The file at `target`, without a copy where the file system allows it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:
        shutil.copy2(file, target)


def _without_paths(value: Any) -> Any:
    """The value with local paths cut to their last part."""
    if isinstance(value, Mapping):
        return {_last_part(key): _without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_paths(inner) for inner in value]
    return _last_part(value) if isinstance(value, str) else value


def _last_part(text: str) -> str:
    return f"(local) {Path(text).name}" if text.startswith(("/", "~/", "./", "../")) else text


def _shortened(model: Model) -> Model:
    return Model(model.part, _last_part(model.source), model.revision, model.licence)
