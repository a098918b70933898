"""Rows of CSV files as spreadsheets and libraries write them. Only the header decides what separates cells.

Not covered: cells without quotation marks that hold a separator, and more than one table in a file.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from tessy.sources.leftout import Unfit

NO_TEXT = "not UTF-8"
CELLS = "cells do not fit the header"
_SEPARATORS = (",", ";", "\t", "|")
_SAYS = "sep="
"""Begins a line before the header with which Excel is told the separator."""


def rows_of_csv(
    stream: Iterable[str], separator: str, refuse: Callable[[str], Exception]
) -> Iterator[tuple[int, Mapping[str, object] | Unfit]]:
    """Rows with their numbers, counted from 1 behind the header. Bytes that are no UTF-8 are lone surrogates
    in `stream`.

    Another separator than the usual one is used where it makes more cells of a header of one. Raises what
    `refuse` makes of a sentence for a header that names no columns, and `ValueError` for a quotation mark
    that is never closed, which would hide the rows behind it in one cell.
    """
    csv.field_size_limit(sys.maxsize)
    lines = iter(stream)
    head = next(lines, "")
    if head.lower().startswith(_SAYS):
        separator, head = head.rstrip("\r\n")[len(_SAYS) :] or separator, next(lines, "")
    separator = _separator(head, separator)
    over: list[bool] = []

    def all_lines() -> Iterator[str]:
        yield from chain([head] if head else [], lines)
        over.append(True)

    read = csv.reader(all_lines(), delimiter=separator)
    header = next(read, [])
    _require_names(header, refuse)
    for number, cells in enumerate(read, start=1):
        if over:
            # The reader asks for another line only inside quotation marks.
            raise ValueError("a quotation mark that opens a cell of the next row is never closed")
        if cells:
            yield number, _cells(header, cells)


def _separator(head: str, usual: str) -> str:
    found = {one: len(next(csv.reader([head], delimiter=one), [])) for one in (usual, *_SEPARATORS)}
    return usual if found[usual] > 1 else max(found, key=lambda one: found[one])


def _require_names(header: list[str], refuse: Callable[[str], Exception]) -> None:
    if twice := [name for name, times in Counter(filter(None, header)).items() if times > 1]:
        raise refuse(f"two columns are called {twice[0]!r}; rename one")
    if not all(map(_is_utf8, header)):
        raise refuse("its header is not UTF-8; save it as UTF-8 (in Excel: 'CSV UTF-8')")


def _cells(header: list[str], cells: list[str]) -> Mapping[str, object] | Unfit:
    if len(cells) != len(header):
        return Unfit(CELLS, f"{len(cells)} cells, {len(header)} columns")
    if broken := [name for name, cell in zip(header, cells, strict=True) if not _is_utf8(cell)]:
        return Unfit(NO_TEXT, f"column {broken[0]}; save the file as UTF-8")
    return {name: cell for name, cell in zip(header, cells, strict=True) if name}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
