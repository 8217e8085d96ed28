"""First divergence, ranked causes, written files, and the copy that a run works in."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
import zlib

from PIL import Image, PngImagePlugin

from reprolock import blame, scratch
from reprolock.compare import CompareOptions, Degree, compare_written
from reprolock.facts import randomness
from reprolock.finding import error, note, warning
from reprolock.result import MetricResult, MetricStatus, Tolerance


def metric(cell, status):
    return MetricResult("m", 1, 2, Tolerance(), status, cell)


class TestBlame:
    def test_the_first_cell_wins_and_an_output_before_a_metric(self):
        outside = metric(3, MetricStatus.OUTSIDE)
        assert blame.first_divergence([(5, 0), (3, 1)], [outside]) == {"cell": 3, "output": 1}
        assert blame.first_divergence([(5, 0)], [outside]) == {"cell": 3, "output": None}
        assert blame.first_divergence([], [metric(3, MetricStatus.EXACT)]) is None

    def test_causes_are_ranked_and_each_is_named_once(self):
        findings = [
            warning("packages.version-changed", "p", subject="numpy"),
            warning("packages.files-changed", "again", subject="numpy"),
            error("data.content-changed", "d", subject="x.csv", cell=1),
            note("hardware.cores-changed", "h", subject="cores"),
            error("outputs.text-differs", "an effect and no cause", cell=2),
        ]
        found = blame.causes(findings, {"cell": 2, "output": 0})
        assert [(c.rank, c.family, c.subject) for c in found] == [
            (1, "data", "x.csv"),
            (2, "packages", "numpy"),
            (3, "hardware", "cores"),
        ]
        assert not any(c.proved for c in found)

    def test_what_came_after_the_divergence_did_not_cause_it(self):
        late = error("data.content-changed", "d", subject="late.csv", cell=7)
        assert blame.causes([late], {"cell": 2, "output": 0}) == ()

    def test_an_input_that_the_run_rewrites_and_the_order_of_sets_are_causes(self):
        findings = [
            *randomness.hash_order(randomness.Randomness(), randomness.Randomness()),
            warning("data.not-checked", "the run itself changed it", subject="counts.csv", cell=0),
        ]
        found = blame.causes(findings, {"cell": 1, "output": 0})
        assert [c.subject for c in found] == ["counts.csv", "PYTHONHASHSEED"]
        assert (
            randomness.hash_order(randomness.Randomness(hash_seed="7"), randomness.Randomness())
            == ()
        )

    def test_imported_packages_stand_before_their_dependencies(self):
        findings = [
            warning("packages.version-changed", "", subject=name) for name in ("aaa", "sklearn")
        ]
        found = blame.causes(findings, None, frozenset({"sklearn"}))
        assert [c.subject for c in found] == ["sklearn", "aaa"]


def png(pixel, **text):
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    out = io.BytesIO()
    Image.new("RGB", (4, 4), pixel).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def packed(*members, year=2024):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


class TestWrittenFiles:
    def degree(self, old, new, name="", **options):
        outcome = compare_written(old, new, CompareOptions(**options), name=name)
        return outcome and outcome.degree

    def test_pictures_by_pixels(self):
        assert self.degree(png("red", Software="1"), png("red", Software="2")) is Degree.NORMALISED
        assert self.degree(png("red"), png("blue")) is Degree.DIFFERENT

    def test_text_by_numbers(self):
        assert self.degree(b"a,1.0\n", b"a,1.5\n") is Degree.DIFFERENT
        assert self.degree(b"a,1.0\n", b"a,1.5\n", rtol=0.6) is Degree.WITHIN

    def test_other_kinds_are_not_guessed_at(self):
        assert self.degree(b"PK\x03\x04\0a", b"PK\x03\x04\0b") is None
        assert self.degree(b"text", b"\xff\xfe") is None

    def test_text_has_no_cell_that_read_a_clock(self):
        assert self.degree(b"took 3.2 s", b"took 3.3 s", clock=True) is Degree.DIFFERENT

    def test_drawings_pages_and_json_by_name_or_content(self):
        drawing = '<?xml version="1.0"?><!-- {} --><svg><path d="M {}"/></svg>'
        one, date, moved = (
            drawing.format(*v).encode() for v in (("now", 1), ("then", 1), ("now", 2))
        )
        assert self.degree(one, date) is Degree.NORMALISED
        assert self.degree(one, moved, "a.SVG") is Degree.DIFFERENT
        page = "<p id='{}'>{}</p>"
        ids = [page.format(c * 32, n).encode() for c, n in (("a", 1), ("b", 1), ("a", 2))]
        assert self.degree(ids[0], ids[1], "a.html") is Degree.NORMALISED
        assert self.degree(ids[0], ids[1]) is Degree.DIFFERENT
        assert self.degree(ids[0], ids[2], "a.html") is Degree.DIFFERENT
        keys = b'{"a": 1, "b": 2}', b'{"b": 2, "a": 1}', b'{"a": 1, "b": 3}', b'{"a": 1, "a": 2'
        assert self.degree(keys[0], keys[1], "a.json") is Degree.NORMALISED
        assert self.degree(keys[0], keys[1]) is Degree.DIFFERENT
        assert self.degree(keys[0], keys[2], "a.json") is Degree.DIFFERENT
        assert self.degree(keys[0], keys[3], "a.json") is Degree.DIFFERENT
        twice = b'{"a": 1, "a": 2}', b'{"a": 3, "a": 2}'
        assert self.degree(*twice, "a.json") is Degree.DIFFERENT

    def test_archives_by_their_members(self):
        a, b = ("a.npy", b"1" * 99), ("b.npy", b"2" * 99)
        one = packed(a, b)
        assert self.degree(one, packed(b, a, year=2025)) is Degree.NORMALISED
        off = {"disabled": frozenset({"zip-metadata"})}
        assert self.degree(one, packed(b, a, year=2025), **off) is Degree.DIFFERENT
        assert self.degree(one, packed(a, ("b.npy", b"3" * 99))) is Degree.DIFFERENT
        assert self.degree(one, packed(a)) is Degree.DIFFERENT
        assert self.degree(one, one[: len(one) // 2]) is None

    def test_when_a_document_was_saved_is_metadata(self):
        core = (
            '<x><dcterms:created xsi:type="W3C">{}</dcterms:created><dc:creator>{}</dc:creator></x>'
        )
        one, date, person = (
            packed(("docProps/core.xml", core.format(*v)), ("xl/a.xml", "1"))
            for v in (("2024", "me"), ("2025", "me"), ("2024", "you"))
        )
        assert self.degree(one, date) is Degree.NORMALISED
        assert self.degree(one, person) is Degree.DIFFERENT
        off = {"disabled": frozenset({"zip-metadata"})}
        assert self.degree(one, date, **off) is Degree.DIFFERENT

    def test_archives_that_would_not_fit_are_not_unpacked(self, monkeypatch):
        monkeypatch.setattr("reprolock.compare.archives.MAX_UNPACKED", 100)
        big = packed(("a", b"0" * 101))
        assert self.degree(big, packed(("a", b"0" * 101), year=2025)) is None
        monkeypatch.setattr("reprolock.compare.written._MOST_GZIP", 100)
        assert self.degree(gzip.compress(b"0" * 101, mtime=1), gzip.compress(b"0", mtime=1)) is None

    def test_gzip_by_what_is_in_it(self):
        one, later, other = (
            gzip.compress(text, mtime=when)
            for text, when in ((b"a,1.0", 1), (b"a,1.0", 2), (b"a,1.5", 1))
        )
        assert self.degree(one, later) is Degree.NORMALISED
        assert self.degree(one, later, disabled=frozenset({"gzip-header"})) is Degree.DIFFERENT
        assert self.degree(one, other, "a.csv.gz") is Degree.DIFFERENT
        assert self.degree(one, other, rtol=1) is Degree.WITHIN
        assert self.degree(one, one[:-9]) is None
        unknown = [gzip.compress(c + zlib.compress(c), mtime=1) for c in (b"\0", b"\1")]
        assert self.degree(*unknown) is None

    def test_documents_without_their_dates(self):
        text = b"%%PDF-1.4 (%d) /CreationDate (D:%d+01'00') /ID [<a%d> <b0>]"
        one, later, other = (text % v for v in ((1, 2024, 1), (1, 2025, 2), (2, 2024, 1)))
        assert self.degree(one, later) is Degree.NORMALISED
        assert self.degree(one, later, disabled=frozenset({"pdf-metadata"})) is Degree.DIFFERENT
        assert self.degree(one, other) is None


class TestScratch:
    def test_copies_inputs_leaves_outputs_and_cleans_up(self, tmp_path):
        folder = tmp_path / "deep" / "project"
        (folder / "data").mkdir(parents=True)
        (folder / ".git").mkdir()
        (folder / "env").mkdir()
        (folder / "env" / "pyvenv.cfg").write_text("")
        (folder / "data" / "in.csv").write_text("in")
        (folder / "out.txt").write_text("out")
        (tmp_path / "above.csv").write_text("above")
        os.mkfifo(folder / "pipe")
        (folder / "loop").symlink_to(folder)
        (folder / "dangling").symlink_to(tmp_path / "nowhere")
        with scratch.copy_of(
            folder, inputs=[tmp_path / "above.csv"], outputs=[folder / "out.txt"]
        ) as copy:
            assert (copy / "data" / "in.csv").read_text() == "in"
            assert (copy / ".." / ".." / "above.csv").read_text() == "above"
            assert sorted(p.name for p in copy.iterdir()) == ["data"]
            (copy / "data" / "in.csv").write_text("changed by the run")
        assert not copy.exists()
        assert (folder / "data" / "in.csv").read_text() == "in"

    def test_what_the_run_did_not_see_is_left_out_and_folders_it_saw_are_empty(self, tmp_path):
        folder = tmp_path / "project"
        (folder / ".git" / "objects").mkdir(parents=True)
        for name in ("pylock.a.toml", "a.reference.ipynb", "a.ipynb"):
            (folder / name).write_text("")
        with scratch.copy_of(
            folder,
            inputs=[folder / "a.reference.ipynb"],
            outputs=[],
            unseen=[folder / "pylock.a.toml", folder / "a.reference.ipynb"],
            empty=[".git", "env", "a.ipynb"],
        ) as copy:
            found = sorted(p.name for p in copy.rglob("*"))
        assert found == [".git", "a.ipynb", "a.reference.ipynb", "env"]

    def test_an_input_behind_a_link_is_there(self, tmp_path):
        real = tmp_path / "real"
        real.mkdir()
        (real / "x.csv").write_text("x")
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "data").symlink_to(real)
        with scratch.copy_of(folder, inputs=[folder / "data" / "x.csv"], outputs=[]) as copy:
            assert (copy / "data" / "x.csv").read_text() == "x"
            assert not (copy / "data").is_symlink()


def test_a_scratch_place_within_the_folder_is_not_copied_into_itself(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    (folder / "tmp").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
    with scratch.copy_of(folder, inputs=(), outputs=()) as copy:
        assert (copy / "a.txt").read_text() == "a"
        assert list((copy / "tmp").iterdir()) == []
