"""Where an export goes, and what it may write over."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reprolock.errors import ReprolockError, UsageError
from reprolock.export.contents import places
from reprolock.facts import data

if TYPE_CHECKING:
    from pathlib import Path

    from reprolock.export.model import Format, Subject

_HEAD = 16 << 20


def target_of(
    subject: Subject, wanted: Format, lock: Path, output: Path | None, *, force: bool
) -> Path:
    """Return the path to write, in a folder that is there.

    An earlier export of that format is written over, and any other file only with *force*; never
    what belongs to the *lock*. Raises UsageError.
    """
    target = _path(wanted.filename(subject), lock, output)
    if any(_same(target, one) for one in _own(lock, subject)):
        raise UsageError(
            f"--output: {target} is what is exported, or belongs to it", hint="name another file"
        )
    if os.path.lexists(target):
        _require_ours(target, wanted, force=force)
    _make_folder(target.parent)
    return target


def _path(filename: str, lock: Path, output: Path | None) -> Path:
    if output is None:
        return lock.absolute().parent / filename
    target = output.absolute()
    if target.is_dir():
        return target / filename.rpartition("/")[2]
    if not target.parent.is_dir():
        raise UsageError(
            f"--output: there is no folder {target.parent}", hint="make it, or name another"
        )
    return target


def _require_ours(target: Path, wanted: Format, *, force: bool) -> None:
    if not target.is_file():  # a device would be replaced by a file
        raise UsageError(f"{target} is no regular file", hint="name another with --output")
    if not force and wanted.mark not in _head(target):
        raise UsageError(
            f"{target} is there, and no earlier export to {wanted.name}",
            hint="name another with --output; --force writes over it",
        )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ReprolockError(
            f"cannot make the folder {folder}",
            causes=(exc.strerror or str(exc),),
            hint="name another place with --output",
        ) from exc


def _own(lock: Path, subject: Subject) -> list[Path]:
    names = [subject.notebook.path, subject.notebook.reference or subject.notebook.path]
    found = [places(subject).path(f.name) for f in subject.locked.record[data.Data].files]
    return [lock, *(subject.folder / name for name in names), *filter(None, found)]


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
