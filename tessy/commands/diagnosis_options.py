"""What a diagnosis is asked for: the options of `tessy diagnose`, and the student that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tessy.config.models import ModelReference
from tessy.errors import UserError


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, by its names; `form` is the chat format."""

    student: str
    form: str = "auto"
    revision: str | None = None
    own: str | None = None
    lexicon: str = "english"
    predictor: Path | None = None
    samples: int = 200
    own_samples: int = 64
    max_tokens: int = 4096
    engine: str = "transformers"
    temperature: float = 0.6
    seed: int = 0


def model_of(options: Options) -> ModelReference:
    """The student as stages name models; an artifact's model is in a folder of it."""
    folder = Path(options.student)
    source = str(folder / "model") if (folder / "model" / "config.json").is_file() else options.student
    if folder.exists() and not (Path(source) / "config.json").is_file():
        raise UserError(f"--student {options.student}: no checkpoint there (config.json is missing)")
    if not folder.exists() and options.student.count("/") != 1:
        raise UserError(f"--student {options.student}: no such folder; name a checkpoint or a hub id")
    given = {"source": source, "revision": options.revision, "format": options.form}
    return ModelReference.model_validate(given)
