"""Process 1 of a sandbox in which Python programs run as they are: waits, and is forked for each.

Loads next to nothing, so that a program finds what it would have found in a process of its own. Runs under
PyPy, too.
"""

from __future__ import annotations

import ctypes
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def wait(library: str, control: str) -> list[str]:
    """In a fork of this process, the words of its run. In the process itself it ends with the sandbox."""
    room = getattr(ctypes, "PyDLL", ctypes.CDLL)(library).room  # PyPy has but one kind
    room.restype = ctypes.POINTER(ctypes.c_char_p)
    words = room(int(control))
    if not words:
        sys.exit()
    if sys.implementation.name == "cpython":
        ctypes.pythonapi.PyOS_AfterFork_Child()
    given: list[str] = []
    while (word := words[len(given)]) is not None:
        given.append(word.decode())
    return given


def as_its_own(path: str, run: Callable[[], object]) -> None:
    """Call `run`; what it raises ends this process as it would end one in which the program at `path` is all
    there is: no frame of ours is in the traceback, whose text would tell numbers of descriptors, too."""
    try:
        run()
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != path:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)


def main() -> None:
    what, path, *arguments = wait(*sys.argv[1:])
    sys.argv = [path, *arguments]
    sys.path[0] = "/box"
    as_its_own(path, lambda: program(what, path))


def program(what: str, path: str) -> None:
    """Run the program at `path`, or for `check` compile it only."""
    with open(path, "rb") as stream:
        compiled = compile(stream.read(), path, "exec", dont_inherit=True)
    if what == "check":
        return
    scope = sys.modules["__main__"].__dict__
    builtins = scope["__builtins__"]
    scope.clear()
    scope.update(dict.fromkeys(("__doc__", "__package__", "__spec__", "__loader__", "__cached__")))
    scope.update(__name__="__main__", __file__=path, __builtins__=builtins)
    exec(compiled, scope)
