"""A notebook becomes a lock."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reprolock import captured, execute, lock, notebooks, standing
from reprolock.digest import sha256_bytes, sha256_text
from reprolock.errors import KernelError, UsageError
from reprolock.facts import Record, notebook
from reprolock.files import cache_dir, exclusive, write_atomic
from reprolock.finding import Finding, error, note
from reprolock.result import Result, Verdict
from reprolock.run import Plan, Run, Say, Wanted, run
from reprolock.told import summary, weaknesses

if TYPE_CHECKING:
    from reprolock.execute import Kernel, Limits
    from reprolock.notebooks import NotebookFile


@dataclass(frozen=True)
class Options:
    """*output*: where the lock goes, beside the notebook by default; *inplace*: put the outputs of
    this run into the notebook itself; *offline*: ask no index;
    *prove*: see ``packages.collect``.
    """

    notebook: Path
    limits: Limits
    python: Path | None = None
    kernel: str | None = None
    output: Path | None = None
    metrics: tuple[Wanted, ...] = ()
    allow_errors: bool = False
    inplace: bool = False
    offline: bool = False
    prove: bool = False


def capture(options: Options, say: Say) -> Result:
    """Run the notebook, record the run and write the lock.

    Raises ReprolockError where nothing could be run or written. A notebook that stops early gives
    the verdict DID_NOT_RUN and no lock; what was seen until then is kept in a journal.
    """
    begun = time.monotonic()
    source = notebooks.load(options.notebook.absolute())
    target = notebooks.lock_path(options.output, source.path)
    _check_metrics(options, source)
    kernel, chosen = choose_kernel(source, options)
    execute.check_folder(source.folder)
    stored = [notebooks.outputs_digest(cell.get("outputs", ())) for cell in source.node.cells]
    with exclusive(
        cache_dir() / "locks" / sha256_text(str(target)), f"another capture into {target}"
    ):
        beside_it = target.parent / notebooks.reference_name_for(target, source.path)
        before = standing.check(target, source.path, None if options.inplace else beside_it)
        done = run(_plan(options, source, kernel), say)
        findings = (
            *chosen,
            *_about(source, target, options),
            *done.findings,
            *weaknesses(done.record),
        )
        if done.execution.failure:
            return _stopped(done, findings, source, kernel, time.monotonic() - begun)
        record, beside = _with_reference(done, options, source, target, stored)
        created = dt.datetime.now(dt.timezone.utc)
        old = beside_it if before.reference == beside_it.name and before.wrote(beside_it) else None
        digest = lock.write(record, target, created=created, beside=beside)
        captured.remember(digest)
        if old is not None and record[notebook.Notebook].reference != old.name:
            old.unlink(missing_ok=True)  # the next capture would not know it for ours
    return Result(
        command="capture",
        exit_code=int(any(f.code == "metrics.failed" for f in findings)),
        seconds=time.monotonic() - begun,
        lock={"path": str(target), "sha256": sha256_bytes(target.read_bytes()), "digest": digest},
        notebook={"path": str(options.notebook), "sha256": source.sha256},
        findings=findings,
        extra={"captured": summary(record), "kernel": " ".join(kernel.argv[:1])},
    )


def _check_metrics(options: Options, source: NotebookFile) -> None:
    cells = source.node.cells
    for wanted in options.metrics:
        at = wanted.cell
        if at is not None and not (0 <= at < len(cells) and notebooks.runs(cells[at])):
            raise UsageError(
                f"--metric {wanted.name}: cell {at} is no code cell that runs",
                hint=f"the notebook has cells 0 to {len(cells) - 1}, markdown cells counted",
            )
        try:
            compile(wanted.expression, "<metric>", "eval")
        except (SyntaxError, ValueError) as exc:
            raise UsageError(
                f"--metric {wanted.name}: {wanted.expression!r} is no Python expression",
                causes=(str(exc),),
            ) from exc


def choose_kernel(source: NotebookFile, options: Options) -> tuple[Kernel, tuple[Finding, ...]]:
    """Return the kernel by --python, --kernel, the notebook's kernelspec or our own interpreter."""
    if options.python and options.kernel:
        raise UsageError("--python and --kernel exclude each other", hint="give one of them")
    if options.python:
        return execute.kernel_from_python(options.python), ()
    if options.kernel:
        kernel = execute.kernel_from_name(options.kernel)
        if kernel is None:
            raise KernelError(
                f"there is no kernel called {options.kernel!r}",
                hint="`jupyter kernelspec list` shows those there are; or give --python",
            )
        return kernel, ()
    named = (source.node.metadata.get("kernelspec") or {}).get("name")
    kernel = execute.kernel_from_name(named) if isinstance(named, str) and named else None
    if kernel is not None:
        return kernel, ()
    told = (
        (
            note(
                "notebook.kernel-substituted",
                f"the notebook asks for the kernel {named!r}, which is not here; "
                "it ran in reprolock's own interpreter",
                subject=str(named),
                hint="choose an environment with --python or --kernel",
            ),
        )
        if named
        else ()
    )
    return execute.kernel_from_python(Path(sys.executable)), told


def _plan(options: Options, source: NotebookFile, kernel: Kernel) -> Plan:
    return Plan(
        notebook=source,
        kernel=kernel,
        folder=source.folder,
        environment=execute.kernel_environment(
            kernel.python, hash_seed=_hash_seed(source), clean=False
        ),
        limits=options.limits,
        may_raise=may_raise(source, all_cells=options.allow_errors),
        wanted=options.metrics,
        offline=options.offline,
        prove=options.prove,
    )


def may_raise(source: NotebookFile, *, all_cells: bool) -> frozenset[int]:
    return frozenset(
        index
        for index, cell in enumerate(source.node.cells)
        if all_cells or notebooks.may_raise(cell)
    )


def _hash_seed(source: NotebookFile) -> str:
    """Return a PYTHONHASHSEED for the run: set order can only be replayed when it is known, and
    drawn from the source it is the same in each capture.
    """
    return str(int(notebooks.source_digest(source.node.cells)[:8], 16))


def _about(source: NotebookFile, target: Path, options: Options) -> tuple[Finding, ...]:
    findings = []
    if source.upgraded_from is not None:
        findings.append(
            note(
                "notebook.upgraded",
                f"the notebook has format {source.upgraded_from}; "
                "it was upgraded in memory to 4, the file is as it was",
                subject=source.path.name,
            )
        )
    if "." in source.path.stem and options.output is None:
        findings.append(
            note(
                "notebook.name-mapped",
                f"the lock is called {target.name}: PEP 751 allows no dot there",
                subject=target.name,
            )
        )
    return tuple(findings)


def _stopped(
    done: Run,
    findings: tuple[Finding, ...],
    source: NotebookFile,
    kernel: Kernel,
    seconds: float,
) -> Result:
    failure = done.execution.failure
    assert failure is not None  # noqa: S101
    journal = cache_dir() / "journals" / f"{source.path.stem}-{source.sha256[:12]}.jsonl"
    journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(OSError):
        journal.touch(mode=0o600)
    write_atomic(journal, "".join(json.dumps(e) + "\n" for e in done.execution.events).encode())
    stop = error(
        f"run.{failure.kind}",
        failure.message,
        subject=source.path.name,
        cell=failure.cell,
        cell_id=_cell_id(source, failure.cell),
        hint=failure.hint,
    )
    return Result(
        command="capture",
        verdict=Verdict.DID_NOT_RUN,
        exit_code=Verdict.DID_NOT_RUN.exit_code,
        seconds=seconds,
        notebook={"path": str(source.path), "sha256": source.sha256},
        findings=(stop, *findings),
        extra={
            "journal": str(journal),
            "captured": summary(done.record),
            "kernel": " ".join(kernel.argv[:1]),
        },
    )


def _cell_id(source: NotebookFile, cell: int | None) -> str | None:
    return None if cell is None else source.node.cells[cell].get("id")


def _with_reference(
    done: Run, options: Options, source: NotebookFile, target: Path, stored: list[str | None]
) -> tuple[Record, dict[Path, bytes]]:
    """Keep the outputs of this run: in the notebook where they are there already or *inplace* asks
    for it, else beside it. Returns the record that names the reference, and the file to write.
    """
    now = [notebooks.outputs_digest(cell.get("outputs", ())) for cell in done.execution.node.cells]
    beside: dict[Path, bytes] = {}
    if now == stored and source.upgraded_from is None:
        name, content = source.path.name, source.path.read_bytes()
    else:
        name = source.path.name
        if not options.inplace:
            name = notebooks.reference_name_for(target, source.path)
        content = beside[target.parent / name] = notebooks.to_bytes(done.execution.node)
    facts = replace(
        done.record[notebook.Notebook], reference=name, reference_sha256=sha256_bytes(content)
    )
    return Record({**done.record.facts, notebook.Notebook: facts}), beside
