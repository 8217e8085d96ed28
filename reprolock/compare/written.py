"""Files that a run wrote: looked into where the kind is known."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from reprolock.compare.images import compare_images
from reprolock.compare.text import compare_text

if TYPE_CHECKING:
    from reprolock.compare.model import CompareOptions, Outcome

_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_MOST_TEXT = 20 << 20


def compare_written(expected: bytes, observed: bytes, options: CompareOptions) -> Outcome | None:
    """Compare the content of a file of two runs: pictures by pixels, UTF-8 text as text.

    None for a kind that is not known, or text of more than 20 MiB: nothing but the bytes can be
    told of those.
    """
    if expected.startswith(_IMAGES) and observed.startswith(_IMAGES):
        old, new = (base64.b64encode(data).decode() for data in (expected, observed))
        return compare_images(old, new, options)
    texts = [_text(data) for data in (expected, observed)]
    if texts[0] is None or texts[1] is None:
        return None
    return compare_text(texts[0], texts[1], options)


def _text(data: bytes) -> str | None:
    if len(data) > _MOST_TEXT or b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
