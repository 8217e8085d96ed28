"""The part of reprolock that runs inside a notebook's kernel.

Standard library only, Python 3.8 and newer, IPython 7 and newer. It is loaded from its own
folder under the name ``_reprolock_recorder`` (see ``reprolock.kernel``), so that nothing has to
be installed where the notebook runs, and it imports nothing of the rest of reprolock.

What it sees is written to a journal, one JSON object a line, as it happens. Its own failures
become ``trouble`` events and never reach the notebook. Files are opened by ``io.open``: a cell may
rebind the builtin.

What it does not see:

* random streams: ``torch.set_rng_state`` counts neither as a seed nor as a reason to call the
  stream seeded; draws from TensorFlow, from torch's CUDA and MPS generators and in forked or
  spawned processes; ``os.urandom``, ``uuid.uuid1`` and ``uuid.uuid4`` where a library and not
  the notebook's own code calls them (ipykernel does for its own messages, in the same thread);
  values of ``numpy.random.RandomState(seed)`` and ``random.Random(seed)``
* data: files that native code or child processes open outside the notebook's folder and the
  folders that Python code opened a file in; files in hidden folders that Python code did not
  open; renamed folders (only files are told); whatever comes over the network
* child processes: their draws, seeds and metrics
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional

from . import session

__all__ = [
    "active",
    "capture",
    "evaluate",
    "finish",
    "finish_living",
    "mark",
    "mark_value",
    "metric",
    "register_magic",
    "start",
    "unregister_magic",
]


def start(config: str) -> None:
    """Begin to record the running kernel.

    *config* is a JSON object: ``journal`` and ``folder`` (absolute paths), ``metrics`` (a list
    of objects with ``name``, ``expression`` and ``after``, an ordinal or null); where the kernel
    lives already and goes on after the capture, ``command``, which starts ``reprolock``.
    """
    session.start(config, __name__)


def finish() -> None:
    """Write what is known at the end of the run, take every hook out and forget the session."""
    if session.finish():
        for name in [one for one in sys.modules if one.startswith(__name__ + ".")]:
            del sys.modules[name]
        sys.modules.pop(__name__, None)


def active() -> bool:
    """Say whether a run is being recorded now."""
    return session.current() is not None


def metric(name: str, value: Any) -> None:
    """Record *value* as the metric *name* of the running cell. Never raises."""
    running = session.current()
    if running is not None:
        running.journal.guard("metric", running.metrics.given, name, value)


def capture(arguments: List[str]) -> Optional[Dict[str, Any]]:
    """Write the lock of a living kernel and return the result; None elsewhere."""
    __tracebackhide__ = True
    running = session.current()
    if running is None:
        return None
    try:
        return running.capture(arguments)
    except Exception as exc:
        running.journal.trouble("capture", exc)
        return None
    except KeyboardInterrupt as exc:  # At once: what follows the call must not run.
        raise exc.with_traceback(None) from None


def evaluate(name: str, expression: str) -> None:
    """Record the value of *expression* in the notebook's namespace as the metric *name*."""
    running = session.current()
    if running is not None:
        running.journal.guard("metric", running.metrics.now, name, expression)


def finish_living() -> None:
    """Finish where ``%load_ext`` began it; a run that is recorded from outside goes on."""
    running = session.current()
    if running is not None and running.is_living:
        finish()


def register_magic() -> None:
    """Make ``%reprolock`` known to the shell that is recorded."""
    running = session.current()
    if running is not None:
        running.journal.guard("magic", running.magic.register)


def unregister_magic() -> None:
    running = session.current()
    if running is not None:
        running.journal.guard("magic", running.magic.unregister)


def mark(kind: str, **facts: Any) -> None:
    """Record that the notebook named something: a checkpoint, a model, a wish to capture."""
    running = session.current()
    if running is not None:
        running.journal.guard("mark", running.mark, kind, facts)


def mark_value(kind: str, value: Any) -> None:
    """Record that *value* is a checkpoint or a model: a path, or the object itself."""
    if isinstance(value, (str, os.PathLike)):
        mark(kind, path=os.path.abspath(os.fspath(value)))
    else:
        mark(kind, type="{}.{}".format(type(value).__module__, type(value).__qualname__))
