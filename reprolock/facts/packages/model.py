"""What a lock says about installed distributions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A re-run needs no reprolock in its environment: the recorder is carried in, and stands in for it.
ITSELF = "reprolock"

#: Of addresses that a lock may name. Others are of this machine alone, or make git run commands.
FILE_SCHEMES = ("https", "http")
REPOSITORY_SCHEMES = (*FILE_SCHEMES, "ssh", "git", "svn", "svn+ssh", "svn+https", "bzr+ssh")

#: Why a distribution has no file that a rebuild could fetch. The key stands in the lock.
REASONS = {
    "editable": "installed in editable mode from a folder",
    "directory": "installed from a folder",
    "local-vcs": "installed from a repository on the capturing machine",
    "local-file": "installed from a file that no reachable index serves",
    "no-hash": "installed from an address whose file could not be proved to be the same",
    "conda": "installed by conda",
    "dpkg": "installed by the system's package manager",
    "no-record": "has no list of its files (RECORD), so nothing can be proved",
    "not-on-index": "no index has this release",
    "altered": "its list of files (RECORD) is not the one that was published",
    "no-match": "no file of this release on the index matches what is installed",
    "sdist-build": "built from source on the capturing machine; the index has no such wheel",
    "unreachable": "no index could be reached",
    "offline": "not looked up, because there was to be no network",
    "not-identified": "not looked up",
}


@dataclass(frozen=True)
class WheelFile:
    """A wheel on an index. *size* in bytes; *upload_time* in RFC 3339, UTC."""

    filename: str
    url: str
    sha256: str
    size: int | None = None
    upload_time: str | None = None


@dataclass(frozen=True)
class SdistFile:
    """A source archive on an index: what it builds to is not pinned."""

    filename: str
    url: str
    sha256: str
    size: int | None = None
    upload_time: str | None = None


@dataclass(frozen=True)
class ArchiveSource:
    """A file at an address that was given by hand (``name @ url``)."""

    url: str
    sha256: str
    size: int | None = None
    subdirectory: str | None = None

    @property
    def is_wheel(self) -> bool:
        return self.url.split("#", 1)[0].split("?", 1)[0].endswith(".whl")


@dataclass(frozen=True)
class VcsSource:
    """A commit of a repository. *type* is ``git``, ``hg``, ``bzr`` or ``svn``."""

    type: str
    url: str
    commit_id: str
    requested_revision: str | None = None
    subdirectory: str | None = None


@dataclass(frozen=True)
class Spare:
    """The source archive of a wheel's release, to be looked for when the wheel is gone."""

    filename: str
    sha256: str


Source = WheelFile | SdistFile | ArchiveSource | VcsSource


@dataclass(frozen=True)
class LockedPackage:
    """A distribution whose origin is known.

    *evidence*: ``record`` (the wheel's own RECORD equals the installed one), ``record-alone`` (and
    that of no other wheel of the release does), ``direct-url`` (the installer wrote down address
    and hash, or the commit), ``sdist-only`` (the release has nothing but this source archive) or
    ``sdist-build`` (no wheel of the release holds these files, and their tags, or their metadata
    alone, are those of a build). *files*: see ``record.files_digest``. *build*: what built it:
    ``generator`` as its WHEEL says, ``requires`` as the archive's pyproject.toml does, and the
    digest of the Python files that came of it, ``sources``. *spare*: of a wheel only.
    """

    name: str
    version: str
    source: Source
    evidence: str
    installer: str | None = None
    files: str | None = None
    build: Mapping[str, Any] = field(default_factory=dict)
    spare: Spare | None = None

    @property
    def built(self) -> bool:
        """Whether a rebuild has to build it, so that compiled files may differ."""
        if isinstance(self.source, ArchiveSource):
            return not self.source.is_wheel
        return not isinstance(self.source, WheelFile)


@dataclass(frozen=True)
class UnresolvedPackage:
    """A distribution that no index gives back. *reason* is a key of ``REASONS``.

    *filename* and *sha256* name the file where it is known but only lies on some machine's disk, or
    the published one of which the installed one is an altered copy; *differs* are the paths in
    which it is altered. *origin*: see ``origin``; the repository or the other manager's package.
    """

    name: str
    version: str
    reason: str
    installer: str | None = None
    files: str | None = None
    filename: str | None = None
    sha256: str | None = None
    differs: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def why(self) -> str:
        return REASONS.get(self.reason, self.reason)


@dataclass(frozen=True)
class Packages:
    """All installed distributions of an environment, both parts sorted by name."""

    packages: tuple[LockedPackage, ...] = ()
    unresolved: tuple[UnresolvedPackage, ...] = ()

    def get(self, name: str) -> LockedPackage | UnresolvedPackage | None:
        return self.by_name().get(canonicalize_name(name))

    def by_name(self) -> dict[str, LockedPackage | UnresolvedPackage]:
        found: dict[str, LockedPackage | UnresolvedPackage] = {p.name: p for p in self.packages}
        return {**found, **{p.name: p for p in self.unresolved}}
