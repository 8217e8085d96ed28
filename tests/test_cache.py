"""The cache of rebuilt environments: listed, pruned, verified."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import jsonschema
import pytest
from filelock import FileLock

from reprolock import caches
from tests.packages_support import Index, make_env, make_wheel, serving, site
from tests.real import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cache(tmp_path):
    """A cache with one environment that is whole and one that a rebuild left half made."""
    folder = tmp_path / "cache" / "environments"
    folder.mkdir(parents=True)
    (folder / ("a" * 64)).mkdir()
    with serving(Index()) as index:
        index.add(make_wheel("alpha", "1.0"))
        make_env(folder / ("a" * 64) / "venv", "alpha", index=index.simple)
    (folder / ("a" * 64) / "complete.json").write_text(json.dumps({"format": 1}))
    (folder / ("b" * 64) / "venv").mkdir(parents=True)
    (tmp_path / "cache" / "identified").mkdir()
    (tmp_path / "cache" / "identified" / "x.json").write_text("{}")
    return tmp_path / "cache"


def names(cache: Path) -> set[str]:
    return {p.name[0] for p in (cache / "environments").iterdir() if p.is_dir()}


def test_it_is_listed(cache):
    found = caches.listed(cache).to_json()
    assert [(e["key"][0], e["whole"], e["busy"]) for e in found["environments"]] == [
        ("a", True, False),
        ("b", False, False),
    ]
    assert found["environments"][0]["bytes"] > 1000
    assert found["parts"] == {"identified": 2}
    schema = json.loads((ROOT / "schemas" / "result.schema.json").read_text())
    jsonschema.validate(found, schema)


def test_what_is_half_made_or_old_goes_and_what_is_held_stays(cache):
    caches.pruned(30, cache)
    assert names(cache) == {"a"}
    old = time.time() - 31 * 24 * 3600
    os.utime(cache / "environments" / ("a" * 64) / "complete.json", (old, old))
    with FileLock(str(cache / "environments" / f"{'a' * 64}.lock")):
        assert caches.pruned(30, cache).to_json()["removed"] == []
        assert caches.listed(cache).to_json()["environments"][0]["busy"] is True
    assert caches.pruned(30, cache).to_json()["removed"] == ["a" * 64]
    assert names(cache) == set()


def test_all_goes_when_asked(cache):
    assert len(caches.pruned(None, cache).to_json()["removed"]) == 2
    assert names(cache) == set()


def test_a_removal_that_was_interrupted_is_finished(cache):
    (cache / "environments" / ".removed-1" / "venv").mkdir(parents=True)
    caches.pruned(30, cache)
    assert not (cache / "environments" / ".removed-1").exists()


def test_an_edited_environment_is_told(cache):
    def verified():
        return caches.verified(lambda *_: None, cache)

    assert verified().exit_code == 0
    packages = site(cache / "environments" / ("a" * 64) / "venv" / "bin" / "python")
    (packages / "alpha" / "__init__.py").write_text("VERSION = 'edited'\n")
    (packages / "evil.pth").write_text("import sys\n")
    found = verified()
    assert found.exit_code == 1
    assert [f.code for f in found.findings] == ["cache.damaged"]
    assert "alpha/__init__.py (changed)" in found.findings[0].message
    assert "evil.pth: belongs to no package" in found.findings[0].message


def test_there_need_be_no_cache(tmp_path):
    assert caches.listed(tmp_path / "none").exit_code == 0
    assert caches.pruned(None, tmp_path / "none").exit_code == 0
    assert caches.verified(lambda *_: None, tmp_path / "none").exit_code == 0


def test_the_commands(empty_cache_cli):
    assert "no environment" in empty_cache_cli("cache", "list").out
    assert empty_cache_cli("cache", "prune", "--all").code == 0
    assert empty_cache_cli("cache", "verify", "--json").json["command"] == "cache verify"
    wrong = empty_cache_cli("cache", "prune", "--older-than", "soon")
    assert wrong.code == 2
    assert "Traceback" not in wrong.err
