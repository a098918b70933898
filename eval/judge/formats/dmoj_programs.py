"""Code that comes with a DMOJ problem: checkers, interactors, graders, generators, and what submissions are
built with.

Written from DMOJ's documentation of its problem format. Everything is read, and nothing run, when a problem
is loaded; it runs in the sandbox. Not covered, and refused by name: other languages than C, C++ and Python 3,
the type `peg`, graders that launch the submission themselves.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Any

from eval.judge import compile
from eval.judge.archive import Archive
from eval.judge.generated import Generator
from eval.judge.records import ANSWER, INPUT, MIB, OUTPUT, Exits, Helper, Source

BRIDGE = Path(__file__).parents[1] / "dmoj_bridge.py"
CHECKER_ARGUMENTS, PLAIN_INTERACTOR = "{input_file} {output_file} {answer_file}", "{input_file} {answer_file}"
_FILES = {"input_file": INPUT, "output_file": OUTPUT, "answer_file": ANSWER}
_LANGUAGE = re.compile(
    r"(?i)(?P<cpp>(?:CPP|C\+\+|CLANGX)(?P<standard>\d*))|(?P<python>PY3|PYPY3)|C(?:11|17)?|CLANG"
)
_EXITS: Mapping[str, Exits] = {"default": "plain", "testlib": "testlib", "coci": "coci"}
_GENERATOR_S, _GENERATOR_MEMORY = 60.0, 1024 * MIB
_MOST_ARGUMENTS = 512
_SIGNATURE_FLAGS = ("-std=c++14",)
"""Documented: whatever the submission's language is."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Reads them from a problem's `files`; `where` is its `init.yml`, for messages. Raises `ValueError`."""

    where: Path
    files: Archive

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.where}: {what}")

    def bridged(self, options: Mapping[str, Any], interactive: bool) -> Helper:
        """A checker or interactor that is a program."""
        kind = options.get("type") or "default"
        if kind not in _EXITS:
            known = ", ".join(_EXITS)
            raise self.wrong(f"checker or interactor type {short(kind)} is not supported; known are {known}")
        usual = PLAIN_INTERACTOR if interactive and kind != "testlib" else CHECKER_ARGUMENTS
        arguments = self.arguments(str(options.get("args_format_string") or usual))
        source = self.source(
            options.get("files"), options.get("lang"), options.get("flags"), "a checker or interactor"
        )
        return Helper(source, arguments, _EXITS[kind], unbuffered=interactive)

    def source(self, names: Any, language: Any, flags: Any, what: str) -> Source:
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not names:
            raise self.wrong(f"{what} has files {short(names)}; it must name its source files")
        flags = flags or []
        if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
            raise self.wrong(f"{what} has flags {short(flags)}; it must list the compiler's")
        name, standard = self.language(str(language or "AUTO"), str(names[0]), what)
        files = {Path(str(name)).name: self.files.stream(str(name)).read() for name in names}
        if name != "python":
            files["testlib.h"] = compile.testlib()
        return Source(name, files, flags=(*standard, *flags))

    def language(self, name: str, file: str, what: str) -> tuple[str, tuple[str, ...]]:
        """The language of a program, and the flag for its standard if it is not the usual."""
        if name.upper() == "AUTO":
            name = {".c": "C", ".py": "PY3"}.get(Path(file).suffix.lower(), "CPP17")
        found = _LANGUAGE.fullmatch(name)
        if not found:
            raise self.wrong(f"{what} is in {short(name)}; only C, C++ and Python 3 are supported")
        if found["cpp"] and found["standard"] not in ("", "03", "17"):
            return "cpp", (f"-std=gnu++{found['standard']}",)
        return ("cpp" if found["cpp"] else "python" if found["python"] else "c"), ()

    def arguments(self, pattern: str) -> tuple[str, ...]:
        """What a checker or interactor is called with: the names of its files in the pattern's order."""
        try:
            text = re.sub(r"\{(\w+)\}", lambda found: _FILES[found[1]], pattern)
            return tuple(shlex.split(text))
        except (KeyError, ValueError):
            known = ", ".join(f"{{{name}}}" for name in _FILES)
            raise self.wrong(f"args_format_string is {short(pattern)}; known in it are {known}") from None

    # Python of the problem's

    def python_checker(self, name: str, options: Mapping[str, Any]) -> Helper:
        """A file with a function `check`."""
        try:
            given = json.dumps(dict(options))
        except (TypeError, ValueError):
            raise self.wrong(
                f"checker {short(name)} has args {short(options)}; they must be plain values"
            ) from None
        return self.bridge("check", name, given, (INPUT, OUTPUT, ANSWER))

    def custom_judge(self, name: Any) -> Helper:
        """A file with a class `Grader` that talks to the submission."""
        name = str(name)
        try:
            tree = ast.parse(self.files.stream(name).read())
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self.wrong(f"custom_judge {short(name)} is no Python 3: {error}") from None
        methods = {
            one.name
            for grader in tree.body
            if isinstance(grader, ast.ClassDef) and grader.name == "Grader"
            for one in grader.body
            if isinstance(one, ast.FunctionDef)
        }
        if "interact" not in methods or "grade" in methods:
            raise self.wrong(
                f"custom_judge {short(name)} is not supported: only a class Grader with `interact` and no "
                "`grade`, which would launch the submission itself"
            )
        return self.bridge("interact", name, "{}", (INPUT, ANSWER), unbuffered=True)

    def bridge(
        self, what: str, name: str, given: str, data: tuple[str, ...], unbuffered: bool = False
    ) -> Helper:
        inside = Path(name).name
        files = {BRIDGE.name: BRIDGE.read_bytes(), inside: self.files.stream(name).read()}
        arguments = (what, f"/box/{inside}", given, Helper.FACTS, *data)
        return Helper(Source("python", files), arguments, "plain", unbuffered)

    # Generators

    def generator(self, value: Any, arguments: Any) -> Generator:
        options = value if isinstance(value, Mapping) else {"name": value}
        given = [] if arguments is None else arguments if isinstance(arguments, list) else [arguments]
        if len(given) > _MOST_ARGUMENTS or any(isinstance(one, list | dict) for one in given):
            raise self.wrong(f"generator_args is {short(arguments)}; it must list plain values")
        source = self.source(
            options.get("name") or options.get("source"), options.get("language"), options.get("flags"),
            "a generator",
        )  # fmt: skip
        return Generator(source, tuple(map(str, given)), _GENERATOR_S, _GENERATOR_MEMORY)

    # Submissions that are called

    def signature(self, options: Any) -> Mapping[str, bytes]:
        """What a submission is built with: the header that it includes, and what calls it."""
        if not isinstance(options, Mapping) or not all(
            isinstance(options.get(key), str) for key in ("entry", "header")
        ):
            raise self.wrong(f"signature_grader is {short(options)}; it must name `entry` and `header`")
        if options.get("allow_main"):
            raise self.wrong("signature_grader with allow_main is not supported: it is not documented")
        entry, header = (str(options[key]) for key in ("entry", "header"))
        if Path(entry).suffix.lower() not in (".c", ".cc", ".cpp", ".cxx"):
            raise self.wrong(f"signature_grader has the entry {short(entry)}; only C and C++ are supported")
        return {
            Path(header).name: self.files.stream(header).read(),
            f"{Path(entry).stem}.cpp": self.files.stream(entry).read(),  # C++, whatever its name says
        }


def called(given: Mapping[str, bytes], code: str) -> Source:
    """A submission that the `given` entry calls; a `main` of its own goes by another name."""
    header = next(iter(given))
    before = f'#include "{header}"\n#define main main_of_the_submission\n#line 1\n'
    main = compile.MAIN["cpp"]
    while main in given:
        main = f"submission_{main}"
    files = {main: (before + code).encode(errors="replace"), **given}
    return Source("cpp", files, flags=_SIGNATURE_FLAGS)
