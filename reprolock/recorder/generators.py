"""Randomness outside the global streams: ``random.Random`` objects, ``os.urandom``, ``uuid``.

An object that was made without a seed and is given one, or a state, before anybody drew from it
is a seeded one: unpickling makes objects in this way. So it waits, with the state that it began
with, until its cell ends.

The kernel fetches entropy for its own messages while a cell runs, in the same thread. So
``os.urandom`` counts only where code of the notebook itself asks for it.
"""

from __future__ import annotations

import functools
import os
import random
import sys
import weakref
from typing import Any, Callable, Dict, NamedTuple, Optional

from . import callers

_MOST_WAITING = 1000
_INTERMEDIATE = ("random", "secrets", "uuid")


class Hooks(NamedTuple):
    """What the randomness family lends: see its methods of these names."""

    guard: Callable[..., Any]
    listens: Callable[[], bool]
    replace: Callable[[Any, str, Any], None]
    tell: Callable[..., None]


class _Waiting(NamedTuple):
    one: Any  # A weak reference.
    state: Any
    where: str


class Watch:
    """*names* is the notebook's namespace."""

    def __init__(self, hooks: Hooks, names: Dict[str, Any]) -> None:
        self._hooks = hooks
        self._names = names
        self._waiting: Dict[int, _Waiting] = {}

    def open(self) -> None:
        self._watch_seeding()
        self._watch_setting()
        self._watch_entropy()

    def uuid_loaded(self, module: Any) -> None:
        self._hooks.guard("uuid", self._watch_uuid, module)

    def flush(self) -> None:
        """Tell of every object that nobody has seeded by now."""
        waiting, self._waiting = self._waiting, {}
        for made in waiting.values():
            self._tell(made)

    # -- objects ------------------------------------------------------------------------------

    def _watch_seeding(self) -> None:
        original = random.Random.seed

        @functools.wraps(original)
        def seed(one: Any, *args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            if not self._hooks.listens() or one is random._inst:
                return original(one, *args, **kwargs)
            self._hooks.guard("random.Random", self._settle, one)
            original(one, *args, **kwargs)
            if (args[0] if args else kwargs.get("a")) is None:
                self._hooks.guard("random.Random", self._unseeded, one, sys._getframe(1))
            return None

        self._hooks.replace(random.Random, "seed", seed)

    def _watch_setting(self) -> None:
        original = random.Random.setstate

        @functools.wraps(original)
        def setstate(one: Any, *args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            if self._hooks.listens() and id(one) in self._waiting:
                self._hooks.guard("random.Random", self._settle, one)
            return original(one, *args, **kwargs)

        self._hooks.replace(random.Random, "setstate", setstate)

    def _unseeded(self, one: Any, caller: Any) -> None:
        while caller is not None and callers.module(caller) == "random":
            caller = caller.f_back
        if caller is None or callers.is_standard(caller) or callers.is_machinery(caller):
            return
        if callers.importing(caller):
            return
        if len(self._waiting) >= _MOST_WAITING:
            self.flush()
        state = random.Random.getstate(one)
        self._waiting[id(one)] = _Waiting(weakref.ref(one), state, callers.module(caller))

    def _settle(self, one: Any) -> None:
        """Forget *one* where it stands as it was made; tell where it was used, or is another."""
        made = self._waiting.pop(id(one), None)
        if made is None:
            return
        if made.one() is not one or random.Random.getstate(one) != made.state:
            self._tell(made)

    def _tell(self, made: _Waiting) -> None:
        self._hooks.tell("unseeded", stream="random.Random", call="random.Random", where=made.where)

    # -- the system's entropy -----------------------------------------------------------------

    def _watch_entropy(self) -> None:
        original = os.urandom

        @functools.wraps(original)
        def urandom(*args: Any, **kwargs: Any) -> bytes:
            __tracebackhide__ = True
            if self._hooks.listens():
                self._hooks.guard("os.urandom", self._fetched, sys._getframe(1), "os.urandom")
            return original(*args, **kwargs)

        urandom.__module__ = "os"  # So that pickle finds it by name.
        self._hooks.replace(os, "urandom", urandom)

    def _watch_uuid(self, module: Any) -> None:
        """Watch ``uuid1``, made in C of the clock and the machine; ``uuid4`` asks os.urandom."""
        original = module.uuid1

        @functools.wraps(original)
        def uuid1(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if self._hooks.listens():
                self._hooks.guard("uuid", self._fetched, sys._getframe(1), "uuid.uuid1")
            return original(*args, **kwargs)

        self._hooks.replace(module, "uuid1", uuid1)

    def _fetched(self, caller: Optional[Any], call: str) -> None:
        while caller is not None and callers.module(caller) in _INTERMEDIATE:
            call = callers.module(caller) + "." + caller.f_code.co_name
            caller = caller.f_back
        if caller is not None and caller.f_globals is self._names:
            where = callers.module(caller)
            self._hooks.tell("unseeded", stream="os.urandom", call=call, where=where)
