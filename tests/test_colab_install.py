"""reprolock installs on Colab without replacing anything, and its import there is small."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.colab import colab_python
from tests.real import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# What nobody's runtime has. No jedi: Colab leaves it out though IPython asks for it, and whatever
# depends on ipykernel would bring it.
ADDED = {"reprolock", "uv", "pip-api"}
LIST = """\
import importlib.metadata, json, re
found = {}
for one in importlib.metadata.distributions():
    found[re.sub("[-_.]+", "-", one.metadata["Name"]).lower()] = one.version
print(json.dumps(found))
"""
IMPORT = """\
import json, sys
before = set(sys.modules)
import reprolock
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.slow)])
def runtime(request, tmp_path):
    """A copy of the stand-in's environment, since the install changes it, with its kind."""
    original = colab_python(request.param).parent.parent
    copy = tmp_path / "environment"
    shutil.copytree(original, copy, symlinks=True)
    return request.param, copy / "bin" / "python"


def said(python: Path, *arguments: str):
    done = subprocess.run([python, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_install_adds_and_changes_nothing(runtime):
    kind, python = runtime
    before = json.loads(said(python, "-c", LIST))
    told = said(python, "-m", "pip", "install", "--no-warn-script-location", str(ROOT))
    after = json.loads(said(python, "-c", LIST))
    assert {name: after.get(name) for name in before} == before, told
    # The CPU runtime has no GPU to ask, so it lacks the package that asks.
    assert set(after) - set(before) == ADDED | ({"nvidia-ml-py"} if kind == "cpu" else set())
    assert "Uninstalling" not in told
    imported = json.loads(said(python, "-c", IMPORT))
    assert len(imported) < 10, imported
    assert {name.partition(".")[0] for name in imported if name.startswith("reprolock")} == {
        "reprolock"
    }
    said(python, "-m", "reprolock", "--version")
