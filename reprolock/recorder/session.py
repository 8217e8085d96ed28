"""One recorded run: the families in their order, from the first hook to the last."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Dict, List, Optional

from . import (
    cells,
    data,
    elsewhere,
    hardware,
    installs,
    interpreter,
    live,
    magic,
    metrics,
    names,
    outputs,
    packages,
    randomness,
    runners,
    standin,
    system,
)
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
        self.packages = packages.Watch(journal)
        self.data = data.Watch(journal, self.cell, wanted["folder"], wanted.get("private", ()))
        self._randomness = randomness.Watch(journal, self.cell, shell.user_ns)
        self.outputs = outputs.Watch(journal, self.cell, shell)
        self.names = names.Watch(journal, self.cell, shell.user_ns, shell.user_ns_hidden)
        self.metrics = metrics.Watch(journal, self.cell, shell.user_ns, wanted.get("metrics", []))
        self._runners = runners.Runners(journal)
        command = wanted.get("command")
        self._standin = standin.StandIn(package, self._runners, answering=command is None)
        self._elsewhere = elsewhere.StandIns(journal, self.cell, shell, wanted, self.data.mounted)
        # Metrics come last, so that what their expressions draw is not a draw of the cell.
        families = [self.data, self._randomness, self.metrics]
        self._live = None
        if command is not None:
            self._live = live.Live(self, shell, command, wanted["folder"])
            families[2:2] = [self.outputs, self.names]
            self._runners.answer(self._live.answer)
            self._runners.listen(self._live.before_command, self._live.after_command)
        # Installs come first: what a command made is told by the data, as its own.
        self.installs = installs.Watch(journal, self.cell, shell, wanted, self._runners, self.data)
        families.insert(0, self.installs)
        self._cells = cells.Watch(journal, self.cell, shell, families, telling=bool(command))
        self.magic = magic.Magic(self, shell, self._live)

    @property
    def is_living(self) -> bool:
        """Whether the kernel lived already when it was started, and goes on after a capture."""
        return self._live is not None

    def open(self) -> None:
        journal = self.journal
        journal.write(
            "start",
            format=_FORMAT,
            python=list(sys.version_info[:3]),
            pid=self.pid,
            process=system.process(self.pid),
            live=self._live is not None,
            at=round(time.time(), 3),
        )
        journal.guard("interpreter", lambda: journal.write("interpreter", **interpreter.collect()))
        journal.guard("packages", self.packages.open)
        journal.guard("randomness", self._randomness.open)
        journal.guard("standin", self._standin.open)
        journal.guard("elsewhere", self._elsewhere.open)
        journal.guard("runners", self._runners.open)
        journal.guard("cells", self._open_cells)
        journal.guard("installs", self.installs.open)
        # Last, so that the files that the recorder itself reads are not the notebook's.
        journal.guard("data", self.data.open)

    def _open_cells(self) -> None:
        if self._live is None:
            self._cells.open()
            return
        self.outputs.open()
        earlier, source, unknown = self._live.earlier()
        self.journal.write(
            "living",
            known=len(earlier),
            unknown=unknown,
            folder=self._live.folder,
            session=os.environ.get("JPY_SESSION_NAME"),
            kernel=live.kernel_id(self._live.shell),
            outputs=self.outputs.seen,
        )
        # Told again at each capture; a kernel that is killed has told it once.
        self.journal.guard("machine", self.tell_machine)
        self._cells.open_in_cell(earlier, source)
        self.magic.register()

    def close(self) -> None:
        journal = self.journal
        journal.guard("data", self.data.settle)
        journal.guard("metrics", self.metrics.close)
        journal.guard("magic", self.magic.unregister)
        for name, family in (
            ("installs", self.installs),
            ("data", self.data),
            ("outputs", self.outputs),
            ("cells", self._cells),
            ("runners", self._runners),
            ("elsewhere", self._elsewhere),
            ("standin", self._standin),
            ("randomness", self._randomness),
            ("packages", self.packages),
        ):
            journal.guard(name, family.close)
        journal.guard("machine", self.tell_machine)
        journal.guard("modules", lambda: journal.write("modules", loaded=packages.loaded()))
        journal.write("end")
        journal.close()

    def tell_machine(self) -> None:
        """Write down the system and the hardware, as far as they are known by now."""
        journal = self.journal
        journal.guard("system", lambda: journal.write("system", **system.collect()))
        journal.guard("hardware", lambda: journal.write("hardware", **hardware.collect()))

    def capture(self, arguments: List[str]) -> Optional[Dict[str, Any]]:
        """Write the lock of a living kernel; elsewhere mark only that the cell asks for one."""
        self.mark("capture", {})
        if self._live is None:
            return {"command": "capture", "exit_code": 0, "lock": {"path": ""}, "findings": []}
        return self._live.capture(arguments)

    def mark(self, kind: str, facts: Dict[str, Any]) -> None:
        self.journal.write("mark", n=self.cell.n, kind=kind, **facts)
