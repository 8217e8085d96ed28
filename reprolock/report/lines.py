"""Lines of text with a style: 80 columns, readable without colour."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 80
_ALIKE = 3
_NAMED = 8


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


def grouped(findings: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], list[str]]]:
    """Return the findings with those of one kind told once: the first, and the others' subjects.

    Of one kind are more than three of the same code, severity and hint.
    """
    kinds: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for finding in findings:
        key = tuple(str(finding.get(name)) for name in ("code", "severity", "hint"))
        kinds.setdefault(key, []).append(finding)
    out: list[tuple[dict[str, Any], list[str]]] = []
    for alike in kinds.values():
        if len(alike) <= _ALIKE:
            out += [(finding, []) for finding in alike]
        else:
            out.append((alike[0], [clean(f.get("subject") or f["message"]) for f in alike[1:]]))
    return out


def and_more(subjects: Sequence[str]) -> str:
    """Name the others of one kind, the first few by name."""
    more = f" and {len(subjects) - _NAMED} more" if len(subjects) > _NAMED else ""
    return f"{len(subjects)} others like it: {', '.join(subjects[:_NAMED])}{more}"


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
