"""Who calls: frames told apart by the code that they run. Keeps no frame alive."""

from __future__ import annotations

import importlib
import os
import sysconfig
from typing import Any, Dict

from .places import package_roots

MACHINERY = (
    "ipykernel",
    "IPython",
    "jupyter_client",
    "jupyter_core",
    "traitlets",
    "tornado",
    "zmq",
    "importlib",
)
_INSTALLED = tuple(root + os.sep for root in package_roots())
_SITE = ("site-packages", "dist-packages")
_STANDARD = tuple(
    folder + os.sep
    for folder in {sysconfig.get_paths()["stdlib"], os.path.dirname(os.path.abspath(os.__file__))}
)
_IMPORTERS = (
    "<frozen importlib",
    os.path.dirname(os.path.abspath(importlib.__file__)) + os.sep,
)
_IMPORT_SYSTEM, _INSTALLED_CODE, _OTHER_CODE = range(3)
# By file name: it is asked for each frame below each generator that is made.
_kinds: Dict[str, int] = {}
_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep


def module(frame: Any) -> str:
    """Return the name of the module whose code *frame* runs."""
    return str(frame.f_globals.get("__name__", ""))


def is_machinery(frame: Any) -> bool:
    """Say whether *frame* runs code of the kernel or of the import system."""
    return module(frame).partition(".")[0] in MACHINERY


def is_standard(frame: Any) -> bool:
    """Say whether *frame* runs code of the standard library."""
    filename = frame.f_code.co_filename
    if filename.startswith("<frozen "):
        return True
    return filename.startswith(_STANDARD) and not any(name in filename for name in _SITE)


def importing(frame: Any) -> bool:
    """Say whether *frame* serves the loading of an installed module: that is not the notebook's.

    A compiled module leaves no frame of its own, so the import system's may come first.
    """
    while frame is not None:
        filename = frame.f_code.co_filename
        kind = _kinds.get(filename)
        if kind is None:
            kind = _kinds[filename] = _kind(filename)
        if kind != _INSTALLED_CODE:
            return kind == _IMPORT_SYSTEM
        frame = frame.f_back
    return False


def _kind(filename: str) -> int:
    if filename.startswith(_IMPORTERS):
        return _IMPORT_SYSTEM
    return _INSTALLED_CODE if is_installed(filename) else _OTHER_CODE


def behind_library(frame: Any) -> Any:
    """Return the first frame from *frame* on that is neither ours nor the standard library's.

    None where the import system comes first, or nothing else.
    """
    while frame is not None and module(frame).partition(".")[0] != "importlib":
        if not is_standard(frame) and not frame.f_code.co_filename.startswith(_OWN):
            return frame
        frame = frame.f_back
    return None


def is_installed(filename: str) -> bool:
    """Say whether the file lies among installed packages."""
    return filename.startswith(_INSTALLED) or "site-packages" in filename
