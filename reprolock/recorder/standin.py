"""Answers for ``reprolock`` in the notebook while a run is recorded.

``import reprolock``, ``%load_ext reprolock``, ``%reprolock ...``, ``!reprolock ...`` and
``x = !reprolock ...`` work where reprolock is not installed. Where it is, the real module is
used, and only ``!reprolock capture`` is answered here: it would record the run a second time.
"""

from __future__ import annotations

import functools
import shutil
import sys
from typing import Any, Optional

from .imports import Serving
from .runners import Answer, Runners

NAME = "reprolock"
ANSWER = "reprolock: recorded by the run that is going on"


class StandIn:
    """*package* is the name under which the recorder is loaded; *answering*: a living kernel lets
    ``!reprolock`` do what it says.
    """

    def __init__(self, package: str, runners: Runners, answering: bool) -> None:
        self._package = package
        self._finder = Serving({NAME: self._fill})
        if answering:
            runners.answer(_answer)

    def open(self) -> None:
        self._finder.open()

    def close(self) -> None:
        self._finder.close()

    def _fill(self, module: Any) -> None:
        recorder = sys.modules[self._package]
        module.__doc__ = "Stands in for reprolock while a run is recorded."
        module.__file__ = __file__  # IPython 7 asks an extension for it
        module.metric = recorder.metric
        module.capture = functools.partial(_capture, recorder)
        module.checkpoint = lambda path, **_options: recorder.mark_value("checkpoint", path)
        module.model = lambda value=None, **_options: recorder.mark_value("model", value)
        module.load_ipython_extension = lambda _shell: recorder.register_magic()
        module.unload_ipython_extension = lambda _shell: recorder.unregister_magic()


def _capture(recorder: Any, **options: Any) -> Any:
    """Name the metrics that a capture is asked for; the lock is written by the run's own."""
    for name, expression in dict(options.get("metrics") or {}).items():
        recorder.evaluate(name, expression)
    return recorder.capture([])


def _answer(command: str) -> Optional[Answer]:
    return Answer(ANSWER) if _is_ours(command) else None


def _is_ours(command: str) -> bool:
    words = command.split()
    if not words or words[0] != NAME:
        return False
    return words[1:2] == ["capture"] or shutil.which(NAME) is None
