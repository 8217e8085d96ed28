"""``environment.yml``: conda makes the interpreter, pip the packages, each from its address.

Format: conda's "Managing environments", section "Creating an environment file manually". It has no
place for hashes, but pip checks the one at the end of an address.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO

from reprolock.errors import ExportError
from reprolock.export.carried import address, unresolved
from reprolock.finding import Finding, note

if TYPE_CHECKING:
    from reprolock.export.model import Subject
    from reprolock.facts.interpreter import Interpreter
    from reprolock.facts.packages import UnresolvedPackage

_CHANNEL = "conda-forge"
_DEFAULTS = "https://repo.anaconda.com/pkgs/"


class Conda:
    name = "conda"
    mark = b"made by `reprolock export --to conda`"

    def filename(self, subject: Subject) -> str:
        return f"environment.{subject.stem}.yml"

    def write(self, subject: Subject, file: BinaryIO) -> tuple[Finding, ...]:
        own = [p for p in subject.packages.unresolved if _spec(p) is not None]
        python = _python(subject.interpreter)
        lines = [
            f"# The packages of {subject.locked.path.name}: made by `reprolock export --to conda`.",
            f"# conda env create -f {self.filename(subject)}",
            f"name: {json.dumps(subject.stem, ensure_ascii=False)}",
            "channels:",
            *(f"  - {json.dumps(channel)}" for channel in _channels(own)),
            "dependencies:",
            *(f"  - {json.dumps(spec)}" for spec in (python, "pip", *map(_spec, own))),
        ]
        if subject.packages.packages:
            lines.append("  - pip:")
            lines += [f"      - {json.dumps(address(p))}" for p in subject.packages.packages]
        file.write("".join(f"{line}\n" for line in lines).encode())
        names = {package.name for package in own}
        rest = tuple(f for f in unresolved(subject) if f.subject not in names)
        return (_other_build(subject.interpreter), *rest)


def _python(wanted: Interpreter) -> str:
    """Return conda's name for the interpreter. Raises ExportError where it has none like it."""
    if wanted.implementation != "cpython" or wanted.debug:
        raise ExportError(
            f"conda has no {wanted.display_name}",
            hint="rebuild it with `reprolock rebuild`, or export to another format",
        )
    return (
        f"python-freethreading={wanted.version}"
        if wanted.free_threaded
        else (f"python={wanted.version}")
    )


def _spec(package: UnresolvedPackage) -> str | None:
    """Return the specification of what conda itself installed, None for all else."""
    origin = package.origin
    if origin.get("kind") != "conda" or "name" not in origin or "version" not in origin:
        return None
    build = f"={origin['build']}" if origin.get("build") else ""
    return f"{origin['name']}={origin['version']}{build}"


def _channels(own: list[UnresolvedPackage]) -> list[str]:
    told = {p.origin["channel"] for p in own if p.origin.get("channel")}
    named = sorted("defaults" if name.startswith(_DEFAULTS) else name for name in told)
    return list(dict.fromkeys([*named, _CHANNEL])) if own else [_CHANNEL, "nodefaults"]


def _other_build(wanted: Interpreter) -> Finding:
    return note(
        "export.interpreter-differs",
        f"conda's Python {wanted.version} is another build than the recorded one, and brings "
        "libraries of its own",
        subject="python",
    )
