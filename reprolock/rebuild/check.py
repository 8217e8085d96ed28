"""Whether an environment holds what its plan says, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reprolock.facts.packages import (
    LockedPackage,
    Packages,
    UnresolvedPackage,
    added,
    check_all,
    compare,
    read_folder,
)
from reprolock.finding import Finding, note, warning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reprolock.facts.packages import Installed
    from reprolock.rebuild.plan import Plan

_SHOWN = 5


@dataclass(frozen=True)
class Checked:
    """*failures* say in a line each what is wrong; *findings* what is to be told and no fault."""

    failures: tuple[str, ...]
    findings: tuple[Finding, ...]


def site_packages(root: Path) -> Path | None:
    """Return the folder of the installed packages in the environment at *root*."""
    return next(iter(sorted(root.glob("lib*/*/site-packages"))), None)


def check(plan: Plan, root: Path, *, memo: Path | None = None) -> Checked:
    """Hold the environment at *root* against *plan*.

    Every installed file is hashed against its RECORD, and each RECORD must have the digest that
    the lock has. What had to be built may differ from the lock, and is a finding then. With
    *memo* (a folder) files that have not moved since an earlier check are not hashed again.
    """
    folder = site_packages(root)
    if folder is None:
        return Checked(("the environment has no site-packages folder",), ())
    dists = read_folder(folder)
    failures = _added(dists)
    findings: list[Finding] = []
    for name, problems in check_all(dists, memo=memo).items():
        real = [problem for problem in problems if problem.kind != "overwritten"]
        if real:
            shown = ", ".join(f"{p.path} ({p.kind})" for p in real[:_SHOWN])
            failures.append(f"{name}: not as its RECORD says: {shown}")
        else:
            owners = ", ".join(sorted({p.owner for p in problems if p.owner}))
            text = f"{len(problems)} files of {name} were overwritten by {owners}"
            findings.append(note("packages.overwritten", text, subject=name))
    observed = Packages(
        unresolved=tuple(
            UnresolvedPackage(d.name, d.version, "not-identified", d.installer, d.files)
            for d in dists
        )
    )
    built = {
        package.name: package.build.get("sources") for package in plan.packages if package.built
    }
    sources = {dist.name: dist.sources for dist in dists}
    for finding in compare(Packages(plan.packages), observed):
        if finding.code == "packages.files-changed" and finding.subject in built:
            name = finding.subject
            same = built[name] is not None and built[name] == sources.get(name)
            findings.append(_built_differs(finding, same_sources=same))
        else:
            failures.append(finding.message)
    findings += [_built(package) for package in plan.packages if package.built]
    return Checked(tuple(failures), tuple(findings))


def _added(dists: Sequence[Installed]) -> list[str]:
    """Say what lies among the packages that the installer did not put there."""
    return [
        text
        for place in added(dists)
        for text in (
            *(f"{name}: belongs to no package" for name in place.entries),
            *(f"{path}: runs whatever its source says" for path in place.bytecode),
        )
    ]


def damage(root: Path) -> list[str]:
    """Say in a line each where the environment at *root* is not as it was installed."""
    folder = site_packages(root)
    if folder is None:
        return ["it has no site-packages folder"]
    dists = read_folder(folder)
    lines = _added(dists)
    for name, problems in check_all(dists).items():
        lines += [f"{name}: {p.path} ({p.kind})" for p in problems if p.kind != "overwritten"]
    return lines


def _built(package: LockedPackage) -> Finding:
    return note(
        "packages.built-from-source",
        f"{package.name} {package.version} was built from source on this machine",
        subject=package.name,
    )


def _built_differs(finding: Finding, *, same_sources: bool) -> Finding:
    what = (
        "its Python files are those of the recorded run, and its compiled ones are not"
        if same_sources
        else "its files are not those of the recorded run"
    )
    return warning(
        "packages.files-changed",
        f"{finding.subject} was built from the locked source: {what}",
        subject=finding.subject,
        expected=finding.expected,
        observed=finding.observed,
    )
