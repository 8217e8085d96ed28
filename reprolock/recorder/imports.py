"""Finders on ``sys.meta_path``: one that tells when a module was loaded, one that serves some."""

from __future__ import annotations

import functools
import sys
import threading
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from typing import Any, Callable, Dict, Optional, Set, Tuple

from . import callers


class AfterImport:
    """Calls ``wanted[name](module)`` when the module *name* has been loaded by others.

    The module's own finder and loader do the work; the module keeps them as its ``__spec__``
    says, so that it looks and behaves as without us.

    *around*: of which the first is called before an installed module runs that no other module
    loads, and the second when it has run, with all that it loads itself.
    """

    def __init__(
        self,
        wanted: Dict[str, Callable[[Any], None]],
        around: Optional[Tuple[Callable[[], None], Callable[[], None]]] = None,
    ) -> None:
        self._wanted = wanted
        self._around = around
        self._local = threading.local()

    def open(self) -> None:
        """Begin; modules that are loaded already are told at once."""
        for name, told in self._wanted.items():
            module = sys.modules.get(name)
            if module is not None:
                told(module)
        sys.meta_path.insert(0, self)

    def close(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        outermost = self._around is not None and not self._loading and _is_import(sys._getframe(1))
        if not (outermost or name in self._wanted) or name in self._under_way():
            return None
        self._under_way().add(name)
        try:
            spec = self._found_by_others(name, path, target)
        finally:
            self._under_way().discard(name)
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return spec
        if name in self._wanted:
            spec.loader = _Telling(spec.loader, self._wanted[name])  # type: ignore[assignment]
        if outermost and callers.is_installed(str(spec.origin)):
            spec.loader = _Within(spec.loader, self._load)  # type: ignore[assignment]
        return spec

    @property
    def _loading(self) -> bool:
        return bool(self._local.__dict__.get("loading"))

    def _load(self, load: Callable[[], None]) -> None:
        __tracebackhide__ = True
        if self._loading or self._around is None:
            load()
            return
        before, after = self._around
        before()
        self._local.loading = True
        try:
            load()
        finally:
            self._local.loading = False
        after()

    def _found_by_others(self, name: str, path: Any, target: Any) -> Optional[ModuleSpec]:
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: Optional[ModuleSpec] = find(name, path, target)
            if spec is not None:
                return spec
        return None

    def _under_way(self) -> Set[str]:
        names: Set[str] = self._local.__dict__.setdefault("names", set())
        return names


class _Telling:
    """Stands in for a loader until the module is about to run, then gives its place back."""

    def __init__(self, loader: Any, told: Callable[[Any], None]) -> None:
        self._loader = loader
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        __tracebackhide__ = True  # IPython leaves this frame out where the module itself raises.
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._told(module)


class _Within(_Telling):
    """As _Telling, and lets *told* run the module."""

    def exec_module(self, module: Any) -> None:
        __tracebackhide__ = True
        module.__spec__.loader = module.__loader__ = self._loader
        self._told(functools.partial(self._loader.exec_module, module))


def _is_import(frame: Any) -> bool:
    """Say whether the import system looks for a module to load it, and not somebody who asks."""
    loader = frame.f_back
    return loader is not None and loader.f_code.co_name == "_find_and_load_unlocked"


class Serving:
    """Serves modules where nobody else has them: name -> the function that fills a new one.

    A name with others below it is a package. A parent that the machine really has, such as the
    namespace package ``google``, stays the one it is: only what nobody finds is asked for here.
    """

    def __init__(self, fills: Dict[str, Callable[[Any], None]]) -> None:
        self._fills = fills

    def open(self) -> None:
        sys.meta_path.append(self)

    def close(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in self._fills:
            module = sys.modules.get(name)
            if getattr(getattr(module, "__spec__", None), "loader", None) is self:
                del sys.modules[name]
                parent, _, last = name.rpartition(".")
                if getattr(sys.modules.get(parent), last, None) is module:
                    delattr(sys.modules[parent], last)

    def find_spec(self, name: str, *_where: Any) -> Optional[ModuleSpec]:
        if name not in self._fills:
            return None
        above = any(other.startswith(name + ".") for other in self._fills)
        origin = "reprolock recorder"
        return spec_from_loader(name, self, origin=origin, is_package=above)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system."""

    def exec_module(self, module: Any) -> None:
        self._fills[module.__name__](module)
