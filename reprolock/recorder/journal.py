"""The journal: JSON lines, each written whole and at once."""

from __future__ import annotations

import json
import os
from typing import Any, Callable

_MOST_TROUBLES = 50


class Journal:
    """Writes events to *path*, by one ``write`` each, so that a killed kernel leaves whole lines.

    A forked child shares the descriptor; what it writes is dropped, because the order of events
    and the running cell are known in the kernel's own process only.
    """

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._handle = os.open(path, flags, 0o600)
        self._pid = os.getpid()
        self._cut = False
        self._troubles = 0
        self._encode = json.JSONEncoder(allow_nan=False, default=repr).encode
        self._second = -1
        self.lost = 0
        self.path = os.path.realpath(path)

    def also_to(self, path: str) -> None:
        """Keep a second journal at *path*, with all that was told so far. Raises OSError.

        It may lie on a drive that goes away: what cannot be written there is in the first one.
        """
        with open(self.path, "rb") as file:
            told = file.read()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        handle = os.open(path, flags, 0o600)
        os.write(handle, told)
        if self._second >= 0:
            os.close(self._second)
        self._second = handle

    def write(self, event: str, **facts: Any) -> None:
        """Append one event. A full disk loses the event, not the run."""
        if self._handle < 0 or os.getpid() != self._pid:
            return
        line = self._encode(dict({"event": event}, **facts))
        # After a write that was cut short, a line break parts the next event from the torso.
        data = (("\n" if self._cut else "") + line + "\n").encode("ascii")
        try:
            self._cut = os.write(self._handle, data) != len(data)
        except OSError:
            self.lost += 1
        self._write_second(data)

    def _write_second(self, data: bytes) -> None:
        if self._second < 0:
            return
        try:
            os.write(self._second, data)
        except OSError as exc:
            handle, self._second = self._second, -1
            self.trouble("journal", "the second journal cannot be written: {}".format(exc))
            try:
                os.close(handle)
            except OSError:
                pass

    def trouble(self, where: str, problem: Any) -> None:
        """Tell a failure of the recorder itself; the first fifty are kept."""
        self._troubles += 1
        if self._troubles > _MOST_TROUBLES:
            return
        if isinstance(problem, BaseException):
            problem = "{}: {}".format(type(problem).__name__, problem)
        try:
            self.write("trouble", where=where, message=str(problem))
        except Exception:
            pass

    def guard(self, where: str, action: Callable[..., Any], *args: Any) -> Any:
        """Return ``action(*args)``, or None where it failed; the failure is told."""
        try:
            return action(*args)
        except Exception as exc:
            self.trouble(where, exc)
            return None

    def close(self) -> None:
        handle, self._handle = self._handle, -1
        second, self._second = self._second, -1
        for one in (handle, second):
            if one >= 0:
                os.close(one)
