"""Which package of the system or of conda a library is of."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from reprolock.facts import system
from reprolock.facts.owners import Owner, owners

DPKG = """#!/bin/sh
case $1 in
--search)
    echo "libgomp1:amd64: /lib/x/libgomp.so.1.0.0"
    echo "libc6:amd64, libc6:i386: /usr/lib/x/libm.so.6"
    echo "diversion by dash from: /bin/sh"
    echo "dpkg-query: no path found matching pattern /x" >&2
    exit 1 ;;
--show)
    printf "libgomp1:amd64\\tlibgomp1\\t12.2.0-14\\nlibc6:amd64\\tlibc6\\t2.36-9+deb12u14\\n" ;;
esac
"""


@pytest.fixture
def dpkg(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "dpkg-query"
    program.parent.mkdir()
    program.write_text(DPKG)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("dpkg")
def test_a_file_is_found_on_either_side_of_the_link_of_lib():
    mapped = [Path("/usr/lib/x/libgomp.so.1.0.0"), Path("/lib/x/libm.so.6"), Path("/opt/libz.so")]
    assert owners(mapped) == {
        mapped[0]: Owner("apt", "libgomp1", "12.2.0-14"),
        mapped[1]: Owner("apt", "libc6", "2.36-9+deb12u14"),
    }


def test_conda_says_it_in_its_own_folder(tmp_path):
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "a-bad.json").write_text("{")
    (tmp_path / "conda-meta" / "libblas.json").write_text(
        json.dumps({"name": "libblas", "version": "3.9", "files": ["lib/libblas.so.3"]})
    )
    library = tmp_path / "lib" / "libblas.so.3"
    library.parent.mkdir()
    library.write_bytes(b"1")
    assert owners([library]) == {library: Owner("conda", "libblas", "3.9")}


def test_no_dpkg_no_owner(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert owners([Path("/usr/lib/libz.so.1")]) == {}


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="a system without dpkg")
def test_the_c_library_of_this_machine_has_an_owner():
    with open("/proc/self/maps") as maps:
        mapped = {"/" + line.strip().partition("/")[2] for line in maps if "/libc.so" in line}
    facts = system.parse({"libraries": sorted(mapped)})
    (library,) = facts.libraries
    assert library.owner is not None
    assert (library.owner.kind, library.owner.name) == ("apt", "libc6")
    assert system.from_toml(system.to_toml(facts)) == facts


def test_a_changed_library_is_told_with_its_packages():
    def of(version, sha256):
        owner = Owner("apt", "libgomp1", version)
        return system.System("debian", "12", "x86_64", None, "jupyter", libraries=(
            system.Library("libgomp.so.1", sha256, owner),
        ))  # fmt: skip

    (finding,) = system.compare(of("12.2", "a"), of("13.1", "b"))
    assert "of libgomp1 12.2 there, of libgomp1 13.1 here" in finding.message
    assert "it takes part in computing" in finding.message
