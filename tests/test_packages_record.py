from __future__ import annotations

from reprolock.facts.packages.record import (
    RecordLine,
    files_digest,
    installed_path,
    is_ignored,
    matches,
    parse,
    wheel_path,
)


def test_paths_in_a_wheel_and_installed_meet():
    pairs = {
        "pkg/a.py": "pkg/a.py",
        "pkg-1.data/purelib/b.py": "b.py",
        "pkg-1.data/platlib/c.so": "c.so",
        "pkg-1.data/scripts/tool": "../../../bin/tool",
        "pkg-1.data/data/bin/tool": "../../bin/tool",
        "pkg-1.data/data/share/x/theme.css": "../../../share/x/theme.css",
        "pkg-1.data/headers/pkg.h": "../../../include/site/python3.11/pkg/pkg.h",
        "pkg-1.data/data/etc/x.json": "../../../etc/x.json",
    }
    for wheel, installed in pairs.items():
        assert wheel_path(wheel) == installed_path(installed), wheel


def test_headers_lie_elsewhere_outside_of_environments():
    assert installed_path("../../../include/python3.11/pkg/a/b.h") == "{headers}/a/b.h"


def test_what_installers_write_is_ignored():
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
        assert is_ignored(f"pkg-1.dist-info/{name}")
    assert is_ignored("pkg/__pycache__/a.cpython-311.pyc")
    assert not is_ignored("pkg-1.dist-info/METADATA")
    assert not is_ignored("pkg/RECORD")


def test_broken_lines_are_left_out():
    text = 'a.py,sha256=xx,10\n\n,,\n"b, c.py",sha256=yy,\nd.py\ne.py,sha256=zz,many\n\0f.py,,\n'
    assert parse(text) == (
        RecordLine("a.py", "sha256=xx", 10),
        RecordLine("b, c.py", "sha256=yy", None),
        RecordLine("d.py", "", None),
        RecordLine("e.py", "sha256=zz", None),
        RecordLine("f.py", "", None),
    )


def test_digest_does_not_move_with_installer_order_depth_or_scripts():
    one = parse(
        "pkg/a.py,sha256=A,1\n../../../bin/tool,sha256=B,5\nx-1.dist-info/INSTALLER,sha256=C,2\n../../../share/s,sha256=D,1\n"
    )
    other = parse(
        "../../share/s,sha256=D,1\npkg/a.py,sha256=A,1\n../../bin/tool,sha256=ZZZ,9\npkg/__pycache__/a.cpython-312.pyc,,\n"
    )
    assert files_digest(one, lambda _: True) == files_digest(other, lambda _: True)


def test_digest_moves_with_content_and_with_binaries_among_the_scripts():
    one, other = parse("../../../bin/ruff,sha256=A,1\n"), parse("../../../bin/ruff,sha256=B,1\n")
    assert files_digest(one, lambda _: False) != files_digest(other, lambda _: False)


def test_matching_forgives_only_scripts():
    wheel = {"p/a.py": "sha256=A", "{scripts}/run": "sha256=S", "p-1.dist-info/RECORD": ""}
    installed = {"p/a.py": "sha256=A", "{scripts}/run": "sha256=new", "{scripts}/entry": "sha256=E"}
    rewritten = frozenset({"{scripts}/run", "{scripts}/entry"})
    assert matches(installed, wheel, rewritten)
    assert not matches(installed, wheel, frozenset())
    assert not matches({**installed, "p/b.py": ""}, wheel, rewritten)
    assert not matches({**installed, "p/a.py": "sha256=X"}, wheel, rewritten)
    assert not matches({}, wheel, rewritten)
