"""The very files of a lock's packages, from wherever they can still be had."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from reprolock.digest import sha256_file
from reprolock.errors import ExportError
from reprolock.facts.packages.index import (
    Client,
    IndexFile,
    LinksFolder,
    LocalIndex,
    Source,
    SourceError,
    find_by_hash,
    finish,
    local_path,
)
from reprolock.facts.packages.sources import configured_sources
from reprolock.files import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_THREADS = 8
_CHUNK = 1 << 20
_OK = 200
_SHOWN = 20


@dataclass(frozen=True)
class Wanted:
    """A file of the package *name*. *url*: where the lock says it is, None where it does not."""

    name: str
    version: str
    filename: str
    sha256: str
    url: str | None = None
    size: int | None = None


@dataclass
class Fetcher:
    """*at_hand*: files that lie here, by SHA-256. What is fetched is kept in ``files/SHA256`` of
    the cache.
    """

    at_hand: Mapping[str, Path]
    offline: bool
    folder: Path = field(default_factory=lambda: cache_dir() / "files")
    client: Client = field(default_factory=Client)
    _sources: tuple[Source, ...] | None = None
    _once: threading.Lock = field(default_factory=threading.Lock)

    def all_of(self, wanted: Iterable[Wanted], say: Callable[[int], None]) -> dict[str, Path]:
        """Return the files by SHA-256. Raises ExportError naming all that cannot be had."""
        wanted = list(wanted)
        found: dict[str, Path] = {}
        lost: list[str] = []
        with ThreadPoolExecutor(_THREADS) as pool:
            answers = zip(wanted, pool.map(self._one, wanted), strict=True)
            for count, (file, answer) in enumerate(answers, 1):
                say(count)
                if isinstance(answer, Path):
                    found[file.sha256] = answer
                else:
                    lost.append(f"{file.name} {file.version} ({file.filename}, "
                                f"sha256 {file.sha256}): {'; '.join(answer)}")  # fmt: skip
        if lost:
            raise _gone(lost, offline=self.offline)
        return found

    def _one(self, wanted: Wanted) -> Path | list[str]:
        """Return the file, or the reasons why it cannot be had."""
        for here in (self.at_hand.get(wanted.sha256), self.folder / wanted.sha256):
            if here is not None and _is(here, wanted.sha256):
                return here
        reasons: list[str] = []
        if wanted.url is not None:
            found = self._from(wanted, IndexFile(wanted.filename, wanted.url, size=wanted.size,
                                                 path=local_path(wanted.url)), reasons)  # fmt: skip
            if found is not None:
                return found
        other = find_by_hash(self.sources, wanted.name, wanted.filename, wanted.sha256)
        if other is None:
            return [*reasons, "no index or folder that pip and uv are set to use has this file"]
        return self._from(wanted, other, reasons) or reasons

    def _from(self, wanted: Wanted, file: IndexFile, reasons: list[str]) -> Path | None:
        if file.path is not None:
            if _is(file.path, wanted.sha256):
                return file.path
            reasons.append("the file that was locked is not in its folder any more")
            return None
        if self.offline:
            reasons.append("it was not looked for, because there was to be no network")
            return None
        answer = self._tried(wanted, file.url)
        if isinstance(answer, str):  # once more: connections break
            answer = self._tried(wanted, file.url)
        if isinstance(answer, Path):
            return answer
        reasons.append(answer)
        return None

    def _tried(self, wanted: Wanted, url: str) -> Path | str:
        """Return the file from *url*, or why it cannot be had there."""
        try:
            return self._download(wanted, url)
        except (SourceError, HTTPError) as exc:
            return str(exc)
        except OSError as exc:
            raise ExportError(
                f"cannot write to the cache {self.folder}",
                causes=(exc.strerror or str(exc),),
                hint="make room, or set REPROLOCK_CACHE to a folder on another disk",
            ) from exc

    def _download(self, wanted: Wanted, url: str) -> Path:
        self.client.remember_login(url)
        answer = self.client.get(url, {"Accept-Encoding": "identity"})
        try:
            if answer.status != _OK:
                raise SourceError(f"its address answered {answer.status}")
            return self._keep(wanted, answer.stream(_CHUNK))
        finally:
            finish(answer)

    def _keep(self, wanted: Wanted, pieces: Iterable[bytes]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
                    if wanted.size is not None and file.tell() > wanted.size:
                        break
            if digest.hexdigest() != wanted.sha256:
                raise SourceError(
                    f"its address serves another file, of sha256 {digest.hexdigest()}"
                )
            return Path(name).replace(self.folder / wanted.sha256)
        finally:
            with contextlib.suppress(OSError):
                Path(name).unlink()

    @property
    def sources(self) -> tuple[Source, ...]:
        with self._once:
            if self._sources is None:
                found = configured_sources(client=self.client)
                near = tuple(s for s in found if isinstance(s, (LocalIndex, LinksFolder)))
                self._sources = near if self.offline else found
            return self._sources


def _is(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and sha256_file(path) == sha256
    except OSError:
        return False


def _gone(lost: list[str], *, offline: bool) -> ExportError:
    more = [f"and {len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else []
    count = "1 file" if len(lost) == 1 else f"{len(lost)} files"
    return ExportError(
        f"{count} of the lock's packages cannot be had",
        causes=(*lost[:_SHOWN], *more),
        hint="run it without --offline"
        if offline
        else "name an index that has it in PIP_EXTRA_INDEX_URL, or put the file into a folder and "
        "name that in PIP_FIND_LINKS",
    )
