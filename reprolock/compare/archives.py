"""Zip containers (npz, xlsx, docx, keras, pt): by their members, not by when they were packed."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import TYPE_CHECKING

from reprolock.compare.model import different, excerpt, normalised

if TYPE_CHECKING:
    from reprolock.compare.model import CompareOptions, Outcome

MAX_UNPACKED = 1 << 30  # bytes of all members of one archive
_CHUNK = 1 << 20
_DIFFERS = "outputs.text-differs"
_MOST_METADATA = 1 << 20
# Member -> what in it says when it was saved: Office Open XML, Keras.
_SAVED_WHEN = {
    "docProps/core.xml": re.compile(
        rb"<dcterms:(created|modified)\b[^>]{0,200}>[^<]{0,100}</dcterms:\1>"
    ),
    "metadata.json": re.compile(rb'"date_saved"\s*:\s*"[^"\\]{0,100}"'),
}
# Bad or unusual archives: encrypted, an unknown compression, cut off.
_BAD = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError)


def compare_zip(expected: bytes, observed: bytes, options: CompareOptions) -> Outcome | None:
    """Compare two zip archives by the names and the content of their members.

    None where one cannot be read or would unpack to more than 1 GiB.
    """
    try:
        with (
            zipfile.ZipFile(io.BytesIO(expected)) as old,
            zipfile.ZipFile(io.BytesIO(observed)) as new,
        ):
            return _archives(old, new, options)
    except (*_BAD, ValueError):
        return None


def _archives(
    old: zipfile.ZipFile, new: zipfile.ZipFile, options: CompareOptions
) -> Outcome | None:
    sides = [sorted(z.infolist(), key=lambda i: i.filename) for z in (old, new)]
    if any(sum(i.file_size for i in infos) > MAX_UNPACKED for infos in sides):
        return None
    names = [[i.filename for i in infos] for infos in sides]
    if names[0] != names[1]:
        changed = sorted(set(names[0]) ^ set(names[1])) or ["repeated"]
        shown = excerpt(", ".join(changed))
        return different(_DIFFERS, f"the members of the archive differ: {shown}")
    for one, other in zip(*sides, strict=True):
        if not _same(old, one, new, other, dates=options.allows("zip-metadata")):
            return different(_DIFFERS, f"{excerpt(one.filename)} in the archive differs")
    if options.allows("zip-metadata"):
        return normalised("zip-metadata")
    return different(_DIFFERS, "the members of the archive are the same, but not how it was packed")


def _same(
    old: zipfile.ZipFile,
    one: zipfile.ZipInfo,
    new: zipfile.ZipFile,
    other: zipfile.ZipInfo,
    *,
    dates: bool,
) -> bool:
    drawn = _SAVED_WHEN.get(one.filename)
    if dates and drawn and max(one.file_size, other.file_size) <= _MOST_METADATA:
        return drawn.sub(b"", old.read(one)) == drawn.sub(b"", new.read(other))
    if (one.file_size, one.CRC) != (other.file_size, other.CRC):
        return False
    # A checksum of 32 bits is no proof.
    with old.open(one) as left, new.open(other) as right:
        while chunk := left.read(_CHUNK):
            if chunk != right.read(_CHUNK):
                return False
    return True
