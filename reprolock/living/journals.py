"""The journals of living kernels: found, read, and joined where a notebook outlived its kernel."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reprolock.errors import UsageError
from reprolock.kernel import read_journal
from reprolock.kernel.living import folders

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reprolock.kernel.processes import KernelProcess

_HEAD = 12  # events in which a journal says what it is of
_MOST_EARLIER = 20
_CLOCK = 2.0  # seconds by which clocks may differ
Event = dict[str, Any]


@dataclass(frozen=True)
class Journal:
    """One kernel's journal. *path* None: put together from what can be seen from outside."""

    path: Path | None
    events: tuple[Event, ...]
    problems: tuple[str, ...] = ()

    def last(self, name: str) -> Event:
        return next((e for e in reversed(self.events) if e.get("event") == name), {})

    @property
    def pid(self) -> int | None:
        found = _first(self.events, "start").get("pid")
        return found if isinstance(found, int) else None

    @property
    def begun(self) -> float:
        return float(_first(self.events, "start").get("at") or 0.0)

    @property
    def living(self) -> Event:
        """What the kernel told of itself: *folder*, *session*, *kernel*, *unknown*."""
        return _first(self.events, "living")

    def shifted(self, by: int) -> Journal:
        """Return the same with the ordinals of its cells counted from *by*."""
        moved = ({**e, "n": e["n"] + by} if isinstance(e.get("n"), int) else e for e in self.events)
        return replace(self, events=tuple(moved))

    @property
    def count(self) -> int:
        return 1 + max((e["n"] for e in self.events if isinstance(e.get("n"), int)), default=-1)


def _first(events: Iterable[Event], name: str) -> Event:
    return next((e for e in events if e.get("event") == name), {})


def of_kernel(kernel: KernelProcess) -> list[Journal]:
    """Return the journals that the process *kernel* writes or wrote, the oldest first."""
    found = []
    for path in _all(folders()):
        if not path.name.startswith(f"{kernel.pid}-"):
            continue
        journal = read(path)
        # An older process may have had the same number.
        if journal.pid == kernel.pid and journal.begun >= kernel.started - _CLOCK:
            found.append(journal)
    return sorted(found, key=lambda journal: journal.begun)


def in_folder(folder: Path) -> list[Journal]:
    """Return the journals kept in *folder*, or the one that it is, the oldest first.

    Raises UsageError where there is none.
    """
    paths = [folder] if folder.is_file() else _all([folder])
    found = [journal for journal in map(read, paths) if journal.living]
    if not found:
        raise UsageError(
            f"--journal: wanted the journal of a living kernel, found none in {folder}",
            hint="`%reprolock journal DIR` keeps one in DIR; `%reprolock status` names it",
        )
    return sorted(found, key=lambda journal: journal.begun)


def earlier_than(journal: Journal, places: Iterable[Path] = ()) -> list[Journal]:
    """Return the journals of kernels that ended before, and worked in the same folder."""
    wanted = journal.living.get("folder")
    found = []
    for path in _all([*folders(), *places]):
        head = _head(path)
        living, start = _first(head, "living"), _first(head, "start")
        if living.get("folder") != wanted or float(start.get("at") or 0.0) >= journal.begun:
            continue
        if _is_other_notebook(living, journal.living) or start.get("pid") == journal.pid:
            continue
        found.append((float(start.get("at") or 0.0), path))
    newest = sorted(found)[-_MOST_EARLIER:]
    unique = dict(newest)
    return [read(path) for _, path in sorted(unique.items())]


def _is_other_notebook(one: Event, other: Event) -> bool:
    """Say whether both name a notebook, and not the same."""
    names = one.get("session"), other.get("session")
    return all(names) and names[0] != names[1]


def _all(places: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for place in places:
        with contextlib.suppress(OSError):
            found += sorted(place.glob("*.jsonl"))
    return found


def read(path: Path) -> Journal:
    events, problems = read_journal(path)
    return Journal(path, tuple(events), tuple(problems))


def _head(path: Path) -> list[Event]:
    events: list[Event] = []
    try:
        with path.open("rb") as file:
            for line, _ in zip(file, range(_HEAD), strict=False):
                value = json.loads(line)
                if isinstance(value, dict):
                    events.append(value)
    except (OSError, ValueError):
        return events
    return events
