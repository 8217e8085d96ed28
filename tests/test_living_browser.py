"""The summary of a capture in JupyterLab in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import HTML_OUTPUT, browser
from tests.kernels import own_python
from tests.servers import server
from tests.test_living import CAPTURE, LOAD
from tests.test_living import work as work  # noqa: PLC0414  a fixture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUMMARY = f"{HTML_OUTPUT} .reprolock"
RUN = "document.title = document.title + '!'; window.ran = true"
# What would run as it is shown, as a script or as the handler of an event, if it were taken as HTML.
SCRIPT = f"<script>{RUN}</script><img src=x onerror=\"{RUN}\"><svg/onload='{RUN}'>"
NAMES = [
    SCRIPT,
    "quoted \"double\" 'single' `back`",
    "emoji 🦊 ünï",
    "</td></tr></table></div><h1 id=out>out</h1>",
    "{{ 7 * 7 }}{% raw %}",
    "a&lt;b&amp;c",
]
CELLS = [
    LOAD,
    f"import reprolock\nfor name in {NAMES!r}:\n    reprolock.metric(name, 0.5)",
    f"reprolock.metric('text', {SCRIPT[:300]!r})\nreprolock.metric('bad', object())",
    "open('<script>alert(1)<|script>.txt', 'w').write('1')\nopen('ünï 🦊 \"q\".csv', 'w').write('2')",
    "import random\nrandom.random()\nprint('drawn')",
]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    with browser(tmp_path) as opened:
        yield opened


@pytest.fixture
def lab(tmp_path: Path, work: Path) -> Iterator[Any]:
    with server(tmp_path, work, lab=True, kernels={"ours": own_python()}) as jupyter:
        yield jupyter


def captured_in(lab: Any, cells: list[str]) -> Any:
    """Run *cells* and a capture in a notebook, save it, and return the run of the capture."""
    with lab.notebook("n.ipynb", [*cells, CAPTURE + " --offline"], kernel="ours") as notebook:
        notebook.save()
        runs = [notebook.run(index) for index in range(len(cells) + 1)]
        notebook.save()
    return runs[-1]


def test_the_page_shows_the_summary_and_runs_nothing_of_the_notebooks_words(page, lab):
    run = captured_in(lab, CELLS)
    page.open(lab.address("n.ipynb"))
    shown = page.wait_for(SUMMARY, "pylock.n.toml")
    for name in NAMES:
        assert name in shown
    assert SCRIPT[:20] in shown
    for row in ("Python", "cells", "packages", "files", "random streams", "metrics"):
        assert row in page.texts(f"{SUMMARY} td:first-child")
    assert "reprolock verify pylock.n.toml" in page.text(f"{SUMMARY} code")
    assert page.evaluate("window.ran === undefined && !document.title.includes('!')")
    assert (
        page.evaluate(f"document.querySelectorAll('{SUMMARY} :is(script, img, svg, h1)').length")
        == 0
    )
    assert page.evaluate("document.getElementById('out')") is None
    assert "metric bad has no value" in shown
    assert run.html.count("<script") == 0
