"""The notebook itself: its cells, in which order they ran and what they gave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock import notebooks
from reprolock.digest import sha256_text
from reprolock.facts.reading import may, need, tables, without_none
from reprolock.finding import Finding, error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WHERE = "tool.reprolock.notebook"
# Where an absolute path may begin, and where it or one of its folders may end.
_PATH = re.compile(r"(?<![\w.-])(?:/|[A-Za-z]:\\)(?=\w)")
_PATH_END = re.compile(r"[^\w.-]|\.(?!\w)")
_LONGEST = 512  # characters of a path that are looked at


@dataclass(frozen=True)
class Cell:
    """One cell. *ran* is its place in the order of execution from 0, None where it did not run;
    *raised* the name of the exception that it ended with; *ours* that it only calls reprolock.
    """

    index: int
    kind: str
    source_sha256: str
    id: str | None = None
    outputs_sha256: str | None = None
    ran: int | None = None
    raised: str | None = None
    ours: bool = False


@dataclass(frozen=True)
class Notebook:
    """*path* and *reference* are relative to the lock's folder. *folder_sha256*: of the path of the
    folder in which the notebook ran, where its outputs name that folder.
    """

    path: str
    source_sha256: str
    reference: str | None
    reference_sha256: str | None
    cells: tuple[Cell, ...]
    folder_sha256: str | None = None

    def cell_id(self, index: int | None) -> str | None:
        known = index is not None and 0 <= index < len(self.cells)
        return self.cells[index].id if known and index is not None else None


def parse(
    path: str,
    cells: list[Mapping[str, Any]],
    ran: Mapping[int, int],
    raised: Mapping[int, str],
    reference: str | None = None,
    reference_sha256: str | None = None,
    folder: str | None = None,
) -> Notebook:
    """Return the facts of a notebook that ran in *folder*. *ran* and *raised* are by cell index."""
    facts = tuple(
        Cell(
            index=index,
            kind=cell["cell_type"],
            source_sha256=sha256_text(cell["source"]),
            id=cell.get("id"),
            outputs_sha256=notebooks.outputs_digest(cell.get("outputs", ())),
            ran=ran.get(index),
            raised=raised.get(index),
            ours=notebooks.is_code(cell) and notebooks.only_reprolock(cell),
        )
        for index, cell in enumerate(cells)
    )
    named = folder is not None and any(folder in text for text in _texts(cells))
    return Notebook(
        path,
        notebooks.source_digest(cells),
        reference,
        reference_sha256,
        facts,
        sha256_text(folder) if folder and named else None,
    )


def folder_in(facts: Notebook, cells: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the folder of the recorded run, which the outputs of its *cells* name."""
    if facts.folder_sha256 is None:
        return None
    tried = set()
    for text in _texts(cells):
        for start in _PATH.finditer(text):
            path = text[start.start() : start.start() + _LONGEST].partition("\n")[0]
            ends = [m.start() for m in _PATH_END.finditer(path, 1)]
            for name in (path[:end] for end in (*ends, len(path))):
                if name not in tried and sha256_text(name) == facts.folder_sha256:
                    return name
                tried.add(name)
    return None


def _texts(cells: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield all text in the outputs of *cells*."""
    left = [cell.get("outputs") for cell in cells]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, (list, tuple)):
            left.extend(value)


def to_toml(facts: Notebook) -> dict[str, Any]:
    return without_none(
        {
            "path": facts.path,
            "source-sha256": facts.source_sha256,
            "reference": facts.reference,
            "reference-sha256": facts.reference_sha256,
            "folder-sha256": facts.folder_sha256,
            "cells": [
                without_none(
                    {
                        "index": cell.index,
                        "id": cell.id,
                        "type": cell.kind,
                        "source-sha256": cell.source_sha256,
                        "outputs-sha256": cell.outputs_sha256,
                        "ran": cell.ran,
                        "raised": cell.raised,
                        "ours": cell.ours or None,
                    }
                )
                for cell in facts.cells
            ],
        }
    )


def from_toml(table: dict[str, Any]) -> Notebook:
    cells = tuple(
        Cell(
            index=need(entry, "index", int, f"{_WHERE}.cells"),
            kind=need(entry, "type", str, f"{_WHERE}.cells"),
            source_sha256=need(entry, "source-sha256", str, f"{_WHERE}.cells"),
            id=may(entry, "id", str, f"{_WHERE}.cells"),
            outputs_sha256=may(entry, "outputs-sha256", str, f"{_WHERE}.cells"),
            ran=may(entry, "ran", int, f"{_WHERE}.cells"),
            raised=may(entry, "raised", str, f"{_WHERE}.cells"),
            ours=may(entry, "ours", bool, f"{_WHERE}.cells") or False,
        )
        for entry in tables(table, "cells", _WHERE)
    )
    return Notebook(
        path=need(table, "path", str, _WHERE),
        source_sha256=need(table, "source-sha256", str, _WHERE),
        reference=may(table, "reference", str, _WHERE),
        reference_sha256=may(table, "reference-sha256", str, _WHERE),
        folder_sha256=may(table, "folder-sha256", str, _WHERE),
        cells=cells,
    )


def compare(expected: Notebook, observed: Notebook) -> tuple[Finding, ...]:
    """Return a finding per code cell whose source is not the locked one.

    Cells at the end that only call reprolock may come and go: they compute nothing.
    """
    if expected.source_sha256 == observed.source_sha256:
        return ()
    old, new = _computing(expected), _computing(observed)
    if len(old) != len(new):
        return (_count_changed(old, new),)
    return tuple(
        error(
            "notebook.source-changed",
            f"cell {after.index}: its source is not the one that was captured",
            subject=observed.path,
            cell=after.index,
            cell_id=after.id,
            expected=f"sha256:{before.source_sha256}",
            observed=f"sha256:{after.source_sha256}",
            hint="capture the notebook again if the change is meant",
        )
        for before, after in zip(old, new, strict=True)
        if before.source_sha256 != after.source_sha256
    )


def _computing(facts: Notebook) -> list[Cell]:
    cells = [cell for cell in facts.cells if cell.kind == "code"]
    while cells and cells[-1].ours:
        cells.pop()
    return cells


def _count_changed(old: list[Cell], new: list[Cell]) -> Finding:
    known = {cell.source_sha256 for cell in old}
    first = next((cell for cell in new if cell.source_sha256 not in known), None)
    return error(
        "notebook.cells-changed",
        f"the notebook has {len(new)} code cells; {len(old)} were captured",
        subject="cells",
        cell=first.index if first else None,
        expected=len(old),
        observed=len(new),
        hint="capture the notebook again if the change is meant",
    )
