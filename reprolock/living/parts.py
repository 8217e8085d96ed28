"""What still counts of kernels that are gone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reprolock.living import cells as living_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reprolock.living.cells import Execution
    from reprolock.living.journals import Journal
    from reprolock.living.source import Source

Event = dict[str, Any]
WRITES = ("write", "append", "update", "rename")
_OF_CELLS = ("file", "folder", "seed", "draw", "unseeded", "metric", "metric-error", "output")


@dataclass(frozen=True)
class Part:
    """What counts of one kernel: its events, its executions, and how it came to its end."""

    events: tuple[Event, ...]
    ran: tuple[Execution, ...]
    how: str = ""


def earlier_parts(earlier: Sequence[Journal], journal: Journal, source: Source) -> list[Part]:
    """Keep of earlier kernels the runs of cells that no later one ran, and that did not change.

    Taken from the newest backwards, so that each cell's last run counts.
    """
    own = living_cells.executions(journal.events, 0)
    done = _indexes(source, own)
    parts: list[Part] = []
    for old in reversed(earlier):
        ran = living_cells.executions(old.events, 0)
        matched = living_cells.match(source.node, ran, None)
        kept = [
            one
            for index, one in living_cells.last_of(
                [one for one in ran if one.ended and one.seen], matched.index_of
            ).items()
            if index not in done
            and one.source == source.node.cells[index]["source"]
            and not one.only_reprolock
        ]
        if kept:
            parts.append(_part(old, kept))
            done |= {matched.index_of[one.n] for one in kept}
    return _renumbered(list(reversed(parts)))


def _indexes(source: Source, ran: Sequence[Execution]) -> set[int]:
    return set(living_cells.match(source.node, ran, None).index_of.values())


def _part(journal: Journal, kept: list[Execution]) -> Part:
    numbers = {one.n for one in kept}
    events = tuple(
        e
        for e in journal.events
        if e.get("n") in numbers and e.get("event") in (*_OF_CELLS, "cell-start", "cell-end")
    )
    return Part(events, tuple(kept), _end_of(journal))


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
        events = tuple({**e, "n": e["n"] + offset} for e in part.events)
        done.append(Part(events, ran, part.how))
        offset = max((one.n for one in ran), default=offset - 1) + 1
    return done
