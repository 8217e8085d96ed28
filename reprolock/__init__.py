"""reprolock: capture a notebook run, rebuild its environment elsewhere, verify that it holds.

The functions here are for notebooks. While ``reprolock capture`` or ``verify`` records a run they
tell the recorder in the kernel; otherwise they do nothing, so that a notebook runs as it is.
"""

from __future__ import annotations

import sys
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "capture", "checkpoint", "metric", "model"]

_MAGIC = "reprolock"


def _recorder() -> Any:
    return sys.modules.get("_reprolock_recorder")


def metric(name: str, value: Any) -> None:
    """Record *value*, a number, boolean or string, as the metric *name* of the running cell."""
    if (recorder := _recorder()) is not None:
        recorder.metric(name, value)


def capture(**options: Any) -> None:  # noqa: ARG001  those of the command, which records the run
    """Mark the cell that asks for a lock. The lock is written by ``reprolock capture NOTEBOOK``."""
    _mark("capture")


def checkpoint(path: Any) -> None:
    """Mark the file or folder *path* as a checkpoint."""
    _mark("checkpoint", path=str(path))


def model(value: Any) -> None:
    """Mark *value* as a model."""
    _mark("model", type=f"{type(value).__module__}.{type(value).__qualname__}")


def _mark(kind: str, **facts: Any) -> None:
    if (recorder := _recorder()) is not None:
        recorder.mark(kind, **facts)


def load_ipython_extension(shell: Any) -> None:
    """Let ``%reprolock`` lines run; what they ask is marked where a run is being recorded."""

    def magic(line: str) -> None:
        _mark("magic", line=line)

    shell.register_magic_function(magic, "line", _MAGIC)


def unload_ipython_extension(shell: Any) -> None:
    shell.magics_manager.magics["line"].pop(_MAGIC, None)
