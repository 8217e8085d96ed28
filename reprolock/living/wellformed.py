"""Which lines of a journal a recorder can have written: on disk anything may happen to it.

The others are left out and told, so that what reads the rest may trust it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Event = dict[str, Any]
_MOST_CELLS = 10_000_000
_MOST_NUMBER = 2**63


def _text(value: Any) -> bool:
    """Names of files may hold bytes that are no UTF-8; they come escaped, and can be written."""
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _path(value: Any) -> bool:
    return _text(value) and value.startswith("/") and "\0" not in value


def _version(value: Any) -> bool:
    try:
        Version(value.rstrip("+") if _text(value) else "")
    except InvalidVersion:
        return False
    return True


def _number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < _MOST_NUMBER


def _whole(value: Any) -> bool:
    return isinstance(value, int) and _number(value)


def _ordinal(value: Any) -> bool:
    return _whole(value) and 0 <= value < _MOST_CELLS


def _plain(value: Any) -> bool:
    """Whatever JSON holds that can be written again."""
    if isinstance(value, dict):
        return all(_text(key) and _plain(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool) or _number(value) or _text(value)


def _table(value: Any) -> bool:
    return isinstance(value, dict) and _plain(value)


def _bundle(value: Any) -> bool:
    return isinstance(value, dict)  # large, and cleaned where it is read


def _list(one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(one, value))


def _with(**fields: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: _table(value) and _has(value, fields)


def _of_all(**fields: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Check a table that cannot do without any of *fields*."""
    return lambda value: _table(value) and all(c(value.get(key)) for key, c in fields.items())


def _maybe(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _has(table: Event, fields: dict[str, Callable[[Any], bool]]) -> bool:
    return all(check(table[key]) for key, check in fields.items() if table.get(key) is not None)


_texts = _list(_text)
_metric_source = ("api", "expression").__contains__
# What each event cannot do without.
_NEEDED: dict[str, tuple[str, ...]] = {
    "cell-start": ("n",),
    "cell-end": ("n",),
    "output": ("n", "type", "content"),
    "output-cut": ("n",),
    "file": ("path", "op"),
    "folder": ("path",),
    "listed": ("path",),
    "metric": ("name", "dtype", "source"),
    "mounted": ("path",),
    "second": ("path",),
    "packages": ("distributions",),
    "command": ("number", "asked"),
    "command-end": ("number",),
    "seed": ("stream",),
    "draw": ("stream",),
    "uploaded": ("names",),
}
_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "start": {"pid": _whole, "process": _text, "at": _number},
    "living": {"folder": _path, "session": _text, "kernel": _text, "unknown": _ordinal},
    "cell-start": {
        "source": _text,
        "cell_id": _text,
        "count": _whole,
        "at": _number,
        "via": _text,
    },
    "cell-end": {"error": _text},
    "names": {"bound": _texts, "gone": _texts},
    "output": {"type": _text, "content": _bundle},
    "file": {
        **dict.fromkeys(("path", "to", "real"), _path),
        **dict.fromkeys(("op", "command", "via", "by"), _text),
        **dict.fromkeys(("size", "mtime_ns", "size_before", "mtime_before", "ino"), _whole),
    },
    "folder": {"path": _path},
    "listed": {"path": _path, "beside": _texts},
    "mounted": {"path": _path},
    "second": {"path": _path},
    "uploaded": {"names": _list(_path)},
    "mark": {"kind": _text, "path": _path},
    "seed": {"stream": _text, "call": _text},
    "draw": {"stream": _text, "call": _text},
    "metric": {"name": _text, "dtype": _text, "source": _metric_source, "expression": _text},
    "metric-error": {"name": _text, "error": _text},
    "snapshot": {
        "names": _table,
        "threads": _texts,
        "tasks": _texts,
        "processes": _texts,
        "lost": _whole,
    },
    "notebook": {"path": _path, "name": _text, "content": _bundle, "problems": _texts},
    "packages": {"distributions": _list(_with(name=_text, version=_text))},
    "command": {"number": _whole, "asked": _text, "kinds": _texts, "why": _text},
    "command-end": {"number": _whole, "status": _whole, "requirements": _texts, "unread": _texts},
    "installed": dict.fromkeys(
        ("distributions", "system"),
        _list(_of_all(name=_text, before=_maybe(_text), after=_maybe(_text))),
    ),
    "memory-differs": {
        "modules": _list(
            _of_all(module=_text, distribution=_text, memory=_text, disk=_maybe(_text))
        )
    },
    "interpreter": {
        "version": _version,
        "environ": _table,
        "flags": _table,
        "build": _texts,
        "executable": _text,
        "libpython": _path,
    },
    "system": {"os": _table, "platform_signs": _table, "libc": _texts, "libraries": _texts},
    "hardware": {
        "cpu": _with(model=_text, vendor=_text, cores_logical=_ordinal, flags=_texts),
        "memory_bytes": _whole,
        "torch": _table,
        "jax": _table,
    },
}
_LARGE = ("output", "notebook")


def wellformed(events: Iterable[Event]) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """Return the events that can be read, and a sentence where others were left out."""
    found = list(events)
    kept = tuple(filter(_can_be_read, found))
    left_out = len(found) - len(kept)
    if not left_out:
        return kept, ()
    return kept, (f"lines of the journal that no recorder writes were left out: {left_out}",)


def _can_be_read(event: Event) -> bool:
    name = event["event"]
    if any(event.get(key) is None for key in _NEEDED.get(name, ())):
        return False
    if not _has(event, {"n": _ordinal, **_FIELDS.get(name, {})}):
        return False
    return name in _LARGE or _plain(event)
