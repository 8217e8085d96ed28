"""What of a lock's packages a list of requirements can carry, and what is told of the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reprolock.errors import ExportError
from reprolock.facts.packages import ArchiveSource, VcsSource
from reprolock.finding import Finding, warning

if TYPE_CHECKING:
    from reprolock.export.model import Subject
    from reprolock.facts.packages import LockedPackage, UnresolvedPackage


def address(package: LockedPackage) -> str:
    """Return ``NAME @ ADDRESS`` with the commit or the SHA-256 in it, as pip and uv take it."""
    source = package.source
    if not re.fullmatch(r"[!-~]+", source.url) or "'" in source.url:
        raise ExportError(
            f"{package.name}: wanted an address without spaces or quotes, found {source.url!r}",
            hint="capture the notebook again",
        )
    place = []
    if isinstance(source, (VcsSource, ArchiveSource)) and source.subdirectory:
        place.append(f"subdirectory={source.subdirectory}")
    if isinstance(source, VcsSource):
        found = f"{source.type}+{source.url}@{source.commit_id}"
    else:
        found = source.url.partition("#")[0]
        place.append(f"sha256={source.sha256}")
    return f"{package.name} @ {found}{'#' if place else ''}{'&'.join(place)}"


def not_carried(package: LockedPackage | UnresolvedPackage, why: str, hint: str) -> Finding:
    return warning(
        "export.not-carried",
        f"{package.name} {package.version} is not in the export: {why}",
        subject=package.name,
        hint=hint,
    )


def unresolved(subject: Subject) -> tuple[Finding, ...]:
    """Tell the packages that the lock itself could not pin."""
    return tuple(
        not_carried(
            package,
            package.why,
            "install it by hand where the notebook needs it",
        )
        for package in subject.packages.unresolved
    )
