"""reprolock: capture a notebook run, rebuild its environment elsewhere, verify that it holds.

In a notebook, `metric` names a value that a re-run must meet.
"""

from __future__ import annotations

import sys
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "metric"]


def metric(name: str, value: Any) -> Any:
    """Record *value* (a number, boolean or string) as the metric *name* and return it unchanged.

    Does nothing but return where no run is being recorded.
    """
    recorder = sys.modules.get("_reprolock_recorder")
    if recorder is not None:
        recorder.metric(name, value)
    return value


def load_ipython_extension(shell: Any) -> None:
    """Answer ``%load_ext reprolock`` while a run is being recorded by ``reprolock capture``."""
    recorder = sys.modules.get("_reprolock_recorder")
    if recorder is not None:
        recorder.load_extension(shell)
