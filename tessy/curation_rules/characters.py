"""Sound characters: what reading a text with the wrong encoding, line ends and invisible characters did to
it.

Not covered: characters that are lost. They stay U+FFFD, and cleaning has a rule for them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping


def repair(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The prompt with sound characters, and the names of the repairs that changed it, sorted.

    `mojibake` (UTF-8 read as Windows-1252) is read back where that is certain; `line_ends` become `\\\\n`;
    `surrogates` that stand alone become U+FFFD; `controls` and marks that change the direction of text or
    have no width are removed; and `composition` is NFC. Repairing twice changes nothing. Works on any `str`.
    """
    names: set[str] = set()
    while True:
        before = prompt
        for name, mend in _REPAIRS.items():
            mended = mend(prompt)
            if mended != prompt:
                prompt = mended
                names.add(name)
        if prompt == before:
            return prompt, tuple(sorted(names))


def _read_back(prompt: str) -> str:
    return prompt if prompt.isascii() else _MISREAD.sub(_decoded, prompt)


def _decoded(match: re.Match[str]) -> str:
    try:
        return bytes(_BYTES[character] for character in match[0]).decode()
    except UnicodeDecodeError:
        return match[0]


def _plain_line_ends(prompt: str) -> str:
    return prompt if prompt.isascii() and "\r" not in prompt else _LINE_END.sub("\n", prompt)


def _bytes() -> dict[str, int]:
    """What each character above ASCII was as a byte of Windows-1252, or of Latin-1 where that has none."""
    known = {chr(byte): byte for byte in range(0x80, 0x100)}
    for byte in range(0x80, 0x100):
        known[bytes([byte]).decode("cp1252", "replace").replace("\ufffd", chr(byte))] = byte
    return known


_BYTES = _bytes()
_MORE = "[" + "".join(re.escape(one) for one, byte in _BYTES.items() if 0x80 <= byte < 0xC0) + "]"
_MISREAD = re.compile(
    # Latin letters and signs; punctuation and mathematics; emoji; two or more Greek or Cyrillic letters.
    f"[ÂÃ]{_MORE}|[âï]{_MORE}{{2}}|ð{_MORE}{{3}}|(?:[ÎÏÐÑ]{_MORE}){{2,}}"
)
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)
_CONTROLS = {code: None for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n\r"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_REPAIRS: Mapping[str, Callable[[str], str]] = {
    "mojibake": _read_back,
    "line_ends": _plain_line_ends,
    "controls": lambda prompt: prompt.translate(_CONTROLS) if prompt.isascii() else _CONTROL.sub("", prompt),
    "surrogates": lambda prompt: prompt if prompt.isascii() else _SURROGATE.sub("\ufffd", prompt),
    "composition": lambda prompt: prompt if prompt.isascii() else unicodedata.normalize("NFC", prompt),
}
