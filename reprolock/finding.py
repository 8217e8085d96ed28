"""A finding: one difference or weakness, said once and in one shape."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

_CODE = re.compile(r"[a-z]+\.[a-z0-9]+(-[a-z0-9]+)*\Z")


class Severity(str, Enum):
    """How much a finding weighs.

    ``ERROR``: something that must be equal is not, or a step failed.
    ``WARNING``: may change a result, or weakens the evidence.
    ``NOTE``: said for completeness.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One difference or weakness.

    *code* is ``family.kebab-case``; *cell* the index of the cell in the notebook, from 0 and
    with markdown cells counted; *expected* and *observed* are JSON values.
    """

    code: str
    severity: Severity
    message: str
    subject: str | None = None
    cell: int | None = None
    cell_id: str | None = None
    expected: Any = None
    observed: Any = None
    hint: str | None = None

    def __post_init__(self) -> None:
        if not _CODE.match(self.code):
            raise ValueError(f"finding code: wanted family.kebab-case, found {self.code!r}")

    @property
    def family(self) -> str:
        return self.code.split(".", 1)[0]

    def to_json(self) -> dict[str, Any]:
        """Return the finding as in ``schemas/result.schema.json``."""
        out: dict[str, Any] = {"code": self.code, "family": self.family}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "code" and value is not None:
                out[field.name] = value.value if isinstance(value, Severity) else value
        return out


def error(code: str, message: str, **rest: Any) -> Finding:
    return Finding(code, Severity.ERROR, message, **rest)


def warning(code: str, message: str, **rest: Any) -> Finding:
    return Finding(code, Severity.WARNING, message, **rest)


def note(code: str, message: str, **rest: Any) -> Finding:
    return Finding(code, Severity.NOTE, message, **rest)
