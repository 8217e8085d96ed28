"""JSON values: by structure, with numbers as numbers and random ids left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reprolock.compare.model import (
    IDENTICAL,
    Degree,
    Outcome,
    different,
    excerpt,
    normalised,
)
from reprolock.compare.numbers import close
from reprolock.compare.text import compare_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from reprolock.compare.model import CompareOptions

_LONGEST_PATH = 200

# Random only where the value looks so: a "model_id" may be "resnet".
_ID_KEYS = frozenset(
    "model_id uid id docid root_id roots uirevision elementid div_id".split()  # noqa: SIM905
)
_RANDOM = re.compile(r"[\w-]{0,20}?(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z")


def compare_json(
    expected: Any,
    observed: Any,
    options: CompareOptions,
    *,
    random_keys: frozenset[str] = frozenset(),
    same: Callable[[str, str], bool] | None = None,
) -> Outcome:
    """Compare two JSON values. Nested as deep as may be: it keeps its own stack.

    *random_keys*: those whose strings are drawn at random whatever they look like. *same*: tells
    of two strings that differ whether they mean the same.
    """
    if _same(expected, observed):
        return IDENTICAL
    walk = _Walk(options, random_keys, same)
    walk.run(expected, observed)
    return walk.outcome()


class _Walk:
    def __init__(
        self,
        options: CompareOptions,
        random_keys: frozenset[str],
        same: Callable[[str, str], bool] | None,
    ) -> None:
        self.options = options
        self.random_keys = random_keys
        self.same = same
        self.worst = IDENTICAL
        self.names: set[str] = set()
        self.outside = 0  # numbers beyond tolerance
        self.stack: list[tuple[str, Any, Any]] = []

    def run(self, expected: Any, observed: Any) -> None:
        self.stack.append(("$", expected, observed))
        while self.stack:
            path, one, other = self.stack.pop()
            if isinstance(one, dict) and isinstance(other, dict):
                self._objects(path, one, other)
            elif isinstance(one, list) and isinstance(other, list):
                self._lists(path, one, other)
            else:
                self._leaves(path, one, other)

    def _objects(self, path: str, one: dict[str, Any], other: dict[str, Any]) -> None:
        if one.keys() != other.keys():
            self._take(_keys_differ(path, one, other))
            return
        for key in reversed(one):
            if self.options.allows("json-ids") and self._random(key, one[key], other[key]):
                self.names.add("json-ids")
            else:
                self.stack.append((_below(path, f".{key}"), one[key], other[key]))

    def _lists(self, path: str, one: list[Any], other: list[Any]) -> None:
        if len(one) != len(other):
            said = f"{path} has {len(other)} elements, the locked run's {len(one)}"
            self._take(different("outputs.text-differs", said, len(one), len(other)))
            return
        pairs = zip(range(len(one) - 1, -1, -1), reversed(one), reversed(other), strict=True)
        self.stack.extend((_below(path, f"[{i}]"), a, b) for i, a, b in pairs)

    def _random(self, key: str, one: Any, other: Any) -> bool:
        # Strings only: to compare nested values here would recurse into them.
        if not (isinstance(one, str) and isinstance(other, str)) or one == other:
            return False
        if key in self.random_keys:
            return True
        return key in _ID_KEYS and bool(_RANDOM.match(one) and _RANDOM.match(other))

    def _leaves(self, path: str, one: Any, other: Any) -> None:
        if self.same and isinstance(one, str) and isinstance(other, str) and self.same(one, other):
            return
        outcome = _leaf(path, one, other, self.options)
        self.outside += outcome.degree is Degree.DIFFERENT and _number(one) and _number(other)
        self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        self.names |= outcome.normalisers
        if outcome.degree > self.worst.degree:
            self.worst = outcome

    def outcome(self) -> Outcome:
        worst = self.worst
        if worst.degree <= Degree.NORMALISED:
            # Nothing differs but the order of keys.
            return normalised(*(self.names or {"json-layout"}))
        if self.outside > 1:
            said = f"{worst.message} ({self.outside} numbers differ)"
            worst = different(worst.code, said, worst.expected, worst.observed)
        return worst.plus(self.names)


def _below(path: str, step: str) -> str:
    """Return the path of a child; a path that got long stays as it is."""
    return path + excerpt(step) if len(path) < _LONGEST_PATH else path


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same as written: 1, 1.0 and true are three values."""
    try:
        return one == other and repr(one) == repr(other)
    except RecursionError:
        return False


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _leaf(path: str, one: Any, other: Any, options: CompareOptions) -> Outcome:
    if isinstance(one, str) and isinstance(other, str):
        outcome = compare_text(one, other, options, "showed")
        if outcome.degree is not Degree.DIFFERENT:
            return outcome
        said = f"{path}: {outcome.message}"
        return different(outcome.code, said, outcome.expected, outcome.observed)
    old, new = _shown(one), _shown(other)
    if old == new:
        return IDENTICAL
    said = f"{path} is {new}, the locked run's {old}"
    if _number(one) and _number(other):
        if close(old, new, options.rtol, options.atol):
            return Outcome(Degree.WITHIN)
        return different("outputs.number-differs", said, old, new)
    return different("outputs.text-differs", said, old, new)


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return excerpt(repr(value))


def _keys_differ(path: str, one: dict[str, Any], other: dict[str, Any]) -> Outcome:
    gone = sorted(str(k) for k in one if k not in other)
    come = sorted(str(k) for k in other if k not in one)
    parts = [f"lacks {', '.join(gone)}"] * bool(gone) + [f"adds {', '.join(come)}"] * bool(come)
    said = excerpt(f"{path} {' and '.join(parts)}")
    return different("outputs.text-differs", said, excerpt(str(gone)), excerpt(str(come)))
