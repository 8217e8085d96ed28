"""A copy of the notebook's folder to run in, so that nothing of the user's is changed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from reprolock.errors import ReprolockError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEFT_OUT = {
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    "node_modules",
    ".ipynb_checkpoints",
    ".venv",
    ".tox",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
}
_DEPTH = ("a", "b")  # folders above the copy, for files that lie above the notebook's folder


@contextlib.contextmanager
def copy_of(
    folder: Path,
    *,
    inputs: Iterable[Path],
    outputs: Iterable[Path],
    made: Iterable[Path] = (),
    unseen: Iterable[Path] = (),
    empty: Iterable[str] = (),
) -> Iterator[Path]:
    """Copy *folder* and the *inputs* that lie above it to a scratch place; remove it at the end.

    What the run has to make anew is left out: its *outputs* and the folders it *made*; so are files
    that it has *unseen*. Of folders that are never copied those *empty* have their names there.
    Links to folders become copies of them. Raises ReprolockError where there is no room.
    """
    inputs, outputs = list(inputs), list(outputs)
    root = Path(tempfile.mkdtemp(prefix="reprolock-run-")).resolve()
    copy = root.joinpath(*_DEPTH, folder.name or "root")
    try:
        left = {*outputs, *unseen} - set(inputs)
        # The scratch place may lie in the folder itself: TMPDIR can be anywhere.
        _copy_tree(folder, copy, left, set(made), {os.path.realpath(folder), str(root)})
        for path in inputs:
            _copy_outside(path, folder, copy, root)
        for path in outputs:
            _room_for(path, folder, copy, root, set(made))
        for name in empty:
            if not os.path.lexists(copy / name):
                (copy / name).mkdir()
        yield copy
    finally:
        shutil.rmtree(root, ignore_errors=True)


def copy_into(copy: Path, folder: Path, gone: Iterable[Path]) -> None:
    """Copy *folder* to *copy*, but for the files and folders *gone*.

    Raises ReprolockError where there is no room.
    """
    left = set(gone)
    _copy_tree(folder, copy, left, left, {os.path.realpath(folder)})


def _copy_tree(folder: Path, copy: Path, left: set[Path], made: set[Path], seen: set[str]) -> None:
    """Copy *folder*; *seen* holds the real paths above it, so that a loop of links ends."""
    copy.mkdir(parents=True, exist_ok=True)
    for entry in sorted(folder.iterdir()) if os.access(folder, os.R_OK | os.X_OK) else ():
        if entry.is_dir():
            real = os.path.realpath(entry)
            if not _skip(entry) and entry not in made and real not in seen:
                _copy_tree(entry, copy / entry.name, left, made, {*seen, real})
        elif entry not in left and entry.is_file():
            _copy_file(entry, copy / entry.name)


def _skip(folder: Path) -> bool:
    return folder.name in LEFT_OUT or (folder / "pyvenv.cfg").exists()


def _place(path: Path, folder: Path, copy: Path, root: Path) -> Path | None:
    """Return where *path* belongs in the scratch folder, None where it does not fit in."""
    target = Path(os.path.normpath(copy / os.path.relpath(path, folder)))
    return target if target.is_relative_to(root) else None


def _copy_outside(path: Path, folder: Path, copy: Path, root: Path) -> None:
    target = _place(path, folder, copy, root)
    if target is not None and not target.exists() and path.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(path, target)


def _room_for(path: Path, folder: Path, copy: Path, root: Path, made: set[Path]) -> None:
    """Make the folder of an output that the run found there, and did not make itself."""
    target = _place(path, folder, copy, root)
    if target is not None and not made & {path.parent, *path.parent.parents}:
        target.parent.mkdir(parents=True, exist_ok=True)


def _copy_file(source: Path, target: Path) -> None:
    try:
        shutil.copy2(source, target)
    except PermissionError:
        return  # the run will say so if it needs the file
    except OSError as exc:
        raise ReprolockError(
            f"cannot copy {source} to the scratch folder",
            causes=(str(exc),),
            hint="make room, or set TMPDIR to a larger disk",
        ) from exc
