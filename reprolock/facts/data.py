"""The files that a run read and wrote: by name, role, size and SHA-256, never by absolute path."""

from __future__ import annotations

import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_file, sha256_text
from reprolock.facts.reading import may, need, tables, without_none
from reprolock.finding import Finding, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WHERE = "tool.reprolock.data"
_UP = 2  # folders above the notebook's that a relative name may climb
INPUT, OUTPUT = "input", "output"
_READS, _WRITES = ("read",), ("write", "append", "update", "rename")


@dataclass(frozen=True)
class DataFile:
    """One file. *name* is relative to the notebook's folder, or ``external/DIGEST/NAME`` for a file
    far outside of it; *size* in bytes; *cell* the first that touched it; *problem* says why there
    is no digest; *overwritten* that the run itself changed an input after reading it.
    """

    name: str
    role: str
    size: int | None = None
    sha256: str | None = None
    cell: int | None = None
    problem: str | None = None
    overwritten: bool = False


@dataclass(frozen=True)
class Data:
    """*folders*: those that the run made, by name."""

    files: tuple[DataFile, ...] = ()
    folders: tuple[str, ...] = ()
    may_have_missed: tuple[str, ...] = ()

    def by_role(self, role: str) -> tuple[DataFile, ...]:
        return tuple(file for file in self.files if file.role == role)


@dataclass(frozen=True)
class Places:
    """Turns paths of one run into names that mean the same in another."""

    folder: Path

    def name(self, path: str) -> str:
        """Return the name of *path*: relative if near, else a digest and the last part."""
        relative = Path(os.path.relpath(path, self.folder))
        if relative.parts.count(os.pardir) <= _UP:
            return printable(relative.as_posix())
        return f"external/{sha256_text(path)[:12]}/{printable(os.path.basename(path))}"  # noqa: PTH119

    def path(self, name: str) -> Path | None:
        """Return where the file of that *name* lies, None for an external one."""
        if name.startswith("external/"):
            return None
        return Path(os.path.normpath(self.folder / name))


def printable(text: str) -> str:
    r"""Return *text* with bytes that are no UTF-8 written as ``\\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass
class _Seen:
    path: str
    role: str
    cell: int | None
    size: int | None
    mtime_ns: int | None
    written: bool


def parse(
    events: Iterable[Mapping[str, Any]], cell_of: Mapping[int, int], places: Places
) -> tuple[Data, dict[str, str]]:
    """Read the recorder's ``file`` events and hash the files, several at once.

    Returns the facts and, by name, the absolute path of each file, which never enters a lock.
    """
    events = list(events)
    seen = _gather(events, cell_of)
    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        files = list(pool.map(lambda entry: _describe(entry, places), seen))
    kept = {file.name: (file, entry.path) for file, entry in zip(files, seen, strict=True) if file}
    missed = sorted({str(e.get("reason")) for e in events if e.get("event") == "may-have-missed"})
    ordered = tuple(kept[name][0] for name in sorted(kept) if kept[name][0] is not None)
    made = {places.name(str(e["path"])) for e in events if e.get("event") == "folder"}
    folders = tuple(sorted(name for name in made if not name.startswith("external/")))
    return Data(ordered, folders, tuple(missed)), {name: path for name, (_, path) in kept.items()}


def _gather(events: list[Mapping[str, Any]], cell_of: Mapping[int, int]) -> list[_Seen]:
    """Return one entry per path, in the order of first touch."""
    seen: dict[str, _Seen] = {}
    for event in events:
        if event.get("event") != "file":
            continue
        path, op = str(event.get("path")), str(event.get("op"))
        if op == "rename" and event.get("to"):
            _touch(seen, str(event["to"]), OUTPUT, event, cell_of).written = True
        elif op in _WRITES:
            existed = op in ("append", "update") and bool(event.get("existed"))
            entry = _touch(seen, path, INPUT if existed else OUTPUT, event, cell_of)
            entry.written = True
        elif op in _READS:
            _touch(seen, path, INPUT, event, cell_of)
    return list(seen.values())


def _touch(
    seen: dict[str, _Seen],
    path: str,
    role: str,
    event: Mapping[str, Any],
    cell_of: Mapping[int, int],
) -> _Seen:
    if path not in seen:
        cell = cell_of.get(event.get("n", -1))
        seen[path] = _Seen(
            path, role, cell, event.get("size"), event.get("mtime_ns"), written=False
        )
    return seen[path]


def _describe(entry: _Seen, places: Places) -> DataFile | None:
    name = places.name(entry.path)
    try:
        status = os.stat(entry.path)  # noqa: PTH116
    except OSError:
        return _gone(name, entry)
    if not stat.S_ISREG(status.st_mode):
        return None
    if entry.role == OUTPUT and _is_scratch(entry.path, places):
        return None
    try:
        digest = sha256_file(Path(entry.path))
    except OSError as exc:
        return DataFile(
            name, entry.role, status.st_size, None, entry.cell, exc.strerror or str(exc)
        )
    changed = entry.role == INPUT and (
        entry.written
        or (
            entry.mtime_ns is not None
            and (status.st_size, status.st_mtime_ns) != (entry.size, entry.mtime_ns)
        )
    )
    return DataFile(name, entry.role, status.st_size, digest, entry.cell, overwritten=changed)


def _gone(name: str, entry: _Seen) -> DataFile | None:
    """An input that is gone is told; an output that is gone was temporary."""
    if entry.role == OUTPUT:
        return None
    return DataFile(name, INPUT, entry.size, None, entry.cell, "deleted during the run")


def _is_scratch(path: str, places: Places) -> bool:
    inside = Path(path).is_relative_to(places.folder)
    return not inside and Path(path).is_relative_to(tempfile.gettempdir())


def to_toml(facts: Data) -> dict[str, Any]:
    return without_none(
        {
            "may-have-missed": list(facts.may_have_missed) or None,
            "folders": list(facts.folders) or None,
            "files": [
                without_none(
                    {
                        "name": file.name,
                        "role": file.role,
                        "size": file.size,
                        "sha256": file.sha256,
                        "cell": file.cell,
                        "problem": file.problem,
                        "overwritten": file.overwritten or None,
                    }
                )
                for file in facts.files
            ],
        }
    )


def from_toml(table: dict[str, Any]) -> Data:
    where = f"{_WHERE}.files"
    return Data(
        files=tuple(
            DataFile(
                name=need(entry, "name", str, where),
                role=need(entry, "role", str, where),
                size=may(entry, "size", int, where),
                sha256=may(entry, "sha256", str, where),
                cell=may(entry, "cell", int, where),
                problem=may(entry, "problem", str, where),
                overwritten=bool(may(entry, "overwritten", bool, where)),
            )
            for entry in tables(table, "files", _WHERE)
        ),
        folders=tuple(str(name) for name in may(table, "folders", list, _WHERE) or ()),
        may_have_missed=tuple(
            str(text) for text in may(table, "may-have-missed", list, _WHERE) or ()
        ),
    )


def check_inputs(facts: Data, places: Places) -> tuple[Finding, ...]:
    """Hold the locked inputs against what lies on this machine, before anything runs."""
    findings = []
    for file in facts.by_role(INPUT):
        path = places.path(file.name)
        if path is None or file.sha256 is None or file.overwritten:
            findings.append(_unchecked(file, path))
            continue
        try:
            found = sha256_file(path)
        except OSError as exc:
            gone = isinstance(exc, FileNotFoundError)
            findings.append(
                error(
                    "data.missing" if gone else "data.unreadable",
                    f"{file.name} is {'missing' if gone else 'unreadable'}: "
                    f"cell {file.cell} reads it",
                    subject=file.name,
                    cell=file.cell,
                    expected=f"sha256:{file.sha256}",
                    observed=exc.strerror,
                    hint="put the file that was captured back in its place",
                )
            )
            continue
        if found != file.sha256:
            findings.append(changed(file, found))
    return tuple(findings)


def _unchecked(file: DataFile, path: Path | None) -> Finding:
    why = (
        "it lies outside the notebook's folder"
        if path is None
        else (file.problem or "the run itself changed it after reading it")
    )
    return warning(
        "data.not-checked",
        f"{file.name} could not be checked before the run: {why}",
        subject=file.name,
        cell=file.cell,
    )


def changed(file: DataFile, found: str) -> Finding:
    return error(
        "data.content-changed",
        f"{file.name} is not the file that was captured: cell {file.cell} reads it",
        subject=file.name,
        cell=file.cell,
        expected=f"sha256:{file.sha256}",
        observed=f"sha256:{found}",
        hint="put the file that was captured back, or capture again if the change is meant",
    )


def compare(expected: Data, observed: Data) -> tuple[Finding, ...]:
    """Hold the files of a second run against those of the first, by name."""
    new = {file.name: file for file in observed.files}
    findings: list[Finding] = []
    for file in expected.files:
        after = new.pop(file.name, None)
        if after is None:
            findings.append(_untouched(file))
        elif file.overwritten:
            continue  # its content before the run is not known: said before the run
        elif file.sha256 and after.sha256 and file.sha256 != after.sha256:
            findings.append(
                changed(file, after.sha256) if file.role == INPUT else _output(file, after)
            )
    findings += [
        warning(
            "data.new-input",
            f"{file.name} is read by this run and was not by the recorded one",
            subject=file.name,
            cell=file.cell,
        )
        for file in new.values()
        if file.role == INPUT
    ]
    return tuple(findings)


def _untouched(file: DataFile) -> Finding:
    if file.role == INPUT:
        return warning(
            "data.not-touched",
            f"{file.name} was read by the recorded run and not by this one",
            subject=file.name,
            cell=file.cell,
        )
    return error(
        "data.output-missing",
        f"{file.name} was written by the recorded run and not by this one",
        subject=file.name,
        cell=file.cell,
    )


def _output(file: DataFile, after: DataFile) -> Finding:
    return warning(
        "data.output-bytes-differ",
        f"{file.name}, written by cell {file.cell}, has other bytes",
        subject=file.name,
        cell=file.cell,
        expected=f"sha256:{file.sha256}",
        observed=f"sha256:{after.sha256}",
    )
