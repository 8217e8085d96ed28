"""Which of the machine's interpreters an environment is rebuilt with."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reprolock.digest import sha256_file
from reprolock.errors import InterpreterMissingError
from reprolock.facts.interpreter import Interpreter, parse
from reprolock.rebuild.interpreters import KINDS, choose
from reprolock.recorder import interpreter

OWN = Path(sys._base_executable).resolve()


@pytest.fixture
def wanted() -> Interpreter:
    return parse(interpreter.collect())


@pytest.fixture
def pyenv(tmp_path, monkeypatch, wanted) -> Path:
    """The running interpreter once more, as pyenv would have it, with other bytes at its end."""
    folder = tmp_path / "pyenv" / "versions" / wanted.version / "bin"
    folder.mkdir(parents=True)
    python = folder / f"python{wanted.minor}"
    shutil.copy(OWN, python)
    with python.open("ab") as file:
        file.write(b"another build")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return python


def test_the_recorded_binary_comes_before_all(wanted, pyenv):
    assert wanted.binary == sha256_file(OWN)
    assert choose(wanted).found.path.resolve() == OWN
    assert choose(replace(wanted, binary=sha256_file(pyenv))).found.path == pyenv


def test_the_order_decides_where_no_binary_is_the_recorded_one(wanted, pyenv):
    unknown = replace(wanted, binary="0" * 64)
    assert choose(unknown).found.path.resolve() == OWN
    assert choose(unknown, ("pyenv", "own")).found.path == pyenv
    assert choose(replace(wanted, binary=""), ("pyenv", "own")).found.path == pyenv


def test_only_the_kinds_that_are_named_are_looked_for(wanted, pyenv):
    assert choose(wanted, ("pyenv",)).found.path == pyenv
    with pytest.raises(InterpreterMissingError):
        choose(wanted, ())


def test_environments_that_conda_lists_are_looked_into(wanted, pyenv, monkeypatch, tmp_path):
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"\n{pyenv.parent.parent}\n/gone\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    assert choose(wanted, ("conda",)).found.path == pyenv


def test_each_kind_answers_on_this_machine(wanted):
    for kind in KINDS:
        try:
            found = choose(wanted, (kind,)).found
        except InterpreterMissingError:
            continue
        assert found.version.startswith(wanted.minor)
