"""Time and memory of all rules but model-based selection, on invented rows with planted duplicates and leaks.

Rows are a JSON lines file: `prompt`, and what is planted in `copy_of` (a row before it) or `leak_of` (a
benchmark statement), with the kind of edit in `kind`. The measurement reads the file once, in chunks, with a
process for each core; signatures go to disk, and everything after the pass works on arrays.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tessy.bench.curation.costs import Clock, Memory
from tessy.bench.curation.edits import EDITS
from tessy.bench.curation.problems import Problems
from tessy.config.curation import HeldOut, Rules
from tessy.curation_rules.characters import repair
from tessy.curation_rules.chunks import Sample, Sketches, sketch
from tessy.curation_rules.cleaning import clean
from tessy.curation_rules.decontamination import BenchmarkIndex, Statement
from tessy.curation_rules.duplicates import clusters, keep, preference
from tessy.curation_rules.held_out import split
from tessy.curation_rules.signatures import boilerplate
from tessy.curation_rules.text import Hashes
from tessy.errors import UserError

CHUNK = 500
"""Rows that a process is given at once."""
COPIES, LEAKS = 0.15, 0.002
"""Shares of the rows."""
_RECENT = 2000
"""Rows that a copy may be of: those before it in its block."""
BESIDE = "datatrove, spacy, tokenizers, regex and xxhash below 3.6"
Say = Callable[[str], None]


def benchmark(count: int) -> list[Statement]:
    """Statements that rows may leak."""
    problems = Problems(seed=1_000_003)
    return [Statement(f"benchmark {n % 4}", str(n), problems.one()) for n in range(count)]


def write(path: Path, rows: int, statements: Sequence[Statement], processes: int) -> None:
    """Write the rows, the same for every number of processes."""
    starts = range(0, rows, _RECENT)
    make = partial(_block, rows=rows, statements=[one.text for one in statements])
    with path.open("w", encoding="utf-8") as out, multiprocessing.Pool(processes) as pool:
        for lines in pool.imap(make, starts):
            out.write(lines)


def made(rows: int, tests: Sequence[Statement], folder: Path, processes: int, say: Say) -> Path:
    """The file with the rows in `folder`, which is written unless it is there."""
    path = folder / f"rows-{rows}-{len(tests)}.jsonl"
    if not path.exists():
        say(f"writing {rows} rows")
        write(path.with_suffix(".part"), rows, tests, processes)
        path.with_suffix(".part").rename(path)
    return path


def _block(start: int, rows: int, statements: Sequence[str]) -> str:
    draw, problems = random.Random(start), Problems(start)
    texts: list[str] = []
    lines: list[str] = []
    for number in range(start, min(start + _RECENT, rows)):
        row: dict[str, Any] = {"id": number}
        chance = draw.random()
        if texts and chance < COPIES + LEAKS:
            kind = draw.choice(list(EDITS))
            leak = chance < LEAKS
            of = draw.randrange(len(statements) if leak else len(texts))
            text = EDITS[kind]((statements if leak else texts)[of], draw)
            row |= {"kind": kind, "leak_of" if leak else "copy_of": of if leak else start + of}
        else:
            text = problems.one()
        texts.append(text)
        lines.append(json.dumps({**row, "prompt": text}, ensure_ascii=False) + "\n")
    return "".join(lines)


# One pass -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Described:
    """What is left of a chunk: its arrays, counts of findings, and matches as (row, rule, statement)."""

    sketches: Sketches
    removed: Counter[str]
    matches: list[tuple[int, str, int]]


class _Worker:
    """Describes chunks with an index that every process makes once."""

    rules: Rules
    index: BenchmarkIndex
    common: Hashes
    numbers: dict[int, int]

    @classmethod
    def prepare(cls, rules: Rules, statements: Sequence[Statement], common: Hashes) -> None:
        cls.rules, cls.index = rules, BenchmarkIndex(statements, rules.decontamination)
        cls.common = common
        cls.numbers = {id(one): number for number, one in enumerate(cls.index.statements)}

    @classmethod
    def describe(cls, lines: list[bytes]) -> _Described:
        prompts = [repair(json.loads(line)["prompt"])[0] for line in lines]
        removed: Counter[str] = Counter()
        matches = []
        for row, prompt in enumerate(prompts):
            removed.update(one.rule for one in clean(prompt, {}, cls.rules.cleaning) if one.removes)
            for match in cls.index.matches(prompt):
                matches.append((row, match.rule, cls.numbers[id(match.statement)]))
        return _Described(sketch(prompts, cls.rules.duplicates, cls.common), removed, matches)


def measure(rows: int, statements: int, folder: Path, processes: int, say: Say) -> dict[str, Any]:
    """Make the rows in `folder` unless they are there, apply the rules; figures and what was found of the
    planted."""
    tests, rules = benchmark(statements), Rules(held_out=HeldOut(share=0.02))
    path = made(rows, tests, folder, processes, say)
    clock, memory = Clock(), Memory()
    with memory.watched():
        common = _common(path, rules)
        clock.passed("a sample, its boilerplate")
        sketches, removed, matches = _describe(path, (rules, tests, common), folder, processes, say)
        clock.passed("cleaning, signatures, decontamination")
        labels, kept, held = _decided(sketches, rules, clock, say)
    return {
        "rows": len(sketches),
        "characters": path.stat().st_size,
        "processes": processes,
        "seconds": clock.seconds,
        "memory_mib": memory.peaks,
        "removed_by_cleaning": dict(removed),
        "stay_after_duplicates": kept,
        "held_out": held,
        **_found(path, labels, matches),
    }


def _decided(sketches: Sketches, rules: Rules, clock: Clock, say: Say) -> tuple[Any, int, int]:
    """The part that works on arrays alone: clusters, how many rows stay, and how many are held out."""
    labels = clusters(sketches, rules.duplicates, lambda what, share: say(f"{what}: {share:.0%}"))
    clock.passed("clusters")
    ranks = preference("source", sketches, np.zeros(len(sketches), np.int64))
    kept = keep(labels, ranks, sketches, rules.duplicates)
    held = split(labels, sketches.digests, rules.held_out.share, rules.held_out.seed)
    clock.passed("what stays, held-out split")
    return labels, int(kept.mask.sum()), int(held.sum())


def measure_arrays(rows: int, folder: Path, say: Say) -> dict[str, Any]:
    """The same for invented sketches: signatures of noise, of which a share `COPIES` differs from a row
    before it in at most half of its values."""
    rules, rng = Rules(held_out=HeldOut(share=0.02)), np.random.default_rng(0)
    width = rules.duplicates.permutations
    signatures = np.memmap(folder / "signatures.u32", np.uint32, "w+", shape=(rows, width))
    origin = np.arange(rows)
    for start in range(0, rows, _RECENT):
        made = rng.integers(0, 1 << 32, (min(_RECENT, rows - start), width), np.uint32)
        copies = np.flatnonzero(rng.random(len(made)) < COPIES)
        copies = copies[copies > 0]
        for copy, of in zip(copies.tolist(), (rng.random(len(copies)) * copies).astype(int), strict=True):
            same = rng.random(width) < rng.uniform(0.6, 1)
            made[copy, same], origin[start + copy] = made[of, same], origin[start + of]
        signatures[start : start + len(made)] = made
    words = np.full(rows, 300, np.int64)
    sketches = Sketches(rng.integers(0, 1 << 63, (rows, 2), np.uint64), signatures, words)
    clock, memory = Clock(), Memory()
    with memory.watched():
        labels, kept, held = _decided(sketches, rules, clock, say)
    first = origin != np.arange(rows)
    return {
        "rows": rows,
        "copies": int(first.sum()),
        "copies_found": int((labels == labels[origin])[first].sum()),
        "stay_after_duplicates": kept,
        "held_out": held,
        "seconds": clock.seconds,
        "memory_mib": memory.peaks,
    }


def beside(python: str, rows: int, statements: int, folder: Path, processes: int, say: Say) -> dict[str, Any]:
    """`datatrove` in the interpreter `python`, on the same rows, and what it found of the planted; raises
    `UserError` where it cannot be run."""
    path = made(rows, benchmark(statements), folder, processes, say)
    script = Path(__file__).with_name("beside_datatrove.py")
    said = folder / "datatrove.log"
    command = [python, str(script), str(path), str(folder / "datatrove")]
    try:
        with said.open("w") as log:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    except OSError as error:
        raise UserError(f"--datatrove-python {python}: {error}; name an interpreter with datatrove") from None
    if done.returncode:
        reason = (said.read_text().strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"--datatrove-python {python}: {reason}; it needs {BESIDE}")
    labels = np.array(json.loads((folder / "datatrove" / "labels.json").read_text()))
    found = _found(path, labels, {})
    return {
        **json.loads(done.stdout.splitlines()[-1]),
        "recall": found["recall"]["copies"],
        "joined_pairs": found["joined_pairs"],
        "joined_pairs_of_different_problems": found["joined_pairs_of_different_problems"],
    }


def _common(path: Path, rules: Rules) -> Hashes:
    sample = Sample()
    for lines in _chunks(path):
        sample.add(json.loads(line)["prompt"] for line in lines)
    return boilerplate(sample.prompts, rules.duplicates)


def _describe(
    path: Path,
    given: tuple[Rules, Sequence[Statement], Hashes],
    folder: Path,
    processes: int,
    say: Say,
) -> tuple[Sketches, Counter[str], dict[int, set[int]]]:
    """One pass over the file; the signatures are a memory map of a file in `folder`."""
    signatures = folder / "signatures.u32"
    digests, words, removed = [], [], Counter[str]()
    matches: dict[int, set[int]] = {}
    done, started = 0, time.perf_counter()
    with (
        signatures.open("wb") as out,
        multiprocessing.Pool(processes, _Worker.prepare, given) as pool,
    ):
        for one in pool.imap(_Worker.describe, _chunks(path)):
            out.write(one.sketches.signatures.tobytes())
            digests.append(one.sketches.digests)
            words.append(one.sketches.words)
            removed += one.removed
            for row, _, statement in one.matches:
                matches.setdefault(done + row, set()).add(statement)
            done += len(one.sketches)
            if done % 20_000 == 0:
                say(f"{done} rows, {done / (time.perf_counter() - started):.0f} a second")
    shape = (done, given[0].duplicates.permutations)
    return (
        Sketches(
            np.concatenate(digests), np.memmap(signatures, np.uint32, "r", shape=shape), np.concatenate(words)
        ),
        removed,
        matches,
    )


def _chunks(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as stream:
        while lines := list(islice(stream, CHUNK)):
            yield lines


def _found(path: Path, labels: Any, matches: dict[int, set[int]]) -> dict[str, Any]:
    """Recall of what was planted, by kind of edit, and what was found that was not."""
    planted: dict[str, Counter[str]] = {"copies": Counter(), "leaks": Counter()}
    found: dict[str, Counter[str]] = {"copies": Counter(), "leaks": Counter()}
    origin = np.arange(len(labels))
    leaks: dict[int, int] = {}
    with path.open("rb") as stream:
        for number, line in enumerate(stream):
            row = json.loads(line)
            if "copy_of" in row:
                origin[number] = origin[row["copy_of"]]
                if row["copy_of"] in leaks:
                    leaks[number] = leaks[row["copy_of"]]
                planted["copies"][row["kind"]] += 1
                found["copies"][row["kind"]] += int(labels[number] == labels[row["copy_of"]])
            elif "leak_of" in row:
                leaks[number] = row["leak_of"]
                origin[number] = -1 - row["leak_of"]
                planted["leaks"][row["kind"]] += 1
                found["leaks"][row["kind"]] += int(row["leak_of"] in matches.get(number, ()))
    recall = {
        name: {kind: round(found[name][kind] / count, 4) for kind, count in sorted(kinds.items())}
        for name, kinds in planted.items()
    }
    _, sizes = np.unique(labels, return_counts=True)
    _, right = np.unique(np.stack([labels, origin]), axis=1, return_counts=True)
    pairs, right_pairs = (int((s * (s - 1) // 2).sum()) for s in (sizes, right))
    return {
        "recall": recall,
        "joined_pairs": pairs,
        "joined_pairs_of_different_problems": pairs - right_pairs,
        "rows_wrongly_taken_for_leaks": sum(
            number not in leaks or leaks[number] not in them for number, them in matches.items()
        ),
    }


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))
