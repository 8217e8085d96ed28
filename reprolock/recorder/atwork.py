"""What the notebook has at work beside the cell that runs: threads, tasks, child processes."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import Any, Iterator, List, Tuple

from . import callers

_MACHINERY = (*callers.MACHINERY, "debugpy", "tqdm", "pydevd", "_pydevd_bundle", "google")
_NAMES = ("IOPub", "Heartbeat", "Control", "IPythonHistory")
_NO_LOOP = object()
# Processes that wait for work, or watch over what others leave: loky is joblib's.
_IDLE = (b"resource_tracker", b"semaphore_tracker", b"multiprocessing.forkserver", b".loky.")


def threads() -> List[str]:
    """Return the names of the threads that the notebook started."""
    return [one.name for one in threading.enumerate() if _is_users_thread(one)]


def _is_users_thread(thread: Any) -> bool:
    """Say whether a thread was started by the notebook, not by the kernel's machinery."""
    if thread in (threading.current_thread(), threading.main_thread()) or not thread.is_alive():
        return False
    target = getattr(thread, "_target", None)
    if target is not None and getattr(target, "__self__", None) is _loop_of_scripts():
        return False
    if any(map(_is_machinery, (type(thread).__module__, getattr(target, "__module__", None)))):
        return False
    return not thread.name.startswith(_NAMES)


def _loop_of_scripts() -> Any:
    """Return the loop that IPython starts, and keeps, for its first ``%%bash`` or ``%%script``."""
    shells: Any = sys.modules.get("IPython.core.interactiveshell")
    try:
        # Asking for it in another way imports modules, which a cell may have taken away.
        magics = shells.InteractiveShell._instance.magics_manager.registry["ScriptMagics"]
    except (AttributeError, ImportError, KeyError, TypeError):
        return _NO_LOOP
    return getattr(magics, "event_loop", None) or _NO_LOOP


def _is_machinery(module: Any) -> bool:
    return str(module or "").partition(".")[0] in _MACHINERY


def tasks() -> List[str]:
    """Return the names of the coroutines that wait in this thread's loop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return []
    try:
        running = asyncio.current_task()
        every = asyncio.all_tasks()
    except RuntimeError:
        return []  # No loop runs in this thread.
    return sorted(_name_of(one) for one in every if one is not running and _is_users_task(one))


def _is_users_task(task: Any) -> bool:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame is not None and not _is_machinery(callers.module(frame)) and not task.done()


def _name_of(task: Any) -> str:
    return str(getattr(task.get_coro(), "__qualname__", "") or "task")


def processes() -> List[str]:
    """Return the names of this process's children, as the system or multiprocessing has them."""
    known = dict(_of_multiprocessing())
    return [known.get(pid) or name for pid, name, line in _children() if not _is_no_work(line)]


def has_children() -> bool:
    """Say whether a child process of this one lives; the debugger's is none of the notebook."""
    return any(b"debugpy" not in line for _pid, _name, line in _children())


def _is_no_work(line: bytes) -> bool:
    return b"debugpy" in line or any(idle in line for idle in _IDLE)


def _of_multiprocessing() -> Iterator[Tuple[int, str]]:
    """``active_children`` would tidy up after those that have ended, so it is not asked."""
    module = sys.modules.get("multiprocessing.process")
    for one in tuple(getattr(module, "_children", ())):
        yield one.pid, str(one.name)


def _children() -> Iterator[Tuple[int, str, bytes]]:
    own = os.getpid()
    for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        try:
            with io.open("/proc/{}/stat".format(name), "rb") as file:
                head, _, rest = file.read().rpartition(b")")
            state, parent = rest.split()[:2]
            if int(parent) != own or state in (b"Z", b"X"):
                continue
            with io.open("/proc/{}/cmdline".format(name), "rb") as file:
                yield int(name), head.partition(b"(")[2].decode("utf-8", "replace"), file.read()
        except (OSError, ValueError):
            continue
