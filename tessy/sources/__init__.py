"""Tables that others made, read a row at a time: problems, traces of other projects, data to curate.

`open_table` finds the files of a `Source`; `Table.rows` reads them without holding one in memory. A row that
cannot be read is counted by rule in `LeftOut`, with its place, and takes no other with it. `layout_of` finds
out which column is what; `exchange_of` and `prompt_of` read a row by such a layout.
"""

from __future__ import annotations

from tessy.sources.conversations import Exchange, exchange_of, id_of, prompt_of
from tessy.sources.layouts import Layout, layout_of
from tessy.sources.leftout import LeftOut, Unfit
from tessy.sources.tables import Row, Table, open_table
from tessy.sources.thinking import Markers, Parts, parts_of

__all__ = [
    "Exchange",
    "Layout",
    "LeftOut",
    "Markers",
    "Parts",
    "Row",
    "Table",
    "Unfit",
    "exchange_of",
    "id_of",
    "layout_of",
    "open_table",
    "parts_of",
    "prompt_of",
]
