"""Installed distributions, read from their metadata folders without ``importlib.metadata``.

Its parser costs half a millisecond a distribution; here only the lines ``Name`` and ``Version``
are wanted (core metadata: RFC 822 headers, ended by an empty line).
"""

from __future__ import annotations

import io
import os
import re
import sys
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .journal import Journal

_SUFFIXES = (".dist-info", ".egg-info")
_SITE = ("site-packages", "dist-packages")


class Watch:
    """Tells the distributions at the start, and again at the end where they are not the same."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._before: Dict[str, Any] = {}

    def open(self) -> None:
        self._before = collect()
        self._journal.write("packages", when="start", **self._before)

    def close(self) -> None:
        self.again()

    def again(self) -> None:
        """Tell the distributions where they are not those that were told last."""
        after = collect()
        if after != self._before:
            self._before = after
            self._journal.write("packages", when="end", **after)


def collect() -> Dict[str, Any]:
    """Return ``sys_path`` and ``distributions``, in the order in which imports find them."""
    found = []
    for root in _roots():
        for path in _metadata(root):
            name, version = _name_and_version(path)
            found.append({"name": name, "version": version, "path": path, "root": root})
    return {"sys_path": [str(entry) for entry in sys.path], "distributions": found}


def loaded() -> Dict[str, Optional[str]]:
    """Return the version of the distribution behind each loaded top-level module of one.

    The version is None where a module lies among installed packages but no metadata names it.
    """
    versions = _Versions(collect()["distributions"])
    out = {}
    for name, module in sorted(sys.modules.copy().items()):
        if "." in name or not _is_installed(module):
            continue
        out[name] = versions.of(name)
    return out


def _roots() -> List[str]:
    entries = (os.path.abspath(entry) for entry in sys.path if isinstance(entry, str))
    return [entry for entry in dict.fromkeys(entries) if os.path.isdir(entry)]


def _metadata(root: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return
    for name in names:
        if name.endswith(_SUFFIXES):
            yield os.path.join(root, name)
        elif name.endswith(".egg") and os.path.isdir(os.path.join(root, name, "EGG-INFO")):
            yield os.path.join(root, name, "EGG-INFO")


def _name_and_version(path: str) -> Tuple[Optional[str], Optional[str]]:
    """Return both as the metadata says, else as the folder's name says."""
    heads = _headers(path)
    base = os.path.basename(path)
    if base == "EGG-INFO":
        base = os.path.basename(os.path.dirname(path))
    name, _, rest = os.path.splitext(base)[0].partition("-")
    version = rest.partition("-")[0]
    return heads.get("name") or name or None, heads.get("version") or version or None


def _headers(path: str) -> Dict[str, str]:
    heads: Dict[str, str] = {}
    for candidate in (os.path.join(path, "METADATA"), os.path.join(path, "PKG-INFO"), path):
        try:
            with io.open(candidate, encoding="utf-8", errors="replace") as file:
                for line in file:
                    key, colon, value = line.partition(":")
                    if not colon or len(heads) == 2:  # noqa: PLR2004 - name and version
                        break
                    if key.lower() in ("name", "version"):
                        heads.setdefault(key.lower(), value.strip())
        except OSError:
            continue
        break
    return heads


def _is_installed(module: Any) -> bool:
    try:
        spec = module.__spec__
        places = [spec.origin, *(spec.submodule_search_locations or [])]
    except Exception:
        return False
    return any(isinstance(place, str) and any(site in place for site in _SITE) for place in places)


class _Versions:
    """Versions by top-level module: the same name first, then what the metadata lists."""

    def __init__(self, distributions: List[Dict[str, Any]]) -> None:
        self._by_name: Dict[str, Optional[str]] = {}
        for one in distributions:
            self._by_name.setdefault(normal(one["name"]), one["version"])
        self._distributions = distributions
        self._by_module: Optional[Dict[str, Optional[str]]] = None

    def of(self, module: str) -> Optional[str]:
        if normal(module) in self._by_name:
            return self._by_name[normal(module)]
        if self._by_module is None:
            self._by_module = {}
            for one in self._distributions:
                for name in top_level(one["path"]):
                    self._by_module.setdefault(name, one["version"])
        return self._by_module.get(module)


def normal(name: Optional[str]) -> str:
    """Return *name* normalised as packaging's specification of names says (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name or "").lower()


def import_name(name: str) -> str:
    """Return the module that a distribution of that *name* most often has."""
    return normal(name).replace("-", "_")


def top_level(path: str) -> Iterator[str]:
    """Yield the modules that ``top_level.txt`` lists, else those that ``RECORD`` shows."""
    try:
        with io.open(os.path.join(path, "top_level.txt"), encoding="utf-8") as file:
            for line in file:
                yield line.strip()
    except (OSError, ValueError):
        yield from _recorded(path)


def _recorded(path: str) -> Iterator[str]:
    try:
        with io.open(os.path.join(path, "RECORD"), encoding="utf-8") as file:
            for line in file:
                first, slash, _ = line.partition("/")
                if not slash:
                    first = line.partition(",")[0].partition(".")[0]
                yield first
    except (OSError, ValueError):
        return
