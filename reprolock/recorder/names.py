"""The names that cells bind and delete, so that one that no cell of the notebook makes is told."""

from __future__ import annotations

from typing import Any, Dict

from .cells import Running
from .journal import Journal


class Watch:
    """*hidden*: names that IPython itself put there."""

    def __init__(
        self, journal: Journal, running: Running, names: Dict[str, Any], hidden: Dict[str, Any]
    ) -> None:
        self._journal = journal
        self._running = running
        self._names = names
        self._hidden = hidden
        self._before: Dict[str, int] = {}

    def begin(self) -> None:
        self._before = self._now()

    def end(self) -> None:
        before, after = self._before, self._now()
        bound = [name for name, value in after.items() if before.get(name) != value]
        gone = [name for name in before if name not in after]
        if bound or gone:
            self._journal.write("names", n=self._running.n, bound=bound, gone=gone)

    def living(self) -> Dict[str, str]:
        """Return the names that the notebook's code has made, each with its type."""
        return {name: type(self._names[name]).__name__ for name in self._now()}

    def _now(self) -> Dict[str, int]:
        return {
            name: id(value)
            for name, value in self._names.copy().items()
            if isinstance(name, str)
            and not name.startswith("_")
            and not (name in self._hidden and self._hidden[name] is value)
        }
