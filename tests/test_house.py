"""The project as a package and as a checkout: metadata, entry point, linters, make."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import toml
from tests.real import ROOT

PROJECT = toml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_metadata_are_those_of_a_package_that_others_can_use():
    found = importlib.metadata.metadata("reprolock")
    assert found["License-Expression"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert {"torch", "jax"} <= set(found.get_all("Provides-Extra"))
    assert any(c.startswith("Programming Language ::") for c in found.get_all("Classifier"))
    assert not any(c.startswith("License ::") for c in found.get_all("Classifier"))
    assert PROJECT["build-system"]["build-backend"] == "hatchling.build"


def test_the_entry_point_is_the_command():
    command = Path(sys.executable).with_name("reprolock")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert importlib.metadata.version("reprolock") in done.stdout


def test_uv_is_a_dependency_and_nothing_heavy_is():
    names = {re.match(r"[\w-]+", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert "uv" in names
    assert not names & {"torch", "jax", "numpy", "pandas", "scikit-learn"}


def test_what_is_built_holds_the_recorder_and_the_schemas(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", tmp_path, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,), (source,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert "reprolock/recorder/session.py" in names
    assert {f"reprolock/schemas/{p.name}" for p in (ROOT / "schemas").iterdir()} <= set(names)
    assert not [n for n in names if n.startswith("tests/")]
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "fixtures/demo/train.ipynb"} <= inside


@pytest.mark.parametrize("goal", ["demo", "test", "lint", "bench"])
def test_make_makes_the_environment_first(goal):
    if shutil.which("make") is None:
        pytest.skip("no make here")
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", goal],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    made = next(n for n, line in enumerate(lines) if "pip install" in line and "--editable" in line)
    assert any(".venv/bin" in line for line in lines[made + 1 :])


def test_ci_runs_every_linter_and_the_tests():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make (\w+)$", ci, re.MULTILINE) == ["lint", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rule = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    assert all(w in rule for w in ("ruff check", "ruff format --check", "mypy", "lint-imports"))
    assert PROJECT["tool"]["mypy"]["strict"] is True
    assert PROJECT["tool"]["ruff"]["lint"]["select"] == ["ALL"]
    kinds = {c["type"] for c in PROJECT["tool"]["importlinter"]["contracts"]}
    assert {"layers", "forbidden"} <= kinds


@pytest.mark.slow
def test_the_benchmark_is_one_command(tmp_path):
    """That it measures all there is to measure; whether the targets hold is for an idle machine."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--trees", "5", "--repeats", "1",
         "--json", tmp_path / "bench.json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["rows"]
    names = [row["name"] for row in rows]
    assert [name for name in names if name not in done.stdout] == []
    for what in ("capture", "verify", "kernel memory", "--help", "read a lock", "write a lock"):
        assert any(what in name for name in names), what
    assert all(row["figure"] < 100 for row in rows)
