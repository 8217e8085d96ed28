"""reprolock: capture a notebook run, rebuild its environment elsewhere, verify that it holds.

The functions here are for notebooks. After ``%load_ext reprolock``, or while ``reprolock capture``
or ``verify`` records a run, they tell the recorder in the kernel; otherwise they do nothing, so
that a notebook runs as it is.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__version__ = "0.1.0"
__all__ = ["__version__", "capture", "checkpoint", "metric", "model"]


def _recorder() -> Any:
    """Return the recorder at work in this process, None where there is none."""
    recorder = sys.modules.get("_reprolock_recorder")
    return recorder if recorder is not None and recorder.active() else None


def metric(name: str, value: Any) -> None:
    """Record *value*, a number, boolean or string, as the metric *name* of the running cell."""
    if (recorder := _recorder()) is not None:
        recorder.metric(name, value)


def capture(
    *, output: str | None = None, metrics: Mapping[str, str] | None = None, offline: bool = False
) -> dict[str, Any] | None:
    """Write the lock of this kernel, show the summary and return the result (as ``--json``).

    *output*: where the lock goes, ``pylock.NAME.toml`` beside the notebook by default; *metrics*:
    name -> Python expression; *offline*: ask no package index. In a kernel where nothing is
    recorded yet, recording begins here. In a run that is recorded from outside, which writes its
    lock itself, it returns None.
    """
    if _recorder() is None:
        _start()
    recorder = _recorder()
    if recorder is None:
        return None
    wanted = [] if output is None else ["--output", os.fspath(output)]
    for name, expression in (metrics or {}).items():
        recorder.evaluate(name, expression)
    result: dict[str, Any] | None = recorder.capture([*wanted, *(["--offline"] if offline else [])])
    return result


def checkpoint(path: Any) -> None:
    """Mark the file or folder *path* as a checkpoint: what is read of it again is no new input."""
    _mark("checkpoint", path)


def model(value: Any) -> None:
    """Mark *value*, a path or the model itself, as a model that the run made."""
    _mark("model", value)


def _mark(kind: str, value: Any) -> None:
    if (recorder := _recorder()) is not None:
        recorder.mark_value(kind, value)


def load_ipython_extension(shell: Any) -> None:  # noqa: ARG001  the recorder asks for it itself
    """Record this kernel from here on; ``%reprolock`` says how to go on."""
    if _recorder() is None:
        _start()
    if (recorder := _recorder()) is not None:
        recorder.register_magic()


def unload_ipython_extension(shell: Any) -> None:  # noqa: ARG001
    """Stop recording; what was seen stays in the journal."""
    if (recorder := _recorder()) is not None:
        recorder.unregister_magic()
        recorder.finish_living()


def _start() -> None:
    try:
        if getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)() is None:
            raise RuntimeError("this is no notebook and no IPython")  # noqa: TRY301
        from reprolock.kernel import living

        living.start()
    except Exception as exc:  # noqa: BLE001  the notebook goes on without a recorder
        sys.stderr.write(f"reprolock: nothing is recorded: {exc}\n")
