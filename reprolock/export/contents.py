"""What of a run can be packed beside its lock: notebook, reference, data by role."""

from __future__ import annotations

import posixpath
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from reprolock import notebooks
from reprolock.digest import sha256_file
from reprolock.errors import ExportError, NotebookError
from reprolock.export.manifest import is_sound
from reprolock.facts import data, system
from reprolock.finding import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reprolock.export.model import Subject

_ROOT = "run"
_UP = 2
_SHOWN = 20


@dataclass(frozen=True)
class Member:
    """One file to pack. *place* in the archive; *size* in bytes; *file*: what the lock says of it,
    where it is data.
    """

    place: str
    role: str
    path: Path
    sha256: str
    size: int
    file: data.DataFile | None = None


def of_the_run(subject: Subject) -> tuple[list[Member], list[Finding]]:
    """Return lock, notebook, reference and data, and what is told of data that is left out.

    Raises ExportError where a file is not there, or not as it was captured, that a run needs.
    """
    facts = subject.locked.record[data.Data]
    base = _base(file.name for file in facts.files)
    members = [_plain(subject.locked.path, "lock", base), *_notebooks(subject, base)]
    taken = {member.place for member in members}
    findings: list[Finding] = []
    lost: list[str] = []
    for file in facts.files:
        found = _packed(subject, file, base)
        if isinstance(found, Member):
            if found.place not in taken:  # a notebook can read itself
                taken.add(found.place)
                members.append(found)
        elif file.role != data.INPUT or file.fetched or file.installer or _elsewhere(file):
            findings.append(_left_out(file, found))
        else:
            lost.append(f"{file.name}: {found}")
    if lost:
        raise _cannot_pack(lost)
    return members, findings


def _base(names: Iterable[str]) -> str:
    """Return the place of the notebook's folder, below which all that it reaches for fits."""
    near = (name for name in names if not name.startswith((data.PLATFORM, "external/")))
    climbs = [PurePosixPath(name).parts.count("..") for name in near]
    return "/".join([_ROOT, *["in"] * min(_UP, max(climbs, default=0))])


def place_of(name: str, base: str) -> str:
    """Return where in the archive the file of that *name* belongs."""
    if name.startswith(data.PLATFORM):
        return "platform" + name[len(data.PLATFORM) :]
    return posixpath.normpath(f"{base}/{name}")


def _plain(path: Path, role: str, base: str) -> Member:
    try:
        return Member(f"{base}/{path.name}", role, path, sha256_file(path), path.stat().st_size)
    except OSError as exc:
        raise ExportError(
            f"cannot read {path}", causes=(exc.strerror or str(exc),), hint="put the file back"
        ) from exc


def _notebooks(subject: Subject, base: str) -> list[Member]:
    """Return notebook and reference, which must be those that were captured."""
    facts = subject.notebook
    source = _beside(subject, facts.path)
    reference = source if facts.reference == facts.path else _beside(subject, facts.reference)
    try:
        cells = notebooks.load(source).node.cells
        outputs = notebooks.load(reference).node.cells
    except NotebookError as exc:
        raise ExportError(exc.message, causes=exc.causes, hint=exc.hint) from exc
    members = [_plain(source, "notebook", base)]
    if reference != source:
        members.append(_plain(reference, "reference", base))
    same_file = reference == source or members[-1].sha256 == facts.reference_sha256
    if notebooks.source_digest(cells) != facts.source_sha256:
        raise _changed(source)
    digests = [notebooks.outputs_digest(cell.get("outputs", ())) for cell in outputs]
    if not same_file or digests != [cell.outputs_sha256 for cell in facts.cells]:
        raise _changed(reference)
    return members


def _beside(subject: Subject, name: str | None) -> Path:
    if name is None or not is_sound(name) or "/" in name:
        raise ExportError(
            f"the lock names {name!r}: wanted a file in the lock's own folder",
            hint="capture the notebook again",
        )
    return subject.folder / name


def _changed(path: Path) -> ExportError:
    return ExportError(
        f"{path} is not the one that was captured any more",
        hint="put the captured one back, or capture again",
    )


def _packed(subject: Subject, file: data.DataFile, base: str) -> Member | str:
    """Return the file as it is packed, or why it is not."""
    place = place_of(file.name, base)
    path = places(subject).path(file.name)
    if path is None or not is_sound(place) or not place.startswith((f"{_ROOT}/", "platform/")):
        return "it lies where a bundle has no place for it"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "it is no regular file"
        if status.st_size > subject.max_size:
            return f"it has {status.st_size:,} bytes, more than --max-size allows"
        digest = sha256_file(path)
    except OSError as exc:
        return exc.strerror or str(exc)
    if file.sha256 is not None and not file.overwritten and digest != file.sha256:
        return "it is not the file that was captured"
    return Member(place, file.role, path, digest, status.st_size, file)


def places(subject: Subject) -> data.Places:
    maps = {prefix: (folder,) for prefix, folder in subject.maps.items()}
    platform = subject.locked.record[system.System].platform
    return data.Places(subject.folder, platform, maps)


def _elsewhere(file: data.DataFile) -> bool:
    """Verify does not look for it either: it says that it could not be checked."""
    return file.name.startswith("external/") or file.sha256 is None


def _left_out(file: data.DataFile, why: str) -> Finding:
    return warning(
        "export.data-left-out",
        f"{file.name} ({file.role}) is not in the export: {why}",
        subject=file.name,
        cell=file.cell,
        hint="its digest is in the lock; hand it over beside the export where it is needed",
    )


def _cannot_pack(lost: list[str]) -> ExportError:
    more = [f"and {len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else []
    count = (
        "1 file that the notebook reads"
        if len(lost) == 1
        else (f"{len(lost)} files that the notebook reads")
    )
    return ExportError(
        f"{count} cannot be packed",
        causes=(*lost[:_SHOWN], *more),
        hint="put the captured files back in their places; --max-size MIB lets larger ones in, "
        "--map PREFIX=FOLDER says where those of a platform lie here",
    )


def inputs_beside(subject: Subject) -> tuple[list[str], tuple[Finding, ...]]:
    """Return the inputs in the notebook's folder by name, and what is told of all others."""
    inputs = subject.locked.record[data.Data].by_role(data.INPUT)
    wanted = [file for file in inputs if not (file.fetched or file.installer)]
    near = [f.name for f in wanted if f.platform_path is None and is_sound(f.name)]
    names = [name for name in near if not name.startswith("external/")]
    rest = (file for file in wanted if file.name not in names)
    why = "it lies outside of the lock's folder, which is all that an image is built from"
    return names, tuple(_left_out(file, why) for file in rest)
