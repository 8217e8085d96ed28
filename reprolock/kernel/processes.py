"""Finds the kernel that a command was started from, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.recorder.system import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMED = re.compile(r"kernel-(?:v\d+-)?(.+)\.json$")


@dataclass(frozen=True)
class KernelProcess:
    """A process that may be a kernel. *connection* is its connection file, None where it has none;
    *started* in seconds since the epoch; *environ* its environment variables when it started.
    """

    pid: int
    argv: tuple[str, ...]
    started: float
    folder: Path | None = None
    connection: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_kernel(self) -> bool:
        return self.connection is not None

    @property
    def id(self) -> str | None:
        """The id by which a server knows the kernel: it is in its connection file's name."""
        found = _NAMED.search(self.connection.name) if self.connection else None
        return found.group(1) if found else None

    @property
    def identity(self) -> str | None:
        """What no other process has, as the recorder tells it: see its ``system.process``."""
        return process(self.pid)

    @property
    def python(self) -> Path | None:
        """The interpreter as it was called: an environment's is a link that keeps its name."""
        import psutil

        first = Path(self.argv[0]) if self.argv else None
        if first is not None and first.is_absolute() and first.exists():
            return first
        environment = self.environ.get("VIRTUAL_ENV")
        if environment and (Path(environment) / "bin" / "python").exists():
            return Path(environment) / "bin" / "python"
        try:
            return Path(psutil.Process(self.pid).exe())
        except psutil.Error:
            return None

    def open_files(self) -> list[str]:
        """Return the regular files that it has open or mapped, as absolute paths."""
        import psutil

        found: set[str] = set()
        process = psutil.Process(self.pid) if psutil.pid_exists(self.pid) else None
        for look in ("open_files", "memory_maps"):
            with contextlib.suppress(psutil.Error, OSError, AttributeError):
                found.update(entry.path for entry in getattr(process, look)())
        return sorted(path for path in found if path.startswith("/"))


def ancestors() -> Iterator[KernelProcess]:
    """Yield the processes that this one was started from, the nearest first."""
    import psutil

    try:
        parents = psutil.Process().parents()
    except (psutil.Error, OSError):
        return
    for parent in parents:
        with contextlib.suppress(psutil.Error, OSError):
            argv = tuple(parent.cmdline())
            yield KernelProcess(
                parent.pid,
                argv,
                parent.create_time(),
                _folder(parent),
                _connection(argv),
                _environ(parent),
            )


def _folder(process: Any) -> Path | None:
    import psutil

    try:
        return Path(process.cwd())
    except (psutil.Error, OSError):
        return None


def _environ(process: Any) -> dict[str, str]:
    import psutil

    try:
        return dict(process.environ())
    except (psutil.Error, OSError):
        return {}


def _connection(argv: tuple[str, ...]) -> Path | None:
    """Return the connection file that a kernel's command line names: JSON that gives its ports."""
    for part in argv[1:]:
        path = Path(part.partition("=")[2] or part)
        if path.suffix != ".json":
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and "shell_port" in content:
            return path
    return None
