"""The second run: in the rebuilt environment, with what the lock recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock import execute, notebooks
from reprolock.facts import (
    FAMILIES,
    data,
    installs,
    metrics,
    notebook,
    packages,
    session,
)
from reprolock.facts import interpreter as interpreters
from reprolock.finding import Finding, error
from reprolock.result import Verdict
from reprolock.run import Plan, Run, Wanted, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reprolock.elsewhere import Ground
    from reprolock.lock import Lock
    from reprolock.notebooks import NotebookFile
from reprolock.verify import substituted
from reprolock.verify.prepare import places_of, platform_of, stand_ins
from reprolock.verify.state import State, Stop


def execute_again(
    state: State,
    locked: Lock,
    source: NotebookFile,
    python: Path,
    ground: Ground,
    uploads: tuple[tuple[dict[str, str], ...], ...] = (),
) -> Run:
    kernel = execute.kernel_from_python(python)
    plan = Plan(
        notebook=source,
        kernel=kernel,
        folder=ground.scratch,
        environment=_kernel_environment(locked, kernel.python),
        limits=state.options.limits,
        may_raise=_may_raise(locked, source, all_cells=state.options.allow_errors),
        wanted=_wanted(locked),
        identify=False,
        replay=True,
        secrets=state.options.secrets,
        stand_ins=stand_ins(locked),
        uploads=uploads,
        ground=ground,
        platform=platform_of(locked),
        answers=installs.answers(
            locked.record[installs.Installs],
            locked.record[data.Data],
            places_of(state.options, locked),
        ),
        hash_installed=state.options.environment is not None,  # a rebuilt one was checked already
    )
    done = run(plan, state.say)
    _scrub(done, state.options.secret_values)
    state.findings += done.findings
    _tell_substitutions(state, done, ground)
    state.findings += _about_installs(state, locked, done)
    failure = done.execution.failure
    if failure is not None:
        state.findings.append(
            error(
                f"run.{failure.kind}",
                failure.message,
                subject=source.path.name,
                cell=failure.cell,
                cell_id=locked.record[notebook.Notebook].cell_id(failure.cell),
                hint=failure.hint,
            )
        )
        state.findings += differences(locked, done)
        raise Stop(Verdict.DID_NOT_RUN)
    return done


def _about_installs(state: State, locked: Lock, done: Run) -> tuple[Finding, ...]:
    then, now = locked.record[installs.Installs], done.record[installs.Installs]
    return (
        *installs.memory_differs(then),
        *installs.unsatisfied(
            then,
            now,
            locked.record[packages.Packages],
            locked.record[interpreters.Interpreter].version,
        ),
        *installs.not_made(
            locked.record[data.Data], done.record[data.Data], now, places_of(state.options, locked)
        ),
    )


def _scrub(done: Run, secrets: dict[str, str]) -> None:
    for cell in done.execution.node.cells if secrets else ():
        if "outputs" in cell:
            cell["outputs"] = substituted.scrubbed(cell["outputs"], secrets)


def _tell_substitutions(state: State, done: Run, ground: Ground) -> None:
    events, cell_of = done.execution.events, done.execution.cell_of
    state.findings += substituted.of_paths(ground, state.options.maps)
    state.findings += substituted.of_modules(events, cell_of, done.execution.raised)
    state.substitutions = substituted.as_json(events, cell_of, ground)


def _kernel_environment(locked: Lock, python: Path) -> dict[str, str]:
    """Give the kernel the recorded variables that decide numbers, and none of this machine's."""
    recorded = locked.record[interpreters.Interpreter].environ
    environment = execute.kernel_environment(python, hash_seed=None, clean=True)
    for name in interpreters.REPLAYED:
        environment.pop(name, None)
        # a value with a path in it was recorded without the path, and so cannot be set again
        if name in recorded and "<path>" not in recorded[name]:
            environment[name] = recorded[name]
    return environment


def _may_raise(locked: Lock, source: NotebookFile, *, all_cells: bool) -> frozenset[int]:
    """Cells may raise where they did so in the recorded run, or say themselves that they may.

    Where a living session went on after an error, the re-run goes on too; see `unfinished`.
    """
    recorded = {c.index for c in locked.record[notebook.Notebook].cells if c.raised is not None}
    own = {
        index
        for index, cell in enumerate(source.node.cells)
        if all_cells or notebooks.is_tagged(cell)
    }
    return frozenset(recorded | own)


@dataclass(frozen=True)
class Unfinished:
    """Cells that did not run to their end in a living session: a clean run of all cells would stop
    at those that *raised*, and go on where those that were *interrupted* did not.
    """

    raised: frozenset[int] = frozenset()
    interrupted: frozenset[int] = frozenset()


def unfinished(locked: Lock, cells: Sequence[Mapping[str, Any]]) -> Unfinished:
    """Return those that the lock names; of an older one those that *cells*, the reference, tell."""
    facts = locked.record[session.Session]
    if not facts.is_live:
        return Unfinished()
    ended = {c.index: c.raised for c in locked.record[notebook.Notebook].cells if not c.ours}
    stopped = {i for i, error in ended.items() if error == session.INTERRUPTED}
    allowed = {i for i, cell in enumerate(cells) if notebooks.is_tagged(cell)}
    raised = {i for i, error in ended.items() if error is not None} - stopped - allowed
    return Unfinished(
        frozenset({*raised, *facts.raised}), frozenset({*stopped, *facts.interrupted})
    )


def without_later_outputs(
    locked: Lock, old: Sequence[Mapping[str, Any]], new: Sequence[dict[str, Any]]
) -> None:
    """Take out of the *new* run of the cell that asked for the lock what came after that.

    The lock holds what there was until then, so there is nothing to hold the rest against.
    """
    for index in locked.record[session.Session].captured_within:
        if index < len(old) and index < len(new) and old[index]["source"] == new[index]["source"]:
            outputs = new[index].get("outputs", ())
            new[index]["outputs"] = _first_of(outputs, old[index].get("outputs", ()))


def _first_of(outputs: Sequence[Any], known: Sequence[Any]) -> list[Any]:
    """Return as many of *outputs* as are *known*: of streams as many lines, of others as many."""
    lines: Counter[str] = Counter()
    shown = 0
    for output in known:
        if output.get("output_type") == "stream":
            lines[str(output.get("name"))] += len(_lines(output))
        else:
            shown += 1
    kept: list[Any] = []
    for output in outputs:
        if output.get("output_type") != "stream":
            kept += [output] if shown > 0 else []
            shown -= 1
            continue
        name = str(output.get("name"))
        first = _lines(output)[: lines[name]]
        lines[name] -= len(first)
        if first:
            kept.append({**output, "text": "".join(first)})
    return kept


def _lines(output: Mapping[str, Any]) -> list[str]:
    return str(output.get("text") or "").splitlines(keepends=True)


def _wanted(locked: Lock) -> tuple[Wanted, ...]:
    known = len(locked.record[notebook.Notebook].cells)
    return tuple(
        Wanted(m.name, m.expression, m.cell if m.cell is not None and m.cell < known else None)
        for m in locked.record[metrics.Metrics].metrics
        if m.expression
    )


def differences(locked: Lock, done: Run) -> list[Finding]:
    """Hold every family of the second run against the first; the notebook was held at its step.

    Of a run that ended early only what was told at its start can be held.
    """
    own = (notebook.Notebook, metrics.Metrics)
    early = (interpreters.Interpreter, packages.Packages)
    ended_early = done.execution.failure is not None
    found = [
        finding
        for family in FAMILIES
        if family.kind not in own
        and (
            family.kind in early or not ended_early or (done.told_all and family.kind != data.Data)
        )
        for finding in family.compare(locked.record[family.kind], done.record[family.kind])
    ]
    return substituted.without_platform_packages(found)
