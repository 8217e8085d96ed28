"""How two environments differ in their packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from reprolock.facts.packages.model import ITSELF
from reprolock.finding import Finding, note, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reprolock.facts.packages.model import LockedPackage, Packages, UnresolvedPackage

    Package = LockedPackage | UnresolvedPackage


def compare(expected: Packages, observed: Packages) -> tuple[Finding, ...]:
    """Return the differences of *observed* from *expected*, sorted by name.

    Where a package came from plays no part: version and files do. reprolock itself is left out.
    """
    ours, theirs = expected.by_name(), observed.by_name()
    names = sorted({*ours, *theirs} - {ITSELF})
    found = (_one(name, ours.get(name), theirs.get(name)) for name in names)
    return tuple(finding for finding in found if finding is not None)


def _one(name: str, expected: Package | None, observed: Package | None) -> Finding | None:
    if expected is None:
        version = observed.version if observed else None
        return note(
            "packages.added",
            f"{name} {version} is installed, and was not in the recorded run",
            subject=name,
            observed=version,
        )
    if observed is None:
        return warning(
            "packages.missing",
            f"{name} {expected.version} of the recorded run is not installed",
            subject=name,
            expected=expected.version,
        )
    if not _same(expected.version, observed.version):
        return warning(
            "packages.version-changed",
            f"{name} is {observed.version}, and was {expected.version} in the recorded run",
            subject=name,
            expected=expected.version,
            observed=observed.version,
        )
    if expected.files and observed.files and expected.files != observed.files:
        return warning(
            "packages.files-changed",
            f"{name} {expected.version} has other files than in the recorded run",
            subject=name,
            expected=f"sha256:{expected.files}",
            observed=f"sha256:{observed.files}",
            hint="the same version was built or published twice, or its files were edited",
        )
    return _other_origin(name, expected, observed)


def _other_origin(name: str, expected: Package, observed: Package) -> Finding | None:
    """Tell another commit, or other changes to it, of a package that is used from its folder."""
    before, after = getattr(expected, "origin", None), getattr(observed, "origin", None)
    if not before or not after or before == after:
        return None
    return warning(
        "packages.origin-changed",
        f"{name} {expected.version} comes from {_said(after)}, "
        f"and came from {_said(before)} in the recorded run",
        subject=name,
        expected=dict(before),
        observed=dict(after),
        hint="check out the recorded commit, without changes",
    )


def _said(origin: Mapping[str, str]) -> str:
    if origin.get("kind") == "git":
        changed = " with changes" if "changed" in origin else ""
        return f"commit {origin['commit'][:12]}{changed}"
    return " ".join(origin.get(key, "") for key in ("kind", "name", "version")).strip()


def _same(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other
