"""From journals and a notebook to one run: the last execution of each cell, in any kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import notebooks
from reprolock.living import cells as living_cells
from reprolock.living import hidden
from reprolock.living.outputs import collect
from reprolock.living.parts import WRITES, earlier_parts
from reprolock.living.sources import seedings
from reprolock.living.uses import WRITE, roles, uses
from reprolock.run import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reprolock.finding import Finding
    from reprolock.living.cells import Execution
    from reprolock.living.journals import Journal
    from reprolock.living.source import Source

Event = dict[str, Any]
_SEEN_BY_CELLS = ("file", "folder", "seed", "draw", "unseeded", "metric", "metric-error", "listed")


@dataclass(frozen=True)
class Joined:
    """*seen* is the run as the Record is made of it; *node* the reference."""

    seen: Seen
    node: Any
    findings: tuple[Finding, ...]


def join(journal: Journal, earlier: Sequence[Journal], source: Source, mode: str) -> Joined:
    """Join the journals of kernels that worked one after the other on the notebook *source*."""
    old = earlier_parts(earlier, journal, source)
    offset = max((one.n for part in old for one in part.ran), default=-1) + 1
    current = journal.shifted(offset)
    own = tuple(living_cells.executions(current.events, len(old)))
    ran = (*(one for part in old for one in part.ran), *own)
    matched = living_cells.match(source.node, ran, source.saved_at)
    counted = _counted(ran, mode, current)
    last = living_cells.last_of(counted, matched.index_of)
    events = (*(e for part in old for e in part.events), *current.events)
    events = (*_read_from_source(own, source.path.parent, events), *events)
    events = tuple(_without_draws_that_were_seeded(events))
    claiming = {i for i, cell in enumerate(matched.node.cells) if cell.get("outputs")}
    node = _with_outputs(matched.node, last, events)
    facts = hidden.facts_of(mode, journal, matched, ran, own, last, old, events, claiming)
    raised = hidden.raised(node.cells, last)
    facts = hidden.with_unfinished(facts, node.cells, raised, last)
    seen = Seen(
        name=source.path.name,
        folder=source.path.parent,
        cells=list(node.cells),
        events=tuple(_without_superseded(events, last)),
        cell_of=matched.index_of,
        ran=_order(last),
        raised=raised,
        problems=journal.problems,
        session=facts,
    )
    return Joined(seen, node, tuple(hidden.told(matched, own, mode, events, facts, source)))


def _counted(ran: Sequence[Execution], mode: str, current: Journal) -> list[Execution]:
    """Leave out what its kernel died in; the cell that asks for the lock is running still."""
    snapshot = current.last("snapshot").get("n") if mode == "live" else None
    return [one for one in ran if one.ended or one.n == snapshot]


def _order(last: Mapping[int, Execution]) -> dict[int, int]:
    ordered = sorted(last.items(), key=lambda pair: pair[1].n)
    return {index: place for place, (index, _) in enumerate(ordered)}


def _with_outputs(node: Any, last: Mapping[int, Execution], events: Iterable[Event]) -> Any:
    """Put in what each cell gave in its last run; what stands there of no run is taken out.

    Of a cell that ran before the recording the stored outputs are the only ones there are.
    """
    recorded = collect(events)
    for index, cell in enumerate(node.cells):
        if not notebooks.is_code(cell):
            continue
        one = last.get(index)
        if one is None or notebooks.only_reprolock(cell):
            cell["outputs"], cell["execution_count"] = [], None
        elif not one.seen and cell.get("execution_count") != one.count:
            cell["outputs"] = []  # of another session
        elif one.seen:
            cell["outputs"] = recorded.get(one.n, [])
            cell["execution_count"] = one.count
    return node


def _without_superseded(events: Iterable[Event], last: Mapping[int, Execution]) -> Iterable[Event]:
    """Leave out what runs saw that a later run of the same cell replaced, or that are in no cell.

    A clean run does not have them; what it has itself is held against the rest. What such a run
    left in an open file may reach the disk in a later cell, or between two: it is left out too.
    """
    standing = {one.n for one in last.values()}
    events = list(events)
    left_open = _changed_by_others_than(standing, events)
    for event in events:
        n = event.get("n")
        superseded = (n is not None and n not in standing) or (
            _is_late(event) and _target(event) in left_open
        )
        if event.get("event") not in _SEEN_BY_CELLS or not superseded:
            yield event


def _changed_by_others_than(standing: set[int], events: Sequence[Event]) -> set[str]:
    """Return the files that superseded runs changed and none of the *standing* ones opened."""
    files = [e for e in events if e.get("event") == "file" and not _is_late(e)]
    opened = {_target(e) for e in files if e.get("n") in standing}
    return {_target(e) for e in files if e.get("op") in WRITES} - opened


def _is_late(event: Event) -> bool:
    return bool(event.get("late")) or event.get("n") is None


def _target(event: Event) -> str:
    return str(event.get("to") or event.get("path"))


def _without_draws_that_were_seeded(events: Iterable[Event]) -> Iterable[Event]:
    """Leave out draws of which the source of a cell that was not recorded says the seed."""
    seeded: dict[Any, bool] = {}
    for event in events:
        if event.get("event") == "seed":
            seeded[event.get("stream")] = event.get("via") == "source"
        if event.get("event") != "draw" or not seeded.get(event.get("stream")):
            yield event


def _read_from_source(
    own: Sequence[Execution], folder: Path, events: Sequence[Event]
) -> list[Event]:
    """Tell of cells that ran before the recording what their source says: seeds and files."""
    start = next((e for e in events if e.get("event") == "start"), {})
    begun = float(start.get("at") or 0.0)
    known = {str(e.get("path")) for e in events if e.get("event") == "file"}
    unseen = [one for one in own if not one.seen]
    seeds = [
        {
            "event": "seed",
            "n": one.n,
            "stream": s.stream,
            "call": s.call,
            "seed": s.seed,
            "via": "source",
        }
        for one in unseen
        for s in seedings(one.source)
    ]
    named = _named_in(unseen, folder)
    told = [e for f in named if str(f) not in known for e in _as_used(f, named[f], begun)]
    return sorted([*seeds, *told], key=lambda event: int(event["n"]))


def _named_in(ran: Sequence[Execution], folder: Path) -> dict[Path, list[tuple[int, str | None]]]:
    """Return the files that stand in the source of cells, each with its uses: cell and kind."""
    named: dict[Path, list[tuple[int, str | None]]] = {}
    variables: dict[str, str] = {}
    for one in ran:
        for use in uses(one.source, variables):
            file = _file_named(use.text, folder)
            if file is not None:
                named.setdefault(file, []).append((one.n, use.kind))
    return named


def _file_named(text: str, folder: Path) -> Path | None:
    if not text or len(text) > 1000 or "\n" in text or "\0" in text:  # noqa: PLR2004  no path is
        return None
    path = Path(folder, text)
    try:
        return path if path.is_file() and path.suffix != ".ipynb" else None
    except (OSError, ValueError):
        return None


def _as_used(
    file: Path, mentions: Sequence[tuple[int, str | None]], begun: float
) -> Iterable[Event]:
    """Tell what the run did with *file*. It did not write one that is older than the session."""
    status = file.stat()
    young = bool(begun and status.st_ctime > begun)
    read, written = roles(kind for _, kind in mentions) if young else (True, False)
    first = mentions[0][0]
    changed = next((n for n, kind in mentions if kind == WRITE), first)
    facts = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    event = {"event": "file", "path": str(file), "via": "source", **facts}
    if read:
        yield {**event, "n": first, "op": "read", "young": young}
    if written:
        yield {**event, "n": changed, "op": "write"}
