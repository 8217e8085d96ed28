"""A living kernel of a real Jupyter server becomes a lock, and the lock verifies elsewhere."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import toml
from tests.servers import server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOAD = "%load_ext reprolock"
CAPTURE = "%reprolock capture"
SEEDED = "import random\nrandom.seed(7)\nrows = open('data.csv').read().split()"
METRIC = "score = random.random()\nprint('score:', score)"


@pytest.fixture
def work(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebooks' folder, with a file of data. Journals go to a cache of the test's own."""
    monkeypatch.setenv("REPROLOCK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    for name in ("identified", "hashed"):
        (shared_cache / name).mkdir(exist_ok=True)
        (tmp_path / "cache" / name).symlink_to(shared_cache / name)
    folder = tmp_path / "my wörk"
    folder.mkdir()
    (folder / "data.csv").write_text("a,b\n1,2\n")
    return folder


@contextmanager
def opened(tmp_path: Path, work: Path, cells: list[str], name: str = "n.ipynb") -> Iterator[Any]:
    with server(tmp_path, work) as jupyter, jupyter.notebook(name, cells) as notebook:
        yield notebook


def run_all(notebook: Any, *, until: int | None = None) -> None:
    for index in range(len(notebook.content["cells"]) if until is None else until):
        assert notebook.run(index).status == "ok"


def lock_of(work: Path, stem: str = "n") -> dict[str, Any]:
    return dict(toml((work / f"pylock.{stem}.toml").read_text())["tool"]["reprolock"])


def captured(notebook: Any, line: str = "!reprolock capture --json") -> dict[str, Any]:
    """Capture from code that stands in no cell, and return the result."""
    answer = notebook.execute(line)
    assert answer.status == "ok", answer
    text = answer.text[answer.text.index("{") :]
    return dict(json.loads(text[: text.rindex("}") + 1]))


def codes(result: dict[str, Any]) -> set[str]:
    return {f["code"] for f in result["findings"]}


def of(result: dict[str, Any], code: str) -> list[dict[str, Any]]:
    return [f for f in result["findings"] if f["code"] == code]


def test_a_clean_session_becomes_a_lock_that_verifies(tmp_path, work, cli):
    with opened(tmp_path, work, [LOAD, SEEDED, METRIC, CAPTURE]) as notebook:
        notebook.save()
        run_all(notebook)
        html = notebook.content["cells"][3]["outputs"][0]["data"]["text/html"]
        notebook.save()
    lock = lock_of(work)
    assert lock["session"] == {"mode": "live"}
    assert [c.get("ran") for c in lock["notebook"]["cells"]] == [0, 1, 2, 3]
    assert lock["data"]["files"][0]["name"] == "data.csv"
    assert lock["randomness"]["streams"][0]["seed"] == 7
    assert lock["metrics"]["score"]["value"] == pytest.approx(0.32383276483316237)
    assert "pylock.n.toml" in html
    assert "score = 0.32383" in html
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert done.verdict == "BIT_EXACT", done
    (work / "data.csv").write_text("a,b\n1,3\n")
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert "data.content-changed" in done.codes("error")


def test_the_outputs_are_those_that_the_kernel_sent_though_nothing_was_saved(tmp_path, work):
    with opened(tmp_path, work, [LOAD, SEEDED, METRIC, CAPTURE]) as notebook:
        notebook.save()  # with no output yet
        run_all(notebook)
    reference = json.loads((work / "n.reference.ipynb").read_text())
    assert "".join(reference["cells"][2]["outputs"][0]["text"]).startswith("score: 0.3238")
    assert reference["cells"][2]["execution_count"] == 3
    assert reference["cells"][3]["outputs"] == []


def test_hidden_state_is_told_with_its_cells(tmp_path, work, cli):
    cells = [LOAD, SEEDED, METRIC, "a = 1", "b = a + score", "c = 3", CAPTURE]
    with opened(tmp_path, work, cells) as notebook:
        run_all(notebook, until=4)
        notebook.run(5)
        notebook.run(4)  # out of order
        notebook.run(2)  # again, and out of order
        gone = notebook.add("left_over = 5")
        notebook.run(gone)
        notebook.delete(gone)
        notebook.save()
        notebook.edit(3, "a = 2")
        notebook.save()
        result = captured(notebook)
    assert result["exit_code"] == 0
    session = lock_of(work)["session"]
    assert session["run-again"] == [2]
    assert session["out-of-order"] == [2, 4]
    assert session["edited"] == [3]
    assert [one["names"] for one in session["deleted"]] == [["left_over"]]
    assert "foreign-names" not in session
    assert {
        "session.cells-run-again",
        "session.cells-out-of-order",
        "session.cells-edited",
        "session.cells-deleted",
    } <= codes(result)
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert done.verdict == "DIVERGED"
    assert {c["family"] for c in done.json["causes"]} == {"session"}


@pytest.mark.slow
def test_what_ran_before_the_extension_is_read_from_the_history(tmp_path, work):
    with opened(tmp_path, work, [SEEDED, METRIC, LOAD, "x = 1", CAPTURE]) as notebook:
        run_all(notebook, until=3)
        notebook.save()
        notebook.run(0)
        notebook.run(1)
        notebook.run(3)
        result = captured(notebook)
    lock = lock_of(work)
    assert lock["session"]["run-again"] == [0, 1]  # before and after it was loaded
    assert "before" not in lock["session"]
    assert lock["randomness"]["streams"][0]["seed"] == 7
    assert lock["data"]["files"][0]["name"] == "data.csv"
    assert "session.cells-edited" not in codes(result)


@pytest.mark.slow
def test_cells_that_ran_before_only_are_named(tmp_path, work, cli):
    with opened(tmp_path, work, [SEEDED, METRIC, LOAD, CAPTURE]) as notebook:
        run_all(notebook, until=2)
        notebook.save()
        notebook.run(2)
        notebook.run(3)
    lock = lock_of(work)
    assert lock["session"] == {"mode": "live", "before": [0, 1]}
    assert lock["randomness"]["streams"] == [{"library": "random", "seed": 7, "seeded-in": 0}]
    assert lock["data"]["files"][0]["name"] == "data.csv"
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert done.verdict == "BIT_EXACT", done


def test_a_kernel_that_was_killed_is_joined_by_the_next(tmp_path, work):
    cells = [
        LOAD,
        "open('model.ckpt', 'w').write('17')\nprint('trained')",
        "import time\nprint('going', flush=True)\ntime.sleep(60)",
        "weights = int(open('model.ckpt').read())\nprint('accuracy:', weights)",
        CAPTURE,
    ]
    with opened(tmp_path, work, cells) as notebook:
        run_all(notebook, until=2)
        notebook.save()
        assert notebook.pid  # while the kernel can be asked
        running = notebook.start(2)
        notebook.listen(lambda: running.text == "going\n", 30)
        notebook.kill()
        notebook.reconnect()
        notebook.run(0)
        notebook.edit(2, "pass")
        notebook.save()
        notebook.run(2)
        notebook.run(3)
        result = captured(notebook)
    session = lock_of(work)["session"]
    assert session["breaks"] == [
        {"how": "ended while a cell ran", "cells": [1], "checkpoints": ["model.ckpt"]}
    ]
    assert "not-run" not in session
    told = of(result, "session.joined")[0]["message"]
    assert told == (
        "cell 1 ran in an earlier kernel, which ended while a cell ran: what was in its memory is "
        "lost; read again from model.ckpt"
    )
    reference = json.loads((work / "n.reference.ipynb").read_text())
    assert reference["cells"][1]["outputs"][0]["text"] == ["trained\n"]


@pytest.mark.slow
def test_a_kernel_that_ran_all_cells_again_owes_nothing_to_the_one_before(tmp_path, work):
    with opened(tmp_path, work, [LOAD, SEEDED, METRIC, CAPTURE]) as notebook:
        run_all(notebook, until=3)
        notebook.save()
        notebook.restart()
        run_all(notebook)
    assert lock_of(work)["session"] == {"mode": "live"}


def test_the_journal_of_a_killed_kernel_becomes_a_lock_without_a_kernel(tmp_path, work, cli):
    (tmp_path / "drive").mkdir()
    cells = [
        LOAD,
        f"%reprolock journal {tmp_path / 'drive'}",
        SEEDED,
        METRIC,
        "import os; os._exit(3)",
    ]
    with opened(tmp_path, work, cells) as notebook:
        run_all(notebook, until=4)
        notebook.save()
        notebook.kill()
    for path in (tmp_path / "cache" / "live").glob("*"):
        path.unlink()
    done = cli("capture", work / "n.ipynb", "--journal", tmp_path / "drive", "--json")
    assert done.code == 0, done
    lock = lock_of(work)
    assert lock["session"]["mode"] == "journal"
    assert lock["metrics"]["score"]["value"] == pytest.approx(0.32383276483316237)
    assert lock["data"]["files"][0]["name"] == "data.csv"
    nothing = cli("capture", work / "n.ipynb", "--journal", work)
    assert nothing.code == 2
    assert "wanted the journal of a living kernel" in nothing.err


def test_the_command_finds_its_own_kernel_and_no_other_of_the_server(tmp_path, work):
    """Neither has the extension; both run in one folder."""
    with (
        server(tmp_path, work) as jupyter,
        jupyter.notebook("one.ipynb", [SEEDED, METRIC]) as one,
        jupyter.notebook("other.ipynb", ["y = 2"]) as other,
    ):
        run_all(other)
        run_all(one)
        one.save()
        other.save()
        command = f"!{sys.executable} -m reprolock capture --json"
        result = captured(one, command)
        assert (work / "pylock.one.toml").exists()
        assert not (work / "pylock.other.toml").exists()
        captured(other, command)
    assert lock_of(work, "one")["session"]["mode"] == "outside"
    assert lock_of(work, "one")["metrics"]["score"]["cell"] == 1
    told = of(result, "session.not-recorded")[0]
    assert "named metrics" in told["message"]
    assert "%load_ext reprolock" in told["hint"]
    assert [c["source-sha256"] for c in lock_of(work, "other")["notebook"]["cells"]] != [
        c["source-sha256"] for c in lock_of(work, "one")["notebook"]["cells"]
    ]


@pytest.mark.slow
def test_a_notebook_that_was_renamed_is_found_under_its_new_name(tmp_path, work):
    with opened(tmp_path, work, [LOAD, SEEDED, METRIC]) as notebook:
        run_all(notebook)
        notebook.save()
        notebook.rename("new name.ipynb")
        captured(notebook)
    assert lock_of(work, "new name")["notebook"]["path"] == "new name.ipynb"


@pytest.mark.slow
def test_code_says_the_same_as_the_magics(tmp_path, work):
    cells = [
        LOAD,
        "import reprolock",
        "open('m.pt', 'w').write('1')\nopen('c.pt', 'w').write('2')",
        "reprolock.metric('auc', 0.5)\nreprolock.checkpoint('c.pt')\nreprolock.model('m.pt')",
        "%reprolock metric two 1 + 1\n%reprolock mark model m.pt",
        "result = reprolock.capture(metrics={'three': '1 + 2'})\nprint(result['exit_code'])",
    ]
    with opened(tmp_path, work, cells) as notebook:
        notebook.save()
        run_all(notebook)
        assert notebook.content["cells"][5]["outputs"][-1]["text"] == "0\n"
    lock = lock_of(work)
    assert {name: m["value"] for name, m in lock["metrics"].items()} == {
        "auc": 0.5,
        "two": 2,
        "three": 3,
    }
    assert {f["name"]: f["role"] for f in lock["data"]["files"]} == {
        "c.pt": "checkpoint",
        "m.pt": "model",
    }


TRACE = """
import json, random, signal, sys, threading, warnings
def state():
    return [
        sorted(globals()), sys.path, [repr(f) for f in warnings.filters], repr(random.getstate())[:99],
        [repr(signal.getsignal(s)) for s in signal.valid_signals()],
        [repr(f) for f in sys.meta_path], repr(sys.excepthook), repr(sys.stdout), repr(sys.stderr),
        sorted(m for m in sys.modules if "reprolock" in m), repr(get_ipython().kernel.session.send),
        sorted(t.name for t in threading.enumerate()), repr(open), repr(random.seed),
        {k: len(v) for k, v in get_ipython().events.callbacks.items()},
        sorted(get_ipython().magics_manager.magics["line"]),
    ]
"""


def test_it_unloads_without_a_trace(tmp_path, work):
    with opened(tmp_path, work, ["pass"]) as notebook:
        assert notebook.execute(TRACE).status == "ok"
        assert notebook.execute("before = state()").status == "ok"
        assert notebook.execute(LOAD).text == ""
        during = notebook.execute(
            "print(sorted(globals()) == before[0] + ['before'] or "
            "sorted(set(globals()) - set(before[0])))"
        )
        assert "reprolock" not in during.text
        assert notebook.execute("%unload_ext reprolock").text == ""
        left = notebook.execute(
            "after = state()\n"
            "names = set(after[0]) - set(before[0]) - {'before', 'after'}\n"
            "print([n for n in names if not n.startswith('_i')])\n"
            "print([(a, b) for a, b in zip(before[1:9] + before[10:], after[1:9] + after[10:]) if a != b])\n"
            "print(after[9])"
        ).text.splitlines()
    assert left[0] == "[]"
    assert left[1] == "[]"
    assert "_reprolock_recorder" not in left[2]


ODD = (
    "open = None",
    "import sys; sys.modules.pop('json'); sys.modules['os'] = None; del sys.modules['os']",
    "import random; random.seed = 3; random.random = None",
    "import asyncio\nawait asyncio.sleep(0.01)\nz = 1",
    "import os\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)",
    "import threading\nthreading.Thread(target=lambda: sum(range(10))).start()",
    "%load_ext reprolock\n%reload_ext reprolock",
    "%load_ext autoreload\n%autoreload 2",
    "print('x' * 3_000_000)",
    "class Odd:\n    def __getattr__(self, name): raise RuntimeError(name)\nodd = Odd()",
    "1 / 0",
    "def broken(:",
    "%reprolock\n%reprolock metric\n%reprolock mark\n%reprolock nonsense 'unclosed",
    "%reprolock metric bad 1 / 0\n%reprolock journal /proc/nowhere",
    "globals().update({'a b': 1, '': 2, 'ü': 3})",
)


@pytest.mark.slow
def test_odd_cells_run_as_they_would_and_are_captured(tmp_path, work):
    later = [part for cell in ODD for part in (cell, "print('still here')")]
    with opened(tmp_path, work, [LOAD, SEEDED, METRIC, *later]) as notebook:
        run_all(notebook, until=3)
        for place in range(3, 3 + len(later), 2):
            notebook.run(place)
            assert notebook.run(place + 1).text == "still here\n", ODD[(place - 3) // 2]
        notebook.save()
        result = captured(notebook)
    assert "recorder.trouble" not in codes(result), of(result, "recorder.trouble")
    assert lock_of(work)["metrics"]["score"]["value"] == pytest.approx(0.32383276483316237)


def test_outside_of_a_notebook_the_command_says_what_it_wants(cli):
    done = cli("capture")
    assert done.code == 2
    assert "wanted a NOTEBOOK, or to be called in a cell" in done.err
    assert "hint:" in done.err
    assert "Traceback" not in done.err
    assert cli("capture", "--inplace").code == 2
    assert cli("capture", "--metric", "a=1").code == 2


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(tmp_path, work, monkeypatch):
    monkeypatch.setenv("REPROLOCK_CACHE", "/proc/nowhere")
    with opened(tmp_path, work, [LOAD, SEEDED, METRIC]) as notebook:
        run_all(notebook)
        assert "recording this kernel" in notebook.execute("%reprolock status").text


@pytest.mark.slow
def test_cells_that_were_left_out_make_no_full_pass(tmp_path, work, cli):
    cells = [LOAD, SEEDED, "skipped = 1\nprint('skipped')", METRIC, CAPTURE, "print('later')"]
    with opened(tmp_path, work, cells) as notebook:
        notebook.save()
        for index in (0, 1, 3, 4):
            notebook.run(index)
    assert lock_of(work)["session"]["not-run"] == [2]
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert done.verdict == "PARTIAL", done
    told = [f["cell"] for f in done.json["findings"] if f["code"] == "notebook.other-cells-run"]
    assert told == [2, 5]


@pytest.mark.slow
def test_cells_below_the_capture_are_nothing_that_must_be_equal(tmp_path, work, cli):
    with opened(tmp_path, work, [LOAD, SEEDED, METRIC, CAPTURE, "print('later')"]) as notebook:
        notebook.save()
        run_all(notebook, until=4)
    assert "not-run" not in lock_of(work)["session"]
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert done.verdict == "BIT_EXACT", done
    assert "notebook.other-cells-run" in done.codes("warning")


@pytest.mark.slow
def test_what_ran_and_was_not_saved_yet_is_what_is_locked(tmp_path, work, cli):
    with opened(tmp_path, work, [LOAD, SEEDED, "score = 0", CAPTURE]) as notebook:
        notebook.save()
        run_all(notebook, until=2)
        notebook.edit(2, METRIC)
        notebook.run(2)
        added = notebook.add("print('new')", at=3)
        notebook.run(added)
        notebook.run(4)
        said = notebook.content["cells"][4]["outputs"][0]["data"]["text/plain"]
        assert "2 cells ran that the saved file does not have like this" in said
        notebook.save()
    lock = lock_of(work)
    assert lock["metrics"]["score"]["cell"] == 2
    assert len(lock["notebook"]["cells"]) == 5
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert done.verdict == "BIT_EXACT", done


@pytest.mark.slow
def test_the_cell_that_captures_may_go(tmp_path, work, cli):
    with opened(tmp_path, work, [LOAD, SEEDED, METRIC, CAPTURE]) as notebook:
        notebook.save()
        run_all(notebook)
        notebook.delete(3)
        notebook.save()
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert done.verdict == "BIT_EXACT", done


def test_a_living_kernel_takes_the_journal_of_the_one_before_from_a_drive(tmp_path, work):
    drive = tmp_path / "drive"
    cells = [
        f"{LOAD}\n%reprolock journal {drive}",
        "kept = 3\nprint('kept:', kept)",
        "print('second')",
    ]
    with opened(tmp_path, work, cells) as notebook:
        run_all(notebook, until=2)
        notebook.save()
        notebook.kill()
        for path in (tmp_path / "cache" / "live").glob("*"):
            path.unlink()
        notebook.reconnect()
        notebook.run(0)
        notebook.run(2)
        notebook.execute(f"%reprolock capture --journal {drive}")
    session = lock_of(work)["session"]
    assert session["mode"] == "live"
    assert session["breaks"] == [{"how": "ended", "cells": [1], "checkpoints": []}]


def test_a_session_that_went_on_after_errors_and_interrupts_makes_no_full_pass(tmp_path, work, cli):
    endless = "import time\nbegun = time.time()\nwhile time.time() - begun < 2:\n    pass"
    goes_on = f"print('before')\n{CAPTURE}\nprint('after')"
    cells = [LOAD, SEEDED, "print(undefined)", endless, METRIC, goes_on]
    with opened(tmp_path, work, cells) as notebook:
        notebook.save()
        run_all(notebook, until=2)
        assert notebook.run(2).error == "NameError"
        assert notebook.pid  # while the kernel can be asked
        running = notebook.start(3)
        time.sleep(0.5)
        notebook.interrupt()
        assert running.wait().error == "KeyboardInterrupt"
        notebook.run(4)
        assert "cell 2 ended with NameError" in notebook.run(5).html
    assert lock_of(work)["session"] == {
        "mode": "live",
        "raised": [2],
        "interrupted": [3],
        "captured-within": [5],
    }
    done = cli("verify", work / "pylock.n.toml", "--environment", "current", "--json")
    assert done.verdict == "PARTIAL", done
    assert {"session.cells-raised", "session.cells-interrupted"} <= done.codes("warning")
    assert not done.codes("error")


@pytest.mark.slow
def test_a_notebook_that_names_itself_is_not_run_and_foreign_files_are_left(tmp_path, work):
    side = "_ = open('side.txt', 'a').write('x')"
    with opened(tmp_path, work, [LOAD, side, METRIC.replace("random.random()", "1")]) as notebook:
        notebook.save()
        run_all(notebook)
        said = notebook.execute("!reprolock capture n.ipynb --offline")
        assert "n.ipynb is the notebook of this kernel: its session is captured" in said.text
        assert lock_of(work)["session"]["mode"] == "live"
        assert (work / "side.txt").read_text() == "x"
        notebook.execute("!reprolock capture n.ipynb --offline --fresh")
        assert lock_of(work)["session"]["mode"] == "headless"
        assert (work / "side.txt").read_text() == "xx"
        (work / "pylock.n.toml").write_text('lock-version = "1.0"\ncreated-by = "uv"\n')
        refused = notebook.execute("%reprolock capture --offline")
        assert "did not write, and was not replaced" in refused.text
        assert "created-by" in (work / "pylock.n.toml").read_text()
        # Ctrl-C in the midst of what the recorder watches shows the notebook's own code only.
        loop = "for i in range(10**7):\n    open('/dev/null').close()\n    random.seed(i)"
        assert notebook.pid
        running = notebook.start(notebook.add(f"import random\n{loop}"))
        time.sleep(1)
        notebook.interrupt()
        assert running.wait().error == "KeyboardInterrupt"
        assert "recorder" not in str(running.outputs)
