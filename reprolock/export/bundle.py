"""A bundle: one file with which ``verify`` needs no network.

A zip archive: ``manifest.json``, then ``packages/`` with the locked files under their own names,
``platform/`` with data that lay in a platform's folders, and ``run/`` with lock, notebook,
reference and data as they lay to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from reprolock.errors import ExportError
from reprolock.export import archive, manifest
from reprolock.export.carried import not_carried
from reprolock.export.contents import Member, of_the_run
from reprolock.export.fetch import Fetcher, Wanted
from reprolock.facts.packages import SdistFile, VcsSource, WheelFile
from reprolock.finding import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reprolock.export.model import Subject
    from reprolock.facts.packages import LockedPackage, UnresolvedPackage


class Bundle:
    name = "bundle"
    mark = b'"created-by": "reprolock"'

    def filename(self, subject: Subject) -> str:
        return f"{subject.stem}.reprolock.zip"

    def write(self, subject: Subject, file: BinaryIO) -> tuple[Finding, ...]:
        members, left_out = of_the_run(subject)
        wanted, missing = _files_of(subject)
        fetcher = Fetcher(subject.at_hand, subject.offline)
        found = fetcher.all_of(wanted, lambda n: subject.say("fetch", n, len(wanted)))
        members += [_member(one, found[one.sha256]) for one in wanted]
        entries = [manifest.Entry(m.place, m.role, m.sha256, m.size) for m in members]
        head = (manifest.NAME, manifest.dumps(_once(entries)))
        archive.write(file, head, members, lambda n: subject.say("pack", n, len(members)))
        return (*left_out, *missing, *_to_be_built(subject))


def _files_of(subject: Subject) -> tuple[list[Wanted], list[Finding]]:
    """Return the files to put in, and what is told of packages that have none."""
    found = subject.packages
    pairs: list[tuple[LockedPackage | UnresolvedPackage, Wanted | None]] = [
        *((package, _of_locked(package)) for package in found.packages),
        *((package, _of_unresolved(package)) for package in found.unresolved),
    ]
    wanted = {file.sha256: _sound(file) for _, file in pairs if file is not None}
    return list(wanted.values()), [_without_file(p) for p, file in pairs if file is None]


def _of_locked(package: LockedPackage) -> Wanted | None:
    source = package.source
    if isinstance(source, VcsSource):
        return None
    if isinstance(source, (WheelFile, SdistFile)):
        filename = source.filename
    else:
        filename = unquote(urlsplit(source.url).path.rpartition("/")[2])
    return Wanted(package.name, package.version, filename, source.sha256, source.url, source.size)


def _of_unresolved(package: UnresolvedPackage) -> Wanted | None:
    """Return the file that lay on a disk; of what was altered, it is not what was installed."""
    if package.filename is None or package.sha256 is None or package.differs:
        return None
    return Wanted(package.name, package.version, package.filename, package.sha256)


def _sound(file: Wanted) -> Wanted:
    if not manifest.is_sound(file.filename) or "/" in file.filename:
        raise ExportError(
            f"{file.name}: wanted the name of a file, found {file.filename!r}",
            hint="capture the notebook again",
        )
    return file


def _member(file: Wanted, path: Path) -> Member:
    is_wheel = file.filename.endswith(".whl")
    # Names of source archives need not tell one from another: many are called main.zip.
    name = file.filename if is_wheel else f"{file.sha256[:16]}-{file.filename}"
    role = manifest.WHEEL if is_wheel else manifest.SDIST
    return Member(f"packages/{name}", role, path, file.sha256, path.stat().st_size)


def _once(entries: Iterable[manifest.Entry]) -> list[manifest.Entry]:
    """Return the entries. Raises ExportError for two of one path: the lock names them so."""
    found: dict[str, manifest.Entry] = {}
    for entry in entries:
        if entry.path in found:
            raise ExportError(
                f"the lock has two files that would both be {entry.path} in the bundle",
                hint="capture the notebook again",
            )
        found[entry.path] = entry
    return list(found.values())


def _without_file(package: LockedPackage | UnresolvedPackage) -> Finding:
    why = getattr(package, "why", "it comes from a repository, which a bundle cannot hold")
    return not_carried(
        package,
        why,
        f"the bundle verifies only with `--leave-out {package.name}`; install it from a wheel and "
        "capture again to have it in",
    )


def _to_be_built(subject: Subject) -> list[Finding]:
    return [
        warning(
            "export.needs-build",
            f"{package.name} {package.version} is in the bundle as its source, and what it takes "
            "to build it is not",
            subject=package.name,
            hint="without a network it is built only where its build requirements are at hand",
        )
        for package in subject.packages.packages
        if package.built and not isinstance(package.source, VcsSource)
    ]
