"""Packages in a lock, and the difference of two environments."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import tomlkit
from packaging.pylock import Pylock

from reprolock.errors import LockError
from reprolock.facts.packages import (
    ITSELF,
    ArchiveSource,
    LockedPackage,
    Packages,
    SdistFile,
    UnresolvedPackage,
    VcsSource,
    WheelFile,
    compare,
    compare_pip_view,
    from_lock,
    from_toml,
    to_pylock,
    to_toml,
)
from reprolock.rebuild.plan import make_plan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

URL = "https://files.example.org/"
SHA = "ab" * 32
FILES = "cd" * 32
ALL = Packages(
    (
        LockedPackage(
            "a-wheel",
            "1.0",
            WheelFile(
                "a_wheel-1.0-py3-none-any.whl",
                URL + "a_wheel-1.0-py3-none-any.whl",
                SHA,
                10,
                "2024-05-06T07:08:09.123456Z",
            ),
            "record",
            "uv",
            FILES,
        ),
        LockedPackage(
            "b-sdist",
            "1.0",
            SdistFile("b_sdist-1.0.tar.gz", URL + "b_sdist-1.0.tar.gz", SHA),
            "sdist-only",
            "pip",
            FILES,
        ),
        LockedPackage(
            "c-archive",
            "1.0",
            ArchiveSource(URL + "c_archive-1.0-py3-none-any.whl", SHA, None, None),
            "direct-url",
            "pip",
            FILES,
        ),
        LockedPackage(
            "d-vcs",
            "1.0",
            VcsSource("git", "https://git.example.org/d.git", "0" * 40, "main", "python"),
            "direct-url",
            "uv",
            FILES,
        ),
    ),
    (
        UnresolvedPackage("e-edit", "2", "editable", "uv", FILES),
        UnresolvedPackage(
            "f-file", "3+cpu", "local-file", "pip", FILES, "f_file-3+cpu-py3-none-any.whl", SHA
        ),
    ),
)


def written(packages):
    return tomlkit.dumps(
        {
            "lock-version": "1.0",
            "created-by": "reprolock",
            "packages": to_pylock(packages),
            "tool": {"reprolock": {"packages": to_toml(packages)}},
        }
    )


def test_round_trip_by_toml():
    text = written(ALL)
    document = tomllib.loads(text)
    tool = document["tool"]["reprolock"]["packages"]
    assert from_lock(document["packages"], tool) == ALL
    assert from_toml({**tool, "pylock": document["packages"]}) == ALL
    Pylock.from_dict(document).validate()
    shuffled = Packages(ALL.packages[::-1], ALL.unresolved[::-1])
    assert written(shuffled) == text


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "packages[0].name: wanted a string, found nothing"),
        ({"name": "a"}, "packages[0].version: wanted a string, found nothing"),
        (
            {"name": "a", "version": "1"},
            "packages[0]: wanted wheels, sdist, archive or vcs, found name, version",
        ),
        (
            {"name": "a", "version": "1", "wheels": []},
            "packages[0].wheels: wanted one wheel, found 0",
        ),
        (
            {"name": "a", "version": "1", "wheels": [{"url": "https://u/a.whl"}]},
            "packages[0].wheels[0].hashes: wanted a table, found nothing",
        ),
        (
            {
                "name": "a",
                "version": "1",
                "wheels": [{"url": "https://u/a.whl", "hashes": {"sha256": "12"}}],
            },
            "packages[0].wheels[0].hashes.sha256: wanted 64 hexadecimal digits, found '12'",
        ),
        (
            {
                "name": "a",
                "version": "1",
                "sdist": {"url": "https://u/a.whl", "size": "big", "hashes": {"sha256": SHA}},
            },
            "packages[0].sdist.size: wanted a whole number, found 'big'",
        ),
        (
            {"name": "a", "version": "1", "vcs": {"type": "git", "url": "https://u/a.whl"}},
            "packages[0].vcs.commit-id: wanted a string, found nothing",
        ),
        ("a==1", "packages[0]: wanted a table, found 'a==1'"),
        *(
            (
                {"name": "a", "version": "1", "wheels": [{"url": url, "hashes": {"sha256": SHA}}]},
                f"packages[0].wheels[0].url: wanted https or http, found {url!r}",
            )
            for url in ("file:///etc/passwd", "ftp://h/a.whl", "a.whl", "/a.whl", "data:,x")
        ),
        (
            {"name": "a", "version": "1", "vcs": {"type": "git", "url": "ext::sh -c x"}},
            (
                "packages[0].vcs.url: wanted https or http or ssh or git or svn or svn+ssh or "
                "svn+https or bzr+ssh, found 'ext::sh -c x'"
            ),
        ),
    ],
)
def test_bad_entries_are_named(entry, said):
    with pytest.raises(LockError) as caught:
        from_lock([entry], {})
    assert caught.value.message == said


def test_bad_tables_are_named():
    with pytest.raises(LockError, match="unresolved: wanted an array, found 3"):
        from_lock([], {"unresolved": 3})
    with pytest.raises(LockError, match=r"unresolved\[0\].reason: wanted a string, found nothing"):
        from_lock([], {"unresolved": [{"name": "a", "version": "1"}]})
    with pytest.raises(LockError, match="more than one a-wheel"):
        from_lock(to_pylock(ALL)[:1] * 2, {})


def test_compare():
    assert compare(ALL, ALL) == ()
    first, *rest = ALL.packages
    other = Packages(
        (replace(first, version="1.1"), replace(rest[0], files="ee" * 32), rest[1]),
        (*ALL.unresolved, UnresolvedPackage("z-new", "9", "not-identified")),
    )
    found = [
        (f.code, f.severity.value, f.subject, f.expected, f.observed) for f in compare(ALL, other)
    ]
    assert found == [
        ("packages.version-changed", "warning", "a-wheel", "1.0", "1.1"),
        ("packages.files-changed", "warning", "b-sdist", f"sha256:{FILES}", "sha256:" + "ee" * 32),
        ("packages.missing", "warning", "d-vcs", "1.0", None),
        ("packages.added", "note", "z-new", None, "9"),
    ]


def test_versions_are_compared_as_versions_and_origin_plays_no_part():
    one = Packages((ALL.packages[0],))
    other = Packages((), (UnresolvedPackage("a-wheel", "1.0.0", "not-identified", None, FILES),))
    assert compare(one, other) == ()


def test_pip_as_a_second_witness():
    listed = [{"name": "A_b", "version": "1.0"}, {"name": "more", "version": "1"}]
    assert compare_pip_view(None, listed) == ()
    assert compare_pip_view({"a-b": "1.0.0"}, listed) == ()
    [one, two] = compare_pip_view({"a-b": "2.0", "other": "3"}, listed)
    assert (one.code, one.subject, one.expected, one.observed) == (
        "packages.pip-disagrees",
        "a-b",
        "2.0",
        "1.0",
    )
    assert two.message == "pip lists other 3, and to the notebook it is not there"


def test_reprolock_itself_is_no_part_of_what_a_run_needs():
    mine = UnresolvedPackage(ITSELF, "0.1.0", "directory")
    with_it, without = Packages((), (mine,)), Packages()
    assert compare(with_it, without) == compare(without, with_it) == ()
    plan = make_plan(with_it, (), tuple)
    assert (plan.packages, plan.omitted, plan.findings) == ((), (), ())
