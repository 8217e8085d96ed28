"""``import reprolock`` where no notebook is."""

from __future__ import annotations

import subprocess
import sys

import reprolock


def test_it_does_nothing_where_nothing_is_recorded(capsys):
    assert reprolock.metric("auc", 0.9) is None
    assert reprolock.checkpoint("model.pt") is None
    assert reprolock.model([]) is None
    assert capsys.readouterr() == ("", "")


def test_a_capture_outside_of_a_notebook_says_so(capsys):
    assert reprolock.capture() is None
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "reprolock: nothing is recorded: this is no notebook and no IPython\n"


def test_the_import_loads_nothing_but_the_standard_library():
    code = "import sys; a = set(sys.modules); import reprolock; print(*(set(sys.modules) - a))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - sys.stdlib_module_names == {"reprolock"}
