"""What the user uploads and mounts on Colab, told while a run is captured; nothing is changed."""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from ..cells import Running
from ..imports import AfterImport
from ..journal import Journal

Told = Callable[[Any, Tuple[Any, ...], Dict[str, Any]], None]


class Watching:
    def __init__(self, journal: Journal, running: Running, mounted: Callable[[str], None]) -> None:
        self._drive_mounted = mounted
        self._journal = journal
        self._running = running
        self._replaced: List[Tuple[Any, str, Any, Any]] = []
        self._imports = AfterImport(
            {
                "google.colab.drive": lambda module: self._wrap(module, {"mount": self._mounted}),
                "google.colab.files": lambda module: self._wrap(
                    module, {"upload": self._uploaded, "upload_file": self._uploaded_one}
                ),
            }
        )

    def open(self) -> None:
        self._imports.open()

    def close(self) -> None:
        self._imports.close()
        for module, name, original, ours in reversed(self._replaced):
            if module.__dict__.get(name) is ours:
                setattr(module, name, original)
        self._replaced = []

    def _wrap(self, module: Any, wanted: Dict[str, Told]) -> None:
        self._journal.guard("elsewhere", self._wrap_all, module, wanted)

    def _wrap_all(self, module: Any, wanted: Dict[str, Told]) -> None:
        for name, told in wanted.items():
            original = module.__dict__.get(name)
            if callable(original):
                ours = self._telling(original, told)
                self._replaced.append((module, name, original, ours))
                setattr(module, name, ours)

    def _telling(self, original: Any, told: Told) -> Any:
        @functools.wraps(original)
        def run(*args: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            if told == self._mounted:
                # Before it fills: what a drive holds was not written by the cell.
                self._journal.guard("elsewhere", self._mounting, args, options)
            result = original(*args, **options)
            self._journal.guard("elsewhere", told, result, args, options)
            return result

        return run

    def _mounting(self, args: Tuple[Any, ...], options: Dict[str, Any]) -> None:
        where = _mount_point(args, options)
        if where is not None:
            self._drive_mounted(where)

    def _mounted(self, _result: Any, args: Tuple[Any, ...], options: Dict[str, Any]) -> None:
        where = _mount_point(args, options)
        if where is not None:
            self._journal.write("mounted", n=self._running.n, path=where)

    def _uploaded(self, result: Any, _args: Tuple[Any, ...], _options: Dict[str, Any]) -> None:
        self._tell_upload(list(result))

    def _uploaded_one(self, _result: Any, args: Tuple[Any, ...], options: Dict[str, Any]) -> None:
        self._tell_upload([args[0] if args else options.get("filename")])

    def _tell_upload(self, names: List[Any]) -> None:
        paths = [os.path.abspath(name) for name in names if isinstance(name, str)]
        self._journal.write("uploaded", n=self._running.n, names=paths)


def _mount_point(args: Tuple[Any, ...], options: Dict[str, Any]) -> Optional[str]:
    path = args[0] if args else options.get("mountpoint")
    if not isinstance(path, (str, os.PathLike)):
        return None
    return os.path.abspath(os.path.expanduser(os.fspath(path)))
