"""Numbers in text: what is one, and when two are close enough."""

from __future__ import annotations

import decimal
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 400  # digits; longer than any number that is meant as one
_CONTEXT = decimal.Context(prec=2 * _LONGEST, traps=[])

_NUMBER = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|nan|NaN|inf|Inf|Infinity)"
_EXPONENT = r"(?:[eE][-+]?\d+)?"
_TOKEN = re.compile(
    # One character first, which the engine can search quickly; the dots below stand for it.
    r"([-+.\dnNiI]"
    # Part of a word, path, hexadecimal, power or address: text.
    r"(?<![\w.\\/^@].)"
    # Part of a date, time, range, complex number, or of a name such as utf-8: text.
    r"(?<!\d[-:+].)(?<![A-Za-z]-.)"
    # Versions: text.
    r"(?<!==.)(?<!ersion .)(?<!ersion: .)"
    # `1,234` is one number or two; nobody can tell, so it is text.
    r"(?!(?<=\d,\d)\d\d(?!\d))"
    rf"(?:(?<=\d)\d*(?:\.\d*)?{_EXPONENT}|(?<=\.)\d+{_EXPONENT}"
    rf"|(?<=[-+])(?:\d+(?:\.\d*)?|\.\d+){_EXPONENT}"
    r"|(?<=[-+])(?:nan|NaN|[iI]nf(?:inity)?)|(?<=n)an|(?<=N)aN|(?<=[iI])nf(?:inity)?))"
    r"(?![\w\\/^@])(?!\.\w)(?![-:+]\d)(?!,\d{3}(?!\d))",
)
WHOLE = re.compile(rf"\s*({_NUMBER})\s*\Z")


def tokens(line: str) -> Iterator[tuple[str, str]]:
    """Yield (text before, number) for each number of *line*, then (the rest, "")."""
    end = 0
    for match in _TOKEN.finditer(line):
        yield line[end : match.start()], match.group()
        end = match.end()
    yield line[end:], ""


def close(expected: str, observed: str, rtol: float, atol: float) -> bool:
    """Whether ``|observed - expected| <= max(atol, rtol * |expected|)``, in decimal arithmetic.

    At rtol = atol = 0 numbers must be the same as printed: 0.50 is not 0.5. What is not finite
    is close to the same text only.
    """
    if expected == observed:
        return True
    if not (rtol or atol) or max(len(expected), len(observed)) > _LONGEST:
        return False
    one, other = _CONTEXT.create_decimal(expected), _CONTEXT.create_decimal(observed)
    if not (one.is_finite() and other.is_finite()):
        return False
    with decimal.localcontext(_CONTEXT):
        margin = max(_exact(atol), _exact(rtol) * abs(one))
        return abs(other - one) <= margin


def _exact(value: float) -> decimal.Decimal:
    # The shortest decimal is what the person wrote: 0.005, not 0.00500000000000000010408...
    return decimal.Decimal(repr(float(value)))
