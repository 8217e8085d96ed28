"""Which package of the system or of conda a file outside of the environment belongs to."""

from __future__ import annotations

import contextlib
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
    found: dict[Path, Owner] = {}
    known: dict[Path, dict[str, Owner]] = {}
    left = []
    for path in paths:
        prefix = next((p for p in path.parents if (p / "conda-meta").is_dir()), None)
        if prefix is None:
            left.append(path)
            continue
        if prefix not in known:
            known[prefix] = _of_conda(prefix)
        owner = known[prefix].get(path.relative_to(prefix).as_posix())
        if owner is not None:
            found[path] = owner
    return {**found, **_of_dpkg(left)}


def _of_conda(prefix: Path) -> dict[str, Owner]:
    """Return the owner of each file below *prefix*, as conda lists them."""
    found: dict[str, Owner] = {}
    for place in sorted((prefix / "conda-meta").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            package = json.loads(place.read_bytes())
            owner = Owner("conda", str(package["name"]), str(package["version"]))
            found.update(dict.fromkeys(package["files"], owner))
    return found


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
