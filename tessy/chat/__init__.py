"""Chat formats: messages and thinking as token ids, and ids as text.

formats.py    what differs between Qwen3, gpt-oss (harmony) and DeepSeek-R1, as data
renderer.py   a tokenizer together with a format: prompts, markup, ends, encoding
decoder.py    ids to text, one id at a time
messages.py   a trace as messages for other tools
words.py      where text may be cut so that its pieces have the ids of the whole

Not covered: tools, images, several turns. Training tokens are the ids that were synthesised, never
re-rendered text.
"""

from tessy.chat.decoder import Decoder
from tessy.chat.formats import FORMATS, QWEN3_NO_NEWLINE, ChatFormat, EndReason, Part
from tessy.chat.messages import conversation
from tessy.chat.renderer import Renderer, close_thinking_text, load_tokenizer
from tessy.chat.words import stable_words

__all__ = [
    "FORMATS",
    "QWEN3_NO_NEWLINE",
    "ChatFormat",
    "Decoder",
    "EndReason",
    "Part",
    "Renderer",
    "close_thinking_text",
    "conversation",
    "load_tokenizer",
    "stable_words",
]
