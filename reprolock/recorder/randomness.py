"""Random streams: who seeded them, with what, and who drew from one that nobody had seeded.

A draw shows as a changed state: the states of the global streams are taken at the start and the
end of each cell and just before each seeding. Seedings show in wrappers around the functions
that seed. Generators of NumPy that are made without a seed fetch their entropy by the name
``randbits`` in ``numpy.random.bit_generator``; ``secrets`` and ``random.SystemRandom`` fetch
theirs by ``random._urandom``. Both names get a pass-through. Nothing is ever drawn here.

``RandomState(seed)`` fetches entropy like ``RandomState()`` and is seeded a moment later, by a
method that calls ``operator.index`` of ``numpy.random._mt19937`` first. So what fetched entropy
waits until its cell ends, and is forgotten where that call comes from the same instruction.

A state that is put back (``setstate``) hides what was drawn since it was taken, so the functions
that do it are wrapped too; they make no stream seeded and none unseeded.
"""

from __future__ import annotations

import dis
import functools
import operator
import os
import random
import sys
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import callers, generators
from .cells import Running
from .imports import AfterImport
from .journal import Journal

_MAKERS = ("default_rng", "RandomState", "SeedSequence")
_LONGEST_SEED = 200


class Seeder(NamedTuple):
    """A function that seeds: *holder* is the path from the module; *argument* the seed's name.

    Without an argument the function asks the system for a seed.
    """

    holder: Tuple[str, ...]
    name: str
    argument: Optional[str]


class Stream(NamedTuple):
    """A global stream of the module *module*; *state* gives a comparable copy of its state.

    *setter* is the function that puts a state back, where it is watched.
    """

    name: str
    module: str
    state: Optional[Callable[[Any], Any]]
    seeders: Tuple[Seeder, ...]
    setter: Optional[str] = None


def _numpy_state(module: Any) -> Any:
    return _plain(module.get_state(legacy=False))


def _plain(state: Any) -> Any:
    """Return a state of NumPy's as values that compare by content."""
    if isinstance(state, dict):
        return tuple((key, _plain(value)) for key, value in state.items())
    return state.tobytes() if hasattr(state, "tobytes") else state


def _torch_state(module: Any) -> Any:
    state = module.default_generator.get_state()
    try:
        return state.numpy().tobytes()
    except RuntimeError:  # A torch that was built without NumPy, or for another one.
        return bytes(state.tolist())


STREAMS = (
    Stream(
        "random",
        "random",
        lambda module: getattr(module, "_inst", module).getstate(),  # a cell may rebind the name
        (Seeder((), "seed", "a"),),
        "setstate",
    ),
    Stream("numpy", "numpy.random", _numpy_state, (Seeder((), "seed", "seed"),), "set_state"),
    Stream(
        "torch",
        "torch",
        _torch_state,
        (
            Seeder((), "manual_seed", "seed"),
            Seeder((), "seed", None),
            Seeder(("random",), "manual_seed", "seed"),
            Seeder(("random",), "seed", None),
        ),
    ),
    Stream("tensorflow", "tensorflow", None, (Seeder(("random",), "set_seed", "seed"),)),
)


class Watch:
    """*names* is the notebook's namespace."""

    def __init__(self, journal: Journal, running: Running, names: Dict[str, Any]) -> None:
        self._journal = journal
        self._running = running
        self._pid = os.getpid()
        self._modules: Dict[str, Any] = {}
        self._states: Dict[str, Any] = {}
        self._seeded: Dict[str, bool] = {}
        self._told: List[Tuple[str, ...]] = []
        self._unsettled: Dict[Tuple[int, int, int], Dict[str, Any]] = {}
        self._seeding = 0
        self._active = False
        self._thread: Optional[int] = None
        self._default_rng: Any = None
        self._replaced: List[Tuple[Any, str, Any, Any]] = []
        self._generators = generators.Watch(
            generators.Hooks(journal.guard, self._in_cell, self._replace, self._tell_once), names
        )
        wanted: Dict[str, Callable[[Any], None]] = {
            stream.module: functools.partial(self._loaded, stream) for stream in STREAMS
        }
        wanted["numpy.random.bit_generator"] = self._bit_generator_loaded
        wanted["numpy.random._mt19937"] = self._mt19937_loaded
        wanted["uuid"] = self._generators.uuid_loaded
        self._imports = AfterImport(wanted, (self._import_begins, self._import_ended))

    def open(self) -> None:
        self._active = True
        self._replace(random, "_urandom", self._entropy(random._urandom))  # type: ignore[attr-defined]
        self._journal.guard("generators", self._generators.open)
        self._imports.open()

    def begin(self) -> None:
        self._flush()
        self._thread = threading.get_ident()
        self._told = []
        for stream in STREAMS:
            self._journal.guard(stream.name, self._remember, stream)

    def end(self) -> None:
        for stream in STREAMS:
            self._journal.guard(stream.name, self._check, stream)
        self._flush()

    def close(self) -> None:
        self._flush()
        self._active = False
        self._imports.close()
        for holder, name, original, ours in reversed(self._replaced):
            if getattr(holder, name, None) is ours:
                setattr(holder, name, original)
        self._replaced = []

    # -- states -------------------------------------------------------------------------------

    def _loaded(self, stream: Stream, module: Any) -> None:
        self._journal.guard(stream.name, self._take, stream, module)

    def _take(self, stream: Stream, module: Any) -> None:
        self._modules[stream.name] = module
        for seeder in stream.seeders:
            self._journal.guard(stream.name, self._wrap, stream, seeder, module)
        if stream.setter is not None:
            self._journal.guard(stream.name, self._wrap_setter, stream, stream.setter, module)
        if hasattr(module, "default_rng"):
            self._journal.guard("numpy.Generator", self._wrap_default_rng, module)
        self._remember(stream)

    def _remember(self, stream: Stream) -> None:
        module = self._modules.get(stream.name)
        if module is not None and stream.state is not None:
            self._states[stream.name] = stream.state(module)

    def _check(self, stream: Stream) -> None:
        """Tell a draw where the state moved and nobody had seeded the stream."""
        before = self._states.get(stream.name)
        self._remember(stream)
        if before is None or before == self._states[stream.name]:
            return
        if not self._seeded.get(stream.name):
            self._tell_once("draw", stream=stream.name, seeded=False)

    def _import_begins(self) -> None:
        """Tell what was drawn until now: what a module draws when it is loaded is not counted."""
        if self._in_cell():
            for stream in STREAMS:
                self._journal.guard(stream.name, self._check, stream)

    def _import_ended(self) -> None:
        if self._in_cell():
            for stream in STREAMS:
                self._journal.guard(stream.name, self._remember, stream)

    def _tell_once(self, event: str, **facts: Any) -> None:
        key = (event, *[str(value) for value in facts.values()])
        if key not in self._told:
            self._told.append(key)
            self._journal.write(event, n=self._running.n, **facts)

    # -- seeds --------------------------------------------------------------------------------

    def _wrap(self, stream: Stream, seeder: Seeder, module: Any) -> None:
        holder = functools.reduce(getattr, seeder.holder, module)
        original = getattr(holder, seeder.name)
        path = ".".join((stream.module, *seeder.holder))
        call = path + "." + seeder.name

        @functools.wraps(original)
        def seed(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True  # IPython leaves this frame out where the original raises.
            if not self._listens():
                return original(*args, **kwargs)
            if not self._seeding:
                self._journal.guard(stream.name, self._check, stream)
            self._seeding += 1
            try:
                answer = original(*args, **kwargs)
            finally:
                self._seeding -= 1
            if not self._seeding:
                value = _argument(seeder, args, kwargs)
                self._journal.guard(stream.name, self._seeded_now, stream, call, value)
            return answer

        _name_as(original, seed, path, seeder.name)
        self._replace(holder, seeder.name, seed)

    def _wrap_setter(self, stream: Stream, name: str, module: Any) -> None:
        original = getattr(module, name)

        @functools.wraps(original)
        def set_state(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if not self._listens() or self._seeding:
                return original(*args, **kwargs)
            self._journal.guard(stream.name, self._check, stream)
            answer = original(*args, **kwargs)
            self._journal.guard(stream.name, self._remember, stream)
            return answer

        _name_as(original, set_state, stream.module, name)
        self._replace(module, name, set_state)

    def _seeded_now(self, stream: Stream, call: str, value: Any) -> None:
        self._seeded[stream.name] = value is not None
        self._journal.write(
            "seed", n=self._running.n, stream=stream.name, call=call, seed=_writable(value)
        )
        self._remember(stream)

    # -- generators of NumPy ------------------------------------------------------------------

    def _wrap_default_rng(self, module: Any) -> None:
        original = module.default_rng

        @functools.wraps(original)
        def default_rng(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            made = original(*args, **kwargs)
            if self._in_cell():
                seed = args[0] if args else kwargs.get("seed")
                self._journal.guard("numpy.Generator", self._generator_made, seed, sys._getframe(1))
            return made

        _name_as(original, default_rng, "numpy.random", "default_rng")
        self._default_rng = getattr(default_rng, "__code__", None)
        self._replace(module, "default_rng", default_rng)

    def _generator_made(self, seed: Any, caller: Any) -> None:
        """Tell the seed: one that comes from the clock is another each time.

        Only of the thread that runs the cell: the order among threads is chance.
        """
        if threading.get_ident() != self._thread or callers.importing(caller):
            return
        if hasattr(seed, "tolist"):
            seed = seed.tolist()
        if isinstance(seed, (int, list, tuple)):
            call = "numpy.random.default_rng"
            self._journal.write(
                "seed",
                n=self._running.n,
                stream="numpy.Generator",
                call=call,
                seed=_writable(seed),
            )

    # -- entropy ------------------------------------------------------------------------------

    def _bit_generator_loaded(self, module: Any) -> None:
        self._journal.guard("numpy.Generator", self._watch_bit_generators, module)

    def _watch_bit_generators(self, module: Any) -> None:
        original = module.randbits

        @functools.wraps(original)
        def randbits(k: int) -> int:
            __tracebackhide__ = True
            if self._listens() and not self._seeding:
                self._journal.guard("numpy.Generator", self._tell_numpy, sys._getframe(1))
            self._seeding += 1  # What is fetched below is told already.
            try:
                bits: int = original(k)
            finally:
                self._seeding -= 1
            return bits

        self._replace(module, "randbits", randbits)

    def _tell_numpy(self, caller: Any) -> None:
        call = None
        if caller.f_code is self._default_rng:
            caller, call = caller.f_back, "numpy.random.default_rng"
        where = callers.module(caller)
        if callers.importing(caller) or where.startswith("numpy.random"):
            return  # NumPy makes its global stream so, when it is loaded.
        call = call or _guess_call(caller)
        stream = "numpy.RandomState" if call.endswith("RandomState") else "numpy.Generator"
        key = _instruction(caller)
        self._settle(key)
        self._unsettled[key] = {"stream": stream, "call": call, "where": where}

    def _settle(self, key: Tuple[int, int, int]) -> None:
        facts = self._unsettled.pop(key, None)
        if facts is not None:
            self._tell_once("unseeded", **facts)

    def _flush(self) -> None:
        for key in list(self._unsettled):
            self._settle(key)
        self._generators.flush()

    def _mt19937_loaded(self, module: Any) -> None:
        self._journal.guard("numpy.RandomState", self._watch_legacy_seeding, module)

    def _watch_legacy_seeding(self, module: Any) -> None:
        if getattr(module, "operator", None) is not operator:
            raise LookupError("numpy.random._mt19937 has no name operator")
        self._replace(module, "operator", _Operator(self._seeded_after_all))

    def _seeded_after_all(self, caller: Any) -> None:
        self._unsettled.pop(_instruction(caller), None)

    def _entropy(self, original: Callable[[int], bytes]) -> Callable[[int], bytes]:
        @functools.wraps(original)
        def urandom(size: int) -> bytes:
            __tracebackhide__ = True
            if self._listens() and not self._seeding:
                self._journal.guard("entropy", self._tell_entropy, sys._getframe(1))
            return original(size)

        return urandom

    def _tell_entropy(self, caller: Any) -> None:
        while caller is not None and callers.module(caller) in ("random", "secrets"):
            caller = caller.f_back
        if caller is None or self._running.n is None or callers.importing(caller):
            return
        if not callers.is_machinery(caller):
            where = callers.module(caller)
            self._tell_once("unseeded", stream="entropy", call="random._urandom", where=where)

    # -- tools --------------------------------------------------------------------------------

    def _listens(self) -> bool:
        return self._active and os.getpid() == self._pid

    def _in_cell(self) -> bool:
        return self._listens() and not self._seeding and self._running.n is not None

    def _replace(self, holder: Any, name: str, ours: Any) -> None:
        self._replaced.append((holder, name, getattr(holder, name), ours))
        setattr(holder, name, ours)


class _Operator:
    """The module ``operator``, telling who calls ``index``."""

    def __init__(self, told: Callable[[Any], None]) -> None:
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(operator, name)

    def index(self, value: Any) -> int:
        __tracebackhide__ = True
        self._told(sys._getframe(1))
        return operator.index(value)


def _instruction(frame: Any) -> Tuple[int, int, int]:
    """Return what tells a call that is under way from all others. Keeps no object alive."""
    return threading.get_ident(), id(frame), frame.f_lasti


def _name_as(original: Any, ours: Any, module: str, name: str) -> None:
    """Name *ours* so that pickle finds it by name, and another process gets the original."""
    ours.__module__, ours.__qualname__ = module, name
    if hasattr(original, "__self__"):
        ours.__self__ = original.__self__


def _argument(seeder: Seeder, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Any:
    if seeder.argument is None:
        return None
    return args[0] if args else kwargs.get(seeder.argument)


def _writable(seed: Any) -> Any:
    """Return *seed* as an int where it is one, else as text; None stays None."""
    if seed is None:
        return None
    try:
        return operator.index(seed)
    except Exception:
        return repr(seed)[:_LONGEST_SEED]


# By the place of the call: a forest makes a generator for each of its trees.
_guesses: Dict[Tuple[str, int, str, int], str] = {}
_MOST_GUESSES = 1000


def _guess_call(caller: Any) -> str:
    """Return the call of NumPy's that *caller* makes.

    The calls are compiled and leave no frame; the name that the caller's code fetched last tells
    which one it was.
    """
    code = caller.f_code
    place = (code.co_filename, code.co_firstlineno, code.co_name, caller.f_lasti)
    known = _guesses.get(place)
    if known is None:
        if len(_guesses) >= _MOST_GUESSES:
            _guesses.clear()
        known = _guesses[place] = _guess(caller)
    return known


def _guess(caller: Any) -> str:
    used = [name for name in _MAKERS if name in caller.f_code.co_names]
    if len(used) > 1:
        done = (one for one in dis.get_instructions(caller.f_code) if one.offset <= caller.f_lasti)
        used = [one.argval for one in done if one.argval in _MAKERS][-1:]
    return "numpy.random." + (used[0] if used else "SeedSequence")
