"""HTML: tables by cell, everything else as text; ids drawn at random are renamed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from reprolock.compare.model import (
    IDENTICAL,
    Degree,
    Outcome,
    different,
    excerpt,
    first_difference,
    normalised,
)
from reprolock.compare.numbers import WHOLE, close
from reprolock.compare.text import compare_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reprolock.compare.model import CompareOptions

MAX_PARSED = 8_000_000  # characters; longer HTML is compared as text
_DIFFERS = "outputs.table-differs"
_ENOUGH = 1_000  # differing cells; more are not counted

# pandas' Styler: T_ and (a piece of) a UUID; the rest: UUIDs and 128-bit digests, as plotly,
# altair, bokeh, folium and Colab write them into attributes, scripts and style sheets.
_STYLER = r"T_[0-9a-f]{5}(?:[0-9a-f]{1,27})?(?=_|\b)"
_UUID4 = (
    r"(?<![0-9a-f])[0-9a-f]{8}[-_][0-9a-f]{4}[-_]4[0-9a-f]{3}[-_][89ab][0-9a-f]{3}[-_][0-9a-f]{12}"
    r"(?![0-9a-f])"
)
# Where a name of an element is expected.
_AS_NAME = re.compile(
    rf"\b{_STYLER}|(?<![0-9a-f])[0-9a-f]{{8}}(?:[-_][0-9a-f]{{4}}){{3}}[-_][0-9a-f]{{12}}(?![0-9a-f])"
    r"|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
)
# In code, where a bare digest may be a result: those with a name in front (`map_`, `altair-viz-`)
# and selectors.
_IN_CODE = re.compile(
    rf"(?<=#){_STYLER}|{_UUID4}|(?<=[A-Za-z][-_])[0-9a-f]{{32}}(?![0-9a-f])"
    rf"|(?<=\bid=[\"'])(?:{_STYLER}|[0-9a-f]{{32}}(?![0-9a-f]))"
)
_ELSEWHERE = re.compile(_UUID4)
_NAMES = ("id", "for", "class")
_VOID = frozenset({"br", "hr", "img", "input", "meta", "link", "col", "wbr", "source"})
_TABLE_TAGS = frozenset({"table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption"})
# These say how a cell looks or is called by a style sheet, not what it holds.
_DULL = frozenset({"id", "class", "border", "scope", "valign", "halign"})


@dataclass
class Cell:
    text: str = ""
    header: bool = False
    span: tuple[str, str] = ("1", "1")  # columns, rows


@dataclass
class Table:
    rows: list[list[Cell]] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), max((len(row) for row in self.rows), default=0)


class RandomIds:
    """Renames ids by the order in which they first appear."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.seen: dict[str, str] = {}

    def code(self, text: str) -> str:
        """Return a script or style sheet with its random ids renamed."""
        return self._rename(_IN_CODE, text)

    def attribute(self, name: str, value: str) -> str:
        """Return the value of an attribute: renamed are names of elements, elsewhere UUIDs."""
        names = name in _NAMES or name.startswith("aria-")
        names = names or (name == "href" and value.startswith("#"))
        return self._rename(_AS_NAME if names else _ELSEWHERE, value)

    def _rename(self, pattern: re.Pattern[str], text: str) -> str:
        return pattern.sub(self._name, text) if self.on else text

    def _name(self, match: re.Match[str]) -> str:
        return self.seen.setdefault(match[0].replace("_", "-"), f"id-{len(self.seen)}")


class _Page(HTMLParser):
    """Splits HTML into tables and the text and markup outside of them."""

    def __init__(self, ids: RandomIds) -> None:
        super().__init__(convert_charrefs=True)
        self.ids = ids
        self.tables: list[Table] = []
        self.open: list[tuple[Table, Cell | None]] = []
        self.rest: list[str] = []
        self.raw = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.raw = tag in ("script", "style")
        if tag == "table":
            self.open.append((Table(), None))
            self.tables.append(self.open[-1][0])
        elif self.open and tag == "tr":
            self.open[-1][0].rows.append([])
        elif self.open and tag in ("td", "th"):
            self._cell(tag, dict(attrs))
        # Of a table's own tags only what is more than layout is kept.
        own = tag in _TABLE_TAGS
        kept = [(k, v) for k, v in attrs if not (own and k in (*_DULL, "colspan", "rowspan"))]
        if kept or not own:
            said = "".join(f' {k}="{self.ids.attribute(k, v or "")}"' for k, v in kept)
            self._say(f"<{tag}{said}>")

    def _cell(self, tag: str, attrs: dict[str, str | None]) -> None:
        table = self.open[-1][0]
        span = (attrs.get("colspan") or "1", attrs.get("rowspan") or "1")
        cell = Cell(header=tag == "th", span=span)
        if not table.rows:  # a cell without a row
            table.rows.append([])
        table.rows[-1].append(cell)
        self.open[-1] = (table, cell)

    def handle_endtag(self, tag: str) -> None:
        self.raw = False
        if tag == "table":
            if self.open:
                self.open.pop()
        elif tag in ("td", "th", "tr"):
            if self.open:
                self.open[-1] = (self.open[-1][0], None)
        elif tag not in _TABLE_TAGS and tag not in _VOID:
            self._say(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._say(self.ids.code(data) if self.raw else data)

    def _say(self, text: str) -> None:
        cell = self.open[-1][1] if self.open else None
        if cell is not None:
            cell.text += text
        else:
            self.rest.append(text)

    @property
    def text(self) -> str:
        """What stands outside of cells, one piece a line, without empty pieces."""
        lines = (" ".join(line.split()) for piece in self.rest for line in piece.split("\n"))
        return "\n".join(line for line in lines if line)


def read(html: str, *, rename: bool = True) -> _Page:
    """Return the tables and the rest of *html*, which may be cut off anywhere."""
    page = _Page(RandomIds(on=rename))
    page.feed(html)
    page.close()
    return page


def compare_html(expected: str, observed: str, options: CompareOptions) -> Outcome:
    """Compare two pieces of HTML: tables cell by cell, what is outside of them as text."""
    if expected == observed:
        return IDENTICAL
    if max(len(expected), len(observed)) > MAX_PARSED:
        return compare_markup(expected, observed, options)
    rename = options.allows("html-ids")
    one, other = read(expected, rename=rename), read(observed, rename=rename)
    names: set[str] = set()
    if list(one.ids.seen) != list(other.ids.seen):
        names.add("html-ids")
    outcome = _tables(one.tables, other.tables, options)
    if outcome.degree is not Degree.DIFFERENT:
        rest = compare_text(one.text, other.text, options, "showed")
        names |= outcome.normalisers | rest.normalisers
        outcome = max(outcome, rest, key=lambda o: o.degree)
    if outcome.degree <= Degree.NORMALISED:
        if not names and not options.allows("html-markup"):
            return different("outputs.text-differs", "the markup differs")
        return normalised(*(names or {"html-markup"}))
    return outcome.plus(names)


def compare_markup(expected: str, observed: str, options: CompareOptions) -> Outcome:
    """Compare scripts, and HTML that is too long to parse, as text with random ids renamed."""
    if expected == observed:
        return IDENTICAL
    ids = [RandomIds(on=options.allows("html-ids")) for _ in range(2)]
    outcome = compare_text(ids[0].code(expected), ids[1].code(observed), options, "showed")
    renamed = list(ids[0].seen) != list(ids[1].seen)
    if outcome.degree is Degree.IDENTICAL:
        return normalised("html-ids")
    return outcome.plus({"html-ids"} if renamed else ())


def _tables(one: Sequence[Table], other: Sequence[Table], options: CompareOptions) -> Outcome:
    if len(one) != len(other):
        said = f"showed {len(other)} tables, the locked run {len(one)}"
        return different(_DIFFERS, said, len(one), len(other))
    worst, names = IDENTICAL, frozenset[str]()
    for number, (old, new) in enumerate(zip(one, other, strict=True)):
        which = f"table {number + 1}" if len(one) > 1 else "the table"
        outcome = _table(which, old, new, options)
        names |= outcome.normalisers
        if outcome.degree > worst.degree:
            worst = outcome
    return worst.plus(names)


def _table(which: str, one: Table, other: Table, options: CompareOptions) -> Outcome:
    if one.shape != other.shape:
        old, new = (f"{rows} x {columns}" for rows, columns in (one.shape, other.shape))
        said = f"{which} has {new} cells (rows x columns, headers counted), the locked run's {old}"
        return different(_DIFFERS, said, list(one.shape), list(other.shape))
    worst, count = IDENTICAL, 0
    names = frozenset[str]()
    for where, before, after in _pairs(which, one, other):
        outcome = _cells(where, before, after, options)
        names |= outcome.normalisers
        count += outcome.degree is Degree.DIFFERENT
        if outcome.degree > worst.degree:
            worst = outcome
        if count >= _ENOUGH:
            break
    if count > 1:
        least = "at least " if count >= _ENOUGH else ""
        said = f"{worst.message} ({least}{count} cells differ)"
        worst = different(worst.code, said, worst.expected, worst.observed)
    return worst.plus(names)


def _pairs(which: str, one: Table, other: Table) -> Iterator[tuple[str, Cell | None, Cell | None]]:
    for row, (old, new) in enumerate(zip(one.rows, other.rows, strict=True)):
        for column in range(max(len(old), len(new))):
            before = old[column] if column < len(old) else None
            after = new[column] if column < len(new) else None
            if before != after:
                yield f"{which}, {_place(one, row, column)}", before, after


def _place(table: Table, row: int, column: int) -> str:
    """Say where a cell is as a person would: by the names of its row and column."""
    head, cells = table.rows[0], table.rows[row]
    names = [f"row {row}"]
    if row and cells and cells[0].header and column and cells[0].text.strip():
        names[0] += f" ({excerpt(cells[0].text.strip())[:40]})"
    plain = len(head) == len(cells) and all(c.header for c in head)
    name = head[column].text.strip() if plain and row else ""
    names.append(f"column {excerpt(name)[:40]}" if name else f"column {column}")
    return ", ".join(names)


def _cells(where: str, one: Cell | None, other: Cell | None, options: CompareOptions) -> Outcome:
    if one is None or other is None:
        shown = "lacks a cell" if other is None else "has a cell that the locked run's has not"
        return different(_DIFFERS, f"{where}: {shown}")
    if (one.header, one.span) != (other.header, other.span):
        return different(_DIFFERS, f"{where}: spans or is a header otherwise than the locked run's")
    outcome = _values(one.text, other.text, options)
    if outcome.degree is not Degree.DIFFERENT:
        return outcome
    old, new = one.text.strip(), other.text.strip()
    at = first_difference(old, new)
    expected, observed = excerpt(old, at), excerpt(new, at)
    said = f"{where}: {observed}, the locked run's is {expected}"
    return different(_DIFFERS, said, expected, observed)


def _values(one: str, other: str, options: CompareOptions) -> Outcome:
    """Compare two cells: numbers as numbers, anything else as text."""
    old, new = WHOLE.match(one), WHOLE.match(other)
    if not (old and new):
        return compare_text(one, other, options, "showed")
    if old[1] == new[1]:
        return normalised("html-markup")
    within = close(old[1], new[1], options.rtol, options.atol)
    return Outcome(Degree.WITHIN if within else Degree.DIFFERENT)
