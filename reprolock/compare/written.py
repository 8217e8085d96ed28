"""Files that a run wrote: looked into where the kind is known."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reprolock.compare.archives import compare_zip
from reprolock.compare.images import compare_images, compare_svg
from reprolock.compare.model import different, normalised
from reprolock.compare.structure import compare_json
from reprolock.compare.tables import compare_html
from reprolock.compare.text import compare_text

if TYPE_CHECKING:
    from reprolock.compare.model import CompareOptions, Outcome

_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_GZIP = b"\x1f\x8b"
_MOST_TEXT = 20 << 20
_MOST_GZIP = 256 << 20
_PDF_DRAWN = re.compile(
    rb"/(?:CreationDate|ModDate)\s*(?:\((?:[^()\\]|\\.){0,200}\)|<[0-9A-Fa-f\s]{0,400}>)"
    rb"|/ID\s*\[\s*(?:<[0-9A-Fa-f\s]{0,200}>\s*){2}\]",
)


def compare_written(
    expected: bytes, observed: bytes, options: CompareOptions, *, name: str = ""
) -> Outcome | None:
    """Compare the content of a file of two runs, by what its bytes and *name* say it is.

    Pictures by pixels; SVG, HTML and JSON as outputs of these kinds; zip containers by their
    members, gzip by what is in it; PDF without its dates; other UTF-8 text as text. None for a
    kind that is not known, a PDF that differs in more, or what is too large to be looked into
    (text 20 MiB, gzip 256 MiB and zip 1 GiB when unpacked): nothing but the bytes can be told.
    """
    # No cell is known here, so nothing says that a duration was measured.
    options = replace(options, clock=False)
    both = expected, observed
    if all(data.startswith(_IMAGES) for data in both):
        old, new = (base64.b64encode(data).decode() for data in both)
        return compare_images(old, new, options)
    if all(data.startswith(b"PK\x03\x04") for data in both):
        return compare_zip(expected, observed, options)
    if all(data.startswith(_GZIP) for data in both):
        return _compare_gzip(expected, observed, options, name)
    if all(data.startswith(b"%PDF-") for data in both):
        return _compare_pdf(expected, observed, options)
    texts = _text(expected), _text(observed)
    if texts[0] is None or texts[1] is None:
        return None
    return _compare_texts(texts[0], texts[1], options, name.lower())


def _compare_texts(one: str, other: str, options: CompareOptions, name: str) -> Outcome:
    if name.endswith(".svg") or (_is_svg(one) and _is_svg(other)):
        return compare_svg(one, other, options)
    if name.endswith((".html", ".htm")):
        return compare_html(one, other, options)
    if name.endswith((".json", ".ipynb", ".geojson")):
        try:
            values = _parsed(one), _parsed(other)
        except (ValueError, RecursionError):
            pass  # no JSON, whatever it is called
        else:
            return compare_json(*values, options)
    return compare_text(one, other, options)


def _is_svg(text: str) -> bool:
    begin = text[:4_000].lstrip()
    return begin.startswith("<svg") or (begin.startswith("<?xml") and "<svg" in begin)


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Of two values one would be lost, and with it a difference.
        raise ValueError
    return found


def _text(data: bytes) -> str | None:
    if len(data) > _MOST_TEXT or b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _compare_gzip(
    expected: bytes, observed: bytes, options: CompareOptions, name: str
) -> Outcome | None:
    one, other = _unpacked(expected), _unpacked(observed)
    if one is None or other is None:
        return None
    if one == other:
        if options.allows("gzip-header"):
            return normalised("gzip-header")
        return different("outputs.text-differs", "the content is the same, but its packing is not")
    if one.startswith(_GZIP) or other.startswith(_GZIP):
        return None  # packed more than once: no end can be told
    return compare_written(one, other, options, name=name.lower().removesuffix(".gz"))


def _unpacked(data: bytes) -> bytes | None:
    """Return the content of all members of a gzip file; None where it is bad or too large."""
    parts: list[bytes] = []
    left = _MOST_GZIP
    while data:
        reader = zlib.decompressobj(wbits=31)
        try:
            parts.append(reader.decompress(data, left + 1))
        except zlib.error:
            return None
        left -= len(parts[-1])
        if left < 0 or not reader.eof:
            return None
        data = reader.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _compare_pdf(expected: bytes, observed: bytes, options: CompareOptions) -> Outcome | None:
    if _PDF_DRAWN.sub(b"", expected) != _PDF_DRAWN.sub(b"", observed):
        return None
    if options.allows("pdf-metadata"):
        return normalised("pdf-metadata")
    return different("outputs.text-differs", "the dates or the id of the document differ")
