"""The packages family: from the journal's list of distributions to facts and findings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reprolock.facts.packages.hashing import check_all
from reprolock.facts.packages.identify import Identifier, other_manager
from reprolock.facts.packages.index import THREADS, Client, LinksPage, SimpleIndex, Source
from reprolock.facts.packages.installed import Installed, read, read_all
from reprolock.facts.packages.known import named_in
from reprolock.facts.packages.model import ITSELF, LockedPackage, Packages, UnresolvedPackage
from reprolock.facts.packages.sources import configured_sources
from reprolock.facts.packages.unowned import Added, added, runs_at_start
from reprolock.files import cache_dir
from reprolock.finding import Finding, note, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from reprolock.facts.packages.hashing import FileProblem

    Progress = Callable[[int, int], None]

_SHOWN = 5
_HINTS = {
    "editable": "install it from an index, or from a repository at a commit, and capture again",
    "directory": "install it from an index, or from a repository at a commit, and capture again",
    "local-vcs": "install it from a repository that others can reach",
    "local-file": "keep the file: a rebuild looks for its name and sha256 in --find-links folders",
    "offline": "capture again with the network, or from where these packages were seen before",
    "unreachable": "check the network and the index that pip is set to, and capture again",
    "not-on-index": "name the index it came from with PIP_EXTRA_INDEX_URL, and capture again",
    "no-match": "reinstall the package, or name the index it came from with PIP_EXTRA_INDEX_URL",
    "sdist-build": "install a wheel of it (--only-binary), and capture again",
    "conda": "reprolock rebuilds what pip and uv install; install it with one of them",
    "dpkg": "install it with pip or uv into an environment, and capture again",
    "no-record": "reinstall it with pip or uv, and capture again",
    "no-hash": "install it from an index, or give the address with a hash, and capture again",
}


def collect(
    distributions: Sequence[Mapping[str, Any]],
    *,
    offline: bool = False,
    progress: Progress | None = None,
    identify: bool = True,
    hash_installed: bool = True,
    prove: bool = False,
    sources: tuple[Source, ...] | None = None,
    named: Sequence[str] = (),
    client: Client | None = None,
    cache: Path | None = None,
) -> tuple[Packages, tuple[Finding, ...]]:
    """Say of each of *distributions* (the journal's ``packages`` event) where it came from.

    *offline*: ask no index; what was identified before on this machine is still known.
    *identify* False: look nothing up at all, for an environment that is only to be compared.
    *prove*: see ``Identifier``. *hash_installed*: hash every installed file against its RECORD,
    but for what the system or conda manages: they rewrite files. *sources*: default
    ``configured_sources()``; *named*: commands of the notebook, whose indexes are asked after
    those. *cache*: default ``cache_dir()``. *progress* is called with
    the number of distributions looked up and the number of all. No network is a finding
    and no error.
    """
    cache = cache_dir() if cache is None else cache
    client = client or Client()
    with ThreadPoolExecutor(1) as pool:
        # Asking pip takes longer than reading all metadata: both at once.
        asked = pool.submit(_sources, sources if identify else (), client)
        dists, findings = read_all(distributions)
        sources = asked.result()
        known_labels = {source.label for source in sources}
        more = named_in(named, client) if identify else ()
        sources += tuple(source for source in more if source.label not in known_labels)
    found = list(findings)
    if identify:
        for source in sources:
            if isinstance(source, (SimpleIndex, LinksPage)):
                client.remember_login(source.url)
        identifier = Identifier(sources, client, cache / "identified", offline, prove)
        packages, itself = _without_itself(_sorted(_identify(dists, identifier, progress)))
        found += itself
        found += [_unresolved(package) for package in packages.unresolved]
        found += [_built(package) for package in packages.packages if package.built]
        found += _troubles(identifier, packages)
    else:
        packages = _sorted(
            [
                UnresolvedPackage(d.name, d.version, "not-identified", d.installer, d.files)
                for d in dists
            ]
        )
    if hash_installed:
        found += _added(distributions)
        ours = [dist for dist in dists if other_manager(dist) is None]
        problems = check_all(ours, memo=cache / "hashed")
        found += [_modified(name, problems[name]) for name in sorted(problems)]
    return packages, tuple(found)


def _without_itself(packages: Packages) -> tuple[Packages, list[Finding]]:
    """Leave out reprolock where a rebuild could not fetch it: a re-run does not need it."""
    own = next((package for package in packages.unresolved if package.name == ITSELF), None)
    if own is None:
        return packages, []
    others = tuple(package for package in packages.unresolved if package is not own)
    left_out = note(
        "packages.itself-left-out",
        f"{ITSELF} {own.version} is not in the lock, as a re-run does not need it: {own.why}",
        subject=ITSELF,
        observed=own.version,
    )
    return replace(packages, unresolved=others), [left_out]


def _sources(given: tuple[Source, ...] | None, client: Client) -> tuple[Source, ...]:
    return configured_sources(client=client) if given is None else given


def _identify(
    dists: Sequence[Installed], identifier: Identifier, progress: Progress | None
) -> list[LockedPackage | UnresolvedPackage]:
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(identifier.identify, dist) for dist in dists]
        for count, _ in enumerate(as_completed(jobs), 1):
            if progress is not None:
                progress(count, len(jobs))
    return [job.result() for job in jobs]


def _sorted(found: Sequence[LockedPackage | UnresolvedPackage]) -> Packages:
    found = sorted(found, key=lambda p: p.name)
    return Packages(
        tuple(p for p in found if isinstance(p, LockedPackage)),
        tuple(p for p in found if isinstance(p, UnresolvedPackage)),
    )


def _added(distributions: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Tell what lies among the installed packages and is none; only where pip and uv install."""
    dists = [dist for entry in distributions if (dist := read(entry)) is not None]
    theirs = {dist.root for dist in dists if other_manager(dist) in ("conda", "dpkg")}
    return added_findings(added([dist for dist in dists if dist.root not in theirs]))


def added_findings(places: Sequence[Added]) -> list[Finding]:
    """Return a finding for each thing that nobody owns, and one for byte code of hidden source."""
    found = []
    for place in places:
        for name, paths in place.entries.items():
            count = f" ({len(paths)} files)" if len(paths) > 1 else ""
            start = (
                ", and Python runs it at every start" if runs_at_start(paths, place.root) else ""
            )
            found.append(
                warning(
                    "packages.unowned",
                    f"{name}{count} lies among the installed packages and belongs to none{start}: "
                    "a rebuild will not have it",
                    subject=name,
                    observed=list(paths[:_SHOWN]),
                    hint="install it as a package, or take it away",
                )
            )
        if place.bytecode:
            found.append(
                warning(
                    "packages.bytecode-unchecked",
                    "compiled files run whatever their source says: "
                    + ", ".join(place.bytecode[:_SHOWN]),
                    subject=place.bytecode[0],
                    observed=list(place.bytecode[:_SHOWN]),
                    hint="remove the __pycache__ folders; Python compiles the sources again",
                )
            )
    return found


def _unresolved(package: UnresolvedPackage) -> Finding:
    if package.reason == "altered":
        more = len(package.differs) - _SHOWN
        return warning(
            "packages.altered",
            f"{package.name} {package.version} is not as it was published in {package.filename}: "
            + ", ".join(package.differs[:_SHOWN])
            + (f" and {more} more" if more > 0 else ""),
            subject=package.name,
            expected=package.filename,
            observed=list(package.differs[:_SHOWN]),
            hint=f"reinstall {package.name}; a rebuild has the files as published",
        )
    return warning(
        "packages.unresolved",
        f"{package.name} {package.version} is locked by version only: {package.why}",
        subject=package.name,
        observed=package.version,
        hint=_HINTS.get(package.reason),
    )


def _built(package: LockedPackage) -> Finding:
    return note(
        "packages.built-at-capture",
        f"{package.name} {package.version} is no wheel of an index: a rebuild builds it again, and "
        "its compiled files may be others",
        subject=package.name,
    )


def _troubles(identifier: Identifier, packages: Packages) -> list[Finding]:
    if not identifier.troubles or not packages.unresolved:
        return []
    causes = sorted(identifier.troubles)
    more = f" and {len(causes) - _SHOWN} more" if len(causes) > _SHOWN else ""
    return [
        note(
            "packages.source-trouble",
            "while looking up packages: " + "; ".join(causes[:_SHOWN]) + more,
        )
    ]


def _modified(name: str, problems: Sequence[FileProblem]) -> Finding:
    real = [p for p in problems if p.kind != "overwritten"]
    if not real:
        owners = sorted({p.owner for p in problems if p.owner})
        return note(
            "packages.overwritten",
            f"{len(problems)} files of {name} were overwritten by {', '.join(owners)}, "
            "which ships the same paths",
            subject=name,
        )
    shown = ", ".join(f"{p.path} ({p.kind})" for p in real[:_SHOWN])
    more = f" and {len(real) - _SHOWN} more" if len(real) > _SHOWN else ""
    return warning(
        "packages.modified",
        f"installed files of {name} are not as they were installed: {shown}{more}",
        subject=name,
        observed=[p.path for p in real],
        hint=f"reinstall {name}: a rebuild has the files as published",
    )
