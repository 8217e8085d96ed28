"""``rebuild --check`` as a command: what of a lock can be had today, without installing it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from reprolock.errors import InterpreterMissingError
from reprolock.export import unpack
from reprolock.facts import interpreter, packages
from reprolock.facts.packages.index import Client
from reprolock.facts.packages.sources import configured_sources
from reprolock.finding import Finding, error, note, warning
from reprolock.rebuild import whereabouts
from reprolock.rebuild.interpreters import Choice, choose
from reprolock.result import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reprolock.export.unpack import Bundle
    from reprolock.rebuild.how import How
    from reprolock.rebuild.whereabouts import Whereabouts
    from reprolock.run import Say


def check(path: Path, say: Say, how: How) -> Result:
    """Say of each file of the lock at *path* whether and where it can be had today.

    The verdict is COULD_NOT_REBUILD where something is nowhere. Raises LockError where the lock
    cannot be read or its digest does not hold.
    """
    with unpack.lock_path(path) as source:
        return _checked(path, source, say, how)


def _checked(path: Path, source: Bundle, say: Say, how: How) -> Result:
    begun = time.monotonic()
    locked = source.read()
    locked.require_intact(path)
    choice, findings = _interpreter(locked.record[interpreter.Interpreter], how.kinds)
    facts = locked.record[packages.Packages]
    client = Client()
    search = whereabouts.Search(
        sources=() if how.offline else configured_sources(client=client),
        client=client,
        at_hand=source.packages,
        python=choice.found.path if choice else None,
        offline=how.offline,
        may_ask=how.may_ask,
    )
    allowed = {packages.ITSELF, *map(canonicalize_name, how.allow_missing)}
    wanted = [package for package in facts.packages if package.name not in allowed]
    found = search.find(wanted, lambda done: say("look", done, len(wanted)))
    findings += [finding for one in found for finding in _told(one)]
    findings += [_unpinned(package) for package in facts.unresolved if package.name not in allowed]
    lost = choice is None or any(f.severity == "error" for f in findings)
    verdict = Verdict.COULD_NOT_REBUILD if lost else None
    return Result(
        "rebuild",
        verdict.exit_code if verdict else 0,
        time.monotonic() - begun,
        verdict,
        {"path": str(path), "sha256": locked.sha256},
        findings=tuple(findings),
        extra={"files": [_file(one) for one in found]},
    )


def _interpreter(
    wanted: interpreter.Interpreter, kinds: Sequence[str]
) -> tuple[Choice | None, list[Finding]]:
    try:
        choice = choose(wanted, kinds)
    except InterpreterMissingError as exc:
        lines = "; ".join([exc.message, *exc.causes])
        return None, [error("interpreter.missing", lines, subject="python", hint=exc.hint)]
    return choice, list(choice.findings)


def _file(one: Whereabouts) -> dict[str, Any]:
    found = {
        "name": one.package.name,
        "version": one.package.version,
        "file": one.filename,
        "place": one.place,
        "url": one.package.source.url if one.place in _WITH_ADDRESS else None,
        "why": one.why,
        "yanked": one.yanked or None,
    }
    return {key: value for key, value in found.items() if value is not None}


_WITH_ADDRESS = (whereabouts.ADDRESS, whereabouts.INDEX, whereabouts.SOURCE, whereabouts.REPOSITORY)


def _told(one: Whereabouts) -> list[Finding]:
    name, version = one.package.name, one.package.version
    found = []
    if one.yanked:
        found.append(
            warning(
                "packages.yanked",
                f"the index asks not to use {name} {version} any more: {one.filename} is yanked",
                subject=name,
                observed=version,
                hint="make a bundle of the lock while the file is there",
            )
        )
    if one.place in (whereabouts.INDEX, whereabouts.CACHE):
        where = "an index" if one.place == whereabouts.INDEX else "uv's cache"
        found.append(
            note(
                "packages.moved",
                f"{one.filename} is not where the lock says ({one.why}); {where} has it",
                subject=name,
            )
        )
    elif one.place == whereabouts.SOURCE:
        found.append(
            warning(
                "packages.only-source",
                f"the wheel of {name} {version} is gone ({one.why}); its source archive "
                f"{one.filename} is there, and compiled files may come out otherwise",
                subject=name,
                observed=one.filename,
            )
        )
    elif one.place == whereabouts.NOWHERE:
        found.append(
            error(
                "packages.gone",
                f"{one.filename} cannot be had: {one.why}",
                subject=name,
                expected=version,
                hint="name an index or a --find-links folder that has it, or use a bundle",
            )
        )
    return found


def _unpinned(package: packages.UnresolvedPackage) -> Finding:
    return error(
        "packages.unresolved",
        f"{package.name} {package.version} is locked by version only: {package.why}",
        subject=package.name,
        observed=package.version,
    )
