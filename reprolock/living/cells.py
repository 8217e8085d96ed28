"""What ran in a living session, and which cell of the notebook each of it is."""

from __future__ import annotations

import copy
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock import notebooks
from reprolock.digest import sha256_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # as nbformat 4.5 has it
Event = dict[str, Any]


@dataclass(frozen=True)
class Execution:
    """One run of one cell. *count* is the number in its brackets; *at* when it began, in seconds
    since the epoch; *seen* False where it ran before the recording; *ended* False where its
    kernel died in it; *kernel* the number of the kernel, the captured one the highest.
    """

    n: int
    source: str
    cell_id: str | None = None
    count: int | None = None
    at: float | None = None
    seen: bool = True
    ended: bool = True
    ok: bool | None = None
    error: str | None = None
    bound: tuple[str, ...] = ()
    kernel: int = 0

    @property
    def only_reprolock(self) -> bool:
        return notebooks.only_reprolock({"source": self.source})

    def ran_as(self, cell: Mapping[str, Any]) -> bool:
        """Say whether *cell* has the source that ran; a history keeps no line break at its end."""
        return self.source.rstrip("\n") == str(cell["source"]).rstrip("\n")


def executions(events: Iterable[Mapping[str, Any]], kernel: int) -> list[Execution]:
    """Read the runs of cells from the events of one kernel."""
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        n, kind = event.get("n"), event.get("event")
        if not isinstance(n, int):
            continue
        if kind == "cell-start":
            found[n] = {
                "n": n,
                "source": str(event.get("source") or ""),
                "cell_id": event.get("cell_id"),
                "count": event.get("count"),
                "at": event.get("at"),
                "seen": event.get("via") is None,
                "ended": False,
                "kernel": kernel,
            }
        elif n in found and kind == "cell-end":
            found[n].update(ended=True, ok=event.get("ok"), error=event.get("error"))
        elif n in found and kind == "names":
            found[n]["bound"] = tuple(str(name) for name in event.get("bound") or ())
    return [Execution(**facts) for _, facts in sorted(found.items())]


@dataclass(frozen=True)
class Matched:
    """*node* is the notebook with what ran and was not saved yet put in; *index_of* gives the cell
    of an execution by its ordinal; *unsaved* the cells whose source in the file is older than their
    run, *edited* those that were changed after it.
    """

    node: Any
    index_of: Mapping[int, int]
    edited: tuple[int, ...] = ()
    unsaved: tuple[int, ...] = ()


def match(node: Any, ran: Sequence[Execution], saved_at: float | None) -> Matched:
    """Say which cell each execution ran: by the cell's id, else by its source.

    *saved_at* is when the file was written, in seconds since the epoch, None where *node* comes
    from the front end itself and so is what stands on the screen.
    """
    node = copy.deepcopy(node)
    index_of = _by_id(node.cells, ran)
    _by_source(node.cells, ran, index_of)
    unsaved = _put_in_unsaved(node, ran, index_of, saved_at)
    last = last_of(ran, index_of)
    edited = tuple(
        index
        for index, one in sorted(last.items())
        if not one.ran_as(node.cells[index]) and not one.only_reprolock
    )
    return Matched(node, index_of, edited, unsaved)


def last_of(ran: Sequence[Execution], index_of: Mapping[int, int]) -> dict[int, Execution]:
    """Return the last execution of each cell that ran."""
    return {index_of[one.n]: one for one in ran if one.n in index_of}


def _by_id(cells: Sequence[Any], ran: Sequence[Execution]) -> dict[int, int]:
    """An id that two cells have, as in files that were put together by hand, tells neither."""
    count = Counter(map(_id_of, cells))
    places = {_id_of(cell): i for i, cell in enumerate(cells) if count[_id_of(cell)] == 1}
    return {one.n: places[one.cell_id] for one in ran if one.cell_id and one.cell_id in places}


def _id_of(cell: Mapping[str, Any]) -> str:
    """Return the cell's id, empty where it has none. Colab keeps it in the cell's metadata."""
    return str(cell.get("id") or (cell.get("metadata") or {}).get("id") or "")


def of_another_notebook(ran: Sequence[Execution], cells: Sequence[Any]) -> bool:
    """Say whether the cells that ran have ids, and none is that of one of these."""
    own = {_id_of(cell) for cell in cells} - {""}
    theirs = {one.cell_id for one in ran if one.cell_id and _ID.fullmatch(one.cell_id)}
    return bool(own and theirs) and not own & theirs


def _by_source(cells: Sequence[Any], ran: Sequence[Execution], index_of: dict[int, int]) -> None:
    """Give executions whose id is in no cell the cells of the same source, in order.

    Of cells with one source the one after the last that ran is taken: people run downwards. A cell
    that ran under its own id is not taken over by a copy of it or by a console.
    """
    places: dict[str, list[int]] = {}
    for index, cell in enumerate(cells):
        if notebooks.is_code(cell):
            places.setdefault(cell["source"].strip(), []).append(index)
    before, own = -1, set(index_of.values())
    for one in ran:
        same = places.get(one.source.strip(), [])
        if one.seen:
            same = [index for index in same if index not in own]
        if one.n not in index_of and same:
            index_of[one.n] = next((index for index in same if index > before), same[0])
        before = index_of.get(one.n, before)


def _put_in_unsaved(
    node: Any, ran: Sequence[Execution], index_of: dict[int, int], saved_at: float | None
) -> tuple[int, ...]:
    """Put what ran after the file was saved into *node*: edited cells, and new ones below the cell
    that ran before them. Return the cells that are not as the file has them.
    """
    if saved_at is None:
        return ()
    cell_of = {n: node.cells[index] for n, index in index_of.items()}
    has_ids = any("id" in cell for cell in node.cells)
    taken = set(map(_id_of, node.cells))
    made: dict[str, Any] = {}
    below: dict[int, list[Any]] = {}
    touched: set[int] = set()
    before = None
    for one in ran:
        late = one.at is not None and one.at > saved_at
        cell = cell_of.get(one.n) or made.get(one.cell_id or "")
        if cell is None and late and one.cell_id:
            name = sha256_text(one.source)[:16] if one.cell_id in taken else one.cell_id
            cell = made[one.cell_id] = new_cell(one.source, name if has_ids else None)
            below.setdefault(id(before), []).append(cell)
            touched.add(id(cell))
        if cell is not None:
            cell_of[one.n] = before = cell
            if late and not one.ran_as(cell):
                cell["source"] = one.source
                touched.add(id(cell))
    node.cells = list(_with_those_below(node.cells, below))
    places = {id(cell): index for index, cell in enumerate(node.cells)}
    index_of.update({n: places[id(cell)] for n, cell in cell_of.items()})
    return tuple(index for index, cell in enumerate(node.cells) if id(cell) in touched)


def _with_those_below(cells: Sequence[Any], below: Mapping[int, list[Any]]) -> Iterator[Any]:
    """Yield each cell and then those made below it, the last made first, as they stand there."""
    waiting = [*reversed(cells), *below.get(id(None), ())]
    while waiting:
        cell = waiting.pop()
        yield cell
        waiting.extend(below.get(id(cell), ()))


def new_cell(source: str, cell_id: str | None = None) -> Any:
    """Return a code cell without outputs. Some front ends have ids that nbformat would not take."""
    from nbformat import NotebookNode

    cell = NotebookNode(
        cell_type="code",
        metadata=NotebookNode(),
        source=source,
        execution_count=None,
        outputs=[],
    )
    if cell_id is not None:
        cell["id"] = cell_id if _ID.fullmatch(cell_id) else sha256_text(cell_id)[:16]
    return cell


@dataclass(frozen=True)
class Unmatched:
    source_sha256: str
    names: tuple[str, ...]


def unmatched(
    ran: Sequence[Execution], index_of: Mapping[int, int], living: Iterable[str]
) -> list[Unmatched]:
    """Return what ran and is in no cell, with the names that it made last and that still live."""
    makers = last_makers(ran)
    alive = set(living)
    found: dict[str, tuple[str, ...]] = {}
    for one in ran:
        if one.n in index_of or one.only_reprolock or not one.source.strip():
            continue
        names = tuple(name for name in one.bound if name in alive and makers.get(name) == one.n)
        digest = sha256_text(one.source)
        found[digest] = tuple(dict.fromkeys([*found.get(digest, ()), *names]))
    return [Unmatched(digest, names) for digest, names in found.items()]


def last_makers(ran: Sequence[Execution]) -> dict[str, int]:
    """Return which execution bound each name last."""
    return {name: one.n for one in ran for name in one.bound}


def out_of_order(last: Mapping[int, Execution]) -> tuple[int, ...]:
    """Return the cells that ran after one that stands below them."""
    lowest, found = -1, []
    for index, one in sorted(last.items(), key=lambda pair: pair[1].n):
        if index < lowest and not one.only_reprolock:
            found.append(index)
        lowest = max(lowest, index if not one.only_reprolock else -1)
    return tuple(sorted(found))


def run_again(ran: Sequence[Execution], index_of: Mapping[int, int]) -> tuple[int, ...]:
    """Return the cells that ran more than once in one kernel."""
    counts: dict[tuple[int, int], int] = {}
    for one in ran:
        if one.n in index_of and not one.only_reprolock:
            key = (one.kernel, index_of[one.n])
            counts[key] = counts.get(key, 0) + 1
    return tuple(sorted({index for (_, index), count in counts.items() if count > 1}))


def not_run(
    cells: Sequence[Any], last: Mapping[int, Execution], claiming: Collection[int]
) -> tuple[int, ...]:
    """Return the cells that did not run though one below them did, or that are *claiming*: they
    have outputs, of another time.
    """
    lowest = max(last, default=-1)
    return tuple(
        index
        for index, cell in enumerate(cells)
        if (index < lowest or index in claiming)
        and notebooks.runs(cell)
        and index not in last
        and not notebooks.only_reprolock(cell)
    )
