"""Lines of text with a style: 80 columns, readable without colour."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 80


@dataclass(frozen=True)
class Line:
    text: str
    style: str = ""


def clean(value: Any) -> str:
    """Return *value* as text on one line, without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def wrapped(
    text: str, *, indent: str = "  ", first: str | None = None, style: str = ""
) -> list[Line]:
    """Break *text* into lines of at most `WIDTH` columns; paths and digests are not torn apart."""
    lines = textwrap.wrap(
        clean(text),
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [Line(line, style) for line in lines or [first or indent]]


def heading(text: str) -> list[Line]:
    return [Line(""), Line(text, "bold")]


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...]) -> list[Line]:
    """Return aligned columns; the last one may run on."""
    cells = [tuple(clean(c) for c in row) for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    texts = [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return [Line(text, "dim" if number == 0 else "") for number, text in enumerate(texts)]


def number(value: Any) -> str:
    """Return a value short enough for a table; floats keep every digit that tells them apart."""
    if value is None:
        return "-"
    text = repr(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else text[:23] + "…"  # noqa: PLR2004


def size(count: int | None) -> str:
    """Return a number of bytes for people, in powers of 1024."""
    if count is None:
        return "?"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":  # noqa: PLR2004
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
