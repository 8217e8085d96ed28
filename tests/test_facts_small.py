"""The families that read journal events: data, randomness, hardware, system, notebook."""

from __future__ import annotations

import hashlib
import os
from types import SimpleNamespace

import pytest

from reprolock.errors import LockError
from reprolock.facts import data, hardware, notebook, randomness, system
from reprolock.finding import Severity


def event(path, op="read", n=0, **more):
    status = os.stat(path) if os.path.exists(path) else None
    stamp = {"size": status.st_size, "mtime_ns": status.st_mtime_ns} if status else {}
    return {"event": "file", "n": n, "op": op, "path": str(path), **stamp, **more}


def parse(events, folder):
    return data.parse(events, {0: 2, 1: 5}, data.Places(folder))


class TestData:
    def test_roles_sizes_digests_and_cells(self, tmp_path):
        (tmp_path / "in.csv").write_text("a,b\n")
        (tmp_path / "out.txt").write_text("x")
        events = [event(tmp_path / "in.csv"), event(tmp_path / "out.txt", "write", n=1)]
        facts, paths = parse(events, tmp_path)
        read, written = facts.files
        assert (read.name, read.role, read.size, read.cell) == ("in.csv", "input", 4, 2)
        assert (written.name, written.role, written.cell) == ("out.txt", "output", 5)
        assert read.sha256 == hashlib.sha256(b"a,b\n").hexdigest()
        assert paths["in.csv"] == str(tmp_path / "in.csv")

    def test_written_then_read_is_an_output(self, tmp_path):
        (tmp_path / "f").write_text("x")
        facts, _ = parse(
            [event(tmp_path / "f", "write"), event(tmp_path / "f", "read", n=1)], tmp_path
        )
        assert [f.role for f in facts.files] == ["output"]

    def test_an_input_that_the_run_changes_is_told(self, tmp_path):
        (tmp_path / "f").write_text("old")
        before = event(tmp_path / "f")
        (tmp_path / "f").write_text("newer")
        facts, _ = parse([before, event(tmp_path / "f", "append", n=1, existed=True)], tmp_path)
        assert (facts.files[0].role, facts.files[0].overwritten) == ("input", True)

    @pytest.mark.parametrize("seen", ["nothing", "unknown", "hook", "child", "gone"])
    def test_an_input_that_something_else_changes_has_no_digest(self, tmp_path, seen):
        path = tmp_path / "f"
        path.write_text("old")
        before = event(path, via="open")
        path.write_text("newer")
        changes = {
            "unknown": [event(path, "write", None, by="unknown", via="inotify")],
            "hook": [event(path, "write", n=1, via="open")],
            "child": [event(path, "write", n=1, via="inotify")],
        }
        if seen == "gone":
            path.unlink()
        facts, _ = parse([before, *changes.get(seen, [])], tmp_path)
        (file,) = facts.files
        own = seen in ("hook", "child")
        assert (file.overwritten, file.changed_since_read) == (own, not own)
        assert (file.sha256 is None, file.size) == (not own, 5 if own else 3)
        assert data.from_toml(data.to_toml(facts)) == facts
        path.write_text("newer")
        (found,) = data.check_inputs(facts, data.Places(tmp_path))
        assert found.code == ("data.not-checked" if own else "data.content-unknown")
        assert found.severity is (Severity.WARNING if own else Severity.ERROR)
        again, _ = parse([event(path)], tmp_path)
        assert data.compare(facts, again) == ()

    def test_where_the_second_run_loses_an_input_it_is_told(self, tmp_path):
        path = tmp_path / "f"
        path.write_text("old")
        before = event(path)
        facts, _ = parse([before], tmp_path)
        path.write_text("newer")
        again, _ = parse([before], tmp_path)
        assert [f.code for f in data.compare(facts, again)] == ["data.content-unknown"]

    def test_native_code_may_read_and_write_one_file_in_one_cell(self, tmp_path):
        path = tmp_path / "f.h5"
        path.write_text("old")
        events = [event(path, via="inotify"), event(path, "write", by="unknown", via="inotify")]
        (file,) = parse(events, tmp_path)[0].files
        assert (file.overwritten, file.changed_since_read) == (True, False)
        later = {**events[1], "n": 1}
        (file,) = parse([events[0], later], tmp_path)[0].files
        assert (file.overwritten, file.changed_since_read) == (False, True)

    def test_what_others_make_between_cells_is_an_input_or_nothing(self, tmp_path):
        for name in ("used", "unused"):
            (tmp_path / name).write_text("x")
        made = [event(tmp_path / n, "write", None, by="unknown") for n in ("used", "unused")]
        facts, _ = parse([*made, event(tmp_path / "used", n=1)], tmp_path)
        assert [(f.name, f.role, f.cell) for f in facts.files] == [("used", "input", 5)]

    def test_a_touched_file_is_known_where_its_digest_was_remembered(self, tmp_path):
        path, memo = tmp_path / "big", tmp_path / "memo"
        path.write_bytes(b"x" * (1 << 20))
        before, places = event(path), data.Places(tmp_path)
        first, _ = data.parse([before], {0: 2}, places, memo)
        os.utime(path, ns=(1, 1))
        touched, _ = data.parse([before], {0: 2}, places, memo)
        assert touched == first
        assert data.parse([before], {0: 2}, places)[0].files[0].changed_since_read
        path.write_bytes(b"y" * (1 << 20))
        changed, _ = data.parse([before], {0: 2}, places, memo)
        assert changed.files[0].changed_since_read

    def test_appending_to_a_file_that_was_there_reads_it(self, tmp_path):
        (tmp_path / "log").write_text("old")
        facts, _ = parse([event(tmp_path / "log", "append", existed=True)], tmp_path)
        assert facts.files[0].role == "input"

    def test_deleted_input_is_kept_and_deleted_output_is_not(self, tmp_path):
        read, written = event(tmp_path / "in"), event(tmp_path / "out", "write")
        facts, _ = parse([read, written, event(tmp_path / "in", "delete")], tmp_path)
        assert [(f.name, f.problem) for f in facts.files] == [("in", "deleted during the run")]

    def test_folders_fifos_and_devices_are_no_data(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        facts, _ = parse([event(tmp_path / "pipe"), event(tmp_path)], tmp_path)
        assert facts.files == ()

    def test_names_hold_no_absolute_path(self, tmp_path):
        folder = tmp_path / "a" / "b" / "c" / "d"
        folder.mkdir(parents=True)
        far = tmp_path / "far.csv"
        near = tmp_path / "a" / "b" / "near.csv"
        for path in (far, near):
            path.write_text("1")
        facts, _ = parse([event(far), event(near)], folder)
        names = [f.name for f in facts.files]
        assert names[0] == "../../near.csv"
        assert names[1].startswith("external/")
        assert names[1].endswith("/far.csv")
        assert str(tmp_path) not in repr(facts)

    def test_a_name_that_is_no_utf8(self, tmp_path):
        path = os.fsdecode(os.fsencode(str(tmp_path)) + b"/caf\xe9.csv")
        with open(path, "w") as file:
            file.write("1")
        facts, _ = parse([event(path)], tmp_path)
        assert facts.files[0].name == "caf\\xe9.csv"
        assert data.from_toml(data.to_toml(facts)) == facts

    def test_check_inputs_names_what_changed_and_what_is_missing(self, tmp_path):
        for name in ("same", "changed", "gone"):
            (tmp_path / name).write_text(name)
        facts, _ = parse([event(tmp_path / n) for n in ("same", "changed", "gone")], tmp_path)
        (tmp_path / "changed").write_text("other")
        (tmp_path / "gone").unlink()
        found = data.check_inputs(facts, data.Places(tmp_path))
        assert {(f.code, f.subject) for f in found} == {
            ("data.content-changed", "changed"),
            ("data.missing", "gone"),
        }
        assert all(f.severity is Severity.ERROR and f.cell == 2 for f in found)

    def test_round_trip_and_bad_tables(self, tmp_path):
        (tmp_path / "f").write_text("x")
        facts, _ = parse([event(tmp_path / "f")], tmp_path)
        assert data.from_toml(data.to_toml(facts)) == facts
        with pytest.raises(LockError, match=r"files.*`role`"):
            data.from_toml({"files": [{"name": "x"}]})
        listed = {"event": "listed", "n": 0, "path": str(tmp_path), "beside": [".git"]}
        facts, _ = parse([listed], tmp_path)
        assert facts.beside == (".git",)
        assert data.from_toml(data.to_toml(facts)) == facts
        for name in ("../x", "..", "", 3):
            with pytest.raises(LockError, match="without a folder"):
                data.from_toml({"files": [], "beside": [name]})
        with pytest.raises(LockError, match="wanted a string, found 3"):
            data.from_toml({"files": [{"name": 3, "role": "input"}]})


class TestRandomness:
    EVENTS = (
        {"event": "interpreter", "environ": {"PYTHONHASHSEED": "42"}},
        {"event": "seed", "n": 0, "stream": "numpy", "seed": 7},
        {"event": "draw", "n": 1, "stream": "random", "seeded": False},
        {"event": "seed", "n": 1, "stream": "random", "seed": 2**80},
    )

    def test_seeds_draws_and_cells(self):
        facts = randomness.parse(self.EVENTS, {0: 1, 1: 4})
        assert facts.hash_seed == "42"
        numpy, stdlib = facts.streams
        assert (numpy.library, numpy.seed, numpy.seeded_in, numpy.unseeded_in) == (
            "numpy",
            7,
            1,
            None,
        )
        assert (stdlib.library, stdlib.seed, stdlib.unseeded_in) == ("random", str(2**80), 4)
        assert facts.first_unseeded == 4
        assert randomness.from_toml(randomness.to_toml(facts)) == facts

    def test_compare_names_the_stream(self):
        old = randomness.parse(self.EVENTS[:2], {0: 1})
        new = randomness.parse([{"event": "seed", "n": 0, "stream": "numpy", "seed": 8}], {0: 1})
        (finding,) = randomness.compare(old, new)
        assert (finding.code, finding.subject, finding.expected, finding.observed) == (
            "randomness.seed-changed",
            "numpy",
            7,
            8,
        )
        assert finding.cell == 1
        drawn = randomness.parse([{"event": "draw", "n": 0, "stream": "torch"}], {0: 1})
        assert [f.code for f in randomness.compare(randomness.Randomness(), drawn)] == [
            "randomness.newly-unseeded"
        ]

    @staticmethod
    def seeded(*seeds):
        """Return the facts of a run in which cell 10 + i seeded NumPy with the seed at i."""
        events = [
            {"event": "seed", "n": n, "stream": "numpy", "seed": seed}
            for n, seed in enumerate(seeds)
        ]
        return randomness.parse(events, {n: 10 + n for n in range(len(seeds))})

    def test_all_seedings_are_kept_in_order(self):
        facts = self.seeded(7, "'text'", 7, 2**70)
        (stream,) = facts.streams
        assert stream.seedings == ((7, 10), ("'text'", 11), (7, 12), (str(2**70), 13))
        assert (stream.seed, stream.seeded_in) == (7, 10)
        (table,) = randomness.to_toml(facts)["streams"]
        assert table["seedings"][1] == {"seed": "'text'", "cell": 11}
        assert randomness.from_toml(randomness.to_toml(facts)) == facts
        (table,) = randomness.to_toml(self.seeded(7))["streams"]
        assert table == {"library": "numpy", "seed": 7, "seeded-in": 10}

    @pytest.mark.parametrize(
        ("old", "new", "cell", "expected", "observed"),
        [
            ((1, 2, 3), (1, 9, 3), 11, 2, 9),
            ((1, 2), (1,), 11, 2, None),
            ((1,), (1, 2), 11, None, 2),
        ],
    )
    def test_the_first_seeding_that_differs_is_named(self, old, new, cell, expected, observed):
        (finding,) = randomness.compare(self.seeded(*old), self.seeded(*new))
        assert (finding.code, finding.subject) == ("randomness.seed-changed", "numpy")
        assert (finding.cell, finding.expected, finding.observed) == (cell, expected, observed)

    def test_a_hundred_seedings_are_kept_and_a_digest_stands_for_all(self):
        facts = self.seeded(*range(150))
        (stream,) = facts.streams
        assert len(stream.seedings) == 100
        assert randomness.from_toml(randomness.to_toml(facts)) == facts
        assert randomness.compare(facts, self.seeded(*range(150))) == ()
        (finding,) = randomness.compare(facts, self.seeded(*range(149), 7))
        assert finding.code == "randomness.seed-changed"
        assert "after the first 100" in finding.message
        (finding,) = randomness.compare(self.seeded(*range(100)), facts)
        assert finding.code == "randomness.seed-changed"

    def test_a_seeding_without_a_seed_is_refused(self):
        table = {"streams": [{"library": "numpy", "seed": 1, "seedings": [{"cell": 2}]}]}
        with pytest.raises(LockError, match="seedings has no `seed`"):
            randomness.from_toml(table)


class Nvml:
    """A stand-in at the one seam, with the figures of a recorded GPU."""

    def __init__(self, broken=None):
        self.broken = broken
        self.closed = False

    def _or_raise(self, name, value):
        if self.broken == name:
            raise RuntimeError(name)
        return value

    def nvmlInit(self):
        self._or_raise("init", None)

    def nvmlShutdown(self):
        self.closed = True

    def nvmlSystemGetDriverVersion(self):
        return self._or_raise("driver", b"570.86.15")

    def nvmlSystemGetCudaDriverVersion(self):
        return 12080

    def nvmlDeviceGetCount(self):
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=85520809984)

    def nvmlDeviceGetCudaComputeCapability(self, handle):
        return 9, 0


class TestHardware:
    EVENT = {
        "cpu": {
            "model": "AMD EPYC",
            "vendor": "AuthenticAMD",
            "cores_logical": 2,
            "flags": ["avx2", "fma", "mmx"],
        },
        "memory_bytes": 25 << 30,
        "torch": {"version": "2.13.0", "cuda": None, "devices": []},
    }

    def test_gpus(self):
        nvml = Nvml()
        gpus = hardware.probe_gpus(nvml)
        assert gpus == hardware.Gpus(
            (hardware.Gpu("NVIDIA H100 80GB HBM3", 85520809984, "9.0"),), "570.86.15", "12.8"
        )
        assert nvml.closed

    @pytest.mark.parametrize("broken", ["init", "driver"])
    def test_no_driver_or_one_that_fails_half_way_is_no_gpu(self, broken):
        assert hardware.probe_gpus(Nvml(broken)) == hardware.Gpus()

    def test_the_real_library_answers_on_this_machine(self):
        assert isinstance(hardware.probe_gpus(), hardware.Gpus)

    def test_none_is_said_and_read_again(self):
        facts = hardware.parse(self.EVENT, hardware.Gpus())
        table = hardware.to_toml(facts)
        assert table["gpus"] == "none"
        assert table["instruction-sets"] == ["fma", "avx2"]
        assert table["torch"] == {"version": "2.13.0", "devices": []}
        assert hardware.from_toml(table) == facts

    def test_another_class_of_cpu_is_a_warning_that_names_what_is_lacking(self):
        old = hardware.parse(self.EVENT, hardware.Gpus())
        new = hardware.parse(
            {**self.EVENT, "cpu": {**self.EVENT["cpu"], "flags": ["fma"]}}, hardware.Gpus()
        )
        (finding,) = hardware.compare(old, new)
        assert finding.code == "hardware.cpu-class-changed"
        assert "lacks avx2" in finding.message
        assert old.numerics_class != new.numerics_class


class TestSystem:
    def test_libraries_are_hashed_here_and_paths_stay_out(self, tmp_path):
        library = tmp_path / "libgomp.so.1"
        library.write_bytes(b"one")
        source = {
            "os": {"id": "debian", "version_id": "12"},
            "machine": "x86_64",
            "libc": ["glibc", "2.36"],
            "libraries": [str(library), str(tmp_path / "gone.so")],
            "platform_signs": {"colab": True},
        }
        old = system.parse(source)
        assert (old.platform, old.libc) == ("colab", "glibc 2.36")
        assert str(tmp_path) not in repr(system.to_toml(old))
        assert system.from_toml(system.to_toml(old)) == old
        library.write_bytes(b"two")
        (finding,) = system.compare(old, system.parse(source))
        assert (finding.code, finding.severity) == ("system.library-changed", Severity.WARNING)


def cell(source, kind="code", **more):
    return {"cell_type": kind, "source": source, "outputs": [], "metadata": {}, **more}


class TestNotebook:
    def test_a_changed_cell_is_named(self):
        old = notebook.parse("n.ipynb", [cell("a", "markdown"), cell("b", id="x")], {}, {})
        new = notebook.parse("n.ipynb", [cell("other", "markdown"), cell("c", id="x")], {}, {})
        (finding,) = notebook.compare(old, new)
        assert (finding.code, finding.cell, finding.cell_id) == ("notebook.source-changed", 1, "x")

    def test_markdown_alone_changes_nothing(self):
        old = notebook.parse("n.ipynb", [cell("a", "markdown"), cell("b")], {}, {})
        new = notebook.parse("n.ipynb", [cell("other", "markdown"), cell("b")], {}, {})
        assert notebook.compare(old, new) == ()

    def test_an_added_cell_is_named(self):
        old = notebook.parse("n.ipynb", [cell("a"), cell("b")], {}, {})
        new = notebook.parse("n.ipynb", [cell("a"), cell("new"), cell("b")], {}, {})
        (finding,) = notebook.compare(old, new)
        assert (finding.code, finding.cell) == ("notebook.cells-changed", 1)

    @pytest.mark.parametrize(
        "text",
        ["{}", "see {}/a.csv, and", "'{}'", "in {}.", "not /usr/lib, but <b>{}</b>", "file://{}/a"],
    )
    @pytest.mark.parametrize("folder", ["/home/u/my work", "/w/\u00e4-1.2_b", "/proj"])
    def test_its_folder_is_found_in_its_outputs_by_digest_alone(self, text, folder):
        outputs = [{"output_type": "display_data", "data": {"text/html": text.format(folder)}}]
        cells = [cell("1"), cell("2", outputs=outputs)]
        facts = notebook.parse("n.ipynb", cells, {}, {}, folder=folder)
        assert notebook.from_toml(notebook.to_toml(facts)) == facts
        assert folder not in str(notebook.to_toml(facts))
        assert notebook.folder_in(facts, cells) == folder
        assert notebook.folder_in(facts, [cell("1")]) is None

    def test_a_folder_that_no_output_names_is_not_kept(self):
        outputs = [{"output_type": "stream", "name": "stdout", "text": "/home/v"}]
        cells = [cell("1", outputs=outputs)]
        facts = notebook.parse("n.ipynb", cells, {}, {}, folder="/home/u")
        assert "folder-sha256" not in notebook.to_toml(facts)
        assert notebook.folder_in(facts, cells) is None
