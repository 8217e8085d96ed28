"""Metrics that the recorder saw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reprolock.facts.metrics.model import (
    NOT_FINITE,
    FailedMetric,
    Metric,
    Metrics,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def from_journal(
    events: Iterable[Mapping[str, Any]],
    cell_of: Mapping[int, int],
    cell_ids: Mapping[int, str] | None = None,
) -> Metrics:
    """Return the metrics of the journal; of a name that comes again the last value counts.

    *cell_of*: ordinal of the cell that ran -> index in the notebook. *cell_ids*: index -> id.
    """
    found: dict[str, Metric] = {}
    failed: dict[str, FailedMetric] = {}
    for event in events:
        name, ordinal = str(event.get("name")), event.get("n")
        cell = cell_of.get(ordinal) if isinstance(ordinal, int) else None
        if event.get("event") == "metric":
            dtype = str(event.get("dtype") or "float")
            found[name] = Metric(
                name,
                _value(event.get("value"), dtype),
                cell,
                (cell_ids or {}).get(cell) if cell is not None else None,
                dtype,
                str(event.get("source") or "api"),
                event.get("expression"),
            )
            failed.pop(name, None)
        elif event.get("event") == "metric-error":
            failed[name] = FailedMetric(name, str(event.get("error")), cell)
            found.pop(name, None)
    return Metrics(tuple(found.values()), tuple(failed.values()))


def merge(explicit: Metrics, discovered: Iterable[Metric]) -> Metrics:
    """Return both; what was named on purpose wins over what was found under the same name."""
    named = explicit.names
    rest = tuple(m for m in discovered if m.name not in named)
    return Metrics(explicit.metrics + rest, explicit.failed)


def _value(value: Any, dtype: str) -> float | bool | str:
    if kind_of(dtype) == "float":
        if isinstance(value, str) and value in NOT_FINITE:
            return NOT_FINITE[value]
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
    if isinstance(value, (str, bool, int, float)):
        return value
    return json.dumps(value, sort_keys=True)
