"""Where each installed distribution came from, against an index on the loopback."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import tarfile
import time
import zipfile

import pytest

from reprolock.facts.packages import collect, from_lock, to_pylock, to_toml
from reprolock.facts.packages.archive import build_requires
from reprolock.facts.packages.index import (
    Client,
    IndexFile,
    LinksFolder,
    LocalIndex,
    SimpleIndex,
)
from tests.packages_support import (
    Index,
    listed,
    make_env,
    make_sdist,
    make_wheel,
    serving,
    site,
    uv,
)


@pytest.fixture
def index():
    with serving(Index()) as found:
        yield found


def capture(python, tmp_path, *sources, **keywords):
    return collect(listed(python), sources=sources, cache=tmp_path / "cache", **keywords)


def codes(findings):
    return sorted(finding.code for finding in findings)


BIG = {
    "alpha/__init__.py": b"x = 1\n",
    "alpha/noise.bin": b"".join(
        hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(9000)
    ),
}


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("ranges", [True, False])
def test_proved_by_the_wheels_own_record(index, tmp_path, as_json, ranges):
    index.json, index.ranges = as_json, ranges
    index.add(make_wheel("alpha", "1.0", BIG), make_wheel("alpha", "2.0"))
    python = make_env(tmp_path / "env", "alpha==1.0", index=index.simple)
    index.asked.clear()
    before = index.ranged
    packages, findings = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    assert findings == ()
    [found] = packages.packages
    assert (found.name, found.version, found.evidence, found.installer) == (
        "alpha",
        "1.0",
        "record",
        "uv",
    )
    name = "alpha-1.0-py3-none-any.whl"
    assert found.source.filename == name
    assert found.source.sha256 == index.sha256(name)
    assert found.source.size == len(index.files[name])
    assert (index.ranged > before) is ranges
    assert not any("alpha-2.0" in path for path in index.asked)


def test_scripts_data_and_headers_are_matched(index, tmp_path):
    files = {
        "beta/__init__.py": b"",
        "beta-1.data/scripts/beta-run": b"#!python\nprint(1)\n",
        "beta-1.data/scripts/beta-bin": b"\x7fELF not really",
        "beta-1.data/data/share/beta/x.css": b"same",
        "beta-1.data/data/share/beta/deep/x.css": b"same",
        "beta-1.data/headers/beta.h": b"//",
        "beta-1.dist-info/entry_points.txt": b"[console_scripts]\nbeta = beta:main\n",
    }
    index.add(make_wheel("beta", "1", files))
    python = make_env(tmp_path / "env", "beta", index=index.simple)
    packages, findings = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    assert findings == ()
    assert packages.packages[0].evidence == "record"


def test_a_wheel_whose_tags_lie_is_found_among_all_of_the_release(index, tmp_path):
    index.add(
        make_wheel(
            "gamma",
            "1",
            {"gamma.py": b"1"},
            tag="py2.py3-none-any",
            wheel_tag="cp39-abi3-linux_x86_64",
        ),
        make_wheel("gamma", "1", {"gamma.py": b"2"}, tag="py3-none-win_amd64"),
    )
    python = make_env(tmp_path / "env", "gamma", index=index.simple)
    packages, _ = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    assert packages.packages[0].source.filename == "gamma-1-py2.py3-none-any.whl"
    assert not any("win_amd64" in path for path in index.asked)


def test_an_index_without_hashes_gives_a_hash_of_the_bytes(index, tmp_path):
    index.hashes = False
    index.add(make_wheel("alpha", "1.0"))
    python = make_env(tmp_path / "env", "alpha", index=index.simple)
    packages, _ = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    assert packages.packages[0].source.sha256 == index.sha256("alpha-1.0-py3-none-any.whl")


def test_edited_record_other_release_and_sdist_only(index, tmp_path):
    index.add(make_wheel("alpha", "1.0"), make_wheel("beta", "1.0"), make_sdist("gamma", "1.0"))
    python = make_env(tmp_path / "env", "alpha", "beta", "gamma", index=index.simple)
    record = site(python) / "alpha-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "alpha/extra.py,,\n")
    del index.files["beta-1.0-py3-none-any.whl"]
    packages, findings = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    assert {p.name: p.reason for p in packages.unresolved} == {
        "alpha": "altered",
        "beta": "not-on-index",
    }
    assert [(p.name, p.evidence, p.source.filename) for p in packages.packages] == [
        ("gamma", "sdist-only", "gamma-1.0.tar.gz")
    ]
    assert codes(findings) == [
        "packages.altered",
        "packages.built-at-capture",
        "packages.unresolved",
    ]
    alpha = next(f for f in findings if f.subject == "alpha")
    assert alpha.message == (
        "alpha 1.0 is not as it was published in alpha-1.0-py3-none-any.whl: alpha/extra.py"
    )


def test_a_second_capture_needs_no_network(index, tmp_path):
    index.add(make_wheel("alpha", "1.0"), make_sdist("gamma", "1.0"))
    python = make_env(tmp_path / "env", "alpha", "gamma", index=index.simple)
    source = SimpleIndex(index.simple, Client())
    first, _ = capture(python, tmp_path, source)
    index.asked.clear()
    second, _ = capture(python, tmp_path, source)
    offline, _ = capture(python, tmp_path, source, offline=True)
    assert first == second == offline
    assert index.asked == []
    for file in (tmp_path / "cache" / "identified").iterdir():
        file.write_text("{broken")
    assert capture(python, tmp_path, source)[0] == first


def test_offline_without_a_cache_and_a_plain_look(index, tmp_path):
    index.add(make_wheel("alpha", "1.0"))
    python = make_env(tmp_path / "env", "alpha", index=index.simple)
    packages, findings = capture(
        python, tmp_path, SimpleIndex(index.simple, Client()), offline=True
    )
    assert packages.unresolved[0].reason == "offline"
    assert codes(findings) == ["packages.unresolved"]
    packages, findings = collect(listed(python), identify=False, cache=tmp_path / "other")
    assert packages.unresolved[0].reason == "not-identified"
    assert packages.unresolved[0].files
    assert findings == ()


def test_no_network_is_told_soon_and_not_remembered(tmp_path, index):
    index.add(make_wheel("alpha", "1.0"))
    python = make_env(tmp_path / "env", "alpha", index=index.simple)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        started = time.monotonic()
        packages, findings = capture(python, tmp_path, SimpleIndex(url, Client()))
    assert time.monotonic() - started < 10
    assert packages.unresolved[0].reason == "unreachable"
    assert "refused" in next(f.message for f in findings if f.code == "packages.source-trouble")
    assert not list((tmp_path / "cache").glob("identified/*"))


def test_credentials_are_sent_and_not_kept(index, tmp_path):
    index.add(make_wheel("alpha", "1.0"))
    python = make_env(tmp_path / "env", "alpha", index=index.simple)
    index.login = "me:s3cret"
    url = index.simple.replace("//", "//me:s3cret@")
    packages, findings = capture(python, tmp_path, SimpleIndex(url, Client()))
    assert findings == ()
    assert packages.packages[0].evidence == "record"
    assert "s3cret" not in str(to_pylock(packages)) + str(to_toml(packages))
    for file in (tmp_path / "cache").rglob("*.json"):
        assert "s3cret" not in file.read_text()
    packages, findings = capture(python, tmp_path / "no", SimpleIndex(index.simple, Client()))
    assert packages.unresolved[0].reason == "unreachable"
    assert any("answered 401" in f.message for f in findings)


def test_files_on_this_disk_are_named_without_their_place(index, tmp_path):
    name, data = make_wheel("delta", "1.0")
    links, simple = tmp_path / "links", tmp_path / "simple" / "delta"
    links.mkdir()
    simple.mkdir(parents=True)
    (links / name).write_bytes(data)
    (simple / "index.html").write_text(f'<a href="../../links/{name}">{name}</a>')
    python = make_env(tmp_path / "env", "--find-links", links, "delta", index=index.simple)
    for source in (LinksFolder(links), LocalIndex(tmp_path / "simple")):
        packages, _ = capture(python, tmp_path, source)
        [found] = packages.unresolved
        assert (found.reason, found.filename) == ("local-file", name)
        assert found.sha256 == hashlib.sha256(data).hexdigest()
        assert str(tmp_path) not in str(to_toml(packages))
    packages, _ = capture(
        python, tmp_path, LinksFolder(links), SimpleIndex(index.add((name, data)).simple, Client())
    )
    assert packages.packages[0].source.url == f"{index.url}/files/{name}"


def test_direct_installs(index, tmp_path):
    name, data = make_wheel("alpha", "1.0")
    index.add((name, data))
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "edit"\nversion = "1"\n'
    )
    (project / "backend.py").write_text(EDITABLE)
    git = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    import subprocess

    for command in (["init", "-q"], ["add", "."], [*git, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    python = make_env(
        tmp_path / "env", f"alpha @ {index.url}/files/{name}", "-e", project, index=index.simple
    )
    packages, _ = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    [alpha] = packages.packages
    assert alpha.source.sha256 == hashlib.sha256(data).hexdigest()
    assert (alpha.evidence, alpha.source.is_wheel) == ("direct-url", True)
    assert [(p.name, p.reason) for p in packages.unresolved] == [("edit", "editable")]

    uv(
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--no-deps",
        "--reinstall-package",
        "edit",
        f"edit @ git+file://{project}",
        cwd=tmp_path,
    )
    packages, findings = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    assert [(p.name, p.reason) for p in packages.unresolved] == [("edit", "local-vcs")]
    assert str(tmp_path) not in str(to_toml(packages)) + str(to_pylock(packages)) + str(findings)

    direct = site(python) / "edit-1.dist-info" / "direct_url.json"
    kept = json.loads(direct.read_text())
    direct.write_text(json.dumps({**kept, "url": "https://user:pw@example.org/edit.git"}))
    packages, _ = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    vcs = packages.get("edit").source
    assert (vcs.type, vcs.url, vcs.commit_id) == (
        "git",
        "https://example.org/edit.git",
        kept["vcs_info"]["commit_id"],
    )


EDITABLE = """
import base64, hashlib, os, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    info = "edit-1.dist-info"
    files = {"edit.py": b"", info + "/METADATA": b"Metadata-Version: 2.1\\nName: edit\\nVersion: 1\\n",
             info + "/WHEEL": b"Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    line = lambda p, d: p + ",sha256=" + base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode() + "," + str(len(d)) + "\\n"
    with zipfile.ZipFile(os.path.join(folder, "edit-1-py3-none-any.whl"), "w") as archive:
        for path, data in {**files, info + "/RECORD": "".join(line(p, d) for p, d in files.items()).encode()}.items():
            archive.writestr(path, data)
    return "edit-1-py3-none-any.whl"
build_wheel = build_editable
"""


def test_what_other_managers_installed_is_not_called_the_indexs(tmp_path):
    apt = tmp_path / "usr/lib/python3/dist-packages"
    conda = tmp_path / "conda/lib/python3.11/site-packages"
    (tmp_path / "conda/conda-meta").mkdir(parents=True)
    entries = []
    for root, name in ((apt, "yaml"), (conda, "numpy"), (conda, "old")):
        info = root / f"{name}-1.0.{'egg' if name == 'old' else 'dist'}-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{name}.py,sha256=AAAA,1\n")
        entries.append({"name": name, "version": "1.0", "path": str(info), "root": str(root)})
    (conda / "numpy-1.0.dist-info" / "INSTALLER").write_text("conda\n")
    (conda / "old-1.0.egg-info" / "INSTALLER").write_text("pip\n")
    (conda / "old-1.0.egg-info" / "RECORD").unlink()
    packages, _ = collect(entries, sources=(), cache=tmp_path / "cache")
    reasons = {p.name: (p.reason, p.files is None) for p in packages.unresolved}
    assert reasons == {
        "yaml": ("dpkg", False),
        "numpy": ("conda", False),
        "old": ("no-record", True),
    }


def test_broken_metadata_and_duplicates(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for root, version in ((first, "2.0"), (second, "1.0")):
        info = root / f"Alpha_X-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_bytes(
            f"Name: Alpha_X\nVersion: {version}\nAuthor: Ren\xe9\n".encode("latin-1")
        )
        (info / "RECORD").write_bytes("caf\xe9.py,sha256=AA,1\n".encode("latin-1"))
        (info / "direct_url.json").write_text("{half")
        (info / "WHEEL").write_bytes(b"\xff\xfe\x00Tag: nonsense\n")
    broken = first / "gone-1.dist-info"
    broken.mkdir()
    entries = [
        {
            "name": None,
            "version": None,
            "path": str(first / "Alpha_X-2.0.dist-info"),
            "root": str(first),
        },
        {
            "name": "alpha-x",
            "version": "1.0",
            "path": str(second / "Alpha_X-1.0.dist-info"),
            "root": str(second),
        },
        {"name": None, "version": None, "path": str(broken), "root": str(first)},
        {"name": "nowhere", "version": "1", "path": None, "root": None},
    ]
    packages, findings = collect(
        entries, identify=False, cache=tmp_path / "cache", hash_installed=False
    )
    assert [(p.name, p.version) for p in packages.unresolved] == [("alpha-x", "2.0")]
    assert codes(findings) == ["packages.shadowed", "packages.unreadable", "packages.unreadable"]
    shadowed = next(f for f in findings if f.code == "packages.shadowed")
    assert (shadowed.expected, shadowed.observed) == ("2.0", "1.0")


def test_edited_files_are_told_even_with_equal_size(index, tmp_path):
    index.add(
        make_wheel("alpha", "1.0", {"alpha.py": b"x = 1\n", "both.py": b"a"}),
        make_wheel("beta", "1.0", {"beta.py": b"y = 1\n", "both.py": b"b"}),
    )
    python = make_env(tmp_path / "env", "alpha", index=index.simple)
    uv(
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--default-index",
        index.simple,
        "beta",
        "--link-mode",
        "copy",
        cwd=tmp_path,
    )
    source = SimpleIndex(index.simple, Client())
    _, findings = capture(python, tmp_path, source)
    assert codes(findings) == ["packages.overwritten"]
    folder = site(python)
    (folder / "alpha.py").write_bytes(b"x = 2\n")
    (folder / "beta.py").unlink()
    _, findings = capture(python, tmp_path, source)
    told = {f.subject: f.message for f in findings if f.code == "packages.modified"}
    assert told == {
        "alpha": "installed files of alpha are not as they were installed: alpha.py (changed)",
        "beta": "installed files of beta are not as they were installed: beta.py (missing)",
    }
    assert codes(capture(python, tmp_path, source, hash_installed=False)[1]) == []


LOCAL = "1.0+cu128"


def test_a_local_version_finds_its_index_by_its_label(index, tmp_path, monkeypatch):
    """The default index has no such version; the list of known indexes names one that has."""
    index.add(make_wheel("alpha", LOCAL))
    python = make_env(tmp_path / "env", f"alpha=={LOCAL}", index=index.simple)
    with serving(Index()) as default:
        default.add(make_wheel("alpha", "1.0"))
        source = SimpleIndex(default.simple, Client())
        monkeypatch.setenv("REPROLOCK_INDEXES", r"cu\d+=" + index.simple)
        packages, findings = capture(python, tmp_path, source)
        assert codes(findings) == []
        assert packages.packages[0].source.url.startswith(index.url)
        assert packages.packages[0].source.sha256 == index.sha256(f"alpha-{LOCAL}-py3-none-any.whl")
        monkeypatch.setenv("REPROLOCK_INDEXES", f"rocm={index.simple}")
        monkeypatch.setattr("reprolock.facts.packages.known._LABELS", ())
        _, findings = capture(python, tmp_path / "again", source)
        assert [f.code for f in findings] == ["packages.unresolved"]


def test_an_index_that_the_notebook_names_is_asked(index, tmp_path):
    index.add(make_wheel("alpha", "1.0"))
    python = make_env(tmp_path / "env", "alpha", index=index.simple)
    with serving(Index()) as default:
        source = SimpleIndex(default.simple, Client())
        _, findings = capture(python, tmp_path, source)
        assert [f.code for f in findings] == ["packages.unresolved"]
        lines = (f"pip install --extra-index-url={index.simple} alpha", "pip install 'unclosed")
        packages, findings = capture(python, tmp_path / "again", source, named=lines)
        assert codes(findings) == []
        assert packages.packages[0].source.url.startswith(index.url)


def test_known_indexes_are_told_by_the_label():
    from reprolock.facts.packages.known import for_version, named_in

    client = Client()
    assert for_version("2.0", client, {}) == ()
    assert for_version("no version", client, {}) == ()
    assert [s.label.rpartition("/")[2] for s in for_version("2.11.0+cu128", client, {})] == [
        "cu128"
    ]
    assert [s.label.rpartition("/")[2] for s in for_version("2.11.0+cpu", client, {})] == ["cpu"]
    assert for_version(
        "1.0+mine", client, {"REPROLOCK_INDEXES": "mine[=x mine=https://a.example/simple"}
    )
    named = named_in(
        ["pip install -i https://a.example/simple x -f https://b.example/l.html", "pip -i"], client
    )
    assert [s.label for s in named] == ["https://a.example/simple", "https://b.example/l.html"]


def commented(made):
    """Return the wheel with other bytes and the same files."""
    buffer = io.BytesIO(made[1])
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"again"
    return made[0], buffer.getvalue()


def test_prove_holds_every_wheel_of_the_release(index, tmp_path):
    index.add(
        make_wheel("alpha", "1.0"),
        make_wheel("alpha", "1.0", tag="py2.py3-none-any"),
        make_wheel("beta", "1.0"),
        commented(make_wheel("beta", "1.0", tag="py2.py3-none-any", wheel_tag="py3-none-any")),
    )
    python = make_env(tmp_path / "env", "alpha", "beta", index=index.simple)
    source = SimpleIndex(index.simple, Client())
    index.asked.clear()
    plain, _ = capture(python, tmp_path, source)
    assert {p.name: p.evidence for p in plain.packages} == {"alpha": "record", "beta": "record"}
    assert len([path for path in index.asked if "/files/alpha" in path]) == 1
    proved, _ = capture(python, tmp_path, source, prove=True)
    assert {p.name: p.evidence for p in proved.packages} == {
        "alpha": "record-alone",
        "beta": "record",
    }
    assert len({path for path in index.asked if "/files/alpha" in path}) == 2


def test_what_was_built_here_is_locked_to_its_source_archive(index, tmp_path):
    index.add(
        make_sdist("gamma", "1.0"),
        make_wheel("gamma", "1.0", {"gamma/__init__.py": b""}),
        make_wheel("delta", "1.0"),
        make_sdist("delta", "1.0"),
    )
    python = make_env(
        tmp_path / "env", "gamma", "delta", "--no-binary", "gamma", index=index.simple
    )
    packages, findings = capture(python, tmp_path, SimpleIndex(index.simple, Client()))
    delta, gamma = packages.packages
    assert (gamma.evidence, gamma.source.filename, gamma.built) == (
        "sdist-build",
        "gamma-1.0.tar.gz",
        True,
    )
    assert gamma.source.sha256 == index.sha256("gamma-1.0.tar.gz")
    assert gamma.build["generator"] == "t"
    assert gamma.build["requires"] == []
    assert len(gamma.build["sources"]) == 64
    assert (delta.evidence, delta.build) == ("record", {})
    assert delta.spare.sha256 == index.sha256("delta-1.0.tar.gz")
    assert codes(findings) == ["packages.built-at-capture"]
    assert capture(python, tmp_path, offline=True)[0] != packages  # other sources, another answer
    again, _ = capture(python, tmp_path, SimpleIndex(index.simple, Client()), offline=True)
    assert again == packages
    assert from_lock(to_pylock(packages), to_toml(packages)) == packages


def archive(kind, **members):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as made:
            for name, data in members.items():
                made.writestr(name.replace("__", "/"), data)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name, data in members.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"a-1__pyproject.toml": b'[build-system]\nrequires = ["flit_core"]'}, ["flit_core"]),
        ({"a-1__pyproject.toml": b"[project]"}, ["setuptools>=40.8.0"]),
        ({"a-1__setup.py": b""}, ["setuptools>=40.8.0"]),
        ({"a-1__x__pyproject.toml": b"[", "a-1__setup.py": b""}, ["setuptools>=40.8.0"]),
        ({"a-1__pyproject.toml": b"["}, None),
        ({"a-1__pyproject.toml": b"\xff"}, None),
        ({"a-1__pyproject.toml": b"build-system = 7"}, None),
        ({"a-1__pyproject.toml": b"[build-system]\nrequires = [7]"}, None),
    ],
)
def test_what_a_source_archive_requires(tmp_path, kind, members, wanted):
    path = tmp_path / f"a-1.{kind}"
    path.write_bytes(archive(kind, **members))
    assert build_requires(IndexFile(path.name, path.as_uri(), path=path), Client()) == wanted
    path.write_bytes(path.read_bytes()[:40])
    assert build_requires(IndexFile(path.name, path.as_uri(), path=path), Client()) is None


def test_a_large_archive_is_not_fetched_for_it(index):
    index.add(make_sdist("gamma", "1.0"))
    file = IndexFile("gamma-1.0.tar.gz", f"{index.url}/files/gamma-1.0.tar.gz", size=1 << 30)
    assert build_requires(file, Client()) is None
    assert index.asked == []


def test_reprolock_installed_from_a_folder_is_left_out_and_said(tmp_path):
    python = make_env(tmp_path / "env")
    info = site(python) / "reprolock-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: reprolock\nVersion: 0.1.0\n")
    (info / "RECORD").write_text("")
    (info / "direct_url.json").write_text(json.dumps({"url": "file:///x", "dir_info": {}}))
    packages, findings = capture(python, tmp_path, offline=True)
    assert (packages.packages, packages.unresolved) == ((), ())
    assert [(f.code, f.severity.value) for f in findings] == [("packages.itself-left-out", "note")]
