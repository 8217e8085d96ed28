# ruff: noqa: F811  (fixtures of another file)
"""Rebuilds of locks whose files are gone, and what a foreign lock may not ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reprolock.errors import RebuildError
from reprolock.facts.packages import Packages, collect
from reprolock.facts.packages.index import Client, SimpleIndex
from reprolock.rebuild import How
from tests.packages_support import Index, listed, make_env, make_sdist, make_wheel, serving
from tests.test_rebuild_environment import HERE, index, own_caches, rebuild, versions  # noqa: F401

ALPHA = "alpha-1.2.3-py3-none-any.whl"


@pytest.fixture
def locked(index, tmp_path):
    """Two wheels; of the release of one there is a source archive, too."""
    index.add(
        make_wheel("alpha", "1.2.3"),
        make_sdist("alpha", "1.2.3"),
        make_wheel("beta", "2.0"),
    )
    python = make_env(tmp_path / "captured", "alpha", "beta", "--no-build", index=index.simple)
    sources = (SimpleIndex(index.simple, Client()),)
    packages, _ = collect(listed(python), sources=sources, cache=tmp_path / "found")
    return packages


def gone(index, *names):
    for name in names:
        index.gone.add(name)
        index.files.pop(name)


def codes(made):
    return {finding.code for finding in made.findings}


def test_a_wheel_that_only_uvs_cache_has_is_taken_from_there(locked, index, tmp_path):
    alpha = Packages((locked.packages[0],))
    rebuild(alpha, HERE, cache=tmp_path / "first")
    gone(index, ALPHA)
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    assert versions(made.python) == {"alpha": "1.2.3", "beta": "2.0"}
    assert (made.substitutions, codes(made)) == ((), set())
    assert rebuild(locked, HERE, cache=tmp_path / "c").cached


def test_a_wheel_that_is_gone_is_built_from_its_locked_source_archive(
    locked,
    index,
    tmp_path,
):
    gone(index, ALPHA)
    made = rebuild(locked, HERE, cache=tmp_path / "c")
    assert versions(made.python) == {"alpha": "1.2.3", "beta": "2.0"}
    [named] = made.substitutions
    assert (named["expected"], named["observed"]) == ("alpha 1.2.3", "alpha-1.2.3.tar.gz")
    assert {"packages.wheel-substituted", "packages.built-from-source"} <= codes(made)
    again = rebuild(locked, HERE, cache=tmp_path / "c")
    assert (again.cached, again.substitutions) == (True, made.substitutions)
    index.add(make_wheel("alpha", "1.2.3"))
    index.gone.clear()
    back = rebuild(locked, HERE, cache=tmp_path / "c")
    assert (back.cached, back.substitutions) == (False, ())
    assert back.root != made.root


def test_another_version_stands_in_only_where_that_is_allowed(locked, index, tmp_path):
    gone(index, ALPHA, "alpha-1.2.3.tar.gz")
    index.add(
        make_wheel("alpha", "1.2.1"), make_wheel("alpha", "1.2.5"), make_wheel("alpha", "1.2.4"),
        make_wheel("alpha", "1.3"), make_wheel("alpha", "2.0"), make_wheel("alpha", "1.2.3rc1"),
        make_wheel("alpha", "1.2.3.1", tag="cp39-cp39-win_amd64"),
    )  # fmt: skip
    with pytest.raises(RebuildError) as caught:
        rebuild(locked, HERE, cache=tmp_path / "c")
    assert caught.value.message == "1 file of the lock cannot be had any more"
    assert caught.value.causes == (f"{ALPHA}: the server answered 404",)
    assert "--allow-substitutes" in caught.value.hint
    index.yanked.add("alpha-1.2.4-py3-none-any.whl")
    made = rebuild(locked, HERE, cache=tmp_path / "c", substitutes=True)
    assert versions(made.python) == {"alpha": "1.2.5", "beta": "2.0"}
    [named] = made.substitutions
    assert (named["expected"], named["observed"]) == ("alpha 1.2.3", "alpha 1.2.5")
    assert "packages.version-substituted" in codes(made)
    with pytest.raises(RebuildError):
        rebuild(locked, HERE, cache=tmp_path / "c")


def test_a_file_of_another_size_is_looked_for_elsewhere(locked, index, tmp_path, monkeypatch):
    with serving(Index(dict(index.files))) as other:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", other.simple)
        index.files[ALPHA] = b"cut"
        made = rebuild(locked, HERE, cache=tmp_path / "c")
    assert versions(made.python) == {"alpha": "1.2.3", "beta": "2.0"}
    assert "packages.relocated" in codes(made)


def test_a_foreign_lock_runs_no_code_to_be_built(index, tmp_path):
    index.add(make_sdist("omega", "1.0"))
    python = make_env(tmp_path / "env", "omega", index=index.simple)
    sources = (SimpleIndex(index.simple, Client()),)
    packages, _ = collect(listed(python), sources=sources, cache=tmp_path / "found")
    with pytest.raises(RebuildError, match="runs their code") as caught:
        rebuild(packages, HERE, cache=tmp_path / "c", builds=())
    assert caught.value.causes == ("omega",)
    assert "--allow-build omega" in caught.value.hint
    assert not list((tmp_path / "c").glob("environments/*/venv"))
    for allowed in (("Omega",), (":all:",), None):
        made = rebuild(packages, HERE, cache=tmp_path / "c", builds=allowed)
        assert versions(made.python) == {"omega": "1.0"}


def test_a_foreign_lock_builds_nothing_in_place_of_a_wheel_either(locked, index, tmp_path):
    gone(index, ALPHA)
    with pytest.raises(RebuildError, match="runs their code"):
        rebuild(locked, HERE, cache=tmp_path / "c", builds=())


def test_only_hosts_that_are_allowed_are_asked(locked, index, tmp_path):
    index.asked.clear()
    with pytest.raises(RebuildError, match="2 files of the lock lie on hosts") as caught:
        rebuild(locked, HERE, cache=tmp_path / "c", hosts=("pypi.example",))
    assert caught.value.causes == ("alpha from 127.0.0.1", "beta from 127.0.0.1")
    assert index.asked == []
    made = rebuild(locked, HERE, cache=tmp_path / "c", hosts=("127.0.0.1",))
    assert versions(made.python) == {"alpha": "1.2.3", "beta": "2.0"}


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://files.pypi.example/x.whl", True),
        ("https://PYPI.example/x.whl", True),
        ("https://notpypi.example/x.whl", False),
        ("https://pypi.example.evil/x.whl", False),
        ("https://pypi.example@evil/x.whl", False),
        ("file:///bundle/x.whl", True),
    ],
)
def test_a_host_stands_for_those_below_it(url, allowed):
    assert How(hosts=("pypi.example",)).may_ask(url) is allowed
    assert How().may_ask(url)


def test_what_is_nowhere_is_named_in_full(locked, index, tmp_path):
    spare = tuple(replace(package, spare=None) for package in locked.packages)
    gone(index, ALPHA)
    with pytest.raises(RebuildError) as caught:
        rebuild(Packages(spare), HERE, cache=tmp_path / "c")
    assert caught.value.causes == (f"{ALPHA}: the server answered 404",)
