"""The names that cells bind and delete, so that one that no cell of the notebook makes is told."""

from __future__ import annotations

from typing import Any, Dict, Set

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
        self._private: Set[Any] = set()

    def begin(self) -> None:
        self._before = self._now()

    def end(self) -> None:
        before, after = self._before, self._now()
        bound = sorted(name for name, value in after.items() if before.get(name) != value)
        gone = sorted(name for name in before if name not in after)
        if bound or gone:
            self._journal.write("names", n=self._running.n, bound=bound, gone=gone)

    def living(self) -> Dict[str, str]:
        """Return the names that the notebook's code has made, each with its type."""
        return {name: type(self._names[name]).__name__ for name in self._now()}

    def _now(self) -> Dict[str, int]:
        """IPython adds names of its own with each cell, which are looked at once."""
        found = {}
        for name in set(self._names) - self._private:
            if not isinstance(name, str) or name.startswith("_"):
                self._private.add(name)
            elif name in self._names and not self._is_hidden(name):
                found[name] = id(self._names[name])
        return found

    def _is_hidden(self, name: str) -> bool:
        return name in self._hidden and self._hidden[name] is self._names[name]
