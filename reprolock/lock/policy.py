"""The part of a lock that a person may edit: tolerances, excused cells, normalisers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reprolock.errors import LockError
from reprolock.facts.reading import checked, may, tables
from reprolock.result import Tolerance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WHERE = "tool.reprolock.policy"
EXPLAINED = """\
# This table is yours: it is kept, comments and all, when the notebook is captured again.
#
# [tool.reprolock.policy.tolerances.accuracy]
# abs = 0.005                   # or rel = 0.01
# reason = "spread over five seeds"
#
# [[tool.reprolock.policy.excused]]
# cell = 3
# reason = "prints the weather"
"""


@dataclass(frozen=True)
class Excuse:
    cell: int | str
    reason: str


@dataclass(frozen=True)
class Policy:
    """*tolerances* by metric; *excused* cells, by index or id; *disabled* names of normalisers."""

    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    excused: tuple[Excuse, ...] = ()
    disabled: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def from_toml(table: Mapping[str, Any]) -> Policy:
    """Read ``[tool.reprolock.policy]``. Raises LockError naming the key that is wrong.

    Keys that mean nothing are listed in *unknown*.
    """
    tolerances = may(table, "tolerances", dict, _WHERE) or {}
    excused = tables(table, "excused", _WHERE)
    return Policy(
        tolerances={name: _tolerance(name, value) for name, value in tolerances.items()},
        excused=tuple(_excuse(entry) for entry in excused),
        disabled=tuple(
            checked(n, str, f"{_WHERE}.disabled-normalisers")
            for n in may(table, "disabled-normalisers", list, _WHERE) or ()
        ),
        unknown=tuple(_strangers(table)),
    )


def _strangers(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys that mean nothing: most of them are misspelt."""
    yield from (k for k in table if k not in ("tolerances", "excused", "disabled-normalisers"))
    for name, entry in table.get("tolerances", {}).items():
        yield from (f"tolerances.{name}.{k}" for k in entry if k not in ("abs", "rel", "reason"))
    for entry in table.get("excused", []):
        yield from (f"excused.{k}" for k in entry if k not in ("cell", "reason"))


def _tolerance(name: str, value: Any) -> Tolerance:
    where = f"{_WHERE}.tolerances.{name}"
    entry = checked(value, dict, where)
    limits = {}
    for key in ("abs", "rel"):
        limit = may(entry, key, float, where)
        if limit is not None and not 0 <= limit < float("inf"):
            raise LockError(
                f"the lock's {where}.{key}: wanted a finite number from 0, found {limit}"
            )
        limits[key] = None if limit is None else float(limit)
    if limits == {"abs": None, "rel": None}:
        raise LockError(f"the lock's {where} has neither `abs` nor `rel`")
    return Tolerance(**limits, source="policy")


def _excuse(entry: Mapping[str, Any]) -> Excuse:
    where = f"{_WHERE}.excused"
    cell = entry.get("cell")
    if not isinstance(cell, (int, str)) or isinstance(cell, bool):
        raise LockError(f"the lock's {where}.cell: wanted an index or an id, found {cell!r}")
    reason = may(entry, "reason", str, where)
    if not reason:
        raise LockError(
            f"the lock's {where} for cell {cell} has no `reason`",
            hint="a cell is excused only with a reason",
        )
    return Excuse(cell, reason)
