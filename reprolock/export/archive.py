"""Zip archives that are the same bytes for the same files, on every machine.

Nothing is compressed: versions of zlib compress to different bytes, wheels are compressed already,
and where size and stored size must agree a few bytes cannot unpack to many.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
from typing import IO, TYPE_CHECKING, BinaryIO

from reprolock.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reprolock.export.contents import Member

_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = stat.S_IFREG | 0o644
_CHUNK = 1 << 20


def write(
    file: BinaryIO, head: tuple[str, bytes], members: Iterable[Member], say: Callable[[int], None]
) -> None:
    """Write *head*, a name with its bytes, and then the *members* in the order of their places.

    *say* is told how many are written. Raises ExportError where a file is not what its member
    says, OSError where *file* cannot be written.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        name, data = head
        with archive.open(_info(name, len(data)), "w") as target:
            target.write(data)
        for count, member in enumerate(sorted(members, key=lambda m: m.place), 1):
            with (
                _opened(member) as source,
                archive.open(_info(member.place, member.size), "w") as target,
            ):
                _copy(source, target, member)
            say(count)


def _info(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = _UNIX
    info.external_attr = _MODE << 16
    info.file_size = size
    return info


def _opened(member: Member) -> IO[bytes]:
    try:
        return member.path.open("rb")
    except OSError as exc:
        raise ExportError(
            f"cannot read {member.path}", causes=(exc.strerror or str(exc),), hint=_AGAIN
        ) from exc


def _copy(source: IO[bytes], target: IO[bytes], member: Member) -> None:
    digest, left = hashlib.sha256(), member.size
    while piece := _read(source, member):
        left -= len(piece)
        if left < 0:
            break
        digest.update(piece)
        target.write(piece)
    if left or digest.hexdigest() != member.sha256:
        raise ExportError(f"{member.path} changed while it was packed", hint=_AGAIN)


def _read(source: IO[bytes], member: Member) -> bytes:
    try:
        return source.read(_CHUNK)
    except OSError as exc:
        raise ExportError(
            f"cannot read {member.path}", causes=(exc.strerror or str(exc),), hint=_AGAIN
        ) from exc


_AGAIN = "export again when nothing writes there"
