"""Measure identification and rebuild of a real environment: ``python -m benchmarks.packages``.

An environment of more than a hundred real distributions is made, identified with an empty and with
a full cache, and rebuilt, beside ``uv pip sync`` of the same files into a fresh environment. What
was rebuilt is held against the original file by file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.facts import interpreter, packages
from reprolock.facts.packages import index
from reprolock.process import run
from reprolock.rebuild import How, rebuild
from reprolock.rebuild.check import site_packages
from reprolock.rebuild.uv import uv_binary
from tests.conftest import RUNNING
from tests.real import environment

if TYPE_CHECKING:
    from collections.abc import Callable

# Wheels of all kinds: pure, compiled, with scripts, with data outside of the package.
REQUIREMENTS = (
    "numpy", "pandas", "scipy", "scikit-learn", "statsmodels", "lightgbm", "matplotlib", "seaborn",
    "jupyter-server", "nbconvert", "ipywidgets", "pyarrow", "polars", "plotly", "altair",
    "sqlalchemy", "requests", "httpx", "aiohttp", "beautifulsoup4", "lxml", "openpyxl", "h5py",
    "networkx", "sympy", "pillow", "tqdm", "rich", "click", "pydantic", "fastapi", "uvicorn",
    "pytest", "hypothesis", "black", "ruff", "mypy", "cryptography", "boto3", "fsspec",
)  # fmt: skip

_LIST = """
import importlib.metadata as m, json
print(json.dumps([{"name": d.metadata["Name"], "version": d.version, "path": str(d._path),
                   "root": str(d._path.parent)} for d in m.distributions()]))
"""
_PROBE = """
import json
from reprolock.recorder import interpreter
print(json.dumps(interpreter.collect()))
"""


@dataclass(frozen=True)
class Figures:
    """Times in seconds. *same*: the rebuilt files equal the original's, by the stated rule."""

    distributions: int
    identified: int
    cold: float
    fetched: int
    warm: float
    sync: float
    rebuilt: float
    found_again: float
    same: bool


def measure(work: Path) -> Figures:
    python = environment(RUNNING, REQUIREMENTS)
    listed = json.loads(run([python, "-c", _LIST]).out)
    counter = _Counting()
    cold, found = _timed(lambda: _identified(listed, work / "cache", counter))
    warm, again = _timed(lambda: _identified(listed, work / "cache", index.Client()))
    if again != found:
        raise RuntimeError("a second identification gave another answer")
    known = replace(found, unresolved=())
    here = _interpreter()
    rebuild(known, here, How(cache=work / "first"))  # so that uv's cache is warm for both
    best_sync = min(_sync(work, found_in, n) for n, found_in in enumerate([_lock_of(work)] * 3))
    best_rebuild, made = min(
        (_timed(lambda n=n: rebuild(known, here, How(cache=work / f"cache{n}"))) for n in range(3)),
        key=lambda pair: pair[0],
    )
    found_again, _ = _timed(lambda: rebuild(known, here, How(cache=work / "cache0")))
    return Figures(
        distributions=len(listed),
        identified=len(found.packages),
        cold=cold,
        fetched=counter.bytes,
        warm=warm,
        sync=best_sync,
        rebuilt=best_rebuild,
        found_again=found_again,
        same=_files(made.root) == _files(python.parent.parent),
    )


class _Counting(index.Client):
    """Counts what the bodies of all answers hold, as their headers say."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def get(self, *args: Any, **options: Any) -> Any:
        answer = super().get(*args, **options)
        self.bytes += int(answer.headers.get("content-length") or 0)
        return answer


def _identified(listed: Any, cache: Path, client: index.Client) -> packages.Packages:
    found, _ = packages.collect(listed, cache=cache, client=client, hash_installed=False)
    return found


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    answer = work()
    return time.perf_counter() - begun, answer


def _interpreter() -> interpreter.Interpreter:
    event = json.loads(run([sys.executable, "-c", _PROBE]).out)
    return interpreter.parse(event)


def _lock_of(work: Path) -> Path:
    return next((work / "first" / "environments").glob("*/pylock.environment.toml"))


def _sync(work: Path, lock: Path, number: int) -> float:
    """Do what a user would: make an environment, and let uv install the same files into it."""
    uv = uv_binary()
    root = work / f"sync{number}"
    if uv is None:
        raise RuntimeError("uv is not here")
    begun = time.perf_counter()
    run([uv, "venv", "--quiet", "--no-project", "--python", sys.executable, root])
    command = [uv, "pip", "sync", "--quiet", "--link-mode", "copy", "--offline", "--python"]
    done = run([*command, root / "bin" / "python", lock])
    if not done.ok:
        raise RuntimeError(done.err)
    return time.perf_counter() - begun


def _files(root: Path) -> dict[str, str]:
    """Return the digests of the files among the packages: all but byte code and what installers
    write of themselves.
    """
    folder = site_packages(root)
    if folder is None:
        return {}
    own = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name not in own
        and not path.name.startswith("_virtualenv")
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.packages", description=__doc__.splitlines()[0]
    )
    parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    work = Path(tempfile.mkdtemp(prefix="reprolock-bench-"))
    try:
        found = measure(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for key, value in vars(found).items():
        print(f"{key:15} {value if isinstance(value, (int, bool)) else format(value, '.2f')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
