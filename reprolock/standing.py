"""What stands already where a capture would write: only what a capture wrote is replaced."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_bytes
from reprolock.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

_OURS = "[tool.reprolock"  # stands in a lock that no longer parses, as after a merge


@dataclass(frozen=True)
class Standing:
    """The lock that stands at a place. *ours*: a capture wrote it; *notebook*, *reference* and
    *reference_sha256* are what it says, None where it does not.
    """

    there: bool = False
    ours: bool = False
    notebook: str | None = None
    reference: str | None = None
    reference_sha256: str | None = None

    def wrote(self, path: Path) -> bool:
        """Say whether *path*, in the lock's folder, holds the very bytes that the lock names."""
        if not self.ours or self.reference_sha256 is None:
            return False
        try:
            return sha256_bytes(path.read_bytes()) == self.reference_sha256
        except OSError:
            return False


def at(lock: Path) -> Standing:
    """Return what stands at *lock*. Locks of every format are known; an empty file is nothing."""
    try:
        data = lock.read_bytes()
    except OSError:
        return Standing()  # a folder in its place is told where the lock is written
    if not data.strip():
        return Standing()
    text = data.decode("utf-8", "replace")
    try:
        ours = tomllib.loads(text).get("tool", {}).get("reprolock")
        facts = ours.get("notebook", {}) if isinstance(ours, dict) else None
    except (ValueError, RecursionError, AttributeError):
        return Standing(there=True, ours=_OURS in text)
    if facts is None:
        return Standing(there=True)
    return Standing(
        True, True, *(_text(facts, key) for key in ("path", "reference", "reference-sha256"))
    )


def _text(table: Any, key: str) -> str | None:
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, str) else None


def check(lock: Path, notebook: Path, reference: Path | None) -> Standing:
    """Return what stands at *lock*, where it may be replaced by the lock of *notebook*.

    *reference*: the file that is to be written beside it. Raises UsageError for a file that is
    somebody else's.
    """
    standing = at(lock)
    if standing.there and not standing.ours:
        raise _refusal(lock, "is a lock that reprolock did not write")
    if standing.notebook is not None and standing.notebook != notebook.name:
        raise _refusal(lock, f"is the lock of another notebook, {standing.notebook}")
    if reference is not None and reference != notebook and reference.is_file():
        named = standing.reference == reference.name and standing.wrote(reference)
        if not named:
            raise _refusal(reference, "is not what the last capture wrote there")
    return standing


def _refusal(path: Path, what: str) -> UsageError:
    return UsageError(
        f"{path} {what}, and was not replaced",
        hint="rename it or move it away, or give the lock another name: "
        "--output pylock.OTHER.toml, with the reference OTHER.reference.ipynb",
    )
