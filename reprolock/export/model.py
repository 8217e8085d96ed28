"""What a format is, and what it is made from."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import urlsplit

from reprolock.facts import interpreter, notebook, packages
from reprolock.facts.packages.index import without_login

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from reprolock.finding import Finding
    from reprolock.lock import Lock

    Say = Callable[[str, int, int], None]

_NO_TIME = dt.datetime(1980, 1, 1, tzinfo=dt.timezone.utc)
MAX_DATA = 1 << 30


@dataclass(frozen=True)
class Subject:
    """A lock to be exported, and how.

    *at_hand*: files of packages that lie here, by SHA-256. *maps*: prefix of the recorded machine
    -> folder here. *max_size*: bytes of the largest data file to put in. *offline*: ask no index.
    """

    locked: Lock
    say: Say
    at_hand: Mapping[str, Path] = field(default_factory=dict)
    maps: Mapping[str, Path] = field(default_factory=dict)
    max_size: int = MAX_DATA
    offline: bool = False

    @property
    def folder(self) -> Path:
        return self.locked.path.parent

    @property
    def stem(self) -> str:
        """``train`` of ``pylock.train.toml``."""
        return self.locked.path.name.removeprefix("pylock.").removesuffix("toml").rstrip(".") or (
            "notebook"
        )

    @property
    def packages(self) -> packages.Packages:
        """The packages, without the credentials that a lock of another make could hold."""
        found = self.locked.record[packages.Packages]
        return replace(found, packages=tuple(map(_without_login, found.packages)))

    @property
    def interpreter(self) -> interpreter.Interpreter:
        return self.locked.record[interpreter.Interpreter]

    @property
    def notebook(self) -> notebook.Notebook:
        return self.locked.record[notebook.Notebook]

    @property
    def created(self) -> dt.datetime:
        """When the lock was written, in UTC; the beginning of 1980 where it does not say."""
        found = self.locked.created or _NO_TIME
        aware = found if found.tzinfo else found.replace(tzinfo=dt.timezone.utc)
        return aware.astimezone(dt.timezone.utc)


def _without_login(package: packages.LockedPackage) -> packages.LockedPackage:
    url = package.source.url
    parts = urlsplit(url)
    if parts.scheme.endswith("ssh") and parts.password is None:
        return package  # the user of such an address is part of its place
    return replace(package, source=replace(package.source, url=without_login(url)))


class Format(Protocol):
    """One thing that a lock can be turned into. Its name is what ``--to`` takes."""

    @property
    def name(self) -> str: ...

    @property
    def mark(self) -> bytes:
        """What stands near the beginning of each file that it writes, and hardly in another."""
        ...

    def filename(self, subject: Subject) -> str:
        """Return the path of what is written, relative to the lock's folder."""
        ...

    def write(self, subject: Subject, file: BinaryIO) -> tuple[Finding, ...]:
        """Write to *file*, which is empty and can be sought in, and tell what it cannot carry.

        The same subject gives the same bytes. Raises ReprolockError.
        """
        ...
