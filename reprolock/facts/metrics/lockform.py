"""Metrics as ``[tool.reprolock.metrics]`` and back."""

from __future__ import annotations

from typing import Any

from reprolock.errors import LockError
from reprolock.facts.metrics.model import (
    SOURCES,
    FailedMetric,
    Metric,
    Metrics,
)


def to_toml(facts: Metrics) -> dict[str, Any]:
    """Return the table ``[tool.reprolock.metrics]``: name -> what is known of it."""
    table: dict[str, Any] = {}
    for metric in facts.metrics:
        row = {
            "value": metric.value,
            "dtype": metric.dtype,
            "source": metric.source,
            "cell": metric.cell,
            "cell_id": metric.cell_id,
            "expression": metric.expression,
        }
        table[metric.name] = {key: value for key, value in row.items() if value is not None}
    for failure in facts.failed:
        where = {} if failure.cell is None else {"cell": failure.cell}
        table[failure.name] = {"error": failure.error, **where}
    return table


_FIELDS: tuple[tuple[str, type, bool], ...] = (
    ("dtype", str, True),
    ("source", str, True),
    ("cell", int, False),
    ("cell_id", str, False),
    ("expression", str, False),
)


def from_toml(table: Any) -> Metrics:
    """Read what to_toml wrote. Raises LockError that names the key and what was found."""
    if not isinstance(table, dict):
        raise LockError(f"metrics: wanted a table, found {type(table).__name__}")
    metrics, failed = [], []
    for name, row in table.items():
        where = f"metrics.{name}"
        if not isinstance(row, dict):
            raise LockError(f"{where}: wanted a table, found {type(row).__name__}")
        if "error" in row:
            failure = FailedMetric(
                name, _get(where, row, "error", str), _get(where, row, "cell", int, needed=False)
            )
            failed.append(failure)
            continue
        if not isinstance(row.get("value"), (str, bool, int, float)):
            found = type(row["value"]).__name__ if "value" in row else "nothing"
            raise LockError(f"{where}.value: wanted a number, boolean or string, found {found}")
        rest = {key: _get(where, row, key, kind, needed=n) for key, kind, n in _FIELDS}
        if rest["source"] not in SOURCES:
            wanted = ", ".join(SOURCES)
            raise LockError(f"{where}.source: wanted one of {wanted}, found {rest['source']!r}")
        metrics.append(Metric(name, row["value"], **rest))
    return Metrics(tuple(metrics), tuple(failed))


def _get(where: str, row: dict[str, Any], key: str, kind: type, *, needed: bool = True) -> Any:
    value = row.get(key)
    if value is None and not needed:
        return None
    if not isinstance(value, kind) or (
        isinstance(value, int) and (isinstance(value, bool) or value < 0)
    ):
        names = {str: "a string", int: "an integer of 0 or more"}
        found = "nothing" if value is None else repr(value)
        raise LockError(f"{where}.{key}: wanted {names[kind]}, found {found}")
    return value
