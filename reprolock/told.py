"""What a capture tells of a Record: counts for a person, and the weaknesses of its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reprolock.facts import (
    data,
    installs,
    interpreter,
    metrics,
    notebook,
    packages,
    randomness,
    session,
)
from reprolock.finding import Finding, warning

if TYPE_CHECKING:
    from reprolock.facts import Record


def weaknesses(record: Record) -> tuple[Finding, ...]:
    """Say what a re-run cannot be held against, or may give otherwise."""
    changed = tuple(
        warning(
            "data.changed-during-run",
            f"{file.name} was changed by the run after it was read: "
            "the locked digest is that of the changed file",
            subject=file.name,
            cell=file.cell,
        )
        for file in record[data.Data].files
        if file.overwritten
    )
    lost = tuple(
        warning(
            "data.changed-since-read",
            f"{file.name} was {file.problem}: the lock has no digest of what was read",
            subject=file.name,
            cell=file.cell,
            hint="capture again: until then verify can give no full pass",
        )
        for file in record[data.Data].files
        if file.changed_since_read
    )
    missed = tuple(
        warning("data.may-have-missed", f"files may have been missed: {reason}")
        for reason in record[data.Data].may_have_missed
    )
    return (
        *session.weaknesses(record[session.Session], _errors(record)),
        *randomness.weaknesses(record[randomness.Randomness]),
        *installs.weaknesses(
            record[installs.Installs],
            record[packages.Packages],
            record[interpreter.Interpreter].version,
        ),
        *changed,
        *lost,
        *missed,
    )


def _errors(record: Record) -> dict[int, str]:
    cells = record[notebook.Notebook].cells
    return {cell.index: cell.raised for cell in cells if cell.raised is not None}


def summary(record: Record) -> dict[str, Any]:
    """Return the counts that tell a person what was seen."""
    found, files = record[packages.Packages], record[data.Data]
    streams = record[randomness.Randomness].streams
    return {
        "metrics": {m.name: m.value for m in record[metrics.Metrics].metrics},
        "cells": sum(cell.ran is not None for cell in record[notebook.Notebook].cells),
        "python": record[interpreter.Interpreter].version,
        "packages": len(found.packages),
        "unresolved": len(found.unresolved),
        "inputs": len(files.by_role(data.INPUT)),
        "outputs": len(files.by_role(data.OUTPUT)),
        "seeded": sorted(s.library for s in streams if s.unseeded_in is None),
        "unseeded": sorted(s.library for s in streams if s.unseeded_in is not None),
    }
