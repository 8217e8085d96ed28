"""Random streams: seeded with what and where, or drawn from without a seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_json
from reprolock.facts.reading import may, need, tables, without_none
from reprolock.finding import Finding, error, note, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WHERE = "tool.reprolock.randomness"
_NAMES = "uuid"
_MOST_SEEDINGS = 100

Seed = int | str
Seeding = tuple[Seed, int | None]


@dataclass(frozen=True)
class Stream:
    """One stream of random numbers. *seed* is the first one given, as text where it was no integer;
    *seeded_in* and *unseeded_in* are the cells of the first seeding and of the first unseeded draw.

    *reseeded* holds the seedings after the first, each a seed and its cell, in order. Of a stream
    with more than 100 seedings the first 100 are kept, and *seedings_sha256*, the SHA-256 of all
    its seeds in order, as canonical JSON.
    """

    library: str
    seed: Seed | None = None
    seeded_in: int | None = None
    unseeded_in: int | None = None
    reseeded: tuple[Seeding, ...] = ()
    seedings_sha256: str | None = None

    @property
    def seedings(self) -> tuple[Seeding, ...]:
        """All kept seedings, each a seed and its cell, in order."""
        return () if self.seed is None else ((self.seed, self.seeded_in), *self.reseeded)


@dataclass(frozen=True)
class Randomness:
    """*hash_seed* is PYTHONHASHSEED as the kernel had it, None where it was left to chance."""

    streams: tuple[Stream, ...] = ()
    hash_seed: str | None = None

    @property
    def first_unseeded(self) -> int | None:
        """The first cell that drew numbers without a seed.

        Identifiers by uuid are names: a number that came of one would show in its seed.
        """
        drawn = [s for s in self.streams if s.library != _NAMES]
        cells = [s.unseeded_in for s in drawn if s.unseeded_in is not None]
        return min(cells, default=None)


def parse(events: Iterable[Mapping[str, Any]], cell_of: Mapping[int, int]) -> Randomness:
    """Read the recorder's ``seed``, ``draw``, ``unseeded`` and ``interpreter`` events.

    *cell_of* maps the ordinal of a run cell to its index in the notebook.
    """
    seeds: dict[str, list[Seeding]] = {}
    unseeded: dict[str, int] = {}
    names: set[str] = set()
    hash_seed = None
    for event in events:
        kind = event.get("event")
        if kind == "interpreter":
            hash_seed = (event.get("environ") or {}).get("PYTHONHASHSEED")
        if kind not in ("seed", "draw", "unseeded"):
            continue
        name, cell = _stream_name(event), cell_of.get(event.get("n", -1))
        names.add(name)
        if kind == "seed" and event.get("seed") is not None:
            seeds.setdefault(name, []).append((_kept_seed(event["seed"]), cell))
        elif kind != "seed" and cell is not None:
            unseeded.setdefault(name, cell)
    streams = tuple(
        _stream(name, seeds.get(name, []), unseeded.get(name)) for name in sorted(names)
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


def _stream_name(event: Mapping[str, Any]) -> str:
    by_uuid = str(event.get("call", "")).startswith(f"{_NAMES}.")
    return _NAMES if by_uuid else str(event.get("stream"))


def _stream(name: str, seedings: list[Seeding], unseeded_in: int | None) -> Stream:
    if not seedings:
        return Stream(name, unseeded_in=unseeded_in)
    (seed, cell), *later = seedings[:_MOST_SEEDINGS]
    digest = None
    if len(seedings) > _MOST_SEEDINGS:
        digest = sha256_json([seed for seed, _ in seedings])
    return Stream(name, seed, cell, unseeded_in, tuple(later), digest)


def _kept_seed(seed: Any) -> Seed:
    # TOML integers have 64 bits; longer seeds are kept as text.
    small = isinstance(seed, int) and not isinstance(seed, bool) and -(2**63) <= seed < 2**63
    return seed if small else str(seed)


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
                        "seedings": _seedings_table(s),
                        "seedings-sha256": s.seedings_sha256,
                    }
                )
                for s in facts.streams
            ],
        }
    )


def _seedings_table(stream: Stream) -> list[dict[str, Any]] | None:
    if not stream.reseeded:
        return None
    return [without_none({"seed": seed, "cell": cell}) for seed, cell in stream.seedings]


def from_toml(table: dict[str, Any]) -> Randomness:
    where = f"{_WHERE}.streams"
    return Randomness(
        streams=tuple(_read_stream(entry, where) for entry in tables(table, "streams", _WHERE)),
        hash_seed=may(table, "hash-seed", str, _WHERE),
    )


def _read_stream(entry: dict[str, Any], where: str) -> Stream:
    seedings = tuple(
        (_read_seed(one, f"{where}.seedings"), may(one, "cell", int, f"{where}.seedings"))
        for one in tables(entry, "seedings", where)
    )
    return Stream(
        library=need(entry, "library", str, where),
        seed=_read_seed(entry, where) if "seed" in entry else None,
        seeded_in=may(entry, "seeded-in", int, where),
        unseeded_in=may(entry, "unseeded-in", int, where),
        reseeded=seedings[1:],
        seedings_sha256=may(entry, "seedings-sha256", str, where),
    )


def _read_seed(entry: Mapping[str, Any], where: str) -> Seed:
    if isinstance(entry.get("seed"), str):
        return need(entry, "seed", str, where)
    return need(entry, "seed", int, where)


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
    findings = _seed_changes(before, after)
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


def _seed_changes(before: Stream, after: Stream) -> list[Finding]:
    """Compare the seeds in order, not their cells: a cell that moved is the notebook's change."""
    if before.seed is None:
        return []
    old, new = before.seedings, after.seedings
    for (was, then), (now, here) in zip_longest(old, new, fillvalue=(None, None)):
        if was != now:
            # Where the seeding is gone, its old cell is the one to look at.
            return [_seed_changed(after, was, now, then if here is None else here)]
    if before.seedings_sha256 == after.seedings_sha256:
        return []
    return [
        error(
            "randomness.seed-changed",
            f"{after.library} was seeded otherwise after the first {len(old)} times",
            subject=after.library,
            expected=before.seedings_sha256,
            observed=after.seedings_sha256,
        )
    ]


def _seed_changed(stream: Stream, was: Seed | None, now: Seed | None, cell: int | None) -> Finding:
    if was is None:
        message = f"{stream.library} was not seeded again, now with {now}"
    else:
        later = "not any more" if now is None else f"with {now}"
        message = f"{stream.library} was seeded with {was}, now {later}"
    return error(
        "randomness.seed-changed",
        message,
        subject=stream.library,
        cell=cell,
        expected=was,
        observed=now,
    )


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
        if s.unseeded_in is not None and s.library != _NAMES
    )


def hash_order(expected: Randomness, observed: Randomness) -> tuple[Finding, ...]:
    """Say, where outputs differ in order, that the first run left that of sets to chance."""
    if expected.hash_seed is not None:
        return ()
    return (
        note(
            "randomness.hash-order",
            "PYTHONHASHSEED was not set in the recorded run: sets of texts have another order in "
            "each run",
            subject="PYTHONHASHSEED",
            expected=expected.hash_seed,
            observed=observed.hash_seed,
            hint="sort what comes out of a set, or capture with `reprolock capture NOTEBOOK`",
        ),
    )
