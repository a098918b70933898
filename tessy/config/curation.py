"""What makes a training problem usable, new, and no benchmark's: settings of `tessy.curation_rules`.

Every threshold of those rules is here, with its unit and its default; tessy/curation_rules/README.md has the
measurements that the defaults come from.

Not covered: sources, selection and sampling, which decide what the rules are shown and what becomes of the
rest.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tessy.config.base import Positive, Section, Seed, Share

Action = Literal["remove", "note"]
"""What a finding does to its row: `remove` leaves it out, `note` only counts it."""
KeepRule = Literal["source", "longest", "shortest", "first"]


class Cleaning(Section):
    """What is wrong with a prompt taken by itself. Repairs of characters are always made and counted."""

    languages: tuple[str, ...] = ("en",)
    """Two-letter codes of the languages that stay; an empty list keeps all."""
    language_probability: Share = 0.9
    """Least probability of another language for a finding; below it the language counts as unknown, and
    stays."""
    min_words: Annotated[int, Field(ge=0)] = 8
    """Words after normalisation; a character of a script without spaces is a word."""
    max_characters: Positive = 30_000
    max_tokens: dict[str, Positive] = Field(default_factory=dict)
    """Longest prompt in the tokens of each role; a recipe derives it from its contexts."""
    code_share: Share = 0.9
    """Share of the characters in lines of code from which on a prompt counts as code only."""
    too_short: Action = "remove"
    too_long: Action = "remove"
    lost_characters: Action = "remove"
    """U+FFFD: characters that some decoding before this one could not read."""
    language: Action = "remove"
    lost_formula: Action = "remove"
    """A relation without one of its sides, empty brackets, or an empty formula: text whose formulas are
    gone."""
    lost_image: Action = "remove"
    """A picture that the statement speaks of, or a picture's place."""
    code_only: Action = "remove"
    contains_answer: Action = "remove"
    """A solution, an editorial, a boxed answer or another turn of a conversation inside the prompt."""
    empty_example: Action = "note"
    """A heading of an input or output with nothing under it."""
    duplicate_example: Action = "note"


class Embedding(Section):
    """Near-duplicates by meaning: the cosine of two texts' vectors. A text's vector is the mean of a model's
    last hidden states over all of its tokens, special ones included, as sentence-transformers computes it."""

    model: str
    """A checkpoint folder or a hub id, of a model whose vectors are means (all-MiniLM-L6-v2, e5, gte)."""
    revision: str | None = None
    """Pins a hub id to a commit."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Cosine from which on two rows are near-duplicates: chosen for all-MiniLM-L6-v2. Another model needs
    another (`tessy bench curation quality --embedding MODEL`)."""
    max_tokens: Annotated[int, Field(ge=16)] = 256
    """Tokens that the model reads at once; of a longer text it reads one piece after another."""
    batch: Positive = 32
    """Pieces that it reads together."""


class Duplicates(Section):
    """Which rows are the same problem, and which one of them stays."""

    near: bool = True
    """Off: only texts that are the same after normalisation."""
    ngram_words: Positive = 2
    """Words of a shingle."""
    common_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """A shingle that more of the rows have, as far as a sample tells, is boilerplate, and counts for none; 1
    counts all."""
    permutations: Annotated[int, Field(ge=16, le=1024)] = 128
    """Hash values of a MinHash signature; 4 bytes each for every row, on disk."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Estimated Jaccard similarity of two rows' shingles from which on they are near-duplicates."""
    embedding: Embedding | None = None
    """Join near-duplicates by a model's vectors, too: other wordings and translations. Every row is compared
    with every other."""
    keep: KeepRule = "source"
    """Which row of near-duplicates stays: of the source that is listed first and then the longest; the
    longest; the shortest; or the first. Ties go to the longer text, then by content."""


class Decontamination(Section):
    """Which rows are problems of the recipe's own benchmarks. A rule that is None is off."""

    contained: bool = True
    """The statement of a test as a whole inside the row, after normalisation."""
    ngram_13: Share | None = 0.3
    """Share of a test's 13-word shingles in the row."""
    ngram_8: Share | None = 0.4
    """Share of a test's 8-word shingles in the row."""
    edit: Share | None = 0.7
    """Edit similarity of the normalised texts (1 is equal; insertions and deletions) of a row and a test that
    share shingles."""
    masked: Share | None = 0.5
    """Share of a test's 8-word shingles in the row once numbers, names of variables and proper names are
    masked."""
    min_words: Positive = 12
    """A test with fewer words is only looked for as a whole: its shingles are anybody's."""
    common: Annotated[int, Field(ge=2)] = 3
    """A shingle of at least this many different tests is boilerplate, and counts for none."""
    before: date | None = None
    """Rows dated on or after this day are left out; rows without a date stay."""


class HeldOut(Section):
    """Problems kept out of training, by cluster of near-duplicates."""

    share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the rows that are left."""
    seed: Seed = 0


class Rules(Section):
    """The rules of curation, in the order in which they are applied."""

    cleaning: Cleaning = Cleaning()
    duplicates: Duplicates = Duplicates()
    decontamination: Decontamination = Decontamination()
    held_out: HeldOut = HeldOut()

    @model_validator(mode="after")
    def _clusters_need_signatures(self) -> Self:
        if self.held_out.share and not (self.duplicates.near or self.duplicates.embedding):
            raise ValueError(
                "held_out.share: with duplicates.near false, near-duplicates would be on both sides; "
                "set it true"
            )
        return self
