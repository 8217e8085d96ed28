"""Locks looked at without running anything: ``show`` and ``diff``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from reprolock import lock
from reprolock.export import unpack
from reprolock.facts import FAMILIES, metrics, notebook, session
from reprolock.finding import Finding, error, warning
from reprolock.result import Result, Tolerance, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from reprolock.lock import Lock

_EXACT = Tolerance(abs=0.0)


def show(path: Path) -> Result:
    """Return the lock's record as plain data. Raises LockError where it cannot be read."""
    begun = time.monotonic()
    locked = _read(path)
    record: dict[str, Any] = {f.name: f.to_toml(locked.record[f.kind]) for f in FAMILIES}
    record["packages"]["pylock"] = lock.pylock_packages(locked.record)
    return Result(
        command="show",
        exit_code=0 if locked.intact else Verdict.UNVERIFIABLE.exit_code,
        seconds=time.monotonic() - begun,
        lock=_about(path, locked),
        findings=(
            *_broken(path, locked),
            *session.weaknesses(locked.record[session.Session]),
        ),
        extra={"record": record},
    )


def diff(first: Path, second: Path) -> Result:
    """Compare two locks family by family. Raises LockError where one cannot be read."""
    begun = time.monotonic()
    old, new = _read(first), _read(second)
    results, about_metrics = metrics.compare(
        old.record[metrics.Metrics], new.record[metrics.Metrics], {}, _EXACT, frozenset()
    )
    findings = [*_broken(first, old), *_broken(second, new)]
    for family in FAMILIES:
        if family.kind is not metrics.Metrics:
            findings += family.compare(old.record[family.kind], new.record[family.kind])
    findings += [*_outputs(old, new), *about_metrics]
    differ = bool(findings) or any(m.status.value != "exact" for m in results)
    return Result(
        command="diff",
        exit_code=int(differ),
        seconds=time.monotonic() - begun,
        lock=_about(first, old),
        metrics=results,
        findings=tuple(findings),
        extra={"locks": [str(first), str(second)]},
    )


def _read(path: Path) -> Lock:
    """Read the lock at *path*, or that in the bundle there."""
    with unpack.lock_path(path, only_lock=True) as source:
        return source.read()


def _about(path: Path, locked: Lock) -> dict[str, Any]:
    return {"path": str(path), "sha256": locked.sha256, "digest": locked.digest}


def _broken(path: Path, locked: Lock) -> tuple[Finding, ...]:
    if locked.intact:
        return ()
    return (
        error(
            "lock.digest-broken",
            f"{path} was changed after it was written: its digest does not hold",
            subject=str(path),
            expected=locked.digest,
            observed=locked.actual,
            hint="only [tool.reprolock.policy] may be edited",
        ),
    )


def _outputs(old: Lock, new: Lock) -> list[Finding]:
    """Name the cells whose source is the same and whose outputs are not."""
    cells = zip(
        old.record[notebook.Notebook].cells, new.record[notebook.Notebook].cells, strict=False
    )
    return [
        warning(
            "outputs.digest-differs",
            f"cell {a.index} has other outputs",
            subject="outputs",
            cell=a.index,
            cell_id=a.id,
            expected=a.outputs_sha256,
            observed=b.outputs_sha256,
        )
        for a, b in cells
        if a.source_sha256 == b.source_sha256 and a.outputs_sha256 != b.outputs_sha256
    ]
