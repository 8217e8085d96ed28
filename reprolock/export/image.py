"""What a container needs to be like the recorded machine: base image, apt packages, variables."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reprolock.errors import ExportError
from reprolock.facts import installs, system
from reprolock.facts.interpreter import REPLAYED, Interpreter
from reprolock.facts.packages import VcsSource
from reprolock.finding import Finding, note

if TYPE_CHECKING:
    from reprolock.export.model import Subject

#: Where the packages go: an environment of its own, so that it holds nothing but what is locked.
ENVIRONMENT = "/opt/environment"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm/v7",
                  "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}  # fmt: skip
_DEBIAN = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
#: Where Debian and Ubuntu have the libraries that wheels expect of a desktop.
_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libGLU.so.1": "libglu1-mesa",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libcairo.so.2": "libcairo2",
    "libgfortran.so.5": "libgfortran5",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libsndfile.so.1": "libsndfile1",
}
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?\Z")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]+\Z")


@dataclass(frozen=True)
class Image:
    """*base*: an image of Docker's official ones; *platform* as ``--platform`` takes it; *apt*:
    packages as ``apt-get install`` takes them.
    """

    base: str
    platform: str
    apt: tuple[str, ...]
    environ: dict[str, str]
    findings: tuple[Finding, ...]


def image_of(subject: Subject) -> Image:
    """Return the container for the lock. Raises ExportError where no image has its Python."""
    facts = subject.locked.record[system.System]
    recorded = _recorded(subject)
    # Versions of Debian's are there in Debian alone, and only in the release that they are of.
    release = _DEBIAN.get((facts.os_version or "").split(".")[0]) if facts.os == "debian" else None
    pinned = release is not None
    more = (_tools(subject) | _libraries(subject)) - {name for name, _ in recorded}
    named = [f"{name}={version}" if pinned and version else name for name, version in recorded]
    suffix = f"-{release}" if release and recorded else ""
    findings = [_other_build(subject.interpreter)]
    if recorded and not pinned:
        findings.append(_loose(recorded))
    return Image(
        base=_base(subject.interpreter) + suffix,
        platform=_platform(subject.interpreter),
        apt=tuple(sorted({*named, *more})),
        environ=_environ(subject.interpreter),
        findings=tuple(findings),
    )


def install_command(lock: str, uv: str = "uv") -> str:
    """Return the shell command that makes the environment of *lock*, a path, by its hashes."""
    return (
        f"python -m pip install --no-cache-dir 'uv=={importlib.metadata.version('uv')}'"
        f' && {uv} venv --python "$(command -v python)" {ENVIRONMENT}'
        f" && {uv} pip sync --no-cache --python {ENVIRONMENT}/bin/python {lock}"
    )


def _base(wanted: Interpreter) -> str:
    if wanted.implementation == "pypy":
        return f"pypy:{wanted.minor}-slim"
    if wanted.implementation != "cpython" or wanted.free_threaded or wanted.debug:
        raise ExportError(
            f"no official image has {wanted.display_name}",
            hint="rebuild it with `reprolock rebuild`, or export to another format",
        )
    return f"python:{wanted.version}-slim"


def _platform(wanted: Interpreter) -> str:
    kind, _, machine = wanted.platform.partition("-")
    if kind != "linux" or machine not in _ARCHITECTURES:
        raise ExportError(
            f"the files of the lock are for {wanted.platform or 'an unknown machine'}, and a "
            "container runs Linux",
            hint="capture the notebook on Linux",
        )
    return f"linux/{_ARCHITECTURES[machine]}"


def _recorded(subject: Subject) -> list[tuple[str, str]]:
    """Return name and version of the packages of apt that the notebook installed."""
    changes = subject.locked.record[installs.Installs].changes
    found = {one.name: one.after for one in changes if one.system and one.after is not None}
    sound = {name: version for name, version in found.items() if _PACKAGE.match(name)}
    return sorted((name, v if _VERSION.match(v) else "") for name, v in sound.items())


def _libraries(subject: Subject) -> set[str]:
    """Return the packages of libraries that the kernel had loaded and a slim image has not."""
    names = [library.name for library in subject.locked.record[system.System].libraries]
    return {
        package
        for library, package in _LIBRARIES.items()
        if any(name == library or name.startswith(f"{library}.") for name in names)
    }


def _tools(subject: Subject) -> set[str]:
    """Return what installing takes that a slim image has not."""
    packages = subject.packages.packages
    tools = {"git"} if any(isinstance(p.source, VcsSource) for p in packages) else set()
    return tools | ({"build-essential"} if any(p.built for p in packages) else set())


def _environ(wanted: Interpreter) -> dict[str, str]:
    """Return the variables that decide numbers, but those with a path of the recorded machine."""
    return {
        name: value
        for name, value in sorted(wanted.environ.items())
        if name in REPLAYED and "<path>" not in value and value.isprintable()
    }


def _other_build(wanted: Interpreter) -> Finding:
    return note(
        "export.interpreter-differs",
        f"the image's Python {wanted.version} is another build than the recorded one, and its "
        "libraries can be",
        subject="python",
        hint="run `reprolock verify` in the container to see whether the metrics hold",
    )


def _loose(recorded: list[tuple[str, str]]) -> Finding:
    shown = ", ".join(f"{name} {version}".strip() for name, version in recorded)
    return note(
        "export.system-packages-loose",
        f"packages of apt are named without their versions, which the image may not have: {shown}",
        subject="apt",
    )
