"""Installed files against their RECORD."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reprolock.digest import sha256_text
from reprolock.facts.memo import keep, load
from reprolock.facts.packages import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from reprolock.facts.packages.installed import Installed

_CHUNK = 1 << 20


@dataclass(frozen=True)
class FileProblem:
    """A file that is not as its RECORD says.

    *kind* is ``changed``, ``missing`` or ``overwritten``; the last is a file of *owner*, another
    distribution that ships the same path and was installed later.
    """

    path: str
    kind: str
    owner: str | None = None


def check_files(dist: Installed) -> tuple[FileProblem, ...]:
    """Hash every file of *dist* that its RECORD has a hash for; return those that differ."""
    return _check(_Checked.of(dist))


def check_all(
    dists: Sequence[Installed],
    *,
    memo: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, tuple[FileProblem, ...]]:
    """Run ``check_files`` over *dists* in threads; return the problems by name, where any.

    With *memo* (a folder) a distribution whose files all have the size, times and inode of an
    earlier check that found nothing is not hashed again. A changed file that another distribution
    of *dists* owns with these very bytes is ``overwritten``: no one tampered with it.
    """
    place = None
    if memo is not None:
        place = memo / (sha256_text("\n".join(sorted({str(d.root) for d in dists}))) + ".json")
    known = _known(place)
    states: dict[str, str] = {}
    found: dict[str, tuple[FileProblem, ...]] = {}

    def one(dist: Installed) -> tuple[str, tuple[FileProblem, ...]]:
        checked = _Checked.of(dist)
        return checked.state, () if known.get(dist.name) == checked.state else _check(checked)

    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
        for count, (dist, (state, problems)) in enumerate(
            zip(dists, pool.map(one, dists), strict=True), 1
        ):
            if problems:
                found[dist.name] = problems
            else:
                states[dist.name] = state
            if progress is not None:
                progress(count, len(dists))
    if place is not None and states != known:
        keep(place, states)
    return _explained(found, dists) if found else found


def _known(place: Path | None) -> dict[str, str]:
    value = None if place is None else load(place)
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class _Checked:
    """The lines of a RECORD that can be checked, with what the file system says of each file."""

    dist: Installed
    lines: tuple[record.RecordLine, ...]
    stats: tuple[tuple[int, ...] | None, ...]

    @classmethod
    def of(cls, dist: Installed) -> _Checked:
        lines = tuple(
            line
            for line in dist.lines or ()
            if line.hash and not record.is_ignored(record.installed_path(line.path))
        )
        return cls(dist, lines, tuple(_stat(dist.locate(line.path)) for line in lines))

    @property
    def state(self) -> str:
        return sha256_text(json.dumps([self.dist.record_sha256, str(self.dist.path), self.stats]))


def _check(checked: _Checked) -> tuple[FileProblem, ...]:
    return tuple(
        FileProblem(line.path, kind)
        for line, stat in zip(checked.lines, checked.stats, strict=True)
        if (kind := _problem(checked.dist.locate(line.path), line, stat))
    )


def _explained(
    found: dict[str, tuple[FileProblem, ...]], dists: Sequence[Installed]
) -> dict[str, tuple[FileProblem, ...]]:
    by_name = {dist.name: dist for dist in dists}
    owners: dict[Path, list[tuple[str, record.RecordLine]]] = defaultdict(list)
    for dist in dists:
        for line in dist.lines or ():
            owners[dist.locate(line.path)].append((dist.name, line))
    out = {}
    for name, problems in found.items():
        out[name] = tuple(
            replace(problem, kind="overwritten", owner=owner)
            if problem.kind == "changed"
            and (owner := _owner(by_name[name].locate(problem.path), name, owners))
            else problem
            for problem in problems
        )
    return out


def _owner(
    path: Path, name: str, owners: dict[Path, list[tuple[str, record.RecordLine]]]
) -> str | None:
    stat = _stat(path)
    for other, line in owners[path]:
        if other != name and line.hash and not _problem(path, line, stat):
            return other
    return None


def _stat(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a third quicker, and there are tens of thousands
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _problem(path: Path, line: record.RecordLine, stat: tuple[int, ...] | None) -> str | None:
    if stat is None:
        return "missing"
    if line.size is not None and line.size != stat[0]:
        return "changed"
    algorithm, _, wanted = line.hash.partition("=")
    try:
        found = _hash(path, algorithm)
    except ValueError:
        return None  # an algorithm that this Python has not: nothing can be said
    except OSError:
        return "missing"
    return None if found == wanted.rstrip("=") else "changed"


def _hash(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with path.open("rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def changed(problems: Iterable[FileProblem]) -> tuple[str, ...]:
    """Return the paths that differ for a reason other than another distribution's file."""
    return tuple(p.path for p in problems if p.kind != "overwritten")
