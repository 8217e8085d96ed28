"""Published packages from the index that pip and uv are set to, captured and installed again."""

from __future__ import annotations

import platform
import sysconfig

import pytest
import tomlkit

from reprolock.facts.interpreter import Interpreter
from reprolock.facts.packages import (
    Packages,
    check_files,
    collect,
    compare,
    compare_pip_view,
    pip_view,
    read_all,
    to_pylock,
    to_toml,
)
from reprolock.facts.packages.sources import configured_sources, default_index
from reprolock.rebuild import How, rebuild
from tests.packages_support import listed, make_env, site, uv


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_env(
        tmp_path_factory.mktemp("small") / "env", "six", "attrs", "markupsafe", "packaging", "pip"
    )


@pytest.fixture(scope="module")
def captured(small, tmp_path_factory):
    return collect(listed(small), cache=tmp_path_factory.mktemp("cache"))


def test_all_are_identified(captured):
    packages, findings = captured
    assert findings == ()
    assert [p.name for p in packages.packages] == ["attrs", "markupsafe", "packaging", "pip", "six"]
    assert {p.evidence for p in packages.packages} == {"record"}
    assert all(p.source.size and p.source.upload_time and p.files for p in packages.packages)


def test_uv_installs_from_the_lock_and_gets_the_same_files(captured, tmp_path):
    packages, _ = captured
    lock = tmp_path / "pylock.small.toml"
    document = {"lock-version": "1.0", "created-by": "reprolock", "packages": to_pylock(packages)}
    lock.write_text(
        tomlkit.dumps({**document, "tool": {"reprolock": {"packages": to_toml(packages)}}})
    )
    python = make_env(tmp_path / "env")
    uv("pip", "install", "--quiet", "--python", python, "-r", lock, cwd=tmp_path)
    observed, findings = collect(listed(python), identify=False, cache=tmp_path / "cache")
    assert findings == ()
    assert compare(packages, observed) == ()


def test_every_file_is_checked(small):
    dists, findings = read_all(listed(small))
    assert findings == ()
    assert all(check_files(dist) == () for dist in dists)
    six = next(d for d in dists if d.name == "six")
    file = site(small) / "six.py"
    data = file.read_bytes()
    try:
        file.write_bytes(data.replace(b"import", b"imp0rt", 1))
        [problem] = check_files(six)
    finally:
        file.write_bytes(data)
    assert (problem.path, problem.kind) == ("six.py", "changed")


def test_pip_itself_is_asked(small, tmp_path):
    view = pip_view(small)
    assert view is not None
    assert set(view) == {"attrs", "markupsafe", "packaging", "pip", "six"}
    assert compare_pip_view(view, listed(small)) == ()
    assert pip_view(make_env(tmp_path / "no-pip")) is None


def test_sources_are_those_of_pip_and_uv(tmp_path, monkeypatch):
    config = tmp_path / "pip.conf"
    config.write_text(
        f"[global]\nextra-index-url = https://me:pw@one.example.org/simple\n  https://two.example.org/simple\nfind-links = {tmp_path}\n"
    )
    env = {
        "PATH": "/usr/bin:/bin",
        "PIP_CONFIG_FILE": str(config),
        "UV_INDEX": "named=https://three.example.org/simple",
    }
    labels = [source.label for source in configured_sources(env)]
    assert labels == [
        default_index(),
        "https://one.example.org/simple",
        "https://two.example.org/simple",
        "https://three.example.org/simple",
        tmp_path.as_uri(),
    ]
    env = {
        **env,
        "PIP_INDEX_URL": "https://mirror.example.org/simple/",
        "UV_DEFAULT_INDEX": "https://uv.example.org/simple",
    }
    labels = [source.label for source in configured_sources(env)]
    assert labels[:2] == ["https://mirror.example.org/simple", "https://uv.example.org/simple"]
    assert default_index() not in labels
    assert [s.label for s in configured_sources({**env, "PIP_NO_INDEX": "1"})] == [
        tmp_path.as_uri()
    ]


def test_a_scientific_environment_is_rebuilt_file_for_file(tmp_path):
    python = make_env(tmp_path / "env", "numpy", "pandas", "scikit-learn")
    packages, findings = collect(listed(python), cache=tmp_path / "cache")
    assert findings == ()
    assert packages.unresolved == ()
    assert {"numpy", "pandas", "scikit-learn", "scipy"} <= {p.name for p in packages.packages}
    here = Interpreter("cpython", platform.python_version(), platform=sysconfig.get_platform())
    made = rebuild(packages, here, How(cache=tmp_path / "cache"))
    assert made.findings == ()
    observed, _ = collect(
        listed(made.python), identify=False, hash_installed=False, cache=tmp_path / "cache"
    )
    assert compare(packages, observed) == ()
    assert isinstance(observed, Packages)
