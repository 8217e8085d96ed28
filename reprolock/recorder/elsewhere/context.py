"""What all stand-ins share: what they may answer with, and how they tell that they did."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional, Set, Tuple

from ..cells import Running
from ..journal import Journal


class Context:
    def __init__(self, journal: Journal, running: Running, wanted: Dict[str, Any]) -> None:
        self._journal = journal
        self._running = running
        self._secrets: Dict[str, str] = dict(wanted.get("secrets") or {})
        self._told: Set[Tuple[Optional[int], str, str]] = set()
        self.maps: Dict[str, str] = dict(wanted.get("maps") or {})
        self.uploads: List[List[Dict[str, str]]] = list(wanted.get("uploads") or ())

    def told(self, kind: str, name: str, detail: Optional[str] = None) -> None:
        """Tell once a cell that *name* was answered here. *detail* holds no value of a secret."""
        key = (self._running.n, kind, name)
        if key in self._told:
            return
        self._told.add(key)
        facts = {} if detail is None else {"detail": detail}
        self._write("substituted", kind=kind, name=name, **facts)

    def uploaded(self, paths: List[str]) -> None:
        self._write("uploaded", names=[os.path.abspath(path) for path in paths])

    def secret(self, asked: str, name: str) -> Optional[str]:
        """Return the secret *name* for the function *asked*, None where none was given.

        The value goes to the caller and nowhere else.
        """
        variable = self._secrets.get(name, "")
        value = os.environ.get(variable) if variable else None
        kind = "secret-missing" if value is None else "secret"
        self.told(kind, name, asked)
        return value

    def shown(self, path: str) -> str:
        """Return *path* as the platform would name it."""
        for prefix in sorted(self.maps, key=lambda name: -len(self.maps[name])):
            here = self.maps[prefix].rstrip(os.sep)
            if path == here or path.startswith(here + os.sep):
                return prefix + path[len(here) :]
        return path

    def _write(self, event: str, **facts: Any) -> None:
        self._journal.guard("elsewhere", self._write_now, event, facts)

    def _write_now(self, event: str, facts: Dict[str, Any]) -> None:
        self._journal.write(event, n=self._running.n, **facts)


def fill(module: Any, context: Context, doc: str, names: Dict[str, Any]) -> None:
    """Put *names* into a new *module*; what it lacks is asked for with a message that says so."""
    module.__doc__ = doc
    for name, value in names.items():
        if callable(value):
            _belongs(value, module.__name__)
        setattr(module, name, value)
    module.__all__ = sorted(name for name in names if not name.startswith("_"))

    def absent(name: str) -> Any:
        # `from package import module` asks the package first, and then loads the module.
        asked_by_import = str(sys._getframe(1).f_globals.get("__name__")).startswith("importlib")
        if not name.startswith("__") and not asked_by_import:
            context.told("absent", "{}.{}".format(module.__name__, name))
        raise AttributeError(
            "module {!r} has no attribute {!r}: reprolock stands in for it here, "
            "without that part".format(module.__name__, name)
        )

    module.__getattr__ = absent


def _belongs(value: Any, module: str) -> None:
    try:
        value.__module__ = module
        value.__qualname__ = value.__name__
    except (AttributeError, TypeError):
        pass
