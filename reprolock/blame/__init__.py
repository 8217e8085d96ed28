"""First divergence and ranked causes, from findings alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reprolock.result import Cause, MetricResult, MetricStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reprolock.finding import Finding

# From what certainly changes results to what seldom does.
_RANK = (
    "run.raised",
    "notebook.other-cells-run",
    "notebook.source-changed",
    "notebook.cells-changed",
    "data.content-changed",
    "data.missing",
    "data.content-unknown",
    "randomness.seed-changed",
    "randomness.newly-unseeded",
    "randomness.unseeded",
    "data.not-checked",
    "session.cells-interrupted",
    "session.cells-raised",
    "session.cells-edited",
    "session.cells-deleted",
    "session.foreign-names",
    "session.cells-out-of-order",
    "session.cells-run-again",
    "session.packages-differ",
    "session.joined",
    "session.before-recording",
    "data.new-input",
    "packages.version-changed",
    "packages.files-changed",
    "packages.missing",
    "interpreter.version-changed",
    "interpreter.patch-substituted",
    "interpreter.environment-changed",
    "hardware.gpu-changed",
    "hardware.cpu-class-changed",
    "system.libc-changed",
    "system.library-changed",
    "hardware.cores-changed",
    "randomness.hash-order",
)
_OFF = (MetricStatus.OUTSIDE, MetricStatus.MISSING, MetricStatus.FAILED, MetricStatus.UNDECIDED)


def first_divergence(
    different: Iterable[tuple[int, int | None]], metrics: Iterable[MetricResult]
) -> dict[str, Any] | None:
    """Return the first cell that differs and its output. *different* gives (cell, output) pairs."""
    found = list(different)
    found += [(m.cell, None) for m in metrics if m.status in _OFF and m.cell is not None]
    if not found:
        return None
    cell, output = min(found, key=lambda pair: (pair[0], pair[1] is None, pair[1] or 0))
    return {"cell": cell, "output": output}


def causes(
    findings: Iterable[Finding],
    divergence: dict[str, Any] | None,
    imported: frozenset[str] = frozenset(),
) -> tuple[Cause, ...]:
    """Rank what can have caused the divergence.

    What was touched after the first divergence cannot have caused it. *imported* are the
    distributions that the notebook's own code imports: they stand before their dependencies.
    """
    limit = divergence["cell"] if divergence else None
    likely = [
        f
        for f in findings
        if f.code in _RANK and (f.cell is None or limit is None or f.cell <= limit)
    ]
    likely.sort(key=lambda f: (_RANK.index(f.code), f.subject not in imported, f.subject or ""))
    seen: set[tuple[str, str | None]] = set()
    ranked: list[Cause] = []
    for finding in likely:
        if (finding.family, finding.subject) not in seen:
            seen.add((finding.family, finding.subject))
            ranked.append(
                Cause(
                    finding.family,
                    finding.subject or finding.family,
                    len(ranked) + 1,
                    finding.message,
                )
            )
    return tuple(ranked)
