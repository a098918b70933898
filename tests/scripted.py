"""Two scripted authors and a scripted predictor, for tests of scheduling without models.

Every character is a token. The student writes lower case, the teacher upper case; each would go on in
the other's case if nobody stopped it, so a right trace shows the predictor at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tessy.chat import FORMATS
from tessy.config.methods import METHODS
from tessy.engines.scripted import ScriptedEngine
from tessy.records import Problem, Role, Trajectory, from_row
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Author, Sample, samples_of
from tessy.synthesis.scheduler import Schedule, write_all

END = 0x110000
"""The id of every end marker: one past the last character."""

THINKING = "okay then. X + 2 hmm, well. Y * 3 that is it."
ANSWER = "print it."


class CharacterRenderer:
    """A renderer whose ids are code points."""

    thinking_end_ids = (END,)
    answer_end_ids = (END,)
    end_spellings: tuple[str, ...] = ()
    format = FORMATS["qwen3"]
    fingerprint = "characters"

    def prompt_ids(self, prompt: str, system: str = "") -> list[int]:
        return self.encode(prompt + "|")

    def open_thinking_ids(self) -> list[int]:
        return []

    def close_thinking_ids(self, thinking: str) -> list[int]:
        return [END]

    def close_thinking_text(self, thinking: str) -> str:
        return self.format.close_thinking

    def no_thinking_ids(self) -> list[int]:
        return [END]

    def close_answer_ids(self) -> list[int]:
        return [END]

    def end_reason(self, part: str, token_id: int) -> str:
        return "end"

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [chr(token) for token in ids]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join("" if token == END else chr(token) for token in ids)


class CasePredictor:
    """Foreign to the student is upper case, to the teacher lower case; signs are nobody's."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        foreign = str.isupper if self.role == "student" else str.islower
        return [(offset, foreign(character)) for offset, character in enumerate(chunk)]

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[list[tuple[int, bool]]]:
        foreign = str.isupper if self.role == "student" else str.islower
        return [[(at, foreign(character)) for at, character in enumerate(chunk)] for _, chunk in pairs]

    def release(self, sample_id: str) -> None:
        """Nothing is kept."""


def continuation(ids: Sequence[int], thinking: str = THINKING) -> list[int]:
    """What either author would write after `ids`: the rest of the one trace they both know."""
    written = list(ids)[list(ids).index(ord("|")) + 1 :]
    whole = [*map(ord, thinking), END, *map(ord, ANSWER), END]
    return whole[len(written) :]


def assignment(
    chunk_tokens: int, method: str = "tessy", max_tokens: int = 1000, thinking: str = THINKING
) -> Assignment:
    renderer = CharacterRenderer()
    engine = ScriptedEngine(lambda ids: continuation(ids, thinking))
    roles = sorted(METHODS[method].authors)
    authors = {role: Author(role, engine, CasePredictor(role), chunk_tokens) for role in roles}
    renderers = dict.fromkeys([*roles, "student"], renderer)
    return Assignment(
        method, METHODS[method], authors, renderers, "student", max_tokens, 0, {"temperature": 0.0}
    )  # type: ignore[arg-type]


def samples(count: int) -> list[Sample]:
    return samples_of([Problem(f"p{i}", f"problem {i}") for i in range(count)])


async def synthesize(
    folder: Path,
    count: int,
    chunk_tokens: int,
    method: str = "tessy",
    max_tokens: int = 1000,
    reach: int | None = None,
) -> list[Trajectory]:
    with Journal(folder) as journal:
        spec = assignment(chunk_tokens, method, max_tokens)
        await write_all(samples(count), spec, journal, Schedule(8, reach), Meters())
        return [from_row(Trajectory, row) for row in journal.rows(s.sample_id for s in samples(count))]
