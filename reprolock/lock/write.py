"""Writing a lock with tomlkit, so that the policy keeps its comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import tomlkit

from reprolock.errors import LockError
from reprolock.facts import FAMILIES
from reprolock.facts.interpreter import Interpreter
from reprolock.facts.packages import Packages, to_pylock
from reprolock.files import write_all
from reprolock.lock.model import FORMAT, content_digest
from reprolock.lock.policy import EXPLAINED

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    from reprolock.facts import Record

# Addresses and digests stand as literal strings: tomllib reads a basic string by the character.
_LONG = 40
_NOT_LITERAL = re.compile(r"['\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def write(record: Record, path: Path, *, created: dt.datetime, beside: Mapping[Path, bytes]) -> str:
    """Write *record* to *path* together with the files *beside* it, all of them or none.

    Returns the digest of the lock's content. The policy of a lock that is there already is carried
    over, comments included.
    """
    text, digest = dumps(record, created=created, policy=_policy_of(path))
    write_all({**beside, path: text.encode()})
    return digest


def dumps(record: Record, *, created: dt.datetime, policy: str | None = None) -> tuple[str, str]:
    """Return the lock's text and the digest of its content. *policy* is TOML text to append."""
    document = _document(record)
    digest = content_digest(document)
    ours = {"format": FORMAT, "created": created.replace(microsecond=0), "digest": digest}
    document["tool"]["reprolock"] = {**ours, **document["tool"]["reprolock"]}
    return tomlkit.dumps(_toml(document)) + "\n" + (policy or _blank_policy()), digest


def _document(record: Record) -> dict[str, Any]:
    interpreter = record[Interpreter]
    families = {family.name: family.to_toml(record[family.kind]) for family in FAMILIES}
    return {
        "lock-version": "1.0",
        "environments": list(interpreter.environments),
        "requires-python": interpreter.requires_python,
        "created-by": "reprolock",
        "packages": to_pylock(record[Packages]),
        "tool": {"reprolock": {"format": FORMAT, **families}},
    }


def pylock_packages(record: Record) -> list[dict[str, Any]]:
    """Return the ``[[packages]]`` of the record, as PEP 751 has them."""
    return to_pylock(record[Packages])


def _blank_policy() -> str:
    return "[tool.reprolock.policy]\n" + EXPLAINED


def _policy_of(path: Path) -> str | None:
    """Return the text of the policy tables of the lock at *path*, None where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise LockError(
            f"cannot read the lock that is there already, {path}",
            causes=(str(exc),),
            hint="move it away: its policy could not be kept",
        ) from exc
    start = text.find("[tool.reprolock.policy")
    if start < 0:
        return None
    # Its own header lines come last in every lock that reprolock writes.
    kept = text[text.rfind("\n", 0, start) + 1 :]
    try:
        found = tomlkit.parse(kept).unwrap()
    except Exception as exc:
        raise LockError(
            f"the policy of the lock that is there already does not parse, {path}",
            causes=(str(exc),),
            hint="mend it or move it away: it could not be kept",
        ) from exc
    if (
        found.keys() != {"tool"}
        or found["tool"].keys() != {"reprolock"}
        or (found["tool"]["reprolock"].keys() != {"policy"})
    ):
        raise LockError(
            f"the policy in {path} is not the last table of the file",
            hint="move [tool.reprolock.policy] to the end, so that it can be kept",
        )
    return kept


def _toml(value: Any) -> Any:
    """Return *value* as tomlkit items: lists of tables become arrays of tables."""
    document = tomlkit.document()
    for key, entry in value.items():
        document.add(key, _item(entry, inline=False))
    return document


def _item(value: Any, *, inline: bool) -> Any:
    if isinstance(value, dict):
        table = tomlkit.inline_table() if inline else tomlkit.table()
        for key, entry in _scalars_first(value):
            table.add(key, _item(entry, inline=inline or _by_name(value)))
        return table
    if isinstance(value, (list, tuple)):
        return _array(value, inline=inline)
    if isinstance(value, str) and len(value) > _LONG and not _NOT_LITERAL.search(value):
        return tomlkit.string(value, literal=True)
    return tomlkit.item(value)


def _scalars_first(table: dict[str, Any]) -> list[tuple[str, Any]]:
    """Plain keys have to stand before the sub-tables, or they would be read as theirs."""
    return sorted(table.items(), key=lambda pair: _is_nested(pair[1]))


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, dict) for v in value)
    )


def _array(values: Any, *, inline: bool) -> Any:
    nested = bool(values) and all(isinstance(v, dict) for v in values)
    if nested and not inline and not _small(values):
        tables = tomlkit.aot()
        for entry in values:
            tables.append(_item(entry, inline=False))
        return tables
    array = tomlkit.array()
    for entry in values:
        array.append(_item(entry, inline=True))
    return array.multiline(multiline=len(values) > 1 and nested)


def _by_name(table: dict[str, Any]) -> bool:
    """Facts by distribution read better as one line each."""
    return len(table) > 0 and all(isinstance(v, dict) and "evidence" in v for v in table.values())


def _small(values: Any) -> bool:
    """Wheels of a package and libraries read better as one line each than as tables."""
    return all(v.keys() <= {"name", "sha256", "owner"} or "hashes" in v for v in values)
