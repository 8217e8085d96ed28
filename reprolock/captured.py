"""Which locks were captured by this user on this machine: a foreign one is trusted with less."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reprolock.files import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

    from reprolock.lock import Lock


def remember(digest: str) -> None:
    """Note that a lock of that content *digest* was written here. Never raises OSError."""
    with contextlib.suppress(OSError):
        place = _place(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def is_ours(locked: Lock) -> bool:
    """Say whether the content of *locked* was captured here; an edited one was not."""
    return locked.intact and _place(locked.digest).is_file()


def _place(digest: str) -> Path:
    return cache_dir() / "captured" / digest.removeprefix("sha256:")
