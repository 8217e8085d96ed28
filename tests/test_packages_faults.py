"""Indexes, environments and locks that are not as they should be."""

from __future__ import annotations

import datetime as dt
import io
import tarfile

import pytest

from reprolock import lock
from reprolock.errors import RebuildError
from reprolock.facts import packages
from reprolock.facts.packages import SdistFile, collect, from_lock, read_folder, to_pylock, to_toml
from reprolock.facts.packages.index import Client, SimpleIndex
from reprolock.rebuild import How, rebuild
from tests.packages_support import Index, listed, make_env, make_sdist, make_wheel, serving, site
from tests.test_lock import record
from tests.test_rebuild_environment import HERE


@pytest.fixture
def index():
    with serving(Index()) as found:
        yield found


@pytest.fixture
def python(index, tmp_path):
    index.add(make_wheel("alpha", "1.0"))
    return make_env(tmp_path / "env", "alpha", index=index.simple)


def identified(index, python, tmp_path):
    source = SimpleIndex(index.simple, Client())
    found, findings = collect(listed(python), sources=(source,), cache=tmp_path / "cache")
    return found, {finding.code: finding for finding in findings}


@pytest.mark.parametrize("where", ["simple", "files"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_index_that_is_busy_for_a_moment_is_asked_again(index, python, tmp_path, where, status):
    index.faults[where] = [status, 0]
    found, codes = identified(index, python, tmp_path)
    assert [p.evidence for p in found.packages] == ["record"]
    assert codes == {}


@pytest.mark.parametrize("where", ["simple", "files"])
@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_index_that_stays_faulty_is_told_and_nothing_is_claimed(
    index, python, tmp_path, where, status
):
    index.faults[where] = [status]
    found, codes = identified(index, python, tmp_path)
    assert found.packages == ()
    assert "packages.unresolved" in codes
    if (where, status) != ("simple", 404):
        assert str(status) in codes["packages.source-trouble"].message
    index.faults.clear()
    if where == "files":
        return  # that no wheel of the release is the installed one holds for a day
    assert identified(index, python, tmp_path / "again")[0].packages != ()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b"<html>no links</html>", b"{}" * 9]
)
def test_a_page_that_is_no_index_is_told(index, python, tmp_path, body, monkeypatch):
    kind = "application/vnd.pypi.simple.v1+json"
    monkeypatch.setattr(Index, "page", lambda _self, _name: (kind, body))
    found, codes = identified(index, python, tmp_path)
    assert found.packages == ()
    assert "packages.source-trouble" in codes or body.startswith(b"<")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:100],
        lambda data: data[:-30],
        lambda _data: b"",
        lambda data: data.replace(b"RECORD", b"REC0RD"),
    ],
    ids=["cut", "no end", "empty", "no RECORD"],
)
def test_a_wheel_that_is_damaged_on_the_index_proves_nothing(index, python, tmp_path, damage):
    name = "alpha-1.0-py3-none-any.whl"
    index.files[name] = damage(index.files[name])
    found, codes = identified(index, python, tmp_path)
    assert found.packages == ()
    assert {"packages.unresolved", "packages.source-trouble"} <= codes.keys()


RECORDS = {
    "absolute": "/etc/passwd,sha256=AAAA,1\n",
    "dots": "../../../../../../etc/passwd,sha256=AAAA,1\n",
    "a device": "/dev/zero,sha256=AAAA,1\n",
    "quotes": '"alpha/""x.py",sha256=AAAA,1\n',
    "no CSV": '"alpha\n',
    "control": "alpha/\0.py,sha256=AAAA,x\n",
    "huge size": f"alpha/y.py,sha256=AAAA,{10**40}\n",
    "no hash": "alpha/z.py,,\n",
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_with_odd_lines_is_read_and_proves_nothing(index, python, tmp_path, name):
    place = site(python) / "alpha-1.0.dist-info" / "RECORD"
    place.write_text(place.read_text() + RECORDS[name])
    found, codes = identified(index, python, tmp_path)
    if found.packages:  # the line was none
        assert name in ("no CSV", "control")
    else:
        assert codes.keys() & {"packages.altered", "packages.unresolved"}
    assert read_folder(site(python))


def test_metadata_that_is_no_utf_8_is_read(index, python, tmp_path):
    place = site(python) / "alpha-1.0.dist-info" / "METADATA"
    place.write_bytes(
        "Metadata-Version: 2.1\nName: Alpha\nVersion: 1.0\nAuthor: J\xf6rg\n".encode("latin-1")
    )
    (dist,) = (one for one in read_folder(site(python)) if one.name == "alpha")
    assert dist.version == "1.0"
    entry = {"name": None, "version": None, "path": str(dist.path), "root": str(dist.root)}
    source = SimpleIndex(index.simple, Client())
    found, findings = collect([entry], sources=(source,), cache=tmp_path / "cache")
    assert [p.name for p in found.packages] == ["alpha"]  # its RECORD is what proves it
    assert "packages.modified" in {finding.code for finding in findings}


def test_a_build_that_fails_is_said_with_its_reason(index, tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    name, data = make_sdist("omega", "1.0")
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        tarfile.open(fileobj=buffer, mode="w:gz") as new,
    ):
        for entry in old:
            text = old.extractfile(entry).read()
            if entry.name.endswith("backend.py"):
                text = b"raise RuntimeError('no compiler here')\n"
            entry.size = len(text)
            new.addfile(entry, io.BytesIO(text))
    index.files[name] = buffer.getvalue()
    source = SdistFile(name, f"{index.url}/files/{name}", index.sha256(name))
    broken = packages.Packages((packages.LockedPackage("omega", "1.0", source, "sdist-only"),))
    with pytest.raises(RebuildError) as caught:
        rebuild(broken, HERE, How(cache=tmp_path / "c"))
    assert "no compiler here" in "\n".join(caught.value.causes)
    assert "could not be built here" in caught.value.hint


@pytest.mark.slow
def test_a_lock_of_five_thousand_packages_is_written_and_read(tmp_path):
    path = tmp_path / "pylock.n.toml"
    now = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
    lock.write(record(5000), path, created=now, beside={})
    found = lock.read(path)
    assert found.intact
    assert len(found.record[packages.Packages].packages) == 5000


def test_names_are_normalised_on_the_way(index, tmp_path):
    index.add(make_wheel("Odd.Name", "1.0", {"odd/__init__.py": b""}))
    index.files["odd_name-1.0-py3-none-any.whl"] = index.files.pop("Odd.Name-1.0-py3-none-any.whl")
    python = make_env(tmp_path / "env")
    folder = site(python) / "Odd.Name-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: Odd.Name\nVersion: 1.0\n")
    (dist,) = read_folder(site(python))
    assert dist.name == "odd-name"
    found, _ = identified(index, python, tmp_path)
    assert [p.name for p in found.unresolved] == ["odd-name"]
    assert from_lock(to_pylock(found), to_toml(found)) == found
