"""A session on Colab becomes a lock, outlives its machine, and is verified elsewhere.

The kernel sees ``/content`` at its place, by a mount namespace of its own, so that the paths are
those of Colab.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from reprolock.kernel import bind
from tests import colab as stand_in
from tests.colab import HERE, RELEASE_TAG, Colab, colab, colab_python
from tests.conftest import toml
from tests.real import ROOT
from tests.servers import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.colab import ColabNotebook

SECRET = "tok-93b7e1d04c"
DRIVE = "/content/drive/MyDrive"
LOAD = "%load_ext reprolock"
CAPTURE = "%reprolock capture --offline"
MOUNT = "from google.colab import drive, files, userdata\ndrive.mount('/content/drive')"
JOURNAL = f"%reprolock journal {DRIVE}/reprolock"
DATA = f"import csv\nrows = list(csv.DictReader(open('{DRIVE}/data/x.csv')))\nprint(len(rows))"
UPLOAD = "up = files.upload()\nprint(sorted(up))"
TOKEN = "token = userdata.get('TOKEN')\nprint(len(token) > 3)"
TRAIN = f"""\
import random
random.seed(7)
weight = random.random() + sum(int(row['b']) for row in rows)
with open('{DRIVE}/weight.ckpt', 'w') as file:
    file.write(str(weight))
print('loss:', weight)"""
LOSS = 0.32383276483316237 + 6
EVALUATE = (
    f"accuracy = float(open('{DRIVE}/weight.ckpt').read()) / 10\nprint('accuracy:', accuracy)"
)
CELLS = [LOAD, MOUNT, JOURNAL, DATA, UPLOAD, TOKEN, TRAIN, EVALUATE]


class Here(Colab):
    """A machine whose Drive lies where the kernel's namespace lets it be moved into place."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.drive.rmdir()
        self.drive = self.content / ".cache" / "drive"
        self.drive.mkdir(parents=True)

    def variables(self) -> dict[str, str]:
        at = {
            "CLOUDSDK_CONFIG": "/content/.config",
            "COLAB_STAND_IN_DRIVE": "/content/.cache/drive",
        }
        return {**super().variables(), **at}

    @property
    def drive_now(self) -> Path:
        mounted = self.content / "drive" / "MyDrive"
        return mounted if mounted.exists() else self.drive

    def take_away(self) -> None:
        kept = self.content.parent / "kept"
        self.drive_now.rename(kept)
        self.drive = kept  # so that it is found unmounted
        super().take_away()
        self.drive = self.content / ".cache" / "drive"
        self.drive.parent.mkdir(exist_ok=True)
        kept.rename(self.drive)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Colab's interpreter with reprolock beside its packages, started with /content at its place."""
    real = colab_python("cpu", "--editable", str(ROOT))
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "a root").mkdir()
    for one in real.parent.iterdir():
        (folder / one.name).symlink_to(one)
    within = [sys.executable, "-I", "-S", bind.__file__, "$spec", str(real), "$@"]
    wrapper = folder / "python"
    wrapper.unlink()
    wrapper.write_text(
        "#!/bin/sh\n"
        'spec=$(printf \'{"root": "%s", "places": [{"at": "/content", "folder": "%s"}], "cwd": "/content"}\''
        f' "{tmp_path / "a root"}" "$PWD")\n'
        "exec " + " ".join(f'"{part}"' for part in within) + "\n"
    )
    wrapper.chmod(0o755)
    done = subprocess.run([wrapper, "-c", ""], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no mount namespace here: {done.stderr}")
    return wrapper


@pytest.fixture
def machine(tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Colab]:
    monkeypatch.setattr(stand_in, "Colab", Here)
    with colab(tmp_path, python=python, REPROLOCK_CACHE="/content/.cache/reprolock") as running:
        (running.drive / "data").mkdir()
        (running.drive / "data" / "x.csv").write_text("a,b\n1,2\n3,4\n")
        running.front_end.secrets["TOKEN"] = SECRET
        running.front_end.uploads["up.csv"] = b"x\n5\n"
        yield running


def run(notebook: ColabNotebook, *indexes: int) -> None:
    for index in indexes:
        done = notebook.run(index)
        assert done.status == "ok", done.outputs


def lock_in(folder: Path, name: str = "train") -> dict[str, Any]:
    return dict(toml((folder / f"pylock.{name}.toml").read_text())["tool"]["reprolock"])


def holds_no_secret(*folders: Path) -> None:
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path


def test_a_session_is_captured_as_the_page_shows_it_and_verified_elsewhere(machine, cli):
    with machine.notebook(
        "train.ipynb", [*CELLS, CAPTURE, "!reprolock capture --json --offline"]
    ) as notebook:
        run(notebook, *range(8))
        machine.front_end.uploads.clear()
        shown = notebook.run(8)
        assert "pylock.train.toml" in shown.html
        kept = lock_in(machine.content)
        in_the_shell = notebook.run(9).text
        assert ("get_ipynb", "") in notebook.requests
    result = json.loads(in_the_shell)
    assert result["lock"]["path"] == "/content/pylock.train.toml"
    for lock in (kept, lock_in(machine.content)):
        _is_of_the_session(lock)
    _reference_is_of_the_page(machine, notebook)
    holds_no_secret(machine.content)
    _verifies(machine, cli)


def _is_of_the_session(lock: dict[str, Any]) -> None:
    assert lock["system"]["platform"] == "colab"
    assert lock["system"]["platform-version"] == RELEASE_TAG
    assert lock["session"] == {"mode": "live"}
    assert lock["notebook"]["path"] == "train.ipynb"
    assert [cell["ran"] for cell in lock["notebook"]["cells"][:9]] == list(range(9))
    assert lock["metrics"]["loss"]["value"] == pytest.approx(LOSS)
    files = {file["name"]: file for file in lock["data"]["files"]}
    assert files[f"platform:{DRIVE}/data/x.csv"]["role"] == "input"
    assert files[f"platform:{DRIVE}/weight.ckpt"]["role"] == "output"
    assert files["up.csv"]["upload"] == 0
    assert lock["randomness"]["streams"][0]["seed"] == 7


def _reference_is_of_the_page(machine: Colab, notebook: ColabNotebook) -> None:
    reference = json.loads((machine.content / "train.reference.ipynb").read_text())
    assert [cell["metadata"]["id"] for cell in reference["cells"]] == [c.id for c in notebook.cells]
    assert "".join(reference["cells"][6]["outputs"][0]["text"]).startswith("loss: 6.32")
    assert reference["cells"][6]["execution_count"] == 7
    written = json.loads((machine.content / "train.ipynb").read_text())
    assert [cell["source"] for cell in written["cells"]] == [
        c["source"] for c in reference["cells"]
    ]


def _verifies(machine: Colab, cli: Any) -> None:
    """Run it again in an environment of the same versions that has no ``google.colab``."""
    elsewhere = prepared(
        "colab-elsewhere", "3.13", [["--no-deps", "-r", str(HERE / "requirements.txt")]]
    )
    folder = machine.content.parent / "elsewhere"
    folder.mkdir()
    for name in ("pylock.train.toml", "train.ipynb", "train.reference.ipynb", "up.csv"):
        (folder / name).write_bytes((machine.content / name).read_bytes())
    done = cli(
        "verify", folder / "pylock.train.toml", "--json", "--environment", elsewhere,
        "--map", f"{DRIVE}={machine.drive_now}", "--secret", "TOKEN=MY_TOKEN",
        env={"MY_TOKEN": SECRET},
    )  # fmt: skip
    assert done.code == 0, done
    assert done.verdict == "BIT_EXACT", done
    used = {(one["kind"], one["name"]) for one in done.json["environment"]["substitutions"]}
    assert {("path", DRIVE), ("secret", "TOKEN"), ("module", "google.colab.files.upload")} <= used
    assert SECRET not in done.out + done.err
    holds_no_secret(folder)


@pytest.mark.slow
def test_a_page_that_is_silent_is_waited_for_and_the_history_stands_in(machine):
    machine.front_end.silent.add("get_ipynb")
    with machine.notebook("train.ipynb", [LOAD, MOUNT, DATA, CAPTURE]) as notebook:
        run(notebook, 0, 1, 2)
        begun = time.monotonic()
        shown = notebook.run(3)
        assert 9 < time.monotonic() - begun < 40
    assert "made of the cells that ran" in shown.html
    (path,) = machine.content.glob("pylock.session-*.toml")
    lock = lock_in(machine.content, path.name.split(".")[1])
    assert lock["session"] == {"mode": "live"}
    assert lock["system"]["platform"] == "colab"
    assert [cell["ran"] for cell in lock["notebook"]["cells"]] == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_cell_that_was_edited_after_it_ran_is_known_by_its_id(machine):
    with machine.notebook("train.ipynb", [LOAD, "a = 1", "b = 2", CAPTURE]) as notebook:
        run(notebook, 0, 1, 2)
        notebook.edit(1, "a = 2")
        notebook.move(2, 1)
        run(notebook, 3)
    assert lock_in(machine.content)["session"] == {
        "mode": "live",
        "out-of-order": [1],
        "edited": [2],
    }


def test_a_lost_runtime_is_joined_from_the_drive(machine):
    """The machine is gone with all that lay on it; the Drive, and the page, are as they were."""
    with machine.notebook("train.ipynb", [*CELLS, CAPTURE]) as notebook:
        run(notebook, *range(7))
        notebook.save()
        notebook.lose_runtime()
        assert not (machine.content / ".cache" / "reprolock").exists()
        run(notebook, 0, 1, 2, 3, 7)  # the training is not run again: its checkpoint is there
        shown = notebook.run(8)
    lock = lock_in(machine.content)
    (one,) = lock["session"]["breaks"]
    assert one == {"how": "ended", "cells": [4, 5, 6], "checkpoints": ["weight.ckpt"]}
    assert "read again from weight.ckpt" in shown.html
    assert lock["metrics"]["loss"]["value"] == pytest.approx(LOSS)
    assert lock["metrics"]["accuracy"]["value"] == pytest.approx(LOSS / 10)
    assert lock["randomness"]["streams"][0]["seed"] == 7
    holds_no_secret(machine.content)


@pytest.mark.slow
def test_the_journals_of_another_notebook_in_the_same_drive_are_left_alone(machine):
    with machine.notebook("other.ipynb", [LOAD, MOUNT, JOURNAL, "x = 1\nprint(x)"]) as other:
        run(other, 0, 1, 2, 3)
        other.save()
        other.lose_runtime()
    with machine.notebook(
        "train.ipynb", [LOAD, MOUNT, JOURNAL, "x = 1\nprint(x)", "y = 2", CAPTURE]
    ) as notebook:
        run(notebook, 0, 1, 2, 4, 5)
    assert lock_in(machine.content)["session"] == {"mode": "live", "not-run": [3]}
