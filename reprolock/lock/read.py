"""Reading a lock: every way in which it can be wrong has its own words."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_bytes
from reprolock.errors import LockError
from reprolock.facts import FAMILIES, Record
from reprolock.facts.reading import may, need
from reprolock.lock import policy
from reprolock.lock.model import FORMAT, Lock, content_digest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

    from reprolock.facts.family import Family

_AGAIN = "capture the notebook again with `reprolock capture`"


def read(path: Path) -> Lock:
    """Read the lock at *path*.

    Raises LockError where it cannot be read, is no TOML, no PEP 751, no lock of reprolock's or
    of a newer format. A digest that does not hold is no error here: see `Lock.intact`.
    """
    data = _bytes(path)
    document = parse(path, data)
    _check_lock_version(path, document)
    ours = _check_format(path, document)
    digest, actual = need(ours, "digest", str, "tool.reprolock"), content_digest(document)
    if digest != actual:  # else it is as reprolock wrote it, and each key is checked where read
        _check_pylock(path, document)
    record = Record(
        {family.kind: family.from_toml(_table(document, ours, family)) for family in FAMILIES}
    )
    return Lock(
        path=path,
        sha256=sha256_bytes(data),
        record=record,
        policy=policy.from_toml(ours.get("policy", {})),
        digest=digest,
        actual=actual,
        created=_created(ours.get("created")),
    )


def reference_beside(path: Path) -> str | None:
    """Return the name of the reference of the lock at *path*, None where it is the notebook itself.

    Raises LockError where this is no lock of reprolock's.
    """
    ours = _check_format(path, parse(path, _bytes(path)))
    about = need(ours, "notebook", dict, "tool.reprolock")
    name = may(about, "reference", str, "tool.reprolock.notebook")
    return None if name == about.get("path") else name


def _created(value: Any) -> dt.datetime | None:
    return value if isinstance(value, dt.datetime) else None


def _table(document: dict[str, Any], ours: dict[str, Any], family: Family) -> dict[str, Any]:
    """Return the family's own table; the packages' is joined by what PEP 751 holds of them."""
    if family.later and family.name not in ours:
        return {}
    table = need(ours, family.name, dict, "tool.reprolock")
    return {**table, "pylock": document.get("packages", [])} if family.name == "packages" else table


def _bytes(path: Path) -> bytes:
    try:
        # One could wait for ever for a pipe, and a device may have no end.
        data = path.read_bytes() if path.is_file() or not path.exists() else None
    except OSError as exc:
        raise _unreadable(path, exc.strerror or str(exc)) from exc
    if data is None:
        raise _unreadable(path, "it is no file")
    return data


def _unreadable(path: Path, cause: str) -> LockError:
    return LockError(
        f"cannot read the lock {path}",
        causes=(cause,),
        hint="give the path of a pylock.NAME.toml; `reprolock capture` writes one",
    )


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """Return the TOML document. Raises LockError where *data* is none."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise LockError(
            f"{path} is not a lock: wanted TOML", causes=(str(exc)[:300],), hint=_AGAIN
        ) from exc


def _check_lock_version(path: Path, document: dict[str, Any]) -> None:
    version = document.get("lock-version")
    if not isinstance(version, str):
        raise LockError(f"{path} is not a PEP 751 lock: it has no `lock-version`", hint=_AGAIN)
    if version.split(".")[0] != "1":
        raise LockError(
            f"{path}: wanted lock-version 1.x, found {version!r}",
            hint="a newer reprolock may read it",
        )


def _check_pylock(path: Path, document: dict[str, Any]) -> None:
    try:
        from packaging.pylock import Pylock
    except ImportError:  # packaging < 26: pip and uv still check the lock when they install from it
        return
    try:
        Pylock.from_dict(document)
    except Exception as exc:
        raise LockError(
            f"{path} is not a valid PEP 751 lock", causes=(str(exc)[:300],), hint=_AGAIN
        ) from exc


def _check_format(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    tool = document.get("tool")
    ours = tool.get("reprolock") if isinstance(tool, dict) else None
    if not isinstance(ours, dict):
        raise LockError(
            f"{path} has no [tool.reprolock]: it was not written by reprolock", hint=_AGAIN
        )
    found = ours.get("format")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise LockError(
            f"{path}: wanted tool.reprolock.format to be an integer, found {found!r}", hint=_AGAIN
        )
    if found > FORMAT:
        raise LockError(
            f"{path} has format {found}; this reprolock reads up to {FORMAT}",
            hint="upgrade reprolock",
        )
    return ours
