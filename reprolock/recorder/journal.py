"""The journal: JSON lines, each written whole and at once."""

from __future__ import annotations

import io
import json
import os
import time
from collections import deque
from typing import Any, Callable, Deque, Optional

from . import interrupts

_MOST_TROUBLES = 50
_MOST_WAITING = 64 << 20  # bytes that wait in memory where the disk is full
_LOOK = 5.0  # seconds between two looks at whether the second journal is still there
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class _File:
    """Lines, each written by one ``write``, so that a killed kernel leaves whole ones.

    What the disk has no room for waits and is written first when there is room again.
    """

    def __init__(self, path: str, more: int = 0) -> None:
        self.path = os.path.realpath(path)
        self._handle = os.open(path, _APPEND | more, 0o600)
        self._waiting: Deque[bytes] = deque()
        self._size = 0
        self._lost = 0

    @property
    def unwritten(self) -> int:
        """How many lines are not on disk."""
        return self._lost + len(self._waiting)

    def put(self, line: bytes) -> None:
        self._flush()
        rest = line if self._waiting else self._written(line)
        if not rest:
            return
        if self._size + len(rest) > _MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append(rest)
        self._size += len(rest)

    def _flush(self) -> None:
        while self._waiting:
            first = self._waiting.popleft()
            rest = self._written(first)
            self._size -= len(first) - len(rest)
            if rest:
                self._waiting.appendleft(rest)
                return

    def _written(self, data: bytes) -> bytes:
        """Write what there is room for; return the rest."""
        try:
            return data[os.write(self._handle, data) :]
        except OSError:
            return data

    def content(self) -> bytes:
        """Return all lines, those that wait too. Raises OSError."""
        with io.open(self.path, "rb") as file:
            return file.read() + b"".join(self._waiting)

    def is_there(self) -> bool:
        """Say whether the path still leads to this file: a drive may be gone, or be another."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._handle))
        except OSError:
            return False

    def close(self) -> None:
        try:
            os.close(self._handle)
        except OSError:
            pass


class Journal:
    """Writes events to *path*, and to a second file where one is asked for.

    A forked child shares the descriptors; what it writes is dropped, because the order of events
    and the running cell are known in the kernel's own process only.
    """

    def __init__(self, path: str) -> None:
        self._file: Optional[_File] = _File(path)
        self._second: Optional[_File] = None
        self._pid = os.getpid()
        self._troubles = 0
        self._encode = json.JSONEncoder(allow_nan=False, default=repr).encode
        self._looked = 0.0
        self._missed = False
        self.path = self._file.path

    @property
    def unwritten(self) -> int:
        """How many events are in memory only, or lost: the disk is full."""
        return 0 if self._file is None else self._file.unwritten

    def also_to(self, path: str) -> None:
        """Keep a second journal at *path*, with all that was told so far. Raises OSError.

        It may lie on a drive that goes away; it is made again where the drive comes back.
        """
        if self._file is None:
            return
        told = self._file.content()
        second = _File(path, os.O_TRUNC)
        second.put(told)
        if self._second is not None:
            self._second.close()
        self._second, self._missed = second, False

    def write(self, event: str, **facts: Any) -> None:
        """Append one event. A full disk is waited for; it never stops the run."""
        if self._file is None or os.getpid() != self._pid:
            return
        line = (self._encode(dict({"event": event}, **facts)) + "\n").encode("ascii")
        self._file.put(line)
        if self._second is not None:
            self._second.put(line)
            if time.monotonic() - self._looked > _LOOK:
                self.look_after_second()

    def look_after_second(self) -> None:
        """Make the second journal again where its drive went away and came back; else tell it."""
        self._looked = time.monotonic()
        if self._second is None or self._second.is_there():
            return
        try:
            self.also_to(self._second.path)
        except OSError as exc:
            if not self._missed:
                self._missed = True
                self.trouble("journal", "the second journal is gone: {}".format(exc))

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
        """Return ``action(*args)``, or None where it failed; the failure is told.

        An interrupt is passed on to the notebook's own code.
        """
        __tracebackhide__ = True
        try:
            return action(*args)
        except KeyboardInterrupt:
            if not interrupts.passed_on():
                raise
        except Exception as exc:
            self.trouble(where, exc)
        return None

    def close(self) -> None:
        files, self._file, self._second = (self._file, self._second), None, None
        for one in files:
            if one is not None:
                one.close()
