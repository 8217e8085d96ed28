"""The commands of the notebook that install or fetch, and what they changed.

Seen are those that IPython runs (``!``, ``%pip``, ``%conda``, ``%uv``, Colab's ``%%shell``), the
scripts of ``%%bash`` and ``%%sh``, and those that Python code starts by ``subprocess`` and
``os.system``; of the last two kinds the exit status is not known. Not seen is what a child process
installs in its turn, and pip called as a library.

In a replay they do not run: the environment and the files are there already, rebuilt from the
lock. A command is answered only where all that it would have fetched, or installed outside of the
environment, is there.
"""

from __future__ import annotations

import io
import os
import re
import sys
import weakref
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import commands, credentials, packages, wants
from .answers import Processes, script_of
from .cells import Running
from .commands import Line
from .journal import Journal
from .runners import Answer, Runners

_DPKG = "/var/lib/dpkg/status"
_MOST_PACKAGES = 500
_MOST_REQUIREMENTS = 500


class _Command(NamedTuple):
    """A command under way. *folder* is the one it began in."""

    number: int
    line: Line
    asked: str
    folder: str


class Watch:
    """*files* is told when a command begins and ends: what it makes then is no output."""

    def __init__(
        self,
        journal: Journal,
        running: Running,
        shell: Any,
        wanted: Dict[str, Any],
        runners: Runners,
        files: Any,
    ) -> None:
        self._journal = journal
        self._running = running
        self._shell = shell
        self._folder = os.path.abspath(wanted["folder"])
        self._replay = bool(wanted.get("replay"))
        self._known: Dict[str, int] = wanted.get("answers") or {}
        self._secrets = list((wanted.get("secrets") or {}).values())
        self._runners = runners
        self._files = files
        self._environment = _Environment()
        self._processes = Processes(self._answer, runners)
        self._number = 0
        self._nested: List[Optional[_Command]] = []
        self._left: List[_Command] = []
        self._told: List[Dict[str, Optional[str]]] = []

    def open(self) -> None:
        self._runners.listen(self._began, self._ended)
        self._files.also("subprocess.Popen", self._process_starts)
        self._files.also("os.system", self._system_starts)
        self._shell.events.register("pre_run_cell", self._cell_starts)
        if self._replay:
            self._runners.answer(lambda text: self._answer(text, os.getcwd(), "shell"))
            self._processes.open()

    def close(self) -> None:
        self._shell.events.unregister("pre_run_cell", self._cell_starts)
        self._processes.close()
        self.settle()

    def begin(self) -> None:
        self._give_magic_back()

    def end(self) -> None:
        self._give_magic_back()
        left, self._left = self._left, []
        for command in left:
            self._end(command, None)
        if self._journal.guard("installs", self._tell_changes):
            self._journal.guard("installs", self.settle)

    def snapshot(self) -> None:
        """Tell all that is known in the middle of a cell."""
        self.end()
        self.settle()

    def settle(self) -> None:
        """Tell the modules in memory that are not those on disk; the last telling counts."""
        stale = self._files.unseen(self._environment.stale)
        if stale != self._told:
            self._told = stale
            self._journal.write("memory-differs", modules=stale)

    # -- what runs ----------------------------------------------------------------------------

    def _began(self, text: str) -> None:
        line = commands.read(text)
        self._nested.append(None if line is None else self._begin(line, text, "shell"))

    def _ended(self, _text: str, status: Optional[int]) -> None:
        command = self._nested.pop() if self._nested else None
        if command is not None:
            self._end(command, status)

    def _process_starts(self, _executable: Any, args: Any, folder: Any, _environ: Any) -> None:
        text = commands.of_arguments(args)
        if text is not None:
            self._starts(text, os.fsdecode(folder) if folder else os.getcwd(), "subprocess")

    def _system_starts(self, command: Any) -> None:
        self._starts(os.fsdecode(command), os.getcwd(), "os.system")

    def _starts(self, text: str, folder: str, via: str) -> None:
        """Note a command of which the end is not told: it counts to the end of the cell."""
        if self._runners.running:
            return
        line = commands.read(text)
        if line is not None:
            self._left.append(self._begin(line, text, via, folder, alone=False))

    def _cell_starts(self, info: Any) -> None:
        self._journal.guard("installs", self._script_starts, getattr(info, "raw_cell", "") or "")

    def _script_starts(self, source: str) -> None:
        script = script_of(source)
        line = commands.read(script.body) if script else None
        if script is None or line is None:
            return
        answer = None
        if self._replay and not script.options:
            answer = self._answer(script.body, os.getcwd(), "script")
        if answer is None:
            self._left.append(self._begin(line, script.body, "script"))
        else:
            self._take_magic(answer)

    def _begin(
        self, line: Line, text: str, via: str, folder: Optional[str] = None, *, alone: bool = True
    ) -> _Command:
        """*alone*: nothing of the notebook's own runs until the command ends."""
        command = self._command(line, text, folder or os.getcwd())
        # What an earlier command of the cell changed may have been imported since.
        self._journal.guard("installs", self._tell_changes)
        self._journal.guard("installs", self._files.unseen, self._environment.look, line.kinds)
        facts = {}
        if self._replay:
            facts["why"] = self._why_not(command)
        self._journal.write("command", **self._facts(command), via=via, answered=False, **facts)
        if alone:
            self._files.command_begins(command.asked if line.whole else None)
        return command

    def _end(self, command: _Command, status: Optional[int]) -> None:
        wanted = self._files.unseen(wants.requirements, command.line, command.folder)
        made = wants.targets(command.line, command.folder) or []
        self._files.command_ends(command.asked, made)
        self._tell_end(command, wanted, status)

    def _command(self, line: Line, text: str, folder: str) -> _Command:
        self._number += 1
        return _Command(self._number, line, self._written(text), folder)

    def _facts(self, command: _Command) -> Dict[str, Any]:
        return {
            "n": self._running.n,
            "number": command.number,
            "asked": command.asked,
            "kinds": list(command.line.kinds),
        }

    def _tell_end(self, command: _Command, wanted: wants.Asked, status: Optional[int]) -> None:
        self._journal.write(
            "command-end",
            number=command.number,
            status=status,
            requirements=[self._written(r) for r in wanted.requirements[:_MOST_REQUIREMENTS]],
            elsewhere=wanted.elsewhere,
            unread=[self._written(name) for name in wanted.unread],
        )

    def _written(self, text: str) -> str:
        values = [os.environ[name] for name in self._secrets if os.environ.get(name)]
        return credentials.written(text, self._folder, values)

    def _tell_changes(self) -> bool:
        """Tell what commands changed since the last look; say whether they did."""
        changes = self._files.unseen(self._environment.changes)
        if changes is None or not any(changes.values()):
            return False
        self._journal.write("installed", n=self._running.n, **changes)
        return True

    # -- what is answered in a replay ---------------------------------------------------------

    def _answer(self, text: str, folder: str, via: str) -> Optional[Answer]:
        line = commands.read(text)
        if line is None:
            return None
        command = self._command(line, text, folder)
        if self._why_not(command) is not None:
            return None
        wanted = self._files.unseen(wants.requirements, line, folder)
        status = self._known.get(command.asked, 0)
        self._journal.write(
            "command", **self._facts(command), via=via, answered=True, mixed=not line.whole
        )
        self._tell_end(command, wanted, status)
        return Answer(status=status, instead=line.rest)

    def _why_not(self, command: _Command) -> Optional[str]:
        """Return why *command* has to run for real, None where it can be answered."""
        line = command.line
        if not line.understood:
            return "not-understood"
        if command.asked in self._known:
            return None
        if wants.goes_elsewhere(line, command.folder):
            return "not-here"
        if not set(line.kinds) & set(commands.FETCHES):
            return None
        made = wants.targets(line, command.folder)
        if made and all(os.path.exists(path) for path in made):
            return None
        return "not-here"

    def _take_magic(self, answer: Answer) -> None:
        """Answer the script magic of the cell that begins; the rest of the script, if any, runs."""
        original = self._shell.run_cell_magic

        def run_cell_magic(name: str, line: str, _cell: str) -> Any:
            if answer.instead is None:
                return None
            return original(name, line, answer.instead + "\n")

        self._shell.run_cell_magic = run_cell_magic

    def _give_magic_back(self) -> None:
        self._shell.__dict__.pop("run_cell_magic", None)


class _Module(NamedTuple):
    module: Callable[[], Any]
    spec: int
    place: str


class _Suspect(NamedTuple):
    seen: _Module
    distribution: str
    version: str


class _Environment:
    """What is installed, before an install and after it."""

    def __init__(self) -> None:
        self._before: Optional[Dict[str, Dict[str, Any]]] = None
        self._system: Optional[Dict[str, str]] = None
        self._modules: Dict[str, _Module] = {}
        self._suspects: Dict[str, _Suspect] = {}

    def look(self, kinds: Tuple[str, ...]) -> None:
        """Note the state before a command of these *kinds*."""
        if set(kinds) & set(commands.INSTALLS):
            self._before = _distributions()
            self._modules = _loaded()
        if commands.APT in kinds:
            self._system = _system_packages()

    def changes(self) -> Optional[Dict[str, List[Dict[str, Optional[str]]]]]:
        """Return what changed since the last look, None where nobody looked."""
        if self._before is None:
            return None
        before, after = self._before, _distributions()
        system, self._before = self._system, None
        found = []
        for key in sorted(before.keys() | after.keys()):
            old, new = before.get(key), after.get(key)
            if old is None or new is None or old["state"] != new["state"]:
                some = new or old or {}
                found.append(
                    {
                        "name": some["name"],
                        "before": old and old["version"],
                        "after": new and new["version"],
                    }
                )
                self._suspect(old, new)
        self._modules, self._system = {}, None
        return {"distributions": found, "system": _changed(system, _system_packages())}

    def _suspect(self, old: Optional[Dict[str, Any]], new: Optional[Dict[str, Any]]) -> None:
        if old is None or not self._modules:
            return
        names = {packages.import_name(old["name"])}
        names.update(packages.top_level((new or old)["path"]))
        for name in names:
            seen = self._modules.get(name)
            if seen is not None and seen.place.startswith(old["root"] + os.sep):
                known = self._suspects.get(name)
                if known is None or not _are_one(known.seen, seen):
                    self._suspects[name] = _Suspect(seen, old["name"], str(old["version"]))

    def stale(self) -> List[Dict[str, Optional[str]]]:
        """Return the modules of replaced distributions that are still the ones loaded before."""
        if not self._suspects:
            return []
        now, found = _distributions(), []
        for name, suspect in sorted(self._suspects.items()):
            on_disk = now.get(packages.normal(suspect.distribution), {}).get("version")
            if on_disk != suspect.version and _is_same(name, suspect.seen, on_disk):
                found.append(
                    {
                        "module": name,
                        "distribution": suspect.distribution,
                        "memory": suspect.version,
                        "disk": on_disk,
                    }
                )
        return found


def _distributions() -> Dict[str, Dict[str, Any]]:
    """Return the distributions by name, the one that imports find first where there are two."""
    found: Dict[str, Dict[str, Any]] = {}
    for one in packages.collect()["distributions"]:
        key = packages.normal(one["name"])
        if key and key not in found:
            found[key] = dict(one, state=(one["version"], _changed_at(one["path"])))
    return found


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _loaded() -> Dict[str, _Module]:
    """Return the top-level modules that lie in files, without keeping them alive.

    A namespace package lies in none, and is no one's.
    """
    found = {}
    for name, module in list(sys.modules.items()):
        if "." in name:
            continue
        try:
            facts = module.__dict__
            place = facts.get("__file__")
            if isinstance(place, str):
                found[name] = _Module(weakref.ref(module), id(facts.get("__spec__")), place)
        except Exception:
            continue
    return found


def _are_one(one: _Module, other: _Module) -> bool:
    return one.module() is other.module() and one.spec == other.spec


def _is_same(name: str, seen: _Module, on_disk: Optional[str]) -> bool:
    """Say whether the module *name* is the object seen before, and was not loaded again."""
    module = sys.modules.get(name)
    if module is None or seen.module() is not module:
        return False
    facts = module.__dict__
    version = facts.get("__version__")
    if isinstance(version, str) and on_disk is not None and version == on_disk:
        return False
    return id(facts.get("__spec__")) == seen.spec


def _system_packages() -> Dict[str, str]:
    """Return the versions of the packages that dpkg has installed, by name."""
    try:
        with io.open(_DPKG, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return {}
    pattern = r"^Package: (\S+)\nStatus: \S+ \S+ installed\n(?:.+\n)*?Version: (\S+)"
    return dict(re.findall(pattern, text, re.MULTILINE))


def _changed(
    before: Optional[Dict[str, str]], after: Dict[str, str]
) -> List[Dict[str, Optional[str]]]:
    if before is None:
        return []
    names = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    return [
        {"name": name, "before": before.get(name), "after": after.get(name)}
        for name in names[:_MOST_PACKAGES]
    ]
