"""Cell boundaries, from IPython's events. Silent requests fire none of them."""

from __future__ import annotations

import hashlib
from typing import Any, Optional, Sequence

from .journal import Journal


class Running:
    """The ordinal of the user's cell that runs now, from 0; None between cells."""

    n: Optional[int] = None


class Watch:
    """Tells each family when a cell begins and ends, and writes both to the journal."""

    def __init__(
        self, journal: Journal, running: Running, shell: Any, families: Sequence[Any]
    ) -> None:
        self._journal = journal
        self._running = running
        self._shell = shell
        self._families = families
        self._next = 0
        self._depth = 0
        self._request: Optional[str] = None

    def open(self) -> None:
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)

    def close(self) -> None:
        for event, callback in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            self._journal.guard("cells", self._shell.events.unregister, event, callback)

    def _before(self, info: Any) -> None:
        self._journal.guard("cell-start", self._begin, getattr(info, "raw_cell", "") or "")

    def _after(self, result: Any) -> None:
        self._journal.guard("cell-end", self._end, result)

    def _begin(self, source: str) -> None:
        request = self._request_id()
        if self._depth and request == self._request:
            # A cell that runs cells (%run of a notebook, get_ipython().run_cell) is one cell.
            self._depth += 1
            return
        if self._depth:
            # Another request came though the last one never told its end.
            self._finish(ok=False, error=None)
        self._request, self._depth = request, 1
        for family in self._families:
            self._journal.guard(type(family).__module__, family.begin)
        self._running.n, self._next = self._next, self._next + 1
        digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
        self._journal.write("cell-start", n=self._running.n, source_sha256=digest)

    def _end(self, result: Any) -> None:
        if not self._depth:
            return  # An empty cell tells its end but not its start, and a cell may have called us.
        self._depth -= 1
        if self._depth:
            return
        failure = getattr(result, "error_before_exec", None)
        if failure is None:
            failure = getattr(result, "error_in_exec", None)
        name = None if failure is None else type(failure).__name__
        self._finish(ok=bool(getattr(result, "success", False)), error=name)

    def _finish(self, ok: bool, error: Optional[str]) -> None:
        n = self._running.n
        for family in self._families:
            self._journal.guard(type(family).__module__, family.end)
        self._journal.write("cell-end", n=n, ok=ok, error=error)
        self._running.n = None

    def _request_id(self) -> Optional[str]:
        """Return the id of the execute request being answered: one request is one cell."""
        try:
            header = self._shell.get_parent()["header"]
            return str(header["msg_id"])
        except Exception:
            return None
