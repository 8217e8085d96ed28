"""Before anything runs: lock, notebook, reference, data, environment."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import lock, notebooks
from reprolock.errors import LockError
from reprolock.facts import (
    data,
    notebook,
    packages,
)
from reprolock.facts import interpreter as interpreters
from reprolock.finding import error, warning
from reprolock.rebuild import rebuild
from reprolock.result import Verdict

if TYPE_CHECKING:
    from reprolock.finding import Finding
    from reprolock.lock import Lock
    from reprolock.notebooks import NotebookFile
from reprolock.verify.state import State, Stop


def read_lock(state: State) -> Lock:
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
        raise Stop(Verdict.UNVERIFIABLE)
    state.findings += [
        warning(
            "lock.policy-unknown-key",
            f"the policy has a key that means nothing: {key}",
            subject=key,
            hint="check its spelling",
        )
        for key in locked.policy.unknown
    ]
    return locked


def source_of(state: State, locked: Lock) -> NotebookFile:
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


def reference_of(state: State, locked: Lock, source: NotebookFile) -> NotebookFile:
    facts = locked.record[notebook.Notebook]
    if facts.reference is None:
        raise LockError("the lock names no reference", hint="capture the notebook again")
    path = _beside(locked, facts.reference)
    reference = source if path == source.path else notebooks.load(path)
    digests = [notebooks.outputs_digest(cell.get("outputs", ())) for cell in reference.node.cells]
    same_file = path == source.path or reference.sha256 == facts.reference_sha256
    if digests != [cell.outputs_sha256 for cell in facts.cells] or not same_file:
        state.findings.append(_reference_changed(path, in_notebook=path == source.path))
        raise Stop(Verdict.UNVERIFIABLE)
    return replace(reference, node=_copy(reference.node))


def _reference_changed(path: Path, *, in_notebook: bool) -> Finding:
    return error(
        "notebook.reference-changed",
        f"{path.name} does not hold the outputs of the recorded run any more",
        subject=path.name,
        hint="the outputs stood in the notebook, which was run or cleared since: capture again"
        if in_notebook
        else "put the captured file back, or capture again",
    )


def _copy(node: Any) -> Any:
    import copy

    return copy.deepcopy(node)


def check_data(state: State, locked: Lock) -> None:
    facts, places = locked.record[data.Data], data.Places(locked.path.parent)
    found = data.check_inputs(facts, places)
    state.findings += found
    if any(f.code in ("data.missing", "data.unreadable") for f in found):
        raise Stop(Verdict.COULD_NOT_REBUILD)


def python_for(state: State, locked: Lock) -> Path:
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


def files_of(locked: Lock) -> dict[str, list[Path]]:
    facts, places = locked.record[data.Data], data.Places(locked.path.parent)

    def paths(role: str) -> list[Path]:
        return [path for file in facts.by_role(role) if (path := places.path(file.name))]

    made = [path for name in facts.folders if (path := places.path(name))]
    return {"inputs": paths(data.INPUT), "outputs": paths(data.OUTPUT), "made": made}
