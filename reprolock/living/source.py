"""The notebook of a living kernel: its file, what its front end shows, or its history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import notebooks
from reprolock.errors import NotebookError, UsageError
from reprolock.finding import Finding, note, warning
from reprolock.living.cells import executions, new_cell
from reprolock.recorder import platforms

if TYPE_CHECKING:
    from reprolock.kernel.processes import KernelProcess
    from reprolock.living.journals import Journal
    from reprolock.notebooks import NotebookFile

_QUESTION = 5.0  # seconds that a server has to answer


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


def find(asked: Path | None, journal: Journal, kernel: KernelProcess | None) -> Source:
    """Return the notebook: the one *asked* for, else what the kernel's own server names.

    Raises NotebookError where the one asked for cannot be read, UsageError where nothing ran.
    """
    if asked is not None:
        return _from_file(asked.absolute(), "named by you", ())
    found, problems = _ask(journal, kernel)
    told = tuple(note("session.notebook-search", problem) for problem in problems)
    folder = Path(journal.living.get("folder") or ".").absolute()
    if isinstance(found.get("content"), dict):
        return _from_front_end(found, folder, told)
    if found.get("path"):
        try:
            return _from_file(Path(found["path"]), str(found.get("how")), told)
        except NotebookError as exc:
            told += (note("session.notebook-search", "; ".join([exc.message, *exc.causes])),)
    return _from_history(journal, folder, told)


def saved_cells(kernel: KernelProcess) -> list[Any]:
    """Return the cells of the kernel's notebook as its file has them, none where none is found."""
    found = platforms.find_notebook(platforms.Machine(kernel.environ), kernel.id, _QUESTION)
    try:
        return list(notebooks.load(Path(found.path)).node.cells) if found.path else []
    except NotebookError:
        return []


def _ask(journal: Journal, kernel: KernelProcess | None) -> tuple[dict[str, Any], list[str]]:
    """Return what the kernel itself found, asked again from outside where it has not looked."""
    known = journal.last("notebook")
    if known.get("path") or known.get("content") or kernel is None:
        return known, [str(problem) for problem in known.get("problems") or ()]
    machine = platforms.Machine(kernel.environ)
    found = platforms.find_notebook(machine, kernel.id, _QUESTION)
    return found._asdict(), list(found.problems)


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


def _from_front_end(found: dict[str, Any], folder: Path, told: tuple[Finding, ...]) -> Source:
    """Take what stands on the screen. Where no file of it is on this disk one is written."""
    name = Path(str(found.get("name") or "notebook.ipynb")).name
    path = folder / (name if name.endswith(".ipynb") else f"{name}.ipynb")
    if found.get("path"):
        path = Path(found["path"])
    file = notebooks.parse(path, json.dumps(found["content"]).encode())
    written = note(
        "session.notebook-written",
        f"{path.name} was written beside the lock, as the front end has it",
        subject=path.name,
    )
    to_write = not path.exists()
    if path.exists() and not found.get("path"):
        to_write = True  # reprolock wrote it at an earlier capture, or it is a copy
    findings = (*told, *((written,) if to_write else ()))
    return Source(path, file.node, None, str(found.get("how")), to_write, findings)


def _from_history(journal: Journal, folder: Path, told: tuple[Finding, ...]) -> Source:
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
    path = folder / f"session-{journal.pid or 0}.ipynb"
    finding = warning(
        "session.history-notebook",
        f"no notebook was found: {path.name} was made of the cells that ran, in their order",
        subject=path.name,
        hint="name it: %load_ext reprolock, then `%reprolock capture NOTEBOOK`",
    )
    return Source(path, node, None, "the history", to_write=True, findings=(*told, finding))
