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

_LEFT_OUT = {
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
_DEPTH = ("a", "b")  # folders above the copy, for inputs that lie above the notebook's folder


@contextlib.contextmanager
def copy_of(folder: Path, *, inputs: Iterable[Path], outputs: Iterable[Path]) -> Iterator[Path]:
    """Copy *folder* and the *inputs* that lie above it to a scratch place; remove it at the end.

    *outputs* are left out: a run must make them anew. Raises ReprolockError where there is no room.
    """
    inputs, left = list(inputs), set(outputs)
    root = Path(tempfile.mkdtemp(prefix="reprolock-run-")).resolve()
    copy = root.joinpath(*_DEPTH, folder.name or "root")
    try:
        _copy_tree(folder, copy, left - set(inputs))
        for path in inputs:
            _copy_outside(path, folder, copy, root)
        yield copy
    except shutil.Error as exc:
        raise ReprolockError(f"cannot copy {folder}", causes=(str(exc)[:300],)) from exc
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _copy_tree(folder: Path, copy: Path, left: set[Path]) -> None:
    copy.mkdir(parents=True)
    for parent, folders, files in os.walk(folder):
        here = copy / os.path.relpath(parent, folder)
        folders[:] = [name for name in folders if not _skip(Path(parent) / name)]
        for name in folders:
            (here / name).mkdir(exist_ok=True)
        for name in files:
            source = Path(parent) / name
            if source not in left and source.is_file():
                _copy_file(source, here / name)


def _skip(folder: Path) -> bool:
    return folder.name in _LEFT_OUT or (folder / "pyvenv.cfg").exists() or folder.is_symlink()


def _copy_outside(path: Path, folder: Path, copy: Path, root: Path) -> None:
    """Put a file at the same relative place, where that is in the scratch folder."""
    target = Path(os.path.normpath(copy / os.path.relpath(path, folder)))
    if target.is_relative_to(root) and not target.exists() and path.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(path, target)


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
