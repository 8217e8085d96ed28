"""RECORD files: reading them, and the rule by which two of them are the same.

Format: "Recording installed projects" and "Binary distribution format" of the PyPA
specifications (PEP 376, PEP 427, PEP 627).
"""

from __future__ import annotations

import csv
import hashlib
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Written by installers, so they say how a distribution came here and not what it is.
_BY_INSTALLERS = frozenset(
    {
        "RECORD",
        "RECORD.jws",
        "RECORD.p7s",
        "INSTALLER",
        "REQUESTED",
        "direct_url.json",
        "provenance_url.json",
        "uv_cache.json",
        "uv_build.json",
    }
)
_DATA = re.compile(r"[^/]+\.data/(purelib|platlib|data|scripts|headers)/(.+)\Z")
_HEADERS = re.compile(r"include/(?:site/)?python\d[^/]*/[^/]+/(.+)\Z")
_LIBRARY = re.compile(r"lib(?:64)?/python[^/]*/(?:site|dist)-packages/(.+)\Z")
SCRIPTS = "{scripts}/"


@dataclass(frozen=True)
class RecordLine:
    """One line: *path* as written, *hash* as ``algorithm=base64url`` or empty, *size* in bytes."""

    path: str
    hash: str
    size: int | None


def parse(text: str) -> tuple[RecordLine, ...]:
    """Read a RECORD. Lines that are no CSV or have no path are left out."""
    lines = []
    for row in _rows(text):
        size = row[2] if len(row) > 2 else ""  # noqa: PLR2004 - path, hash, size
        lines.append(
            RecordLine(
                row[0],
                row[1].strip() if len(row) > 1 else "",
                int(size) if size.isascii() and size.isdigit() else None,
            )
        )
    return tuple(lines)


def _rows(text: str) -> Iterable[list[str]]:
    reader = csv.reader(text.replace("\0", "").splitlines())
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            continue
        if row is None:
            return
        if row and row[0].strip():
            yield row


def installed_path(path: str) -> str:
    """Return where *path* of an installed RECORD lies, said the same way on every machine.

    Files beside the package keep their path. Those that the wheel keeps in ``.data`` become
    ``{scripts}/...``, ``{headers}/...`` or ``{data}/...``, whatever the environment's depth.
    """
    path = posixpath.normpath(path.replace("\\", "/"))
    if path.startswith("/") or re.match(r"[A-Za-z]:/", path):
        return "{outside}/" + posixpath.basename(path)
    if not path.startswith("../"):
        return path
    while path.startswith("../"):
        path = path[3:]
    return _beside_library(path)


def wheel_path(path: str) -> str:
    """Return where *path* of a wheel's RECORD comes to lie, as ``installed_path`` says it."""
    path = posixpath.normpath(path.replace("\\", "/"))
    found = _DATA.match(path)
    if not found:
        return path
    kind, rest = found.groups()
    if kind in ("purelib", "platlib"):
        return rest
    return _beside_library(rest) if kind == "data" else f"{{{kind}}}/{rest}"


def _beside_library(path: str) -> str:
    if library := _LIBRARY.match(path):
        return library[1]
    if headers := _HEADERS.match(path):
        return "{headers}/" + headers[1]
    first, _, rest = path.partition("/")
    return SCRIPTS + rest if rest and first in ("bin", "Scripts") else "{data}/" + path


def is_ignored(path: str) -> bool:
    """Whether *path* (as made by ``installed_path``) says nothing about the distribution."""
    if path.endswith((".pyc", ".pyo")):
        return True
    folder, _, name = path.rpartition("/")
    return name in _BY_INSTALLERS and folder.endswith(".dist-info")


def files_digest(lines: Iterable[RecordLine], is_rewritten: Callable[[str], bool]) -> str:
    """Return one SHA-256 that stands for all files of an installed distribution.

    It is taken over the sorted lines ``PATH,HASH`` and a newline each, of every line of the
    RECORD but those that ``is_ignored`` names and the scripts that an installer writes or
    rewrites (*is_rewritten*, asked with the path as written): their first line names the
    environment, so it is never the same twice. PATH is that of ``installed_path``.
    """
    kept = sorted(
        f"{path},{line.hash}\n"
        for line in lines
        if not is_ignored(path := installed_path(line.path))
        and not (path.startswith(SCRIPTS) and is_rewritten(line.path))
    )
    return hashlib.sha256("".join(kept).encode("utf-8", "surrogatepass")).hexdigest()


def differences(
    installed: Mapping[str, str], wheel: Mapping[str, str], rewritten: frozenset[str]
) -> tuple[str, ...]:
    """Return the paths that are not in both *installed* and *wheel* with the same hash.

    Both map a path to its hash. *rewritten* are the installed scripts that begin with ``#!``: entry
    points are in no wheel, and other scripts get a new first line.
    """
    ours = {p: h for p, h in installed.items() if not is_ignored(p) and p not in rewritten}
    theirs = {p: h for p, h in wheel.items() if not is_ignored(p) and p not in rewritten}
    other = {p for p in ours.keys() & theirs.keys() if theirs[p] and theirs[p] != ours[p]}
    return tuple(sorted(other | (ours.keys() ^ theirs.keys())))


def matches(
    installed: Mapping[str, str], wheel: Mapping[str, str], rewritten: frozenset[str]
) -> bool:
    """Whether the files *installed* are those of *wheel*; see ``differences``."""
    return not differences(installed, wheel, rewritten)
