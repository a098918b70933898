"""The pass that finds near-duplicates by a model's vectors: vectors of all different texts, then all of them
compared.

Vectors are appended to a file, the comparison is noted from time to time, and a killed stage goes on with
both. Memory: the model, a few hundred texts, two blocks of vectors and 24 bytes for each text; vectors are
mapped from disk.

Not covered: which of near-duplicates stays (`tessy.curation_rules.duplicates`); models that want a prefix
before a text, or whose vectors are no means.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessy.artifacts import replacing
from tessy.config.curation import Duplicates, Embedding
from tessy.config.problems import FIELD
from tessy.curate.shards import Shards
from tessy.curation_rules.chunks import Sketches
from tessy.curation_rules.duplicates import Rows, distinct
from tessy.curation_rules.text import Hashes
from tessy.curation_rules.vectors import Comparison, Half, Near, said, search
from tessy.errors import UserError
from tessy.runtime.job import Job, Source
from tessy.runtime.stage import StageConfig

NAME = f"{FIELD}.duplicates.embedding"
AT_ONCE = 256
"""Texts whose pieces are sorted by length together, and written together."""
_NOTED_EVERY_S = 20.0
_POOLING = "1_Pooling/config.json"
"""Where sentence-transformers says how a model's vectors are made."""


class Embedder:
    """A model whose last hidden states become vectors, on a GPU where there is one.

    Raises `UserError` for a checkpoint that cannot be used, before anything is read.
    """

    def __init__(self, source: Source, settings: Embedding) -> None:
        import torch

        self._settings = settings
        self._field = f"{NAME}.model {settings.model!r}"
        self._require_means(source)
        self._tokenizer, self._model = self._loaded(source)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.to(self._device)
        self.dimensions = int(self.of(["a text to try it with"]).shape[1])

    def of(self, texts: Sequence[str]) -> Half:
        """The vectors of texts, float16 (texts, dimensions), of length 1 each."""
        read = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._settings.max_tokens,
            return_overflowing_tokens=True,
            return_token_type_ids=False,
            return_attention_mask=False,
        )
        pieces, owners = read["input_ids"], np.array(read["overflow_to_sample_mapping"])
        order = np.argsort([len(piece) for piece in pieces], kind="stable")
        sums: NDArray[np.float64] | None = None
        for start in range(0, len(order), self._settings.batch):
            some = order[start : start + self._settings.batch]
            found = self._sums([pieces[number] for number in some])
            sums = np.zeros((len(texts), found.shape[1])) if sums is None else sums
            np.add.at(sums, owners[some], found)
        assert sums is not None
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            bad = texts[int(np.argmin(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))]
            raise UserError(f"{self._field}: its vector of {bad[:80]!r} is not finite; name another model")
        return (sums / lengths).astype(np.float16)

    def _sums(self, pieces: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """The sum of the last hidden states of each piece, (pieces, dimensions)."""
        import torch

        longest = max(map(len, pieces))
        ids = torch.zeros((len(pieces), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)], mask[row, : len(piece)] = torch.tensor(piece), 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            found: NDArray[np.float32] = (hidden.float() * mask[..., None]).sum(1).cpu().numpy()
        return found

    def near(self, one: Half, other: Half, least: float) -> tuple[Rows, Rows]:
        """`tessy.curation_rules.vectors.search`, on this model's device."""
        import torch

        if self._device.type == "cpu":
            return search(one, other, least)
        left, right = (torch.from_numpy(np.array(half)).to(self._device).float() for half in (one, other))
        here, there = (left @ right.T >= least).nonzero(as_tuple=True)
        return here.cpu().numpy(), there.cpu().numpy()

    def _require_means(self, source: Source) -> None:
        """Raise `UserError` where the checkpoint says that its vectors are not means."""
        from transformers.utils.hub import cached_file

        try:
            found = cached_file(
                source.name, _POOLING, revision=source.revision, _raise_exceptions_for_missing_entries=False
            )
        except (OSError, ValueError) as error:
            raise self._unusable(error) from None
        made = json.loads(Path(found).read_text(encoding="utf-8")) if found else {}
        ways = [name for name, value in made.items() if name.startswith("pooling_mode") and value is True]
        if ways and ways != ["pooling_mode_mean_tokens"]:
            raise UserError(
                f"{self._field}: its vectors are no means ({', '.join(ways)} in {_POOLING}); name a model "
                "with mean pooling, such as sentence-transformers/all-MiniLM-L6-v2"
            )

    def _loaded(self, source: Source) -> tuple[Any, Any]:
        """Tokenizer and model; raises `UserError` for what cannot be used."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        where: dict[str, Any] = {"revision": source.revision}
        try:
            tokenizer = AutoTokenizer.from_pretrained(source.name, **where)
            model, notes = AutoModel.from_pretrained(
                source.name, dtype=torch.float32, output_loading_info=True, **where
            )
        except Exception as error:
            raise self._unusable(error) from error
        # A pooler is not used here, and checkpoints for other tasks have none.
        missing = sorted(name for name in notes["missing_keys"] if "pooler" not in name)
        context = getattr(model.config, "max_position_embeddings", None)
        if missing:
            fault = f"{len(missing)} of its weights are missing, {missing[0]} for one"
        elif model.config.is_encoder_decoder:
            fault = "it is an encoder with a decoder, and an encoder or a decoder is needed"
        elif not tokenizer.is_fast:
            fault = "its tokenizer is not a fast one"
        elif context and self._settings.max_tokens > context:
            raise UserError(f"{NAME}.max_tokens {self._settings.max_tokens}: it reads {context}; lower it")
        else:
            return tokenizer, model.eval()
        raise UserError(f"{self._field}: {fault}; name another checkpoint")

    def _unusable(self, error: Exception) -> UserError:
        reason = str(error).strip().partition("\n")[0]
        return UserError(
            f"{self._field}: it cannot be loaded: {reason}; name a checkpoint folder or a hub id that "
            "transformers' AutoModel reads"
        )


def open_embedder(job: Job[StageConfig], settings: Duplicates) -> Embedder | None:
    """The model of `settings.embedding`, loaded and tried; None where there is none."""
    wanted = settings.embedding
    if wanted is None:
        return None
    try:
        source = job.pinned(wanted.model, wanted.revision)
    except UserError as error:
        raise UserError(f"{NAME}.model: {error}") from None
    return Embedder(source, wanted)


def near(
    job: Job[StageConfig],
    embedder: Embedder,
    settings: Duplicates,
    common: Hashes,
    shards: Shards,
    sketches: Sketches,
    rows: Rows,
) -> Near:
    """What is near by its vector among `rows` (n,), numbers of usable rows whose sketches are `sketches`. Of
    equal texts only the first is read."""
    assert settings.embedding is not None
    first, text = distinct(sketches.digests)
    first = np.where(sketches.words[first] > 0, first, -1)
    read = np.sort(first[first >= 0])
    values = _vectors(job, embedder, settings, common, shards, rows[read])
    place = np.where(first >= 0, np.searchsorted(read, first), -1)[text]
    return Near(values, place, _compared(job, embedder, values, settings.embedding.threshold))


def _vectors(
    job: Job[StageConfig],
    embedder: Embedder,
    settings: Duplicates,
    common: Hashes,
    shards: Shards,
    rows: Rows,
) -> Half:
    """The vectors of `rows` in their order, mapped from a file; those that are there are not made again."""
    file, width = job.work / "vectors.f16", 2 * embedder.dimensions
    with file.open("ab") as stream:
        # Whole pieces only: which texts are read together decides the last bits of a vector.
        done = stream.tell() // width
        if done < len(rows):
            done -= done % AT_ONCE
            stream.truncate(done * width)
        for start in range(done, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            found = shards.take(some.tolist(), ["prompt"])
            stream.write(
                embedder.of([said(found[row].prompt, common, settings) for row in some.tolist()]).tobytes()
            )
            stream.flush()
            job.progress(start + len(some), len(rows), "texts embedded")
    shape = (len(rows), embedder.dimensions)
    return np.memmap(file, np.float16, "r", shape=shape) if len(rows) else np.zeros(shape, np.float16)


def _compared(job: Job[StageConfig], embedder: Embedder, values: Half, threshold: float) -> Rows:
    """The component of each vector; what was noted before a kill is not compared again."""
    noted = job.work / "compared.npz"
    comparison = Comparison(np.arange(len(values)))
    if noted.exists():
        with np.load(noted) as before:
            comparison = Comparison(before["labels"], int(before["blocks"]))
    total, last = len(values) * (len(values) + 1) / 2, time.monotonic()
    while comparison.done < 1:
        comparison.step(values, threshold, embedder.near)
        job.progress(round(comparison.done * total), round(total), "pairs compared")
        if comparison.done == 1 or time.monotonic() - last > _NOTED_EVERY_S:
            last = time.monotonic()
            with replacing(noted) as whole:
                np.savez(whole, labels=comparison.labels, blocks=comparison.blocks)
    return comparison.labels
