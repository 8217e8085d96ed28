"""The command line itself: help, usage errors, streams, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from reprolock.cli import COMMANDS, main


def run(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "reprolock", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **more,
    )


def test_help_lists_the_commands_and_fits_the_terminal():
    done = run("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "name", [*sorted(COMMANDS.keys() - {"cache"}), "cache list", "cache prune"]
)
def test_help_of_each_command(name):
    done = run(*name.split(), "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout
    assert "\\b" not in done.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys, reprolock.cli; "
        "heavy = {'nbformat', 'nbclient', 'jupyter_client', 'rich', 'torch', 'jax', 'numpy', "
        "'tomlkit', 'urllib3', 'PIL', 'packaging'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing"], "No such command"),
        (["verify"], "Missing argument 'LOCK'"),
        (["verify", "x", "--nothing"], "No such option"),
        (["verify", "x", "--tolerance", "accuracy"], "accuracy"),
        (["verify", "x", "--tolerance", "accuracy=-1"], "accuracy"),
        (["verify", "x", "--timeout", "0"], "--timeout"),
        (["capture", "x.ipynb", "--metric", "no expression"], "no expression"),
    ],
)
def test_wrong_usage_is_an_error_with_a_hint(arguments, says):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_python_and_kernel_exclude_each_other(tmp_path):
    notebook = tmp_path / "n.ipynb"
    cell = {
        "cell_type": "code",
        "source": "1",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    notebook.write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]})
    )
    done = run("capture", notebook, "--python", sys.executable, "--kernel", "python3")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_json_is_one_object_and_nothing_else(tmp_path):
    done = run("verify", tmp_path / "pylock.none.toml", "--json")
    result = json.loads(done.stdout)
    assert done.returncode == result["exit_code"] == 2
    assert result["verdict"] == "UNVERIFIABLE"


def test_terminal_escapes_in_names_stay_text(tmp_path):
    done = run("verify", tmp_path / "pylock.\x1b[31mred.toml")
    assert "\x1b" not in done.stdout + done.stderr


def test_a_closed_pipe_is_no_traceback(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "reprolock", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert "Traceback" not in done.stderr


def test_an_unknown_failure_is_told_in_words(monkeypatch, capsys, tmp_path):
    import reprolock.inspect

    monkeypatch.setattr(reprolock.inspect, "show", lambda _path: 1 / 0)
    assert main(["show", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: reprolock itself failed\n  Caused by: ZeroDivisionError")


def test_an_error_is_a_json_object_too(tmp_path):
    done = run("capture", tmp_path / "none.ipynb", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["exit_code"]) == (2, 2)
    assert [f["code"] for f in result["findings"]] == ["notebook.unreadable"]
    assert done.stderr.startswith("error: ")


def test_no_command_builds_the_grammar_that_jsonschema_may_bring(tmp_path, cli):
    """It takes seconds, and nothing here asks for what it checks."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "rfc3987_syntax.py").write_text("raise SystemExit('it is built')\n")
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (cli.cwd / "note.ipynb").write_text(json.dumps(notebook))
    done = cli("capture", "note.ipynb", env={"PYTHONPATH": str(tmp_path / "lib")})
    assert "it is built" not in done.out + done.err
    assert (done.code, "has no code cell" in done.err) == (2, True)


def test_other_users_of_this_process_may_build_it(capsys):
    before = sys.modules.get("rfc3987_syntax", "not there")
    assert main(["--version"]) == 0
    assert sys.modules.get("rfc3987_syntax", "not there") == before
