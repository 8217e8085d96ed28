"""What every fact family gives, and the Record that holds one value of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reprolock.finding import Finding

T = TypeVar("T")


class FamilyModule(Protocol):
    """The functions of a family's module, all of them pure.

    ``to_toml`` gives plain dicts, lists, strings, numbers and booleans, never None;
    ``from_toml`` raises LockError naming the key and what was found there;
    ``compare`` holds a second run against a first.
    """

    def to_toml(self, facts: Any, /) -> dict[str, Any]: ...
    def from_toml(self, table: dict[str, Any], /) -> Any: ...
    def compare(self, expected: Any, observed: Any, /) -> tuple[Finding, ...]: ...


@dataclass(frozen=True)
class Family:
    """*later*: the family came after the first release of the format, so that an older lock has no
    table of it; it is then read from an empty one.
    """

    name: str
    kind: type[Any]
    module: Any
    later: bool = False

    def to_toml(self, facts: Any) -> dict[str, Any]:
        table: dict[str, Any] = self.module.to_toml(facts)
        return table

    def from_toml(self, table: dict[str, Any]) -> Any:
        return self.module.from_toml(table)

    def compare(self, expected: Any, observed: Any) -> tuple[Finding, ...]:
        findings: tuple[Finding, ...] = self.module.compare(expected, observed)
        return findings


@dataclass(frozen=True)
class Record:
    """All facts of one run, by the class of each family's facts: ``record[Data]`` is a Data."""

    facts: Mapping[type[Any], Any]

    def __getitem__(self, kind: type[T]) -> T:
        value = self.facts[kind]
        if not isinstance(value, kind):
            raise TypeError(f"wanted {kind.__name__}, found {type(value).__name__}")
        return value
