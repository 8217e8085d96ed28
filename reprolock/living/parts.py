"""What still counts of kernels that are gone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from reprolock.living import cells as living_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reprolock.living.cells import Execution, Matched
    from reprolock.living.journals import Journal
    from reprolock.living.source import Source

Event = dict[str, Any]
WRITES = ("write", "append", "update", "rename")
_OF_CELLS = (
    *("cell-start", "cell-end", "output", "file", "folder", "listed", "mark", "seed", "draw"),
    *("unseeded", "metric", "metric-error", "command", "installed", "uploaded", "mounted"),
)


@dataclass(frozen=True)
class Part:
    """What counts of one kernel: its events, its executions, how it came to its end, and the
    *versions* of packages that the captured kernel has otherwise.
    """

    events: tuple[Event, ...]
    ran: tuple[Execution, ...]
    how: str = ""
    versions: tuple[str, ...] = ()


def earlier_parts(earlier: Sequence[Journal], journal: Journal, source: Source) -> list[Part]:
    """Keep of earlier kernels the runs of cells that no later one ran, and that did not change.

    Taken from the newest backwards, so that each cell's last run counts.
    """
    own = living_cells.executions(journal.events, 0)
    done = _indexes(source, own)
    now = _versions(journal)
    parts: list[Part] = []
    for old in reversed(earlier):
        ran = living_cells.executions(old.events, 0)
        if living_cells.of_another_notebook(ran, source.node.cells):
            continue
        matched = living_cells.match(source.node, ran, None)
        if _of_another_notebook(ran, matched, source):
            continue
        kept = [
            one
            for index, one in living_cells.last_of(
                [one for one in ran if one.ended and one.seen], matched.index_of
            ).items()
            if index not in done and one.ran_as(source.node.cells[index]) and not one.only_reprolock
        ]
        if kept:
            parts.append(replace(_part(old, kept), versions=_others(_versions(old), now)))
            done |= {matched.index_of[one.n] for one in kept}
    return _renumbered(list(reversed(parts)))


def _of_another_notebook(ran: Sequence[Execution], matched: Matched, source: Source) -> bool:
    """Say whether a journal from the same folder is of other cells: ids tell, else the sources.

    Where no id is known to both, each cell that ran has to stand in the notebook.
    """
    ids = {str(cell.get("id")) for cell in source.node.cells if cell.get("id")}
    told = [one for one in ran if not one.only_reprolock and one.source.strip()]
    if any(one.cell_id in ids for one in told):
        return False
    return any(one.n not in matched.index_of for one in told)


def _indexes(source: Source, ran: Sequence[Execution]) -> set[int]:
    return set(living_cells.match(source.node, ran, None).index_of.values())


def _part(journal: Journal, kept: list[Execution]) -> Part:
    numbers = {one.n for one in kept}
    of_cells = [e for e in journal.events if e.get("n") in numbers and e["event"] in _OF_CELLS]
    commands = {e["number"] for e in of_cells if e["event"] == "command"}
    events = tuple(
        e
        for e in journal.events
        if (e.get("n") in numbers and e["event"] in _OF_CELLS)
        or (e["event"] == "command-end" and e["number"] in commands)
    )
    return Part(events, tuple(kept), _end_of(journal))


def _versions(journal: Journal) -> dict[str, str]:
    """Return the version of Python and of each distribution at the end of a kernel's recording."""
    found: dict[str, str] = {}
    for event in journal.events:
        kind = event.get("event")
        if kind == "packages":
            listed = reversed(event["distributions"])  # of two the first is the one imported
            found = {_name(one): str(one["version"]) for one in listed if _named(one)}
        elif kind == "installed":
            for one in event.get("distributions") or ():
                found.pop(_name(one), None)
                if one.get("after") is not None:
                    found[_name(one)] = str(one["after"])
    python = journal.last("interpreter").get("version")
    return {**({"python": str(python)} if python else {}), **found}


def _named(distribution: Mapping[str, Any]) -> bool:
    return bool(distribution.get("name") and distribution.get("version"))


def _name(distribution: Mapping[str, Any]) -> str:
    return canonicalize_name(str(distribution["name"]))


def _others(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Say which were there *then* and are not the same *now*."""
    return tuple(
        f"{name} {version} (locked: {now.get(name, 'none')})"
        for name, version in sorted(then.items())
        if now and now.get(name) != version
    )


def _end_of(journal: Journal) -> str:
    if journal.last("end"):
        return "was left with %unload_ext"
    ended = {e.get("n") for e in journal.events if e.get("event") == "cell-end"}
    started = [e.get("n") for e in journal.events if e.get("event") == "cell-start"]
    if started and started[-1] not in ended:
        return "ended while a cell ran"
    return "ended"


def _renumbered(parts: list[Part]) -> list[Part]:
    done: list[Part] = []
    offset = 0
    for kernel, part in enumerate(parts):
        ran = tuple(replace(one, n=one.n + offset, kernel=kernel) for one in part.ran)
        events = tuple({**e, "n": e["n"] + offset} if "n" in e else e for e in part.events)
        done.append(replace(part, events=events, ran=ran))
        offset = max((one.n for one in ran), default=offset - 1) + 1
    return done
