from __future__ import annotations

from dataclasses import replace

import pytest
from packaging.markers import Marker

from reprolock.errors import LockError
from reprolock.facts.interpreter import compare, from_toml, parse, to_toml, without_paths

INLINE = "module://matplotlib_inline.backend_inline"
EVENT = {
    "event": "interpreter",
    "implementation": "cpython",
    "version": "3.11.7",
    "build": ["main", "May  9 2026 10:00:00"],
    "compiler": "GCC 12.2.0",
    "abiflags": "",
    "soabi": "cpython-311-x86_64-linux-gnu",
    "ext_suffix": ".cpython-311-x86_64-linux-gnu.so",
    "platform": "linux-x86_64",
    "free_threaded": False,
    "debug": False,
    "executable": "/home/anna/env/bin/python",
    "prefix": "/home/anna/env",
    "base_prefix": "/opt/python",
    "flags": {"hash_randomization": 1, "dev_mode": False, "odd": None},
    "environ": {
        "PYTHONHASHSEED": "0",
        "XLA_FLAGS": "--xla_dump_to=/home/anna/dump --x=1",
        "LANG": None,
    },
}
FACTS = parse(EVENT)


def test_round_trip_without_any_path():
    table = to_toml(FACTS)
    assert from_toml(table) == FACTS
    assert "anna" not in str(table)
    assert "/opt" not in str(table)
    assert table["environ"] == {"PYTHONHASHSEED": "0", "XLA_FLAGS": "--xla_dump_to=<path> --x=1"}
    assert table["flags"] == {"hash_randomization": 1, "dev_mode": False}


def test_only_paths_are_cut_out():
    assert (
        without_paths("module://matplotlib_inline.backend_inline")
        == "module://matplotlib_inline.backend_inline"
    )
    assert without_paths(":/usr/share/zoneinfo/UTC") == ":<path>"
    assert without_paths("Europe/Berlin") == "Europe/Berlin"
    assert without_paths("a=~/x/y,b=C:\\Users\\anna") == "a=<path>,b=<path>"


def test_an_empty_event_is_no_error():
    assert from_toml(to_toml(parse({}))) == parse({})


@pytest.mark.parametrize(
    ("platform", "system", "machine"),
    [
        ("linux-aarch64", "linux", "aarch64"),
        ("macosx-14.0-arm64", "darwin", "arm64"),
        ("win-amd64", "win32", "AMD64"),
    ],
)
def test_pep_751_markers(platform, system, machine):
    facts = replace(FACTS, platform=platform)
    [marker] = facts.environments
    assert Marker(marker).evaluate(
        {"sys_platform": system, "platform_machine": machine, "implementation_name": "cpython"}
    )
    assert not Marker(marker).evaluate(
        {"sys_platform": system, "platform_machine": "other", "implementation_name": "cpython"}
    )
    assert facts.requires_python == ">=3.11"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 3}, "tool.reprolock.interpreter.version: wanted a string, found 3"),
        (
            {"version": "three"},
            "tool.reprolock.interpreter.version: wanted a Python version, found 'three'",
        ),
        (
            {"implementation": None},
            "tool.reprolock.interpreter.implementation: wanted a string, found nothing",
        ),
        ({"debug": "no"}, "tool.reprolock.interpreter.debug: wanted true or false, found 'no'"),
        (
            {"build": "main"},
            "tool.reprolock.interpreter.build: wanted an array of strings, found 'main'",
        ),
        ({"environ": {"TZ": 1}}, "tool.reprolock.interpreter.environ.TZ: wanted a string, found 1"),
    ],
)
def test_bad_tables_are_named(change, said):
    with pytest.raises(LockError) as caught:
        from_toml({**to_toml(FACTS), **change})
    assert caught.value.message == said


def test_compare():
    def codes(**change):
        return [(f.code, f.severity.value) for f in compare(FACTS, replace(FACTS, **change))]

    assert codes() == []
    assert codes(version="3.11.9") == [("interpreter.version-changed", "warning")]
    assert codes(version="3.12.1") == [("interpreter.version-changed", "error")]
    assert codes(implementation="pypy") == [("interpreter.implementation-changed", "error")]
    assert codes(free_threaded=True) == [("interpreter.abi-changed", "error")]
    assert codes(compiler="Clang 18") == [("interpreter.build-changed", "note")]
    assert codes(platform="linux-aarch64") == [("interpreter.platform-changed", "warning")]
    assert codes(flags={}) == [("interpreter.flags-changed", "warning")] * 2
    [found] = compare(FACTS, replace(FACTS, environ={**FACTS.environ, "PYTHONHASHSEED": "1"}))
    assert found.message == "variable PYTHONHASHSEED is 1, and was 0 in the recorded run"
    assert (found.code, found.subject) == ("interpreter.environment-changed", "PYTHONHASHSEED")


def test_the_files_of_the_interpreter_are_told_apart_by_their_digests(tmp_path):
    binary, library = tmp_path / "python", tmp_path / "libpython3.11.so.1.0"
    binary.write_bytes(b"binary")
    library.write_bytes(b"library")
    event = {**EVENT, "executable": str(binary), "libpython": str(library)}
    old = parse(event)
    assert (len(old.binary), len(old.libpython)) == (64, 64)
    assert from_toml(to_toml(old)) == old
    assert compare(old, parse(event)) == ()
    library.write_bytes(b"another")
    (finding,) = compare(old, parse(event))
    assert (finding.code, finding.severity.value) == ("interpreter.binary-changed", "note")
    assert compare(old, parse({**event, "libpython": None})) == ()
    assert compare(parse(EVENT), old) == ()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/", "", "\0", 7, None])
def test_what_is_no_file_has_no_digest(path):
    assert parse({**EVENT, "executable": path, "libpython": path}).binary == ""


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, INLINE, False),
        (INLINE, None, False),
        ("Agg", INLINE, True),
        (None, "Agg", True),
    ],
)
def test_what_the_kernel_sets_by_itself_is_not_a_difference(before, after, told):
    one, other = (replace(FACTS, environ={"MPLBACKEND": v} if v else {}) for v in (before, after))
    assert bool(compare(one, other)) is told
