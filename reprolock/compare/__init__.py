"""Outputs of two runs, cell by cell: text, numbers, images, tables. Pure functions, no I/O."""

from reprolock.compare.cells import compare_cells
from reprolock.compare.model import (
    CellComparison,
    CellStatus,
    CompareOptions,
    Degree,
    Outcome,
    OutputComparison,
)
from reprolock.compare.text import NORMALISER_NAMES
from reprolock.compare.written import compare_written

__all__ = [
    "NORMALISER_NAMES",
    "CellComparison",
    "CellStatus",
    "CompareOptions",
    "Degree",
    "Outcome",
    "OutputComparison",
    "compare_cells",
    "compare_written",
]
