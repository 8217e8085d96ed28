"""Two sets of metrics, held against each other."""

from __future__ import annotations

import decimal
import math
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reprolock.facts.metrics.discover import without_measured
from reprolock.facts.metrics.model import (
    NOT_FINITE,
    Metric,
    Metrics,
)
from reprolock.finding import Finding, error, note, warning
from reprolock.result import MetricResult, MetricStatus, Tolerance

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTEXT = decimal.Context(prec=400, traps=[])


def compare(
    expected: Metrics,
    observed: Metrics,
    tolerances: Mapping[str, Tolerance],
    default: Tolerance,
    undecided: frozenset[str] = frozenset(),
) -> tuple[tuple[MetricResult, ...], tuple[Finding, ...]]:
    """Judge each metric of *expected* by its tolerance, or by *default*.

    *undecided*: names of metrics drawn from an unseeded stream; without a tolerance of their own
    they are UNDECIDED whatever their value. Rules: the same bits are EXACT, and so is NaN for
    NaN; 0.0 and -0.0 are not the same bits, but WITHIN any tolerance, as they are equal;
    infinities, booleans and strings hold only exactly; an int for a float is compared by value
    but never EXACT; a change to or from bool or str is OUTSIDE. The margin is computed in decimal
    from the shortest form of each number, so that 0.965 is within 0.005 of 0.97.
    """
    results, findings = [], []
    for metric in expected.metrics:
        tolerance = tolerances.get(metric.name, default)
        open_question = metric.name in undecided and metric.name not in tolerances
        result, found = _judge(metric, observed, tolerance, undecided=open_question)
        results.append(result)
        findings.extend(found)
    for failure in expected.failed:
        message = f"metric {failure.name}: the locked run could not evaluate it: {failure.error}"
        findings.append(warning("metrics.failed", message, subject=failure.name, cell=failure.cell))
        tolerance = tolerances.get(failure.name, default)
        again = observed.get(failure.name)
        value = None if again is None else _json(again.value)
        results.append(
            MetricResult(
                failure.name, None, value, tolerance, MetricStatus.FAILED, failure.cell, None
            )
        )
    matched = (_again(metric, observed) for metric in expected.metrics)
    known = expected.names | {metric.name for metric in matched if metric}
    findings += [
        note(
            "metrics.added",
            f"metric {m.name}: {_shown(m.value)}, not in the lock",
            subject=m.name,
            cell=m.cell,
            cell_id=m.cell_id,
            observed=_json(m.value),
        )
        for m in observed.metrics
        if m.name not in known
    ]
    return tuple(results), tuple(findings)


def _judge(
    metric: Metric, observed: Metrics, tolerance: Tolerance, *, undecided: bool
) -> tuple[MetricResult, list[Finding]]:
    other = _again(metric, observed)
    if other is None:
        return _without_value(metric, observed, tolerance)
    findings = _type_change(metric, other)
    status = _status(metric, other, tolerance)
    if undecided:
        status = MetricStatus.UNDECIDED
        message = (
            f"metric {metric.name}: {_shown(other.value)}, the locked run {_shown(metric.value)};"
            " it comes from a random stream without a seed, so one run decides nothing"
        )
        hint = f"seed the stream, or state a tolerance: --tolerance {metric.name}=..."
        findings.append(_about(warning, "metrics.undecided", message, metric, other, hint=hint))
    elif status is MetricStatus.OUTSIDE:
        message = _outside(metric, other, tolerance)
        findings.append(_about(error, "metrics.outside-tolerance", message, metric, other))
    return _result(metric, _json(other.value), tolerance, status), findings


def _again(metric: Metric, observed: Metrics) -> Metric | None:
    """Return *metric* of the new run. The name in an older lock may hold how long something took:
    then the one metric of the same cell whose name is the rest of it.
    """
    if (same := observed.get(metric.name)) is not None or metric.source != "output":
        return same
    if any(f.name == metric.name for f in observed.failed):
        return None
    names = without_measured(metric.name.partition("@")[0])
    here = (m for m in observed.metrics if m.cell == metric.cell and m.source == "output")
    return next((m for m in here if m.name.partition("@")[0] in names), None)


def _without_value(
    metric: Metric, observed: Metrics, tolerance: Tolerance
) -> tuple[MetricResult, list[Finding]]:
    failure = next((f for f in observed.failed if f.name == metric.name), None)
    start = f"metric {metric.name}: the locked run gave {_shown(metric.value)}, this run"
    if failure is None:
        status, code, message = MetricStatus.MISSING, "metrics.missing", f"{start} gave none"
    else:
        status, code = MetricStatus.FAILED, "metrics.failed"
        message = f"{start} could not evaluate it: {failure.error}"
    finding = _about(error, code, message, metric, None)
    return _result(metric, None, tolerance, status), [finding]


def _result(
    metric: Metric, observed: Any, tolerance: Tolerance, status: MetricStatus
) -> MetricResult:
    value = _json(metric.value)
    return MetricResult(
        metric.name, value, observed, tolerance, status, metric.cell, metric.cell_id
    )


def _about(
    make: Any,
    code: str,
    message: str,
    metric: Metric,
    other: Metric | None,
    *,
    hint: str | None = None,
) -> Finding:
    finding: Finding = make(
        code,
        message,
        subject=metric.name,
        cell=metric.cell,
        cell_id=metric.cell_id,
        expected=_json(metric.value),
        observed=None if other is None else _json(other.value),
        hint=hint,
    )
    return finding


def _value_kind(value: Any) -> str:
    return type(value).__name__  # float, int, bool or str


def _type_change(metric: Metric, other: Metric) -> list[Finding]:
    if metric.dtype == other.dtype and type(metric.value) is type(other.value):
        return []
    message = f"metric {metric.name}: is of type {other.dtype}, the locked run's {metric.dtype}"
    numbers = {_value_kind(metric.value), _value_kind(other.value)}
    make = error
    if len(numbers) == 1:
        make = note
    elif numbers <= {"int", "float"}:
        make = warning
    finding = _about(make, "metrics.type-changed", message, metric, other)
    return [replace(finding, expected=metric.dtype, observed=other.dtype)]


def _status(metric: Metric, other: Metric, tolerance: Tolerance) -> MetricStatus:
    one, two = metric.value, other.value
    if type(one) is type(two) and _same_bits(one, two):
        return MetricStatus.EXACT
    distance = _distance(metric, other)
    if distance is not None and distance <= _margin_of(metric, tolerance):
        return MetricStatus.WITHIN
    return MetricStatus.OUTSIDE


def _same_bits(one: Any, other: Any) -> bool:
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other) or (one != one and other != other)  # noqa: PLR0124 (NaN)
    return bool(one == other)


def _distance(metric: Metric, other: Metric) -> decimal.Decimal | None:
    """Return ``|observed - expected|``, None where there is no such thing."""
    one, two = _decimal(metric), _decimal(other)
    if one is None or two is None:
        return None
    with decimal.localcontext(_CONTEXT):
        return abs(two - one)


def _margin_of(metric: Metric, tolerance: Tolerance) -> decimal.Decimal:
    size = _decimal(metric) or decimal.Decimal(0)
    with decimal.localcontext(_CONTEXT):
        absolute = decimal.Decimal(repr(float(tolerance.abs or 0)))
        relative = decimal.Decimal(repr(float(tolerance.rel or 0)))
        return max(absolute, relative * abs(size))


def _decimal(metric: Metric) -> decimal.Decimal | None:
    value = metric.value
    if isinstance(value, (bool, str)) or not math.isfinite(value):
        return None
    if isinstance(value, int):
        return decimal.Decimal(value)
    return decimal.Decimal(_shortest(value, metric.dtype))


def _shortest(value: float, dtype: str) -> str:
    """Return the shortest decimal that reads back as *value* in its own type.

    0.97 as float32 is 0.9700000286102295 as float64; a person means 0.97.
    """
    packing = {"float32": "<f", "float16": "<e"}.get(dtype)
    if packing:
        try:
            packed = struct.pack(packing, value)
            for digits in range(1, 10):
                text = f"{value:.{digits}g}"
                if struct.pack(packing, float(text)) == packed:
                    return text
        except (OverflowError, struct.error):
            pass  # it never was of that type
    return repr(value)


def _outside(metric: Metric, other: Metric, tolerance: Tolerance) -> str:
    said = f"metric {metric.name}: {_shown(other.value)}, the locked run {_shown(metric.value)}"
    if (distance := _distance(metric, other)) is None:
        return said
    margin = _margin_of(metric, tolerance)
    allowed = f"{_short(margin)} ({tolerance.source})" if margin else "none"
    return f"{said}; moved by {_short(distance)}, tolerance {allowed}"


def _short(value: decimal.Decimal) -> str:
    return f"{float(value):.6g}" if math.isfinite(float(value)) else f"{value:.6g}"


def _json(value: float | bool | str) -> Any:
    """Return *value* as JSON can hold it: what is not finite by name."""
    if isinstance(value, float) and not math.isfinite(value):
        return next((name for name, known in NOT_FINITE.items() if known == value), "NaN")
    return value


def _shown(value: float | bool | str) -> str:
    text = (
        str(_json(value)) if isinstance(value, float) and not math.isfinite(value) else repr(value)
    )
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004
