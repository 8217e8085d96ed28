"""What was found becomes the result."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reprolock import blame
from reprolock.digest import sha256_file
from reprolock.facts import (
    notebook,
)
from reprolock.rebuild import as_json
from reprolock.result import MetricResult, Result, Verdict
from reprolock.verify.substituted import scrubbed, scrubbed_finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reprolock.finding import Finding
    from reprolock.verify.state import State


def result_of(
    state: State, verdict: Verdict, results: tuple[MetricResult, ...] = (), outputs: Any = None
) -> Result:
    secrets = state.options.secret_values
    findings = tuple(scrubbed_finding(found, secrets) for found in _with_ids(state))
    results = tuple(
        replace(m, expected=scrubbed(m.expected, secrets), observed=scrubbed(m.observed, secrets))
        for m in results
    )
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


def _with_ids(state: State) -> Iterator[Finding]:
    """Add the cell's id to each finding that names a cell."""
    facts = state.locked.record[notebook.Notebook] if state.locked else None
    for finding in state.findings:
        known = (
            facts.cell_id(finding.cell) if facts and finding.cell_id is None else finding.cell_id
        )
        yield replace(finding, cell_id=known)


def _lock_json(state: State) -> dict[str, Any]:
    path = state.options.lock
    if state.locked is None and not path.is_file():
        return {"path": str(path)}
    try:
        sha256 = state.locked.sha256 if state.locked else sha256_file(path)
    except OSError:
        return {"path": str(path)}
    return {"path": str(path), "sha256": sha256}


def _notebook_json(state: State) -> dict[str, Any] | None:
    if state.notebook is None:
        return None
    return {"path": state.notebook.path.name, "sha256": state.notebook.sha256}


def _environment_json(state: State) -> dict[str, Any] | None:
    made = state.environment
    if made is not None:
        about = as_json(made)
    elif state.options.environment is not None:
        about = {"path": state.options.environment, "cached": False, "substitutions": []}
    else:
        return None
    return {**about, "substitutions": [*about["substitutions"], *state.substitutions]}
