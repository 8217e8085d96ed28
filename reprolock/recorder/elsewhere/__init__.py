"""The modules and paths of the platform that a run was recorded on, where it is run again.

In a replay the modules that a platform puts beside the installed packages are stood in for, each
only where this machine has none of its own: ``google.colab`` (colab.py) and Kaggle's
``kaggle_secrets`` and its like (kaggle.py). Whatever is answered is told to the journal as
``substituted``. While a run is captured nothing is served; what the user uploads and mounts is
told (watching.py).

Not stood in for: ``deepnote_toolkit`` and ``sagemaker``, which are installed packages like others
and are rebuilt from the lock. What they ask of their platform (Deepnote's SQL blocks run on its
databases, ``sagemaker.get_execution_role`` asks AWS) cannot be answered from a lock, and a made-up
answer would go unnoticed.
"""

from __future__ import annotations

from typing import Any, Callable, Dict

from ..cells import Running
from ..imports import Serving
from ..journal import Journal
from . import colab, kaggle, watching
from .context import Context
from .rewrite import Rewriting

__all__ = ["StandIns"]

_FILLS: Dict[str, Callable[[Context], Dict[str, Callable[[Any], None]]]] = {
    "colab": colab.fills,
    "kaggle": kaggle.fills,
}


class StandIns:
    """*wanted*: ``replay``, ``maps`` and ``secrets`` (see RecorderConfig), ``stand_ins`` (names of
    platforms), ``uploads`` (for each call of ``files.upload`` the files as ``name`` and ``path``)
    and ``rewrite``: prefixes are rewritten in the source, because they could not be bound.
    *mounted* is told the path of each drive that the notebook mounts.
    """

    def __init__(
        self,
        journal: Journal,
        running: Running,
        shell: Any,
        wanted: Dict[str, Any],
        mounted: Callable[[str], None],
    ) -> None:
        self._context = Context(journal, running, wanted)
        self._replay = bool(wanted.get("replay"))
        fills: Dict[str, Callable[[Any], None]] = {}
        for platform in wanted.get("stand_ins") or ():
            fills.update(_FILLS[platform](self._context))
        self._serving = Serving(fills)
        self._watching = watching.Watching(journal, running, mounted)
        rewritten = wanted.get("maps") or {} if wanted.get("rewrite") else {}
        self._rewriting = Rewriting(self._context, shell, rewritten)

    def open(self) -> None:
        if not self._replay:
            self._watching.open()
            return
        self._serving.open()
        self._rewriting.open()

    def close(self) -> None:
        self._watching.close()
        self._rewriting.close()
        self._serving.close()
