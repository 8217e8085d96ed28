"""What cells put out, from the messages that the kernel sends to its front ends.

Only in a living kernel: there the notebook's file may never have been saved, or the browser may
have been gone while a cell ran. Each message goes out as it is, before it is written down here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Dict

from .cells import Running
from .journal import Journal

_KINDS = frozenset(
    ["stream", "display_data", "execute_result", "error", "update_display_data", "clear_output"]
)
_MOST = 64 << 20  # characters for each cell


class Watch:
    def __init__(self, journal: Journal, running: Running, shell: Any) -> None:
        self._journal = journal
        self._running = running
        self._session = getattr(getattr(shell, "kernel", None), "session", None)
        self._spent: Dict[int, int] = {}
        self._pid = os.getpid()
        self._active = False
        self._ours: Any = None

    def open(self) -> None:
        if self._session is None:
            return  # A terminal: it shows, and sends nothing.
        original = self._session.send
        told = self._told

        def send(
            stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **more: Any
        ) -> Any:
            __tracebackhide__ = True
            sent = original(stream, msg_or_type, content, *args, **more)
            told(msg_or_type, content, args, more)
            return sent

        self._active = True
        self._session.send = send
        self._ours = send

    @property
    def seen(self) -> bool:
        """Whether outputs are sent, and can be seen: a terminal shows them only."""
        return self._session is not None

    def begin(self) -> None:
        """Nothing to do: messages carry the request that they answer."""

    def end(self) -> None:
        """Nothing to do, for the same reason; waiting for the last ones would take a while."""

    def flush(self) -> None:
        """Let what was printed so far go out."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()

    def close(self) -> None:
        self._active = False
        if (
            self._session is not None
            and self._ours is not None
            and self._session.__dict__.get("send") is self._ours
        ):
            del self._session.send

    def _told(self, kind: Any, content: Any, args: Any, more: Dict[str, Any]) -> None:
        if not self._active or os.getpid() != self._pid:
            return
        parent = more.get("parent") or (args[0] if args else None)
        self._journal.guard("outputs", self._tell, kind, content, parent)

    def _tell(self, kind: Any, content: Any, parent: Any) -> None:
        if isinstance(kind, dict):  # A message that is made already.
            kind, content, parent = (
                kind.get("msg_type"),
                kind.get("content"),
                kind.get("parent_header"),
            )
        if kind == "execute_input" and isinstance(content, dict):
            self._running.counts[_request(parent)] = content.get("execution_count")
        if kind not in _KINDS or not isinstance(content, dict):
            return
        n = self._running.of_request.get(_request(parent))
        if n is None or not self._room(n, content):
            return
        self._journal.write("output", n=n, type=kind, content=content)

    def _room(self, n: int, content: Dict[str, Any]) -> bool:
        spent = self._spent.get(n, 0)
        if spent > _MOST:
            return False
        self._spent[n] = spent + _size(content)
        if self._spent[n] > _MOST:
            self._journal.write("output-cut", n=n, kept=spent)
            return False
        return True


def _request(parent: Any) -> str:
    """Return the id of the request in a header, or in a whole message that has one."""
    if not isinstance(parent, dict):
        return ""
    return str((parent.get("header") or parent).get("msg_id", ""))


def _size(content: Dict[str, Any]) -> int:
    values = [content.get("text"), *(content.get("data") or {}).values()]
    return sum(len(value) if isinstance(value, str) else 1000 for value in values if value)
