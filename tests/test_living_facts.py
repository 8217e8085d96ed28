"""What a living session leaves unfinished, joined or ambiguous is told. No kernel is started here."""

from __future__ import annotations

import json
import signal
import stat
import threading
import time
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from reprolock import notebooks
from reprolock.facts import data, notebook, session
from reprolock.kernel import living
from reprolock.living.cells import Execution, match
from reprolock.living.joining import join
from reprolock.living.journals import Journal
from reprolock.living.source import find
from reprolock.living.sources import ends_with_capture
from reprolock.living.uses import roles, uses
from reprolock.recorder.journal import Journal as Writer
from reprolock.verify.rerun import Unfinished, unfinished, without_later_outputs

if TYPE_CHECKING:
    from pathlib import Path

CAPTURE = "%reprolock capture"


def code(source: str, name: str | None = None, *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        **({"id": name} if name else {}),
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def page(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": list(cells)}


def journal_of(folder: Path, *sources: str | tuple[str, str | None], **more: Any) -> Journal:
    """Return the journal of a session that ran *sources*, each with the error it ended with."""
    events: list[dict[str, Any]] = [
        {"event": "start", "pid": 7, "at": more.pop("at", 100.0)},
        {"event": "living", "known": 0, "unknown": 0, "folder": str(folder)},
        {
            "event": "packages",
            "distributions": [{"name": n, "version": v} for n, v in more.items()],
        },
    ]
    for n, one in enumerate(sources):
        source, error = (one, None) if isinstance(one, str) else one
        events += [
            {"event": "cell-start", "n": n, "source": source, "count": n + 1, "at": 100.0 + n},
            {"event": "cell-end", "n": n, "ok": error is None, "error": error},
        ]
    return Journal(folder / "7-1.jsonl", tuple(events))


def with_events(journal: Journal, *events: dict[str, Any]) -> Journal:
    return Journal(journal.path, (*journal.events, *events))


def saved(folder: Path, *cells: dict[str, Any]) -> Path:
    path = folder / "n.ipynb"
    path.write_text(json.dumps(page(*cells)))
    return path


def joined(folder: Path, journal: Journal, *cells: dict[str, Any], earlier: Any = ()) -> Any:
    return join(journal, earlier, find(saved(folder, *cells), journal, None), "live")


# Cells that did not run to their end


def test_cells_that_raised_and_cells_that_were_interrupted_are_facts(tmp_path):
    sources = [("a", "NameError"), ("b", "ValueError"), ("c", "KeyboardInterrupt"), "d"]
    sources.append((CAPTURE, "KeyboardInterrupt"))
    cells = [code("a"), code("b", None, "raises-exception"), code("c"), code("d"), code(CAPTURE)]
    facts = joined(tmp_path, journal_of(tmp_path, *sources), *cells).seen.session
    assert (facts.raised, facts.interrupted) == ((0,), (2,))
    told = {f.code: f.message for f in session.weaknesses(facts, {0: "NameError"})}
    assert "cell 0 ended with NameError, and the session went on" in told["session.cells-raised"]
    assert "cell 2 was interrupted" in told["session.cells-interrupted"]
    assert set(told) <= {f.code for f in session.compare(facts, session.Session())}


def test_a_cell_that_ran_well_in_the_end_did_not_raise(tmp_path):
    facts = joined(tmp_path, journal_of(tmp_path, ("a", "NameError"), "a"), code("a")).seen.session
    assert (facts.raised, facts.interrupted) == ((), ())


def test_of_a_cell_that_ran_before_the_recording_its_stored_outputs_tell_the_error(tmp_path):
    journal = journal_of(tmp_path, "a")
    journal.events[3]["via"] = "history"
    output = {"output_type": "error", "ename": "NameError", "evalue": "", "traceback": []}
    cell = {**code("a"), "outputs": [output], "execution_count": 1}
    seen = joined(tmp_path, journal, cell).seen
    assert seen.raised == {0: "NameError"}
    assert seen.session.raised == (0,)


def lock(mode: str, *errors: str | None, **facts: tuple[int, ...]) -> Any:
    cells = tuple(notebook.Cell(i, "code", "0", raised=one) for i, one in enumerate(errors))
    record = {
        session.Session: session.Session(mode, **facts),  # type: ignore[arg-type]
        notebook.Notebook: notebook.Notebook("n.ipynb", "0", None, None, cells),
    }
    return SimpleNamespace(record=record)


def test_an_older_lock_tells_by_its_cells_what_raised():
    errors = ("NameError", None, "KeyboardInterrupt", "ValueError")
    cells = [code("a"), code("b"), code("c"), code("d", None, "raises-exception")]
    assert unfinished(lock("live", *errors), cells) == Unfinished(frozenset({0}), frozenset({2}))
    assert unfinished(lock("headless", *errors), cells) == Unfinished()
    told = unfinished(lock("live", None, raised=(0,)), cells)
    assert told == Unfinished(frozenset({0}), frozenset())


# The cell that asks for the lock


@pytest.mark.parametrize(
    ("source", "ends"),
    [
        (f"x = 1\n{CAPTURE}", True),
        (f"x = 1\n{CAPTURE}  # the lock\n\n# done", True),
        ("x = 1\n!reprolock capture --offline", True),
        ("import reprolock\nfound = reprolock.capture(\n    offline=True,\n)", True),
        ("x = 1\nreprolock.capture();", True),
        ("x = 1\nreprolock.capture()", False),  # its value is shown after that
        (f"{CAPTURE}\nprint('later')", False),
        (f"for i in range(3):\n    {CAPTURE}", False),
        ("print(reprolock.capture())", False),
        ("save()", False),
    ],
)
def test_whether_a_cell_ends_with_the_capture(source, ends):
    assert ends_with_capture(source) is ends


def test_a_cell_that_goes_on_after_the_capture_is_told(tmp_path):
    source = f"print('a')\n{CAPTURE}\nprint('b')"
    journal = journal_of(tmp_path, "x = 1", source)
    running = Journal(journal.path, journal.events[:-1])
    asked = with_events(running, {"event": "snapshot", "n": 1, "names": {}})
    facts = joined(tmp_path, asked, code("x = 1"), code(source)).seen.session
    assert facts.captured_within == (1,)
    (told,) = session.weaknesses(facts)
    assert told.code == "session.captured-within-cell"
    ended = with_events(journal, {"event": "snapshot", "n": 1, "names": {}})
    assert not joined(tmp_path, ended, code("x = 1"), code(source)).seen.session.captured_within


def test_what_it_put_out_later_is_not_compared():
    def stream(text: str, name: str = "stdout") -> dict[str, Any]:
        return {"output_type": "stream", "name": name, "text": text}

    shown = {"output_type": "display_data", "data": {"text/plain": "1"}, "metadata": {}}
    old = [{**code("a"), "outputs": [stream("one\n"), shown, stream("two\n")]}, code("b")]
    new = [
        {**code("a"), "outputs": [stream("1\n"), shown, stream("two\nthree\n"), shown]},
        {**code("b"), "outputs": [stream("four\n")]},
    ]
    without_later_outputs(lock("live", None, None, captured_within=(0,)), old, new)
    assert new[0]["outputs"] == [stream("1\n"), shown, stream("two\n")]
    assert new[1]["outputs"] == [stream("four\n")]


# Cells that ran unseen: their source is all that tells


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("e = pd.read_csv('f')", ["read"]),
        ("e = pd.read_csv(\n  filepath_or_buffer='f')", ["read"]),
        ("json.load(open('f'))", ["read"]),
        ("open('f', mode).read()", [None]),
        ("with open('f', 'w') as out: out.write('x')", ["write"]),
        ("gzip.open('f', 'rt')", ["read"]),
        ("open('f', mode='a')", ["write"]),
        ("Path('f').open('wb')", ["write"]),
        ("t = Path('f').read_text()", ["read"]),
        ("Path('f').write_text('x')", ["write"]),
        ("h5py.File('f', 'w'); h5py.File('f')", ["write", "read"]),
        ("p = 'f'\nnp.savetxt(p, a)", [None, "write"]),
        ("p = Path('f')\nif p.exists(): m = torch.load(p)", [None, "ask", "read"]),
        ("Image.open('f'); cv2.imread('f'); np.load('f')", ["read"] * 3),
        ("joblib.dump(m, 'f'); plt.savefig('f')", ["write"] * 2),
        ("pd.read_csv('f').to_csv('f')", ["read", "write"]),
        ("pd.concat([pd.read_csv(n) for n in ['f']])", [None]),
        ("%%writefile f\nx", ["write"]),
        ("train('f')", [None]),
        ("no python 'f'", []),
    ],
)
def test_what_a_source_does_with_a_file(source, kinds):
    assert [use.kind for use in uses(source) if use.text == "f"] == kinds


def test_a_name_that_an_earlier_cell_gave_to_a_file():
    names: dict[str, str] = {}
    uses("p = 'f'", names)
    assert [use.kind for use in uses("df.to_csv(p)", names)] == ["write"]
    uses("p = found", names)
    assert uses("df.to_csv(p)", names) == []


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["read"], (True, False)),
        ([None], (True, False)),
        (["ask", "read"], (True, False)),
        ([None, "write"], (False, True)),
        (["write", "read"], (False, True)),
        (["read", "write"], (True, True)),
        (["ask", "read", "write"], (False, True)),
    ],
)
def test_whether_a_young_file_was_read_first(kinds, expected):
    assert roles(kinds) == expected


def unseen(journal: Journal) -> Journal:
    for event in journal.events:
        if event["event"] == "cell-start":
            event["via"] = "history"
    return journal


def test_young_files_of_unseen_cells_have_the_role_that_the_source_gives(tmp_path):
    for name in ("old.csv", "fresh.csv", "out.csv", "counts.csv", "some.bin"):
        (tmp_path / name).write_text("n\n1\n")
    begun = (tmp_path / "old.csv").stat().st_ctime - 10
    source = (
        "d = read_csv('fresh.csv')\nd.to_csv('out.csv')\nc = read_csv('counts.csv')\n"
        "c.to_csv('counts.csv')\nf('some.bin')"
    )
    journal = unseen(journal_of(tmp_path, source, at=begun))
    found = joined(tmp_path, journal, code(source))
    files, _ = data.parse(found.seen.events, {0: 0}, data.Places(tmp_path))
    assert {f.name: (f.role, f.overwritten) for f in files.files} == {
        "fresh.csv": ("input", False),
        "out.csv": ("output", False),
        "counts.csv": ("input", True),
        "some.bin": ("input", False),
    }
    told = [f.subject for f in found.findings if f.code == "data.role-from-source"]
    assert told == ["fresh.csv", "some.bin"]
    before = unseen(journal_of(tmp_path, source, at=begun + 1000))
    found = joined(tmp_path, before, code(source))
    files, _ = data.parse(found.seen.events, {0: 0}, data.Places(tmp_path))
    assert {f.role for f in files.files} == {"input"}
    assert "data.role-from-source" not in {f.code for f in found.findings}


def test_a_notebook_that_was_not_saved_since_it_ran_is_asked_to_be_saved(tmp_path):
    journal = unseen(journal_of(tmp_path, "print(1)"))
    found = joined(tmp_path, journal, code("print(1)"))
    told = {f.code: f for f in found.findings}
    assert told["session.outputs-unsaved"].hint == "save the notebook, and capture again"
    assert found.seen.session.outputs_unseen == (0,)
    silent = {**code("print(1)"), "execution_count": 1}
    found = joined(tmp_path, journal, silent)
    assert "session.outputs-unsaved" not in {f.code for f in found.findings}


# Joined kernels, and ids that tell nothing


def test_packages_of_another_version_in_the_earlier_kernel_are_told(tmp_path):
    before = journal_of(tmp_path, "a", at=50.0, NumPy="1.26", six="1.0", gone="3")
    installed = {"name": "six", "before": "1.0", "after": "1.1"}
    before = with_events(before, {"event": "installed", "n": 0, "distributions": [installed]})
    now = journal_of(tmp_path, "b", numpy="2.0", six="1.1", new="1")
    facts = joined(tmp_path, now, code("a"), code("b"), earlier=[before]).seen.session
    versions = facts.breaks[0].versions
    assert versions == ("gone 3 (locked: none)", "numpy 1.26 (locked: 2.0)")
    told = {f.code: f.message for f in session.weaknesses(facts)}
    assert told["session.packages-differ"] == (
        "cell 0 ran with other versions than the locked ones: " + ", ".join(versions)
    )
    assert "session.packages-differ" in {f.code for f in session.compare(facts, session.Session())}


def test_an_id_that_two_cells_have_gives_neither_the_outputs_of_the_other(tmp_path):
    cells = [code("a = 1", "same"), code("b = 2", "same"), code("c = 3", "own")]
    node = notebooks.parse(tmp_path / "n.ipynb", json.dumps(page(*cells)).encode()).node
    ran = [Execution(0, "a = 1", "same"), Execution(1, "b = 2", "same"), Execution(2, "d", "own")]
    assert match(node, ran, None).index_of == {0: 0, 1: 1, 2: 2}
    edited = [Execution(0, "new = 1", "same", at=9.0)]
    found = match(node, edited, 5.0)
    assert [cell["source"] for cell in found.node.cells].count("new = 1") == 1
    assert len(found.node.cells) == 4


# The notebook of a page


def on_the_page(folder: Path, *sources: str) -> Journal:
    content = page(*(code(source) for source in sources))
    told = {"event": "notebook", "path": None, "name": "p.ipynb", "content": content, "how": "page"}
    return with_events(journal_of(folder, *sources), told)


def test_the_notebook_of_a_page_takes_no_place_of_another_file(tmp_path):
    journal = on_the_page(tmp_path, "a = 1")
    found = find(None, journal, None)
    assert (found.path.name, found.to_write) == ("p.ipynb", True)
    (tmp_path / "p.ipynb").write_text(json.dumps(page(code("mine"))))
    found = find(None, journal, None)
    assert (found.path.name, found.to_write) == ("p-captured.ipynb", True)
    assert "session.notebook-named-otherwise" in {f.code for f in found.findings}
    (tmp_path / "p.ipynb").write_text(json.dumps(page(code("a = 1"))))
    found = find(None, journal, None)
    assert (found.path.name, found.to_write) == ("p.ipynb", False)


def test_a_notebook_that_the_last_capture_wrote_is_written_again(tmp_path):
    from reprolock.digest import sha256_bytes

    (tmp_path / "p.ipynb").write_text(json.dumps(page(code("old"))))
    digest = sha256_bytes((tmp_path / "p.ipynb").read_bytes())
    (tmp_path / "pylock.p.toml").write_text(
        f'[tool.reprolock.notebook]\npath = "p.ipynb"\nreference-sha256 = "{digest}"\n'
    )
    found = find(None, on_the_page(tmp_path, "a = 1"), None)
    assert (found.path.name, found.to_write) == ("p.ipynb", True)


# The recorder


def test_an_interrupt_while_the_recorder_works_reaches_the_code_that_called_it(tmp_path):
    assert threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    journal = Writer(str(tmp_path / "j.jsonl"))
    try:
        with pytest.raises(KeyboardInterrupt) as found:
            _calls(journal)
    finally:
        signal.signal(signal.SIGINT, handler)
        journal.close()
    files = {frame.filename for frame in traceback.extract_tb(found.value.__traceback__)}
    assert files == {__file__}


def _calls(journal: Writer) -> None:
    assert journal.guard("test", signal.raise_signal, signal.SIGINT) is None
    time.sleep(30)


def test_the_notebooks_own_handler_is_called_once(tmp_path):
    calls = []

    def own(*_: Any) -> None:
        calls.append(1)
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGINT, own)
    journal = Writer(str(tmp_path / "j.jsonl"))
    try:
        with pytest.raises(KeyboardInterrupt):
            journal.guard("test", signal.raise_signal, signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, handler)
        journal.close()
    assert calls == [1]


def test_journals_are_for_their_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLOCK_CACHE", str(tmp_path / "cache"))
    path = living._new_journal()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
