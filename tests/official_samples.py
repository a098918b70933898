"""Files in the layout in which benchmarks publish their prompts, in words of the tests' own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from eval.official import Published
from eval.prompts import LCB, PRO
from eval.tasks.prose import GPQA

LCB_FILE = '''
import json
from somewhere.else_entirely import Style

raise SystemExit("a prompt file is never run")

class PromptConstants:
    SYSTEM_MESSAGE_GENERIC = f"Be {{good}}."
    COUNT = 3
    WITH = "Go on with this."
    WITHOUT = "Start from nothing."

def get_generic_question_template_answer(question: Style):
    """Words."""
    prompt = f"# Q\\n{question.question_content}\\n"
    if question.starter_code:
        prompt += (
            f"# F: {PromptConstants.WITH}\\n"
        )
        prompt += f"```python\\n{question.starter_code}\\n```\\n"
    else:
        prompt += f"# F: {PromptConstants.WITHOUT}\\n" + "```\\n"
    prompt += f"# A\\n"
    return prompt
'''
PRO_FILE = '''
from abc import ABC

class LLMInterface(ABC):
    def __init__(self):
        """Sets it."""
        self.prompt = """
        Do it in C++. """

    def generate_solution(self, problem_statement: str):
        return self.call_llm(self.prompt + problem_statement)
'''
GPQA_FILE = '''
QUERY_TEMPLATE_MULTICHOICE = """
Choose well: {Question}
A) {A}
B) {B}
C) {C}
D) {D}
""".strip()
PATTERN = r"x" % 3
'''


def write_published(folder: Path) -> Path:
    """All files below `folder`, as raw.githubusercontent.com has them."""
    files: dict[Published, str] = {LCB: LCB_FILE, PRO: PRO_FILE, GPQA: GPQA_FILE}
    for published, text in files.items():
        path = folder / published.repository / published.commit / published.path
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which `folder` is served, until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()
