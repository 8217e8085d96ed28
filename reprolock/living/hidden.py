"""What a living session leaves behind that no clean run would: told as facts and as findings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import notebooks
from reprolock.facts import session as sessions
from reprolock.finding import Finding, warning
from reprolock.living import cells as living_cells
from reprolock.living.parts import WRITES, Part
from reprolock.living.sources import ends_with_capture, names_bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reprolock.living.cells import Execution, Matched
    from reprolock.living.journals import Journal
    from reprolock.living.source import Source

Event = dict[str, Any]
_SHOWN = 8


def facts_of(
    mode: str,
    journal: Journal,
    matched: Matched,
    ran: Sequence[Execution],
    own: Sequence[Execution],
    last: Mapping[int, Execution],
    old: Sequence[Part],
    events: Sequence[Event],
    claiming: set[int],
) -> sessions.Session:
    living = journal.last("snapshot").get("names") or {}
    before = {matched.index_of[one.n] for one in own if not one.seen and one.n in matched.index_of}
    recorded = tuple(one for one in own if one.seen)
    gone = living_cells.unmatched([one for one in own if one.ended], matched.index_of, living)
    return sessions.Session(
        mode=mode,
        run_again=living_cells.run_again(ran, matched.index_of),
        out_of_order=living_cells.out_of_order(last),
        edited=matched.edited,
        not_run=living_cells.not_run(matched.node.cells, last, claiming),
        before=tuple(sorted(before - {matched.index_of.get(one.n) for one in recorded})),
        outputs_unseen=_outputs_unseen(journal, matched, last),
        unknown=int(journal.living.get("unknown") or 0),
        deleted=tuple(sessions.Deleted(cell.source_sha256, cell.names) for cell in gone),
        foreign_names=_foreign(living, matched, own, {n for cell in gone for n in cell.names}),
        breaks=tuple(_break(part, matched, events) for part in old),
    )


def raised(cells: Sequence[Any], last: Mapping[int, Execution]) -> dict[int, str]:
    """Return the names of the errors that cells ended with, by the cell's index.

    Of a cell that ran before the recording its stored outputs tell it.
    """
    found = {index: one.error or _error_in(cells[index], one) for index, one in last.items()}
    return {index: name for index, name in found.items() if name}


def _error_in(cell: Any, one: Execution) -> str | None:
    outputs = () if one.seen else cell.get("outputs", ())
    names = [str(o.get("ename")) for o in outputs if o.get("output_type") == "error"]
    return names[-1] if names else None


def with_unfinished(
    facts: sessions.Session,
    cells: Sequence[Any],
    errors: Mapping[int, str],
    last: Mapping[int, Execution],
) -> sessions.Session:
    """Add the cells that did not run to their end, and the one that goes on after the capture."""
    own = [index for index in sorted(errors) if not notebooks.only_reprolock(cells[index])]
    by_hand = tuple(index for index in own if errors[index] == sessions.INTERRUPTED)
    return replace(
        facts,
        interrupted=by_hand,
        raised=tuple(i for i in own if i not in by_hand and not notebooks.is_tagged(cells[i])),
        captured_within=tuple(
            index
            for index, one in sorted(last.items())
            if not one.ended and not one.only_reprolock and not ends_with_capture(one.source)
        ),
    )


def _outputs_unseen(
    journal: Journal, matched: Matched, last: Mapping[int, Execution]
) -> tuple[int, ...]:
    """Return the cells that ran in a terminal, or before the recording and were not saved since."""
    in_a_terminal = journal.living.get("outputs") is False
    cells = matched.node.cells
    return tuple(
        index
        for index, one in sorted(last.items())
        if (in_a_terminal or not (one.seen or cells[index].get("execution_count")))
        and not one.only_reprolock
        and not cells[index].get("outputs")
    )


def _foreign(
    living: Mapping[str, Any], matched: Matched, own: Sequence[Execution], told: set[str]
) -> tuple[str, ...]:
    """Return the names that live and that no cell of the notebook makes, as it stands now.

    A name whose last maker stands in the notebook unedited is at home there. Where a cell may bind
    anything, a name of which no maker is known counts as at home too.
    """
    found = [names_bound(c["source"]) for c in matched.node.cells if notebooks.is_code(c)]
    bound = {name for names in found if names is not None for name in names}
    opaque = None in found
    makers = living_cells.last_makers(own)
    at_home = {
        one.n
        for one in own
        if one.n in matched.index_of and matched.index_of[one.n] not in matched.edited
    }
    return tuple(
        sorted(
            name
            for name in living
            if name not in bound
            and name not in told
            and makers.get(name, -1) not in at_home
            and not (opaque and name not in makers)
        )
    )


def _break(part: Part, matched: Matched, events: Sequence[Event]) -> sessions.Break:
    cells = sorted({matched.index_of[one.n] for one in part.ran if one.n in matched.index_of})
    numbers = {one.n for one in part.ran}
    written = {
        str(e.get("to") or e.get("path"))
        for e in part.events
        if e.get("event") == "file" and e.get("op") in WRITES
    }
    read = {
        str(e.get("path"))
        for e in events
        if e.get("event") == "file" and e.get("op") == "read" and e.get("n") not in numbers
    }
    names = tuple(sorted({Path(path).name for path in written & read}))
    return sessions.Break(tuple(cells), part.how, names, part.versions)


def told(
    matched: Matched,
    own: Sequence[Execution],
    mode: str,
    events: Sequence[Event],
    facts: sessions.Session,
    source: Source,
) -> Iterable[Finding]:
    if matched.unsaved:
        yield warning(
            "session.notebook-unsaved",
            f"{len(matched.unsaved)} cells ran that the saved file does not have like this",
            subject=", ".join(str(index) for index in matched.unsaved),
            cell=matched.unsaved[0],
            hint="save the notebook: the lock is of the sources that ran",
        )
    if source.saved_at is not None:
        yield from _unsaved_outputs([c for c in facts.outputs_unseen if c in facts.before])
    yield from _from_source(matched, events)
    if mode == "outside":
        yield warning(
            "session.not-recorded",
            "nothing was recorded in this kernel, so the lock has no files read by native code, no "
            "draws without a seed, no named metrics, no names in memory, and the outputs are those "
            "of the saved notebook",
            hint="put %load_ext reprolock into the first cell, and capture with %reprolock capture",
        )
    if mode == "journal" and own and not own[-1].ended:
        yield warning(
            "session.cell-not-ended",
            "the kernel ended while a cell ran: what it had done until then is in the lock",
            cell=matched.index_of.get(own[-1].n),
        )
    cut = {matched.index_of.get(e["n"], -1) for e in events if e.get("event") == "output-cut"}
    for index in sorted(cut - {-1}):
        yield warning("session.outputs-cut", f"cell {index} put out more than is kept", cell=index)
    turns = [e["event"] for e in events if e.get("event") in ("start", "end")]
    if mode == "live" and turns[-1:] == ["end"]:
        yield warning(
            "session.recording-ended",
            "the recording ended before the lock was taken: what ran after it is not known",
            hint="load it again with %load_ext reprolock, and capture with %reprolock capture",
        )
    snapshot = next((e for e in reversed(events) if e.get("event") == "snapshot"), {})
    if at_work := _at_work(snapshot):
        yield warning(
            "session.still-running",
            f"still at work when the lock was taken: {at_work}",
            subject=at_work,
            hint="wait until it has ended, and capture again",
        )
    if snapshot.get("lost"):
        yield warning(
            "recorder.journal-incomplete",
            f"{snapshot['lost']} events could not be written to the journal: is the disk full?",
        )


def _unsaved_outputs(cells: Sequence[int]) -> Iterable[Finding]:
    if cells:
        names = ", ".join(str(cell) for cell in cells)
        yield warning(
            "session.outputs-unsaved",
            f"the saved notebook has no outputs of what ran in cell{'s' if cells[1:] else ''} "
            f"{names}: there is nothing to hold those of a re-run against",
            subject=names,
            cell=cells[0],
            hint="save the notebook, and capture again",
        )


def _from_source(matched: Matched, events: Sequence[Event]) -> Iterable[Finding]:
    """Tell of files that may be outputs, and that the source alone makes inputs."""
    told = [e for e in events if e.get("via") == "source"]
    overwritten = {e["path"] for e in told if e.get("op") == "write"}
    for event in told:
        if event.get("young") and event["path"] not in overwritten:
            name = Path(event["path"]).name
            yield warning(
                "data.role-from-source",
                f"{name} is younger than the kernel, and no call in the source writes it: "
                "it is taken for an input, as it is now",
                subject=name,
                cell=matched.index_of.get(event["n"]),
                hint="put %load_ext reprolock into the first cell, and capture again",
            )


def _at_work(snapshot: Event) -> str:
    found = [
        f"{kind} {name}"
        for kind, key in (("thread", "threads"), ("task", "tasks"), ("process", "processes"))
        for name in snapshot.get(key) or ()
    ]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
