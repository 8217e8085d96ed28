"""The types of an output comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from reprolock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reprolock.finding import Finding

_EXCERPT = 200


class CellStatus(str, Enum):
    """How the outputs of one cell compare.

    ``IDENTICAL``: byte for byte. ``NORMALISED``: the same after declared normalisers.
    ``WITHIN``: numbers differ, each within rtol and atol. ``DIFFERENT``: anything else.
    ``EXCUSED``: different, and the policy lets it. ``NOT_COMPARED``: no outputs on either side,
    the cell does nothing but call reprolock, or it shows only widgets of which neither notebook
    keeps the state.
    """

    IDENTICAL = "identical"
    NORMALISED = "normalised"
    WITHIN = "within"
    DIFFERENT = "different"
    EXCUSED = "excused"
    NOT_COMPARED = "not-compared"


@dataclass(frozen=True)
class CompareOptions:
    """How strict the comparison is.

    *rtol* and *atol*: a printed number may move by ``max(atol, rtol * |expected|)``; at 0 and 0
    it must be the same as printed. *excused*: cell id or index of the cell in the expected
    notebook -> reason. *disabled*: names of normalisers that stay off. *extra_paths*:
    (folder, placeholder); give the folders of both runs the same placeholder. *clock*: the code
    behind the text reads a clock, so that "took 3.2 s" is a measurement; *installers*: the
    programs that the code calls to install or fetch; compare_cells sets both cell by cell.
    *called*: index of the cell -> such programs, None where nobody recorded them, so that the
    source has to tell. *installed_again*: cells of which such programs ran in the new run too.
    Raises UsageError where a tolerance is negative or not finite.
    """

    rtol: float = 0.0
    atol: float = 0.0
    excused: Mapping[str | int, str] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    extra_paths: tuple[tuple[str, str], ...] = ()
    clock: bool = False
    installers: tuple[str, ...] = ()
    called: Mapping[int, Iterable[str]] | None = None
    installed_again: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(
                    f"{name}: wanted a number of 0 or more, found {value}",
                    hint=f"for example --{name} 1e-6",
                )

    def allows(self, normaliser: str) -> bool:
        return normaliser not in self.disabled

    def reason(self, index: int, cell_id: str | None) -> str | None:
        """Return why the cell is excused, None where it is not."""
        for key in (cell_id, index, str(index)):
            if key is not None and key in self.excused:
                return self.excused[key]
        return None


class Degree(IntEnum):
    """How far two values are from each other; the larger, the worse."""

    IDENTICAL = 0
    NORMALISED = 1
    WITHIN = 2
    DIFFERENT = 3


@dataclass(frozen=True)
class Outcome:
    """The comparison of two values. *code* is a finding's, and set where *degree* is not equal.

    *compared*: False where what matters was not there on either side.
    """

    degree: Degree
    code: str = ""
    message: str = ""
    expected: Any = None
    observed: Any = None
    normalisers: frozenset[str] = frozenset()
    compared: bool = True

    def plus(self, normalisers: Iterable[str]) -> Outcome:
        """Return the same with more *normalisers*."""
        return replace(self, normalisers=self.normalisers | frozenset(normalisers))


IDENTICAL = Outcome(Degree.IDENTICAL)


def normalised(*names: str) -> Outcome:
    return Outcome(Degree.NORMALISED, normalisers=frozenset(names))


def different(code: str, message: str, expected: Any = None, observed: Any = None) -> Outcome:
    return Outcome(Degree.DIFFERENT, code, message, expected, observed)


@dataclass(frozen=True)
class CellComparison:
    """The outputs of one code cell in two runs.

    *index* counts the cells of the expected notebook from 0, markdown cells too; for a cell that
    only the observed notebook has, the cells of that one. *first_output* is the place in the
    cell's list of outputs of the first one that differs. *normalisers* are those that were needed.
    """

    index: int
    cell_id: str | None
    status: CellStatus
    findings: tuple[Finding, ...] = ()
    first_output: int | None = None
    normalisers: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutputComparison:
    """All code cells, in the order of the expected notebook; then those that it has not."""

    cells: tuple[CellComparison, ...]

    def having(self, *statuses: CellStatus) -> tuple[CellComparison, ...]:
        return tuple(c for c in self.cells if c.status in statuses)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(f for c in self.cells for f in c.findings)

    @property
    def different(self) -> tuple[CellComparison, ...]:
        return self.having(CellStatus.DIFFERENT)

    @property
    def excused(self) -> tuple[CellComparison, ...]:
        return self.having(CellStatus.EXCUSED)

    @property
    def compared(self) -> int:
        """The number of cells that had anything to compare."""
        return len(self.cells) - len(self.having(CellStatus.NOT_COMPARED))

    @property
    def bit_exact(self) -> bool:
        """Whether all is the same byte for byte after the declared normalisation."""
        same = (CellStatus.IDENTICAL, CellStatus.NORMALISED, CellStatus.NOT_COMPARED)
        return len(self.having(*same)) == len(self.cells)

    @property
    def within(self) -> bool:
        """Whether nothing differs by more than its tolerance, and nothing had to be excused."""
        return not self.having(CellStatus.DIFFERENT, CellStatus.EXCUSED)

    @property
    def first_divergence(self) -> CellComparison | None:
        return next(iter(self.different), None)

    @property
    def normalisers(self) -> tuple[str, ...]:
        return tuple(sorted({n for c in self.cells for n in c.normalisers}))


def excerpt(text: str, at: int = 0) -> str:
    """Return at most 200 characters of *text* around *at*, control characters escaped."""
    start = max(0, at - _EXCERPT // 4) if len(text) > _EXCERPT else 0
    shown, length = ["..." if start else ""], _EXCERPT - 6
    for char in text[start : start + _EXCERPT]:
        piece = _escape(char)
        if len(piece) > length:
            break
        shown.append(piece)
        length -= len(piece)
    rest = len(text) - start - (len(shown) - 1)
    return "".join(shown) + ("..." if rest > 0 else "")


def _escape(char: str) -> str:
    # Controls, direction marks and lone surrogates would upset the terminal that shows it.
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def first_difference(one: str, other: str) -> int:
    """Return the index of the first character in which two strings differ."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        # Only the half not yet known to be equal is looked at, so the whole is linear.
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
