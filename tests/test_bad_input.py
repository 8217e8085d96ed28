"""Everything that can be wrong: a clear message, the right exit code, nothing half written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reprolock.cli import main
from tests import notebooks
from tests.conftest import RUNNING, Answer, Command, contents, rewrite, toml
from tests.real import environment, interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import nbformat


def refused(done: Answer, code: int, *words: str, hint: bool = True) -> None:
    """Assert an ``error:`` that says *words*, a ``hint:``, the exit code, and no traceback."""
    assert done.code == code, str(done)
    said = done.out + done.err
    assert "Traceback" not in said, str(done)
    assert "itself failed" not in said, str(done)
    assert "error:" in said, str(done)
    assert not hint or "hint:" in said, str(done)
    for word in words:
        assert word.lower() in " ".join(said.lower().split()), f"wanted {word!r} in\n{done}"


def untouched(folder: Path, before: dict[str, bytes]) -> None:
    """Assert that the folder is as it was: no lock, no reference, no temporary file."""
    after = contents(folder)
    assert sorted(after) == sorted(before)
    assert after == before


def locked(cli: Command, notebook: nbformat.NotebookNode, python: Path, name: str = "note") -> Path:
    notebooks.write(notebook, cli.cwd / f"{name}.ipynb")
    done = cli("capture", f"{name}.ipynb", "--python", python)
    assert done.code == 0, str(done)
    return cli.cwd / f"pylock.{name}.toml"


# Notebooks that are none.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("this is a shopping list\n", "json"),
        (notebooks.cut_in_half(), "json"),
        ("", "json"),
        ("[1, 2, 3]", "notebook"),
        ('{"answer": 42}', "nbformat"),
        ('{"nbformat": 9, "nbformat_minor": 0, "metadata": {}, "cells": []}', "nbformat"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 7}', ""),
        (
            '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}',
            "",
        ),
        ("[" * 100_000, "json"),
        ("\ufeff{}", ""),
    ],
    ids=["text", "cut", "nothing", "list", "object", "future", "cells", "cell", "deep", "bom"],
)
def test_a_file_that_is_no_notebook(text: str, words: str, cli: Command) -> None:
    (cli.cwd / "note.ipynb").write_text(text, encoding="utf-8")
    before = contents(cli.cwd)
    refused(cli("capture", "note.ipynb"), 2, "note.ipynb", words)
    untouched(cli.cwd, before)


def test_bytes_that_are_no_text(cli: Command) -> None:
    (cli.cwd / "note.ipynb").write_bytes(bytes(range(256)))
    refused(cli("capture", "note.ipynb"), 2, "note.ipynb")


def test_a_notebook_that_is_not_there_or_is_a_folder(cli: Command) -> None:
    refused(cli("capture", "nowhere.ipynb"), 2, "nowhere.ipynb")
    (cli.cwd / "folder.ipynb").mkdir()
    refused(cli("capture", "folder.ipynb"), 2, "folder.ipynb")


@pytest.mark.parametrize("build", [notebooks.no_code, notebooks.empty], ids=lambda b: b.__name__)
def test_no_code_cell(build: Callable[[], nbformat.NotebookNode], cli: Command) -> None:
    notebooks.write(build(), cli.cwd / "note.ipynb")
    before = contents(cli.cwd)
    refused(cli("capture", "note.ipynb"), 2, "no code cell")
    untouched(cli.cwd, before)


@pytest.mark.slow
@pytest.mark.parametrize("version", [2, 3])
def test_an_old_format_is_upgraded_in_memory_and_said(
    version: int, cli: Command, bare_python: Path
) -> None:
    path = notebooks.write(notebooks.old_format(version), cli.cwd / "note.ipynb")
    before = path.read_bytes()
    done = cli("capture", "note.ipynb", "--python", bare_python, "--json")
    assert done.code == 0, str(done)
    assert str(version) in done.finding("notebook.upgraded")["message"]
    assert path.read_bytes() == before
    again = cli("verify", done.json["lock"]["path"], "--environment", bare_python, "--json")
    assert again.code == 0, str(again)
    assert again.json["metrics"][0]["expected"] == 0.5


# Kernels.


def test_another_language(cli: Command) -> None:
    notebooks.write(notebooks.other_language(), cli.cwd / "note.ipynb")
    refused(cli("capture", "note.ipynb"), 2, "Python", "R")


def test_a_kernel_that_is_not_there(cli: Command) -> None:
    notebooks.write(notebooks.simple(), cli.cwd / "note.ipynb")
    refused(
        cli("capture", "note.ipynb", "--kernel", "no-such-kernel"),
        2,
        "no-such-kernel",
        "kernelspec",
    )


@pytest.mark.slow
def test_the_notebooks_own_kernel_is_not_there(cli: Command) -> None:
    notebooks.write(notebooks.missing_kernel(), cli.cwd / "note.ipynb")
    done = cli("capture", "note.ipynb", "--json")
    assert done.code == 0, str(done)
    assert "no-such-kernel-here" in done.finding("notebook.kernel-substituted")["message"]


@pytest.mark.slow
def test_an_interpreter_that_is_none(cli: Command) -> None:
    notebooks.write(notebooks.simple(), cli.cwd / "note.ipynb")
    refused(cli("capture", "note.ipynb", "--python", "/no/such/python"), 2, "/no/such/python")
    refused(cli("capture", "note.ipynb", "--python", "/bin/false"), 2, "/bin/false")


def test_an_interpreter_without_ipykernel(cli: Command) -> None:
    venv = cli.cwd / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run(
        [*uv, "venv", "--quiet", "--python", str(interpreter(RUNNING)), str(venv)], check=True
    )
    notebooks.write(notebooks.simple(), cli.cwd / "note.ipynb")
    refused(
        cli("capture", "note.ipynb", "--python", venv / "bin" / "python"), 2, "ipykernel", "install"
    )


def test_a_kernel_that_dies_leaves_what_was_known(cli: Command, bare_python: Path) -> None:
    path = notebooks.write(notebooks.kills_its_kernel(), cli.cwd / "note.ipynb")
    before = path.read_bytes()
    done = cli("capture", "note.ipynb", "--python", bare_python, "--json", timeout=60)
    assert (done.verdict, done.code) == ("DID_NOT_RUN", 1), str(done)
    assert done.finding("run.died")["cell"] == 2
    events = [json.loads(line) for line in Path(done.json["journal"]).read_text().splitlines()]
    assert any(e["event"] == "seed" and e["stream"] == "random" for e in events)
    assert any(e["event"] == "file" and e["path"].endswith("before.txt") for e in events)
    assert path.read_bytes() == before
    assert not list(cli.cwd.glob("pylock.*"))


# Cells.


@pytest.mark.parametrize(
    ("build", "options", "kind", "cell", "words"),
    [
        (notebooks.raising, (), "run.raised", 1, "no such model"),
        (notebooks.asks_for_input, (), "run.raised", 0, "input"),
        (notebooks.never_ends, ("--timeout", "3"), "run.timeout", 1, "3"),
        (notebooks.never_ends_and_ignores_interrupts, ("--timeout", "3"), "run.timeout", 1, "3"),
        (notebooks.prints_much, (), "run.output", 0, "--max-output"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_cell_that_cannot_go_on(
    build: Callable[[], nbformat.NotebookNode],
    options: tuple[str, ...],
    kind: str,
    cell: int,
    words: str,
    cli: Command,
    bare_python: Path,
) -> None:
    notebooks.write(build(), cli.cwd / "note.ipynb")
    before = contents(cli.cwd)
    done = cli("capture", "note.ipynb", "--python", bare_python, *options, "--json", timeout=90)
    assert (done.verdict, done.code) == ("DID_NOT_RUN", 1), str(done)
    found = done.finding(kind)
    assert found["cell"] == cell
    assert words in found["message"] + found.get("hint", "")
    assert "Traceback" not in done.err
    untouched(cli.cwd, before)
    assert kernels_of(cli) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("then", "kind"),
    [
        ("import os\nos._exit(3)", "run.died"),
        pytest.param("raise ValueError('no such model')", "run.raised", marks=pytest.mark.slow),
        pytest.param("input('your name? ')", "run.raised", marks=pytest.mark.slow),
        pytest.param("while True:\n    pass", "run.timeout", marks=pytest.mark.slow),
        pytest.param(
            "for _ in range(200):\n    print('x' * (1 << 20))", "run.output", marks=pytest.mark.slow
        ),
    ],
    ids=["dies", "raises", "asks", "never-ends", "prints"],
)
def test_a_cell_that_cannot_go_on_in_verify(
    then: str, kind: str, cli: Command, bare_python: Path
) -> None:
    (cli.cwd / "what.py").write_text("pass\n")
    made = notebooks.notebook("exec(open('what.py').read())", "print('accuracy: 0.5')")
    lock = locked(cli, made, bare_python)
    (cli.cwd / "what.py").write_text(then)
    before = contents(cli.cwd)
    done = cli("verify", lock, "--environment", bare_python, "--timeout", "5", "--json", timeout=90)
    assert (done.verdict, done.code) == ("DID_NOT_RUN", 1), str(done)
    assert done.finding(kind)["cell"] == 0
    assert done.finding("data.content-changed")["subject"] == "what.py"
    assert "Traceback" not in done.err
    untouched(cli.cwd, before)


def test_a_failed_run_is_told_to_people(cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.raising(), cli.cwd / "note.ipynb")
    refused(
        cli("capture", "note.ipynb", "--python", bare_python),
        1,
        "cell 1",
        "no such model",
        "--allow-errors",
    )


def test_what_fits_the_limit_is_kept(cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.prints_much(2), cli.cwd / "note.ipynb")
    done = cli("capture", "note.ipynb", "--python", bare_python, "--max-output", "4", "--json")
    assert done.code == 0, str(done)


@pytest.mark.slow
def test_allow_errors_lets_a_raising_cell_go_on(cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.raising(), cli.cwd / "note.ipynb")
    done = cli("capture", "note.ipynb", "--python", bare_python, "--allow-errors", "--json")
    assert done.code == 0, str(done)
    again = cli("verify", done.json["lock"]["path"], "--environment", bare_python, "--json")
    assert again.code == 0, str(again)


def test_a_cell_that_raises_anew_in_verify(cli: Command, bare_python: Path) -> None:
    (cli.cwd / "data.csv").write_text(notebooks.csv_text())
    lock = locked(cli, notebooks.reads_csv(), bare_python)
    (cli.cwd / "data.csv").write_text("name,wrong\na,1\n")
    done = cli("verify", lock, "--environment", bare_python, "--json")
    assert (done.verdict, done.code) == ("DID_NOT_RUN", 1), str(done)
    assert done.finding("run.raised")["cell"] == 2
    assert done.finding("data.content-changed")["subject"] == "data.csv"


@pytest.mark.parametrize(
    "wrong",
    [
        ("--metric", "nonsense"),
        ("--metric", "a=1 +"),
        ("--metric", "a=x@99"),
        ("--metric", "=x"),
        ("--timeout", "-1"),
    ],
    ids=" ".join,
)
def test_wrong_usage_of_capture(wrong: tuple[str, ...], cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.simple(), cli.cwd / "note.ipynb")
    before = contents(cli.cwd)
    refused(cli("capture", "note.ipynb", "--python", bare_python, *wrong), 2, hint=False)
    untouched(cli.cwd, before)


def test_a_metric_that_cannot_be_evaluated_is_said(cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.simple(), cli.cwd / "note.ipynb")
    done = cli(
        "capture", "note.ipynb", "--python", bare_python, "--metric", "gain=no_such_name", "--json"
    )
    assert "Traceback" not in done.err
    assert "NameError" in json.dumps(done.json["findings"]), str(done)


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("capture",), ("verify",), ("capture", "--nonsense")]
)
def test_wrong_usage(arguments: tuple[str, ...], cli: Command) -> None:
    done = cli(*arguments)
    assert done.code in ((0, 2) if not arguments else (2,)), str(done)
    assert "Traceback" not in done.err


# Locks.


@pytest.mark.parametrize("command", ["verify", "rebuild", "show", "diff"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= this is no TOML", "toml"),
        ("", "lock-version"),
        ("a = 1\n", "lock-version"),
        ('lock-version = "2.0"\ncreated-by = "x"\npackages = []\n', "2.0"),
        ('lock-version = "1.0"\ncreated-by = "x"\npackages = []\n', "reprolock"),
        (
            'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n[tool.reprolock]\nformat = 99\n',
            "99",
        ),
        (
            'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n[tool.reprolock]\nformat = 1\n',
            "",
        ),
    ],
    ids=["no-toml", "nothing", "no-pylock", "pylock-2", "not-ours", "newer", "empty"],
)
def test_a_lock_that_is_none(text: str, words: str, command: str, cli: Command) -> None:
    (cli.cwd / "pylock.note.toml").write_text(text)
    before = contents(cli.cwd)
    refused(cli(command, *["pylock.note.toml"] * (2 if command == "diff" else 1)), 2, words)
    if command == "verify":
        done = cli(command, "pylock.note.toml", "--json")
        assert (done.verdict, done.code) == ("UNVERIFIABLE", 2), str(done)
    untouched(cli.cwd, before)


@pytest.mark.parametrize("command", ["verify", "rebuild", "show", "diff"])
def test_a_lock_that_is_not_there(command: str, cli: Command) -> None:
    arguments = ("nowhere.toml", "nor-here.toml") if command == "diff" else ("nowhere.toml",)
    refused(cli(command, *arguments), 2, "nowhere.toml")


def test_a_lock_that_was_edited(cli: Command, bare_python: Path) -> None:
    lock = locked(cli, notebooks.simple(), bare_python)
    whole = lock.read_text(encoding="utf-8")
    lock.write_text(whole.replace("0.75", "0.85"), encoding="utf-8")
    refused(cli("verify", lock, "--environment", bare_python), 2, "digest")
    # A hash of another file, of the right form: what an attacker would try.
    forged = re.sub(r"(sha256 = ['\"])[0-9a-f]{8}", r"\g<1>00000000", whole, count=1)
    assert forged != whole
    lock.write_text(forged, encoding="utf-8")
    refused(cli("rebuild", lock), 2, "digest")


def test_every_cut_of_a_lock_is_refused(cli: Command, bare_python: Path) -> None:
    lock = locked(cli, notebooks.simple(), bare_python)
    whole = lock.read_bytes()
    for share in (0.1, 0.5, 0.9):
        lock.write_bytes(whole[: int(len(whole) * share)])
        refused(cli("verify", lock, "--environment", bare_python), 2, "pylock.note.toml")


@pytest.mark.parametrize("name", ["../outside.ipynb", "/etc/passwd", ".."])
def test_a_lock_cannot_name_files_outside_its_folder(
    name: str, cli: Command, bare_python: Path
) -> None:
    lock = locked(cli, notebooks.simple(), bare_python)
    rewrite(lock, 'path = "note.ipynb"', f'path = "{name}"')
    done = cli("verify", lock, "--environment", bare_python, "--json")
    assert (done.verdict, done.code) == ("UNVERIFIABLE", 2), str(done)


@pytest.mark.slow
def test_a_python_that_this_machine_lacks(cli: Command, bare_python: Path) -> None:
    lock = locked(cli, notebooks.simple(), bare_python)
    here = toml(lock.read_text(encoding="utf-8"))["tool"]["reprolock"]["interpreter"]["version"]
    rewrite(lock, f'version = "{here}"', 'version = "3.99.1"')
    done = cli("verify", lock, "--json")
    assert (done.verdict, done.code) == ("COULD_NOT_REBUILD", 1), str(done)
    found = done.finding("rebuild.failed")
    assert "3.99.1" in found["message"]
    assert "3.99.1" in found["hint"]
    refused(cli("verify", lock), 1, "3.99.1")
    refused(cli("rebuild", lock), 1, "3.99.1")


def test_a_notebook_that_is_gone_or_broken(cli: Command, bare_python: Path) -> None:
    lock = locked(cli, notebooks.simple(), bare_python)
    (cli.cwd / "note.ipynb").write_text(notebooks.cut_in_half())
    refused(cli("verify", lock, "--environment", bare_python), 2, "note.ipynb")
    (cli.cwd / "note.ipynb").unlink()
    refused(cli("verify", lock, "--environment", bare_python), 2, "note.ipynb")


@pytest.mark.slow
def test_a_reference_that_is_gone(cli: Command, bare_python: Path) -> None:
    lock = locked(cli, notebooks.simple(), bare_python)
    (cli.cwd / "note.reference.ipynb").unlink()
    refused(cli("verify", lock, "--environment", bare_python), 2, "note.reference.ipynb")


# Data.


@pytest.mark.parametrize(
    "how",
    [
        "missing",
        *(pytest.param(how, marks=pytest.mark.slow) for how in ("a folder", "a broken link")),
        "forbidden",
    ],
)
def test_data_that_is_not_there(how: str, cli: Command, bare_python: Path) -> None:
    data = cli.cwd / "data.csv"
    data.write_text(notebooks.csv_text())
    lock = locked(cli, notebooks.reads_csv(), bare_python)
    if how == "forbidden":
        if os.geteuid() == 0:
            pytest.skip("root may read everything")
        data.chmod(0)
    else:
        data.unlink()
    if how == "a folder":
        data.mkdir()
    if how == "a broken link":
        data.symlink_to("nowhere")
    done = cli("verify", lock, "--environment", bare_python, "--json")
    assert (done.verdict, done.code) == ("COULD_NOT_REBUILD", 1), str(done)
    found = next(
        f for f in done.json["findings"] if f["code"] in ("data.missing", "data.unreadable")
    )
    assert (found["subject"], found["severity"]) == ("data.csv", "error")
    assert found["hint"]
    refused(cli("verify", lock, "--environment", bare_python), 1, "data.csv")


# Packages, network, disk.


@pytest.fixture(scope="module")
def local_package_python() -> Path:
    """An environment with a package that no index has, built from a folder."""
    source = Path(__file__).resolve().parent.parent / ".cache" / "local-package"
    source.mkdir(parents=True, exist_ok=True)
    name = "reprolock-test-package-that-no-index-has"
    (source / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n[tool.hatch.build.targets.wheel]\nonly-include = ["here.py"]\n'
    )
    (source / "here.py").write_text("answer = 42\n")
    return environment(RUNNING, ["ipykernel==6.31.0", str(source)])


@pytest.mark.slow
def test_a_package_that_no_index_has(cli: Command, local_package_python: Path) -> None:
    made = notebooks.notebook("import here", "print(f'accuracy: {here.answer}')")
    lock = locked(cli, made, local_package_python)
    name = "reprolock-test-package-that-no-index-has"
    done = cli("verify", lock, "--json")
    assert (done.verdict, done.code) == ("COULD_NOT_REBUILD", 1), str(done)
    assert name in json.dumps(done.json["findings"])
    refused(cli("rebuild", lock), 1, name)
    # Left out on request, the notebook says itself what it lacks.
    without = cli("verify", lock, "--leave-out", name, "--json")
    assert (without.verdict, without.code) == ("DID_NOT_RUN", 1), str(without)
    assert "ModuleNotFoundError" in json.dumps(without.json["findings"])


NO_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def needs_namespaces() -> None:
    try:
        done = subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False)
    except OSError:
        pytest.skip("no unshare here")
    if done.returncode != 0:
        pytest.skip("network namespaces cannot be made here")


@pytest.mark.slow
def test_rebuild_without_a_network(empty_cache_cli: Command, bare_python: Path) -> None:
    needs_namespaces()
    lock = locked(empty_cache_cli, notebooks.simple(), bare_python)
    env = {
        "UV_CACHE_DIR": str(empty_cache_cli.cwd / "uv"),
        "PIP_CACHE_DIR": str(empty_cache_cli.cwd / "pip"),
    }
    done = empty_cache_cli(
        "verify", lock, "--json", prefix=NO_NETWORK, env={**env, "UV_HTTP_TIMEOUT": "5"}
    )
    assert (done.verdict, done.code) == ("COULD_NOT_REBUILD", 1), str(done)
    told = json.dumps(done.json["findings"]).lower()
    assert "network" in told or "index" in told or "reach" in told
    assert all(f.get("hint") for f in done.json["findings"] if f["code"].startswith("rebuild."))
    assert "Traceback" not in done.err
    # The cache was left usable: with the network back, the same rebuild works.
    again = empty_cache_cli("rebuild", lock, env=env)
    assert again.code == 0, str(again)


def test_capture_without_a_network_keeps_names_and_says_so(
    empty_cache_cli: Command, bare_python: Path
) -> None:
    needs_namespaces()
    notebooks.write(notebooks.simple(), empty_cache_cli.cwd / "note.ipynb")
    done = empty_cache_cli(
        "capture", "note.ipynb", "--python", bare_python, "--json", prefix=NO_NETWORK, timeout=120
    )
    assert "Traceback" not in done.err
    assert done.code == 0, str(done)
    assert "packages.unresolved" in done.codes(), str(done)


@pytest.mark.slow
def test_what_is_cached_verifies_without_a_network(cli: Command, bare_python: Path) -> None:
    needs_namespaces()
    lock = locked(cli, notebooks.simple(), bare_python)
    assert cli("rebuild", lock).code == 0
    done = cli("verify", lock, "--json", prefix=NO_NETWORK)
    assert done.code == 0, str(done)
    assert done.json["environment"]["cached"] is True


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 256 KiB."""
    place = tmp_path / "small disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass


@pytest.mark.slow
def test_a_full_disk_keeps_the_old_lock(small_disk: Path, cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.simple(), small_disk / "note.ipynb")
    assert cli("capture", small_disk / "note.ipynb", "--python", bare_python).code == 0
    notebooks.write(notebooks.simple("0.5"), small_disk / "note.ipynb")
    fill(small_disk)
    before = contents(small_disk)
    refused(
        cli("capture", small_disk / "note.ipynb", "--python", bare_python),
        2,
        "cannot write",
        "space",
    )
    untouched(small_disk, before)


def test_a_full_disk_leaves_no_half_lock(small_disk: Path, cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.simple(), small_disk / "note.ipynb")
    fill(small_disk)
    before = contents(small_disk)
    refused(cli("capture", small_disk / "note.ipynb", "--python", bare_python), 2, "cannot write")
    untouched(small_disk, before)


@pytest.mark.slow
def test_a_full_cache_disk(small_disk: Path, cli: Command, bare_python: Path) -> None:
    lock = locked(cli, notebooks.simple(), bare_python)
    small = Command(cli.cwd, small_disk)
    done = small("verify", lock, "--json")
    assert done.code in (1, 2), str(done)
    assert "Traceback" not in done.out + done.err
    assert "itself failed" not in done.err
    assert "full" in done.out or "space" in done.out, str(done)
    # Nothing there passes for a finished environment: on a good disk the same cache works.
    good = cli.cwd / "good disk"
    shutil.copytree(small_disk, good, symlinks=True)
    assert Command(cli.cwd, good)("rebuild", lock).code == 0


def test_a_folder_that_cannot_be_written(cli: Command, bare_python: Path) -> None:
    place = cli.cwd / "read only"
    place.mkdir()
    notebooks.write(notebooks.simple(), place / "note.ipynb")
    if os.geteuid() == 0:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)],
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip("root may write everywhere and nothing can be mounted here")
        notebooks.write(notebooks.simple(), place / "note.ipynb")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    else:
        place.chmod(0o555)
    try:
        before = contents(place)
        refused(cli("capture", place / "note.ipynb", "--python", bare_python), 2, "cannot write")
        untouched(place, before)
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        else:
            place.chmod(0o755)


# Two at once, and Ctrl-C.


@pytest.mark.slow
def test_two_captures_at_once(cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.simple(), cli.cwd / "note.ipynb")
    both = [cli.start("capture", "note.ipynb", "--python", bare_python) for _ in "12"]
    said = [process.communicate(timeout=120) for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes, said
    for code, (out, err) in zip(codes, said, strict=True):
        assert code in (0, 2)
        assert "Traceback" not in out + err
        assert code == 0 or ("error:" in err and "another" in err), err
    assert cli("verify", "pylock.note.toml", "--environment", bare_python).code == 0
    assert sorted(contents(cli.cwd)) == ["note.ipynb", "note.reference.ipynb", "pylock.note.toml"]


def kernels_of(cli: Command) -> list[str]:
    """Return the command lines of kernels that work in the test's folder or ran with its cache."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "ipykernel" in line and (folder / "cwd").readlink().is_relative_to(cli.cwd):
                found.append(line)
        except OSError:  # noqa: PERF203  a process may end at any moment
            continue
    return found


def wait_for(what: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)


def interrupted(process: subprocess.Popen[str]) -> str:
    """Send Ctrl-C to the whole process group; return what was said, after checking the end."""
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (process.returncode, out, err)
    assert "Traceback" not in out + err
    assert "KeyboardInterrupt" not in out + err
    assert "interrupted" in err
    return out


def test_ctrl_c_while_a_cell_runs(cli: Command, bare_python: Path) -> None:
    made = notebooks.notebook(
        "open('started.txt', 'w').close()", "import time\nwhile True:\n    time.sleep(0.05)"
    )
    path = notebooks.write(made, cli.cwd / "note.ipynb")
    before = path.read_bytes()
    process = cli.start("capture", "note.ipynb", "--python", bare_python)
    wait_for((cli.cwd / "started.txt").exists)
    interrupted(process)
    assert path.read_bytes() == before
    assert sorted(contents(cli.cwd)) == ["note.ipynb", "started.txt"]
    wait_for(lambda: not kernels_of(cli), 10)


@pytest.mark.parametrize("after", [0.7, 2.0, 4.0])
def test_ctrl_c_at_any_time_of_a_capture(after: float, cli: Command, bare_python: Path) -> None:
    made = notebooks.notebook("import time\ntime.sleep(20)", "print('accuracy: 0.5')")
    notebooks.write(made, cli.cwd / "note.ipynb")
    before = contents(cli.cwd)
    process = cli.start("capture", "note.ipynb", "--python", bare_python)
    time.sleep(after)
    interrupted(process)
    untouched(cli.cwd, before)
    wait_for(lambda: not kernels_of(cli), 10)


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.8, 1.6])
def test_ctrl_c_in_a_rebuild_leaves_the_cache_usable(
    after: float, empty_cache_cli: Command, bare_python: Path
) -> None:
    lock = locked(empty_cache_cli, notebooks.simple(), bare_python)
    before = (empty_cache_cli.cwd / "note.ipynb").read_bytes()
    uv = {"UV_CACHE_DIR": str(empty_cache_cli.cwd / "uv")}
    process = empty_cache_cli.start("rebuild", lock, env=uv)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130), (process.returncode, out, err)
    assert "Traceback" not in out + err
    assert (empty_cache_cli.cwd / "note.ipynb").read_bytes() == before
    done = empty_cache_cli("rebuild", lock, env=uv)
    assert done.code == 0, str(done)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(step, marks=pytest.mark.slow) for step in ("read", "rebuild", "compare")),
        "execute",
    ],
)
def test_ctrl_c_in_each_step_of_a_verify(
    name: str, cli: Command, tmp_path_factory: pytest.TempPathFactory, bare_python: Path
) -> None:
    lock = locked(cli, notebooks.simple(), bare_python)
    cache = tmp_path_factory.mktemp("empty cache") if name == "rebuild" else cli.cache
    before = contents(cli.cwd)
    process = Command(cli.cwd, cache).start("verify", lock)
    ends_by_ctrl_c_after(f"] {name}", process, must=name in ("rebuild", "execute"))
    untouched(cli.cwd, before)
    wait_for(lambda: not scratch_kernels(process.pid), 10)
    done = Command(cli.cwd, cache)("verify", lock)
    assert done.code == 0, str(done)


@pytest.mark.slow
def test_ctrl_c_while_packages_are_identified(
    cli: Command, tmp_path_factory: pytest.TempPathFactory, bare_python: Path
) -> None:
    notebooks.write(notebooks.simple(), cli.cwd / "note.ipynb")
    before = contents(cli.cwd)
    empty = Command(cli.cwd, tmp_path_factory.mktemp("empty cache"))
    process = empty.start("capture", "note.ipynb", "--python", bare_python)
    if ends_by_ctrl_c_after("running cells", process, must=False):
        untouched(cli.cwd, before)
    wait_for(lambda: not kernels_of(cli), 10)
    assert empty("capture", "note.ipynb", "--python", bare_python).code == 0
    assert empty("verify", "pylock.note.toml", "--environment", bare_python).code == 0


def ends_by_ctrl_c_after(words: str, process: subprocess.Popen[str], *, must: bool) -> bool:
    """Send Ctrl-C once *words* were said; a step too short to be caught may end well, unless it *must* not.

    Returns whether it was caught.
    """
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            break
    assert words in said
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    said += out + err
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said
    assert process.returncode == 130 or (process.returncode == 0 and not must), said
    assert process.returncode == 0 or "interrupted" in said
    return process.returncode == 130


@pytest.mark.slow
def test_ctrl_c_in_a_verify(cli: Command, bare_python: Path) -> None:
    made = notebooks.notebook(
        "import os, time\nopen('started.txt', 'w').close()",
        "time.sleep(float(os.environ.get('WAIT', 0)))",
        "1 + 1",
    )
    lock = locked(cli, made, bare_python)
    before = contents(cli.cwd)
    process = cli.start("verify", lock, "--environment", bare_python, env={"WAIT": "30"})
    wait_for(lambda: scratch_kernels(process.pid))
    time.sleep(2)
    interrupted(process)
    untouched(cli.cwd, before)
    wait_for(lambda: not scratch_kernels(process.pid), 10)


def test_a_verify_that_is_told_to_end_ends_as_by_ctrl_c(cli: Command, bare_python: Path) -> None:
    made = notebooks.notebook("import os, time\ntime.sleep(float(os.environ.get('WAIT', 0)))")
    lock = locked(cli, made, bare_python)
    before = contents(cli.cwd)
    process = cli.start("verify", lock, "--environment", bare_python, env={"WAIT": "30"})
    wait_for(lambda: scratch_kernels(process.pid))
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "error: terminated" in err) == (143, True)
    untouched(cli.cwd, before)
    wait_for(lambda: not scratch_kernels(process.pid), 10)


@pytest.mark.parametrize("command", ["show", "verify", "rebuild"])
@pytest.mark.parametrize("place", ["/dev/zero", "a pipe", "."])
def test_a_lock_that_is_no_file_is_not_read(tmp_path, capsys, command, place):
    path = Path(place)
    if place == "a pipe":
        path = tmp_path / "pylock.n.toml"
        os.mkfifo(path)
    assert main([command, str(path)]) == 2
    assert "cannot read the lock" in "".join(capsys.readouterr())


def scratch_kernels(root: int) -> list[int]:
    """Return the kernels whose parent is *root*."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == root and (
                b"ipykernel" in (stat.parent / "cmdline").read_bytes()
            ):
                found.append(int(stat.parent.name))
        except OSError:  # noqa: PERF203  a process may end at any moment
            continue
    return found
