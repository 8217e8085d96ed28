"""Reading and writing a lock with many packages."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from reprolock.facts import Record
from reprolock.facts.packages import Packages
from reprolock.facts.packages.model import LockedPackage, WheelFile
from reprolock.lock.read import read
from reprolock.lock.write import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def time_lock(lock: Path, *, packages: int) -> tuple[float, float]:
    """Return the seconds to read and to write a lock of that many *packages*, the best of three.

    The record is that of the captured *lock*, its packages repeated under invented names.
    """
    record = _grown(read(lock).record, packages)
    big = lock.with_name("pylock.big.toml")
    created = dt.datetime.now(dt.timezone.utc)
    written = min(_seconds(lambda: write(record, big, created=created, beside={})) for _ in "123")
    back = read(big)
    if len(back.record[Packages].packages) != packages or not back.intact:
        raise RuntimeError(f"wanted {packages} packages back, found another lock in {big}")
    return min(_seconds(lambda: read(big)) for _ in "123"), written


def _grown(record: Record, count: int) -> Record:
    known = [p for p in record[Packages].packages if isinstance(p.source, WheelFile)]
    grown = (_invented(known[n % len(known)], n) for n in range(count))
    return Record({**record.facts, Packages: replace(record[Packages], packages=tuple(grown))})


def _invented(package: LockedPackage, number: int) -> LockedPackage:
    """Give *package* another name, in the wheel's file name and address too, as PEP 751 asks."""
    old = package.source
    if not isinstance(old, WheelFile):
        raise TypeError(f"wanted a wheel, found {old}")
    filename = f"invented_{number:04}-" + old.filename.split("-", 1)[1]
    source = replace(old, filename=filename, url=f"{old.url.rpartition('/')[0]}/{filename}")
    return replace(package, name=f"invented-{number:04}", source=source)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
