"""What the steps share: options, what was found so far, and how a step ends."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reprolock.errors import (
    BundleError,
    LockError,
    NotebookError,
    RebuildError,
    ReprolockError,
    UnsafeBundleError,
    UsageError,
)
from reprolock.finding import Finding, error
from reprolock.rebuild.how import How
from reprolock.result import Step, StepStatus, Tolerance, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reprolock.execute import Limits
    from reprolock.export.unpack import Bundle
    from reprolock.lock import Lock
    from reprolock.notebooks import NotebookFile
    from reprolock.rebuild import Environment
    from reprolock.run import Say

STEPS = ("read", "source", "data", "rebuild", "execute", "compare", "judge")


@dataclass(frozen=True)
class Options:
    """*environment*: None to rebuild, ``current`` or the path of an interpreter to verify in;
    *tolerances* by metric, as the user stated them; *rtol* and *atol* for numbers in outputs and
    for metrics that have no tolerance of their own; *maps*: prefix of the recorded machine ->
    folder here; *how*: the environment is to be rebuilt; *secrets*: name -> environment variable
    that holds it.
    """

    lock: Path
    limits: Limits
    environment: str | None = None
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    rtol: float | None = None
    atol: float | None = None
    allow_errors: bool = False
    how: How = field(default_factory=How)
    maps: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def secret_values(self) -> dict[str, str]:
        return {name: os.environ.get(variable, "") for name, variable in self.secrets.items()}


@dataclass
class State:
    """What the steps have found so far. *source*: the lock, out of a bundle where it was in one."""

    options: Options
    say: Say
    begun: float
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    locked: Lock | None = None
    notebook: NotebookFile | None = None
    environment: Environment | None = None
    substitutions: tuple[dict[str, Any], ...] = ()
    source: Bundle | None = None


class Stop(Exception):  # noqa: N818  it carries a verdict and is no error
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.value)
        self.verdict = verdict


@contextmanager
def step(state: State, name: str, *, skip: bool = False) -> Iterator[None]:
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
        raise Stop(verdict) from exc
    finally:
        state.steps.append(Step(name, status, time.monotonic() - begun))


def _meaning(step: str, exc: ReprolockError) -> tuple[str, Verdict]:
    if isinstance(exc, BundleError):
        unsafe = isinstance(exc, UnsafeBundleError)
        return "bundle.unsafe" if unsafe else "bundle.unreadable", Verdict.UNVERIFIABLE
    if isinstance(exc, LockError):
        return "lock.unreadable", Verdict.UNVERIFIABLE
    if isinstance(exc, NotebookError):
        return "notebook.unreadable", Verdict.UNVERIFIABLE
    if isinstance(exc, UsageError):
        return "usage.wrong", Verdict.UNVERIFIABLE
    if isinstance(exc, RebuildError) or step == "rebuild":
        return "rebuild.failed", Verdict.COULD_NOT_REBUILD
    return f"run.{step}-failed", Verdict.DID_NOT_RUN
