"""First divergence, ranked causes, written files, and the copy that a run works in."""

from __future__ import annotations

import io
import os

from PIL import Image, PngImagePlugin

from reprolock import blame, scratch
from reprolock.compare import CompareOptions, Degree, compare_written
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


class TestWrittenFiles:
    def degree(self, old, new, **options):
        outcome = compare_written(old, new, CompareOptions(**options))
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
