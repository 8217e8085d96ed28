"""Installed distributions, read from outside the interpreter that they are installed for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_name

from reprolock.digest import sha256_bytes
from reprolock.facts.packages import record
from reprolock.finding import Finding, note, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Installed:
    """One distribution. *path* is its metadata folder or file, *root* the ``sys.path`` entry.

    *name* is normalised. *lines* is None where there is no RECORD. *generator* is what built the
    wheel, as its WHEEL says.
    """

    name: str
    version: str
    path: Path
    root: Path
    lines: tuple[record.RecordLine, ...] | None = None
    record_sha256: str | None = None
    tags: frozenset[Tag] = frozenset()
    generator: str | None = None
    installer: str | None = None
    direct_url: Mapping[str, Any] | None = None
    rewritten: frozenset[str] = field(default_factory=frozenset)

    def locate(self, path: str) -> Path:
        return self.root / path

    @property
    def files(self) -> str | None:
        """The digest of ``record.files_digest``, None without a RECORD."""
        if self.lines is None:
            return None
        return record.files_digest(
            self.lines, lambda path: record.installed_path(path) in self.rewritten
        )

    @property
    def sources(self) -> str | None:
        """The digest of its Python files alone: another build of the same source has the same."""
        lines = [line for line in self.lines or () if line.path.endswith(".py")]
        return record.files_digest(lines, lambda _path: False) if lines else None

    @property
    def hashes(self) -> dict[str, str]:
        """The RECORD as a table from ``record.installed_path`` to hash."""
        return {record.installed_path(line.path): line.hash for line in self.lines or ()}


def read_all(
    distributions: Sequence[Mapping[str, Any]],
) -> tuple[tuple[Installed, ...], tuple[Finding, ...]]:
    """Read the *distributions* of the journal's ``packages`` event, in the order of ``sys.path``.

    Where several have one normalised name, the first is what ``import`` finds; the others
    become a finding, and so do distributions without name or version.
    """
    found: dict[str, Installed] = {}
    findings: list[Finding] = []
    for entry in distributions:
        one = read(entry)
        if one is None:
            label = Path(str(entry.get("path") or "?")).name
            findings.append(
                warning(
                    "packages.unreadable",
                    f"the metadata of {label} names no project or no version",
                    subject=label,
                    hint="reinstall the package that this folder belongs to",
                )
            )
        elif (first := found.setdefault(one.name, one)) is not one and first.path != one.path:
            findings.append(_shadowed(first, one))
    return tuple(sorted(found.values(), key=lambda d: d.name)), tuple(findings)


def _shadowed(first: Installed, other: Installed) -> Finding:
    return note(
        "packages.shadowed",
        f"{first.name} is installed twice: {first.version} is imported, "
        f"{other.version} lies behind it on the search path",
        subject=first.name,
        expected=first.version,
        observed=other.version,
    )


def read(entry: Mapping[str, Any]) -> Installed | None:
    """Read one distribution; None where neither *entry* nor its metadata has name and version."""
    if not isinstance(entry.get("path"), str):
        return None
    path = Path(entry["path"])
    root = Path(str(entry.get("root") or path.parent))
    name, version = entry.get("name"), entry.get("version")
    if not name or not version:
        headers = _headers(path)
        name, version = name or headers.get("Name"), version or headers.get("Version")
    if not name or not version:
        return None
    data = _bytes(path / "RECORD")
    wheel = _text(path / "WHEEL")
    lines = None if data is None else _relative(record.parse(_decode(data)), root)
    return Installed(
        name=canonicalize_name(str(name).strip()),
        version=str(version).strip(),
        path=path,
        root=root,
        lines=lines,
        record_sha256=None if data is None else sha256_bytes(data),
        tags=_tags(wheel),
        generator=_field(wheel, "generator"),
        installer=_text(path / "INSTALLER").strip().split("\n")[0] or None,
        direct_url=_json(path / "direct_url.json"),
        rewritten=_rewritten(lines or (), root),
    )


def read_folder(folder: Path) -> tuple[Installed, ...]:
    """Read all distributions whose metadata lies in *folder*, sorted by name."""
    entries = [
        {"name": None, "version": None, "path": str(path), "root": str(folder)}
        for path in sorted(folder.iterdir())
        if path.name.endswith((".dist-info", ".egg-info"))
    ]
    return read_all(entries)[0]


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _text(path: Path) -> str:
    data = _bytes(path)
    return "" if data is None else _decode(data)


def _json(path: Path) -> Mapping[str, Any] | None:
    try:
        value = json.loads(_text(path))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _headers(path: Path) -> Mapping[str, str]:
    for place in (path / "METADATA", path / "PKG-INFO", path):
        if (data := _bytes(place)) is not None:
            return dict(HeaderParser().parsestr(_decode(data), headersonly=True).items())
    return {}


def _field(text: str, name: str) -> str | None:
    pairs = (line.partition(":") for line in text.splitlines())
    return next((v.strip() for key, _, v in pairs if key.strip().lower() == name), None)


def _tags(text: str) -> frozenset[Tag]:
    found: set[Tag] = set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == "tag" and value.strip().count("-") == 2:  # noqa: PLR2004
            found |= parse_tag(value.strip())
    return frozenset(found)


def _relative(lines: Iterable[record.RecordLine], root: Path) -> tuple[record.RecordLine, ...]:
    """Say paths that an installer wrote absolutely as seen from *root*, where they lie near it."""
    # An environment keeps its libraries in lib/pythonX.Y/site-packages.
    prefix = list(root.parents)[:3][-1] if root.parents else root
    out = []
    for line in lines:
        path = line.path
        if path.startswith("/"):
            if Path(path).is_relative_to(root):
                path = Path(path).relative_to(root).as_posix()
            elif Path(path).is_relative_to(prefix):
                path = "../../../" + Path(path).relative_to(prefix).as_posix()
        out.append(record.RecordLine(path, line.hash, line.size))
    return tuple(out)


def _rewritten(lines: Iterable[record.RecordLine], root: Path) -> frozenset[str]:
    """Return the scripts that begin with ``#!``, or are gone: an installer wrote that line."""
    found = set()
    for line in lines:
        path = record.installed_path(line.path)
        if path.startswith(record.SCRIPTS):
            try:
                with (root / line.path).open("rb") as file:
                    start = file.read(2)
            except OSError:
                start = b"#!"
            if start == b"#!":
                found.add(path)
    return frozenset(found)
