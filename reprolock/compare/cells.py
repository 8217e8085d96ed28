"""The outputs of the cells of two notebooks."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from reprolock.compare.align import align, identifier, joined
from reprolock.compare.images import compare_images, compare_svg, is_raster
from reprolock.compare.installers import tools_of
from reprolock.compare.model import (
    IDENTICAL,
    CellComparison,
    CellStatus,
    CompareOptions,
    Degree,
    Outcome,
    OutputComparison,
    different,
    excerpt,
)
from reprolock.compare.structure import compare_json
from reprolock.compare.tables import compare_html, compare_markup
from reprolock.compare.text import compare_text
from reprolock.compare.widgets import WidgetStates, compare_widgets
from reprolock.finding import Finding, Severity
from reprolock.notebooks import only_reprolock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_STATUS = {
    Degree.IDENTICAL: CellStatus.IDENTICAL,
    Degree.NORMALISED: CellStatus.NORMALISED,
    Degree.WITHIN: CellStatus.WITHIN,
    Degree.DIFFERENT: CellStatus.DIFFERENT,
}
# What a cell prints can be a duration of its own only once the notebook has read a clock.
_CLOCK = re.compile(
    r"\btime\.(?:time|perf_counter|monotonic|process_time)(?:_ns)?\b"
    r"|\b(?:perf_counter|monotonic|process_time)(?:_ns)?\s*\(|\bdefault_timer\b|\btimeit\b"
    r"|\bfrom\s+time\s+import\s+(?!sleep\s*$)|\bdatetime\.(?:now|utcnow|today)\b"
    r"|\bTimestamp\.(?:now|utcnow|today)\b|^\s*%%?time\b",
    re.MULTILINE,
)
_WIDGET = "application/vnd.jupyter.widget-view+json"
# Of several differing forms of one output, the one that says most about it is told.
_TELLING = ("text/html", "image/", "application/", "text/latex", "text/markdown", "text/plain")
_COMPARE = {
    "image/svg+xml": compare_svg,
    "text/html": compare_html,
    "application/javascript": compare_markup,
    "text/javascript": compare_markup,
}


@dataclass(frozen=True)
class _Output:
    """One output, with all text of one stream taken together. *place*: of its first piece."""

    place: int
    kind: str  # stream name, "error" or "data"
    value: Any  # text of a stream; the output of an error; the MIME bundle


@dataclass(frozen=True)
class _Setting:
    options: CompareOptions
    widgets: WidgetStates


def compare_cells(
    expected: Sequence[Mapping[str, Any]],
    observed: Sequence[Mapping[str, Any]],
    options: CompareOptions | None = None,
    *,
    widgets: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
) -> OutputComparison:
    """Compare the outputs of the code cells of two notebooks.

    *expected*, *observed*: all cells of the locked and of the new run, as nbformat 4 has them.
    *widgets*: of both notebooks, model id -> model, as the "state" of the widget state in the
    metadata of nbformat 4 has them.
    Execution counts, metadata and tracebacks are not compared. Never raises for what the cells
    hold.
    """
    options = options or CompareOptions()
    states = WidgetStates(*(widgets or ({}, {})))
    clock = False
    pairs = align(expected, observed)
    cells = []
    for index, cell in enumerate(expected):
        if cell.get("cell_type") == "code":
            other = observed[pairs[index]] if index in pairs else {}
            clock = clock or _CLOCK.search(joined(cell.get("source"))) is not None
            again = options.installed_again & {index}
            tools = _tools(index, cell, options)
            own = replace(options, clock=clock, installers=tools, installed_again=again)
            setting = _Setting(own, states)
            cells.append(_compare_cell(index, cell, other, setting))
    added = sorted(set(range(len(observed))) - set(pairs.values()))
    cells.extend(
        _compare_cell(index, {}, observed[index], _Setting(options, states))
        for index in added
        if observed[index].get("cell_type") == "code"
    )
    return OutputComparison(tuple(cells))


def _tools(index: int, cell: Mapping[str, Any], options: CompareOptions) -> tuple[str, ...]:
    if options.called is not None:
        return tuple(sorted(options.called.get(index, ())))
    return tools_of(joined(cell.get("source")))


def _compare_cell(
    index: int, expected: Mapping[str, Any], observed: Mapping[str, Any], setting: _Setting
) -> CellComparison:
    cell_id = identifier(expected) or identifier(observed)
    before, after = _outputs(expected), _outputs(observed)
    if not (before or after) or only_reprolock(expected or observed):
        return CellComparison(index, cell_id, CellStatus.NOT_COMPARED)
    worst, first, compared = IDENTICAL, None, False
    names: set[str] = set()
    findings = []
    for place, outcome in _outcomes(before, after, setting):
        if not outcome.compared:
            continue
        compared = True
        worst = max(worst, outcome, key=lambda o: o.degree)
        names |= outcome.normalisers
        if outcome.degree is Degree.DIFFERENT:
            first = place if first is None else min(first, place)
            findings.append(_finding(index, cell_id, outcome))
    status = _STATUS[worst.degree] if compared else CellStatus.NOT_COMPARED
    reason = setting.options.reason(index, cell_id) if expected else None
    if status is CellStatus.DIFFERENT and reason is not None:
        status = CellStatus.EXCUSED
        findings = [_excuse(finding, reason) for finding in findings]
    return CellComparison(index, cell_id, status, tuple(findings), first, tuple(sorted(names)))


def _finding(index: int, cell_id: str | None, outcome: Outcome) -> Finding:
    return Finding(
        outcome.code,
        Severity.ERROR,
        f"cell {index}: {outcome.message}",
        cell=index,
        cell_id=cell_id,
        expected=outcome.expected,
        observed=outcome.observed,
    )


def _excuse(finding: Finding, reason: str) -> Finding:
    message = f"{finding.message}; excused by the policy: {reason}"
    return replace(finding, severity=Severity.NOTE, message=message)


def _outputs(cell: Mapping[str, Any]) -> list[_Output]:
    """Return the outputs of *cell*; each stream once, whatever came between its pieces.

    How pieces of standard output and error interleave depends on timing, so it does not count.
    """
    streams: dict[str, list[str]] = {}
    found: list[_Output] = []
    outputs = cell.get("outputs")
    for place, output in enumerate(outputs if isinstance(outputs, (list, tuple)) else ()):
        kind = output.get("output_type")
        if kind == "stream":
            name = str(output.get("name", "stdout"))
            if name not in streams:
                found.append(_Output(place, name, streams.setdefault(name, [])))
            streams[name].append(joined(output.get("text")))
        elif kind == "error":
            found.append(_Output(place, "error", output))
        else:
            data = output.get("data")
            found.append(_Output(place, "data", dict(data) if hasattr(data, "keys") else {}))
    return [replace(o, value="".join(o.value)) if o.kind in streams else o for o in found]


def _outcomes(
    before: Sequence[_Output], after: Sequence[_Output], setting: _Setting
) -> Iterator[tuple[int, Outcome]]:
    """Yield place and comparison of each pair of outputs of a kind."""
    for kind in dict.fromkeys(o.kind for o in (*before, *after)):
        olds = [o for o in before if o.kind == kind]
        news = [o for o in after if o.kind == kind]
        for old, new in _pair(olds, news):
            yield (old or new).place, _compare(kind, old, new, setting)  # type: ignore[union-attr]


def _pair(
    olds: Sequence[_Output], news: Sequence[_Output]
) -> Iterator[tuple[_Output | None, _Output | None]]:
    """Pair outputs in order; where the numbers differ, the equal ends are paired first."""
    tail = 0
    if len(olds) != len(news):
        short = min(len(olds), len(news))
        head = 0
        while head < short and olds[head].value == news[head].value:
            head += 1
        while tail < short - head and olds[-1 - tail].value == news[-1 - tail].value:
            tail += 1
    ends = len(olds) - tail, len(news) - tail
    yield from zip_longest(olds[: ends[0]], news[: ends[1]])
    yield from zip(olds[ends[0] :], news[ends[1] :], strict=True)


def _compare(kind: str, old: _Output | None, new: _Output | None, setting: _Setting) -> Outcome:
    if old is None or new is None:
        outcome = _one_sided(kind, old, new)
        if kind in ("error", "data") or not setting.options.installers:
            return outcome
        bare = compare_text(old.value if old else "", new.value if new else "", setting.options)
        return outcome if bare.degree is Degree.DIFFERENT else bare
    if kind == "error":
        return _compare_errors(old.value, new.value, setting.options)
    if kind == "data":
        return _compare_bundles(old.value, new.value, setting)
    verb = "printed" if kind == "stdout" else f"wrote to {kind}"
    return compare_text(old.value, new.value, setting.options, verb)


def _one_sided(kind: str, old: _Output | None, new: _Output | None) -> Outcome:
    output = old or new
    shown = _summary(output) if output else ""
    if kind == "error":
        said = f"raised {shown}, the locked run did not"
        if new is None:
            said = f"did not raise {shown}, the locked run did"
        code = "outputs.error-differs"
    elif new is None:
        said, code = f"an output is missing: the locked run gave {shown}", "outputs.output-missing"
    else:
        said, code = f"gave an output that the locked run has not: {shown}", "outputs.output-added"
    return different(code, said, shown if new is None else None, shown if old is None else None)


def _summary(output: _Output) -> str:
    if output.kind == "error":
        return excerpt(f"{output.value.get('ename')}: {joined(output.value.get('evalue'))}")
    if output.kind == "data":
        text = output.value.get("text/plain")
        kinds = ", ".join(map(str, output.value)) or "nothing"
        return excerpt(f"{kinds} ({joined(text).strip()})" if text else kinds)
    return f'{output.kind} "{excerpt(output.value.strip())}"'


def _compare_errors(
    old: Mapping[str, Any], new: Mapping[str, Any], options: CompareOptions
) -> Outcome:
    code = "outputs.error-differs"
    was, now = str(old.get("ename")), str(new.get("ename"))
    if was != now:
        return different(code, f"raised {now}, the locked run raised {was}", was, now)
    outcome = compare_text(joined(old.get("evalue")), joined(new.get("evalue")), options, "said")
    if outcome.degree is not Degree.DIFFERENT:
        return outcome
    said = f"the message of the {was} differs: {outcome.message}"
    return different(code, said, outcome.expected, outcome.observed).plus(outcome.normalisers)


def _compare_bundles(old: Mapping[str, Any], new: Mapping[str, Any], setting: _Setting) -> Outcome:
    """Compare each form that both have; told is the worst, and of these the most telling."""
    if not old and not new:
        return IDENTICAL
    outcomes = [(m, _compare_mime(m, old[m], new[m], setting)) for m in old if m in new]
    names = frozenset[str]().union(*(o.normalisers for _, o in outcomes))
    outcomes.sort(key=lambda item: (-item[1].degree, _rank(item[0])))
    worst = outcomes[0][1] if outcomes else IDENTICAL
    if old.keys() != new.keys() and worst.degree is not Degree.DIFFERENT:
        was, now = (", ".join(sorted(map(str, b))) or "nothing" for b in (old, new))
        said = f"an output came as {excerpt(now)}, the locked run's as {excerpt(was)}"
        worst = different("outputs.mime-differs", said, excerpt(was), excerpt(now))
    # What else a widget comes with is a placeholder for a page that cannot draw it.
    compared = worst.degree is Degree.DIFFERENT or all(o.compared for _, o in outcomes)
    return replace(worst.plus(names), compared=compared)


def _rank(mime: str) -> int:
    ranks = (i for i, start in enumerate(_TELLING) if mime.startswith(start))
    return next(ranks, len(_TELLING))


def _nested(old: Any, new: Any, setting: _Setting) -> Outcome:
    """Compare what two output widgets hold, as the outputs of a cell."""
    sides = (_outputs({"outputs": old}), _outputs({"outputs": new}))
    worst, names = IDENTICAL, frozenset[str]()
    for _, outcome in _outcomes(*sides, setting):
        names |= outcome.normalisers
        worst = max(worst, outcome, key=lambda o: o.degree)
    return worst.plus(names)


def _compare_mime(mime: str, old: Any, new: Any, setting: _Setting) -> Outcome:
    options = setting.options
    if mime == _WIDGET and isinstance(old, dict) and isinstance(new, dict):
        return compare_widgets(
            old, new, options, setting.widgets, lambda a, b, w: _nested(a, b, _Setting(options, w))
        )
    if mime == "application/json" or mime.endswith("json") or isinstance(old, dict):
        return compare_json(old, new, options)
    one, other = joined(old), joined(new)
    compare = _COMPARE.get(mime) or (compare_images if is_raster(mime) else None)
    if compare:
        return compare(one, other, options)
    if mime.startswith("text/") or mime == "application/x-latex":
        return compare_text(one, other, options, "showed")
    if one == other:
        return IDENTICAL
    return different("outputs.text-differs", f"an output of type {excerpt(mime)} differs")
