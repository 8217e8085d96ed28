"""The numbered steps from a lock to a verdict."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import blame, compare, execute, lock, notebooks, scratch
from reprolock.digest import sha256_bytes
from reprolock.errors import LockError, NotebookError, RebuildError, ReprolockError
from reprolock.facts import (
    FAMILIES,
    Record,
    data,
    hardware,
    metrics,
    notebook,
    packages,
    randomness,
)
from reprolock.facts import interpreter as interpreters
from reprolock.finding import Finding, Severity, error, note, warning
from reprolock.judge import Evidence, judge
from reprolock.rebuild import Environment, rebuild
from reprolock.result import MetricResult, Result, Step, StepStatus, Tolerance, Verdict
from reprolock.run import Plan, Run, Say, Wanted, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reprolock.execute import Limits
    from reprolock.lock import Lock
    from reprolock.notebooks import NotebookFile

STEPS = ("read", "source", "data", "rebuild", "execute", "compare", "judge")
# Where the CPU is of another class, last digits may move; this is far below what any metric means.
_OTHER_CPU = Tolerance(rel=1e-6, source="default for another class of CPU")
_EXACT = Tolerance(abs=0.0, source="default")
_MUST_EQUAL = (
    "notebook.",
    "data.content-changed",
    "randomness.seed-changed",
    "randomness.newly-unseeded",
)


@dataclass(frozen=True)
class Options:
    """*environment*: None to rebuild, ``current`` or the path of an interpreter to verify in;
    *tolerances* by metric, as the user stated them; *rtol* and *atol* for numbers in outputs and
    for metrics that have no tolerance of their own.
    """

    lock: Path
    limits: Limits
    environment: str | None = None
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    rtol: float | None = None
    atol: float | None = None
    offline: bool = False
    allow_errors: bool = False
    allow_missing: tuple[str, ...] = ()


@dataclass
class _State:
    """What the steps have found so far."""

    options: Options
    say: Say
    begun: float
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    locked: Lock | None = None
    notebook: NotebookFile | None = None
    environment: Environment | None = None


class _Stop(Exception):  # noqa: N818  it carries a verdict and is no error
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.value)
        self.verdict = verdict


def verify(options: Options, say: Say) -> Result:
    """Rebuild, re-execute, compare and judge. Never raises for what a lock or a notebook does."""
    state = _State(options, say, time.monotonic())
    try:
        return _steps(state)
    except _Stop as stop:
        return _result(state, stop.verdict)


def _steps(state: _State) -> Result:
    with _step(state, "read"):
        state.locked = locked = _read(state)
    with _step(state, "source"):
        state.notebook = source = _source(state, locked)
        reference = _reference(state, locked, source)
    with _step(state, "data"):
        _data(state, locked)
    with _step(state, "rebuild", skip=state.options.environment is not None):
        python = _environment(state, locked)
    with scratch.copy_of(source.folder, **_files(locked)) as folder:
        with _step(state, "execute"):
            done = _execute(state, locked, source, python, folder)
        with _step(state, "compare"):
            evidence, outputs = _compare(state, locked, reference, done, folder)
    with _step(state, "judge"):
        verdict = judge(evidence)
        if verdict is Verdict.INCONCLUSIVE:
            state.findings.append(_undecided(evidence))
    return _result(state, verdict, evidence.metrics, outputs)


@contextmanager
def _step(state: _State, name: str, *, skip: bool = False) -> Iterator[None]:
    """Time a step and say how it ended; a ReprolockError in it becomes a finding and a verdict."""
    number = STEPS.index(name)
    state.say(f"step:{name}", number, len(STEPS))
    begun = time.monotonic()
    status = StepStatus.FAILED
    try:
        yield
        status = StepStatus.SKIPPED if skip else StepStatus.PASSED
    except ReprolockError as exc:
        code, verdict = _meaning(name, exc)
        state.findings.append(
            error(
                code,
                "; ".join([exc.message, *exc.causes]),
                subject=str(state.options.lock),
                hint=exc.hint,
            )
        )
        raise _Stop(verdict) from exc
    finally:
        state.steps.append(Step(name, status, time.monotonic() - begun))


def _meaning(step: str, exc: ReprolockError) -> tuple[str, Verdict]:
    if isinstance(exc, LockError):
        return "lock.unreadable", Verdict.UNVERIFIABLE
    if isinstance(exc, NotebookError):
        return "notebook.unreadable", Verdict.UNVERIFIABLE
    if isinstance(exc, RebuildError) or step == "rebuild":
        return "rebuild.failed", Verdict.COULD_NOT_REBUILD
    return f"run.{step}-failed", Verdict.DID_NOT_RUN


def _read(state: _State) -> Lock:
    locked = lock.read(state.options.lock.absolute())
    if not locked.intact:
        state.findings.append(
            error(
                "lock.digest-broken",
                "the lock was changed after it was written: its digest does not hold",
                subject=str(state.options.lock),
                expected=locked.digest,
                observed=locked.actual,
                hint="only [tool.reprolock.policy] may be edited; capture the notebook again",
            )
        )
        raise _Stop(Verdict.UNVERIFIABLE)
    return locked


def _source(state: _State, locked: Lock) -> NotebookFile:
    path = _beside(locked, locked.record[notebook.Notebook].path)
    source = notebooks.load(path)
    facts = notebook.parse(path.name, list(source.node.cells), {}, {})
    state.findings += notebook.compare(locked.record[notebook.Notebook], facts)
    return source


def _beside(locked: Lock, name: str) -> Path:
    """Return the path of a file that the lock names. Raises LockError if it leaves the folder."""
    if Path(name).name != name or name in ("", ".", ".."):
        raise LockError(f"the lock names {name!r}: wanted a file in the lock's own folder")
    return locked.path.parent / name


def _reference(state: _State, locked: Lock, source: NotebookFile) -> NotebookFile:
    facts = locked.record[notebook.Notebook]
    if facts.reference is None:
        raise LockError("the lock names no reference", hint="capture the notebook again")
    path = _beside(locked, facts.reference)
    reference = source if path == source.path else notebooks.load(path)
    digests = [notebooks.outputs_digest(cell.get("outputs", ())) for cell in reference.node.cells]
    if digests != [cell.outputs_sha256 for cell in facts.cells]:
        same = path == source.path
        state.findings.append(
            error(
                "notebook.reference-changed",
                f"the outputs stored in {path.name} are not those of the recorded run",
                subject=path.name,
                hint="put the captured file back, or capture again"
                + (
                    " (without --inplace the outputs are kept in a file of their own)"
                    if same
                    else ""
                ),
            )
        )
        raise _Stop(Verdict.UNVERIFIABLE)
    return replace(reference, node=_copy(reference.node))


def _copy(node: Any) -> Any:
    import copy

    return copy.deepcopy(node)


def _data(state: _State, locked: Lock) -> None:
    facts, places = locked.record[data.Data], data.Places(locked.path.parent)
    found = data.check_inputs(facts, places)
    state.findings += found
    if any(f.code in ("data.missing", "data.unreadable") for f in found):
        raise _Stop(Verdict.COULD_NOT_REBUILD)


def _environment(state: _State, locked: Lock) -> Path:
    options = state.options
    if options.environment is not None:
        return Path(sys.executable if options.environment == "current" else options.environment)
    environment = rebuild(
        locked.record[packages.Packages],
        locked.record[interpreters.Interpreter],
        offline=options.offline,
        progress=state.say,
        allow_missing=options.allow_missing,
    )
    state.environment = environment
    state.findings += environment.findings
    return environment.python


def _files(locked: Lock) -> dict[str, list[Path]]:
    facts, places = locked.record[data.Data], data.Places(locked.path.parent)

    def paths(role: str) -> list[Path]:
        return [path for file in facts.by_role(role) if (path := places.path(file.name))]

    return {"inputs": paths(data.INPUT), "outputs": paths(data.OUTPUT)}


def _execute(state: _State, locked: Lock, source: NotebookFile, python: Path, folder: Path) -> Run:
    kernel = execute.kernel_from_python(python)
    plan = Plan(
        notebook=source,
        kernel=kernel,
        folder=folder,
        environment=_kernel_environment(locked, kernel.python),
        limits=state.options.limits,
        may_raise=_may_raise(locked, source, all_cells=state.options.allow_errors),
        wanted=_wanted(locked),
        identify=False,
        hash_installed=state.options.environment is not None,  # a rebuilt one was checked already
    )
    done = run(plan, state.say)
    state.findings += done.findings
    failure = done.execution.failure
    if failure is not None:
        state.findings += _differences(locked, done)
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
        raise _Stop(Verdict.DID_NOT_RUN)
    return done


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
    """Cells may raise where they did so in the recorded run, or say themselves that they may."""
    recorded = {c.index for c in locked.record[notebook.Notebook].cells if c.raised is not None}
    own = {
        index
        for index, cell in enumerate(source.node.cells)
        if all_cells or notebooks.RAISES in cell.get("metadata", {}).get("tags", ())
    }
    return frozenset(recorded | own)


def _wanted(locked: Lock) -> tuple[Wanted, ...]:
    known = len(locked.record[notebook.Notebook].cells)
    return tuple(
        Wanted(m.name, m.expression, m.cell if m.cell is not None and m.cell < known else None)
        for m in locked.record[metrics.Metrics].metrics
        if m.expression
    )


def _differences(locked: Lock, done: Run) -> list[Finding]:
    """Hold every family of the second run against the first; the notebook was held at its step."""
    own = (notebook.Notebook, metrics.Metrics)
    return [
        finding
        for family in FAMILIES
        if family.kind not in own
        for finding in family.compare(locked.record[family.kind], done.record[family.kind])
    ]


def _compare(
    state: _State, locked: Lock, reference: NotebookFile, done: Run, folder: Path
) -> tuple[Evidence, Any]:
    options = _compare_options(state, locked, folder)
    differences = _only_new(state.findings, _differences(locked, done))
    state.findings += [_looked_into(f, locked, done, options) for f in differences]
    unseeded = _unseeded_from(locked.record, done.record)
    results, about_metrics = _metrics(state, locked, done, unseeded)
    outputs = compare.compare_cells(reference.node.cells, done.execution.node.cells, options)
    state.findings += [*about_metrics, *(f for cell in outputs.cells for f in cell.findings)]
    state.findings += _normalised(outputs)
    if unseeded is not None:
        state.findings += randomness.weaknesses(locked.record[randomness.Randomness])
    evidence = Evidence(
        metrics=results,
        compared=outputs.compared,
        different=tuple(c.index for c in outputs.different),
        inexact=tuple(c.index for c in outputs.having(compare.CellStatus.WITHIN)),
        excused=tuple(c.index for c in outputs.excused),
        unseeded_from=unseeded,
        must_equal=sum(
            f.code.startswith(_MUST_EQUAL) and f.severity is Severity.ERROR for f in state.findings
        ),
        files_differ=any(f.code == "data.output-differs" for f in state.findings),
        files_inexact=any(f.code == "data.output-bytes-differ" for f in state.findings),
    )
    return evidence, outputs


def _only_new(known: list[Finding], found: list[Finding]) -> list[Finding]:
    """A changed input is seen before the run and in it; once is enough."""
    seen = {(f.code, f.subject) for f in known}
    return [f for f in found if (f.code, f.subject) not in seen]


def _looked_into(
    finding: Finding, locked: Lock, done: Run, options: compare.CompareOptions
) -> Finding:
    """Weigh a written file with other bytes by its content, where both are there to be read."""
    if finding.code != "data.output-bytes-differ":
        return finding
    old, new = _contents(finding, locked, done)
    outcome = compare.compare_written(old, new, options) if old is not None else None
    if outcome is None or outcome.degree is compare.Degree.WITHIN:
        return finding
    if outcome.degree is compare.Degree.DIFFERENT:
        message = f"{finding.subject}, written by cell {finding.cell}: {outcome.message}"
        return replace(
            finding, code="data.output-differs", severity=Severity.ERROR, message=message
        )
    message = f"{finding.subject} is the same but for {', '.join(sorted(outcome.normalisers))}"
    return replace(finding, code="data.output-normalised", severity=Severity.NOTE, message=message)


def _contents(finding: Finding, locked: Lock, done: Run) -> tuple[bytes | None, bytes]:
    """Return what the recorded run wrote, where it still lies beside the notebook, and the new."""
    name = str(finding.subject)
    new = Path(done.paths[name]).read_bytes()
    path = data.Places(locked.path.parent).path(name)
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
    state: _State, locked: Lock, done: Run, unseeded: int | None
) -> tuple[tuple[MetricResult, ...], tuple[Finding, ...]]:
    expected, observed = locked.record[metrics.Metrics], done.record[metrics.Metrics]
    stated = {**locked.policy.tolerances, **state.options.tolerances}
    unknown = sorted(set(state.options.tolerances) - {m.name for m in expected.metrics})
    if unknown:
        state.findings.append(
            warning(
                "metrics.unknown-tolerance",
                f"no metric is called {', '.join(unknown)}",
                hint="the lock has: " + (", ".join(m.name for m in expected.metrics) or "none"),
            )
        )
    lucky = frozenset(
        m.name
        for m in expected.metrics
        if unseeded is not None and (m.cell is None or m.cell >= unseeded)
    )
    return metrics.compare(expected, observed, stated, _default(state, locked, done), lucky)


def _default(state: _State, locked: Lock, done: Run) -> Tolerance:
    options = state.options
    if options.rtol is not None or options.atol is not None:
        return Tolerance(abs=options.atol, rel=options.rtol, source="user")
    then, now = locked.record[hardware.Hardware], done.record[hardware.Hardware]
    return _EXACT if then.numerics_class == now.numerics_class else _OTHER_CPU


def _compare_options(state: _State, locked: Lock, folder: Path) -> compare.CompareOptions:
    here = str(locked.path.parent)
    return compare.CompareOptions(
        rtol=state.options.rtol or 0.0,
        atol=state.options.atol or 0.0,
        excused={excuse.cell: excuse.reason for excuse in locked.policy.excused},
        disabled=frozenset(locked.policy.disabled),
        extra_paths=((str(folder), "<folder>"), (here, "<folder>")),
    )


def _undecided(evidence: Evidence) -> Finding:
    if evidence.unseeded_from is None:
        return warning(
            "outputs.nothing-compared",
            "the recorded run left no output and no metric to compare",
            hint="name a metric: reprolock capture --metric NAME=EXPRESSION",
        )
    names = [m.name for m in evidence.metrics if m.status.value == "undecided"]
    what = f"the metric {', '.join(names)}" if names else "what differs"
    return warning(
        "randomness.undecided",
        f"{what} follows from random numbers drawn without a seed (cell {evidence.unseeded_from}), "
        "and no tolerance says how far it may move",
        cell=evidence.unseeded_from,
        hint="seed the stream and capture again, or state --tolerance NAME=VALUE",
    )


def _result(
    state: _State, verdict: Verdict, results: tuple[MetricResult, ...] = (), outputs: Any = None
) -> Result:
    findings = tuple(_with_ids(state))
    different = [(c.index, c.first_output) for c in outputs.different] if outputs else []
    divergence = blame.first_divergence(different, results)
    bad = verdict.exit_code != 0
    return Result(
        command="verify",
        verdict=verdict,
        exit_code=verdict.exit_code,
        seconds=time.monotonic() - state.begun,
        lock=_lock_json(state),
        notebook=_notebook_json(state),
        steps=tuple(state.steps),
        metrics=results,
        findings=findings,
        first_divergence=divergence,
        causes=blame.causes(findings, divergence) if bad else (),
        environment=_environment_json(state),
    )


def _with_ids(state: _State) -> Iterator[Finding]:
    """Add the cell's id to each finding that names a cell."""
    facts = state.locked.record[notebook.Notebook] if state.locked else None
    for finding in state.findings:
        known = (
            facts.cell_id(finding.cell) if facts and finding.cell_id is None else finding.cell_id
        )
        yield replace(finding, cell_id=known)


def _lock_json(state: _State) -> dict[str, Any]:
    path = state.options.lock
    try:
        sha256 = state.locked.sha256 if state.locked else sha256_bytes(path.read_bytes())
    except OSError:
        return {"path": str(path)}
    return {"path": str(path), "sha256": sha256}


def _notebook_json(state: _State) -> dict[str, Any] | None:
    if state.notebook is None:
        return None
    return {"path": state.notebook.path.name, "sha256": state.notebook.sha256}


def _environment_json(state: _State) -> dict[str, Any] | None:
    made = state.environment
    if made is not None:
        return {
            "path": str(made.root),
            "cached": made.cached,
            "substitutions": list(made.substitutions),
        }
    if state.options.environment is not None:
        return {"path": state.options.environment, "cached": False, "substitutions": []}
    return None


__all__ = ["STEPS", "Options", "verify"]
