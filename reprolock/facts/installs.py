"""What the notebook itself installed and fetched: asked by which cell, and what that changed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.utils import canonicalize_name

from reprolock.facts.packages.model import Packages, UnresolvedPackage
from reprolock.facts.reading import checked, may, need, tables, without_none
from reprolock.facts.requirements import Answer, answer_to
from reprolock.finding import Finding, error, note, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reprolock.facts.data import Data, DataFile, Places

T = TypeVar("T")
_WHERE = "tool.reprolock.installs"
_UNCHECKED = {
    "conda": "conda's packages have other names than those of the index",
    "apt": "the system's packages are not rebuilt",
}
_FETCHES = ("git", "fetch")
_PIP_FETCHES = re.compile(r"\bpip[\d.]*\s+(?:-\S+\s+)*(?:download|wheel)\b")
_METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO")


@dataclass(frozen=True)
class Command:
    """One command of the notebook. *asked*: its text without credentials; *kinds* of ``pip``,
    ``uv``, ``conda``, ``apt``, ``git`` and ``fetch``; *via* ``shell``, ``script``, ``subprocess``
    or ``os.system``; *status*: its exit status, None where nobody told; *requirements*: what it
    asks for, those of requirement files too; *elsewhere*: into a folder outside of the environment;
    *unread*: requirement files that could not be read.

    Of a replay only: *answered*, that it did not run; *why*, the reason why it did.
    """

    asked: str
    kinds: tuple[str, ...]
    via: str = "shell"
    cell: int | None = None
    status: int | None = None
    requirements: tuple[str, ...] = ()
    elsewhere: bool = False
    unread: tuple[str, ...] = ()
    answered: bool = False
    why: str | None = None

    @property
    def failed(self) -> bool:
        return self.status not in (0, None)


@dataclass(frozen=True)
class Change:
    """A distribution, or a package of the *system*, that a cell changed; None where it is not.

    *loaded*: a module of the version *before* was loaded then, so that it may have computed.
    """

    name: str
    before: str | None = None
    after: str | None = None
    cell: int | None = None
    system: bool = False
    loaded: bool = False


@dataclass(frozen=True)
class Stale:
    """A module that was loaded when its distribution was replaced: *memory* is the version that
    computed, *disk* the one that the environment has since, None where it was taken away.
    """

    module: str
    distribution: str
    memory: str
    disk: str | None = None


@dataclass(frozen=True)
class Installs:
    commands: tuple[Command, ...] = ()
    changes: tuple[Change, ...] = ()
    stale: tuple[Stale, ...] = ()


def parse(events: Iterable[Mapping[str, Any]], cell_of: Mapping[int, int]) -> Installs:
    """Read ``command``, ``command-end``, ``installed`` and ``memory-differs`` events.

    A command of which no end was told was running when the kernel died. Of a command or a change
    that came again the last place in the order counts.
    """
    commands: list[Command] = []
    place: dict[Any, int] = {}
    changes: list[Change] = []
    stale: tuple[Stale, ...] = ()
    for event in events:
        n = event.get("n")
        kind, cell = event.get("event"), None if n is None else cell_of.get(n)
        if kind == "start":
            stale = ()  # Another kernel, which loads what is on disk.
        elif kind == "command":
            place[event.get("number")] = len(commands)
            commands.append(_begun(event, cell))
        elif kind == "command-end" and event.get("number") in place:
            at = place[event.get("number")]
            commands[at] = _ended(commands[at], event)
        elif kind == "installed":
            changes += _changes(event, cell)
        elif kind == "memory-differs":
            stale = tuple(_stale(one) for one in event.get("modules") or ())
            changes = _marked(changes, stale)
    return Installs(_last(commands), _last(changes), stale)


def _last(facts: list[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(reversed(facts)))[::-1]


def _marked(changes: list[Change], stale: tuple[Stale, ...]) -> list[Change]:
    return [replace(one, loaded=True) if _was_loaded(one, stale) else one for one in changes]


def _was_loaded(change: Change, stale: tuple[Stale, ...]) -> bool:
    return not change.system and any(
        canonicalize_name(one.distribution) == canonicalize_name(change.name)
        and one.memory == change.before
        for one in stale
    )


def _begun(event: Mapping[str, Any], cell: int | None) -> Command:
    why = event.get("why")
    return Command(
        asked=str(event.get("asked")),
        kinds=tuple(str(kind) for kind in event.get("kinds") or ()),
        via=str(event.get("via")),
        cell=cell,
        answered=bool(event.get("answered")),
        why=None if why is None else str(why),
    )


def _ended(command: Command, event: Mapping[str, Any]) -> Command:
    status = event.get("status")
    return replace(
        command,
        status=status if isinstance(status, int) else None,
        requirements=tuple(str(one) for one in event.get("requirements") or ()),
        elsewhere=bool(event.get("elsewhere")),
        unread=tuple(str(name) for name in event.get("unread") or ()),
    )


def _changes(event: Mapping[str, Any], cell: int | None) -> list[Change]:
    return [
        Change(str(one["name"]), one.get("before"), one.get("after"), cell, system)
        for key, system in (("distributions", False), ("system", True))
        for one in event.get(key) or ()
    ]


def _stale(one: Mapping[str, Any]) -> Stale:
    return Stale(str(one["module"]), str(one["distribution"]), str(one["memory"]), one.get("disk"))


def to_toml(facts: Installs) -> dict[str, Any]:
    return without_none(
        {
            "commands": [_command_table(command) for command in facts.commands] or None,
            "changes": [
                without_none(
                    {
                        "name": one.name,
                        "before": one.before,
                        "after": one.after,
                        "cell": one.cell,
                        "system": one.system or None,
                        "loaded": one.loaded or None,
                    }
                )
                for one in facts.changes
            ]
            or None,
            "memory-differs": [without_none(dict(vars(one))) for one in facts.stale] or None,
        }
    )


def _command_table(command: Command) -> dict[str, Any]:
    return without_none(
        {
            "cell": command.cell,
            "asked": command.asked,
            "kinds": list(command.kinds),
            "via": command.via,
            "status": command.status,
            "requirements": list(command.requirements) or None,
            "elsewhere": command.elsewhere or None,
            "unread": list(command.unread) or None,
        }
    )


def from_toml(table: dict[str, Any]) -> Installs:
    stale = tuple(_read_stale(one) for one in tables(table, "memory-differs", _WHERE))
    changes = [_read_change(one) for one in tables(table, "changes", _WHERE)]
    return Installs(
        commands=tuple(_read_command(one) for one in tables(table, "commands", _WHERE)),
        changes=tuple(_marked(changes, stale)),  # an older lock has no such mark
        stale=stale,
    )


def _read_command(entry: dict[str, Any]) -> Command:
    where = f"{_WHERE}.commands"
    return Command(
        asked=need(entry, "asked", str, where),
        kinds=_texts(entry, "kinds", where),
        via=need(entry, "via", str, where),
        cell=may(entry, "cell", int, where),
        status=may(entry, "status", int, where),
        requirements=_texts(entry, "requirements", where),
        elsewhere=bool(may(entry, "elsewhere", bool, where)),
        unread=_texts(entry, "unread", where),
    )


def _read_change(entry: dict[str, Any]) -> Change:
    where = f"{_WHERE}.changes"
    return Change(
        name=need(entry, "name", str, where),
        before=may(entry, "before", str, where),
        after=may(entry, "after", str, where),
        cell=may(entry, "cell", int, where),
        system=bool(may(entry, "system", bool, where)),
        loaded=bool(may(entry, "loaded", bool, where)),
    )


def _read_stale(entry: dict[str, Any]) -> Stale:
    where = f"{_WHERE}.memory-differs"
    return Stale(
        module=need(entry, "module", str, where),
        distribution=need(entry, "distribution", str, where),
        memory=need(entry, "memory", str, where),
        disk=may(entry, "disk", str, where),
    )


def _texts(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    return tuple(checked(one, str, f"{where}.{key}") for one in may(entry, key, list, where) or ())


# -- two runs ---------------------------------------------------------------------------------


def compare(expected: Installs, observed: Installs) -> tuple[Finding, ...]:
    """Say which commands a replay had to run again, and which cells ask for something else."""
    again = [_ran_again(command) for command in observed.commands if command.why is not None]
    old = {(c.cell, c.asked): c for c in expected.commands}
    new = [c for c in observed.commands if (c.cell, c.asked) not in old]
    failed = [
        _rerun_failed(command, f"it ended with status {command.status}")
        for command in observed.commands
        if command.why == "not-here"
        and command.failed
        and old.get((command.cell, command.asked), command).status == 0
    ]
    return (*again, *failed, *(_asks_otherwise(c) for c in new if c.why is None))


def not_made(expected: Data, observed: Data, ran: Installs, places: Places) -> tuple[Finding, ...]:
    """Say which commands ran again, and did not make what was not here of their files.

    *places*: those of the files before the run.
    """
    findings = []
    made = {file.name for file in observed.files}
    for command in ran.commands:
        if command.why is not None:
            files = _files_of(command, expected)
            lost = [f.name for f in files if f.name not in made and not _is_here(f, places)]
            if lost:
                more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
                findings.append(_rerun_failed(command, f"it did not make {lost[0]}{more}"))
    return tuple(findings)


def called(*runs: Installs) -> dict[int, frozenset[str]]:
    """Return the kinds of the commands of each cell, in any of the *runs*.

    ``pip download`` fetches, and prints what pip prints.
    """
    found: dict[int, frozenset[str]] = {}
    for command in (command for run in runs for command in run.commands):
        if command.cell is not None:
            kinds = {*command.kinds, *(["pip"] if _PIP_FETCHES.search(command.asked) else [])}
            found[command.cell] = found.get(command.cell, frozenset()) | kinds
    return found


def _rerun_failed(command: Command, why: str) -> Finding:
    return error(
        "installs.rerun-failed",
        f"cell {command.cell} ran a command again, which did not do what it did in the recorded "
        f"run ({why}): {command.asked}",
        subject=command.asked,
        cell=command.cell,
        observed=command.status,
        hint="put the captured files in their places, or see that the command can reach its source",
    )


def _ran_again(command: Command) -> Finding:
    if command.why == "not-here":
        return warning(
            "installs.fetched-again",
            f"cell {command.cell} fetched again, as what it had fetched is not here: "
            f"{command.asked}",
            subject=command.asked,
            cell=command.cell,
            hint="put the captured files in their places for a run without network",
        )
    return warning(
        "installs.ran-again",
        f"cell {command.cell} ran a command that installs or fetches again, as it could not be "
        f"taken to pieces: {command.asked}",
        subject=command.asked,
        cell=command.cell,
        hint="give the install a line of its own: no loop, no background, no pipe into a program",
    )


def _asks_otherwise(command: Command) -> Finding:
    return note(
        "installs.asked-differs",
        f"cell {command.cell} runs a command that the other run has not: {command.asked}",
        subject=command.asked,
        cell=command.cell,
    )


def answers(facts: Installs, files: Data, places: Places) -> dict[str, int]:
    """Return the exit status of each recorded command that a replay can answer.

    A command that fetched, or that installed outside of the environment, can be answered where all
    its files are here, or where it failed.
    """
    found: dict[str, int] = {}
    for command in facts.commands:
        if command.failed or not _makes_files(command) or _are_here(command, files, places):
            found[command.asked] = command.status or 0
    return found


def _makes_files(command: Command) -> bool:
    return command.elsewhere or bool(set(command.kinds) & set(_FETCHES))


def _are_here(command: Command, files: Data, places: Places) -> bool:
    made = _files_of(command, files)
    if command.elsewhere and not any(file.name.endswith(_METADATA) for file in made):
        return False  # Its packages lie where nobody looked.
    return bool(made) and all(_is_here(file, places) for file in made)


def _files_of(command: Command, files: Data) -> list[DataFile]:
    return [file for file in files.files if file.fetched == command.asked]


def _is_here(file: DataFile, places: Places) -> bool:
    path = places.path(file.name)
    return path is not None and path.exists()


# -- what is asked, held against what is there ------------------------------------------------


def unsatisfied(
    expected: Installs, observed: Installs, locked: Packages, python: str
) -> tuple[Finding, ...]:
    """Hold what the answered commands of a replay ask against the packages of the lock.

    *python*: the version of the recorded interpreter, for markers. Extras cannot be held: a lock
    has no list of them.
    """
    recorded = {(c.cell, c.asked): c for c in expected.commands}
    findings: dict[tuple[str, str | None, int | None, Any], Finding] = {}
    for command in observed.commands:
        then = recorded.get((command.cell, command.asked))
        if command.answered and not (then and then.failed):
            changes = expected.changes if then else ()
            for finding in _held(command, locked, python, changes):
                key = (finding.code, finding.subject, finding.cell, finding.expected)
                findings.setdefault(key, finding)
    return tuple(findings.values())


def _held(
    command: Command, locked: Packages, python: str, changes: tuple[Change, ...]
) -> list[Finding]:
    findings = [
        _not_checked(command, command.asked, why)
        for kind, why in _UNCHECKED.items()
        if kind in command.kinds
    ]
    findings += [
        _not_checked(command, name, "the requirement file is not here") for name in command.unread
    ]
    if command.elsewhere or "conda" in command.kinds:
        return findings
    for text in command.requirements:
        answer = answer_to(text, locked, python)
        if answer.unchecked is not None:
            findings.append(_not_checked(command, text, answer.unchecked))
        elif not answer.holds:
            was = _replaced_since(text, answer, changes, python)
            findings.append(
                _superseded(command, text, answer, was)
                if was
                else _unsatisfied(command, text, answer)
            )
    return findings


def _replaced_since(
    text: str, answer: Answer, changes: tuple[Change, ...], python: str
) -> Change | None:
    """Return the change by which the recorded run itself replaced what *text* asks for.

    Of several the one whose module was loaded: that version may have computed.
    """
    known = [
        change
        for change in changes
        if change.before is not None
        and not change.system
        and canonicalize_name(change.name) == canonicalize_name(answer.name)
        and _held_then(text, change.name, change.before, python)
    ]
    return next((c for c in known if c.loaded), known[-1] if known else None)


def _held_then(text: str, name: str, version: str, python: str) -> bool:
    then = Packages(unresolved=(UnresolvedPackage(canonicalize_name(name), version, ""),))
    return answer_to(text, then, python).holds


def _superseded(command: Command, text: str, answer: Answer, was: Change) -> Finding:
    now = f"holds {answer.version}" if answer.version else f"holds no {answer.name}"
    by = "a cell" if was.cell is None else f"cell {was.cell}"
    what = (
        f"cell {command.cell} asks for {text}: the recorded run had {answer.name} {was.before} "
        f"until {by} replaced or removed it, and the lock {now}"
    )
    if not was.loaded:
        return note(
            "installs.superseded",
            what,
            subject=answer.name,
            cell=command.cell,
            expected=text,
            observed=answer.version,
        )
    return warning(
        "installs.superseded",
        f"{what}; {was.before} was loaded then and may have computed, and this run used it nowhere",
        subject=answer.name,
        cell=command.cell,
        expected=was.before,
        observed=answer.version,
        hint="ask for one version only, restart the kernel, run all cells, then capture again",
    )


def _not_checked(command: Command, subject: str, why: str) -> Finding:
    return note(
        "installs.not-checked",
        f"whether the lock holds what cell {command.cell} asks for was not checked: "
        f"{subject} ({why})",
        subject=subject,
        cell=command.cell,
    )


def _unsatisfied(command: Command, text: str, answer: Answer) -> Finding:
    has = f"has {answer.name} {answer.version}" if answer.version else f"has no {answer.name}"
    return error(
        "installs.unsatisfied",
        f"cell {command.cell} asks for {text}, and the lock {has}",
        subject=answer.name,
        cell=command.cell,
        expected=text,
        observed=answer.version,
        hint="capture again, so that the lock holds what the notebook asks for",
    )


def weaknesses(facts: Installs, found: Packages, python: str) -> tuple[Finding, ...]:
    """Say where memory and disk differ, and which installs did not reach the kernel."""
    failed = [_failed(c) for c in facts.commands if c.failed and not set(c.kinds) & set(_FETCHES)]
    return (*memory_differs(facts), *failed, *_without_effect(facts, found, python))


def memory_differs(facts: Installs) -> tuple[Finding, ...]:
    """Name the modules that computed in another version than the one that the lock holds."""
    return tuple(_memory_differs(one, facts) for one in facts.stale)


def _memory_differs(one: Stale, facts: Installs) -> Finding:
    cells = [c.cell for c in facts.changes if c.name == one.distribution and not c.system]
    now = f"has {one.disk}" if one.disk else "has none"
    by = f"cell {cells[-1]} changed the package" if cells else "the package was changed"
    return warning(
        "installs.memory-differs",
        f"{one.module} was loaded from {one.distribution} {one.memory} before {by}: the "
        f"environment {now} now, and {one.memory} is the version in memory, which computed",
        subject=one.distribution,
        cell=cells[-1] if cells else None,
        expected=one.memory,
        observed=one.disk,
        hint="restart the kernel, run all cells again, then capture",
    )


def _failed(command: Command) -> Finding:
    return warning(
        "installs.failed",
        f"cell {command.cell}: a command that installs ended with status {command.status}: "
        f"{command.asked}",
        subject=command.asked,
        cell=command.cell,
        observed=command.status,
    )


def _without_effect(facts: Installs, found: Packages, python: str) -> list[Finding]:
    """Tell what was installed with success and is not in the kernel's environment in the end."""
    findings = {}
    for command in facts.commands:
        if command.failed or command.elsewhere or "conda" in command.kinds:
            continue
        for text in command.requirements:
            answer = answer_to(text, found, python)
            if answer.unchecked is None and not answer.holds:
                findings[text] = _no_effect(command, text, answer)
    return list(findings.values())


def _no_effect(command: Command, text: str, answer: Answer) -> Finding:
    has = f"{answer.name} {answer.version}" if answer.version else f"no {answer.name}"
    return warning(
        "installs.without-effect",
        f"cell {command.cell} asks for {text}, and at the end the kernel's environment has {has}",
        subject=answer.name,
        cell=command.cell,
        expected=text,
        observed=answer.version,
        hint="install by %pip, which is the kernel's own, and ask for one version only",
    )
