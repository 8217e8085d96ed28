"""Images by pixels, SVG and HTML by what they show."""

from __future__ import annotations

import base64
import io
import struct
import time
import zlib

import pytest
from PIL import Image, PngImagePlugin

from reprolock.compare.images import compare_images, compare_svg
from reprolock.compare.model import CompareOptions, Degree
from reprolock.compare.tables import compare_html

OPTIONS = CompareOptions()


def encoded(image, kind="PNG", **rest):
    buffer = io.BytesIO()
    image.save(buffer, kind, **rest)
    return base64.b64encode(buffer.getvalue()).decode()


def picture(size=(10, 10), colour=(10, 20, 30), mode="RGB"):
    return Image.new(mode, size, colour)


def images(one, other, **options):
    return compare_images(one, other, CompareOptions(**options))


def test_metadata_and_compression_do_not_count():
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "another version")
    other = encoded(picture(), pnginfo=info, compress_level=0)
    outcome = images(encoded(picture()), other)
    assert (outcome.degree, outcome.normalisers) == (Degree.NORMALISED, {"image-encoding"})
    strict = images(encoded(picture()), other, disabled=frozenset({"image-encoding"}))
    assert strict.code == "outputs.image-differs"
    assert (
        images(encoded(picture()), encoded(picture().convert("RGBA"))).degree is Degree.NORMALISED
    )


def test_base64_may_be_wrapped():
    text = encoded(picture())
    outcome = images(text, "\n".join(text[i : i + 40] for i in range(0, len(text), 40)) + "\n")
    assert outcome.degree is Degree.NORMALISED


def test_changed_pixels_are_counted():
    other = picture()
    other.putpixel((3, 3), (10, 20, 35))
    outcome = images(encoded(picture()), encoded(other))
    assert outcome.code == "outputs.image-differs"
    assert outcome.message == (
        "1 % of the image's pixels differ from the locked run's (1 of 100, by up to 5 of 255)"
    )
    assert outcome.observed == {"changed": 0.01, "largest": 5}


def test_size_depth_and_frames():
    assert (
        "5x5 pixels, the locked run's 10x10"
        in images(encoded(picture()), encoded(picture((5, 5)))).message
    )
    deep, deeper = Image.new("I;16", (2, 2), 256), Image.new("I;16", (2, 2), 257)
    assert images(encoded(deep), encoded(deeper)).degree is Degree.DIFFERENT
    colours = [picture(colour=c) for c in ((0, 0, 0), (200, 0, 0), (0, 200, 0))]
    two = encoded(colours[0], "GIF", save_all=True, append_images=colours[1:2])
    other = encoded(colours[0], "GIF", save_all=True, append_images=colours[2:])
    assert images(two, other).message.endswith("in frame 1")
    assert "1 frames, the locked run's 2" in images(two, encoded(colours[0], "GIF")).message


def bomb():
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "!!!",
        "AAAA",
        encoded(picture((300, 300)))[:200],
        bomb(),
        "\u1234",
        encoded(picture())[:-3],
    ],
)
def test_what_cannot_be_read_is_a_finding(bad):
    outcome = images(encoded(picture()), bad)
    assert outcome.code == "outputs.unreadable"
    assert outcome.message.startswith("the image cannot be read: ")
    assert images(bad, encoded(picture())).message.startswith("the locked run's image cannot be")


SVG = """<svg><metadata><dc:date>{date}</dc:date></metadata>
<defs><path id="m{i}" d="M 0 1"/></defs><use xlink:href="#m{i}"/>
<g clip-path="url(#p{i})" id="axes_1"><path d="M {x} 2.0"/></g>
<clipPath id="p{i}"/></svg>"""


def test_svg_of_matplotlib():
    before = SVG.format(date="2024-01-01", i="0a1b2c3d4e", x=1.5)
    same = SVG.format(date="2025-05-05", i="ffeeddccbb", x=1.5)
    outcome = compare_svg(before, same, OPTIONS)
    assert (outcome.degree, outcome.normalisers) == (Degree.NORMALISED, {"svg-ids", "svg-metadata"})
    moved = SVG.format(date="2024-01-01", i="0a1b2c3d4e", x=1.6)
    assert compare_svg(before, moved, OPTIONS).code == "outputs.image-differs"
    assert compare_svg(before, moved, CompareOptions(atol=0.2)).degree is Degree.WITHIN
    other = before.replace('href="#m', 'href="#p')
    assert compare_svg(before, other, OPTIONS).degree is Degree.DIFFERENT
    axes = before.replace("axes_1", "axes_2")
    assert compare_svg(before, axes, OPTIONS).degree is Degree.DIFFERENT


def test_svg_that_is_cut_off():
    assert (
        compare_svg("<svg><metadata>" * 50_000, "<svg><!--" * 50_000, OPTIONS).degree
        is Degree.DIFFERENT
    )


TABLE = """<div>
<style scoped>.dataframe tbody {{}}</style>
<table border="1" class="dataframe">
  <thead><tr style="text-align: right;"><th></th><th>model</th><th>{head}</th></tr></thead>
  <tbody>
    <tr><th>0</th><td>tree</td><td>{a}</td></tr>
    <tr><th>1</th><td>{name}</td><td>{b}</td></tr>
  </tbody>
</table><p>2 rows</p></div>"""


def table(head="score", a="0.97", b="0.5", name="svm"):
    return TABLE.format(head=head, a=a, b=b, name=name)


def html(one, other, **options):
    return compare_html(one, other, CompareOptions(**options))


def test_table_cells():
    outcome = html(table(), table(b="0.6"))
    assert outcome.code == "outputs.table-differs"
    assert outcome.message == "the table, row 2 (1), column score: 0.6, the locked run's is 0.5"
    assert (outcome.expected, outcome.observed) == ("0.5", "0.6")
    assert html(table(), table(b="0.5001"), rtol=1e-2).degree is Degree.WITHIN
    assert html(table(), table(a="1", b="2")).message.endswith("(2 cells differ)")
    assert html(table(), table(head="f1")).degree is Degree.DIFFERENT
    assert html(table(), table(name="knn")).degree is Degree.DIFFERENT
    assert html(table(), table().replace("2 rows", "3 rows")).code == "outputs.number-differs"
    address = "&lt;A at 0x7f00112233{}&gt;"
    outcome = html(table(name=address.format("44")), table(name=address.format("55")))
    assert outcome.normalisers == {"memory-addresses"}


def test_table_shapes():
    shorter = table().replace("<tr><th>0</th><td>tree</td><td>0.97</td></tr>", "")
    assert html(table(), shorter).message == (
        "the table has 2 x 3 cells (rows x columns, headers counted), the locked run's 3 x 3"
    )
    assert html(table(), table() + table()).message == "showed 2 tables, the locked run 1"
    assert html(table(), table().replace("<td>tree</td>", '<td colspan="2">tree</td>')).code


@pytest.mark.parametrize("end", range(0, len(table()), 23))
def test_truncated_html(end):
    outcome = html(table(), table()[:end])
    assert outcome.degree is (
        Degree.NORMALISED if end > table().rindex("2 rows") + 6 else Degree.DIFFERENT
    )


STYLED = """<style>#T_{i}_row0_col1 {{ background-color: {colour}; }}</style>
<table id="T_{i}"><tr><th class="col_heading">a</th></tr>
<tr><td id="T_{i}_row0_col0" class="data row0 col0">1</td></tr></table>"""


def test_styled_tables_have_random_ids():
    before = STYLED.format(i="ab12c", colour="red")
    outcome = html(before, STYLED.format(i="0f9e8", colour="red"))
    assert (outcome.degree, outcome.normalisers) == (Degree.NORMALISED, {"html-ids"})
    assert html(before, STYLED.format(i="0f9e8", colour="blue")).degree is Degree.DIFFERENT
    off = html(before, STYLED.format(i="0f9e8", colour="red"), disabled=frozenset({"html-ids"}))
    assert off.degree is Degree.DIFFERENT


def test_other_html():
    page = '<div id="{}"><b>hello {}</b></div>'
    ids = "0a1b2c3d-0000-4000-8000-0123456789ab", "ffffffff-0000-4000-8000-0123456789ab"
    assert html(page.format(ids[0], 1), page.format(ids[1], 1)).normalisers == {"html-ids"}
    assert html(page.format(ids[0], 1), page.format(ids[1], 2)).degree is Degree.DIFFERENT
    # A UUID that is shown is content.
    assert html(page.format("a", ids[0]), page.format("a", ids[1])).degree is Degree.DIFFERENT
    assert html("<img src='a'>", '<img src="a" >').normalisers == {"html-markup"}
    assert html("<a href='1'>x</a>", "<a href='2'>x</a>").degree is Degree.DIFFERENT


DIGESTS = "a" * 32, "b" * 32


@pytest.mark.parametrize(
    "page",
    [
        '<div data-md5="{}">x</div>',
        '<p title="{}">x</p>',
        '<a href="https://x.org/{}">x</a>',
        '<script>var md5 = "{}"</script>',
    ],
)
def test_digests_are_results_where_no_name_is_expected(page):
    assert html(*(page.format(d) for d in DIGESTS)).degree is Degree.DIFFERENT


@pytest.mark.parametrize(
    "page",
    [
        '<label for="{0}">x</label><input id="{0}">',
        '<p aria-labelledby="{}">x</p>',
        '<a href="#{}">x</a>',
        '<p class="plot p-{}">x</p>',
        '<div id="map_{0}"></div><script>var tiles_{0} = L.map("map_{0}")</script>',
    ],
)
def test_names_of_elements_may_be_digests(page):
    outcome = html(*(page.format(d) for d in DIGESTS))
    assert (outcome.degree, outcome.normalisers) == (Degree.NORMALISED, {"html-ids"})


def test_uuids_are_drawn_wherever_they_stand_and_t_numbers_are_not():
    ids = "0a1b2c3d-0000-4000-8000-0123456789ab", "ffffffff-0000-4000-8000-0123456789ab"
    page = '<div data-root="{}">x</div>'
    assert html(*(page.format(i) for i in ids)).normalisers == {"html-ids"}
    script = '<script>plot("T_{}")</script>'
    assert html(script.format(12345), script.format(12346)).degree is Degree.DIFFERENT


@pytest.mark.parametrize(
    "piece", ["<table><tr><td>", "<", "<!--", "<a b=", "&#", "<tr><td>1</td></tr>"]
)
def test_long_or_crooked_html(piece):
    text = piece * 15_000
    begun = time.process_time()
    assert html(text + "<p>1", text + "<p>2").degree is Degree.DIFFERENT
    assert time.process_time() - begun < 20
