"""Which package of the system or of conda a file outside of the environment belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reprolock.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_SECONDS = 20


@dataclass(frozen=True, order=True)
class Owner:
    """A package that is not Python's. *kind*: ``apt`` or ``conda``."""

    kind: str
    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


def owners(paths: Iterable[Path]) -> dict[Path, Owner]:
    """Return the owner of each of *paths* that has one: asked of dpkg, and of ``conda-meta``."""
    found = {}
    left = []
    for path in paths:
        owner = _of_conda(path)
        if owner is None:
            left.append(path)
        else:
            found[path] = owner
    return {**found, **_of_dpkg(left)}


def _of_conda(path: Path) -> Owner | None:
    prefix = next((p for p in path.parents if (p / "conda-meta").is_dir()), None)
    if prefix is None:
        return None
    wanted = path.relative_to(prefix).as_posix()
    places = sorted((prefix / "conda-meta").glob("*.json"))
    return next((owner for place in places if (owner := _if_it_has(place, wanted))), None)


def _if_it_has(place: Path, wanted: str) -> Owner | None:
    try:
        package = json.loads(place.read_bytes())
        if wanted in package["files"]:
            return Owner("conda", str(package["name"]), str(package["version"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _of_dpkg(paths: Iterable[Path]) -> dict[Path, Owner]:
    """Ask dpkg-query(1), which prints ``PACKAGE[:ARCH][, ...]: PATH`` for each path it knows.

    Where /lib is a link to /usr/lib, a file is listed below the one and mapped below the other.
    """
    asked = {name: path for path in paths for name in (_merged(path), str(path))}
    if not asked:
        return {}
    done = run(["dpkg-query", "--search", *sorted(asked)], timeout=_SECONDS)
    names = {}
    for line in done.out.splitlines():
        owner, mark, name = line.partition(": ")
        if mark and name in asked:
            names[asked[name]] = owner.split(",")[0].strip()
    versions = _versions(sorted(set(names.values())))
    return {
        path: Owner("apt", n.partition(":")[0], versions.get(n, "")) for path, n in names.items()
    }


def _merged(path: Path) -> str:
    name = str(path)
    return name.removeprefix("/usr") if name.startswith("/usr/lib") else f"/usr{name}"


def _versions(names: list[str]) -> Mapping[str, str]:
    if not names:
        return {}
    form = "${binary:Package}\t${Package}\t${Version}\n"
    done = run(["dpkg-query", "--show", f"--showformat={form}", *names], timeout=_SECONDS)
    rows = [line.split("\t") for line in done.out.splitlines()]
    return {name: row[2] for row in rows if len(row) == 3 for name in row[:2]}  # noqa: PLR2004
