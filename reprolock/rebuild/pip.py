"""pip as the installer, where uv is absent or cannot do it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from reprolock.facts.packages import ArchiveSource, LockedPackage, VcsSource
from reprolock.process import Completed, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def make_venv(python: Path, root: Path) -> Completed:
    """Make an empty environment of the interpreter *python* at *root*."""
    return run([python, "-m", "venv", "--without-pip", root], env=_environment(), cwd=root.parent)


def install(python: Path, packages: Sequence[LockedPackage], folder: Path) -> Completed:
    """Install *packages* into the environment of *python* by reprolock's own pip.

    Each from its address with its hash, and nothing else. pip refuses hashes beside
    repositories, so those, pinned by their commits, are installed in a second run.
    """
    hashed = [p for p in packages if not isinstance(p.source, VcsSource)]
    repositories = [p for p in packages if isinstance(p.source, VcsSource)]
    done = Completed(0, "", "")
    for chosen, options in ((hashed, ("--require-hashes",)), (repositories, ())):
        if chosen and done.ok:
            done = _run(python, chosen, folder, options)
    return done


def _run(
    python: Path, packages: Sequence[LockedPackage], folder: Path, options: Sequence[str]
) -> Completed:
    file = folder / "requirements.txt"
    file.write_text("".join(requirement(package) + "\n" for package in packages), encoding="utf-8")
    built = [package.name for package in packages if package.built]
    command: list[str | Path] = [
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-compile",
        "--disable-pip-version-check", "--no-input", "--only-binary", ":all:", *options,
    ]  # fmt: skip
    for name in built:
        command += ["--no-binary", name]
    return run([*command, "-r", file], env=_environment(), cwd=folder, timeout=None)


def requirement(package: LockedPackage) -> str:
    """Return the line of a requirements file for *package*."""
    source = package.source
    if isinstance(source, VcsSource):
        place = f"#subdirectory={source.subdirectory}" if source.subdirectory else ""
        return f"{package.name} @ {source.type}+{source.url}@{source.commit_id}{place}"
    place = ""
    if isinstance(source, ArchiveSource) and source.subdirectory:
        place = f"#subdirectory={source.subdirectory}"
    return f"{package.name} @ {source.url}{place} --hash=sha256:{source.sha256}"


def _environment() -> dict[str, str]:
    dropped = ("PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PYTHONPATH",
               "PYTHONHOME", "VIRTUAL_ENV", "PIP_CONSTRAINT")  # fmt: skip
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    # Constraints of this machine must not reach an environment that is pinned file by file.
    return {**kept, "PIP_CONSTRAINT": os.devnull, "NO_COLOR": "1"}
