"""Reading and writing a lock with many packages."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from reprolock.facts import Record
from reprolock.facts.packages import Packages
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
    known = record[Packages].packages
    grown = (replace(known[n % len(known)], name=f"invented-{n:04}") for n in range(count))
    return Record({**record.facts, Packages: replace(record[Packages], packages=tuple(grown))})


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
