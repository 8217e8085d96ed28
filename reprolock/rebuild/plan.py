"""What a rebuild installs: every package with exactly one place to fetch it from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import tomlkit
from packaging.utils import canonicalize_name

from reprolock.errors import RebuildError
from reprolock.facts.packages import (
    ITSELF,
    LockedPackage,
    Packages,
    SdistFile,
    UnresolvedPackage,
    VcsSource,
    WheelFile,
    to_pylock,
)
from reprolock.facts.packages.index import IndexFile, Source, find_by_hash, local_path
from reprolock.finding import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_SHOWN = 30


@dataclass(frozen=True)
class Plan:
    """*packages* to install, sorted by name; *omitted* names were allowed to be missing; *cached*
    are names of which only uv's cache has the file; *substitutions*: what is not as locked, as JSON
    objects.
    """

    packages: tuple[LockedPackage, ...]
    omitted: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    cached: tuple[str, ...] = ()
    substitutions: tuple[dict[str, str], ...] = ()

    @property
    def built(self) -> tuple[str, ...]:
        return tuple(package.name for package in self.packages if package.built)

    @property
    def wheels(self) -> tuple[str, ...]:
        return tuple(package.name for package in self.packages if not package.built)

    @property
    def pins(self) -> list[list[Any]]:
        """What the environment's content follows from, and no address of any file."""
        return [_pin(package) for package in self.packages]

    @property
    def is_local(self) -> bool:
        """Whether all that is installed lies on this machine."""
        return all(
            not isinstance(p.source, VcsSource) and local_path(p.source.url) is not None
            for p in self.packages
        )

    @property
    def download_bytes(self) -> int:
        """The sizes of the files that are to be had, where they are known."""
        return sum(getattr(package.source, "size", None) or 0 for package in self.packages)


def _pin(package: LockedPackage) -> list[Any]:
    source = package.source
    if isinstance(source, VcsSource):
        place = [source.type, source.url, source.commit_id, source.subdirectory]
        return [package.name, package.version, *place]
    return [package.name, package.version, source.sha256, package.files]


def make_plan(
    packages: Packages,
    allow_missing: Sequence[str],
    sources: Callable[[], tuple[Source, ...]],
    at_hand: Mapping[str, Path] = MappingProxyType({}),
) -> Plan:
    """Return the plan for *packages*. *sources* is asked only for files that lie in local folders.
    Files *at_hand*, by SHA-256, are taken from there.

    Raises RebuildError naming all packages that cannot be had and are not in *allow_missing*.
    """
    allowed = {canonicalize_name(name) for name in allow_missing}
    wanted = [package for package in packages.packages if package.name not in allowed]
    lost: list[UnresolvedPackage] = []
    omitted = sorted(package.name for package in packages.packages if package.name in allowed)
    for package in packages.unresolved:
        if package.name == ITSELF:
            continue
        if package.name in allowed:
            omitted.append(package.name)
        elif (found := _local(package, sources, at_hand)) is not None:
            wanted.append(found)
        else:
            lost.append(package)
    if lost:
        raise _cannot_be_had(lost)
    findings = tuple(_left_out(name) for name in sorted(omitted))
    placed = (_placed(package, at_hand) for package in wanted)
    return Plan(tuple(sorted(placed, key=lambda p: p.name)), tuple(sorted(omitted)), findings)


def _placed(package: LockedPackage, at_hand: Mapping[str, Path]) -> LockedPackage:
    """Return *package* with the address of its file at hand; its SHA-256 stays that of the lock."""
    source = package.source
    if isinstance(source, VcsSource) or source.sha256 not in at_hand:
        return package
    return replace(package, source=replace(source, url=at_hand[source.sha256].as_uri()))


def _local(
    package: UnresolvedPackage,
    sources: Callable[[], tuple[Source, ...]],
    at_hand: Mapping[str, Path],
) -> LockedPackage | None:
    if package.filename is None or package.sha256 is None:
        return None
    if package.sha256 in at_hand:
        path = at_hand[package.sha256]
        file: IndexFile | None = IndexFile(package.filename, path.as_uri(), path=path)
    else:
        file = find_by_hash(sources(), package.name, package.filename, package.sha256)
    if file is None:
        return None
    kind = WheelFile if file.filename.endswith(".whl") else SdistFile
    source = kind(file.filename, file.url, package.sha256, file.size)
    return LockedPackage(
        package.name, package.version, source, "record", package.installer, package.files
    )


def _left_out(name: str) -> Finding:
    return warning(
        "packages.left-out",
        f"{name} is not in the rebuilt environment, as it was allowed to be missing",
        subject=name,
    )


def _cannot_be_had(lost: Sequence[UnresolvedPackage]) -> RebuildError:
    lines = [_line(package) for package in lost[:_SHOWN]]
    if len(lost) > _SHOWN:
        lines.append(f"and {len(lost) - _SHOWN} more")
    count = "1 package of the lock" if len(lost) == 1 else f"{len(lost)} packages of the lock"
    names = " ".join(f"--leave-out {package.name}" for package in lost[:3])
    return RebuildError(
        f"{count} cannot be fetched from anywhere",
        causes=tuple(lines),
        hint="put files that are named into a --find-links folder of pip's configuration, or leave "
        f"out what the notebook does not need: {names}{' ...' if len(lost) > 3 else ''}",  # noqa: PLR2004
    )


def _line(package: UnresolvedPackage) -> str:
    file = ""
    if package.filename:
        sha256 = f", sha256 {package.sha256}" if package.sha256 else ""
        file = f" ({package.filename}{sha256})"
    return f"{package.name} {package.version}: {package.why}{file}"


def write_lock(packages: Sequence[LockedPackage], path: Path) -> Path:
    """Write the pylock file that is handed to the installer, and return its path."""
    document = {
        "lock-version": "1.0",
        "created-by": "reprolock",
        "packages": to_pylock(Packages(tuple(packages))),
    }
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return path
