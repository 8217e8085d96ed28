"""Notebook files: read, checked, named. Nothing here runs a cell."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_bytes, sha256_json, sha256_text
from reprolock.errors import NotebookError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_PYTHON = {"python", "python3", "ipython", "ipython3"}
RAISES = "raises-exception"
SKIPPED = "skip-execution"
_FORMAT = 4
_LOCK_NAME = re.compile(r"pylock\.([^.]+\.)?toml")
_OURS = re.compile(
    r"\s*(?:#.*|%(?:un|re)?load_ext\s+reprolock\b.*|%%?reprolock\b(?!\s+metric\b).*|!\s*reprolock\b[^;&|`$]*|import\s+reprolock"
    r"|reprolock\.capture\(.*\)\s*;?)?\s*\Z"
)


@dataclass(frozen=True)
class NotebookFile:
    """A notebook as read. *node* is nbformat 4 whatever the file's own version was."""

    path: Path
    sha256: str
    node: Any
    upgraded_from: int | None

    @property
    def folder(self) -> Path:
        return self.path.parent


def load(path: Path) -> NotebookFile:
    """Read the notebook at *path*. Older formats are upgraded in memory.

    Raises NotebookError where there is no file, no JSON, no notebook, no code, or no Python.
    """
    data = _read(path)
    return parse(path, data)


def parse(path: Path, data: bytes) -> NotebookFile:
    """Return the notebook that *data* holds; *path* is what it is called. Raises as `load` does."""
    raw = _parse(path, data)
    version = raw.get("nbformat")
    node = _as_version_4(path, raw)
    upgraded = version if isinstance(version, int) and version < _FORMAT else None
    notebook = NotebookFile(path, sha256_bytes(data), node, upgraded)
    _check_language(notebook)
    if not any(is_code(cell) for cell in node.cells):
        raise NotebookError(f"{path} has no code cell", hint="there is nothing to run or to record")
    return notebook


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise NotebookError(
            f"cannot read the notebook {path}",
            causes=(exc.strerror or str(exc),),
            hint="give the path of an .ipynb file",
        ) from exc


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise NotebookError(
            f"{path} is not a notebook: wanted JSON",
            causes=(str(exc) or "nested too deeply",),
            hint="an .ipynb file that was cut off has to be saved or fetched again",
        ) from exc
    if not isinstance(raw, dict) or not isinstance(raw.get("nbformat"), int):
        raise NotebookError(
            f"{path} is not a notebook: wanted a JSON object with `nbformat`",
            hint="give the path of an .ipynb file",
        )
    return raw


def _as_version_4(path: Path, raw: dict[str, Any]) -> Any:
    import nbformat
    from nbformat import reader

    try:
        node = reader.reads(json.dumps(raw))
        if raw["nbformat"] != _FORMAT:
            node = nbformat.convert(node, _FORMAT)
            for cell in node.cells:
                cell.pop("id", None)  # made up at random by the conversion
            node.nbformat_minor = 4
        for cell in node.cells:
            cell["source"] = _joined(cell["source"])
            cell.setdefault("metadata", nbformat.NotebookNode())
            if cell["cell_type"] == "code":
                cell.setdefault("outputs", [])
                cell.setdefault("execution_count", None)
        node.setdefault("metadata", nbformat.NotebookNode())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ids that are missing are no fault
            nbformat.validate(node, relax_add_props=True)
    except Exception as exc:  # nbformat raises many kinds for malformed files
        raise NotebookError(
            f"{path} is not a valid notebook of format 4 or older (it says {raw['nbformat']})",
            causes=(str(exc).splitlines()[0][:200] if str(exc) else type(exc).__name__,),
            hint="open it in Jupyter and save it again",
        ) from exc
    return node


def _joined(source: Any) -> str:
    return "".join(source) if isinstance(source, list) else source


def _check_language(notebook: NotebookFile) -> None:
    metadata = notebook.node.metadata
    spec, info = metadata.get("kernelspec") or {}, metadata.get("language_info") or {}
    language = spec.get("language") or info.get("name")
    if language and str(language).lower() not in _PYTHON:
        raise NotebookError(
            f"{notebook.path} is written for {language}; reprolock records Python kernels",
            hint="only notebooks with a Python kernel can be captured",
        )


def is_code(cell: Mapping[str, Any]) -> bool:
    return cell.get("cell_type") == "code"


def runs(cell: Mapping[str, Any]) -> bool:
    """Say whether the cell is run: code, not blank, and without the tag ``skip-execution``."""
    tags = cell.get("metadata", {}).get("tags", ())
    return is_code(cell) and bool(cell["source"].strip()) and SKIPPED not in tags


def may_raise(cell: Mapping[str, Any]) -> bool:
    """Say whether the cell is tagged ``raises-exception`` or its stored outputs hold an error."""
    stored = cell.get("outputs", ())
    return is_tagged(cell) or any(o.get("output_type") == "error" for o in stored)


def is_tagged(cell: Mapping[str, Any]) -> bool:
    """Say whether the cell is tagged ``raises-exception``."""
    return RAISES in cell.get("metadata", {}).get("tags", ())


def only_reprolock(cell: Mapping[str, Any]) -> bool:
    """Say whether the cell does nothing but call reprolock: it computes nothing."""
    lines = _joined(cell.get("source") or "").splitlines()
    return any(line.strip() for line in lines) and all(_OURS.match(line) for line in lines)


def lock_name(path: Path) -> str:
    """Return the lock's file name. PEP 751 allows no dot in the name between the two it sets."""
    return f"pylock.{path.stem.replace('.', '_') or 'notebook'}.toml"


def lock_path(wanted: Path | None, notebook: Path) -> Path:
    """Return where the lock of *notebook* goes: beside it, or where it is *wanted*.

    Raises UsageError for a place that lock and notebook would not find each other in, and for a
    name that pip and uv would not take.
    """
    if wanted is None:
        return notebook.parent / lock_name(notebook)
    target = wanted.absolute()
    if target.is_dir():
        return target / lock_name(notebook)
    if not _LOCK_NAME.fullmatch(target.name):
        raise UsageError(
            f"--output: wanted pylock.NAME.toml with no dot in NAME, found {target.name}",
            hint="PEP 751 sets the name, and pip and uv go by it",
        )
    if target.parent != notebook.parent:
        raise UsageError(
            f"--output: wanted a file in the notebook's folder, found {target}",
            hint="the lock names notebook and data relative to its own folder",
        )
    return target


def reference_name(path: Path) -> str:
    return f"{path.stem}.reference.ipynb"


def reference_name_for(lock: Path, notebook: Path) -> str:
    """Return a name of its own for each lock, so that two locks of a notebook do not share one."""
    if lock.name == lock_name(notebook):
        return reference_name(notebook)
    return f"{lock.name.removeprefix('pylock.').removesuffix('.toml')}.reference.ipynb"


def source_digest(cells: Iterable[Mapping[str, Any]]) -> str:
    """Return the SHA-256 over the sources of the code cells, in order."""
    return sha256_json([sha256_text(c["source"]) for c in cells if is_code(c)])


def plain_outputs(outputs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return *outputs* as plain data: pieces of one stream joined, counters and metadata left out.

    How a stream is cut into messages depends on timing alone, and so means nothing.
    """
    joined: list[dict[str, Any]] = []
    for output in outputs:
        plain = {
            key: json.loads(json.dumps(value))
            for key, value in output.items()
            if key not in ("execution_count", "metadata", "transient")
        }
        last = joined[-1] if joined else {}
        if plain["output_type"] == "stream":
            plain["text"] = _joined(plain["text"])
            if last.get("output_type") == "stream" and last["name"] == plain["name"]:
                last["text"] += plain["text"]
                continue
        joined.append(plain)
    return joined


def outputs_digest(outputs: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the SHA-256 of the cell's outputs, or None where it has none."""
    plain = plain_outputs(outputs)
    return sha256_json(plain) if plain else None


def to_bytes(node: Any) -> bytes:
    """Return the notebook as the bytes of an .ipynb file."""
    import nbformat

    return (str(nbformat.writes(node)) + "\n").encode()
