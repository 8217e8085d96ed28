"""One recorded run: the families in their order, from the first hook to the last."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, Optional

from . import cells, data, hardware, interpreter, metrics, packages, randomness, standin, system
from .journal import Journal

_FORMAT = 1
_current: Optional[Session] = None


def current() -> Optional[Session]:
    """Return the session of this process; None before, after and in forked children."""
    if _current is None or _current.pid != os.getpid():
        return None
    return _current


def start(config: str, package: str) -> None:
    """Start a session in this process; *package* is the name the recorder was loaded under."""
    global _current
    wanted = json.loads(config)
    journal = Journal(wanted["journal"])
    if _current is not None:
        journal.trouble("start", "a recorder is already at work in this kernel")
        journal.close()
        return
    _current = Session(journal, wanted, package)
    _current.open()


def finish() -> bool:
    """Finish the session of this process; say whether there was one."""
    global _current
    session = current()
    if session is None:
        return False
    try:
        session.close()
    finally:
        _current = None
    return True


class Session:
    def __init__(self, journal: Journal, wanted: Dict[str, Any], package: str) -> None:
        from IPython import get_ipython

        self.pid = os.getpid()
        self.journal = journal
        self.cell = cells.Running()
        shell = get_ipython()
        self._packages = packages.Watch(journal)
        self._data = data.Watch(journal, self.cell, wanted["folder"])
        self._randomness = randomness.Watch(journal, self.cell, shell.user_ns)
        self.metrics = metrics.Watch(journal, self.cell, shell.user_ns, wanted.get("metrics", []))
        self._standin = standin.StandIn(package, shell)
        # Metrics come last, so that what their expressions draw is not a draw of the cell.
        families = (self._data, self._randomness, self.metrics)
        self._cells = cells.Watch(journal, self.cell, shell, families)

    def open(self) -> None:
        journal = self.journal
        journal.write("start", format=_FORMAT, python=list(sys.version_info[:3]), pid=self.pid)
        journal.guard("interpreter", lambda: journal.write("interpreter", **interpreter.collect()))
        journal.guard("packages", self._packages.open)
        journal.guard("randomness", self._randomness.open)
        journal.guard("standin", self._standin.open)
        journal.guard("cells", self._cells.open)
        # Last, so that the files that the recorder itself reads are not the notebook's.
        journal.guard("data", self._data.open)

    def close(self) -> None:
        journal = self.journal
        journal.guard("data", self._data.settle)
        journal.guard("metrics", self.metrics.close)
        for name, family in (
            ("data", self._data),
            ("cells", self._cells),
            ("standin", self._standin),
            ("randomness", self._randomness),
            ("packages", self._packages),
        ):
            journal.guard(name, family.close)
        journal.guard("system", lambda: journal.write("system", **system.collect()))
        journal.guard("hardware", lambda: journal.write("hardware", **hardware.collect()))
        journal.guard("modules", lambda: journal.write("modules", loaded=packages.loaded()))
        journal.write("end")
        journal.close()

    def mark(self, kind: str, facts: Dict[str, Any]) -> None:
        self.journal.write("mark", n=self.cell.n, kind=kind, **facts)
