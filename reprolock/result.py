"""The result of a command. Every report is drawn from its JSON alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from reprolock.digest import plain

if TYPE_CHECKING:
    from reprolock.finding import Finding

SCHEMA_VERSION = 1


class Verdict(str, Enum):
    BIT_EXACT = "BIT_EXACT"
    REPRODUCED_WITHIN_TOLERANCE = "REPRODUCED_WITHIN_TOLERANCE"
    PARTIAL = "PARTIAL"
    DIVERGED = "DIVERGED"
    DID_NOT_RUN = "DID_NOT_RUN"
    COULD_NOT_REBUILD = "COULD_NOT_REBUILD"
    INCONCLUSIVE = "INCONCLUSIVE"
    UNVERIFIABLE = "UNVERIFIABLE"

    @property
    def exit_code(self) -> int:
        """0 for the two that say "reproduced", 2 where the evidence does not decide, else 1."""
        if self in (Verdict.BIT_EXACT, Verdict.REPRODUCED_WITHIN_TOLERANCE):
            return 0
        return 2 if self in (Verdict.INCONCLUSIVE, Verdict.UNVERIFIABLE) else 1


@dataclass(frozen=True)
class Tolerance:
    """How far a metric may move: ``|observed - expected| <= max(abs, rel * |expected|)``.

    *source* says who set it: ``user``, ``policy`` or ``default``.
    """

    abs: float | None = None
    rel: float | None = None
    source: str = "default"

    def to_json(self) -> dict[str, Any]:
        return {"abs": self.abs, "rel": self.rel, "source": self.source}


class MetricStatus(str, Enum):
    """``EXACT``: equal bit for bit. ``WITHIN``/``OUTSIDE``: of its tolerance.
    ``UNDECIDED``: drawn from an unseeded stream and no tolerance was stated.
    ``MISSING``: the re-run gave no value. ``FAILED``: it could not be evaluated.
    """

    EXACT = "exact"
    WITHIN = "within"
    OUTSIDE = "outside"
    UNDECIDED = "undecided"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True)
class MetricResult:
    name: str
    expected: Any
    observed: Any
    tolerance: Tolerance
    status: MetricStatus
    cell: int | None = None
    cell_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        out = {
            "name": self.name,
            "cell": self.cell,
            "expected": self.expected,
            "observed": self.observed,
            "tolerance": self.tolerance.to_json(),
            "status": self.status.value,
        }
        if self.cell_id is not None:
            out["cell_id"] = self.cell_id
        return out


class StepStatus(str, Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Step:
    name: str
    status: StepStatus
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "status": self.status.value, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Cause:
    family: str
    subject: str
    rank: int
    message: str
    proved: bool = False

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Result:
    """What a command answers. ``to_json`` is the object of ``schemas/result.schema.json``."""

    command: str
    exit_code: int
    seconds: float
    verdict: Verdict | None = None
    lock: dict[str, Any] | None = None
    notebook: dict[str, Any] | None = None
    steps: tuple[Step, ...] = ()
    metrics: tuple[MetricResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    first_divergence: dict[str, Any] | None = None
    causes: tuple[Cause, ...] = ()
    environment: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "command": self.command}
        if self.verdict is not None:
            out["verdict"] = self.verdict.value
        out["exit_code"] = self.exit_code
        for key in ("lock", "notebook"):
            if (value := getattr(self, key)) is not None:
                out[key] = value
        out["steps"] = [s.to_json() for s in self.steps]
        out["metrics"] = [m.to_json() for m in self.metrics]
        out["findings"] = [f.to_json() for f in self.findings]
        if self.verdict is not None:
            out["first_divergence"] = self.first_divergence
            out["causes"] = [c.to_json() for c in self.causes]
        if self.environment is not None:
            out["environment"] = self.environment
        out.update(self.extra)
        out["seconds"] = round(self.seconds, 3)
        strict: dict[str, Any] = plain(out)
        return strict
