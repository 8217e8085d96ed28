"""Metrics that the outputs of a notebook show: labelled numbers, tags, small tables."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from reprolock.facts.metrics.model import (
    Metric,
)
from reprolock.finding import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
# Where a line begins with how far the training is, and maybe how long that took: `Epoch 3`,
# `10/10`, `[Fold 1 of 5]`, `Epoch 3 (12s)`.
_PREFIX = re.compile(
    r"^\W*(?:(?:epoch|step|iter(?:ation)?|batch|fold)\W{0,3}\d+(?:\s*(?:/|of)\s*\d+)?|\d+/\d+)\b\W*"
    r"(?:\d+\s?m?s\b\W*)?",
    re.IGNORECASE,
)
# When a line was printed, or for how long its program had run.
_STAMP = re.compile(
    r"(?:\b\d{4}-\d\d-\d\d[ T]|(?<![\w.:]))\d{1,3}:\d\d:\d\d(?:\.\d+|,\d{3}\b)?"
    r"(?:Z\b|[-+]\d\d:\d\d\b)?(?!\d|:\d)"
    r"|\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?!\d|:\d)|^\W{0,3}\d\d:\d\d(?!\d|:\d)"
)
_LINK = re.compile(r"\s{0,20}(?:[:=]|->|\bis)\s{0,20}\Z")
_CLAUSE = re.compile(r"[,;|{}\t]| - ")
_UNITS = r"(?:ns|us|µs|μs|ms|s|secs?|seconds?|mins?|minutes?|h|hours?)"
_TIME_UNIT = re.compile(rf"\s?{_UNITS}\b")
# What a clock gave; in a name it would be another in each run. `top-5`, `24h`, `mAP@0.5` stay.
_AMOUNT = r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_MEASURED = re.compile(
    rf"(?<![\w.@])(?:\d+\.\d+(?:[eE][-+]?\d+)?\s?{_UNITS}\b|\d+\s?m(?:in)?\s?{_AMOUNT}\s?s\b)"
    rf"|\b(?:elapsed|took|duration|runtime|walltime"
    rf"|(?:wall|cpu|run|fit|train(?:ing)?|elapsed|execution)[\s_-]time)"
    rf"\s?[:=]?\s{{0,8}}{_AMOUNT}(?:\s?{_UNITS})?(?![\w.])"
    rf"|\btime\s?[:=]?\s{{0,8}}{_AMOUNT}\s?{_UNITS}\b",
    re.IGNORECASE,
)
# The same in a name, as older locks have it: `0_394s_accuracy`, `22_123456_accuracy`.
_MEASURED_NAME = re.compile(
    rf"(?:^|_)\d+(?:_\d+)?_?{_UNITS}(?=_|$)|^\d{{1,3}}_\d{{3,6}}(?=_)|^\d{{2,3}}(?=_)"
    r"|_\d{1,3}_\d\d_\d\d(?:_\d{3,6})?(?=_|$)"
)
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
            yield from _from_line(_PREFIX.sub("", _STAMP.sub(" ", line)))


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
    behind = label[max((m.end() for m in _MEASURED.finditer(label)), default=0) :]
    parts = [p for x in (behind, _MEASURED.sub(" ", label)) for p in (re.split(r"[:=]", x)[-1], x)]
    return next((part for part in parts if _is_metric(part)), None)


def _short_label(before: str) -> str | None:
    """Return the label right before a number: three words at most, the last a metric word."""
    label = _MEASURED.split(_CLAUSE.split(before)[-1])[-1]
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


def without_measured(name: str) -> set[str]:
    """Return the names that a metric has now if an older version took a time into its *name*."""
    parts = _MEASURED_NAME.split(name)
    if len(parts) == 1:
        return set()
    return {parts[-1].strip("_"), "".join(parts).strip("_")}


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
