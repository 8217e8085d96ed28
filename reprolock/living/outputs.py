"""Outputs of cells, put together from the messages that the kernel sent.

As the front ends do it: pieces of a stream are joined, ``clear_output`` clears, and an update
changes every output shown under its ``display_id`` (Jupyter messaging protocol 5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbformat.v4 import new_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass
class _Cell:
    outputs: list[Any] = field(default_factory=list)
    clear: bool = False


def collect(events: Iterable[Mapping[str, Any]]) -> dict[int, list[Any]]:
    """Return the outputs of each cell by its ordinal, as nbformat has them."""
    cells: dict[int, _Cell] = {}
    shown: dict[str, list[Any]] = {}
    for event in events:
        if event.get("event") == "cell-start":
            cells[event["n"]] = _Cell()
        elif event.get("event") == "output" and isinstance(event.get("content"), dict):
            cell = cells.setdefault(event["n"], _Cell())
            _add(cell, str(event.get("type")), event["content"], shown)
    return {n: cell.outputs for n, cell in cells.items()}


def _add(cell: _Cell, kind: str, content: Mapping[str, Any], shown: dict[str, list[Any]]) -> None:
    if kind == "clear_output":
        cell.clear = True
        if not content.get("wait"):
            _clear(cell)
        return
    name = str((content.get("transient") or {}).get("display_id") or "")
    if kind == "update_display_data":
        for output in shown.get(name, ()):
            output["data"], output["metadata"] = content["data"], content.get("metadata") or {}
        return
    _clear(cell)
    output = _output(cell, kind, content)
    if output is not None:
        cell.outputs.append(output)
        if name:
            shown.setdefault(name, []).append(output)


def _clear(cell: _Cell) -> None:
    if cell.clear:
        cell.outputs.clear()
        cell.clear = False


def _output(cell: _Cell, kind: str, content: Mapping[str, Any]) -> Any:
    """Return a new output; None where the text was added to the stream before it."""
    if kind == "stream":
        name, text = str(content.get("name")), str(content.get("text"))
        last = cell.outputs[-1] if cell.outputs else {}
        if last.get("output_type") == "stream" and last.get("name") == name:
            last["text"] += text
            return None
        return new_output("stream", name=name, text=text)
    if kind == "error":
        parts = {key: content.get(key) for key in ("ename", "evalue")}
        lines = [str(line) for line in content.get("traceback") or ()]
        return new_output("error", **parts, traceback=lines)
    data = {"data": content.get("data") or {}, "metadata": content.get("metadata") or {}}
    if kind == "execute_result":
        data["execution_count"] = content.get("execution_count")
    return new_output(kind, **data)
