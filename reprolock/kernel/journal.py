"""Reads the journal that a recorder left behind, whole or not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read_journal(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the events at *path*, in order, and one sentence for each thing that is wrong.

    Never raises for what the file holds: lines that are no event are left out and told, so is a
    last line that was cut in half, and a file that is missing or cannot be read.
    """
    events: list[dict[str, Any]] = []
    problems: list[str] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                event = _event(line)
                if event is not None:
                    events.append(event)
                elif line.strip():
                    problems.append(_problem(number, line))
    except FileNotFoundError:
        problems.append("the recorder left no journal")
    except OSError as exc:
        problems.append(f"the journal cannot be read: {exc.strerror}")
    return events, problems


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("event"), str) else None


def _problem(number: int, line: bytes) -> str:
    if not line.endswith(b"\n"):
        return f"line {number} of the journal is cut off"
    return f"line {number} of the journal is no event"
