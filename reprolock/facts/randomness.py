"""Random streams: seeded with what and where, or drawn from without a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reprolock.facts.reading import may, need, tables, without_none
from reprolock.finding import Finding, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WHERE = "tool.reprolock.randomness"


@dataclass(frozen=True)
class Stream:
    """One stream of random numbers. *seed* is the first one given, as text where it was no integer;
    *seeded_in* and *unseeded_in* are the cells of the first seeding and of the first unseeded draw.
    """

    library: str
    seed: int | str | None = None
    seeded_in: int | None = None
    unseeded_in: int | None = None


@dataclass(frozen=True)
class Randomness:
    """*hash_seed* is PYTHONHASHSEED as the kernel had it, None where it was left to chance."""

    streams: tuple[Stream, ...] = ()
    hash_seed: str | None = None

    @property
    def first_unseeded(self) -> int | None:
        """The first cell that drew from a stream without a seed."""
        cells = [s.unseeded_in for s in self.streams if s.unseeded_in is not None]
        return min(cells, default=None)


def parse(events: Iterable[Mapping[str, Any]], cell_of: Mapping[int, int]) -> Randomness:
    """Read the recorder's ``seed``, ``draw``, ``unseeded`` and ``interpreter`` events.

    *cell_of* maps the ordinal of a run cell to its index in the notebook.
    """
    seeds: dict[str, tuple[Any, int | None]] = {}
    unseeded: dict[str, int] = {}
    names: set[str] = set()
    hash_seed = None
    for event in events:
        kind = event.get("event")
        if kind == "interpreter":
            hash_seed = (event.get("environ") or {}).get("PYTHONHASHSEED")
        if kind not in ("seed", "draw", "unseeded"):
            continue
        name, cell = str(event.get("stream")), cell_of.get(event.get("n", -1))
        names.add(name)
        if kind == "seed" and event.get("seed") is not None:
            seeds.setdefault(name, (event["seed"], cell))
        elif kind != "seed" and cell is not None:
            unseeded.setdefault(name, cell)
    streams = tuple(
        Stream(name, *_seed(seeds.get(name)), unseeded_in=unseeded.get(name))
        for name in sorted(names)
    )
    fixed = hash_seed if hash_seed not in (None, "", "random") else None
    return Randomness(
        tuple(
            s
            for s in streams
            if s.seeded_in is not None or s.unseeded_in is not None or s.seed is not None
        ),
        fixed,
    )


def _seed(found: tuple[Any, int | None] | None) -> tuple[int | str | None, int | None]:
    if found is None:
        return None, None
    seed, cell = found
    # TOML integers have 64 bits; longer seeds are kept as text.
    small = isinstance(seed, int) and not isinstance(seed, bool) and -(2**63) <= seed < 2**63
    return (seed if small else str(seed)), cell


def to_toml(facts: Randomness) -> dict[str, Any]:
    return without_none(
        {
            "hash-seed": facts.hash_seed,
            "streams": [
                without_none(
                    {
                        "library": s.library,
                        "seed": s.seed,
                        "seeded-in": s.seeded_in,
                        "unseeded-in": s.unseeded_in,
                    }
                )
                for s in facts.streams
            ],
        }
    )


def from_toml(table: dict[str, Any]) -> Randomness:
    where = f"{_WHERE}.streams"
    return Randomness(
        streams=tuple(
            Stream(
                library=need(entry, "library", str, where),
                seed=_read_seed(entry, where),
                seeded_in=may(entry, "seeded-in", int, where),
                unseeded_in=may(entry, "unseeded-in", int, where),
            )
            for entry in tables(table, "streams", _WHERE)
        ),
        hash_seed=may(table, "hash-seed", str, _WHERE),
    )


def _read_seed(entry: Mapping[str, Any], where: str) -> int | str | None:
    if isinstance(entry.get("seed"), str):
        return may(entry, "seed", str, where)
    return may(entry, "seed", int, where)


def compare(expected: Randomness, observed: Randomness) -> tuple[Finding, ...]:
    old = {s.library: s for s in expected.streams}
    new = {s.library: s for s in observed.streams}
    findings = [
        f for name in sorted(old.keys() & new.keys()) for f in _changes(old[name], new[name])
    ]
    findings += [
        error(
            "randomness.newly-unseeded",
            _unseeded_text(s),
            subject=s.library,
            cell=s.unseeded_in,
            hint=f"seed {s.library} before the cell draws",
        )
        for name, s in sorted(new.items())
        if name not in old and s.unseeded_in is not None
    ]
    return tuple(findings)


def _changes(before: Stream, after: Stream) -> list[Finding]:
    findings = []
    if before.seed is not None and before.seed != after.seed:
        findings.append(
            error(
                "randomness.seed-changed",
                f"{before.library} was seeded with {before.seed}, now with {after.seed}",
                subject=before.library,
                cell=after.seeded_in,
                expected=before.seed,
                observed=after.seed,
            )
        )
    if before.unseeded_in is None and after.unseeded_in is not None:
        findings.append(
            error(
                "randomness.newly-unseeded",
                _unseeded_text(after),
                subject=after.library,
                cell=after.unseeded_in,
            )
        )
    return findings


def _unseeded_text(stream: Stream) -> str:
    return f"cell {stream.unseeded_in} draws from {stream.library} without a seed"


def weaknesses(facts: Randomness) -> tuple[Finding, ...]:
    """Return a warning per stream that the recorded run drew from without a seed."""
    return tuple(
        warning(
            "randomness.unseeded",
            _unseeded_text(s) + "; what follows from it is another each time",
            subject=s.library,
            cell=s.unseeded_in,
            hint=f"seed {s.library}, or state a tolerance with --tolerance NAME=VALUE",
        )
        for s in facts.streams
        if s.unseeded_in is not None
    )
