"""The list of a bundle's members: what each is, how large, and its SHA-256."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from reprolock.errors import BundleError, UnsafeBundleError

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "manifest.json"
VERSION = 1
#: Roles of files that a rebuild installs from.
WHEEL, SDIST = "wheel", "sdist"
LOCK = "lock"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_LONGEST = 1024
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Entry:
    """One member: *path* in the bundle; *role* as in the lock, or ``lock``, ``notebook``,
    ``reference``, ``wheel`` and ``sdist``; *size* in bytes.
    """

    path: str
    role: str
    sha256: str
    size: int


def is_sound(path: str) -> bool:
    """Say whether *path* is relative, in its plainest form, and stays where it is unpacked."""
    parts = PurePosixPath(path).parts
    return (
        0 < len(path) <= _LONGEST
        and path.isprintable()
        and "\\" not in path
        and not path.startswith("/")
        and not _DRIVE.match(path)
        and ".." not in parts
        and PurePosixPath(path).as_posix() == path != "."
    )


def dumps(entries: Iterable[Entry]) -> bytes:
    """Return the manifest's bytes, the same for the same *entries*."""
    content = {
        "format": VERSION,
        "created-by": "reprolock",
        "members": [dict(vars(entry)) for entry in sorted(entries, key=lambda e: e.path)],
    }
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def loads(data: bytes) -> tuple[Entry, ...]:
    """Read a manifest. Raises BundleError naming what is wrong, UnsafeBundleError for a path."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise BundleError("the bundle's manifest is no JSON", causes=(str(exc)[:300],)) from exc
    version = content.get("format") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError("the bundle's manifest says no format")
    if version > VERSION:
        raise BundleError(
            f"the bundle has format {version}; this reprolock reads up to {VERSION}",
            hint="upgrade reprolock",
        )
    listed = content.get("members")
    if not isinstance(listed, list):
        raise BundleError("the bundle's manifest lists no members")
    return tuple(_entry(value) for value in listed)


def _entry(value: Any) -> Entry:
    fields = value if isinstance(value, dict) else {}
    path, role, sha256, size = (fields.get(k) for k in ("path", "role", "sha256", "size"))
    if not (
        isinstance(path, str)
        and isinstance(role, str)
        and isinstance(sha256, str)
        and _SHA256.match(sha256)
        and isinstance(size, int)
        and not isinstance(size, bool)
        and size >= 0
    ):
        raise BundleError(
            "the bundle's manifest: wanted path, role, sha256 and size of each member, "
            f"found {str(value)[:200]}"
        )
    if not is_sound(path) or path == NAME:
        raise UnsafeBundleError(
            f"the bundle's manifest names {path!r}: wanted a path that stays within the bundle"
        )
    return Entry(path, role, sha256, size)
