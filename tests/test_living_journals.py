"""The journal of a living kernel lies on disk, where anything may happen to it: none is too broken."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprolock import lock, notebooks
from reprolock.errors import ReprolockError
from reprolock.facts import Record, hardware, packages, session
from reprolock.living.joining import Joined, join
from reprolock.living.journals import earlier_than, in_folder, read
from reprolock.living.source import find
from reprolock.recorder.journal import Journal as Writer
from reprolock.run import record_of, troubles
from reprolock.told import summary, weaknesses

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

SOURCES = ["%load_ext reprolock", "x = 1", "print(x)", "", "gone = 2"]
IDS = ["c0", "c1", "c2", "c3"]
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {
            "cell_type": "markdown" if index == 3 else "code",
            "id": name,
            "metadata": {},
            "source": SOURCES[index],
            **({} if index == 3 else {"outputs": [], "execution_count": None}),
        }
        for index, name in enumerate(IDS)
    ],
}
Event = dict[str, Any]


def whole(folder: str, *, pid: int = 7, at: float = 100.0) -> list[Event]:
    """Return the events of a session, of each kind that a recorder writes one at least."""
    events: list[Event] = [
        {"event": "start", "format": 1, "python": [3, 11, 7], "pid": pid, "live": True, "at": at},
        {"event": "interpreter", "version": "3.11.7", "build": ["main"], "environ": {"LANG": "C"}, "flags": {"debug": 0}},
        {"event": "packages", "when": "start", "distributions": [{"name": "a", "version": "1"}]},
        {"event": "living", "known": 0, "unknown": 1, "folder": folder, "session": "n.ipynb", "kernel": "k"},
        {"event": "system", "os": {"id": "debian"}, "libc": ["glibc", "2"], "platform_signs": {"colab": False}, "libraries": []},
        {"event": "hardware", "cpu": {"model": "m", "cores_logical": 2, "flags": ["avx"]}, "memory_bytes": 9, "torch": {"version": "2"}},
    ]  # fmt: skip
    for n, source in enumerate(SOURCES):
        events += [
            {"event": "cell-start", "n": n, "source": source, "source_sha256": "0", "cell_id": f"c{n}", "count": n + 1, "at": at + n},
            *_within(folder, n),
            {"event": "names", "n": n, "bound": [f"x{n}"], "gone": []},
            {"event": "cell-end", "n": n, "ok": True, "error": None},
        ]  # fmt: skip
    return [
        *events,
        {"event": "modules", "loaded": {"a": "1"}},
        {"event": "memory-differs", "modules": [{"module": "a", "distribution": "a", "memory": "1", "disk": "2"}]},
        {"event": "notebook", "path": None, "content": None, "name": "n.ipynb", "how": "", "problems": ["p"]},
        {"event": "snapshot", "n": 4, "names": {"x1": "int"}, "lost": 0, "threads": ["t"], "tasks": [], "processes": ["sleep"]},
    ]  # fmt: skip


def _within(folder: str, n: int) -> list[Event]:
    file = {"event": "file", "n": n, "via": "open", "size": 1, "mtime_ns": 5, "ino": 3}
    shown = {"data": {"text/plain": "1", "application/json": {"a": [1]}}, "metadata": {}}
    return [
        {**file, "op": "read", "path": f"{folder}/n.ipynb"},
        {**file, "op": "rename", "path": f"{folder}/a{n}", "to": f"{folder}/b{n}", "real": f"{folder}/a"},
        {"event": "folder", "n": n, "path": f"{folder}/out"},
        {"event": "seed", "n": n, "stream": "random", "call": "random.seed", "seed": 7},
        {"event": "draw", "n": n, "stream": "numpy", "seeded": False},
        {"event": "metric", "n": n, "name": f"m{n}", "value": 0.5, "dtype": "float", "source": "api"},
        {"event": "metric-error", "n": n, "name": "bad", "error": "E"},
        {"event": "mark", "n": n, "kind": "checkpoint", "path": f"{folder}/b{n}"},
        {"event": "command", "n": n, "number": n, "asked": "pip install a", "kinds": ["pip"], "via": "shell", "answered": False},
        {"event": "command-end", "number": n, "status": 0, "requirements": ["a"], "elsewhere": False, "unread": []},
        {"event": "installed", "n": n, "distributions": [{"name": "a", "before": None, "after": "1"}], "system": []},
        {"event": "output", "n": n, "type": "stream", "content": {"name": "stdout", "text": "t"}},
        {"event": "output", "n": n, "type": "display_data", "content": {**shown, "transient": {"display_id": "d"}}},
        {"event": "output", "n": n, "type": "update_display_data", "content": {**shown, "transient": {"display_id": "d"}}},
        {"event": "output", "n": n, "type": "clear_output", "content": {"wait": True}},
        {"event": "output", "n": n, "type": "execute_result", "content": {**shown, "execution_count": 1}},
        {"event": "output", "n": n, "type": "error", "content": {"ename": "E", "evalue": "v", "traceback": ["t"]}},
        {"event": "output-cut", "n": n, "kept": 5},
        {"event": "may-have-missed", "n": n, "family": "data", "reason": "r"},
        {"event": "trouble", "where": "data", "message": "m"},
    ]  # fmt: skip


def lines(events: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def taken(folder: Path, journal: bytes, before: bytes, mode: str = "journal") -> Joined:
    """Go the whole way from the two journals to a lock, and read the lock again."""
    (folder / "n.ipynb").write_text(json.dumps(NOTEBOOK))
    (folder / "6-1.jsonl").write_bytes(before)
    (folder / "7-2.jsonl").write_bytes(journal)
    found = in_folder(folder)[-1]
    earlier = earlier_than(found, [folder])
    joined = join(found, earlier, find(folder / "n.ipynb", found, None), mode)
    record, _ = record_of(joined.seen, packages.Packages(), hardware.Gpus())
    assert isinstance(record, Record)
    assert summary(record) is not None
    _ = (*weaknesses(record), *troubles(joined.seen), *joined.findings)
    notebooks.parse(folder / "n.reference.ipynb", notebooks.to_bytes(joined.node))
    path = folder / "pylock.n.toml"
    lock.write(record, path, created=dt.datetime.now(dt.timezone.utc), beside={})
    assert lock.read(path).record[session.Session] == record[session.Session]
    return joined


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPROLOCK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_whole_journal_is_joined_with_the_one_before(place):
    joined = taken(place, lines(whole(str(place))), lines(whole(str(place), pid=6, at=50.0)))
    assert joined.seen.problems == ()
    assert joined.seen.session.unknown == 1
    assert joined.seen.session.out_of_order == ()
    only_some = [event for event in whole(str(place)) if event.get("n") not in (1, 2)]
    joined = taken(place, lines(only_some), lines(whole(str(place), pid=6, at=50.0)))
    (one,) = joined.seen.session.breaks
    assert one.cells == (1, 2)
    told = {event["event"] for event in joined.seen.events if event.get("n") in (0, 1)}
    assert {"command", "installed", "mark", "output"} <= told


def test_files_of_a_superseded_run_are_left_out_however_late_they_reach_the_disk(place):
    """Cell 1 wrote a, b, c and d; edited, it ran again as n 3."""
    sources = ["%load_ext reprolock", "open('a', 'w')", "print(x)", "open('n', 'w')"]
    path = {name: str(place / name) for name in "abcdno"}
    for name in path.values():
        Path(name).write_text("x")
    file = {"event": "file", "op": "write", "size": 1, "mtime_ns": 5, "ino": 3, "via": "open"}
    files = {
        1: [
            {**file, "path": path["a"]},
            {**file, "path": path["b"]},
            {**file, "path": path["c"]},
            {**file, "op": "rename", "path": path["d"] + "0", "to": path["d"]},
        ],
        3: [
            {**file, "path": path["n"]},
            {**file, "path": path["b"]},
            {**file, "path": path["a"], "via": "inotify", "late": True},
            {**file, "path": path["b"], "via": "inotify", "late": True},
            {**file, "path": path["o"], "via": "inotify", "late": True},
        ],
    }
    events = whole(str(place))[:6]
    for n, source in enumerate(sources):
        cell = f"c{1 if n == 3 else n}"
        events += [
            {"event": "cell-start", "n": n, "source": source, "cell_id": cell, "count": n + 1, "at": 100.0 + n},
            *({**one, "n": n} for one in files.get(n, [])),
            {"event": "cell-end", "n": n, "ok": True, "error": None},
        ]  # fmt: skip
        if n == 2:
            events.append({**file, "path": path["c"], "n": None, "via": "inotify"})
    joined = taken(place, lines(events), b"")
    told = [e.get("to") or e["path"] for e in joined.seen.events if e["event"] == "file"]
    assert sorted(told) == [path["b"], path["b"], path["n"], path["o"]]


@pytest.mark.parametrize(
    "step", [401, pytest.param(3, marks=pytest.mark.slow)], ids=["some bytes", "most bytes"]
)
def test_a_journal_that_is_cut_off_anywhere_is_read_up_to_there(place, step):
    text = lines(whole(str(place)))
    before = lines(whole(str(place), pid=6, at=50.0))
    told = text.index(b'"living"')
    for end in range(len(text), 0, -step):
        if text[told:end].count(b"\n") < 1:
            break  # Nothing says yet whose it is.
        joined = taken(place, text[:end], before)
        torn = b"\n" not in text[end - 1 : end + 1]  # a whole line that only lacks its end is read
        assert bool(joined.seen.problems) is torn
    for end in range(0, told, step):
        with pytest.raises(ReprolockError):
            taken(place, text[:end], b"")


HOSTILE = [
    None, True, 0, 1, -1, 7, 10**400, -(10**30), 2**63, 1.5, float("nan"), float("inf"),
    "", "x", "/", "..", "\ud800", "\0", "a" * 5000, [], [1], [[]], ["x", None], {}, {"a": 1},
    {"text/plain": 3}, {"text/plain": ["a"]}, {"": {}}, [{}], "history", "read", "rename",
    "stream", "cell-start", "nan", "/dev/zero",
]  # fmt: skip


def places_in(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # fmt: skip
    for key, one in children:
        found += places_in(one, (*at, key))
    return found


def damaged(events: list[Event], chance: random.Random) -> bytes:
    """Return a journal with a few values, lines or bytes that are not what they were."""
    events = copy.deepcopy(events)
    for _ in range(chance.randint(1, 4)):
        event = chance.choice(events)
        at = chance.choice(places_in(event) or [("event",)])
        holder = event
        for key in at[:-1]:
            holder = holder[key]
        kind = chance.random()
        if kind < 0.1:
            chance.shuffle(events)
        elif kind < 0.2:
            events.insert(chance.randrange(len(events)), chance.choice(events))
        elif kind < 0.3 and len(events) > 1:
            events.remove(event)
        elif kind < 0.4 and isinstance(holder, dict):
            del holder[at[-1]]
        else:
            holder[at[-1]] = chance.choice(HOSTILE)
    text = lines(events)
    if chance.random() < 0.2:
        start = chance.randrange(len(text))
        text = text[:start] + chance.randbytes(9) + text[start + chance.randrange(30) :]
    return text


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.sampled_from(["live", "journal"]))
def test_no_value_in_a_journal_breaks_a_capture(chance, mode):
    with tempfile.TemporaryDirectory() as name:
        before = damaged(whole(name, pid=6, at=50.0), chance)
        journal = damaged(whole(name), chance)
        with contextlib.suppress(ReprolockError):  # when nothing is left of what it is of
            taken(Path(name), journal, before, mode)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=30) | st.sampled_from(lines(whole("/tmp")).splitlines())))
def test_lines_that_are_no_events_are_left_out_and_told(parts):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "7-1.jsonl")
        path.write_bytes(b"\n".join(parts))
        journal = read(path)
    assert all(isinstance(event["event"], str) for event in journal.events)


# What writes it


def test_what_the_disk_has_no_room_for_is_written_when_there_is_room(tmp_path, monkeypatch):
    journal = Writer(str(tmp_path / "7-1.jsonl"))
    room = [1000]
    write = os.write

    def on_a_small_disk(handle: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        done = write(handle, data[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(os, "write", on_a_small_disk)
    for n in range(100):
        journal.write("cell-start", n=n, source="x" * 50)
    assert journal.unwritten > 80
    room[0] = 1 << 20
    journal.write("end")
    assert journal.unwritten == 0
    found = read(tmp_path / "7-1.jsonl")
    assert [event.get("n") for event in found.events] == [*range(100), None]
    assert found.problems == ()


def test_what_no_memory_should_hold_is_lost_and_counted(tmp_path, monkeypatch):
    journal = Writer(str(tmp_path / "7-1.jsonl"))
    monkeypatch.setattr("reprolock.recorder.journal._MOST_WAITING", 500)
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda _handle, _data: 0)
        for n in range(100):
            journal.write("cell-start", n=n, source="x" * 50)
    journal.write("end")
    assert journal.unwritten > 80
    left = read(tmp_path / "7-1.jsonl").events
    assert [event.get("n") for event in left] == [0, 1, 2, 3, 4, None]
