"""The second run held against the first: metrics, outputs, files, facts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import compare
from reprolock.digest import sha256_bytes
from reprolock.facts import (
    Record,
    data,
    hardware,
    installs,
    metrics,
    notebook,
    randomness,
    session,
)
from reprolock.finding import Finding, Severity, error, note, warning
from reprolock.judge import Evidence
from reprolock.result import MetricResult, Tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reprolock.elsewhere import Ground
    from reprolock.lock import Lock
    from reprolock.notebooks import NotebookFile
    from reprolock.run import Run
    from reprolock.verify.state import State
from reprolock.verify.prepare import places_of, platform_of
from reprolock.verify.rerun import differences, unfinished, without_later_outputs
from reprolock.verify.substituted import without_front_end

# Where the CPU is of another class, last digits may move; this is far below what any metric means.
_OTHER_CPU = Tolerance(rel=1e-6, source="default for another class of CPU")
_EXACT = Tolerance(abs=0.0, source="default")
_FILES_DIFFER = ("data.output-differs", "data.output-bytes-differ", "data.output-missing")
_WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
_MUST_EQUAL = (
    "notebook.",
    "data.content-changed",
    "data.content-unknown",
    "installs.unsatisfied",
    "installs.rerun-failed",
    "randomness.seed-changed",
    "randomness.newly-unseeded",
)


def hold_against(
    state: State, locked: Lock, reference: NotebookFile, done: Run, ground: Ground
) -> tuple[Evidence, Any]:
    stopped = unfinished(locked, reference.node.cells)
    options = _compare_options(state, locked, done, ground, stopped.interrupted)
    if then := notebook.folder_in(locked.record[notebook.Notebook], reference.node.cells):
        options = replace(options, extra_paths=((then, "<folder>"), *options.extra_paths))
    new = _only_new(state.findings, differences(locked, done))
    places = places_of(state.options, locked)
    state.findings += [_looked_into(f, places, done, options) for f in new]
    state.findings += _not_run(locked, done)
    unseeded = _unseeded_from(locked.record, done.record)
    results, about_metrics = _metrics(state, locked, done, unseeded)
    old, again = reference.node, done.execution.node
    for node in (old, again):
        without_front_end(node.cells, platform_of(locked))
    without_later_outputs(locked, old.cells, again.cells)
    states = (_widgets(old), _widgets(again))
    if locked.record[session.Session].is_live and not states[0]:
        states = ({}, {})  # a living kernel's front end keeps their state, and nobody wrote it down
    outputs = compare.compare_cells(old.cells, again.cells, options, widgets=states)
    state.findings += [*about_metrics, *(f for cell in outputs.cells for f in cell.findings)]
    state.findings += _normalised(outputs)
    if _reordered(old.cells, again.cells, [cell.index for cell in outputs.different]):
        state.findings += randomness.hash_order(
            locked.record[randomness.Randomness], done.record[randomness.Randomness]
        )
    if unseeded is not None:
        state.findings += randomness.weaknesses(locked.record[randomness.Randomness])
    evidence = Evidence(
        metrics=results,
        compared=outputs.compared - len(without_outputs(outputs, locked)),
        different=tuple(c.index for c in outputs.different),
        inexact=tuple(c.index for c in outputs.having(compare.CellStatus.WITHIN)),
        excused=(
            *(c.index for c in outputs.excused if c.index not in _left_out(locked)),
            *locked.record[session.Session].not_run,
            *stopped.raised,
            *stopped.interrupted,
        ),
        unseeded_from=unseeded,
        must_equal=sum(
            f.code.startswith(_MUST_EQUAL) and f.severity is Severity.ERROR for f in state.findings
        ),
        in_doubt=any(
            f.code == "installs.superseded" and f.severity is Severity.WARNING
            for f in state.findings
        ),
        files_differ=any(f.code in _FILES_DIFFER for f in state.findings),
        files_inexact=any(f.code == "data.output-within" for f in state.findings),
    )
    return evidence, outputs


def _reordered(old: Sequence[Any], new: Sequence[Any], cells: Sequence[int]) -> bool:
    """Say whether one of *cells* put out the same words in another order, as sets do."""
    pairs = [(_words(old[i]), _words(new[i])) for i in cells if i < min(len(old), len(new))]
    return any(a != b and sorted(a) == sorted(b) for a, b in pairs)


def _words(cell: Any) -> list[str]:
    texts = (
        output.get("text") or (output.get("data") or {}).get("text/plain")
        for output in cell.get("outputs", ())
    )
    return re.findall(r"\w+", " ".join(str(text) for text in texts if text))


def _widgets(node: Any) -> dict[str, Any]:
    """Return the models of a notebook's widgets, by id."""
    stored = node.metadata.get("widgets", {}).get(_WIDGET_STATE, {})
    return dict(stored.get("state", {}))


def _not_run(locked: Lock, done: Run) -> list[Finding]:
    """Name the cells that the recorded run ran and this one skipped, or the other way round.

    A living session leaves cells out; what they do to the others shows in those.
    """
    cells = locked.record[notebook.Notebook].cells
    now = done.record[notebook.Notebook].cells
    live = locked.record[session.Session].is_live
    return [
        (warning if live and old.ran is None else error)(
            "notebook.other-cells-run",
            f"cell {new.index} was {'not ' if old.ran is None else ''}run in the recorded run, and "
            f"was {'not ' if new.ran is None else ''}in this one",
            subject=f"cell {new.index}",
            cell=new.index,
            hint="look for the tag skip-execution, or for a cell that the living session left out"
            if live
            else "look for the tag skip-execution",
        )
        for old, new in zip(cells, now, strict=False)
        if old.source_sha256 == new.source_sha256 and (old.ran is None) != (new.ran is None)
    ]


def _left_out(locked: Lock) -> list[int]:
    """Return the cells that a living session did not run: there is nothing to hold them against."""
    if not locked.record[session.Session].is_live:
        return []
    cells = locked.record[notebook.Notebook].cells
    return [cell.index for cell in cells if cell.kind == "code" and cell.ran is None]


def without_outputs(outputs: Any, locked: Lock) -> list[int]:
    """Return the excused cells of which no output is known: they were held against nothing."""
    unknown = {*_left_out(locked), *locked.record[session.Session].outputs_unseen}
    return [cell.index for cell in outputs.excused if cell.index in unknown]


def _only_new(known: list[Finding], found: list[Finding]) -> list[Finding]:
    """A changed input is seen before the run and in it; once is enough."""
    seen = {(f.code, f.subject) for f in known}
    return [f for f in found if (f.code, f.subject) not in seen]


def _looked_into(
    finding: Finding, places: data.Places, done: Run, options: compare.CompareOptions
) -> Finding:
    """Weigh a written file with other bytes by its content, where both are there to be read."""
    if finding.code != "data.output-bytes-differ":
        return finding
    old, new = _contents(finding, places, done)
    name = str(finding.subject)
    outcome = compare.compare_written(old, new, options, name=name) if old is not None else None
    if outcome is None:
        return finding
    if outcome.degree is compare.Degree.WITHIN:
        message = f"{name}: its numbers differ within the stated tolerance"
        return replace(finding, code="data.output-within", severity=Severity.NOTE, message=message)
    if outcome.degree is compare.Degree.DIFFERENT:
        message = f"{finding.subject}, written by cell {finding.cell}: {outcome.message}"
        return replace(
            finding, code="data.output-differs", severity=Severity.ERROR, message=message
        )
    message = f"{finding.subject} is the same but for {', '.join(sorted(outcome.normalisers))}"
    return replace(finding, code="data.output-normalised", severity=Severity.NOTE, message=message)


def _contents(finding: Finding, places: data.Places, done: Run) -> tuple[bytes | None, bytes]:
    """Return what the recorded run wrote, where it still lies beside the notebook, and the new."""
    name = str(finding.subject)
    new = Path(done.paths[name]).read_bytes()
    path = places.path(name)
    try:
        old = path.read_bytes() if path else b""
    except OSError:
        return None, new
    return (old if f"sha256:{sha256_bytes(old)}" == finding.expected else None), new


def _normalised(outputs: Any) -> list[Finding]:
    acted: dict[str, list[int]] = {}
    for cell in outputs.cells:
        for name in cell.normalisers:
            acted.setdefault(name, []).append(cell.index)
    return [
        note(
            "outputs.normalised",
            f"the normaliser {name} acted in {_cells(cells)}",
            subject=name,
            observed=cells,
        )
        for name, cells in sorted(acted.items())
    ]


def _cells(cells: list[int]) -> str:
    return f"cell{'s' if len(cells) > 1 else ''} {', '.join(str(c) for c in cells)}"


def _unseeded_from(expected: Record, observed: Record) -> int | None:
    first = [r[randomness.Randomness].first_unseeded for r in (expected, observed)]
    return min((cell for cell in first if cell is not None), default=None)


def _metrics(
    state: State, locked: Lock, done: Run, unseeded: int | None
) -> tuple[tuple[MetricResult, ...], tuple[Finding, ...]]:
    expected, observed = locked.record[metrics.Metrics], done.record[metrics.Metrics]
    stated = {**locked.policy.tolerances, **state.options.tolerances}
    unknown = sorted(set(stated) - {m.name for m in expected.metrics})
    if unknown:
        state.findings.append(
            warning(
                "metrics.unknown-tolerance",
                f"no metric is called {', '.join(unknown)}",
                hint="the lock has: " + (", ".join(m.name for m in expected.metrics) or "none"),
            )
        )
    stated_for_all = state.options.rtol is not None or state.options.atol is not None
    lucky = frozenset(
        m.name
        for m in expected.metrics
        if unseeded is not None and not stated_for_all and (m.cell is None or m.cell >= unseeded)
    )
    return metrics.compare(expected, observed, stated, _default(state, locked, done), lucky)


def _default(state: State, locked: Lock, done: Run) -> Tolerance:
    options = state.options
    if options.rtol is not None or options.atol is not None:
        return Tolerance(abs=options.atol, rel=options.rtol, source="user")
    then, now = locked.record[hardware.Hardware], done.record[hardware.Hardware]
    return _EXACT if then.numerics_class == now.numerics_class else _OTHER_CPU


def _compare_options(
    state: State, locked: Lock, done: Run, ground: Ground, interrupted: frozenset[int]
) -> compare.CompareOptions:
    here = str(locked.path.parent)
    mapped = [(prefix, f"<{prefix}>") for prefix in ground.maps if ground.weaker]
    mapped += [(str(ground.maps[prefix][0]), new) for prefix, new in mapped]
    return compare.CompareOptions(
        rtol=state.options.rtol or 0.0,
        atol=state.options.atol or 0.0,
        excused={
            **dict.fromkeys(_left_out(locked), "it did not run in the recorded session"),
            **dict.fromkeys(
                locked.record[session.Session].outputs_unseen,
                "its outputs were not seen in the recorded session",
            ),
            **dict.fromkeys(interrupted, "it was interrupted in the recorded session"),
            **{excuse.cell: excuse.reason for excuse in locked.policy.excused},
        },
        disabled=frozenset(locked.policy.disabled),
        called=installs.called(locked.record[installs.Installs], done.record[installs.Installs]),
        installed_again=frozenset(
            c.cell
            for c in done.record[installs.Installs].commands
            if not c.answered and c.cell is not None
        ),
        extra_paths=((str(ground.scratch), "<folder>"), (here, "<folder>"), *mapped),
    )


def undecided(evidence: Evidence, locked: Lock) -> Finding:
    """Say why the evidence does not decide."""
    if not evidence.metrics and not evidence.compared:
        return _nothing_compared(locked.record[session.Session])
    names = [m.name for m in evidence.metrics if m.status.value == "undecided"]
    what = f"the metric {', '.join(names)}" if names else "what differs"
    return warning(
        "randomness.undecided",
        f"{what} follows from random numbers drawn without a seed (cell {evidence.unseeded_from}), "
        "and no tolerance says how far it may move",
        cell=evidence.unseeded_from,
        hint="seed the stream and capture again, or state --tolerance NAME=VALUE",
    )


def _nothing_compared(facts: session.Session) -> Finding:
    hint = "name a metric: reprolock capture --metric NAME=EXPRESSION"
    if facts.outputs_unseen:
        hint = f"save the notebook after it ran, and capture again; or {hint}"
    return warning(
        "outputs.nothing-compared",
        "the recorded run left no output and no metric to compare",
        hint=hint,
    )
