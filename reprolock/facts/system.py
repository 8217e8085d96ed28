"""Below Python: operating system, libc, locale, the platform, libraries from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_file
from reprolock.facts.owners import Owner, owners
from reprolock.facts.reading import checked, may, need, tables, without_none
from reprolock.finding import Finding, note, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHERE = "tool.reprolock.system"
# Libraries whose code computes numbers; the others are compared too, but weigh less.
_NUMERIC = (
    "libm.",
    "libm-",
    "libgomp.",
    "libiomp",
    "libopenblas",
    "libblas",
    "liblapack",
    "libmkl",
    "libstdc++",
    "libcublas",
    "libcudnn",
    "libcufft",
    "libcusolver",
    "libcuda.",
    "libnccl",
)

# Signs of where the machine itself runs, which is not who offers the notebook.
_NO_PLATFORM = {"container", "wsl"}


@dataclass(frozen=True)
class Library:
    """A shared library that was mapped into the kernel and lies outside the environment.

    *owner*: apt's or conda's package that it is of, None where nobody says.
    """

    name: str
    sha256: str
    owner: Owner | None = None


@dataclass(frozen=True)
class System:
    os: str
    os_version: str | None
    machine: str
    libc: str | None
    platform: str
    locale: str | None = None
    timezone: str | None = None
    libraries: tuple[Library, ...] = ()
    platform_version: str | None = None


def parse(event: Mapping[str, Any]) -> System:
    """Read the recorder's ``system`` event; library files are hashed here, outside the kernel."""
    os_facts = event.get("os") or {}
    signs = {k for k, seen in (event.get("platform_signs") or {}).items() if seen} - _NO_PLATFORM
    return System(
        os=str(os_facts.get("id") or "unknown"),
        os_version=_text(os_facts.get("version_id")),
        machine=str(event.get("machine") or "unknown"),
        libc=" ".join(str(part) for part in event.get("libc") or () if part) or None,
        platform=min(signs, default="jupyter"),
        locale=_text(event.get("locale")),
        timezone=_text(event.get("timezone")),
        libraries=_libraries(event.get("libraries") or ()),
        platform_version=_text(event.get("platform_version")),
    )


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _libraries(names: Any) -> tuple[Library, ...]:
    digests = {path: _digest(path) for path in {Path(str(name)) for name in names}}
    found = {path: sha256 for path, sha256 in digests.items() if sha256 is not None}
    of = owners(found)
    libraries = {Library(path.name, sha256, of.get(path)) for path, sha256 in found.items()}
    return tuple(sorted(libraries, key=lambda one: (one.name, one.sha256, str(one.owner))))


def _digest(path: Path) -> str | None:
    try:
        return sha256_file(path) if path.is_file() else None
    except (OSError, ValueError):
        return None


def to_toml(facts: System) -> dict[str, Any]:
    return without_none(
        {
            "os": facts.os,
            "os-version": facts.os_version,
            "machine": facts.machine,
            "libc": facts.libc,
            "platform": facts.platform,
            "platform-version": facts.platform_version,
            "locale": facts.locale,
            "timezone": facts.timezone,
            "libraries": [
                without_none(
                    {
                        "name": library.name,
                        "sha256": library.sha256,
                        "owner": library.owner and dict(vars(library.owner)),
                    }
                )
                for library in facts.libraries
            ],
        }
    )


def from_toml(table: dict[str, Any]) -> System:
    return System(
        os=need(table, "os", str, _WHERE),
        os_version=may(table, "os-version", str, _WHERE),
        machine=need(table, "machine", str, _WHERE),
        libc=may(table, "libc", str, _WHERE),
        platform=need(table, "platform", str, _WHERE),
        locale=may(table, "locale", str, _WHERE),
        timezone=may(table, "timezone", str, _WHERE),
        libraries=tuple(
            Library(
                checked(entry.get("name"), str, f"{_WHERE}.libraries.name"),
                checked(entry.get("sha256"), str, f"{_WHERE}.libraries.sha256"),
                _owner(may(entry, "owner", dict, f"{_WHERE}.libraries")),
            )
            for entry in tables(table, "libraries", _WHERE)
        ),
        platform_version=may(table, "platform-version", str, _WHERE),
    )


def _owner(table: dict[str, Any] | None) -> Owner | None:
    if table is None:
        return None
    where = f"{_WHERE}.libraries.owner"
    return Owner(*(need(table, key, str, where) for key in ("kind", "name", "version")))


def compare(expected: System, observed: System) -> tuple[Finding, ...]:
    findings = []
    for key, label in (
        ("os", "operating system"),
        ("os_version", "operating system's version"),
        ("libc", "C library"),
        ("machine", "machine type"),
        ("platform", "platform"),
        ("locale", "locale"),
        ("timezone", "time zone"),
    ):
        before, after = getattr(expected, key), getattr(observed, key)
        if before != after:
            say = warning if key in ("libc", "machine") else note
            findings.append(
                say(
                    f"system.{key.replace('_', '-')}-changed",
                    f"the {label} was {before}, here it is {after}",
                    subject=key,
                    expected=before,
                    observed=after,
                )
            )
    return (*findings, *_version_change(expected, observed), *_library_changes(expected, observed))


def _version_change(expected: System, observed: System) -> list[Finding]:
    """Tell another version of the platform's runtime, where both runs have one."""
    before, after = expected.platform_version, observed.platform_version
    if before is None or after is None or before == after:
        return []
    return [
        note(
            "system.platform-version-changed",
            f"the version of the platform's runtime was {before}, here it is {after}",
            subject="platform_version",
            expected=before,
            observed=after,
        )
    ]


def _library_changes(expected: System, observed: System) -> list[Finding]:
    old, new = _builds(expected), _builds(observed)
    findings = []
    for name in sorted(old.keys() & new.keys()):
        if old[name].keys() & new[name].keys():
            continue
        numeric = name.startswith(_NUMERIC)
        say = warning if numeric else note
        (before, was), (after, now) = min(old[name].items()), min(new[name].items())
        of = f" (of {was} there, of {now} here)" if was and now and was != now else ""
        findings.append(
            say(
                "system.library-changed",
                f"{name} is another build than in the recorded run{of}"
                + ("; it takes part in computing" if numeric else ""),
                subject=name,
                expected=f"sha256:{before}",
                observed=f"sha256:{after}",
            )
        )
    return findings


def _builds(facts: System) -> dict[str, dict[str, Owner | None]]:
    """Return digests and owners of the libraries by name: two of one name may be loaded."""
    builds: dict[str, dict[str, Owner | None]] = {}
    for library in facts.libraries:
        builds.setdefault(library.name, {})[library.sha256] = library.owner
    return builds
