"""The numbered steps from a lock to a verdict."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from reprolock import elsewhere, scratch
from reprolock.judge import judge
from reprolock.result import Verdict
from reprolock.verify.answer import result_of
from reprolock.verify.hold import hold_against, undecided
from reprolock.verify.prepare import (
    check_data,
    files_of,
    python_for,
    read_lock,
    reference_of,
    source_of,
    unpacked,
    uploads_of,
    wanted_ground,
)
from reprolock.verify.rerun import execute_again
from reprolock.verify.state import STEPS, Options, State, Stop, step

if TYPE_CHECKING:
    from reprolock.result import Result
    from reprolock.run import Say

__all__ = ["STEPS", "Options", "verify"]


def verify(options: Options, say: Say) -> Result:
    """Rebuild, re-execute, compare and judge. Never raises for what a lock or a notebook does."""
    state = State(options, say, time.monotonic())
    with ExitStack() as stack:
        try:
            return _steps(state, stack)
        except Stop as stop:
            return result_of(state, stop.verdict)


def _steps(state: State, whole: ExitStack) -> Result:
    with step(state, "read"):
        unpacked(state, whole)
        state.locked = locked = read_lock(state)
    with step(state, "source"):
        state.notebook = source = source_of(state, locked)
        reference = reference_of(state, locked, source)
    with step(state, "data"):
        check_data(state, locked)
    with step(state, "rebuild", skip=state.options.environment is not None):
        python = python_for(state, locked)
    with ExitStack() as stack:
        with step(state, "execute"):
            folder = stack.enter_context(scratch.copy_of(source.folder, **files_of(locked)))
            wanted = wanted_ground(state.options, locked)
            ground = stack.enter_context(elsewhere.prepare(folder, wanted, python))
            uploads = stack.enter_context(uploads_of(state.options, locked))
            done = execute_again(state, locked, source, python, ground, uploads)
        with step(state, "compare"):
            evidence, outputs = hold_against(state, locked, reference, done, ground)
    with step(state, "judge"):
        verdict = judge(evidence)
        if verdict is Verdict.INCONCLUSIVE:
            state.findings.append(undecided(evidence, locked))
    return result_of(state, verdict, evidence.metrics, outputs)
