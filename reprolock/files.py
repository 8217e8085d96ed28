"""Files written whole or not at all, and the places where reprolock keeps things."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from reprolock.errors import ReprolockError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def write_atomic(path: Path, data: bytes) -> None:
    """Write *data* to *path*, whole or not at all. See `write_all`."""
    write_all({path: data})


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write several files by temporary ones beside them, renamed once all are on disk.

    Raises ReprolockError where a folder cannot be written or the disk is full; the files that were
    there before are then untouched.
    """
    written: list[tuple[Path, Path]] = []
    try:
        for path, data in contents.items():
            written.append((_temporary(path, data), path))
        for temporary, path in written:
            temporary.replace(path)
    except OSError as exc:
        raise ReprolockError(
            f"cannot write {', '.join(str(path) for path in contents)}",
            causes=(str(exc),),
            hint="make room or check the permissions, then try again",
        ) from exc
    finally:
        for temporary, _ in written:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that becomes *path* where the block ends well, and nothing otherwise.

    Raises ReprolockError where the folder cannot be written or the disk is full.
    """
    temporary: Path | None = None
    try:
        temporary, file = _beside(path)
        with file:
            yield file
            _finish(file, path)
        temporary.replace(path)
    except OSError as exc:
        raise ReprolockError(
            f"cannot write {path}",
            causes=(exc.strerror or str(exc),),
            hint="make room or check the permissions, then try again",
        ) from exc
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _temporary(path: Path, data: bytes) -> Path:
    temporary, file = _beside(path)
    try:
        with file:
            file.write(data)
            _finish(file, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _beside(path: Path) -> tuple[Path, BinaryIO]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    return Path(name), os.fdopen(handle, "w+b")


def _finish(file: BinaryIO, path: Path) -> None:
    """Bring the file to the disk, with the permissions that *path* has or would have."""
    file.flush()
    os.fsync(file.fileno())
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    os.fchmod(file.fileno(), mode)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_dir() -> Path:
    """Return ``$REPROLOCK_CACHE``, else the user's cache folder for reprolock."""
    if chosen := os.environ.get("REPROLOCK_CACHE"):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("reprolock", appauthor=False))


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the file lock at *path*. Raises ReprolockError at once where another does."""
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(path), timeout=0)
        lock.acquire()
    except Timeout as exc:
        raise ReprolockError(
            f"{what} is going on", hint="wait until it ends, then try again"
        ) from exc
    except OSError as exc:
        raise ReprolockError(
            f"cannot use the cache folder {path.parent}",
            causes=(str(exc),),
            hint="set REPROLOCK_CACHE to a folder that can be written",
        ) from exc
    try:
        yield
    finally:
        lock.release()
