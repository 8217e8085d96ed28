"""Where each file of a lock can be had today, asked without fetching one of them.

In this order: at hand (a bundle), at the address in the lock, on an index that this machine is set
to or that the version's local label names, in uv's cache; and, where the wheel is gone, the source
archive of its release. The name and SHA-256 of the lock are the measure each time.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reprolock.facts.packages import (
    LockedPackage,
    SdistFile,
    Spare,
    VcsSource,
    WheelFile,
)
from reprolock.facts.packages.index import (
    THREADS,
    Client,
    IndexFile,
    Source,
    SourceError,
    all_by_hash,
    finish,
    local_path,
)
from reprolock.facts.packages.known import for_version
from reprolock.rebuild import uv
from reprolock.rebuild.plan import write_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_OK = (200, 206)
_PROCESSES = 4

AT_HAND = "at hand"
ADDRESS = "address"
INDEX = "index"
CACHE = "cache"
SOURCE = "source archive"
REPOSITORY = "repository"  # of which nothing is asked: that would fetch it
NOWHERE = "nowhere"


@dataclass(frozen=True)
class Whereabouts:
    """*package* as it can be had: with the address, and the file, of the place. *why* says what
    was wrong with the places before; *yanked*: the index asks not to use the release.
    """

    package: LockedPackage
    place: str
    why: str | None = None
    yanked: bool = False

    @property
    def filename(self) -> str:
        source = self.package.source
        return getattr(source, "filename", None) or source.url.rpartition("/")[2]


@dataclass(frozen=True)
class Search:
    """*python*: for which uv's cache is asked; None asks it nothing. *offline*: ask no server.
    *may_ask*: whether the host of an address may be asked.
    """

    sources: tuple[Source, ...]
    client: Client
    at_hand: Mapping[str, Path]
    python: Path | None = None
    offline: bool = False
    may_ask: Callable[[str], bool] = lambda _url: True

    def find(
        self, packages: Sequence[LockedPackage], progress: Callable[[int], None]
    ) -> tuple[Whereabouts, ...]:
        """Find all of *packages*, several at once; *progress* is told how many are done."""
        found = []
        with ThreadPoolExecutor(THREADS) as pool:
            for done, one in enumerate(pool.map(self._find, packages), 1):
                found.append(one)
                progress(done)
        lost = [p for p, one in zip(packages, found, strict=True) if one.place in (NOWHERE, SOURCE)]
        cached = self._cached(lost)
        return tuple(
            Whereabouts(package, CACHE, one.why) if package.name in cached else one
            for package, one in zip(packages, found, strict=True)
        )

    def _find(self, package: LockedPackage) -> Whereabouts:
        source = package.source
        if isinstance(source, VcsSource):
            return Whereabouts(package, REPOSITORY)
        if (path := self.at_hand.get(source.sha256)) is not None:
            return Whereabouts(_at(package, path.as_uri()), AT_HAND)
        if self.offline:
            return Whereabouts(package, NOWHERE, "there was to be no network")
        why = self._missing(source.url, source.size)
        listed = self._listed(package, package.source)
        yanked = any(file.yanked for file in listed)
        if why is None:
            return Whereabouts(package, ADDRESS, yanked=yanked)
        if (file := self._reached(listed, source.url)) is not None:
            return Whereabouts(_at(package, file.url), INDEX, why, yanked)
        return self._as_source(package, why)

    def _missing(self, url: str, size: int | None = None) -> str | None:
        """Say why there is no file of *size* bytes at *url*; None where there is one."""
        path = local_path(url)
        if path is not None:
            return None if path.is_file() else "the file is gone"
        if not self.may_ask(url):
            return "its host is not allowed"
        try:
            answer = self.client.get(url, {"Range": "bytes=0-0", "Accept-Encoding": "identity"})
        except SourceError as exc:
            return str(exc)
        finish(answer)
        if answer.status not in _OK:
            return f"the server answered {answer.status}"
        told = answer.headers.get("content-range", "").rpartition("/")[2]
        if size is not None and told.isdigit() and int(told) != size:
            return f"the server has {told} bytes there, and {size} were locked"
        return None

    def _listed(self, package: LockedPackage, file: object) -> list[IndexFile]:
        """Return what the indexes list under the name and SHA-256 of *file*."""
        if not isinstance(file, (WheelFile, SdistFile, Spare)):
            return []
        sources = (*self.sources, *for_version(package.version, self.client))
        return list(all_by_hash(sources, package.name, file.filename, file.sha256))

    def _reached(self, files: Sequence[IndexFile], known: str = "") -> IndexFile | None:
        """Return the first that is there. At *known*, an address, there is nothing."""
        return next((f for f in files if f.url != known and self._missing(f.url) is None), None)

    def _as_source(self, package: LockedPackage, why: str) -> Whereabouts:
        spare = package.spare
        file = None if spare is None else self._reached(self._listed(package, spare))
        if spare is None or file is None:
            return Whereabouts(package, NOWHERE, why)
        sdist = SdistFile(spare.filename, file.url, spare.sha256, file.size)
        return Whereabouts(replace(package, source=sdist, spare=None), SOURCE, why, file.yanked)

    def _cached(self, packages: Sequence[LockedPackage]) -> set[str]:
        """Return the names of those that uv's cache holds: all at once, or else one by one."""
        if not packages or self.python is None or uv.uv_binary() is None:
            return set()
        if self._installs(packages):
            return {package.name for package in packages}
        if len(packages) == 1:
            return set()
        with ThreadPoolExecutor(_PROCESSES) as pool:
            one_by_one = pool.map(lambda package: self._installs((package,)), packages)
            return {p.name for p, there in zip(packages, one_by_one, strict=True) if there}

    def _installs(self, packages: Sequence[LockedPackage]) -> bool:
        binary = uv.uv_binary()
        if binary is None or self.python is None:
            return False
        with tempfile.TemporaryDirectory(prefix="reprolock-cached-") as name:
            folder = Path(name)
            lock = write_lock(packages, folder / "pylock.cached.toml")
            return uv.install_cached(binary, self.python, lock, folder / "there").ok


def _at(package: LockedPackage, url: str) -> LockedPackage:
    return replace(package, source=replace(package.source, url=url))
