"""Before anything runs: lock, notebook, reference, data, environment."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from reprolock import captured, elsewhere, lock, notebooks
from reprolock.errors import LockError
from reprolock.export import unpack
from reprolock.facts import (
    data,
    notebook,
    packages,
    system,
)
from reprolock.facts import interpreter as interpreters
from reprolock.finding import error, warning
from reprolock.rebuild import rebuild
from reprolock.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import ExitStack

    from reprolock.finding import Finding
    from reprolock.lock import Lock
    from reprolock.notebooks import NotebookFile
from reprolock.verify.state import Options, State, Stop
from reprolock.verify.substituted import STOOD_IN_FOR, without_platform_packages


def unpacked(state: State, stack: ExitStack) -> None:
    """Take the lock from where it is; a bundle is unpacked until *stack* ends."""
    source = stack.enter_context(unpack.lock_path(state.options.lock))
    state.source = source
    state.options = replace(state.options, maps=source.maps_with(state.options.maps))


def read_lock(state: State) -> Lock:
    locked = state.source.read() if state.source else lock.read(state.options.lock.absolute())
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


def platform_of(locked: Lock) -> str:
    return locked.record[system.System].platform


def places_of(options: Options, locked: Lock) -> data.Places:
    """Return where the files of the recorded run lie here, before anything runs."""
    maps = {prefix: (folder,) for prefix, folder in options.maps.items()}
    return data.Places(locked.path.parent, platform_of(locked), maps)


def check_data(state: State, locked: Lock) -> None:
    facts, places = locked.record[data.Data], places_of(state.options, locked)
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
        replace(
            options.how,
            offline=options.how.offline or (state.source is not None and state.source.is_whole),
            at_hand=state.source.packages if state.source else {},
            allow_missing=(*options.how.allow_missing, *_of_the_platform(locked)),
            builds=None if captured.is_ours(locked) else options.how.builds,
        ),
        state.say,
    )
    state.environment = environment
    state.findings += without_platform_packages(environment.findings)
    return environment.python


def _of_the_platform(locked: Lock) -> list[str]:
    """Return the packages that no index has, and that a stand-in answers for."""
    return [p.name for p in locked.record[packages.Packages].unresolved if p.name in STOOD_IN_FOR]


def stand_ins(locked: Lock) -> tuple[str, ...]:
    """Return the platforms whose modules the recorded run could import."""
    platform, found = platform_of(locked), locked.record[packages.Packages]
    colab = platform.startswith("colab") or bool(STOOD_IN_FOR & found.by_name().keys())
    return (*(["colab"] if colab else []), *(["kaggle"] if platform == "kaggle" else []))


def files_of(locked: Lock) -> dict[str, Any]:
    """Return what the scratch folder holds; an upload comes into it when its cell runs."""
    facts, places = locked.record[data.Data], data.Places(locked.path.parent)

    def paths(files: Iterable[data.DataFile]) -> list[Path]:
        near = (file.name for file in files if file.platform_path is None)
        return [path for name in near if (path := places.path(name))]

    inputs = facts.by_role(data.INPUT)
    brought = [file for file in inputs if file.upload is not None]
    near = (name for name in facts.folders if not name.startswith(data.PLATFORM))
    made = [path for name in near if (path := places.path(name))]
    return {
        "inputs": paths(file for file in inputs if file.upload is None),
        "outputs": paths((*facts.by_role(data.OUTPUT), *brought)),
        "made": made,
        "unseen": _locks_and_references(locked.path.parent, facts.beside),
        "empty": [n for n in facts.beside if not n.endswith((".toml", ".ipynb"))],
    }


def _locks_and_references(folder: Path, seen: Iterable[str]) -> list[Path]:
    """Return what captures left in *folder* and no run is known to have *seen* there."""
    left: set[str | None] = set()
    for path in folder.glob("pylock.*.toml"):
        with contextlib.suppress(LockError):
            left |= {path.name, lock.reference_beside(path)}
    return [folder / name for name in left.difference(seen) if name is not None]


def wanted_ground(options: Options, locked: Lock) -> elsewhere.Wanted:
    """Return which paths of the recorded machine the run needs, and what must not lie there yet."""
    facts = locked.record[data.Data]
    files = facts.files
    new = [f.platform_path for f in files if f.role == data.OUTPUT or f.upload is not None]
    folders = [n[len(data.PLATFORM) :] for n in facts.folders if n.startswith(data.PLATFORM)]
    outputs = [path for path in new if path is not None]
    rooms = (str(PurePosixPath(path).parent) for path in outputs)
    return elsewhere.Wanted(
        work=elsewhere.work_folder(facts, platform_of(locked), options.maps),
        maps=options.maps,
        gone=(*outputs, *folders),
        rooms=tuple(room for room in rooms if not data.longest(room, folders)),
    )


@contextmanager
def uploads_of(options: Options, locked: Lock) -> Iterator[tuple[tuple[dict[str, str], ...], ...]]:
    """Yield, for each call that uploaded, copies of its files where the kernel can read them."""
    places = places_of(options, locked)
    calls: dict[int, list[dict[str, str]]] = {}
    brought = [f for f in locked.record[data.Data].files if f.upload is not None]
    with tempfile.TemporaryDirectory(prefix="reprolock-uploads-") as folder:
        for number, file in enumerate(brought):
            name, source = PurePosixPath(file.name).name, places.path(file.name)
            copy = Path(folder) / str(number)
            if source is not None and source.is_file():
                shutil.copyfile(source, copy)
            calls.setdefault(file.upload or 0, []).append({"name": name, "path": str(copy)})
        yield tuple(tuple(calls[number]) for number in sorted(calls))
