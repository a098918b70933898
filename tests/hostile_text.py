"""Text that breaks careless handling: for property tests of anything that encodes, cuts or joins text."""

from __future__ import annotations

from hypothesis import strategies as st

from tessy.chat import FORMATS

FRAGMENTS = (
    *("Okay, so", "wait.", " Let me", "I'll", "don't", "x", "3.14", "1234567", "a_b", "naïve", "STRASSE"),
    *(" ", "  ", "\n", "\n\n", "\r\n", "\t", " \n ", "        ", "\n        ", "\u00a0", "\u2003", "\u3000"),
    *("\x00", "\x1c", "\x85", "\u2028", "\u200b", "\ufeff", "\ufffd", "\ufffe", "\U0010ffff"),
    *(".\n", ";\n\n", "})\n", "/**/\n", "==", "!=", "\\n", "'''", '"', "```python\n", "$$\\frac{1}{2}$$"),
    *("for i in range(n):\n    total += a[i]\n", "int main(){std::cin>>n;}", "\tif(x<=y&&!z){\r\n\t}"),
    *("😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "1️⃣", "☃\ufe0f", "\u200d", "𝒳", "𓀀"),
    *("e\u0301", "\u0301", "Z\u0351\u036b\u0343\u0321", "n\u0303o", "가", "\u1100\u1161\u11a8", "Å"),
    *("漢字", "ひらがな", "カタカナ", "，", "。\n", "ภาษาไทย", "हिन्दी", "தமிழ்", "Привет", "ἀρχή"),
    *("שלום", "مرحبا", "\u202eabc\u202c", "\u200f", "العربية 123"),
    *("<|", "|>", "<", "</", "think>", "<|im_", "end|>", "<｜", "｜>", "▁", "Ġ", "Ċ", "{prompt}", "{system}"),
    *("<|fim_prefix|>", "<tool_call>", "<|constrain|>", "<|reserved_200000|>", "｜DSML｜", "<|EOT|>"),
    *sorted({marker for form in FORMATS.values() for ends in form.ends.values() for marker in ends}),
)

hostile_text = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=12).map("".join)
