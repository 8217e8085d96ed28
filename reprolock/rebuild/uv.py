"""uv as the installer."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from reprolock.process import Completed, run

if TYPE_CHECKING:
    from collections.abc import Sequence

# uv knows nothing of the credentials in pip's configuration, so 401 is for pip to try.
_UNABLE = re.compile(
    r"401 Unauthorized|panicked|unexpected argument|unrecognized subcommand|unsupported.*pylock|"
    r"Expected one of.*requirements|Couldn't parse requirement in `pylock",
    re.IGNORECASE,
)


def uv_binary() -> Path | None:
    """Return uv of the ``uv`` package, else that of ``PATH``; None without either."""
    try:
        import uv

        found = Path(uv.find_uv_bin())
    except (ImportError, OSError):
        on_path = shutil.which("uv")
        return Path(on_path) if on_path else None
    return found if found.is_file() else None


def make_venv(uv: Path, python: Path, root: Path) -> Completed:
    """Make an empty environment of the interpreter *python* at *root*."""
    command: list[str | Path] = [uv, "venv", "--quiet", "--no-project", "--no-python-downloads"]
    command += ["--python", python, root]
    return run(command, env=_environment(), cwd=root.parent)


def sync(
    uv: Path,
    python: Path,
    lock: Path,
    *,
    offline: bool,
    wheels: Sequence[str],
    link_mode: str = "copy",
    fresh: bool = False,
) -> Completed:
    """Install what the pylock file *lock* holds into the environment of *python*.

    The projects named in *wheels* may not be built. With *link_mode* ``copy``, an environment in
    which a notebook writes does not reach uv's cache. *fresh*: do not use that cache at all.
    """
    command: list[str | Path] = [uv, "pip", "sync", "--python", python, "--link-mode", link_mode]
    for name in wheels:
        command += ["--only-binary", name]
    if offline:
        command.append("--offline")
    if fresh:
        command += ["--no-cache", "--reinstall"]
    return run([*command, lock], env=_environment(), cwd=lock.parent, timeout=None)


def install_cached(
    uv: Path, python: Path, lock: Path, target: Path | None = None, link_mode: str = "symlink"
) -> Completed:
    """Install what the pylock file *lock* holds from uv's cache alone: into the folder *target*, or
    beside what is there into the environment of *python*.
    """
    command: list[str | Path] = [uv, "pip", "install", "--offline", "--no-deps", "--python", python]
    command += ["--link-mode", link_mode]
    if target is not None:
        command += ["--target", target]
    return run([*command, "-r", lock], env=_environment(), cwd=lock.parent)


def is_unable(done: Completed) -> bool:
    """Whether uv failed for a reason of its own, so that another installer may do better."""
    return done.code < 0 or done.code > 2 or bool(_UNABLE.search(done.err))  # noqa: PLR2004


def _environment() -> dict[str, str]:
    """Leave the settings of the user (indexes, certificates), but not those of one environment."""
    dropped = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_CONSTRAINT", "UV_OVERRIDE",
               "UV_PROJECT_ENVIRONMENT", "UV_LINK_MODE", "UV_COMPILE_BYTECODE", "PYTHONPATH",
               "PYTHONHOME", "UV_EXCLUDE_NEWER", "UV_REQUIRE_HASHES")  # fmt: skip
    return {**{k: v for k, v in os.environ.items() if k not in dropped}, "NO_COLOR": "1"}
