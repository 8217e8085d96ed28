"""Reading TOML tables into facts: each reader says which key was wrong and what stood there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from reprolock.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "an array",
}


def need(table: Mapping[str, Any], key: str, kind: type[T], where: str) -> T:
    """Return ``table[key]``, which must be a *kind*; *where* names the table in the error."""
    if key not in table:
        raise LockError(f"the lock's {where} has no `{key}`", hint="capture the notebook again")
    return checked(table[key], kind, f"{where}.{key}")


def may(table: Mapping[str, Any], key: str, kind: type[T], where: str) -> T | None:
    return need(table, key, kind, where) if key in table else None


def checked(value: Any, kind: type[T], where: str) -> T:
    right = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if not right and not (kind is float and isinstance(value, int)):
        raise LockError(
            f"the lock's {where}: wanted {_NAMES.get(kind, kind.__name__)}, found {value!r:.80}",
            hint="capture the notebook again",
        )
    return cast("T", value)


def tables(table: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """Return the array of tables at *key*, empty where there is none."""
    found = may(table, key, list, where) or []
    return [checked(entry, dict, f"{where}.{key}[{i}]") for i, entry in enumerate(found)]


def without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return *table* without the keys whose value is None, which TOML cannot hold."""
    return {key: value for key, value in table.items() if value is not None}
