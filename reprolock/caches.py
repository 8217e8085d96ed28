"""The cache, looked at and cleared: ``reprolock cache list|prune|verify``."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock.files import cache_dir
from reprolock.finding import Finding, error, note
from reprolock.rebuild.cache import held
from reprolock.rebuild.check import damage
from reprolock.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_DAY = 24 * 3600.0
# What is kept beside the environments; losing any of it costs time and nothing else.
_PARTS = ("identified", "hashed", "data", "live", "journals")


@dataclass(frozen=True)
class Entry:
    """An environment in the cache. *size* in bytes, of files that are linked elsewhere too; *used*
    in seconds since the epoch; *whole*: it was made to its end; *busy*: somebody works on it now.
    """

    key: str
    folder: Path
    size: int
    used: float
    whole: bool
    busy: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "path": str(self.folder),
            "bytes": self.size,
            "used": round(self.used, 3),
            "whole": self.whole,
            "busy": self.busy,
        }


def listed(cache: Path | None = None) -> Result:
    """Say what is in the cache: each environment, and the size of the rest."""
    begun, cache = time.monotonic(), cache or cache_dir()
    found = _entries(cache)
    extra = {
        "cache": str(cache),
        "environments": [entry.to_json() for entry in found],
        "parts": {name: _size(cache / name) for name in _PARTS if (cache / name).is_dir()},
    }
    return Result("cache list", 0, time.monotonic() - begun, extra=extra)


def pruned(older_than: float | None, cache: Path | None = None) -> Result:
    """Remove environments that were not used for *older_than* days, all with None, and what
    interrupted rebuilds left. What somebody works on stays.
    """
    begun, cache = time.monotonic(), cache or cache_dir()
    limit = time.time() - older_than * _DAY if older_than is not None else float("inf")
    removed, freed = [], 0
    for entry in _entries(cache):
        if not entry.busy and (not entry.whole or entry.used < limit) and _remove(cache, entry):
            removed.append(entry.key)
            freed += entry.size
    freed += _sweep(cache)
    told = (
        note(
            "cache.pruned",
            f"{len(removed)} environments were removed, {freed / 1e6:,.0f} MB",
            observed=removed,
        ),
    )
    extra = {"cache": str(cache), "removed": removed, "bytes": freed}
    return Result("cache prune", 0, time.monotonic() - begun, findings=told, extra=extra)


def verified(say: Callable[[str, int, int], None], cache: Path | None = None) -> Result:
    """Hash every file of every environment against its RECORD, whatever was checked before."""
    begun, cache = time.monotonic(), cache or cache_dir()
    found = [entry for entry in _entries(cache) if entry.whole]
    findings: list[Finding] = []
    for count, entry in enumerate(found):
        say("environment", count, len(found))
        findings += _problems(entry)
    say("environment", len(found), len(found))
    extra = {"cache": str(cache), "environments": [entry.to_json() for entry in found]}
    return Result(
        "cache verify",
        int(bool(findings)),
        time.monotonic() - begun,
        findings=tuple(findings),
        extra=extra,
    )


def _problems(entry: Entry) -> Iterable[Finding]:
    wrong = damage(entry.folder / "venv")
    if wrong:
        yield error(
            "cache.damaged",
            f"the environment {entry.key[:12]} is not as it was made: {'; '.join(wrong[:5])}",
            subject=entry.key,
            hint="`reprolock cache prune --all` removes it; the next verify makes it anew",
        )


def _entries(cache: Path) -> list[Entry]:
    folder = cache / "environments"
    if not folder.is_dir():
        return []
    return [
        _entry(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".")
    ]


def _entry(path: Path) -> Entry:
    mark = path / "complete.json"
    try:
        used, whole = mark.stat().st_mtime, (path / "venv" / "bin" / "python").exists()
    except OSError:
        used, whole = path.stat().st_mtime, False
    with held(path) as free:
        return Entry(path.name, path, _size(path), used, whole, busy=not free)


def _size(path: Path) -> int:
    total = 0
    for file in path.rglob("*"):
        with contextlib.suppress(OSError):
            total += file.lstat().st_size if not file.is_dir() or file.is_symlink() else 0
    return total


def _remove(cache: Path, entry: Entry) -> bool:
    """Remove it where nobody came to hold it in the meantime."""
    with held(entry.folder) as free:
        if not free:
            return False
        aside = cache / "environments" / f".removed-{uuid.uuid4().hex}"
        try:
            entry.folder.rename(aside)
        except OSError:
            return False
        shutil.rmtree(aside, ignore_errors=True)
    return True


def _sweep(cache: Path) -> int:
    """Remove what removals left that were interrupted; return its size."""
    freed = 0
    folder = cache / "environments"
    for path in folder.glob(".removed-*") if folder.is_dir() else ():
        freed += _size(path)
        shutil.rmtree(path, ignore_errors=True)
    return freed
