"""Images, by what they show: pixels of rasters, drawing commands of SVG."""

from __future__ import annotations

import base64
import binascii
import io
import re
import warnings
from typing import TYPE_CHECKING

from reprolock.compare.model import IDENTICAL, Degree, Outcome, different, normalised
from reprolock.compare.text import compare_plain

if TYPE_CHECKING:
    from PIL import Image

    from reprolock.compare.model import CompareOptions

MAX_PIXELS = 100_000_000  # of all frames together; a larger image is not decoded
_DIFFERS = "outputs.image-differs"
_RASTER = re.compile(r"image/(png|jpe?g|gif|webp|bmp|tiff)\Z")


class _Unreadable(Exception):  # noqa: N818 (it ends in this module)
    pass


def is_raster(mime: str) -> bool:
    return _RASTER.match(mime) is not None


def compare_images(expected: str, observed: str, options: CompareOptions) -> Outcome:
    """Compare two images in base64 by their pixels; metadata and compression do not count."""
    if expected == observed:
        return IDENTICAL
    try:
        old, one = _read("the locked run's image", expected)
        new, other = _read("the image", observed)
    except _Unreadable as exc:
        return different("outputs.unreadable", str(exc))
    outcome = _compare_frames(one, other)
    if outcome.degree is Degree.DIFFERENT:
        return outcome
    # The same file differs only where its base64 is wrapped in another way.
    if old == new or options.allows("image-encoding"):
        return normalised("image-encoding")
    return different(_DIFFERS, "the image shows the same, but its file is another")


def _compare_frames(one: list[Image.Image], other: list[Image.Image]) -> Outcome:
    if len(one) != len(other):
        said = f"the image has {len(other)} frames, the locked run's {len(one)}"
        return different(_DIFFERS, said, len(one), len(other))
    for number, (before, after) in enumerate(zip(one, other, strict=True)):
        outcome = _pixels(before, after)
        if outcome.degree is Degree.DIFFERENT:
            frame = f" in frame {number}" if len(one) > 1 else ""
            return different(
                outcome.code, outcome.message + frame, outcome.expected, outcome.observed
            )
    return IDENTICAL


def _read(side: str, text: str) -> tuple[bytes, list[Image.Image]]:
    """Return the file and its frames; raises _Unreadable with a message for people."""
    try:
        data = _bytes(text)
        return data, _frames(data)
    except _Unreadable as exc:
        raise _Unreadable(f"{side} cannot be read: {exc}") from None


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _Unreadable(f"no base64 ({exc})") from None


def _frames(data: bytes) -> list[Image.Image]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                return _decoded(image)
        except _Unreadable:
            raise
        except Exception as exc:  # noqa: BLE001 (each decoder has its own kinds for bad data)
            raise _Unreadable(f"{type(exc).__name__}: {exc}".replace("\n", " ")[:200]) from None


def _decoded(image: Image.Image) -> list[Image.Image]:
    from PIL import ImageSequence

    # Asked of the header, before anything is decoded.
    pixels = image.width * image.height * getattr(image, "n_frames", 1)
    if pixels > MAX_PIXELS:
        raise _Unreadable(f"{pixels} pixels are more than {MAX_PIXELS}")
    return [_comparable(frame) for frame in ImageSequence.Iterator(image)]


def _comparable(frame: Image.Image) -> Image.Image:
    # Conversion to RGBA would round what has more than 8 bits a channel.
    deep = frame.mode.startswith(("I", "F"))
    return frame.copy() if deep else frame.convert("RGBA")


def _pixels(one: Image.Image, other: Image.Image) -> Outcome:
    if one.size != other.size:
        old, new = (f"{i.width}x{i.height}" for i in (one, other))
        said = f"the image is {new} pixels, the locked run's {old}"
        return different(_DIFFERS, said, old, new)
    if one.mode != other.mode:
        said = f"the image has pixels of kind {other.mode}, the locked run's {one.mode}"
        return different(_DIFFERS, said, one.mode, other.mode)
    if one.tobytes() == other.tobytes():
        return IDENTICAL
    if one.mode != "RGBA":
        return different(_DIFFERS, "the pixels of the image differ")
    changed, largest = _change(one, other)
    total = one.width * one.height
    share = f"{100 * changed / total:.3g} %"
    said = (
        f"{share} of the image's pixels differ from the locked run's"
        f" ({changed} of {total}, by up to {largest} of 255)"
    )
    return different(_DIFFERS, said, None, {"changed": changed / total, "largest": largest})


def _change(one: Image.Image, other: Image.Image) -> tuple[int, int]:
    """Return how many pixels differ, and by how much at most in one channel (0 to 255)."""
    from PIL import ImageChops

    bands = [ImageChops.difference(a, b) for a, b in zip(one.split(), other.split(), strict=True)]
    most = bands[0]
    for band in bands[1:]:
        most = ImageChops.lighter(most, band)
    counts = most.histogram()
    return sum(counts[1:]), max(i for i, n in enumerate(counts) if n)


# --- SVG ------------------------------------------------------------------------------------

_ID = re.compile(r"""\bid=(["'])([^"'<>\n]{1,200})\1""")
_REFERENCE = re.compile(r"(?<=#)[\w.-]{1,200}")
# Matplotlib's: a letter or two and a piece of a digest; others: UUIDs.
_RANDOM_ID = re.compile(
    r"(?:[A-Za-z_-]{0,12}[0-9a-f]{8,64}|.{0,40}[0-9a-f]{8}-[0-9a-f]{4}-.{0,40})\Z"
)


def compare_svg(expected: str, observed: str, options: CompareOptions) -> Outcome:
    """Compare two SVG drawings as text, without metadata and the ids that are drawn at random."""
    if expected == observed:
        return IDENTICAL
    names: set[str] = set()
    one, other = expected, observed
    for name, change in (("svg-metadata", _without_metadata), ("svg-ids", _stable_ids)):
        if options.allows(name):
            old, new = change(one), change(other)
            names |= {name} if (old, new) != (one, other) else set()
            one, other = old, new
    outcome = compare_plain(one, other, options, "drew")
    if outcome.degree is Degree.IDENTICAL:
        return normalised(*names)
    if outcome.degree is Degree.DIFFERENT:
        said = f"the drawing differs: {outcome.message}"
        outcome = different(_DIFFERS, said, outcome.expected, outcome.observed)
    return outcome.plus(names)


def _without_metadata(text: str) -> str:
    for start, end in (("<metadata", "</metadata>"), ("<!--", "-->")):
        text = _cut(text, start, end)
    return _cut(text, "<dc:date>", "</dc:date>")


def _cut(text: str, start: str, end: str) -> str:
    # A lazy regular expression would be quadratic where an end is missing.
    kept, at = [], 0
    while (begin := text.find(start, at)) >= 0:
        stop = text.find(end, begin)
        if stop < 0:
            break
        kept.append(text[at:begin])
        at = stop + len(end)
    return "".join(kept) + text[at:]


def _stable_ids(text: str) -> str:
    ids = dict.fromkeys(m[2] for m in _ID.finditer(text) if _RANDOM_ID.match(m[2]))
    names = {old: f"id-{number}" for number, old in enumerate(ids)}

    def rename(match: re.Match[str]) -> str:
        return f"id={match[1]}{names.get(match[2], match[2])}{match[1]}"

    return _REFERENCE.sub(lambda m: names.get(m[0], m[0]), _ID.sub(rename, text))
