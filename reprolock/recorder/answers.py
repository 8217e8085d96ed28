"""In a replay: answers for the commands that Python code starts by itself, and script cells.

``subprocess.Popen`` and ``os.system`` are replaced only there. An answered command becomes a shell
that ends at once with the status of the answer, so that pipes, waiting and exit status work as for
any process.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from inspect import signature
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import commands
from .runners import Answer, Runners

_SHELL = "/bin/sh"
# Those that Popen takes by position, behind the command.
_ARGUMENTS = tuple(signature(subprocess.Popen.__init__).parameters)[2:]
_SCRIPT = re.compile(
    r"\s*%%(?:bash|sh|script[ \t]+(?:\S*/)?(?:bash|sh))\b([^\n]*)\n(.*)", re.DOTALL
)


class Script(NamedTuple):
    """The cell of a script magic for a POSIX shell: what stands behind its name, and its text."""

    options: str
    body: str


def script_of(source: str) -> Optional[Script]:
    found = _SCRIPT.match(source)
    return Script(found[1].strip(), found[2]) if found else None


class Processes:
    """*answer* is asked with a command line, the folder that it would run in, and ``via``."""

    def __init__(
        self, answer: Callable[[str, str, str], Optional[Answer]], runners: Runners
    ) -> None:
        self._answer = answer
        self._runners = runners
        self._replaced: List[Tuple[Any, str, Any]] = []

    def open(self) -> None:
        self._replace(subprocess.Popen, "__init__", self._popen(subprocess.Popen.__init__))
        self._replace(os, "system", self._system(os.system))

    def close(self) -> None:
        for place, name, original in reversed(self._replaced):
            setattr(place, name, original)
        self._replaced = []

    def _replace(self, place: Any, name: str, new: Any) -> None:
        self._replaced.append((place, name, getattr(place, name)))
        setattr(place, name, new)

    def _ask(self, text: Optional[str], folder: Any, via: str) -> Optional[Answer]:
        if text is None or self._runners.running:
            return None
        try:
            return self._answer(text, os.fsdecode(folder) if folder else os.getcwd(), via)
        except Exception:
            return None

    def _popen(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def start(process: Any, args: Any, *rest: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            given = dict(zip(_ARGUMENTS, rest))  # noqa: B905 - strict came with 3.10
            given.update(kwargs)
            text = _text_of(args, given)
            answer = self._ask(text, given.get("cwd"), "subprocess")
            if answer is None:
                original(process, args, *rest, **kwargs)
                return
            given.update(executable=None, shell=False)
            command = "exit {}".format(answer.status) if answer.instead is None else answer.instead
            original(process, [_SHELL, "-c", command], **given)
            process.args = args

        return start

    def _system(self, original: Callable[[Any], int]) -> Callable[[Any], int]:
        @functools.wraps(original)
        def system(command: Any) -> int:
            __tracebackhide__ = True
            answer = self._ask(_decoded(command), None, "os.system")
            if answer is None:
                return original(command)
            return answer.status << 8 if answer.instead is None else original(answer.instead)

        return system


def _text_of(args: Any, given: Dict[str, Any]) -> Optional[str]:
    """Return the command line that these arguments of Popen stand for."""
    if isinstance(args, (str, bytes, os.PathLike)):
        args = [args]
    try:
        words = list(args)
    except TypeError:
        return None
    return commands.of_arguments([_SHELL, "-c", *words] if given.get("shell") else words)


def _decoded(command: Any) -> Optional[str]:
    try:
        return os.fsdecode(command)
    except TypeError:
        return None
