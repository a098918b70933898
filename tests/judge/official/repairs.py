"""What mode `fixed` repairs of LiveCodeBench, by the kind of program that fails officially and passes
there."""

from __future__ import annotations

import re
from collections.abc import Iterable

KINDS: tuple[tuple[str, str], ...] = (
    ("what survives from one test to the next", r"state|memo|result_in_init|_stays|_marked|"
     r"module_attribute|counter_in_self|decimal_precision|init_counts|global_append|class_list|default_list|"
     r"environ_counter|os\.(mkdir|symlink)|memmap"),
    ("waiting, which is no computing", r"\.sleep\(|swallows_the_alarm"),
    ("names and modules that are taken away", r"\bquit\(\)|import resource|subprocess|tempfile|shutil\.|"
     r"os\.(getcwd|system|fork|kill|remove|chdir|_exit)|pathlib|abspath|find_library|no_such_file"),
    ("standard input by number, path, fileinput",
     r"open\(0|os\.read\(0|/dev/stdin|fileinput|sys\.argv|parse_args\(\)"),
    ("lines of standard input's buffer", r"stdin\.buffer\.readline|in sys\.stdin\.buffer|TextIOWrapper"),
    ("an imported stdin", r"from sys import stdin|stdin_prelude"),
    ("reading on after a line was read", r"(input\(\)|readline\b)[\s\S]*stdin\.read"),
    ("all lines, of which there is one too many", r"\.readlines\(\)"),
    ("iterating over standard input",
     r"(\bin|(reader|next|list|join|islice|enumerate|iter)\() ?(sys\.)?stdin\b(?!\.)"),
    ("what real standard streams have or do", r"stdin\.(reconfigure|name|mode|read\(1\)|buffer\.(peek|raw))|"
     r"with sys\.stdin|getreader|select\(|__stdin__|stdout\.(fileno|name|mode)|atexit|file=sys\.stdout|"
     r"os\.(close|fsync)"),
    ("standard output by buffer, number, other name", r"stdout\.(buffer|reconfigure|close)|os\.write\(1|"
     r"import stdout|__stdout__|stream=sys\.stdout|prelude_stdout|stdout_prelude"),
    ("from __future__", r"from __future__"),
    ("a main guard of another form or place", r"__main"),
    ("class Solution where none is meant, or unseen", r"class  Solution|Solution = |"
     r"class +Solution( is| here| would| in|'|:\n    def add)|# see class Solution|class_solution"),
    ("names of the top level, which is none", r"\bglobal |globals\(\)|exec\(|pickle|dataclass|"
     r"shadow_|redefined|print=|eval\(|import \*|__(file|annotations)__"),
    ("results that are tuples or arrays", r"np\.(a|z)|\(x, ?x|zip\(|tuple"),
    ("very deep recursion, very long integers", r"depth_|digits_"),
    ("a line feed at the end of a call's input", r"trailing_line_end"),
)  # fmt: skip
"""What is looked for in a row's name and code, in this order."""


def kind(name: str, code: str) -> str:
    text = f"{name}\n{code}"
    return next((title for title, pattern in KINDS if re.search(pattern, text)), f"something else: {name}")


def listed(repaired: Iterable[tuple[str, str]], failing: int) -> list[str]:
    """Lines of a table, from the names and codes of repaired programs, of so many that fail officially."""
    names: dict[str, list[str]] = {title: [] for title, _ in KINDS}
    for name, code in repaired:
        names.setdefault(kind(name, code), []).append(name)
    total = sum(map(len, names.values()))
    found = [
        f"    {title:48} {len(some):3}, as {some[0]}"
        for title, some in sorted(names.items(), key=lambda one: -len(one[1]))
        if some
    ]
    return [f"  mode fixed repairs {total} of the {failing} that fail officially:", *found]
