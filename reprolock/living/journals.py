"""The journals of living kernels: found, read, and joined where a notebook outlived its kernel."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.errors import UsageError
from reprolock.kernel import read_journal
from reprolock.kernel.living import folders
from reprolock.living.wellformed import wellformed

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    def process(self) -> tuple[Any, Any]:
        """What no other process has: machines that are lent for a day count theirs alike."""
        return _process(_first(self.events, "start"))

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
    def folders(self) -> list[Path]:
        """Where the kernel kept second journals: those of the kernels before may lie there too."""
        return [Path(e["path"]).parent for e in self.events if e.get("event") == "second"]

    @property
    def count(self) -> int:
        return 1 + max((e["n"] for e in self.events if isinstance(e.get("n"), int)), default=-1)


def _first(events: Iterable[Event], name: str) -> Event:
    return next((e for e in events if e.get("event") == name), {})


def _process(start: Event) -> tuple[Any, Any]:
    return start.get("process"), start.get("pid")


def of_kernel(kernel: KernelProcess) -> list[Journal]:
    """Return the journals that the process *kernel* writes or wrote, the oldest first."""
    named = [path for path in _all(folders()) if path.name.startswith(f"{kernel.pid}-")]
    found = [journal for journal in map(read, named) if is_of(journal, kernel)]
    return sorted(found, key=lambda journal: journal.begun)


def is_of(journal: Journal, kernel: KernelProcess) -> bool:
    """Say whether *kernel* wrote it; an older process may have had the same number.

    Times are looked at last only: where a clock is set, processes seem to have begun at another.
    """
    told = journal.process[0]
    if told is not None and (known := kernel.identity) is not None:
        return journal.pid == kernel.pid and bool(told == known)
    return journal.pid == kernel.pid and journal.begun >= kernel.started - _CLOCK


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
        if _is_other_notebook(living, journal.living) or _process(start) == journal.process:
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
    found, problems = read_journal(path)
    events, told = wellformed(found)
    return Journal(path, events, (*problems, *told))


def _head(path: Path) -> list[Event]:
    events: list[Event] = []
    with contextlib.suppress(OSError), path.open("rb") as file:
        for line, _ in zip(file, range(_HEAD), strict=False):
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(line)
                if isinstance(value, dict) and isinstance(value.get("event"), str):
                    events.append(value)
    return list(wellformed(events)[0])
