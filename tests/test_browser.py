"""JupyterLab in a real browser shows the output of a notebook, and tests can read it."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.browser import HTML_OUTPUT, OUTPUT, browser
from tests.servers import server

SUMMARY = """\
from IPython.display import HTML, display
display(HTML("<div style='border: 2px solid green; padding: 1em'><b>captured</b>"
             "<table><tr><th>what</th><th>how many</th></tr>"
             "<tr><td>packages</td><td>12</td></tr></table></div>"))
print("beside it")
"""


@pytest.mark.slow
def test_jupyterlab_shows_an_html_output(tmp_path):
    with (
        browser(tmp_path) as page,
        server(tmp_path, tmp_path / "work", lab=True) as jupyter,
        jupyter.notebook("shown.ipynb", [SUMMARY]) as notebook,
    ):
        assert notebook.run(0).status == "ok"
        notebook.save()
        page.open(jupyter.address("shown.ipynb"))
        shown = page.wait_for(HTML_OUTPUT, "packages")
        assert "captured" in shown
        assert "12" in shown
        assert "beside it" in page.text(OUTPUT)
        picture = page.screenshot(tmp_path / "shown.png")
    with Image.open(io.BytesIO(picture.read_bytes())) as image:
        assert image.size == (1280, 900)
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10
