"""How the recorded run came about: at one go from top to bottom, or in a living session.

In a living session cells run out of order, twice, or are edited and deleted after they ran, and
what they left in memory is in no file. A re-run from top to bottom need not give the same then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock.facts.reading import checked, may, tables, without_none
from reprolock.finding import Finding, note, warning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WHERE = "tool.reprolock.session"
_SHOWN = 8
HEADLESS = "headless"
INTERRUPTED = "KeyboardInterrupt"


@dataclass(frozen=True)
class Deleted:
    """A cell that ran and is not in the notebook. *names* are those it made that still live."""

    source_sha256: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Break:
    """A kernel that ended before the one that was captured. *cells* are those whose last run was
    there; *checkpoints* the files that it wrote and the next kernel read again; *versions* says of
    each package that the captured kernel has in another version which one was there.
    """

    cells: tuple[int, ...]
    how: str
    checkpoints: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """*mode*: ``headless`` (run by reprolock from top to bottom), ``live`` (recorded in a living
    kernel), ``journal`` (from what a kernel left behind) or ``outside`` (looked at from another
    process). Cells are indexes in the notebook; *unknown* counts cells that ran before the
    recording and of which nothing is known. *outputs_unseen*: cells that may have put something
    out, and of which no output is known. *raised*: cells that ended with an error that no tag
    allows, and after which the session went on; *interrupted* those that were stopped by hand.
    *captured_within*: the cell that asked for the lock, where it goes on after that.
    """

    mode: str = HEADLESS
    run_again: tuple[int, ...] = ()
    out_of_order: tuple[int, ...] = ()
    edited: tuple[int, ...] = ()
    not_run: tuple[int, ...] = ()
    before: tuple[int, ...] = ()
    outputs_unseen: tuple[int, ...] = ()
    raised: tuple[int, ...] = ()
    interrupted: tuple[int, ...] = ()
    captured_within: tuple[int, ...] = ()
    unknown: int = 0
    deleted: tuple[Deleted, ...] = ()
    foreign_names: tuple[str, ...] = ()
    breaks: tuple[Break, ...] = ()

    @property
    def is_live(self) -> bool:
        return self.mode != HEADLESS


_CELLS = {
    "run-again": "run_again",
    "out-of-order": "out_of_order",
    "edited": "edited",
    "not-run": "not_run",
    "before": "before",
    "outputs-unseen": "outputs_unseen",
    "raised": "raised",
    "interrupted": "interrupted",
    "captured-within": "captured_within",
}


def to_toml(facts: Session) -> dict[str, Any]:
    return without_none(
        {
            "mode": facts.mode,
            **{key: list(getattr(facts, name)) or None for key, name in _CELLS.items()},
            "unknown": facts.unknown or None,
            "foreign-names": list(facts.foreign_names) or None,
            "deleted": [
                {"source-sha256": cell.source_sha256, "names": list(cell.names)}
                for cell in facts.deleted
            ]
            or None,
            "breaks": [
                without_none(
                    {
                        "how": one.how,
                        "cells": list(one.cells),
                        "checkpoints": list(one.checkpoints),
                        "versions": list(one.versions) or None,
                    }
                )
                for one in facts.breaks
            ]
            or None,
        }
    )


def from_toml(table: dict[str, Any]) -> Session:
    return Session(
        mode=may(table, "mode", str, _WHERE) or HEADLESS,
        unknown=may(table, "unknown", int, _WHERE) or 0,
        foreign_names=_texts(table, "foreign-names"),
        deleted=tuple(
            Deleted(
                checked(entry.get("source-sha256"), str, f"{_WHERE}.deleted.source-sha256"),
                _texts(entry, "names"),
            )
            for entry in tables(table, "deleted", _WHERE)
        ),
        breaks=tuple(
            Break(
                _numbers(entry, "cells"),
                checked(entry.get("how"), str, f"{_WHERE}.breaks.how"),
                _texts(entry, "checkpoints"),
                _texts(entry, "versions"),
            )
            for entry in tables(table, "breaks", _WHERE)
        ),
        **{name: _numbers(table, key) for key, name in _CELLS.items()},
    )


def _texts(table: dict[str, Any], key: str) -> tuple[str, ...]:
    found = may(table, key, list, _WHERE) or []
    return tuple(checked(value, str, f"{_WHERE}.{key}") for value in found)


def _numbers(table: dict[str, Any], key: str) -> tuple[int, ...]:
    found = may(table, key, list, _WHERE) or []
    return tuple(checked(value, int, f"{_WHERE}.{key}") for value in found)


def weaknesses(facts: Session, errors: Mapping[int, str] | None = None) -> tuple[Finding, ...]:
    """Say where the session left the order of the notebook: a clean run may give something else.

    *errors*: the names of the errors that cells ended with, by the cell's index.
    """
    return (*_stopped(facts, errors or {}), *_hidden_state(facts), *_not_seen(facts))


def _stopped(facts: Session, errors: Mapping[int, str]) -> list[Finding]:
    """Tell of cells that did not run to their end, and after which the session went on."""
    found = []
    if facts.raised:
        names = _listed(sorted({errors[cell] for cell in facts.raised if cell in errors}))
        found.append(
            warning(
                "session.cells-raised",
                f"{_named(facts.raised)} ended with {names or 'an error'}, and the session went "
                "on: a clean run of all cells stops there",
                subject=_named(facts.raised),
                cell=min(facts.raised),
                hint="mend it, or tag it raises-exception where the error is meant; then restart "
                "the kernel, run all cells, and capture again",
            )
        )
    if facts.interrupted:
        one = len(facts.interrupted) == 1
        found.append(
            warning(
                "session.cells-interrupted",
                f"{_named(facts.interrupted)} {'was' if one else 'were'} interrupted: what "
                f"{'it' if one else 'they'} left in memory is of an unfinished run, and a clean "
                "run goes on to the end",
                subject=_named(facts.interrupted),
                cell=min(facts.interrupted),
                hint=_RESTART,
            )
        )
    return found


def _hidden_state(facts: Session) -> list[Finding]:
    found = []
    if facts.edited:
        found.append(
            _about(
                "session.cells-edited",
                facts.edited,
                "edited after it ran: what it left in memory came of another source",
                "edited after they ran: what they left in memory came of other sources",
            )
        )
    for cell in facts.deleted:
        names = _listed(cell.names)
        found.append(
            warning(
                "session.cells-deleted",
                "a cell ran that is not in the notebook"
                + (f"; it made {names}, which still lives" if cell.names else ""),
                subject=names or f"sha256:{cell.source_sha256}",
                hint=_RESTART,
            )
        )
    if facts.foreign_names:
        found.append(
            warning(
                "session.foreign-names",
                f"a clean run from top to bottom would not have {_listed(facts.foreign_names)}",
                subject=", ".join(facts.foreign_names[:_SHOWN]),
                hint=_RESTART,
            )
        )
    if facts.out_of_order:
        found.append(
            _about(
                "session.cells-out-of-order",
                facts.out_of_order,
                "run after a cell that stands below it",
                "run after cells that stand below them",
            )
        )
    if facts.run_again:
        found.append(
            _about(
                "session.cells-run-again",
                facts.run_again,
                "run more than once",
                "run more than once",
                say=note,
            )
        )
    return found


def _not_seen(facts: Session) -> list[Finding]:
    found = []
    if facts.before or facts.unknown:
        found.append(_before(facts))
    if unseen := tuple(c for c in facts.outputs_unseen if c not in facts.before):
        found.append(
            _about(
                "session.outputs-unseen",
                unseen,
                "run in a shell that keeps no outputs, so there is nothing to hold them against",
                "run in a shell that keeps no outputs, so there is nothing to hold them against",
            )
        )
    if facts.not_run:
        found.append(
            _about(
                "session.cells-not-run",
                facts.not_run,
                "not run in this session, so there is nothing to hold it against",
                "not run in this session, so there is nothing to hold them against",
            )
        )
    for one in facts.breaks:
        read = f"; read again from {_listed(one.checkpoints)}" if one.checkpoints else ""
        found.append(
            warning(
                "session.joined",
                f"{_named(one.cells)} ran in an earlier kernel, which {one.how}: "
                f"what was in its memory is lost{read}",
                subject=_named(one.cells),
                cell=min(one.cells, default=None),
            )
        )
        if one.versions:
            found.append(
                warning(
                    "session.packages-differ",
                    f"{_named(one.cells)} ran with other versions than the locked ones: "
                    f"{_listed(one.versions)}",
                    subject=_named(one.cells),
                    cell=min(one.cells, default=None),
                    hint="run the notebook in one kernel, and capture again",
                )
            )
    if facts.captured_within:
        found.append(
            warning(
                "session.captured-within-cell",
                f"{_named(facts.captured_within)} goes on after it asked for the lock: what it "
                "did and put out from there on is not in the lock",
                subject=_named(facts.captured_within),
                cell=min(facts.captured_within),
                hint="put the capture into a cell of its own",
            )
        )
    return found


def _before(facts: Session) -> Finding:
    known = _named(facts.before) if facts.before else ""
    more = f"{facts.unknown} cell{'s' if facts.unknown != 1 else ''} of which nothing is known"
    what = " and ".join(part for part in (known, more if facts.unknown else "") if part)
    return warning(
        "session.before-recording",
        f"{what} ran before the recording began: seeds and files are read from the source, "
        "outputs and what native code read are not known",
        subject=what,
        cell=min(facts.before, default=None),
        hint="put %load_ext reprolock into the first cell",
    )


_RESTART = "restart the kernel, run all cells, and capture again"


def _about(code: str, cells: Sequence[int], one: str, many: str, say: Any = warning) -> Finding:
    found: Finding = say(
        code,
        f"{_named(cells)} {'was' if len(cells) == 1 else 'were'} "
        f"{one if len(cells) == 1 else many}",
        subject=_named(cells),
        cell=min(cells),
        hint=_RESTART,
    )
    return found


def _named(cells: Sequence[int]) -> str:
    shown = ", ".join(str(cell) for cell in cells[:_SHOWN])
    more = f" and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else ""
    return f"cell{'s' if len(cells) > 1 else ''} {shown}{more}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def compare(expected: Session, observed: Session) -> tuple[Finding, ...]:
    """Say again what the recorded session left unclean: it may be why a clean run differs."""
    if expected == observed:
        return ()
    return (
        *_stopped(expected, {}),
        *_hidden_state(expected),
        *(f for f in _not_seen(expected) if f.code != _NOT_RUN),
    )


_NOT_RUN = "session.cells-not-run"  # told cell by cell where the runs are held against each other
