"""What is told of packages that no index gives back: their commit, Debian's or conda's package."""

from __future__ import annotations

import json
import subprocess

from reprolock.facts.packages import Packages, collect, compare, from_lock, origin, to_toml
from reprolock.facts.packages.installed import read


def git(folder, *arguments):
    subprocess.run(
        ["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
        check=True,
        capture_output=True,
    )


def editable(tmp_path):
    """An editable install: its metadata, and a repository with its code."""
    code = tmp_path / "my code"
    code.mkdir()
    (code / "mine.py").write_text("x = 1\n")
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-qm", "first")
    git(code, "remote", "add", "origin", "https://user:secret@example.org/mine.git")
    info = tmp_path / "site-packages" / "mine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: mine\nVersion: 1.0\n")
    (info / "RECORD").write_text("mine-1.0.dist-info/METADATA,,\n")
    direct = {"url": code.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(direct))
    return code, {"name": "mine", "version": "1.0", "path": str(info), "root": str(info.parent)}


def test_the_commit_of_an_editable_install_and_what_was_changed_since(tmp_path):
    code, entry = editable(tmp_path)
    clean = origin.of_folder(read(entry))
    assert clean.keys() == {"kind", "commit", "url"}
    assert clean["url"] == "https://example.org/mine.git"
    (code / "mine.py").write_text("x = 2\n")
    edited = origin.of_folder(read(entry))
    assert edited["commit"] == clean["commit"]
    (code / "new.py").write_text("y = 1\n")
    grown = origin.of_folder(read(entry))
    assert len({None, edited["changed"], grown["changed"]}) == 3
    (code / "new.py").write_text("y = 2\n")
    assert origin.of_folder(read(entry))["changed"] != grown["changed"]


def test_another_commit_is_told_and_goes_through_the_lock(tmp_path):
    code, entry = editable(tmp_path)
    before, _ = collect([entry], sources=(), cache=tmp_path / "cache", hash_installed=False)
    assert from_lock([], to_toml(before)) == before
    assert compare(before, before) == ()
    (code / "mine.py").write_text("x = 2\n")
    git(code, "commit", "-qam", "second")
    after, _ = collect([entry], sources=(), cache=tmp_path / "cache", hash_installed=False)
    told = compare(before, after)
    assert [f.code for f in told] == ["packages.origin-changed"]
    assert told[0].message.startswith("mine 1.0 comes from commit ")
    assert compare(before, Packages(unresolved=())) != ()


def test_a_folder_without_a_repository_has_no_origin(tmp_path):
    code, entry = editable(tmp_path)
    subprocess.run(["rm", "-rf", code / ".git"], check=True)
    found = origin.of_folder(read(entry))
    assert found == {} or "commit" in found  # the folder above may be a repository itself
    subprocess.run(["rm", "-rf", code], check=True)
    assert origin.of_folder(read(entry)) == {}


def test_debians_package_is_named(tmp_path, monkeypatch):
    info = tmp_path / "usr/lib/python3/dist-packages/PyYAML-6.0.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Name: PyYAML\nVersion: 6.0\n")
    dpkg = tmp_path / "dpkg"
    (dpkg / "info").mkdir(parents=True)
    (dpkg / "info" / "python3-yaml:amd64.list").write_text(f"/.\n{info}/PKG-INFO\n{info}\n")
    (dpkg / "status").write_text(
        "Package: other\nStatus: ok\nVersion: 1\n\nPackage: python3-yaml\nStatus: ok\nVersion: 6.0-3+b2\n"
    )
    monkeypatch.setattr(origin, "_DPKG", dpkg)
    entry = {"name": "PyYAML", "version": "6.0", "path": str(info), "root": str(info.parent)}
    packages, _ = collect([entry], sources=(), cache=tmp_path / "cache")
    assert packages.unresolved[0].reason == "dpkg"
    assert packages.unresolved[0].origin == {
        "kind": "apt",
        "name": "python3-yaml",
        "version": "6.0-3+b2",
    }


def test_condas_package_is_named_with_its_archive(tmp_path):
    prefix = tmp_path / "conda"
    info = prefix / "lib/python3.11/site-packages/numpy-1.26.4.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: numpy\nVersion: 1.26.4\n")
    (info / "RECORD").write_text("numpy.py,sha256=AAAA,1\n")
    (info / "INSTALLER").write_text("conda\n")
    (prefix / "conda-meta").mkdir()
    package = {
        "name": "numpy",
        "version": "1.26.4",
        "build": "py311h64a7726_0",
        "channel": "https://user:secret@conda.example.org/conda-forge",
        "url": "https://user:secret@conda.example.org/conda-forge/linux-64/numpy-1.26.4.conda",
        "sha256": "3" * 64,
        "files": ["lib/python3.11/site-packages/numpy-1.26.4.dist-info/METADATA"],
    }
    (prefix / "conda-meta" / "numpy-1.26.4.json").write_text(json.dumps(package))
    (prefix / "conda-meta" / "broken.json").write_text("{")
    entry = {"name": "numpy", "version": "1.26.4", "path": str(info), "root": str(info.parent)}
    packages, _ = collect([entry], sources=(), cache=tmp_path / "cache")
    found = packages.unresolved[0]
    assert found.reason == "conda"
    assert found.origin["sha256"] == "3" * 64
    assert found.origin["build"] == "py311h64a7726_0"
    assert "secret" not in json.dumps(dict(found.origin))
