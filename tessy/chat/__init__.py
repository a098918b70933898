"""Chat formats: messages and thinking as token ids, and ids as text.

formats.py    what differs between Qwen3, gpt-oss (harmony) and DeepSeek-R1, as data
probing.py    `auto`: a format worked out from a model's own template (probes.py renders it, thinking.py says
              where thinking opens and closes)
vocabulary.py tokenizers: loading them, the text they encode, the bytes of their ids
renderer.py   a tokenizer together with a format: prompts, markup, ends, encoding
choosing.py   the renderer of a model as a recipe describes it
decoder.py    ids to text, one id at a time
messages.py   a trace as messages for other tools
words.py      where text may be cut so that its pieces have the ids of the whole

Not covered: tools, images, several turns. Training tokens are the ids that were synthesised, never
re-rendered text.
"""

from tessy.chat.choosing import found_format, load_renderer
from tessy.chat.decoder import Decoder
from tessy.chat.formats import FORMATS, QWEN3_NO_NEWLINE, ChatFormat, EndReason, Part
from tessy.chat.messages import conversation
from tessy.chat.renderer import Renderer
from tessy.chat.vocabulary import load_tokenizer
from tessy.chat.words import stable_words

__all__ = [
    "FORMATS",
    "QWEN3_NO_NEWLINE",
    "ChatFormat",
    "Decoder",
    "EndReason",
    "Part",
    "Renderer",
    "conversation",
    "found_format",
    "load_renderer",
    "load_tokenizer",
    "stable_words",
]
