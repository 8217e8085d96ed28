"""Rebuilds by real uv and pip, against an index on the loopback."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import shutil
import socket
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from reprolock.errors import InterpreterMissingError, RebuildError
from reprolock.facts.interpreter import Interpreter
from reprolock.facts.packages import (
    LockedPackage,
    Packages,
    UnresolvedPackage,
    WheelFile,
    collect,
)
from reprolock.facts.packages.index import Client, SimpleIndex
from reprolock.rebuild import How, as_json
from reprolock.rebuild import rebuild as rebuild_how
from tests.packages_support import Index, listed, make_env, make_sdist, make_wheel, serving, site

HERE = Interpreter("cpython", platform.python_version(), platform=sysconfig.get_platform())


def rebuild(packages, interpreter, progress=None, **how):
    return rebuild_how(packages, interpreter, How(**how), progress)


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    """Installers' caches and settings of this machine must neither help nor hinder."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def index(monkeypatch):
    with serving(Index()) as found:
        monkeypatch.setenv("PIP_INDEX_URL", found.simple)
        monkeypatch.setenv("UV_DEFAULT_INDEX", found.simple)
        yield found


@pytest.fixture
def locked(index, tmp_path):
    """Three packages as a capture finds them, one of them with scripts."""
    index.add(
        make_wheel("alpha", "1.0"),
        make_wheel(
            "beta",
            "2.0",
            {
                "beta.py": b"def main(): print('beta')\n",
                "beta-2.0.data/scripts/run-beta": b"#!python\nprint(1)\n",
                "beta-2.0.dist-info/entry_points.txt": b"[console_scripts]\nbeta = beta:main\n",
            },
        ),
        make_wheel("gamma", "3.0"),
    )
    python = make_env(tmp_path / "captured", "alpha", "beta", "gamma", index=index.simple)
    packages, findings = collect(
        listed(python), sources=(SimpleIndex(index.simple, Client()),), cache=tmp_path / "found"
    )
    assert findings == ()
    return packages


def versions(python):
    return {entry["name"]: entry["version"] for entry in listed(python)}


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_made_once_and_found_again(locked, index, tmp_path, installer):
    told = []
    made = rebuild(
        locked, HERE, cache=tmp_path / "c", progress=lambda *a: told.append(a), installer=installer
    )
    assert versions(made.python) == {"alpha": "1.0", "beta": "2.0", "gamma": "3.0"}
    assert (made.cached, made.substitutions, made.findings) == (False, (), ())
    assert (
        subprocess.run(
            [made.root / "bin" / "beta"], capture_output=True, text=True, check=True
        ).stdout
        == "beta\n"
    )
    assert ("install", 3, 3) in told
    assert ("check", 3, 3) in told
    assert as_json(made) == {"path": str(made.root), "cached": False, "substitutions": []}
    index.asked.clear()
    again = rebuild(locked, HERE, cache=tmp_path / "c", offline=True, installer=installer)
    assert again.cached
    assert again.python == made.python
    assert index.asked == []
    observed, _ = collect(listed(made.python), identify=False, cache=tmp_path / "x")
    assert {p.name: p.files for p in observed.unresolved} == {
        p.name: p.files for p in locked.packages
    }


def test_the_cache_is_keyed_by_what_the_lock_pins(locked, tmp_path):
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    fewer = rebuild(Packages(locked.packages[:2]), HERE, cache=tmp_path / "c")
    assert not fewer.cached
    assert fewer.root != made.root
    assert versions(fewer.python) == {"alpha": "1.0", "beta": "2.0"}
    again = rebuild(Packages(locked.packages[::-1]), HERE, cache=tmp_path / "c")
    assert again.cached
    assert again.root == made.root


def test_pip_steps_in_where_uv_is_absent(locked, tmp_path, monkeypatch):
    monkeypatch.setattr("reprolock.rebuild.uv.uv_binary", lambda: None)
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    assert (site(made.python) / "alpha-1.0.dist-info" / "INSTALLER").read_text().strip() == "pip"


def test_pip_steps_in_where_uv_fails_by_itself(locked, tmp_path, monkeypatch):
    broken = tmp_path / "uv-broken"
    broken.write_text("#!/bin/sh\necho 'thread main panicked at src/main.rs' >&2\nexit 101\n")
    broken.chmod(0o755)
    monkeypatch.setattr("reprolock.rebuild.uv.uv_binary", lambda: broken)
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    assert versions(made.python)["beta"] == "2.0"


def test_a_tampered_environment_is_made_anew(locked, tmp_path):
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    file = site(made.python) / "alpha" / "__init__.py"
    before = file.read_bytes()
    file.write_bytes(before.replace(b"1.0", b"6.6"))
    again = rebuild(locked, HERE, cache=tmp_path / "c")
    assert not again.cached
    assert file.read_bytes() == before


def test_a_half_made_environment_is_made_anew(locked, tmp_path):
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    (made.root.parent / "complete.json").unlink()
    shutil.rmtree(site(made.python) / "alpha")
    again = rebuild(locked, HERE, cache=tmp_path / "c")
    assert not again.cached
    assert (site(again.python) / "alpha" / "__init__.py").exists()
    assert rebuild(locked, HERE, cache=tmp_path / "c").cached


def test_a_poisoned_uv_cache_does_not_get_in(locked, tmp_path):
    first = rebuild(locked, HERE, cache=tmp_path / "c")
    poisoned = list((tmp_path / "uv").rglob("alpha/__init__.py"))
    assert poisoned
    for file in poisoned:
        file.write_text("VERSION = 'evil'\n")
    again = rebuild(locked, HERE, cache=tmp_path / "d")
    clean = (site(first.python) / "alpha" / "__init__.py").read_bytes()
    assert (site(again.python) / "alpha" / "__init__.py").read_bytes() == clean


def test_an_environment_does_not_reach_uvs_cache(locked, tmp_path):
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    assert (site(made.python) / "alpha" / "__init__.py").stat().st_nlink == 1


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.parametrize("size", [True, False])
def test_another_file_under_the_same_address(locked, index, tmp_path, installer, size):
    name, data = make_wheel("alpha", "1.0", {"alpha/__init__.py": b"evil = 1\n"})
    index.files[name] = data
    alpha = locked.get("alpha")
    if not size:
        alpha = replace(alpha, source=replace(alpha.source, size=None))
    with pytest.raises(RebuildError) as caught:
        rebuild(Packages((alpha,)), HERE, cache=tmp_path / "c", installer=installer)
    if not size:
        text = "\n".join(caught.value.causes)
        assert alpha.source.sha256 in text
        assert hashlib.sha256(data).hexdigest() in text
    assert "not the one that was locked" in caught.value.hint
    assert not list((tmp_path / "c").rglob("complete.json"))


def test_a_file_that_moved_is_found_by_its_hash(locked, index, tmp_path):
    moved = tuple(
        replace(p, source=replace(p.source, url=p.source.url.replace("/files/", "/lost/")))
        for p in locked.packages
    )
    made = rebuild(Packages(moved), HERE, cache=tmp_path / "c")
    assert [f.code for f in made.findings] == ["packages.relocated"]
    assert versions(made.python)["gamma"] == "3.0"


def test_a_file_that_is_gone(locked, index, tmp_path):
    index.gone.add("alpha-1.0-py3-none-any.whl")
    alone = Packages((locked.get("alpha"),))  # so that no other download can be the first to fail
    with pytest.raises(RebuildError) as caught:
        rebuild(alone, HERE, cache=tmp_path / "c")
    causes = caught.value.causes
    assert any("alpha-1.0" in cause and "404" in cause for cause in causes), causes
    assert "PIP_EXTRA_INDEX_URL" in caught.value.hint


def test_no_network(locked, tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("PIP_INDEX_URL", f"{dead}/simple")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{dead}/simple")
        lost = tuple(
            replace(p, source=replace(p.source, url=f"{dead}/files/{p.source.filename}"))
            for p in locked.packages
        )
        with pytest.raises(RebuildError) as caught:
            rebuild(Packages(lost), HERE, cache=tmp_path / "c")
        assert "check the network" in caught.value.hint
        with pytest.raises(RebuildError, match="could not be rebuilt") as caught:
            rebuild(Packages(lost), HERE, cache=tmp_path / "c", offline=True)
        assert "once with the network" in caught.value.hint


def test_a_wheel_for_another_machine(index, tmp_path):
    name, data = make_wheel("alpha", "1.0", tag="cp27-cp27m-win32")
    index.add((name, data))
    source = WheelFile(name, f"{index.url}/files/{name}", index.sha256(name), len(data))
    with pytest.raises(RebuildError) as caught:
        rebuild(
            Packages((LockedPackage("alpha", "1.0", source, "record"),)), HERE, cache=tmp_path / "c"
        )
    assert "another kind of machine" in caught.value.hint


def test_a_disk_that_is_too_full(locked, tmp_path):
    huge = replace(locked.packages[0], source=replace(locked.packages[0].source, size=10**15))
    with pytest.raises(RebuildError, match=r"disk is too full .* wanted about 5,000,000,050 MB"):
        rebuild(Packages((huge,)), HERE, cache=tmp_path / "c")


def test_a_cache_that_cannot_be_written(locked, tmp_path):
    (tmp_path / "c").write_text("a file")
    with pytest.raises(RebuildError, match="cannot write to the cache") as caught:
        rebuild(locked, HERE, cache=tmp_path / "c")
    assert "REPROLOCK_CACHE" in caught.value.hint


def test_other_files_than_the_locked_ones_fail(locked, tmp_path):
    wrong = Packages(
        tuple(replace(p, files="0" * 64) if p.name == "beta" else p for p in locked.packages)
    )
    with pytest.raises(RebuildError, match="not the one that was locked") as caught:
        rebuild(wrong, HERE, cache=tmp_path / "c")
    assert caught.value.causes == ("beta 2.0 has other files than in the recorded run",)


def test_what_cannot_be_had_is_named_in_full(locked, tmp_path):
    lost = (
        UnresolvedPackage("google-colab", "1.0", "directory"),
        UnresolvedPackage(
            "torch",
            "2.0+cpu",
            "local-file",
            filename="torch-2.0+cpu-py3-none-any.whl",
            sha256="a" * 64,
        ),
    )
    with pytest.raises(RebuildError) as caught:
        rebuild(Packages(locked.packages, lost), HERE, cache=tmp_path / "c")
    assert caught.value.message == "2 packages of the lock cannot be fetched from anywhere"
    assert caught.value.causes == (
        "google-colab 1.0: installed from a folder",
        (
            "torch 2.0+cpu: installed from a file that no reachable index serves "
            f"(torch-2.0+cpu-py3-none-any.whl, sha256 {'a' * 64})"
        ),
    )
    made = rebuild(
        Packages(locked.packages, lost),
        HERE,
        cache=tmp_path / "c",
        allow_missing=("Google_Colab", "torch"),
    )
    assert [f.code for f in made.findings] == ["packages.left-out"] * 2


def test_a_local_file_is_found_again_in_find_links(locked, tmp_path, monkeypatch):
    links = tmp_path / "links"
    links.mkdir()
    name, data = make_wheel("delta", "1.0+cpu")
    (links / name).write_bytes(data)
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    lost = UnresolvedPackage(
        "delta", "1.0+cpu", "local-file", filename=name, sha256=hashlib.sha256(data).hexdigest()
    )
    made = rebuild(Packages(locked.packages, (lost,)), HERE, cache=tmp_path / "c")
    assert versions(made.python)["delta"] == "1.0+cpu"
    with pytest.raises(RebuildError):
        rebuild(
            Packages(locked.packages, (replace(lost, sha256="0" * 64),)), HERE, cache=tmp_path / "c"
        )


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_source_archive_is_built_and_said(index, tmp_path, installer):
    index.add(make_sdist("omega", "1.0"))
    python = make_env(tmp_path / "captured", "omega", index=index.simple)
    packages, _ = collect(
        listed(python), sources=(SimpleIndex(index.simple, Client()),), cache=tmp_path / "found"
    )
    made = rebuild(packages, HERE, cache=tmp_path / "c", installer=installer)
    assert [f.code for f in made.findings] == ["packages.built-from-source"]
    other = Packages((replace(packages.packages[0], files="0" * 64),))
    made = rebuild(other, HERE, cache=tmp_path / "d", installer=installer)
    assert [(f.code, f.severity.value) for f in made.findings] == [
        ("packages.files-changed", "warning"),
        ("packages.built-from-source", "note"),
    ]


def test_credentials_of_pips_index_are_used(locked, index, tmp_path, monkeypatch):
    index.login = "me:s3cret"
    monkeypatch.setenv("PIP_INDEX_URL", index.simple.replace("//", "//me:s3cret@"))
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    assert versions(made.python)["alpha"] == "1.0"
    kept = [p for p in (tmp_path / "c").rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
    assert kept == []


def test_no_packages_at_all(tmp_path):
    made = rebuild(Packages(), HERE, cache=tmp_path / "c")
    assert versions(made.python) == {}


def test_a_python_that_is_not_here(locked, tmp_path):
    with pytest.raises(InterpreterMissingError) as caught:
        rebuild(locked, replace(HERE, version="3.99.1"), cache=tmp_path / "c")
    assert "wanted CPython 3.99.1" in caught.value.message
    assert platform.python_version() in caught.value.causes[0]
    assert "uv python install 3.99.1" in caught.value.hint
    with pytest.raises(InterpreterMissingError, match="debug"):
        rebuild(locked, replace(HERE, debug=True), cache=tmp_path / "c")


def test_another_patch_release_is_named(locked, tmp_path):
    made = rebuild(locked, replace(HERE, version=f"{HERE.minor}.99"), cache=tmp_path / "c")
    [substitution] = made.substitutions
    assert substitution["expected"] == f"{HERE.minor}.99"
    [finding] = made.findings
    assert (finding.code, finding.observed) == (
        "interpreter.patch-substituted",
        substitution["observed"],
    )
    found = subprocess.run(
        [made.python, "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == substitution["observed"]


def _in_process(packages, cache, queue):
    made = rebuild(packages, HERE, cache=cache)
    queue.put((str(made.python), made.cached, os.getpid()))


def test_two_at_once_make_one(locked, tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    jobs = [
        context.Process(target=_in_process, args=(locked, tmp_path / "c", queue)) for _ in range(2)
    ]
    for job in jobs:
        job.start()
    answers = [queue.get(timeout=60) for _ in jobs]
    for job in jobs:
        job.join()
    assert len({path for path, _, _ in answers}) == 1
    assert sorted(cached for _, cached, _ in answers) == [False, True]
    assert json.loads((Path(answers[0][0]).parents[2] / "complete.json").read_text())["format"] == 1
