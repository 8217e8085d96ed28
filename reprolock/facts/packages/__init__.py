"""Packages: what is installed, the very file each came from, and how two environments differ.

``collect`` makes the facts from the journal; ``to_pylock``, ``to_toml`` and ``from_lock`` carry
them into a lock and back; ``compare`` is pure. ``read_folder`` and ``check_all`` look at an
environment from outside.
"""

from __future__ import annotations

from reprolock.facts.packages.differences import compare
from reprolock.facts.packages.gather import collect
from reprolock.facts.packages.hashing import FileProblem, check_all, check_files
from reprolock.facts.packages.installed import Installed, read_all, read_folder
from reprolock.facts.packages.lockform import from_lock, from_toml, to_pylock, to_toml
from reprolock.facts.packages.model import (
    ITSELF,
    REASONS,
    ArchiveSource,
    LockedPackage,
    Packages,
    SdistFile,
    Spare,
    UnresolvedPackage,
    VcsSource,
    WheelFile,
)
from reprolock.facts.packages.pipview import compare_pip_view, keep_pip_view, pip_view
from reprolock.facts.packages.unowned import added

__all__ = [
    "ITSELF",
    "REASONS",
    "ArchiveSource",
    "FileProblem",
    "Installed",
    "LockedPackage",
    "Packages",
    "SdistFile",
    "Spare",
    "UnresolvedPackage",
    "VcsSource",
    "WheelFile",
    "added",
    "check_all",
    "check_files",
    "collect",
    "compare",
    "compare_pip_view",
    "from_lock",
    "from_toml",
    "keep_pip_view",
    "pip_view",
    "read_all",
    "read_folder",
    "to_pylock",
    "to_toml",
]
