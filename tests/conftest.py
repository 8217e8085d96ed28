"""What every test may ask for: the command as a process, a shared cache, environments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from reprolock.lock.model import content_digest
from tests.real import CACHE, ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Without byte code every import of a test's kernel compiles anew: ten seconds for scikit-learn.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The same examples in every run of `make test`; `make test-all` looks for new ones.
settings.register_profile("repeatable", derandomize=True)

# A shell's background job ignores Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Answer:
    """What a run of the command said. *code* is the exit status, minus the signal where one ended it."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on standard output of a run with ``--json``."""
        try:
            found = json.loads(self.out)
        except ValueError:
            raise AssertionError(f"standard output is not one JSON object:\n{self}") from None
        assert isinstance(found, dict)
        return found

    @property
    def verdict(self) -> str:
        return str(self.json["verdict"])

    def codes(self, severity: str | None = None) -> set[str]:
        return {f["code"] for f in self.json["findings"] if severity in (None, f["severity"])}

    def finding(self, code: str) -> dict[str, Any]:
        found = [f for f in self.json["findings"] if f["code"] == code]
        assert found, f"wanted a finding {code}, found {sorted(self.codes())}\n{self}"
        return dict(found[0])

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.1f} s\n--- out\n{self.out}\n--- err\n{self.err}"


def surroundings(cache: Path, **more: str) -> dict[str, str]:
    """Return the environment variables in which the command runs: the caller's, less what would change it."""
    env = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "MPLBACKEND")
    }
    return {**env, "REPROLOCK_CACHE": str(cache), "NO_COLOR": "1", "COLUMNS": "80", **more}


class Command:
    """Runs ``python -m reprolock`` as a person's shell would: another process, another folder."""

    def __init__(self, cwd: Path, cache: Path) -> None:
        self.cwd = cwd
        self.cache = cache

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        timeout: float = 300,
    ) -> Answer:
        process = self.start(*arguments, cwd=cwd, env=env, prefix=prefix)
        began = time.monotonic()
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"no answer within {timeout} s\n{out}\n{err}") from None
        return Answer(process.returncode, out, err, time.monotonic() - began)

    def start(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> subprocess.Popen[str]:
        """Start it in a process group of its own, so that a test can send Ctrl-C to all of it."""
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "reprolock", *map(str, arguments)],
            cwd=cwd or self.cwd,
            env=surroundings(self.cache, **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def shared_cache() -> Path:
    """The cache of all tests that do not ask for an empty one, kept between runs: rebuilds are then quick."""
    folder = CACHE / "reprolock"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def cli(tmp_path: Path, shared_cache: Path) -> Command:
    return Command(tmp_path, shared_cache)


@pytest.fixture
def empty_cache_cli(tmp_path: Path) -> Command:
    """The command with a cache of its own that holds nothing yet."""
    return Command(tmp_path, tmp_path / "empty cache")


@pytest.fixture(scope="session")
def bare_python() -> Path:
    """An environment of the running Python version with ipykernel and nothing else asked for."""
    return environment(RUNNING, ["ipykernel==6.31.0"])


@pytest.fixture(scope="session")
def numpy_python() -> Path:
    return environment(RUNNING, ["ipykernel==6.31.0", "numpy==2.2.6"])


@pytest.fixture(scope="session")
def demo_python() -> Path:
    return environment(RUNNING, demo_requirements())


@pytest.fixture(scope="session")
def other_demo_python() -> Path:
    """As the demo's, with another scikit-learn."""
    return environment(RUNNING, demo_requirements("requirements-other.txt"))


def demo_requirements(name: str = "requirements.txt") -> list[str]:
    lines = (ROOT / "fixtures" / "demo" / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A copy of the demo's folder, to be changed at will."""
    folder = tmp_path / "demo"
    shutil.copytree(
        ROOT / "fixtures" / "demo", folder, ignore=shutil.ignore_patterns("pylock.*", "__pycache__")
    )
    return folder


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    return contents


def toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def rewrite(lock: Path, old: str, new: str) -> None:
    """Change a lock and its digest with it, as a forger or another machine's capture would."""
    text = lock.read_text(encoding="utf-8")
    assert old in text
    text = text.replace(old, new)
    document = toml(text)
    digest = document["tool"]["reprolock"]["digest"]
    lock.write_text(text.replace(digest, content_digest(document)), encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below *folder*, by its path there."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
