"""What a person asks for: ``--metric`` and ``--tolerance``."""

from __future__ import annotations

import decimal
import math
import re

from reprolock.errors import UsageError
from reprolock.facts.metrics.model import (
    Request,
)
from reprolock.result import Tolerance


def parse_request(text: str) -> Request:
    """Parse ``NAME=EXPR`` or ``NAME=EXPR@K``. The expression may hold ``=`` and ``@``.

    Raises UsageError.
    """
    name, sign, expression = (part.strip() for part in text.partition("="))
    cell = None
    if match := re.search(r"@(\d{1,9})\Z", expression):
        expression, cell = expression[: match.start()].strip(), int(match[1])
    if not (name and sign and expression) or expression.startswith("="):
        raise UsageError(
            f"metric: wanted NAME=EXPR or NAME=EXPR@CELL, found {text!r}",
            hint="for example --metric 'accuracy=model.score(X, y)', or accuracy=acc@7",
        )
    return Request(name, expression, cell)


def parse_tolerance(text: str, source: str = "user") -> tuple[str, Tolerance]:
    """Parse ``NAME=0.005``, ``NAME=abs:0.005``, ``NAME=1%`` or ``NAME=rel:1e-3``.

    Two may stand together, with a comma: the larger margin holds. Raises UsageError.
    """
    name, _, values = (part.strip() for part in text.partition("="))
    try:
        parts = dict(_margin(part.strip()) for part in values.split(","))
    except ValueError:
        parts = {}
    if not (name and parts):
        raise UsageError(
            f"tolerance: wanted NAME=NUMBER or NAME=NUMBER%, of 0 or more, found {text!r}",
            hint="for example accuracy=0.005, accuracy=1%, loss=rel:1e-3 or loss=abs:0.1",
        )
    return name, Tolerance(parts.get("abs"), parts.get("rel"), source)


def _margin(text: str) -> tuple[str, float]:
    kind, _, number = text.rpartition(":")
    if number.endswith("%"):
        kind = kind or "rel"
        value = float(decimal.Decimal(str(float(number[:-1]))) / 100)
        if kind != "rel":
            raise ValueError
    else:
        kind, value = kind or "abs", float(number)
    if kind not in ("abs", "rel") or not (math.isfinite(value) and value >= 0):
        raise ValueError
    return kind, value
