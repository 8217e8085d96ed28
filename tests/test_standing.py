"""A capture replaces what a capture wrote, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reprolock import standing
from reprolock.digest import sha256_bytes
from reprolock.errors import UsageError
from tests.notebooks import notebook, write

if TYPE_CHECKING:
    from pathlib import Path

NOT_OURS = {
    "of uv": 'lock-version = "1.0"\ncreated-by = "uv"\n[[packages]]\nname = "a"\n',
    "with a tool table": "[tool.uv]\nx = 1\n",
    "no TOML": "Dear diary,",
    "of another notebook": '[tool.reprolock.notebook]\npath = "other.ipynb"\n',
}
OURS = {
    "empty": "",
    "as ever": '[tool.reprolock.notebook]\npath = "n.ipynb"\n',
    "before it named the notebook": "[tool.reprolock]\nformat = 0\n",
    "after a merge": '<<<<<<< a\n[tool.reprolock.notebook]\npath = "n.ipynb"\n',
}


@pytest.mark.parametrize("text", NOT_OURS.values(), ids=NOT_OURS)
def test_a_lock_of_others_is_not_replaced(tmp_path, text):
    lock = tmp_path / "pylock.n.toml"
    lock.write_text(text)
    with pytest.raises(UsageError, match="was not replaced") as found:
        standing.check(lock, tmp_path / "n.ipynb", None)
    assert "--output pylock.OTHER.toml" in str(found.value.hint)


@pytest.mark.parametrize("text", OURS.values(), ids=OURS)
def test_a_lock_of_ours_is_replaced(tmp_path, text):
    lock = tmp_path / "pylock.n.toml"
    lock.write_text(text)
    standing.check(lock, tmp_path / "n.ipynb", tmp_path / "n.reference.ipynb")


def test_a_reference_is_ours_where_the_lock_beside_it_names_its_very_bytes(tmp_path):
    lock, notebook = tmp_path / "pylock.n.toml", tmp_path / "n.ipynb"
    reference = tmp_path / "n.reference.ipynb"
    reference.write_text("mine")
    with pytest.raises(UsageError, match="is not what the last capture wrote"):
        standing.check(lock, notebook, reference)
    text = (
        '[tool.reprolock.notebook]\npath = "n.ipynb"\nreference = "n.reference.ipynb"\n'
        f'reference-sha256 = "{sha256_bytes(b"mine")}"\n'
    )
    lock.write_text(text)
    assert standing.check(lock, notebook, reference).wrote(reference)
    reference.write_text("mine, changed")
    with pytest.raises(UsageError, match=r"n\.reference\.ipynb is not what the last capture wrote"):
        standing.check(lock, notebook, reference)
    lock.write_text(text.replace('"n.reference.ipynb"', '"n.ipynb"'))
    reference.write_text("mine")
    with pytest.raises(UsageError):
        standing.check(lock, notebook, reference)


def test_a_headless_capture_replaces_its_own_files_and_runs_nothing_where_it_may_not(
    cli: Any, bare_python: Path
):
    cell = "_ = open('ran.txt', 'a').write('x')\nprint('accuracy:', 0.9)"
    write(notebook(cell), cli.cwd / "n.ipynb")
    command = ("capture", "n.ipynb", "--python", bare_python, "--offline")
    theirs, reference = cli.cwd / "pylock.n.toml", cli.cwd / "n.reference.ipynb"
    theirs.write_text(NOT_OURS["of uv"])
    refused = cli(*command)
    assert refused.code == 2
    assert refused.err.startswith("error: ")
    assert "did not write, and was not replaced" in refused.err
    assert theirs.read_text() == NOT_OURS["of uv"]
    assert not (cli.cwd / "ran.txt").exists()
    theirs.unlink()
    assert cli(*command).code == 0
    assert reference.exists()
    assert cli(*command, "--inplace").code == 0  # the notebook is the reference from now on
    assert not reference.exists()
    assert (cli.cwd / "ran.txt").read_text() == "xx"
