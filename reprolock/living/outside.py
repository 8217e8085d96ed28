"""A kernel in which nothing was recorded, seen from a process that it started.

Its environment is asked by a probe in the same interpreter, its history is IPython's own database,
its open files are what the system tells. What only a recorder in the kernel sees is not there, and
is said.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_text
from reprolock.errors import KernelError
from reprolock.kernel.probe import probe_code
from reprolock.living.journals import Journal
from reprolock.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reprolock.kernel.processes import KernelProcess

_SECONDS = 60
_START = 60.0  # seconds that may pass from a kernel's start to its session in the history
Event = dict[str, Any]


def journal_of(kernel: KernelProcess, saved: Sequence[Mapping[str, Any]]) -> Journal:
    """Return what can be told of *kernel* as a journal. *saved* are the cells of its notebook as
    the file has them. Raises KernelError where nothing can be told.
    """
    facts = _probed(kernel)
    folder = str(kernel.folder or Path.cwd())
    events: list[Event] = [
        {"event": "start", "pid": kernel.pid, "at": kernel.started, "live": True},
        {"event": "living", "known": 0, "unknown": 0, "folder": folder, "kernel": kernel.id},
        *(_event(name, facts.get(name)) for name in ("interpreter", "packages", "system")),
        _event("hardware", facts.get("hardware")),
    ]
    history = _history(kernel, {str(cell["source"]).strip() for cell in saved}) or _counted(saved)
    for n, (count, source) in enumerate(history):
        digest = sha256_text(source)
        begun = {"event": "cell-start", "n": n, "source": source, "source_sha256": digest}
        events.append({**begun, "count": count, "via": "history"})
        events.append({"event": "cell-end", "n": n, "ok": None, "error": None})
    last = len(history) - 1
    events += [_opened(path, last) for path in kernel.open_files() if _is_data(path, folder)]
    return Journal(None, tuple(events))


def _event(name: str, facts: Any) -> Event:
    return {"event": name, **(facts if isinstance(facts, dict) else {})}


def _probed(kernel: KernelProcess) -> dict[str, Any]:
    """Ask the kernel's interpreter, in the kernel's environment, what it and its packages are."""
    done = run(
        [str(kernel.python), "-c", probe_code()],
        env=dict(kernel.environ) or None,
        cwd=kernel.folder,
        timeout=_SECONDS,
    )
    try:
        facts = json.loads(done.out.strip().splitlines()[-1])
    except (ValueError, IndexError) as exc:
        raise KernelError(
            f"the kernel's interpreter {kernel.python} does not answer",
            causes=((done.err.strip().splitlines() or ["it gave no reason"])[-1],),
            hint="put %load_ext reprolock into a cell, and capture again with %reprolock capture",
        ) from exc
    return facts if isinstance(facts, dict) else {}


def _history(kernel: KernelProcess, sources: set[str]) -> list[tuple[int, str]]:
    """Return number and source of the cells of the kernel's session, from IPython's database.

    A session does not name its process. It is told by the time at which it began, by the call for
    this very capture, and, where several are left, by how much of the notebook it ran.
    """
    found: list[list[tuple[int, str]]] = []
    for path in _databases(kernel):
        with contextlib.suppress(sqlite3.Error, OSError):
            found += _sessions_of(path, kernel.started)
    scores = [sum(source.strip() in sources for _, source in rows) for rows in found]
    best = max(scores, default=0)
    if not found or scores.count(best) > 1:
        return []
    return found[scores.index(best)]


def _counted(saved: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Take the saved file's word for what ran: the cells with a number in their brackets."""
    ran = [
        (cell["execution_count"], str(cell["source"]))
        for cell in saved
        if isinstance(cell.get("execution_count"), int)
    ]
    return sorted(ran, key=lambda pair: pair[0])


def _databases(kernel: KernelProcess) -> list[Path]:
    home = Path(kernel.environ.get("HOME") or Path.home())
    folder = kernel.environ.get("IPYTHONDIR")
    place = Path(folder) if folder else home / ".ipython"
    return [path for path in place.glob("profile_*/history.sqlite") if path.is_file()]


def _sessions_of(path: Path, started: float) -> list[list[tuple[int, str]]]:
    """Return the sessions that began with the process and ended, so far, with a call for us."""
    found = []
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        sessions = database.execute(
            "SELECT session FROM sessions WHERE CAST(strftime('%s', start, 'utc') AS REAL) "
            "BETWEEN ? AND ?",
            (started - 2.0, started + _START),
        ).fetchall()
        for session in sessions:
            rows = database.execute(
                "SELECT line, source_raw FROM history WHERE session = ? ORDER BY line", session
            ).fetchall()
            if rows and "reprolock" in str(rows[-1][1]):
                found.append([(int(line), str(source)) for line, source in rows])
    return found


def _is_data(path: str, folder: str) -> bool:
    inside = Path(path).is_relative_to(folder)
    return inside and Path(path).is_file() and Path(path).suffix not in (".so", ".ipynb", ".py")


def _opened(path: str, n: int) -> Event:
    status = Path(path).stat()
    facts = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    return {"event": "file", "n": n, "op": "read", "path": path, "via": "proc", **facts}
