"""What ``rebuild --check`` says of a lock whose files are there, moved, gone or yanked."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import jsonschema
import pytest

from reprolock import lock
from reprolock.cli import main
from reprolock.facts import Record, interpreter, packages
from reprolock.facts.packages.index import Client, SimpleIndex
from reprolock.rebuild import How, rebuild
from reprolock.recorder import interpreter as running
from tests.packages_support import Index, listed, make_env, make_sdist, make_wheel, serving
from tests.real import ROOT
from tests.test_lock import NOW, record

if TYPE_CHECKING:
    from pathlib import Path

ALPHA = "alpha-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    for name, place in (("UV_CACHE_DIR", "uv"), ("REPROLOCK_CACHE", "cache")):
        monkeypatch.setenv(name, str(tmp_path / place))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def index(monkeypatch):
    with serving(Index()) as found:
        monkeypatch.setenv("PIP_INDEX_URL", found.simple)
        monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
        yield found


@pytest.fixture
def path(index, tmp_path) -> Path:
    """A lock of two wheels, one of which has a source archive beside it."""
    index.add(make_wheel("alpha", "1.0"), make_sdist("alpha", "1.0"), make_wheel("beta", "2.0"))
    python = make_env(tmp_path / "env", "alpha", "beta", "--no-build", index=index.simple)
    sources = (SimpleIndex(index.simple, Client()),)
    found, _ = packages.collect(listed(python), sources=sources, cache=tmp_path / "found")
    here = interpreter.parse(running.collect())
    facts = {**record().facts, packages.Packages: found, interpreter.Interpreter: here}
    rebuild(found, here, How(kinds=("own",)))  # so that uv's cache has both
    lock.write(Record(facts), tmp_path / "pylock.n.toml", created=NOW, beside={})
    return tmp_path / "pylock.n.toml"


@pytest.fixture
def answer(path, capsys):
    """Ask of the lock, and return the JSON object that is printed."""

    def ask(*options):
        code = main(["rebuild", str(path), "--check", "--json", *options])
        return _checked(json.loads(capsys.readouterr().out), code)

    return ask


def _checked(found, code):
    schema = json.loads((ROOT / "schemas" / "result.schema.json").read_text())
    jsonschema.validate(found, schema)
    assert found["exit_code"] == code
    assert code < 2, found["findings"]
    return found


def places(found):
    return {file["name"]: file["place"] for file in found["files"]}


def codes(found):
    return {(f["code"], f["severity"]) for f in found["findings"]}


def fresh_uv(tmp_path, monkeypatch):
    """Forget what making the environment left in uv's cache."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another uv"))


def test_all_of_it_is_where_the_lock_says_and_nothing_is_fetched(answer, index):
    index.asked.clear()
    index.ranged = 0
    found = answer()
    assert (found["exit_code"], places(found)) == (0, {"alpha": "address", "beta": "address"})
    assert found["findings"] == []
    assert "verdict" not in found
    assert index.ranged == 2


def test_a_wheel_that_is_gone_is_in_uvs_cache_or_there_as_a_source_archive(
    answer, index, tmp_path, monkeypatch
):
    index.gone.add(ALPHA)
    found = answer()
    assert places(found) == {"alpha": "cache", "beta": "address"}
    assert (found["exit_code"], codes(found)) == (0, {("packages.moved", "note")})
    fresh_uv(tmp_path, monkeypatch)
    del index.files[ALPHA]
    found = answer()
    assert places(found) == {"alpha": "source archive", "beta": "address"}
    assert (found["exit_code"], codes(found)) == (0, {("packages.only-source", "warning")})
    assert "the server answered 404" in found["findings"][0]["message"]
    del index.files["alpha-1.0.tar.gz"]
    found = answer()
    assert places(found) == {"alpha": "nowhere", "beta": "address"}
    assert (found["verdict"], found["exit_code"]) == ("COULD_NOT_REBUILD", 1)
    assert codes(found) == {("packages.gone", "error")}


def test_another_index_that_is_set_has_it_under_the_same_hash(answer, index, tmp_path, monkeypatch):
    fresh_uv(tmp_path, monkeypatch)
    index.gone.add(ALPHA)
    with serving(Index(dict(index.files))) as other:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", other.simple)
        found = answer()
        assert places(found)["alpha"] == "index"
        assert found["files"][0]["url"].startswith(other.url)
        other.files[ALPHA] += b"other bytes"
        assert places(answer())["alpha"] == "source archive"


def test_a_release_that_is_yanked_is_told(answer, index):
    index.yanked.add(ALPHA)
    found = answer()
    assert (found["exit_code"], codes(found)) == (0, {("packages.yanked", "warning")})
    assert found["files"][0]["yanked"] is True


def test_without_the_network_only_what_is_cached_is_there(answer, index, tmp_path, monkeypatch):
    index.asked.clear()
    found = answer("--offline")
    assert set(places(found).values()) == {"cache"}
    fresh_uv(tmp_path, monkeypatch)
    found = answer("--offline")
    assert set(places(found).values()) == {"nowhere"}
    assert found["exit_code"] == 1
    assert index.asked == []


def test_an_interpreter_that_is_not_here_is_said_with_the_rest(answer):
    found = answer("--python-preference", "conda")
    assert codes(found) == {("interpreter.missing", "error")}
    assert set(places(found).values()) == {"address"}


def test_a_person_reads_counts(path, capsys):
    assert main(["rebuild", str(path), "--check", "--no-color"]) == 0
    assert capsys.readouterr().out == "all of it can be had\n  at the address in the lock: 2\n"
    assert main(["rebuild", str(path), "--check", "--no-color", "--offline"]) == 0
    assert "in uv's cache alone: 2" in capsys.readouterr().out
