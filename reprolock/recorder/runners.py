"""The functions of IPython that run a command line, replaced once for all who want to know.

``!command``, ``x = !command``, ``%pip``, ``%conda`` and ``%uv`` all end in one of them. The
functions are replaced rather than the methods of the shell: a wrapper there would add a frame,
and ``!echo {name}`` looks its names up by counting frames. For the same reason Colab's own
function is replaced where there is one: its shell does not come to IPython's.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .journal import Journal


class Answer(NamedTuple):
    """What stands for a command: it prints *text* and ends with *status*.

    With *instead*, that command runs in its place, and neither counts.
    """

    text: str = ""
    status: int = 0
    instead: Optional[str] = None


Answerer = Callable[[str], Optional[Answer]]
Before = Callable[[str], None]
After = Callable[[str, Optional[int]], None]


class Runners:
    """Asks each answerer in turn before a command runs, and tells listeners when one really does.

    An answerer gets the expanded command line and returns None for a command that is not its own.
    A listener is told before the command, and after it with its exit status, None where the
    function that ran it does not tell.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._answerers: List[Answerer] = []
        self._listeners: List[Tuple[Before, After]] = []
        self._replaced: List[Tuple[Any, str, Any]] = []
        self.running = 0

    def answer(self, answerer: Answerer) -> None:
        self._answerers.append(answerer)

    def listen(self, before: Before, after: After) -> None:
        self._listeners.append((before, after))

    def open(self) -> None:
        for module_name, kinds in _KINDS.items():
            module = sys.modules.get(module_name)
            for name, kind in kinds.items():
                original = getattr(module, name, None)
                if original is not None:
                    self._replaced.append((module, name, original))
                    setattr(module, name, self._asking(original, kind(module)))

    def close(self) -> None:
        for module, name, original in reversed(self._replaced):
            setattr(module, name, original)
        self._replaced = []

    def _asking(self, original: Callable[..., Any], kind: _Kind) -> Callable[..., Any]:
        @functools.wraps(original)
        def run(command: Any, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            answer = self.answer_to(command)
            if answer is not None and answer.instead is None:
                return kind.give(command, answer)
            if answer is not None:
                command = answer.instead
            self._tell_before(command)
            status = None
            try:
                result = original(command, *args, **kwargs)
                status = self._journal.guard("runners", kind.status, result)
                return result
            finally:
                self._tell_after(command, status)

        return run

    def answer_to(self, command: Any) -> Optional[Answer]:
        """Return the first answer to *command*, None where nobody has one."""
        if not isinstance(command, str):
            return None
        for answerer in self._answerers:
            answer: Optional[Answer] = self._journal.guard("runners", answerer, command)
            if answer is not None:
                return answer
        return None

    def _tell_before(self, command: Any) -> None:
        self.running += 1
        if isinstance(command, str):
            for before, _ in self._listeners:
                self._journal.guard("runners", before, command)

    def _tell_after(self, command: Any, status: Optional[int]) -> None:
        if isinstance(command, str):
            for _, after in self._listeners:
                self._journal.guard("runners", after, command, status)
        self.running -= 1


class _Kind(NamedTuple):
    """*give* makes of an answer what the replaced function returns; *status* reads a result."""

    give: Callable[[str, Answer], Any]
    status: Callable[[Any], Optional[int]]


def _print(text: str) -> None:
    if text:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _system(_module: Any) -> _Kind:
    def give(_command: str, answer: Answer) -> int:
        _print(answer.text)
        return answer.status

    return _Kind(give, lambda result: result if isinstance(result, int) else None)


def _getoutput(_module: Any) -> _Kind:
    return _Kind(lambda _, answer: answer.text, lambda _: None)


def _get_output_error_code(_module: Any) -> _Kind:
    return _Kind(lambda _, answer: (answer.text, "", answer.status), lambda result: int(result[2]))


def _colab(module: Any) -> _Kind:
    def give(command: str, answer: Answer) -> Any:
        _print(answer.text)
        text = answer.text + "\n" if answer.text else ""
        return module.ShellResult(command, answer.status, text)

    return _Kind(give, lambda result: int(result.returncode))


_KINDS: Dict[str, Dict[str, Callable[[Any], _Kind]]] = {
    "ipykernel.zmqshell": {"system": _system},
    "IPython.core.interactiveshell": {
        "system": _system,
        "getoutput": _getoutput,
        "get_output_error_code": _get_output_error_code,
    },
    "google.colab._system_commands": {"_run_command": _colab},
}
