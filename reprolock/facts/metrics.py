"""Metrics: asked for, reported by the notebook, tagged, or found in what it printed."""

from __future__ import annotations

import decimal
import json
import math
import re
import struct
from collections import Counter
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, NamedTuple

from reprolock.errors import LockError, UsageError
from reprolock.finding import Finding, error, note, warning
from reprolock.result import MetricResult, MetricStatus, Tolerance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SOURCES = ("expression", "api", "tag", "output")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_CONTEXT = decimal.Context(prec=400, traps=[])


@dataclass(frozen=True)
class Metric:
    """One value that a run is judged by.

    *value*: float, int, bool or str; anything else stands as its JSON text. *cell*: index in the
    notebook, None for an expression evaluated at the end. *dtype*: the name of its type in the
    kernel, such as ``float``, ``float32`` or ``bool``. *source*: one of SOURCES.
    """

    name: str
    value: float | bool | str
    cell: int | None = None
    cell_id: str | None = None
    dtype: str = "float"
    source: str = "output"
    expression: str | None = None


@dataclass(frozen=True)
class FailedMetric:
    """A metric that the kernel could not give."""

    name: str
    error: str
    cell: int | None = None


@dataclass(frozen=True)
class Metrics:
    metrics: tuple[Metric, ...] = ()
    failed: tuple[FailedMetric, ...] = ()

    def get(self, name: str) -> Metric | None:
        return next((m for m in self.metrics if m.name == name), None)


class Request(NamedTuple):
    """*cell*: index of the cell after which *expression* is evaluated; None: after the last."""

    name: str
    expression: str
    cell: int | None


# --- what a person asks for -----------------------------------------------------------------


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


# --- what the recorder saw ------------------------------------------------------------------


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


def _names(metrics: Metrics) -> set[str]:
    return {m.name for m in metrics.metrics} | {f.name for f in metrics.failed}


def merge(explicit: Metrics, discovered: Iterable[Metric]) -> Metrics:
    """Return both; what was named on purpose wins over what was found under the same name."""
    named = _names(explicit)
    rest = tuple(m for m in discovered if m.name not in named)
    return Metrics(explicit.metrics + rest, explicit.failed)


def _value(value: Any, dtype: str) -> float | bool | str:
    if _kind(dtype) == "float":
        if isinstance(value, str) and value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
    if isinstance(value, (str, bool, int, float)):
        return value
    return json.dumps(value, sort_keys=True)


def _kind(dtype: str) -> str:
    for kind in ("bool", "int", "uint", "float", "bfloat", "str"):
        if dtype.startswith(kind):
            return {"uint": "int", "bfloat": "float"}.get(kind, kind)
    return "float" if dtype in ("double", "longdouble", "half") else "other"


# --- the lock -------------------------------------------------------------------------------


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


# --- comparison -----------------------------------------------------------------------------


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
    known = _names(expected)
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
    other = observed.get(metric.name)
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
        return next((name for name, known in _NOT_FINITE.items() if known == value), "NaN")
    return value


def _shown(value: float | bool | str) -> str:
    text = (
        str(_json(value)) if isinstance(value, float) and not math.isfinite(value) else repr(value)
    )
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004


# --- discovery ------------------------------------------------------------------------------

_MEASURES = (
    "accuracy accuracies acc precision recall f1 fbeta auc auroc auprc roc ap map loss losses mse"
    " rmse mae mape rmsle r2 score scores error errors perplexity ppl bleu rouge iou miou dice"
    " jaccard kappa mcc likelihood loglik loglikelihood aic bic silhouette inertia deviance"
    " logprob elbo ari nmi brier ndcg mrr wer cer psnr ssim fid reward logloss nll"
)
_QUANTITIES = (
    "time times duration durations elapsed took second seconds sec secs ms minutes epoch epochs"
    " step steps iteration iterations iter iters batch batches size sizes lr rate count counts"
    " number num samples features seed fold folds depth threads memory version support"
)
_METRIC_WORDS = frozenset(_MEASURES.split())
_OTHER_WORDS = frozenset(_QUANTITIES.split())
_LAST = 2_000_000  # characters of an output that are searched; its end holds the results
_LABEL_LENGTH = 80
_NUMBER = re.compile(
    r"(?<![\w.^@/\\])(?<![A-Za-z\d]-)(?<!\d[:/])"
    r"([-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|nan|NaN|inf))"
    r"(?![\w\\/@])(?!\.\w)(?![-:]\d)(?!,\d{3}(?!\d))"
)
_HINT = re.compile("|".join(sorted(_METRIC_WORDS)) + r"|r\^2|r²|squared|prob", re.IGNORECASE)
_WRAPPED = re.compile(r"\b(?:np\.|numpy\.)?(?:float(?:16|32|64)?|tensor|Array)\((?=[-\d.])")
_CONTROL = re.compile(r"\x1b\[[0-?]{0,32}[ -/]{0,4}[@-~]")
# Where a line begins with how far the training is: `Epoch 3`, `10/10`, `[Fold 1 of 5]`.
_PREFIX = re.compile(
    r"^\W*(?:(?:epoch|step|iter(?:ation)?|batch|fold)\W{0,3}\d+(?:\s*(?:/|of)\s*\d+)?|\d+/\d+)\b\W*",
    re.IGNORECASE,
)
_LINK = re.compile(r"\s{0,20}(?:[:=]|->|\bis)\s{0,20}\Z")
_CLAUSE = re.compile(r"[,;|{}\t]| - ")
_TIME_UNIT = re.compile(r"\s?(?:ns|us|µs|ms|s|secs?|seconds?|min|minutes?|h|hours?)\b")
_END = re.compile(r"\s*(?:\Z|%|[,;|)\]}(/±]|-\s|\+/-|\W*\Z)|\.?\s+[^\w\s]")
_TAG = re.compile(r"(?:reprolock:)?metric(?:[:=](.+))?\Z")


def discover(cells: Sequence[Mapping[str, Any]]) -> tuple[Metric, ...]:
    """Return the metrics of tagged cells, and the labelled numbers in outputs of code cells.

    *cells*: all cells of the notebook as nbformat 4 has them. In one cell the last number under
    a label counts. Where cells share a label, the first keeps it and the others are called
    ``label@CELL``. Percentages keep their number as printed: 97.2 for ``97.2%``.
    """
    found: list[Metric] = []
    for index, cell in enumerate(cells):
        if cell.get("cell_type") != "code":
            continue
        values = dict(_labelled(cell))
        source = dict.fromkeys(values, "output")
        for name, number in _tagged(index, cell, values):
            values.setdefault(name, number)
            source[name] = "tag"
        cell_id = cell.get("id")
        found += [
            Metric(
                name,
                number,
                index,
                cell_id if isinstance(cell_id, str) else None,
                type(number).__name__,
                source[name],
            )
            for name, number in values.items()
        ]
    return _unique(found)


def tag_problems(cells: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return a warning for each cell that is tagged as a metric but does not end in one number."""
    return tuple(
        warning(
            "metrics.tag-unreadable",
            f"cell {index}: tagged as a metric, but its last output is not one number",
            cell=index,
            cell_id=cell.get("id"),
            hint="let the cell end in the value alone, or use --metric NAME=EXPR",
        )
        for index, cell in enumerate(cells)
        if cell.get("cell_type") == "code" and _tags(cell) and _single(cell) is None
    )


def _unique(found: Iterable[Metric]) -> tuple[Metric, ...]:
    seen: Counter[str] = Counter()
    unique = []
    for metric in found:
        again = seen[metric.name] > 0
        seen[metric.name] += 1
        unique.append(replace(metric, name=f"{metric.name}@{metric.cell}") if again else metric)
    return tuple(unique)


def _tags(cell: Mapping[str, Any]) -> list[str | None]:
    """Return the names in the metric tags of *cell*, None for a tag without a name."""
    tags = (cell.get("metadata") or {}).get("tags") or ()
    matches = [_TAG.match(tag) for tag in tags if isinstance(tag, str)]
    return [m[1].strip() if m[1] and m[1].strip() else None for m in matches if m]


def _tagged(
    index: int, cell: Mapping[str, Any], labelled: Mapping[str, float]
) -> Iterator[tuple[str, float]]:
    number = _single(cell)
    for name in _tags(cell):
        if number is None:
            return
        only = next(iter(labelled)) if len(labelled) == 1 else None
        yield name or only or f"metric@{index}", number


def _single(cell: Mapping[str, Any]) -> float | None:
    """Return the only number of the last output of *cell* that has text."""
    texts = [t for t in (_plain(o) for o in _outputs(cell)) if t.strip()]
    numbers = _NUMBER.findall(_clean(texts[-1])) if texts else []
    return _parse(numbers[0]) if len(numbers) == 1 else None


def _outputs(cell: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    outputs = cell.get("outputs")
    return [o for o in outputs if hasattr(o, "get")] if isinstance(outputs, (list, tuple)) else []


def _plain(output: Mapping[str, Any]) -> str:
    if output.get("output_type") == "stream":
        return _joined(output.get("text")) if output.get("name") != "stderr" else ""
    return _joined((output.get("data") or {}).get("text/plain"))


def _joined(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "".join(str(line) for line in value)
    return "" if value is None else str(value)


def _clean(text: str) -> str:
    return _WRAPPED.sub("", _CONTROL.sub("", text[-_LAST:]))


def _labelled(cell: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield (name, number) of all outputs; a name that comes again is meant to win."""
    printed = ""
    for output in _outputs(cell):
        if output.get("output_type") == "stream":
            # A line may come in several pieces.
            printed += _plain(output)
            continue
        html = _joined((output.get("data") or {}).get("text/html"))
        rows = _table(html) if 0 < len(html) <= _LAST else []
        if rows:
            yield from _from_table(rows)
        else:
            yield from _from_text(_plain(output))
    yield from _from_text(printed)


def _from_text(text: str) -> Iterator[tuple[str, float]]:
    for line in re.split(r"[\r\n\x08]+", _clean(text)):
        if _HINT.search(line):
            yield from _from_line(_PREFIX.sub("", line))


def _from_line(line: str) -> Iterator[tuple[str, float]]:
    taken = last = 0  # ends of the last metric and of the last number
    for match in _NUMBER.finditer(line):
        start, end = match.span()
        link = _LINK.search(line, max(last, start - _LABEL_LENGTH), start)
        if link:
            label = _clause(line, max(taken, start - 2 * _LABEL_LENGTH), link.start())
        else:
            label = _short_label(line[max(last, start - _LABEL_LENGTH) : start])
        last = end
        if label and _is_value(match[1], line, end):
            yield _name(label), _parse(match[1])
            taken = end


def _clause(line: str, start: int, end: int) -> str | None:
    """Return the label before ``:``, ``=``, ``->`` or ``is``: a clause, numbers included."""
    label = _CLAUSE.split(line[start:end])[-1]
    last = re.split(r"[:=]", label)[-1]
    return next((part for part in (last, label) if _is_metric(part)), None)


def _short_label(before: str) -> str | None:
    """Return the label right before a number: three words at most, the last a metric word."""
    label = _CLAUSE.split(before)[-1]
    words = label.split()
    if not (label[-1:].isspace() and 0 < len(words) <= 3):  # noqa: PLR2004
        return None
    return label if _is_metric(words[-1]) and _is_metric(label) else None


def _is_value(number: str, line: str, end: int) -> bool:
    """Whether a number is no duration, and no count of the things that follow it."""
    if _TIME_UNIT.match(line, end):
        return False
    return any(c in number for c in ".eEn") or _END.match(line, end) is not None


def _words(label: str) -> list[str]:
    label = re.sub(r"(?i)r[\s_-]?squared|r\s?\^\s?2|r²|r\*\*2", " r2 ", label)
    label = re.sub(r"(?i)log[\s_-]prob\w*", " logprob ", label)
    label = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    words = re.findall(r"[^\W_]+", label.lower())
    return [w if w in _METRIC_WORDS else w.rstrip("0123456789") or w for w in words]


def _is_metric(label: str) -> bool:
    if re.search(r"(?:[a-z]Error|Warning|Exception)\b", label):
        return False
    words = set(_words(label))
    return bool(words & _METRIC_WORDS) and not words & _OTHER_WORDS


def _name(label: str) -> str:
    label = re.sub(r"(?i)r[\s_-]squared|r\s?\^\s?2|r²|r\*\*2", "r2", label)
    return "_".join(re.findall(r"[^\W_]+", label.lower()))[-_LABEL_LENGTH:].strip("_")


def _parse(number: str) -> float:
    try:
        return int(number)
    except ValueError:
        return float(number)


# --- tables of one row or one column --------------------------------------------------------


class _Rows(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.tables = 0
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tables += tag == "table"
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def _table(html: str) -> list[list[str]]:
    """Return the rows of the only table of *html*; none where there is none, or several."""
    if "<table" not in html:
        return []
    parser = _Rows()
    parser.feed(html)
    parser.close()
    rows = [[cell.strip() for cell in row] for row in parser.rows if row]
    return rows if parser.tables == 1 else []


def _from_table(rows: Sequence[Sequence[str]]) -> Iterator[tuple[str, float]]:
    pairs: Iterable[tuple[str, str]] = ()
    if len(rows) == 2 and len(rows[0]) == len(rows[1]):  # noqa: PLR2004 (header and one row)
        pairs = zip(rows[0], rows[1], strict=True)
    elif all(len(row) == 2 for row in rows):  # noqa: PLR2004 (label and value)
        pairs = ((row[0], row[1]) for row in rows)
    for label, text in pairs:
        match = _NUMBER.match(text)
        if match and text[match.end() :].strip() in ("", "%") and _is_metric(label):
            yield _name(label), _parse(match[1])
