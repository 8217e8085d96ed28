"""What of a bundle its lock names: all else in it has no business there.

A module beside the notebook would be imported in the place of a locked one.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from reprolock.errors import UnsafeBundleError
from reprolock.export import manifest
from reprolock.export.contents import place_of
from reprolock.facts import data, notebook, packages
from reprolock.facts.packages import VcsSource

if TYPE_CHECKING:
    from reprolock.export.manifest import Entry
    from reprolock.lock import Lock


def require_named(entries: tuple[Entry, ...], locked: Lock) -> None:
    """Raise UnsafeBundleError for a member that the lock does not name."""
    base = next(str(PurePosixPath(e.path).parent) for e in entries if e.role == manifest.LOCK)
    places, digests = _places(locked, base), _digests(locked)
    for entry in entries:
        if entry.role == manifest.LOCK:
            continue
        if entry.role in (manifest.WHEEL, manifest.SDIST):
            known = entry.path.startswith("packages/") and entry.sha256 in digests
        else:
            known = entry.path in places
        if not known:
            raise UnsafeBundleError(
                f"the bundle holds {entry.path}, which its lock does not name",
                hint="do not use it; ask for the bundle again from where it came",
            )


def _places(locked: Lock, base: str) -> set[str]:
    own = locked.record[notebook.Notebook]
    names = [own.path, own.reference, *(f.name for f in locked.record[data.Data].files)]
    return {place_of(name, base) for name in names if name is not None}


def _digests(locked: Lock) -> set[str]:
    found = locked.record[packages.Packages]
    sources = (package.source for package in found.packages)
    files = {source.sha256 for source in sources if not isinstance(source, VcsSource)}
    return files | {p.sha256 for p in found.unresolved if p.sha256 is not None}
