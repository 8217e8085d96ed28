"""A lock becomes an environment."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_json
from reprolock.errors import RebuildError
from reprolock.facts.packages.index import Client, LinksFolder, LocalIndex, Source
from reprolock.facts.packages.sources import configured_sources
from reprolock.files import cache_dir
from reprolock.rebuild import pip, uv
from reprolock.rebuild.cache import Slot, require_space, slot
from reprolock.rebuild.check import Checked, check, site_packages
from reprolock.rebuild.how import How
from reprolock.rebuild.interpreters import Choice, choose, probe
from reprolock.rebuild.plan import Plan, make_plan, write_lock
from reprolock.rebuild.rescue import rescued
from reprolock.rebuild.whereabouts import Search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reprolock.facts.interpreter import Interpreter
    from reprolock.facts.packages import Packages
    from reprolock.finding import Finding
    from reprolock.process import Completed

    Progress = Callable[[str, int, int], None]

_FORMAT = 1
_PLAINLY = How()
# Installed files take about four times the room of their wheels, which are there too for a while.
_ROOM = 5
_ROOM_FOR_VENV = 50_000_000
_POLL_SECONDS = 0.2
_CAUSES = 6
_ORNAMENT = " \t\u00d7\u251c\u2570\u2500\u25b6\u2502\u00b7"  # what uv draws its trees with
_FAILURES = (
    (
        r"(hash|size) mismatch|do not match the hashes|hashes? .*(mismatch|differ)",
        "the file that is served is not the one that was locked: ask whoever runs the index",
    ),
    (r"no space left|disk full|os error 28", "make room, or set REPROLOCK_CACHE to another disk"),
    (
        r"supported wheel|no binary distribution|current platform|(not |in)compatible|no wheels? ",
        "the lock was made on another kind of machine: rebuild on one like it",
    ),
    (
        r"\b40[34]\b|not found|410 gone",
        "the file is gone from where it was: name an index that has it in PIP_EXTRA_INDEX_URL",
    ),
    (
        r"dns|connect|network|timed? ?out|sending request|resolution|offline|proxy|certificate",
        "check the network, or name an index that can be reached from here in PIP_INDEX_URL",
    ),
    (r"failed to build|build backend", "it has no wheel and could not be built here"),
)


@dataclass(frozen=True)
class Environment:
    """A rebuilt environment. *substitutions*: what is not as locked, as JSON objects.

    *cached*: it was there already. *key* names it in the cache.
    """

    python: Path
    root: Path
    cached: bool
    substitutions: tuple[dict[str, str], ...]
    findings: tuple[Finding, ...]
    key: str


def rebuild(
    packages: Packages,
    interpreter: Interpreter,
    how: How = _PLAINLY,
    progress: Progress | None = None,
) -> Environment:
    """Make the environment of *packages* for *interpreter*, or find it in the cache.

    *progress* is called with ``install``, ``check`` or ``wait``, the number of packages done and
    the number of all. The files of an environment, made now or earlier, have been held against the
    lock when it is returned. Where files are gone from where the lock names them, see ``rescue``.

    Raises RebuildError, and InterpreterMissingError where the machine has no such Python.
    """
    say: Progress = progress or (lambda _what, _done, _all: None)
    plan = make_plan(packages, how.allow_missing, lambda: _sources(how), how.at_hand)
    choice = choose(interpreter, how.kinds)
    try:
        return _environment(plan, choice, how, say)
    except _InstallError as exc:
        other = rescued(plan, _search(how, choice), choice.found, substitutes=how.substitutes)
        if other is None:
            raise exc.failure from exc
    try:
        return _environment(other, choice, how, say)
    except _InstallError as exc:
        raise exc.failure from exc


class _InstallError(Exception):
    """The installer failed, maybe as a file is not where the plan has it. *failure*: its answer."""

    def __init__(self, failure: RebuildError) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _environment(plan: Plan, choice: Choice, how: How, say: Progress) -> Environment:
    how.require_allowed(plan.packages)
    cache = (cache_dir() if how.cache is None else how.cache).absolute()
    key = _key(plan, choice)
    with slot(cache, key, lambda: say("wait", 0, len(plan.packages))) as place:
        job = _Job(plan, choice, place, cache, how, say)
        kept = job.kept()
        checked = kept if kept is not None else job.make()
    return Environment(
        place.python,
        place.root,
        kept is not None,
        (*choice.substitutions, *plan.substitutions),
        (*choice.findings, *plan.findings, *checked.findings),
        key,
    )


def _sources(how: How) -> tuple[Source, ...]:
    found = configured_sources(client=Client())
    near = tuple(s for s in found if isinstance(s, (LinksFolder, LocalIndex)))
    return near if how.offline else tuple(s for s in found if how.may_ask(s.label))


def _search(how: How, choice: Choice) -> Search:
    return Search(
        sources=_sources(how),
        client=Client(),
        at_hand=how.at_hand,
        python=choice.found.path,
        offline=how.offline,
        may_ask=how.may_ask,
    )


def _key(plan: Plan, choice: Choice) -> str:
    found = choice.found
    return sha256_json([_FORMAT, found.facts, str(found.path), plan.pins])


@dataclass(frozen=True)
class _Job:
    plan: Plan
    choice: Choice
    place: Slot
    cache: Path
    how: How
    say: Progress

    @property
    def count(self) -> int:
        return len(self.plan.packages)

    @property
    def memo(self) -> Path:
        return self.cache / "hashed"

    def kept(self) -> Checked | None:
        """Return the check of the environment that is there; None where it has to be made."""
        if self.place.mark() is None or probe(self.place.python) is None:
            return None
        self.say("check", 0, self.count)
        checked = check(self.plan, self.place.root, memo=self.memo)
        self.say("check", self.count, self.count)
        if checked.failures:
            return None
        self.place.use()
        return checked

    def make(self) -> Checked:
        try:
            self.place.clear()
            require_space(self.place.folder, _ROOM * self.plan.download_bytes + _ROOM_FOR_VENV)
            return self._made()
        except OSError as exc:
            raise RebuildError(
                "the environment could not be written", causes=(str(exc),), hint=_hint(str(exc))
            ) from exc

    def _made(self) -> Checked:
        self.say("install", 0, self.count)
        with _watched(self.place.root, self.count, self.say):
            self._install()
        self.say("check", 0, self.count)
        checked = check(self.plan, self.place.root, memo=self.memo)
        reachable = not self.how.offline or self.plan.is_local
        if checked.failures and reachable and self._uv() is not None:
            # An installer's cache is trusted blindly by it, and may hold files that were edited.
            self._sync(offline=self.how.offline, fresh=True)
            checked = check(self.plan, self.place.root, memo=self.memo)
        if checked.failures:
            raise RebuildError(
                "the environment was installed, but is not the one that was locked",
                causes=checked.failures[:_CAUSES],
                hint="clear the installer's cache (`uv cache clean`) and try again",
            )
        self.say("check", self.count, self.count)
        self.place.set_mark({"format": _FORMAT, "python": self.choice.found.version})
        return checked

    # -- installing

    def _uv(self) -> Path | None:
        return None if self.how.installer == "pip" else uv.uv_binary()

    def _install(self) -> None:
        """Install, by uv where that can be. Raises RebuildError, _InstallError."""
        done = self._attempt()
        if done.ok:
            return
        failure = _failure(done, offline=self.how.offline and not self.plan.is_local)
        raise failure if self.how.offline else _InstallError(failure)

    def _attempt(self) -> Completed:
        binary = self._uv()
        if binary is not None:
            done = self._by_uv(binary)
            if done.ok or self.how.installer == "uv" or not uv.is_unable(done):
                return done
        return self._by_pip()

    def _by_uv(self, binary: Path) -> Completed:
        done = self._venv(lambda: uv.make_venv(binary, self.choice.found.path, self.place.root))
        if not done.ok or not self.plan.packages:
            return done
        cached = [p for p in self.plan.packages if p.name in self.plan.cached]
        fetched = [p for p in self.plan.packages if p.name not in self.plan.cached]
        write_lock(fetched, self.place.lock_file)
        # Offline first: online, uv fetches again what its cache already holds by the same hash.
        done = self._sync(offline=True)
        if not done.ok and not self.how.offline:
            done = self._sync(offline=False)
        if not done.ok or not cached:
            return done
        lock = write_lock(cached, self.place.folder / "pylock.cached.toml")
        mode = self.how.link_mode
        return uv.install_cached(binary, self.place.python, lock, link_mode=mode)

    def _sync(self, *, offline: bool, fresh: bool = False) -> Completed:
        binary = uv.uv_binary()
        if binary is None:
            raise RebuildError("uv is gone", hint="install uv, and try again")
        return uv.sync(
            binary, self.place.python, self.place.lock_file, offline=offline,
            wheels=self.plan.wheels, link_mode=self.how.link_mode, fresh=fresh,
        )  # fmt: skip

    def _by_pip(self) -> Completed:
        if self.how.offline and not self.plan.is_local:
            raise RebuildError(
                "pip cannot rebuild an environment without the network",
                hint="install uv, whose cache serves without it",
            )
        done = self._venv(lambda: pip.make_venv(self.choice.found.path, self.place.root))
        if not done.ok:
            return done
        return pip.install(self.place.python, self.plan.packages, self.place.folder)

    def _venv(self, make: Callable[[], Completed]) -> Completed:
        if self.place.root.exists():
            shutil.rmtree(self.place.root)
        return make()


@contextlib.contextmanager
def _watched(root: Path, count: int, say: Progress) -> Iterator[None]:
    """Tell *say* how many packages have arrived while the installer works."""
    over = threading.Event()

    def watch() -> None:
        seen = 0
        while not over.wait(_POLL_SECONDS):
            folder = site_packages(root)
            found = 0 if folder is None else len(list(folder.glob("*.dist-info")))
            if found > seen:
                seen = found
                say("install", min(seen, count), count)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    say("install", count, count)


def _failure(done: Completed, *, offline: bool) -> RebuildError:
    lines = _meaningful(done.err)
    hint = _hint("\n".join(lines)) or _hint(done.err)
    if offline:
        hint = "run it once with the network: without it, only what was installed before is there"
    return RebuildError(
        "the environment could not be rebuilt", causes=lines or ("the installer gave no reason",),
        hint=hint,
    )  # fmt: skip


def _hint(text: str) -> str | None:
    for pattern, hint in _FAILURES:
        if re.search(pattern, text, re.IGNORECASE):
            return hint
    return None


def _meaningful(text: str) -> tuple[str, ...]:
    """Return the last lines of an installer's complaint, without ornament and repetition."""
    lines: list[str] = []
    for line in text.splitlines():
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip(_ORNAMENT)
        plain = re.sub(r"^(ERROR|error|Caused by|cause):\s*", "", plain)
        if lines and plain.startswith("("):  # uv breaks a long line before the address
            lines[-1] += f" {_without_login(plain)}"
            continue
        skipped = (
            "WARNING:",
            "warning:",
            "Using Python",
            "Resolved",
            "[notice]",
            "hint:",
            "Looking in",
        )
        if plain and not plain.startswith(skipped) and plain not in lines:
            lines.append(_without_login(plain))
    return tuple(lines[-_CAUSES:])


def _without_login(line: str) -> str:
    return re.sub(r"(\w://)[^/@\s]+@", r"\1", line)


def as_json(environment: Environment) -> dict[str, Any]:
    """Return the ``environment`` object of a result."""
    return {
        "path": str(environment.root),
        "cached": environment.cached,
        "substitutions": list(environment.substitutions),
    }
