"""Starts the recorder in the kernel that this code runs in, for ``%load_ext reprolock``."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
from pathlib import Path

from reprolock.files import cache_dir
from reprolock.kernel.carry import RecorderConfig, start_code

_KEPT = 30 * 24 * 3600.0  # seconds that the journal of a session is kept
_PROGRAM = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
if {root!r} not in sys.path:
    sys.path.append({root!r})
from reprolock.cli import main
sys.exit(main())
"""


def start() -> Path:
    """Start the recorder here and return its journal.

    Raises OSError where no journal can be written anywhere.
    """
    journal = _new_journal()
    config = RecorderConfig(journal, Path.cwd(), command=command())
    exec(start_code(config), {})  # noqa: S102  the same statement that is sent to other kernels
    return journal


def command() -> tuple[str, ...]:
    """Return what starts this very reprolock in a process of its own.

    The notebook's folder is kept off its path: a ``random.py`` there would be imported.
    """
    root = str(Path(__file__).resolve().parents[2])
    return (sys.executable, "-c", _PROGRAM.format(root=root))


def journals_folder() -> Path:
    """Return where living kernels keep their journals."""
    return cache_dir() / "live"


def _new_journal() -> Path:
    name = f"{os.getpid()}-{time.time_ns() // 1_000_000}.jsonl"
    problem: OSError | None = None
    for folder in (journals_folder(), _temporary()):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not _is_ours(folder):
                continue
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb", buffering=0) as file:
                file.write(b"\n")  # on a full disk there is room for a name, and for nothing else
        except OSError as exc:
            problem = exc
            continue
        _forget_old(folder)
        return folder / name
    raise problem or OSError("no folder for a journal")


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"reprolock-{os.getuid()}"


def folders() -> tuple[Path, ...]:
    """Return all places where the journal of a living kernel may lie."""
    return tuple(folder for folder in (journals_folder(), _temporary()) if _is_ours(folder))


def _is_ours(folder: Path) -> bool:
    """Say whether nobody else can put files there: a folder for temporary files is everybody's."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    mode = stat.S_IMODE(status.st_mode)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not mode & 0o022


def _forget_old(folder: Path) -> None:
    limit = time.time() - _KEPT
    for path in folder.glob("*.jsonl"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < limit:
                path.unlink()
