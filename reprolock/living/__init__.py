"""A living kernel, or what is left of one, becomes a lock. Nothing is run again."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reprolock import captured, lock, notebooks, standing
from reprolock.digest import sha256_bytes, sha256_text
from reprolock.errors import UsageError
from reprolock.facts import Record, hardware, packages
from reprolock.facts.notebook import Notebook
from reprolock.files import cache_dir, exclusive
from reprolock.living.joining import Joined, join
from reprolock.living.journals import Journal, earlier_than, in_folder, is_of, of_kernel
from reprolock.living.outside import journal_of
from reprolock.living.source import Source, find, is_notebook_of, saved_cells
from reprolock.result import Result
from reprolock.run import asked_of_pip, commands_in, record_of, told_by_pip, troubles
from reprolock.told import summary, weaknesses

if TYPE_CHECKING:
    from pathlib import Path

    from reprolock.finding import Finding
    from reprolock.kernel.processes import KernelProcess
    from reprolock.run import Say, Seen

__all__ = ["Options", "capture", "is_own"]


@dataclass(frozen=True)
class Options:
    """*notebook*: where it is known better than the kernel's server does; *journal*: a journal or
    a folder of them, where the kernel that wrote it is gone; *offline*: ask no index;
    *prove*: see ``packages.collect``.
    """

    notebook: Path | None = None
    journal: Path | None = None
    output: Path | None = None
    offline: bool = False
    prove: bool = False


@dataclass(frozen=True)
class _Found:
    """The kernel that a lock is asked of, and what it left on disk. *mode* as in `Session`."""

    mode: str
    journal: Journal
    earlier: tuple[Journal, ...]
    kernel: KernelProcess | None


def capture(options: Options, say: Say) -> Result:
    """Write the lock of the kernel that this process was started from.

    Raises UsageError where there is no kernel and no journal, ReprolockError where nothing can be
    written.
    """
    begun = time.monotonic()
    found = _kernel(options)
    source = find(options.notebook, found.journal, found.kernel, options.output)
    target = _target(options, source)
    with exclusive(
        cache_dir() / "locks" / sha256_text(str(target)), f"another capture into {target}"
    ):
        standing.check(target, source.path, _reference(target, source))
        joined = join(found.journal, found.earlier, source, found.mode)
        record, told = _record(joined.seen, options, found.kernel, say)
        findings = (
            *source.findings,
            *joined.findings,
            *told,
            *troubles(joined.seen),
            *weaknesses(record),
        )
        record, beside = _with_reference(record, joined, source, target)
        created = dt.datetime.now(dt.timezone.utc)
        digest = lock.write(record, target, created=created, beside=beside)
        captured.remember(digest)
    return Result(
        command="capture",
        exit_code=int(any(f.code == "metrics.failed" for f in findings)),
        seconds=time.monotonic() - begun,
        lock={"path": str(target), "sha256": sha256_bytes(target.read_bytes()), "digest": digest},
        notebook={"path": str(source.path), "sha256": sha256_bytes(source.path.read_bytes())},
        findings=findings,
        extra={"captured": summary(record), "kernel": _python_of(joined.seen)},
    )


def _kernel(options: Options) -> _Found:
    """Find the kernel among the processes that this one was started from, or take its journal."""
    from reprolock.kernel.processes import ancestors

    parents = list(ancestors())
    if options.journal is not None:
        left = in_folder(options.journal)
        for parent in parents:
            if own := [journal for journal in left if is_of(journal, parent)]:
                return _found("live", own, parent, options.journal)
        last = [journal for journal in left if journal.process == left[-1].process]
        return _found("journal", last, None, options.journal)
    for parent in parents:
        if own := of_kernel(parent):
            return _found("live", own, parent)
    for parent in parents:
        if parent.is_kernel and parent.python is not None:
            return _Found("outside", journal_of(parent, saved_cells(parent)), (), parent)
    raise UsageError(
        "wanted a NOTEBOOK, or to be called in a cell of a running one: no kernel started this",
        hint="give the path of an .ipynb file, or put `!reprolock capture` into one of its cells",
    )


def is_own(notebook: Path) -> bool:
    """Say whether *notebook* is that of the kernel that this process was started from."""
    from reprolock.kernel.processes import ancestors

    for parent in ancestors():
        own = of_kernel(parent)
        if own or parent.is_kernel:
            return is_notebook_of(notebook, _one(own) if own else None, parent)
    return False


def _found(mode: str, own: list[Journal], kernel: KernelProcess | None, *places: Path) -> _Found:
    journal = _one(own)
    earlier = earlier_than(own[0], [*places, *journal.folders])
    return _Found(mode, journal, tuple(earlier), kernel)


def _one(journals: list[Journal]) -> Journal:
    """Return the journals of one kernel as one: the extension may have been loaded twice."""
    events: list[Any] = []
    problems: list[str] = []
    for journal in journals:
        count = 1 + max((e["n"] for e in events if isinstance(e.get("n"), int)), default=-1)
        # What a later journal knows of the history is in the earlier one.
        shifted = journal.shifted(count).events
        events += [e for e in shifted if not (events and e.get("via") == "history")]
        problems += journal.problems
    return replace(journals[-1], events=tuple(events), problems=tuple(problems))


def _target(options: Options, source: Source) -> Path:
    """Return where the lock goes. Raises UsageError for a name that pip and uv would not take."""
    return notebooks.lock_path(options.output, source.path)


def _record(
    seen: Seen, options: Options, kernel: KernelProcess | None, say: Say
) -> tuple[Record, tuple[Finding, ...]]:
    listed = seen.last("packages").get("distributions") or []
    python = kernel.python if kernel is not None else None
    with ThreadPoolExecutor(max_workers=3) as pool:
        gpus = pool.submit(hardware.probe_gpus)
        view = asked_of_pip(pool, python) if python is not None else None
        found, told = packages.collect(
            listed,
            offline=options.offline,
            prove=options.prove,
            named=commands_in(seen.events),
            progress=lambda done, of: say("package", done, of),
        )
        if view is not None and python is not None:
            told += told_by_pip(view.result(), python, listed)
        record, _ = record_of(seen, found, gpus.result(), cache_dir() / "data")
    return record, told


def _with_reference(
    record: Record, joined: Joined, source: Source, target: Path
) -> tuple[Record, dict[Path, bytes]]:
    """Keep the outputs beside the notebook: the front end will save it again, with others."""
    path = _reference(target, source)
    content = notebooks.to_bytes(joined.node)
    facts = replace(record[Notebook], reference=path.name, reference_sha256=sha256_bytes(content))
    beside = {path: content}
    if source.to_write:
        beside[source.path] = content
    return Record({**record.facts, Notebook: facts}), beside


def _reference(target: Path, source: Source) -> Path:
    return target.parent / notebooks.reference_name_for(target, source.path)


def _python_of(seen: Seen) -> str:
    return str(seen.last("interpreter").get("executable") or "")
