"""Rebuilt environments on disk: ``environments/KEY/venv``, complete with ``complete.json``.

An environment cannot be moved once it is made, so it is made where it stays. What is found
without the mark was left by a rebuild that was interrupted, and is made anew.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from reprolock.errors import RebuildError
from reprolock.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MARK = "complete.json"
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Slot:
    """The place of one environment."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "venv"

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    @property
    def lock_file(self) -> Path:
        """The pylock file that was handed to the installer."""
        return self.folder / "pylock.environment.toml"

    def mark(self) -> dict[str, Any] | None:
        """Return what was noted when the environment was complete, None where it never was."""
        try:
            value = json.loads((self.folder / _MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) and self.python.exists() else None

    def use(self) -> None:
        """Note that the environment was used now: the oldest are pruned first."""
        with contextlib.suppress(OSError):
            (self.folder / _MARK).touch()

    def set_mark(self, value: dict[str, Any]) -> None:
        write_atomic(self.folder / _MARK, json.dumps(value, sort_keys=True).encode())

    def clear(self) -> None:
        """Remove what is there and leave an empty folder."""
        if self.folder.exists():
            with contextlib.suppress(OSError):
                (self.folder / _MARK).unlink()
            # Out of the way first: removing takes long, and may be interrupted.
            aside = self.folder.with_name(f".removed-{uuid.uuid4().hex}")
            self.folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        self.folder.mkdir(parents=True)


@contextmanager
def slot(cache: Path, key: str, waiting: Callable[[], None]) -> Iterator[Slot]:
    """Hold the environment *key* in the folder *cache*; others who want it wait.

    *waiting* is called once where somebody else holds it. Raises RebuildError where the cache
    cannot be written.
    """
    folder = cache / "environments"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder / f"{key}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire(poll_interval=_POLL_SECONDS)
    except OSError as exc:
        raise RebuildError(
            f"cannot write to the cache {folder}",
            causes=(str(exc),),
            hint="set REPROLOCK_CACHE to a folder that can be written",
        ) from exc
    try:
        yield Slot(folder / key)
    finally:
        lock.release()


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the environment at *folder* for a moment; give False where somebody else holds it."""
    lock = FileLock(str(folder.with_name(f"{folder.name}.lock")))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def require_space(folder: Path, wanted: int) -> None:
    """Raise RebuildError where the disk of *folder* has fewer than *wanted* bytes free."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise RebuildError(
            f"the disk is too full to rebuild the environment: wanted about "
            f"{_megabytes(wanted)}, found {_megabytes(free)} free",
            hint="make room, or set REPROLOCK_CACHE to a folder on another disk",
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
