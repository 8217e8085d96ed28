"""What can still be had of a lock whose files are gone from where it names them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.tags import compatible_tags, cpython_tags, platform_tags
from packaging.utils import parse_wheel_filename
from packaging.version import InvalidVersion, Version

from reprolock.errors import RebuildError
from reprolock.facts.packages import LockedPackage, WheelFile
from reprolock.facts.packages.index import IndexFile, SourceError
from reprolock.finding import note, warning
from reprolock.rebuild.whereabouts import CACHE, INDEX, NOWHERE, SOURCE, Search, Whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.tags import Tag

    from reprolock.finding import Finding
    from reprolock.rebuild.interpreters import Found
    from reprolock.rebuild.plan import Plan

_SHOWN = 30


def rescued(plan: Plan, search: Search, python: Found, *, substitutes: bool) -> Plan | None:
    """Return *plan* with other places for files that are gone, None where it changes nothing.

    A file is taken by its name and SHA-256, from an index or from uv's cache; else the source
    archive of its release is built; else, only with *substitutes*, the nearest version is taken.
    The last two are substitutions, and named. Raises RebuildError naming all that is nowhere, but
    not where nothing at all can be reached: then the installer's own answer says more.
    """
    found = search.find(plan.packages, lambda _done: None)
    if all(one.place == NOWHERE for one in found):
        return None
    packages, findings, substitutions = [], list(plan.findings), list(plan.substitutions)
    lost = []
    for one in found:
        package = one.package
        if one.place == NOWHERE:
            other = _nearest(one.package, search, python) if substitutes else None
            if other is None:
                lost.append(one)
                continue
            package = other
            findings.append(_another_version(one, other))
            substitutions.append(_substitution(one.package, f"{other.name} {other.version}"))
        elif one.place == SOURCE:
            findings.append(_built(one))
            substitutions.append(_substitution(package, one.filename))
        packages.append(package)
    if lost:
        raise _gone(lost)
    moved = [one for one in found if one.place == INDEX]
    if moved:
        findings.append(_moved(moved))
    cached = tuple(one.package.name for one in found if one.place == CACHE)
    if tuple(packages) == plan.packages and not cached:
        return None
    return replace(
        plan,
        packages=tuple(packages),
        findings=tuple(findings),
        substitutions=tuple(substitutions),
        cached=cached,
    )


def _substitution(package: LockedPackage, observed: str) -> dict[str, str]:
    return {
        "what": "package",
        "name": package.name,
        "expected": f"{package.name} {package.version}",
        "observed": observed,
    }


def _moved(moved: Sequence[Whereabouts]) -> Finding:
    shown = ", ".join(one.package.name for one in moved[:_SHOWN])
    return note(
        "packages.relocated",
        f"{len(moved)} files were fetched from another place than the lock names: {shown}",
    )


def _built(one: Whereabouts) -> Finding:
    name, version = one.package.name, one.package.version
    return warning(
        "packages.wheel-substituted",
        f"the wheel of {name} {version} is gone ({one.why}): {one.filename} was built in its place",
        subject=name,
        observed=one.filename,
    )


def _another_version(one: Whereabouts, other: LockedPackage) -> Finding:
    return warning(
        "packages.version-substituted",
        f"{one.filename} cannot be had ({one.why}): {other.name} {other.version} stands in for it",
        subject=other.name,
        expected=one.package.version,
        observed=other.version,
        hint="without --allow-substitutes no other version is taken",
    )


def _gone(lost: Sequence[Whereabouts]) -> RebuildError:
    lines = [f"{one.filename}: {one.why}" for one in lost[:_SHOWN]]
    if len(lost) > _SHOWN:
        lines.append(f"and {len(lost) - _SHOWN} more")
    count = "1 file of the lock" if len(lost) == 1 else f"{len(lost)} files of the lock"
    return RebuildError(
        f"{count} cannot be had any more",
        causes=tuple(lines),
        hint="name an index or a --find-links folder that has the same file, use a bundle, or take "
        "other versions with --allow-substitutes",
    )


def _nearest(package: LockedPackage, search: Search, python: Found) -> LockedPackage | None:
    """Return the version nearest to that of *package* of which *python* can take a wheel."""
    tags = frozenset(_tags(python))
    files = [file for file in _files(package, search) if _fits(file, tags)]
    best = min(files, key=lambda file: _distance(_version(file), package.version), default=None)
    if best is None or best.sha256 is None:
        return None
    source = WheelFile(best.filename, best.url, best.sha256, best.size, best.upload_time)
    return LockedPackage(package.name, str(_version(best)), source, "substitute")


def _files(package: LockedPackage, search: Search) -> Iterable[IndexFile]:
    for source in search.sources:
        with contextlib.suppress(SourceError):
            yield from source.files(package.name)


def _fits(file: IndexFile, tags: frozenset[Tag]) -> bool:
    if file.yanked or file.is_local or not file.sha256 or not file.filename.endswith(".whl"):
        return False
    try:
        _, version, _, own = parse_wheel_filename(file.filename)
    except ValueError:
        return False
    return bool(own & tags) and not version.is_prerelease


def _version(file: IndexFile) -> Version:
    return parse_wheel_filename(file.filename)[1]


def _distance(version: Version, wanted: str) -> tuple[int, ...]:
    """The number at which they part counts first; of two as near, the newer."""
    try:
        parts = [*Version(wanted).release, 0, 0, 0, 0][:4]
    except InvalidVersion:
        parts = [0, 0, 0, 0]
    steps = [a - b for a, b in zip([*version.release, 0, 0, 0, 0][:4], parts, strict=True)]
    at = next((i for i, step in enumerate(steps) if step), 4)
    return (-at, abs(steps[at]) if at < len(steps) else 0, *(-step for step in steps))


def _tags(python: Found) -> Iterable[Tag]:
    major, minor = (int(part) for part in python.version.split(".")[:2])
    threads = "t" if python.facts["free_threaded"] else ""
    platforms = list(platform_tags())
    yield from cpython_tags((major, minor), [f"cp{major}{minor}{threads}"], platforms)
    yield from compatible_tags((major, minor), f"cp{major}{minor}", platforms)
