"""Finding the interpreter that a lock names, by asking those that are on the machine."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_file
from reprolock.errors import InterpreterMissingError
from reprolock.finding import Finding, warning
from reprolock.process import run
from reprolock.rebuild.uv import uv_binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from reprolock.facts.interpreter import Interpreter

_PROBE = """
import json, platform, sys, sysconfig
level = sys.version_info.releaselevel
stage = {"final": "", "alpha": "a", "beta": "b", "candidate": "rc"}[level]
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d.%d" % sys.version_info[:3]
        + (stage + str(sys.version_info.serial) if stage else ""),
    "build": list(platform.python_build()),
    "platform": sysconfig.get_platform(),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "debug": hasattr(sys, "gettotalrefcount"),
    "venv": sys.prefix != sys.base_prefix,
}))
"""
_PROBE_SECONDS = 20
#: Where interpreters come from, in the order in which they are looked for: the one that runs
#: reprolock, uv's own, pyenv's, those on the path and in the system's folders, conda's.
KINDS = ("own", "uv", "pyenv", "system", "conda")
_VERSION_IN_NAME = re.compile(r"(?:python|pypy)?-?(\d+\.\d+)(?:\.\d+)?[a-z]*\Z")


@dataclass(frozen=True)
class Found:
    """An interpreter on this machine. *facts* are the keys of the probe."""

    path: Path
    version: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """The interpreter to build with, and what is said where it is not the exact one."""

    found: Found
    substitutions: tuple[dict[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()


def choose(wanted: Interpreter, order: Sequence[str] = KINDS) -> Choice:
    """Return the interpreter for *wanted*: the exact version, else another patch release of it.

    It is looked for among the kinds of *order*, one after the other. Of those with the exact
    version, the one whose binary is that of the lock comes before all. The implementation, minor
    version, ABI and platform must be those of the lock. Raises InterpreterMissingError.
    """
    near: list[Found] = []
    exact: list[Found] = []
    others: set[str] = set()
    for path, real in _all(wanted, order):
        if exact and not _is_binary(real, wanted):
            continue
        found = probe(path)
        if found is None or found.facts["venv"]:
            continue
        others.add(found.version)
        if not _fits(found, wanted):
            continue
        if found.version != wanted.version:
            near.append(found)
        elif not wanted.binary or _is_binary(real, wanted):
            return Choice(found)
        else:
            exact.append(found)
    if exact:
        return Choice(exact[0])
    if not near:
        raise _missing(wanted, others)
    return _substitute(
        min(near, key=lambda found: _distance(found.version, wanted.version)), wanted
    )


def _is_binary(path: Path, wanted: Interpreter) -> bool:
    """Whether the file is the recorded one. That of a shared build says little; see libpython."""
    try:
        return sha256_file(path) == wanted.binary
    except OSError:
        return False


def _substitute(found: Found, wanted: Interpreter) -> Choice:
    return Choice(
        found,
        ({"what": "interpreter", "expected": wanted.version, "observed": found.version},),
        (
            warning(
                "interpreter.patch-substituted",
                f"Python {wanted.version} is not on this machine; rebuilt with {found.version}",
                subject="python",
                expected=wanted.version,
                observed=found.version,
                hint=_how_to_get(wanted),
            ),
        ),
    )


def _missing(wanted: Interpreter, others: set[str]) -> InterpreterMissingError:
    seen = ", ".join(sorted(others, key=_numbers)) or "none"
    return InterpreterMissingError(
        f"wanted {wanted.display_name} for {wanted.platform or 'this machine'}, and no Python "
        f"{wanted.minor} of that kind is on this machine",
        causes=(f"found {seen}",),
        hint=_how_to_get(wanted),
    )


def _how_to_get(wanted: Interpreter) -> str:
    version = wanted.version + ("t" if wanted.free_threaded else "")
    return f"install it with `uv python install {version}` or `pyenv install {version}`"


def _fits(found: Found, wanted: Interpreter) -> bool:
    facts = found.facts
    return (
        facts["implementation"] == wanted.implementation
        and found.version.split(".")[:2] == wanted.minor.split(".")
        and facts["free_threaded"] == wanted.free_threaded
        and facts["debug"] == wanted.debug
        and (not wanted.platform or _machine(facts["platform"]) == _machine(wanted.platform))
    )


def _machine(platform: str) -> tuple[str, str]:
    """Leave out the system's version that macOS puts between the two."""
    parts = platform.split("-")
    return parts[0], parts[-1]


def _distance(version: str, wanted: str) -> tuple[int, int]:
    """Nearest patch release first; of two as near, the newer."""
    step = _patch(version) - _patch(wanted)
    return abs(step), -step


def _patch(version: str) -> int:
    return _numbers(version)[2]


def _numbers(version: str) -> tuple[int, int, int]:
    parts = [int(number) for number in re.findall(r"\d+", version)[:3]]
    first, second, third, *_ = [*parts, 0, 0, 0]
    return first, second, third


def _all(wanted: Interpreter, order: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Yield the candidates with the file behind each, each file once."""
    seen: set[Path] = set()
    for kind in order:
        for path in _CANDIDATES[kind](wanted):
            real = _real(path)
            if real is not None and real not in seen:
                seen.add(real)
                yield path, real


def _own(_wanted: Interpreter) -> Iterator[Path]:
    yield Path(getattr(sys, "_base_executable", None) or sys.executable)


def _pyenv(wanted: Interpreter) -> Iterator[Path]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from _in(_matching(root / "versions", wanted), wanted)


def _system(wanted: Interpreter) -> Iterator[Path]:
    on_path = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    places = (*on_path, Path("/usr/bin"), Path("/usr/local/bin"), *_matching(Path("/opt"), wanted))
    yield from _in(places, wanted)


def _conda(wanted: Interpreter) -> Iterator[Path]:
    """Look into the environments that conda lists in its file, and into its usual folders."""
    home = Path.home()
    listed = home / ".conda" / "environments.txt"
    try:
        known = [Path(line) for line in listed.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError):
        known = []
    named = [Path(os.environ[n]) for n in ("CONDA_PREFIX", "CONDA_ROOT") if os.environ.get(n)]
    roots = [home / name for name in ("miniconda3", "miniforge3", "anaconda3", "micromamba")]
    for root in (*named, *known, *roots, Path("/opt/conda")):
        yield from _in((root / "bin", *_matching(root / "envs", wanted)), wanted)


def _in(folders: Iterable[Path], wanted: Interpreter) -> Iterator[Path]:
    names: tuple[str, ...] = (f"python{wanted.minor}", "python3", "python")
    if wanted.free_threaded:
        names = (f"python{wanted.minor}t", *names)
    if wanted.implementation == "pypy":
        names = (f"pypy{wanted.minor}", "pypy3", *names)
    for folder in folders:
        yield from (folder / name for name in names)


def _matching(folder: Path, wanted: Interpreter) -> list[Path]:
    """Return the ``bin`` folders under *folder*, without those named after another version.

    The exact version comes first.
    """
    try:
        found = sorted(entry.name for entry in folder.iterdir() if (entry / "bin").is_dir())
    except OSError:
        return []
    kept = [
        name
        for name in found
        if (version := _VERSION_IN_NAME.match(name)) is None or version[1] == wanted.minor
    ]
    kept.sort(key=lambda name: wanted.version not in name)
    return [folder / name / "bin" for name in kept]


def _uv(wanted: Interpreter) -> Iterator[Path]:
    uv = uv_binary()
    if uv is None:
        return
    kind = "" if wanted.implementation == "cpython" else wanted.implementation
    env = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    env["UV_PYTHON_DOWNLOADS"] = "never"
    managed = ("--no-project", "--python-preference", "only-managed")
    for version in (wanted.version, wanted.minor):
        request = f"{kind}{version}{'t' if wanted.free_threaded else ''}"
        command: list[str | Path] = [uv, "python", "find", *managed, request]
        done = run(command, env=env, cwd=Path("/"), timeout=_PROBE_SECONDS)
        if done.ok and done.out.strip():
            yield Path(done.out.strip())


def _real(path: Path) -> Path | None:
    """Return the file behind *path*; None for what is no program or a script (such as a shim)."""
    try:
        real = path.resolve(strict=True)
        with real.open("rb") as file:
            return None if file.read(2) == b"#!" or not os.access(real, os.X_OK) else real
    except OSError:
        return None


def probe(path: Path) -> Found | None:
    """Run the interpreter at *path* and return what it is; None where it does not answer."""
    done = run([path, "-I", "-S", "-c", _PROBE], timeout=_PROBE_SECONDS)
    try:
        facts = json.loads(done.out)
        return Found(path, str(facts["version"]), facts)
    except (ValueError, KeyError, TypeError):
        return None


_CANDIDATES: dict[str, Callable[[Interpreter], Iterator[Path]]] = {
    "own": _own,
    "uv": _uv,
    "pyenv": _pyenv,
    "system": _system,
    "conda": _conda,
}
