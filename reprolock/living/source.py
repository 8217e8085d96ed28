"""The notebook of a living kernel: its file, what its front end shows, or its history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import notebooks, standing
from reprolock.errors import NotebookError, UsageError
from reprolock.finding import Finding, note, warning
from reprolock.living.cells import executions, new_cell
from reprolock.recorder import platforms

if TYPE_CHECKING:
    from reprolock.kernel.processes import KernelProcess
    from reprolock.living.journals import Journal
    from reprolock.notebooks import NotebookFile

_QUESTION = 5.0  # seconds that a server has to answer
_MOST_NAMES = 100


@dataclass(frozen=True)
class Source:
    """*path* is where the notebook lies, or is to be written; *node* nbformat 4; *saved_at* seconds
    since the epoch, None where *node* is what the front end shows; *how* it was found.
    """

    path: Path
    node: Any
    saved_at: float | None
    how: str
    to_write: bool = False
    findings: tuple[Finding, ...] = ()


def find(
    asked: Path | None,
    journal: Journal,
    kernel: KernelProcess | None,
    output: Path | None = None,
) -> Source:
    """Return the notebook: the one *asked* for, else what the kernel's own server names.

    *output*: where the lock is wanted; by it a notebook that an earlier capture wrote is known.

    Raises NotebookError where the one asked for cannot be read, UsageError where nothing ran.
    """
    if asked is not None:
        return _from_file(asked.absolute(), "named by you", ())
    found, problems = _ask(journal, kernel)
    told = tuple(note("session.notebook-search", problem) for problem in problems)
    folder = Path(journal.living.get("folder") or ".").absolute()
    if isinstance(found.get("content"), dict):
        return _from_front_end(found, folder, told, output)
    if found.get("path"):
        try:
            return _from_file(Path(found["path"]), str(found.get("how")), told)
        except NotebookError as exc:
            told += (note("session.notebook-search", "; ".join([exc.message, *exc.causes])),)
    return _from_history(journal, folder, told, output)


def is_notebook_of(path: Path, journal: Journal | None, kernel: KernelProcess) -> bool:
    """Say whether *kernel* is that of the notebook at *path*, as its server or its page names it.

    Where there is only a page, as on Colab, a file of the page's name in the kernel's folder is it.
    """
    if journal is None:
        found: dict[str, Any] = _from_outside(kernel)._asdict()
    else:
        found, _ = _ask(journal, kernel)
    known = str(found.get("path") or "")
    if not known and found.get("content") and kernel.folder is not None:
        known = str(_named_by_page(found, kernel.folder))
    try:
        return bool(known) and path.samefile(known)
    except OSError:
        return False


def _named_by_page(found: dict[str, Any], folder: Path) -> Path:
    name = Path(str(found.get("name") or "notebook.ipynb")).name
    return folder / (name if name.endswith(".ipynb") else f"{name}.ipynb")


def saved_cells(kernel: KernelProcess) -> list[Any]:
    """Return the cells of the kernel's notebook as its file has them, none where none is found."""
    found = _from_outside(kernel)
    try:
        return list(notebooks.load(Path(found.path)).node.cells) if found.path else []
    except NotebookError:
        return []


def _ask(journal: Journal, kernel: KernelProcess | None) -> tuple[dict[str, Any], list[str]]:
    """Return what the kernel itself found, asked again from outside where it has not looked."""
    known = journal.last("notebook")
    if known.get("path") or known.get("content") or kernel is None:
        return known, [str(problem) for problem in known.get("problems") or ()]
    found = _from_outside(kernel)
    return found._asdict(), list(found.problems)


def _from_outside(kernel: KernelProcess) -> platforms.Found:
    return platforms.find_notebook(platforms.Machine(kernel.environ), kernel.id, _QUESTION)


def _from_file(path: Path, how: str, told: tuple[Finding, ...]) -> Source:
    file = notebooks.load(path)
    return Source(path, file.node, path.stat().st_mtime, how, findings=(*told, *_upgraded(file)))


def _upgraded(file: NotebookFile) -> tuple[Finding, ...]:
    if file.upgraded_from is None:
        return ()
    return (
        note(
            "notebook.upgraded",
            f"the notebook has format {file.upgraded_from}; "
            "it was upgraded in memory to 4, the file is as it was",
            subject=file.path.name,
        ),
    )


def _from_front_end(
    found: dict[str, Any], folder: Path, told: tuple[Finding, ...], output: Path | None
) -> Source:
    """Take what stands on the screen. Where no file of it is on this disk one is written."""
    path = _named_by_page(found, folder)
    if found.get("path"):
        path = Path(found["path"])
    node = notebooks.parse(path, json.dumps(found["content"]).encode()).node
    to_write = not path.exists()
    if path.exists() and not found.get("path"):
        path, more = _free(path, output, node)
        to_write, told = not _holds(path, node), (*told, *more)
    if to_write:
        written = note(
            "session.notebook-written",
            f"{path.name} was written beside the lock, as the front end has it",
            subject=path.name,
        )
        told = (*told, written)
    return Source(path, node, None, str(found.get("how")), to_write, told)


def _free(wanted: Path, output: Path | None, node: Any = None) -> tuple[Path, tuple[Finding, ...]]:
    """Return where a notebook can be written: nothing is there, or what a capture wrote, or *node*
    itself; with a finding where that is not as it was *wanted*.
    """
    for count in range(_MOST_NAMES):
        more = f"-captured{f'-{count}' if count > 1 else ''}" if count else ""
        path = wanted.with_name(f"{wanted.stem}{more}.ipynb")
        if not path.exists() or _is_ours(path, output) or (node and _holds(path, node)):
            return path, (_named_otherwise(wanted, path),) if more else ()
    raise UsageError(
        f"{wanted} is not a notebook that reprolock wrote, and was not replaced",
        hint="rename it or move it away",
    )


def _is_ours(path: Path, output: Path | None) -> bool:
    """Say whether the lock that is to be replaced names these very bytes as its reference."""
    lock = standing.at(notebooks.lock_path(output, path))
    return lock.notebook == path.name and lock.wrote(path)


def _holds(path: Path, node: Any) -> bool:
    """Say whether the file has the cells of *node*, with their outputs."""
    try:
        there = notebooks.load(path).node
    except NotebookError:
        return False
    return _content(there) == _content(node)


def _content(node: Any) -> list[tuple[Any, ...]]:
    return [
        (cell["cell_type"], cell["source"], notebooks.outputs_digest(cell.get("outputs", ())))
        for cell in node.cells
    ]


def _named_otherwise(wanted: Path, path: Path) -> Finding:
    return warning(
        "session.notebook-named-otherwise",
        f"{wanted.name} lies there already and is not what reprolock wrote: "
        f"the notebook is {path.name} here",
        subject=path.name,
        hint=f"move {wanted.name} away and capture again where the name matters",
    )


def _from_history(
    journal: Journal, folder: Path, told: tuple[Finding, ...], output: Path | None
) -> Source:
    """Make a notebook of what ran, in the order in which it ran."""
    from nbformat.v4 import new_notebook

    asking = journal.last("snapshot").get("n")
    cells = [
        new_cell(one.source)
        for one in executions(journal.events, 0)
        if one.source.strip() and (one.ended or one.n == asking)
    ]
    if not cells:
        raise UsageError(
            "no notebook was found, and no cell ran that could stand for it",
            hint="put %load_ext reprolock first, and name it: `%reprolock capture NOTEBOOK`",
        )
    node = new_notebook(metadata={"language_info": {"name": "python"}})
    node.nbformat_minor = 4
    node.cells = cells
    path, more = _free(folder / f"session-{journal.pid or 0}.ipynb", output)
    finding = warning(
        "session.history-notebook",
        f"no notebook was found: {path.name} was made of the cells that ran, in their order",
        subject=path.name,
        hint="name it: %load_ext reprolock, then `%reprolock capture NOTEBOOK`",
    )
    findings = (*told, *more, finding)
    return Source(path, node, None, "the history", to_write=True, findings=findings)
