"""The lock: a Record on disk, as valid PEP 751 with all else under ``[tool.reprolock]``."""

from __future__ import annotations

from reprolock.lock.model import Lock
from reprolock.lock.policy import Excuse, Policy
from reprolock.lock.read import read, reference_beside
from reprolock.lock.write import dumps, pylock_packages, write

__all__ = [
    "Excuse",
    "Lock",
    "Policy",
    "dumps",
    "pylock_packages",
    "read",
    "reference_beside",
    "write",
]
