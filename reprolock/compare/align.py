"""Which cell of one notebook is which cell of another."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence


def joined(value: Any) -> str:
    """Return a multi-line string of nbformat, which may be a list of lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return "".join(str(line) for line in value)
    return "" if value is None else str(value)


def identifier(cell: Mapping[str, Any]) -> str | None:
    value = cell.get("id")
    return value if isinstance(value, str) and value else None


def align(
    expected: Sequence[Mapping[str, Any]], observed: Sequence[Mapping[str, Any]]
) -> dict[int, int]:
    """Return index in *expected* -> index in *observed*: by id, then source, then neighbours.

    So one inserted cell shifts nothing, and an edited cell between two that did not change is
    still compared with what it was.
    """
    if _sources(expected) == _sources(observed):
        return {i: i for i in range(len(expected))}
    pairs = _by_id(expected, observed)
    _by_source(expected, observed, pairs)
    taken = set(pairs.values())
    for index, cell in enumerate(expected):
        if index in pairs:
            continue
        before = pairs.get(index - 1, -1 if index == 0 else None)
        after = None if before is None else before + 1
        if after is None or after >= len(observed) or after in taken:
            continue
        if observed[after].get("cell_type") == cell.get("cell_type"):
            pairs[index] = after
            taken.add(after)
    return pairs


def _sources(cells: Sequence[Mapping[str, Any]]) -> list[tuple[Any, str]]:
    return [(cell.get("cell_type"), joined(cell.get("source"))) for cell in cells]


def _unique(keys: Sequence[Hashable]) -> dict[Hashable, int]:
    counts = Counter(keys)
    return {key: i for i, key in enumerate(keys) if key is not None and counts[key] == 1}


def _by_id(
    expected: Sequence[Mapping[str, Any]], observed: Sequence[Mapping[str, Any]]
) -> dict[int, int]:
    there = _unique([identifier(cell) for cell in observed])
    here = _unique([identifier(cell) for cell in expected])
    return {
        index: there[key]
        for key, index in here.items()
        if key in there
        and expected[index].get("cell_type") == observed[there[key]].get("cell_type")
    }


def _by_source(
    expected: Sequence[Mapping[str, Any]],
    observed: Sequence[Mapping[str, Any]],
    pairs: dict[int, int],
) -> None:
    taken = set(pairs.values())
    places: defaultdict[tuple[Any, str], deque[int]] = defaultdict(deque)
    for index, key in enumerate(_sources(observed)):
        if index not in taken:
            places[key].append(index)
    for index, key in enumerate(_sources(expected)):
        if index not in pairs and places[key]:
            pairs[index] = places[key].popleft()
