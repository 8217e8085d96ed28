"""The part of reprolock that runs inside a notebook's kernel.

Standard library only, Python 3.8 and newer, IPython 7 and newer. It is loaded from its own
folder under the name ``_reprolock_recorder`` (see ``reprolock.kernel``), so that nothing has to
be installed where the notebook runs, and it imports nothing of the rest of reprolock.

What it sees is written to a journal, one JSON object a line, as it happens. Its own failures
become ``trouble`` events and never reach the notebook.

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

import sys
from typing import Any

from . import session

__all__ = ["active", "finish", "mark", "metric", "start"]


def start(config: str) -> None:
    """Begin to record the running kernel.

    *config* is a JSON object: ``journal`` and ``folder`` (absolute paths), ``metrics`` (a list
    of objects with ``name``, ``expression`` and ``after``, an ordinal or null).
    """
    session.start(config, __name__)


def finish() -> None:
    """Write what is known at the end of the run, take every hook out and forget the session."""
    if session.finish():
        sys.modules.pop(__name__, None)


def active() -> bool:
    """Say whether a run is being recorded now."""
    return session.current() is not None


def metric(name: str, value: Any) -> None:
    """Record *value* as the metric *name* of the running cell. Never raises."""
    running = session.current()
    if running is not None:
        running.journal.guard("metric", running.metrics.given, name, value)


def mark(kind: str, **facts: Any) -> None:
    """Record that the notebook named something: a checkpoint, a model, a wish to capture."""
    running = session.current()
    if running is not None:
        running.journal.guard("mark", running.mark, kind, facts)
