"""Packages as PEP 751 ``[[packages]]`` and ``[tool.reprolock.packages]``, and back."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from reprolock.errors import LockError
from reprolock.facts.packages.model import (
    FILE_SCHEMES,
    REPOSITORY_SCHEMES,
    ArchiveSource,
    LockedPackage,
    Packages,
    SdistFile,
    Source,
    Spare,
    UnresolvedPackage,
    VcsSource,
    WheelFile,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHA256_LENGTH = 64


def to_pylock(packages: Packages) -> list[dict[str, Any]]:
    """Return the ``[[packages]]`` of PEP 751, sorted by name. ``upload-time`` is a datetime."""
    return [_entry(package) for package in sorted(packages.packages, key=lambda p: p.name)]


def _entry(package: LockedPackage) -> dict[str, Any]:
    out: dict[str, Any] = {"name": package.name}
    source = package.source
    # The version of what is built from a tree is only known once it is built (PEP 751).
    if not isinstance(source, VcsSource):
        out["version"] = package.version
    if isinstance(source, WheelFile):
        out["wheels"] = [_file(source)]
    elif isinstance(source, SdistFile):
        out["sdist"] = _file(source)
    elif isinstance(source, ArchiveSource):
        out["archive"] = _filled(
            url=source.url,
            size=source.size,
            subdirectory=source.subdirectory,
            hashes={"sha256": source.sha256},
        )
    else:
        out["vcs"] = _filled(
            **{
                "type": source.type,
                "url": source.url,
                "requested-revision": source.requested_revision,
                "commit-id": source.commit_id,
                "subdirectory": source.subdirectory,
            }
        )
    return out


def _file(file: WheelFile | SdistFile) -> dict[str, Any]:
    return _filled(
        **{
            "name": None if file.filename == _tail(file.url) else file.filename,
            "upload-time": _to_datetime(file.upload_time),
            "url": file.url,
            "size": file.size,
            "hashes": {"sha256": file.sha256},
        }
    )


def _tail(url: str) -> str:
    """PEP 751 takes it for the file's name where there is no ``name``."""
    return url.split("#", maxsplit=1)[0].rpartition("/")[2]


def _filled(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _to_datetime(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found


def to_toml(packages: Packages) -> dict[str, Any]:
    """Return ``[tool.reprolock.packages]``: what PEP 751 has no place for.

    ``distributions`` maps a name to its evidence, installer, files digest and build (and its
    version, where ``[[packages]]`` has none); ``unresolved`` lists what no index gives back.
    """
    out: dict[str, Any] = {
        "distributions": {
            p.name: _filled(
                version=p.version if isinstance(p.source, VcsSource) else None,
                evidence=p.evidence,
                installer=p.installer,
                files=p.files,
                build=dict(p.build) or None,
                sdist=p.spare and p.spare.filename,
                **{"sdist-sha256": p.spare and p.spare.sha256},
            )
            for p in sorted(packages.packages, key=lambda p: p.name)
        }
    }
    if packages.unresolved:
        out["unresolved"] = [
            _filled(
                name=p.name,
                version=p.version,
                reason=p.reason,
                installer=p.installer,
                filename=p.filename,
                sha256=p.sha256,
                files=p.files,
                differs=list(p.differs) or None,
                origin=dict(p.origin) or None,
            )
            for p in sorted(packages.unresolved, key=lambda p: p.name)
        ]
    return out


def from_lock(pylock: Sequence[Mapping[str, Any]], tool: Mapping[str, Any]) -> Packages:
    """Read ``[[packages]]`` and ``[tool.reprolock.packages]``, both as tomllib gives them.

    Raises LockError naming the key and what was found there.
    """
    facts = _table(tool.get("distributions", {}), "tool.reprolock.packages.distributions")
    listed = _array(pylock, "packages")
    unresolved = _array(tool.get("unresolved", []), "tool.reprolock.packages.unresolved")
    packages = Packages(
        tuple(
            sorted(
                (_locked(entry, i, facts) for i, entry in enumerate(listed)), key=lambda p: p.name
            )
        ),
        tuple(
            sorted(
                (_unresolved(entry, i) for i, entry in enumerate(unresolved)), key=lambda p: p.name
            )
        ),
    )
    names = [p.name for p in packages.packages] + [p.name for p in packages.unresolved]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LockError(
            f"packages: wanted each project once, found more than one {twice[0]}",
            hint="a lock of reprolock holds one environment; capture again",
        )
    return packages


def from_toml(table: Mapping[str, Any]) -> Packages:
    """Read ``[tool.reprolock.packages]`` with ``[[packages]]`` under its key ``pylock``.

    Raises LockError naming the key and what was found there.
    """
    return from_lock(table.get("pylock", []), table)


def _locked(entry: Any, index: int, facts: Mapping[str, Any]) -> LockedPackage:
    where = f"packages[{index}]"
    entry = _table(entry, where)
    name = canonicalize_name(_string(entry, "name", where))
    fact = _table(facts.get(name, {}), f"tool.reprolock.packages.distributions.{name}")
    place = f"tool.reprolock.packages.distributions.{name}"
    version = _optional(entry, "version", where) or _optional(fact, "version", place)
    if version is None:
        raise LockError(f"{where}.version: wanted a string, found nothing")
    return LockedPackage(
        name,
        version,
        _read_source(entry, where),
        _optional(fact, "evidence", place) or "none",
        _optional(fact, "installer", place),
        _optional(fact, "files", place),
        _build(fact, place),
        _spare(fact, place),
    )


def _spare(fact: Mapping[str, Any], where: str) -> Spare | None:
    filename = _optional(fact, "sdist", where)
    if filename is None:
        return None
    return Spare(
        filename, _hexadecimal(_string(fact, "sdist-sha256", where), f"{where}.sdist-sha256")
    )


def _build(fact: Mapping[str, Any], where: str) -> dict[str, Any]:
    table = _table(fact.get("build", {}), f"{where}.build")
    requires = list(_texts(table, "requires", f"{where}.build")) if "requires" in table else None
    told = {key: _optional(table, key, f"{where}.build") for key in ("generator", "sources")}
    return _filled(requires=requires, **told)


def _read_sdist(entry: Mapping[str, Any], where: str) -> SdistFile:
    return SdistFile(*_read_file(_table(entry["sdist"], f"{where}.sdist"), f"{where}.sdist"))


def _read_source(entry: Mapping[str, Any], where: str) -> Source:
    if "wheels" in entry:
        wheels = _array(entry["wheels"], f"{where}.wheels")
        if len(wheels) != 1:
            raise LockError(f"{where}.wheels: wanted one wheel, found {len(wheels)}")
        return WheelFile(*_read_file(_table(wheels[0], f"{where}.wheels[0]"), f"{where}.wheels[0]"))
    if "sdist" in entry:
        return _read_sdist(entry, where)
    if "archive" in entry:
        place = f"{where}.archive"
        table = _table(entry["archive"], place)
        return ArchiveSource(
            _address(table, place, FILE_SCHEMES),
            _sha256(table, place),
            _integer(table, "size", place),
            _optional(table, "subdirectory", place),
        )
    if "vcs" in entry:
        place = f"{where}.vcs"
        table = _table(entry["vcs"], place)
        return VcsSource(
            _string(table, "type", place),
            _address(table, place, REPOSITORY_SCHEMES),
            _string(table, "commit-id", place),
            _optional(table, "requested-revision", place),
            _optional(table, "subdirectory", place),
        )
    found = ", ".join(sorted(entry)) or "nothing"
    raise LockError(f"{where}: wanted wheels, sdist, archive or vcs, found {found}")


def _read_file(
    table: Mapping[str, Any], where: str
) -> tuple[str, str, str, int | None, str | None]:
    url = _address(table, where, FILE_SCHEMES)
    name = _optional(table, "name", where) or _tail(url)
    return (
        name,
        url,
        _sha256(table, where),
        _integer(table, "size", where),
        _read_time(table, where),
    )


def _read_time(table: Mapping[str, Any], where: str) -> str | None:
    value = table.get("upload-time")
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise LockError(f"{where}.upload-time: wanted a date and time, found {value!r}")
    text = value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)
    return text.isoformat().replace("+00:00", "Z")


def _sha256(table: Mapping[str, Any], where: str) -> str:
    hashes = _table(table.get("hashes"), f"{where}.hashes")
    return _hexadecimal(_string(hashes, "sha256", f"{where}.hashes"), f"{where}.hashes.sha256")


def _address(table: Mapping[str, Any], where: str, schemes: tuple[str, ...]) -> str:
    """Return the ``url``. Some others name files of this machine, or commands for git to run."""
    url = _string(table, "url", where)
    scheme, found, _ = url.partition("://")
    if found and scheme.lower() in schemes:
        return url
    raise LockError(f"{where}.url: wanted {' or '.join(schemes)}, found {url!r:.200}")


def _hexadecimal(value: str, where: str) -> str:
    if len(value) != _SHA256_LENGTH or set(value) - set("0123456789abcdef"):
        raise LockError(f"{where}: wanted 64 hexadecimal digits, found {value!r}")
    return value


def _unresolved(entry: Any, index: int) -> UnresolvedPackage:
    where = f"tool.reprolock.packages.unresolved[{index}]"
    entry = _table(entry, where)
    return UnresolvedPackage(
        canonicalize_name(_string(entry, "name", where)),
        _string(entry, "version", where),
        _string(entry, "reason", where),
        _optional(entry, "installer", where),
        _optional(entry, "files", where),
        _optional(entry, "filename", where),
        _optional(entry, "sha256", where),
        _texts(entry, "differs", where),
        _origin(entry, where),
    )


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise LockError(f"{where}: wanted a table, found {_shown(value)}")
    return value


def _array(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise LockError(f"{where}: wanted an array, found {_shown(value)}")
    return value


def _string(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise LockError(f"{where}.{key}: wanted a string, found {_shown(value)}")
    return value


def _optional(table: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if key not in table else _string(table, key, where)


def _origin(table: Mapping[str, Any], where: str) -> dict[str, str]:
    found = _table(table.get("origin", {}), f"{where}.origin")
    if not all(isinstance(value, str) for value in found.values()):
        raise LockError(f"{where}.origin: wanted a table of strings, found {_shown(found)}")
    return dict(found)


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    found = _array(table.get(key, []), f"{where}.{key}")
    if not all(isinstance(text, str) for text in found):
        raise LockError(f"{where}.{key}: wanted an array of strings, found {_shown(found)}")
    return tuple(found)


def _integer(table: Mapping[str, Any], key: str, where: str) -> int | None:
    value = table.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise LockError(f"{where}.{key}: wanted a whole number, found {_shown(value)}")


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)
