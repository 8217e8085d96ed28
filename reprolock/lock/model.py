"""What a lock holds once it is read, and the digest over its content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_json
from reprolock.errors import LockError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    from reprolock.facts import Record
    from reprolock.finding import Finding
    from reprolock.lock.policy import Policy

FORMAT = 1
# What a person may edit or what tells no two runs apart: left out of the digest.
_OUTSIDE = ("digest", "created", "policy")


@dataclass(frozen=True)
class Lock:
    """A lock as read. *digest* is the one written in it, *actual* the one that its content has;
    *sha256* is of the file's bytes. *created*: when it was written, where it says so.
    """

    path: Path
    sha256: str
    record: Record
    policy: Policy
    digest: str
    actual: str
    captured: tuple[Finding, ...] = ()
    created: dt.datetime | None = None

    @property
    def intact(self) -> bool:
        return self.digest == self.actual

    def require_intact(self, path: Path) -> None:
        """Raise LockError, naming *path*, where the lock was changed after it was written."""
        if not self.intact:
            raise LockError(
                f"{path} was changed after it was written: its digest does not hold",
                hint="capture the notebook again",
            )


def content_digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of *document* as canonical JSON but for time, policy and digest."""
    tool = document.get("tool", {})
    ours = {k: v for k, v in tool.get("reprolock", {}).items() if k not in _OUTSIDE}
    return "sha256:" + sha256_json({**document, "tool": {**tool, "reprolock": ours}})
