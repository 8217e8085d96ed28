"""A lock as other tools want it: one file a format, and ``FORMATS`` names them all."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reprolock.digest import sha256_file
from reprolock.errors import ExportError, UsageError
from reprolock.export.bundle import Bundle
from reprolock.export.conda import Conda
from reprolock.export.devcontainer import DevContainer
from reprolock.export.dockerfile import Dockerfile
from reprolock.export.model import MAX_DATA, Format, Subject
from reprolock.export.requirements import Requirements
from reprolock.export.ro_crate import RoCrate
from reprolock.export.sbom import Sbom
from reprolock.export.target import target_of
from reprolock.export.unpack import lock_path
from reprolock.files import writing
from reprolock.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reprolock.export.model import Say
    from reprolock.lock import Lock

__all__ = ["FORMATS", "Format", "Options", "export"]

FORMATS: tuple[Format, ...] = (
    Requirements(),
    Conda(),
    Dockerfile(),
    DevContainer(),
    Sbom(),
    RoCrate(),
    Bundle(),
)


@dataclass(frozen=True)
class Options:
    """*lock*: a lock or a bundle; *to*: the name of a format; *output*: a file, or a folder for
    the usual name in it; default the usual name beside the lock. *maps*, *max_size* and *offline*:
    see `Subject`. *force*: write over a file that is no export of that format.
    """

    lock: Path
    to: str
    output: Path | None = None
    maps: Mapping[str, Path] = field(default_factory=dict)
    max_size: int = MAX_DATA
    offline: bool = False
    force: bool = False


def export(options: Options, say: Say) -> Result:
    """Write the lock in another format, whole or not at all.

    Raises UsageError, LockError for a lock that cannot be read or was changed, and ExportError
    where it has what the format cannot do without.
    """
    begun = time.monotonic()
    wanted = format_named(options.to)
    with lock_path(options.lock) as source:
        locked = source.read()
        _require_sound(options.lock, locked)
        subject = Subject(
            locked,
            say,
            at_hand=source.packages,
            maps=source.maps_with(options.maps),
            max_size=options.max_size,
            offline=options.offline,
        )
        target = target_of(subject, wanted, options.lock, options.output, force=options.force)
        with writing(target) as file:
            findings = wanted.write(subject, file)
    about = {"format": wanted.name, "path": str(target), "size": target.stat().st_size,
             "sha256": sha256_file(target)}  # fmt: skip
    return Result(
        "export",
        0,
        time.monotonic() - begun,
        lock={"path": str(options.lock), "sha256": locked.sha256, "digest": locked.digest},
        findings=findings,
        extra={"export": about},
    )


def format_named(name: str) -> Format:
    """Return the format of that name. Raises UsageError listing those that there are."""
    found = next((one for one in FORMATS if one.name == name), None)
    if found is None:
        raise UsageError(
            f"there is no format {name!r}",
            hint=f"--to takes one of {', '.join(one.name for one in FORMATS)}",
        )
    return found


def _require_sound(path: Path, locked: Lock) -> None:
    locked.require_intact(path)
    subject = Subject(locked, lambda _what, _done, _all: None)
    for name in (locked.path.name, subject.notebook.path):
        if not name.isprintable():
            raise ExportError(
                f"wanted a name that can be printed, found {name!r}", hint="rename the file"
            )
