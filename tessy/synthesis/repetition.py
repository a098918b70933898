"""The repetition guard: detects texts that repeat themselves without end.

A text is repetitive once a run of 3 to 50 words stands 8 times in a row within 1,000 characters (the
authors' release checks this every 100 steps; here it is checked at every word, so the result does not
depend on how the text was cut into chunks). Runs without a letter are ignored: traces of contest problems
write out tables and arrays.

Not covered: repetition within one word, and scripts written without spaces, where a whole clause counts
as a word; the length cap catches those.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

SHORTEST, LONGEST = 3, 50
"""Words of a run."""
TIMES = 8
WITHIN = 1000
"""Characters that all the runs together may take, the white space between two words counted once."""


class RepetitionGuard:
    """Reads a text incrementally; `repetitive` stays true once set. About two microseconds per word."""

    def __init__(self) -> None:
        self.repetitive = False
        self._recent = deque[str](maxlen=LONGEST)
        self._matches = dict[int, int]()
        self._letterless = 0
        self._unfinished = ""

    def read(self, text: str) -> bool:
        """Read more text; returns whether it is repetitive so far. A word counts once it has ended."""
        words = (self._unfinished + text).split()
        self._unfinished = ""
        if words and not text[-1:].isspace():
            # A word longer than the window never fits: its further characters are not needed.
            self._unfinished = words.pop()[: WITHIN + 1]
        for word in words:
            self._count(word)
        return self.repetitive

    def _count(self, word: str) -> None:
        """Update `_matches[n]`: how many consecutive words, up to this one, equal the word n earlier."""
        matches = self._matches
        self._matches = {
            distance: matches.get(distance, 0) + 1
            for distance, earlier in enumerate(self._recent, start=1)
            if earlier == word
        }
        self._recent.appendleft(word)
        self._letterless = 0 if any(map(str.isalpha, word)) else self._letterless + 1
        for distance, count in self._matches.items():
            if distance >= max(SHORTEST, self._letterless + 1) and count >= (TIMES - 1) * distance:
                self.repetitive = self.repetitive or self._close_together(distance)

    def _close_together(self, words: int) -> bool:
        """Whether eight repetitions of the last n words fit within the window."""
        characters = sum(len(word) + 1 for word in islice(self._recent, words))
        return TIMES * characters - 1 <= WITHIN
