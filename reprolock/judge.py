"""From what was compared to a verdict. A pure function: the same evidence, the same verdict."""

from __future__ import annotations

from dataclasses import dataclass

from reprolock.result import MetricResult, MetricStatus, Verdict

_OFF = (MetricStatus.OUTSIDE, MetricStatus.MISSING, MetricStatus.FAILED)


@dataclass(frozen=True)
class Evidence:
    """What a re-run showed.

    *different*, *inexact* and *excused* are indexes of cells: outputs that differ, outputs equal
    within a numeric tolerance only, differing outputs that the policy excuses. *compared* counts
    the cells with outputs that were held against the reference. *unseeded_from* is the first
    cell that drew without a seed, in either run. *must_equal* counts the findings on what has to be
    equal (notebook, inputs, seeds); *in_doubt* says that in the recorded run a version may have
    computed which the lock has not; *files_differ* says that a written file has other content,
    *files_inexact* other bytes of a kind that cannot be looked into.
    """

    ran: bool = True
    metrics: tuple[MetricResult, ...] = ()
    compared: int = 0
    different: tuple[int, ...] = ()
    inexact: tuple[int, ...] = ()
    excused: tuple[int, ...] = ()
    unseeded_from: int | None = None
    must_equal: int = 0
    in_doubt: bool = False
    files_differ: bool = False
    files_inexact: bool = False


def judge(evidence: Evidence) -> Verdict:  # noqa: PLR0911  one return for each rule
    """Return the verdict. Where two apply, the one that claims less stands."""
    statuses = {metric.status for metric in evidence.metrics}
    if not evidence.ran:
        return Verdict.DID_NOT_RUN
    if statuses & set(_OFF):
        return Verdict.DIVERGED
    if MetricStatus.UNDECIDED in statuses:
        return Verdict.INCONCLUSIVE
    if evidence.different and not evidence.metrics:
        return _without_metrics(evidence)
    if not evidence.metrics and not evidence.compared:
        return Verdict.INCONCLUSIVE
    if evidence.different or evidence.excused or evidence.must_equal:
        return Verdict.PARTIAL
    if evidence.files_differ or evidence.in_doubt:
        return Verdict.PARTIAL
    exact = statuses <= {MetricStatus.EXACT} and not evidence.inexact and not evidence.files_inexact
    return Verdict.BIT_EXACT if exact else Verdict.REPRODUCED_WITHIN_TOLERANCE


def _without_metrics(evidence: Evidence) -> Verdict:
    """With no metric named or found, the outputs are all that the notebook claims."""
    first = evidence.unseeded_from
    luck = first is not None and all(cell >= first for cell in evidence.different)
    return Verdict.INCONCLUSIVE if luck and not evidence.must_equal else Verdict.DIVERGED
