"""Files: by Python code, by native code and child processes, and what is left out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from reprolock.recorder.places import Places
from tests import kernels


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "nb"
    (made / "data").mkdir(parents=True)
    (made / "in.csv").write_text("a,b\n1,2\n")
    (made / "data" / "deep.csv").write_text("a\n1\n")
    return made


def record(folder, *cells, python=kernels.own_python):
    recorded = kernels.record(python(), folder, cells)
    assert recorded.of("trouble") == []
    assert [reply.error for reply in recorded.replies] == [None] * len(cells)
    return recorded


def test_open_tells_what_each_mode_does(folder):
    recorded = record(
        folder,
        "open('in.csv').read()",
        "open('w.txt', 'w').write('x'); open('x.txt', 'x').write('x')",
        "open('w.txt', 'a').write('y')",
        "f = open('w.txt', 'r+'); f.write('z'); f.close()",
        "import os\nos.close(os.open('o.bin', os.O_CREAT | os.O_WRONLY | os.O_TRUNC))",
        "open('w.txt').read(); open('w.txt').read()",
    )
    assert recorded.files(0) == [("read", "in.csv")]
    assert recorded.files(1) == [("write", "w.txt"), ("write", "x.txt")]
    assert recorded.files(2) == [("append", "w.txt")]
    assert recorded.files(3) == [("update", "w.txt")]
    assert recorded.files(4) == [("write", "o.bin")]
    assert recorded.files(5) == [("read", "w.txt")]


def test_an_event_holds_the_state_of_the_file(folder):
    recorded = record(folder, "open('in.csv').read()", "open('out.txt', 'w').write('12345')")
    read, written = recorded.of("file")
    for event, path in ((read, folder / "in.csv"), (written, folder / "out.txt")):
        now = path.stat()
        assert event["path"] == str(path)
        assert event["via"] == "open"
        found = (event["size"], event["mtime_ns"], event["ino"])
        assert found == (now.st_size, now.st_mtime_ns, now.st_ino)


def test_every_way_to_name_a_file(folder, tmp_path):
    (folder / "link.csv").symlink_to(folder / "in.csv")
    other = tmp_path / "elsewhere.csv"
    other.write_text("a\n")
    recorded = record(
        folder,
        "from pathlib import Path\nPath('data/../in.csv').read_text()",
        "open(b'in.csv').read()",
        "open('link.csv').read()",
        f"open({str(other)!r}).read()",
        "import os\nfd = os.open('in.csv', os.O_RDONLY)\nos.fdopen(fd).read()",
        "os.chdir('data')\nopen('deep.csv').read()",
    )
    assert [recorded.files(n) for n in range(6)] == [
        [("read", "in.csv")],
        [("read", "in.csv")],
        [("read", "link.csv")],
        [("read", "elsewhere.csv")],
        [("read", "in.csv")],
        [("read", "deep.csv")],
    ]
    assert recorded.one("file", n=2)["real"] == str(folder / "in.csv")
    assert recorded.one("file", n=5)["path"] == str(folder / "data" / "deep.csv")


def test_pandas(folder):
    recorded = record(
        folder,
        "import pandas as pd",
        "pd.read_csv('in.csv').to_csv('out.csv')",
        python=kernels.science_python,
    )
    assert recorded.files(0) == []
    assert recorded.files(1) == [("read", "in.csv"), ("write", "out.csv")]


# A child process stands for all code that opens files without Python's knowledge.
def test_files_of_native_code_are_seen_in_the_folder(folder):
    recorded = record(
        folder,
        "!cat in.csv data/deep.csv > joined.csv",
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nfd = libc.open(b'in.csv', 0)\n"
        "libc.read(fd, ctypes.create_string_buffer(8), 8); libc.close(fd);",
        "!mkdir -p made/deep && echo 1 > made/deep/f.txt",
        "!cat made/deep/f.txt",
        "!mv joined.csv moved.csv",
        "!rm moved.csv",
        "import mmap\nfd = libc.open(b'in.csv', 0)\nm = mmap.mmap(fd, 0, prot=mmap.PROT_READ)\n"
        "libc.close(fd); m[:1];",
    )
    assert sorted(recorded.files(0)) == [
        ("read", "deep.csv"),
        ("read", "in.csv"),
        ("write", "joined.csv"),
    ]
    assert recorded.files(1) == [("read", "in.csv")]
    assert recorded.files(2) == [("write", "f.txt")]
    assert recorded.files(3) == [("read", "f.txt")]
    assert recorded.files(4) == [("write", "moved.csv"), ("rename", "joined.csv")]
    assert recorded.files(5) == [("delete", "moved.csv")]
    assert recorded.files(6) == [("read", "in.csv")]
    assert {event["via"] for event in recorded.of("file")} == {"inotify"}


def test_a_folder_that_the_hook_saw_is_watched_from_then_on(folder, tmp_path):
    other = tmp_path / "other" / "c.csv"
    other.parent.mkdir()
    other.write_text("a\n")
    recorded = record(folder, f"open({str(other)!r}).read();", f"!cat {other}")
    assert [event["via"] for event in recorded.of("file")] == ["open", "inotify"]


def test_folders_that_a_cell_makes(folder):
    recorded = record(
        folder,
        "import os, pathlib, tempfile\nos.makedirs('a/b'); os.makedirs('a/b', exist_ok=True)",
        "pathlib.Path('../beside').mkdir(); pathlib.Path('../beside').mkdir(exist_ok=True)",
        "os.mkdir('gone'); os.rmdir('gone'); os.mkdir('.git'); os.mkdir('__pycache__')",
        "os.rmdir(tempfile.mkdtemp()); tempfile.mkdtemp() and None",
        "!mkdir -p c/d",
        "os.makedirs('data', exist_ok=True)",
    )
    found = [(one["n"], one["path"]) for one in recorded.of("folder")]
    assert found == [
        (0, str(folder / "a")),
        (0, str(folder / "a" / "b")),
        (1, str(folder.parent / "beside")),
        (4, str(folder / "c")),
        (4, str(folder / "c" / "d")),
    ]


def test_folders_beside_the_notebook_s_that_a_cell_lists(folder, tmp_path):
    for name in ("raw", "images", "walked/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "helper.py").write_text("")
    recorded = record(
        folder,
        "import glob, os, sys\nfrom pathlib import Path\nsys.path.append('../code')",
        "os.listdir('../raw'); os.listdir('../raw'); glob.glob('../images/*.png')",
        "list(Path('..').iterdir()); list(os.walk('../walked'))",
        "os.listdir(); os.listdir('data'); os.listdir('/'); os.listdir('/usr/lib') and None",
        "import helper",
        "!ls ../raw",
    )
    found = [(one["n"], one["path"]) for one in recorded.of("listed")]
    assert found == [
        (1, str(tmp_path / "raw")),
        (1, str(tmp_path / "images")),
        (2, str(tmp_path)),
        (2, str(tmp_path / "walked")),
        (2, str(tmp_path / "walked" / "deep")),
    ]


def test_what_no_copy_holds_is_told_where_the_notebook_s_folder_is_listed(folder):
    recorded = record(folder, "import os\nos.listdir();", "!ls")
    assert recorded.of("listed") == []
    for name in ("pylock.nb.toml", "nb.reference.ipynb", "uv.toml"):
        (folder / name).write_text("")
    (folder / ".git").mkdir()
    (folder / "env").mkdir()
    (folder / "env" / "pyvenv.cfg").write_text("")
    recorded = record(
        folder, "1", "!true", "!ls", "import os\nos.listdir('..'); list(os.scandir());"
    )
    own = recorded.of("listed", path=str(folder))
    assert [one["n"] for one in own] == [2, 3]
    assert own[0]["beside"] == [".git", "env", "nb.reference.ipynb", "pylock.nb.toml"]


def test_the_state_before_a_change_is_told(folder):
    before = (folder / "in.csv").stat()
    recorded = record(
        folder,
        "open('in.csv', 'a').write('3,4\\n');",
        "f = open('in.csv', 'r+'); f.write('z'); f.close()",
        "open('new.txt', 'a').write('x');",
        "open('in.csv', 'w').write('x');",
    )
    append, update, new, write = recorded.of("file")
    assert append["existed"]
    assert (append["size_before"], append["mtime_before"]) == (before.st_size, before.st_mtime_ns)
    assert (update["op"], update["size_before"]) == ("update", before.st_size + 4)
    assert update["mtime_before"] == append["mtime_ns"]
    assert "size_before" not in new
    assert "size_before" not in write


def test_who_changed_a_file_is_unknown_where_nothing_of_the_notebook_was_at_work(folder):
    settings = kernels.config(folder)
    native = (
        "import ctypes\nlibc = ctypes.CDLL(None)\nfd = libc.open(b'in.csv', 1)\n"
        "libc.write(fd, b'x', 1); libc.close(fd);"
    )
    with kernels.kernel(kernels.own_python(), folder) as running:
        running.run(kernels.start_code(settings), silent=True)
        running.run("open('in.csv').read();")
        (folder / "in.csv").write_text("changed")
        running.run("open('in.csv', 'a').write('x');")
        running.run("!echo >> in.csv")
        running.run(native)
        running.run("import subprocess\np = subprocess.Popen(['sleep', '60'])")
        (folder / "in.csv").write_text("changed again")
        running.run(native)
        running.run("p.kill(); p.wait();")
        (folder / "in.csv").write_text("and again")
        running.run(kernels.finish_code(), silent=True)
    events, _ = kernels.read_journal(settings.journal)
    files = [event for event in events if event["event"] == "file"]
    assert [(event["n"], event["op"], event.get("by")) for event in files] == [
        (0, "read", None),
        (None, "write", "unknown"),
        (1, "append", None),
        (2, "write", None),
        (3, "write", None),
        (None, "write", None),
        (5, "write", None),
        (None, "write", "unknown"),
    ]


def test_what_waited_in_an_open_file_is_told_as_late(folder):
    recorded = record(
        folder,
        "f = open('out.txt', 'w'); f.write('x');",
        "f = open('in.csv'); g = open('new.txt', 'w'); g.write('x'); g.close()",
    )
    assert recorded.one("file", op="write", n=1, via="inotify")["path"] == str(folder / "out.txt")
    assert [one["n"] for one in recorded.of("file", late=True)] == [1]


def test_many_small_files_are_all_told(folder):
    many = "for i in range(300): open('m%d' % i, 'w').write('x')"
    recorded = record(
        folder, f"{many}\nimport os\nos.system('cat m0 in.csv > all')\nopen('all').read();"
    )
    assert recorded.files(0)[0] == ("read", "in.csv")
    wanted = [*(("write", f"m{i}") for i in range(300)), ("write", "all"), ("read", "all")]
    assert sorted(recorded.files(0)[1:]) == sorted([*wanted, ("read", "m0")])


def test_a_native_write_before_a_read_is_told_before_it(folder):
    recorded = record(folder, "import os\nos.system('echo 1 > n.txt')\nopen('n.txt').read();")
    assert recorded.files(0) == [("write", "n.txt"), ("read", "n.txt")]


def test_removing_and_renaming(folder):
    recorded = record(
        folder,
        "import os\nos.rename('in.csv', 'renamed.csv')",
        "os.remove('renamed.csv')",
        "open('part.tmp', 'w').write('x'); os.replace('part.tmp', 'whole.txt')",
        "import shutil\nshutil.copy('whole.txt', 'copy.txt')\nshutil.rmtree('data')",
    )
    assert recorded.files(0) == [("write", "renamed.csv"), ("rename", "in.csv")]
    renamed = recorded.one("file", n=0, op="rename")
    assert renamed["to"] == str(folder / "renamed.csv")
    assert recorded.files(1) == [("delete", "renamed.csv")]
    assert recorded.files(2) == [("write", "whole.txt")]
    assert sorted(recorded.files(3)) == [
        ("delete", "deep.csv"),
        ("read", "whole.txt"),
        ("write", "copy.txt"),
    ]


def test_a_database_is_read_updated_or_written_by_its_state(folder):
    recorded = record(
        folder,
        "import sqlite3\nc = sqlite3.connect('d.db'); c.execute('create table t (a)'); c.commit(); c.close()",
        "c = sqlite3.connect('file:d.db?mode=ro', uri=True); c.execute('select * from t').fetchall(); c.close()",
        "c = sqlite3.connect('d.db'); c.execute('insert into t values (1)'); c.commit(); c.close()",
        "sqlite3.connect(':memory:').close()",
    )
    assert [recorded.files(n) for n in range(4)] == [
        [("write", "d.db")],
        [("read", "d.db")],
        [("update", "d.db")],
        [],
    ]


def test_what_failed_or_is_gone_again_is_not_told(folder):
    recorded = record(
        folder,
        "try:\n    open('missing.csv')\nexcept OSError: pass",
        "try:\n    open('no/folder.csv', 'w')\nexcept OSError: pass",
        "import os\ntry:\n    os.rename('missing.csv', 'in.csv')\nexcept OSError: pass",
        "open('scratch', 'w').write('x'); open('scratch').read(); os.remove('scratch')",
        "import tempfile\nwith tempfile.TemporaryDirectory() as d: open(d + '/f', 'w').write('x')",
    )
    assert recorded.of("file") == []


def test_a_named_pipe_is_told_and_not_measured(folder):
    os.mkfifo(folder / "pipe")
    recorded = record(folder, "import os\nos.close(os.open('pipe', os.O_RDWR))")
    event = recorded.one("file")
    assert (event["kind"], event["size"], event["mtime_ns"]) == ("fifo", None, None)


def test_code_in_the_folder_counts_as_read_even_from_bytecode(folder):
    (folder / "helper.py").write_text("value = 1\n")
    run = [kernels.own_python(), folder, ["import helper"]]
    first = kernels.record(*run, PYTHONDONTWRITEBYTECODE="")
    assert (folder / "__pycache__").exists()
    second = kernels.record(*run)
    assert first.files(0) == second.files(0) == [("read", "helper.py")]


def test_files_opened_in_threads_belong_to_the_running_cell(folder):
    recorded = record(
        folder,
        "import threading\nt = threading.Thread(target=lambda: open('in.csv').read())\nt.start(); t.join()",
    )
    assert recorded.files(0) == [("read", "in.csv")]


def test_machinery_is_left_out(folder):
    for name in (".git", ".venv", "node_modules"):
        (folder / name).mkdir()
        (folder / name / "f").write_text("x")
    recorded = record(
        folder,
        "for p in ('.git/f', '.venv/f', 'node_modules/f', '/proc/self/status', '/etc/passwd'):\n"
        "    open(p).read()",
        "import IPython, json.tool\nopen(IPython.__file__).read(); open(json.tool.__file__).read();",
        "!cat .git/f",
        "1/0 if False else None",
    )
    assert recorded.of("file") == []


def test_what_others_do_between_cells_is_no_read(folder):
    settings = kernels.config(folder)
    with kernels.kernel(kernels.own_python(), folder) as running:
        running.run(kernels.start_code(settings), silent=True)
        running.run("1")
        (folder / "in.csv").read_text()
        (folder / "nb.ipynb").write_text("{}")
        (folder / "pylock.nb.toml").write_text("")
        running.run("2")
        running.run(kernels.finish_code(), silent=True)
    events, _ = kernels.read_journal(settings.journal)
    assert [event for event in events if event["event"] == "file"] == []


def test_a_folder_with_too_many_folders_says_so(folder):
    for number in range(2010):
        (folder / f"d{number}").mkdir()
    recorded = record(folder, "open('in.csv').read();")
    missed = recorded.one("may-have-missed")
    assert (missed["family"], missed["reason"]) == (
        "data",
        "only the first 2000 folders are watched",
    )
    assert recorded.files(0) == [("read", "in.csv")]


def test_a_queue_that_ran_over_says_so(folder):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip("the queue of this machine is too long to fill")
    many = f"seq 1 {limit} | while read i; do : > f$i; done"
    recorded = record(folder, f"import os\nos.system({many!r});", "open('in.csv').read();")
    assert recorded.one("may-have-missed")["reason"] == "the queue of file events ran over"
    assert recorded.one("may-have-missed")["n"] == 0
    assert recorded.files(1) == [("read", "in.csv")]


class TestPlaces:
    def test_the_nearest_folder_decides(self, tmp_path):
        folder = Path(sys.prefix) / "share" / "notebooks"
        places = Places(str(folder), [])
        assert not places.left_out(str(folder / "data.csv"))
        assert places.left_out(str(folder / ".git" / "config"))
        assert places.left_out(str(Path(sys.prefix) / "lib" / "x.txt"))
        assert places.left_out("/usr/share/fonts/a.ttf")
        assert not places.left_out(str(tmp_path / "data.csv"))
        assert places.left_out(str(tmp_path / "x.pyc"))

    def test_own_files_and_caches(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        places = Places(str(tmp_path / "nb"), [str(tmp_path / "nb" / "journal")])
        assert places.left_out(str(tmp_path / "nb" / "journal"))
        assert places.left_out(str(tmp_path / "cache" / "x" / "y"))
        assert not places.left_out(str(tmp_path / "nb" / "data"))
