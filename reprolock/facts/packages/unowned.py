"""Files among the installed packages that nobody owns, and byte code that hides its source.

A RECORD tells of edited and missing files; what was added beside the packages it cannot tell.
Left out is what installers, interpreters and environments put there by themselves.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reprolock.facts.packages.record import is_ignored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reprolock.facts.packages.installed import Installed

# Put there by virtualenv, uv and setuptools; no RECORD lists them.
_OF_ENVIRONMENTS = frozenset(
    [
        "_virtualenv.py",
        "_virtualenv.pth",
        "__editable__.pth",
        "easy-install.pth",
        "distutils-precedence.pth",
        "README.txt",
    ]
)
_METADATA = (".dist-info", ".egg-info", ".egg-link")
_CACHE = "__pycache__"
_HEADER = 8  # bytes: magic number and flags
_HASH_BASED, _CHECKED = 1, 2


@dataclass(frozen=True)
class Added:
    """What lies in the folder *root* and belongs to nobody.

    *entries* maps the first part of each path to the paths below it, both relative; *bytecode* are
    compiled files that run without their source being looked at (PEP 552, unchecked hashes) or
    that have none.
    """

    root: str
    entries: Mapping[str, tuple[str, ...]]
    bytecode: tuple[str, ...] = ()


def added(dists: Sequence[Installed]) -> tuple[Added, ...]:
    """Look through every folder that *dists* are installed in, but those of other managers.

    *dists* have to be all that lie there.
    """
    owned: dict[str, set[str]] = {}
    for dist in dists:
        paths = owned.setdefault(os.path.realpath(dist.root), set())
        for line in dist.lines or ():
            paths.add(os.path.normpath(line.path))
    return tuple(
        found
        for root, paths in sorted(owned.items())
        if (found := _look(root, paths)).entries or found.bytecode
    )


def _look(root: str, owned: set[str]) -> Added:
    entries: dict[str, list[str]] = {}
    bytecode: list[str] = []
    for path in _files(root):
        if path.endswith(".pyc"):
            if path not in owned and _hides(root, path, owned):
                bytecode.append(path)
        elif path not in owned and not _expected(path):
            entries.setdefault(path.partition(os.sep)[0], []).append(path)
    grouped = {name: tuple(sorted(paths)) for name, paths in sorted(entries.items())}
    return Added(root, grouped, tuple(sorted(bytecode)))


def _files(root: str, below: str = "") -> Iterator[str]:
    """Yield the files below *root*, relative to it. Links to folders are files here."""
    try:
        with os.scandir(os.path.join(root, below)) as listed:
            found = list(listed)
    except OSError:
        return
    for entry in found:
        path = os.path.join(below, entry.name) if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _files(root, path)
        else:
            yield path


def _expected(path: str) -> bool:
    first, slash, _ = path.partition(os.sep)
    if not slash:
        return path in _OF_ENVIRONMENTS or path.endswith(_METADATA)
    # Metadata of a distribution that was read; a folder that is none is told as unreadable.
    return is_ignored(path.replace(os.sep, "/")) or first.endswith(_METADATA)


def _hides(root: str, path: str, owned: set[str]) -> bool:
    """Say whether the compiled file at *path* runs whatever its source says."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) == _CACHE:
        source = os.path.join(os.path.dirname(folder), name.partition(".")[0] + ".py")
        if source not in owned and not os.path.exists(os.path.join(root, source)):
            return False  # Python does not look at it without its source.
        return _is_unchecked(os.path.join(root, path))
    # Beside its place in the cache it is imported where no source stands.
    return not os.path.exists(os.path.join(root, path[:-1]))


def _is_unchecked(path: str) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            header = file.read(_HEADER)
    except OSError:
        return False
    flags = int.from_bytes(header[4:8], "little") if len(header) == _HEADER else 0
    return bool(flags & _HASH_BASED) and not flags & _CHECKED


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def runs_at_start(paths: Iterable[str], root: str) -> bool:
    """Say whether one of *paths* is a ``.pth`` file with a line that Python runs at every start."""
    for path in paths:
        if path.endswith(".pth"):
            text = _text(os.path.join(root, path))
            if any(line.startswith(("import ", "import\t")) for line in text.splitlines()):
                return True
    return False
