"""Cell boundaries, from IPython's events. Silent requests fire none of them."""

from __future__ import annotations

import hashlib
import time
from typing import Any, Dict, List, Optional, Sequence

from .journal import Journal

_MOST_REQUESTS = 1000


class Running:
    """The ordinal of the user's cell that runs now, from 0; None between cells.

    *of_request* gives the ordinal of a cell by the id of the request that asked for it, *counts*
    the number in its brackets.
    """

    n: Optional[int] = None

    def __init__(self) -> None:
        self.of_request: Dict[str, int] = {}
        self.counts: Dict[str, Any] = {}


class Watch:
    """Tells each family when a cell begins and ends, and writes both to the journal.

    *telling*: in a living kernel nobody else knows what ran, so the journal holds the sources too.
    """

    def __init__(
        self,
        journal: Journal,
        running: Running,
        shell: Any,
        families: Sequence[Any],
        telling: bool = False,
    ) -> None:
        self._journal = journal
        self._running = running
        self._shell = shell
        self._families = families
        self._telling = telling
        self._next = 0
        self._depth = 0
        self._request: Optional[str] = None
        self._source = ""

    @property
    def source(self) -> str:
        """The source of the cell that runs now or ran last."""
        return self._source

    @property
    def ran(self) -> int:
        """How many cells were told, the running one and those of the history included."""
        return self._next

    def open(self) -> None:
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)

    def open_in_cell(self, earlier: List[str], source: str) -> None:
        """Begin within a cell of that *source*; the sources *earlier* ran before anybody watched.

        What the running cell did until now is unknown, as is all of the earlier ones but their
        text.
        """
        self.open()
        for text in earlier:
            self._journal.write(
                "cell-start",
                n=self._next,
                source_sha256=_digest(text),
                source=text,
                via="history",
                count=self._next + 1,
            )
            self._journal.write("cell-end", n=self._next, ok=None, error=None)
            self._next += 1
        self._begin(source)

    def close(self) -> None:
        for event, callback in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            self._journal.guard("cells", self._shell.events.unregister, event, callback)

    def _before(self, info: Any) -> None:
        self._journal.guard("cell-start", self._begin, getattr(info, "raw_cell", "") or "")

    def _after(self, result: Any) -> None:
        self._journal.guard("cell-end", self._end, result)

    def _begin(self, source: str) -> None:
        parent = self._parent()
        request = _id_of(parent)
        if self._depth and request == self._request:
            # A cell that runs cells (%run of a notebook, get_ipython().run_cell) is one cell.
            self._depth += 1
            return
        if self._depth:
            # Another request came though the last one never told its end.
            self._finish(ok=False, error=None)
        self._request, self._depth, self._source = request, 1, source
        for family in self._families:
            self._journal.guard(type(family).__module__, family.begin)
        self._running.n, self._next = self._next, self._next + 1
        if request is not None:
            self._remember(request, self._running.n)
        facts = self._told(source, parent) if self._telling else {}
        self._journal.write("cell-start", n=self._running.n, source_sha256=_digest(source), **facts)

    def _told(self, source: str, parent: Dict[str, Any]) -> Dict[str, Any]:
        return {
            "source": source,
            "cell_id": _cell_id(parent.get("metadata")),
            "count": self._running.counts.pop(_id_of(parent) or "", None),
            "at": round(time.time(), 3),
        }

    def _remember(self, request: str, n: int) -> None:
        known = self._running.of_request
        known[request] = n
        for one in (known, self._running.counts):
            if len(one) > _MOST_REQUESTS:
                del one[next(iter(one))]

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

    def _parent(self) -> Dict[str, Any]:
        """Return the request being answered, empty where there is none: one request is one cell."""
        try:
            return dict(self._shell.get_parent())
        except Exception:
            return {}


def _cell_id(metadata: Any) -> Optional[str]:
    """Return the cell's id as JupyterLab, older front ends and Colab send it along."""
    try:
        colab = metadata.get("colab") or {}
        found = metadata.get("cellId") or metadata.get("cell_id") or colab.get("cell_id")
    except Exception:
        return None
    return str(found) if found else None


def _id_of(parent: Dict[str, Any]) -> Optional[str]:
    try:
        return str(parent["header"]["msg_id"])
    except Exception:
        return None


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
