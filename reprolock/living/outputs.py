"""Outputs of cells, put together from the messages that the kernel sent.

As the front ends do it: pieces of a stream are joined, ``clear_output`` clears, and an update
changes every output shown under its ``display_id`` (Jupyter messaging protocol 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbformat import NotebookNode, from_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_JSON = re.compile(r"^application/(.*\+)?json$")


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
    name = _display_id(content)
    if kind == "update_display_data":
        for output in shown.get(name, ()):
            output.update(_bundle(content))
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
        name, text = _clean(content.get("name")), _clean(content.get("text"))
        last = cell.outputs[-1] if cell.outputs else {}
        if last.get("output_type") == "stream" and last.get("name") == name:
            last["text"] += text
            return None
        return NotebookNode(output_type=kind, name=name, text=text)
    if kind == "error":
        lines = content.get("traceback")
        return NotebookNode(
            output_type=kind,
            ename=_clean(content.get("ename")),
            evalue=_clean(content.get("evalue")),
            traceback=[_clean(line) for line in lines] if isinstance(lines, list) else [],
        )
    if kind == "execute_result":
        count = content.get("execution_count")
        number = count if type(count) is int and count >= 0 else None
        return NotebookNode(output_type=kind, execution_count=number, **_bundle(content))
    return NotebookNode(output_type="display_data", **_bundle(content))


def _bundle(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return data and metadata as nbformat wants them: text, or for JSON whatever that holds."""
    data = {
        _clean(kind): _plain(value) if _JSON.search(kind) else _lines(value)
        for kind, value in _table(content.get("data")).items()
    }
    return {
        "data": from_dict(data),
        "metadata": from_dict(_plain(_table(content.get("metadata")))),
    }


def _lines(value: Any) -> str:
    return "".join(map(_clean, value)) if isinstance(value, list) else _clean(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_clean(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return _clean(value) if isinstance(value, str) else value


def _clean(value: Any) -> str:
    """Return text that can be written as UTF-8."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _display_id(content: Mapping[str, Any]) -> str:
    return str(_table(content.get("transient")).get("display_id") or "")


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
