"""Libraries that only one format needs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reprolock.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def required(extra: str, distribution: str) -> Iterator[None]:
    """Import in this block; raises ExportError with a hint where the library is missing."""
    try:
        yield
    except ImportError as exc:
        raise ExportError(
            f"--to {extra} needs {distribution}, which is not installed",
            causes=(str(exc),),
            hint=f"pip install 'reprolock[{extra}]'",
        ) from exc
