"""Bundles: verified with no network, the same bytes each time, and refused where they could harm."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reprolock.errors import BundleError, UnsafeBundleError
from reprolock.export import archive, manifest, unpack
from reprolock.export.contents import Member, place_of
from tests import notebooks
from tests.conftest import Command, contents
from tests.packages_support import Index, make_env, make_sdist, make_wheel, serving
from tests.test_bad_input import NO_NETWORK, needs_namespaces
from tests.test_export import note

if TYPE_CHECKING:
    from collections.abc import Callable

NOWHERE = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
    "PIP_FIND_LINKS": "",
    "UV_FIND_LINKS": "",
    "PIP_CONFIG_FILE": os.devnull,
}


def offline(folder: Path) -> dict[str, str]:
    """Return variables with which there is no index to ask and nothing in any installer's cache."""
    return {
        **NOWHERE,
        "UV_CACHE_DIR": str(folder / "uv"),
        "PIP_CACHE_DIR": str(folder / "pip"),
        "TMPDIR": str(folder),
    }


@pytest.fixture(scope="module")
def bundle_once(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, numpy_python: Path
) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "project"
    note(folder)
    cli = Command(folder, shared_cache)
    assert cli("capture", "note.ipynb", "--python", numpy_python).code == 0
    done = cli("export", "pylock.note.toml", "--to", "bundle")
    assert done.code == 0, str(done)
    return folder / "note.reprolock.zip"


@pytest.fixture
def bundle(bundle_once: Path, tmp_path: Path) -> Path:
    """A copy of a bundle, at a place where nothing else is."""
    (tmp_path / "elsewhere").mkdir()
    return Path(shutil.copy(bundle_once, tmp_path / "elsewhere" / "note.reprolock.zip"))


def test_a_bundle_verifies_without_network_and_caches(bundle: Path, tmp_path: Path) -> None:
    prefix: tuple[str, ...] = ()
    try:
        needs_namespaces()
        prefix = NO_NETWORK
    except pytest.skip.Exception:
        pass  # the addresses that refuse are then all that keeps it from the network
    cli = Command(tmp_path, tmp_path / "cache")
    private = tmp_path / "private"
    private.mkdir()
    env = offline(private)
    done = cli("verify", bundle, "--json", env=env, prefix=prefix)
    assert done.code == 0, str(done)
    assert done.verdict == "BIT_EXACT"
    assert done.json["lock"]["path"] == str(bundle)
    assert done.json["environment"]["cached"] is False
    assert done.codes("error") | done.codes("warning") == set()
    again = cli("rebuild", bundle, "--json", env=env, prefix=prefix)
    assert again.code == 0, str(again)
    assert again.json["environment"]["cached"] is True
    assert contents(bundle.parent).keys() == {"note.reprolock.zip"}
    assert not list(private.glob("reprolock-*")), "what was unpacked is removed"


@pytest.mark.slow
def test_pip_rebuilds_from_a_bundle_too(bundle: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from reprolock import lock, rebuild\n"
        "from reprolock.export import unpack; from reprolock.facts import interpreter, packages\n"
        "with unpack.unpacked(Path(sys.argv[1])) as found:\n"
        "    record = lock.read(found.lock).record\n"
        "    made = rebuild.rebuild(record[packages.Packages], record[interpreter.Interpreter],\n"
        "        offline=True, installer='pip', at_hand=found.packages)\n"
        "print(made.python, made.cached)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, bundle],
        env={**os.environ, **offline(tmp_path), "REPROLOCK_CACHE": str(tmp_path / "cache")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" False\n")


def test_show_and_diff_read_the_lock_inside(bundle: Path, bundle_once: Path, cli: Command) -> None:
    shown = cli("show", bundle, "--json")
    assert shown.code == 0, str(shown)
    assert shown.json["record"]["notebook"]["path"] == "note.ipynb"
    same = cli("diff", bundle, bundle_once.parent / "pylock.note.toml", "--json")
    assert same.code == 0, str(same)


def test_a_bundle_holds_what_its_manifest_says(bundle: Path, bundle_once: Path) -> None:
    project = bundle_once.parent
    with zipfile.ZipFile(bundle) as found:
        entries = manifest.loads(found.read("manifest.json"))
        assert [i.filename for i in found.infolist()] == [
            "manifest.json", *sorted(e.path for e in entries),
        ]  # fmt: skip
        for entry in entries:
            data = found.read(entry.path)
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry.sha256, entry.size)
        assert all(i.date_time == (1980, 1, 1, 0, 0, 0) for i in found.infolist())
    roles = {e.path: e.role for e in entries if not e.path.startswith("packages/")}
    assert roles == {
        "run/pylock.note.toml": "lock",
        "run/note.ipynb": "notebook",
        "run/note.reference.ipynb": "reference",
        "run/data/values.csv": "input",
        "run/helper.py": "input",
        "run/out/result.txt": "output",
    }
    assert {e.role for e in entries if e.path.startswith("packages/")} == {"wheel"}
    lock_text = (project / "pylock.note.toml").read_text()
    assert all(e.sha256 in lock_text for e in entries if e.role == "wheel")


@pytest.mark.slow
def test_data_above_the_notebook_keeps_its_place(
    tmp_path: Path, shared_cache: Path, bare_python: Path
) -> None:
    (tmp_path / "top" / "notebooks").mkdir(parents=True)
    (tmp_path / "top" / "data.csv").write_text(notebooks.csv_text())
    cli = Command(tmp_path / "top" / "notebooks", shared_cache)
    notebooks.write(notebooks.reads_csv("../data.csv"), cli.cwd / "note.ipynb")
    assert cli("capture", "note.ipynb", "--python", bare_python).code == 0
    done = cli("export", "pylock.note.toml", "--to", "bundle", "-o", tmp_path / "b.zip")
    assert done.code == 0, str(done)
    with zipfile.ZipFile(tmp_path / "b.zip") as found:
        assert {"run/in/note.ipynb", "run/data.csv"} < set(found.namelist())
    shutil.rmtree(tmp_path / "top")
    verified = Command(tmp_path, shared_cache)("verify", tmp_path / "b.zip", "--json")
    assert verified.verdict == "BIT_EXACT", str(verified)


def test_names_of_data_become_places_that_stay_inside() -> None:
    assert place_of("data/x.csv", "run") == "run/data/x.csv"
    assert place_of("../x.csv", "run/in") == "run/x.csv"
    assert place_of("platform:/content/drive/MyDrive/x.csv", "run") == (
        "platform/content/drive/MyDrive/x.csv"
    )
    assert not place_of("../../../x", "run/in/in").startswith("run/")


@pytest.mark.slow
def test_a_changed_input_in_the_bundle_is_found(bundle: Path, cli: Command) -> None:
    """A forger who mends the manifest still has the lock's own digests against him."""
    repacked(bundle, {"run/data/values.csv": b"1.0\n" * 100})
    done = cli("verify", bundle, "--json")
    assert done.code == 1, str(done)
    assert done.verdict == "DIVERGED"
    assert "data.content-changed" in done.codes("error")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("run/numpy.py", "input"),
        ("run/numpy.py", "wheel"),
        ("run/numpy.py", "notebook"),
        ("run/out/other.txt", "output"),
        ("run/NOTE.ipynb", "notebook"),
        ("run/data/value\u0301s.csv", "input"),
        ("platform/content/x.csv", "input"),
        ("packages/evil-1.0-py3-none-any.whl", "wheel"),
        ("ipython_config.py", "code"),
    ],
)
def test_what_the_lock_does_not_name_is_refused(
    name: str, role: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module beside the notebook would be imported in the place of the locked one."""
    from reprolock.cli import main

    repacked(bundle, {name: b"raise SystemExit"}, {name: role})
    assert main(["verify", str(bundle), "--json", "--offline"]) == 2
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"] == "UNVERIFIABLE"
    (finding,) = result["findings"]
    assert finding["code"] == "bundle.unsafe"
    assert f"{name}, which its lock does not name" in finding["message"]


def test_a_wheel_of_other_bytes_is_not_installed(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as found:
        name = next(n for n in found.namelist() if n.startswith("packages/comm-"))
    repacked(bundle, {name: make_wheel("comm", "0.2.3")[1]})
    cli = Command(tmp_path, tmp_path / "cache")
    done = cli("verify", bundle, "--json", env=offline(tmp_path))
    assert (done.code, done.verdict) == (2, "UNVERIFIABLE"), str(done)
    assert "comm" in done.finding("bundle.unsafe")["message"]


def test_a_wheel_that_was_taken_out_is_not_replaced(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as found:
        name = next(n for n in found.namelist() if n.startswith("packages/comm-"))
    repacked(bundle, {}, without=name)
    cli = Command(tmp_path, tmp_path / "cache")
    done = cli("verify", bundle, "--json", env=offline(tmp_path))
    assert (done.code, done.verdict) == (1, "COULD_NOT_REBUILD"), str(done)
    assert "comm" in done.finding("rebuild.failed")["message"]


def repacked(
    bundle: Path, changed: dict[str, bytes], more: dict[str, str] | None = None, without: str = ""
) -> None:
    """Write the bundle again with other bytes, and a manifest that agrees with them."""
    with zipfile.ZipFile(bundle) as found:
        parts = {name: found.read(name) for name in found.namelist() if name != "manifest.json"}
        roles = {e.path: e.role for e in manifest.loads(found.read("manifest.json"))}
    parts.pop(without, None)
    write(bundle, {**parts, **changed}, {**roles, **(more or {})})


def write(
    path: Path,
    parts: dict[str, bytes],
    roles: dict[str, str],
    more: Callable[..., None] = lambda _: None,
) -> None:
    entries = [
        manifest.Entry(n, roles.get(n, "input"), hashlib.sha256(d).hexdigest(), len(d))
        for n, d in parts.items()
    ]
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("manifest.json", manifest.dumps(entries))
        for name, data in parts.items():
            made.writestr(name, data)
        more(made)


# Bundles that are damaged

LOCK = "run/pylock.x.toml"


def small(path: Path, parts: dict[str, bytes] | None = None, **more: Any) -> Path:
    write(path, {LOCK: b"lock-version = '1.0'\n", **(parts or {})}, {LOCK: "lock"}, **more)
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip(path: Path) -> None:
    """Change one byte of a member."""
    data = bytearray(path.read_bytes())
    at = data.index(b"lock-version")
    data[at] ^= 1
    path.write_bytes(data)


def without_member(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        entry = manifest.Entry(LOCK, "lock", "0" * 64, 3)
        made.writestr("manifest.json", manifest.dumps([entry]))


def with_manifest(text: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("manifest.json", text)

    return make


def entry_text(**changes: Any) -> str:
    entry = {"path": LOCK, "role": "lock", "sha256": "0" * 64, "size": 0, **changes}
    return json.dumps({"format": 1, "members": [entry]})


DAMAGED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda p: p.unlink(), "cannot read or unpack"),
    "empty": (lambda p: p.write_bytes(b""), "is no bundle, or a damaged one"),
    "text": (lambda p: p.write_text("a shopping list"), "is no bundle, or a damaged one"),
    "magic alone": (lambda p: p.write_bytes(b"PK\x03\x04" * 50), "is no bundle"),
    "folder": (lambda p: (p.unlink(), p.mkdir()), "is no regular file"),
    "pipe": (lambda p: (p.unlink(), os.mkfifo(p)), "is no regular file"),
    "cut": (cut, "is no bundle, or a damaged one"),
    "one bit": (flip, "damaged"),
    "no manifest": (lambda p: zipfile.ZipFile(p, "w").close(), "has no manifest.json"),
    "a wheel": (lambda p: p.write_bytes(make_wheel("a", "1")[1]), "has no manifest.json"),
    "no JSON": (with_manifest("{"), "is no JSON"),
    "deep JSON": (with_manifest("[" * 100_000), "is no JSON"),
    "a list": (with_manifest("[]"), "says no format"),
    "newer": (with_manifest('{"format": 2}'), "has format 2"),
    "no members": (with_manifest('{"format": 1, "members": 3}'), "lists no members"),
    "no digest": (with_manifest(entry_text(sha256="x")), "wanted path, role, sha256 and size"),
    "no size": (with_manifest(entry_text(size=True)), "wanted path, role, sha256 and size"),
    "negative": (with_manifest(entry_text(size=-1)), "wanted path, role, sha256 and size"),
    "member gone": (without_member, "is not in the bundle"),
    "no lock": (lambda p: write(p, {"run/x": b"1"}, {}), "wanted one lock"),
    "two locks": (
        lambda p: write(p, {LOCK: b"", "run/b": b""}, {LOCK: "lock", "run/b": "lock"}),
        "wanted one lock",
    ),
    "no TOML": (lambda p: write(p, {LOCK: b"\x00"}, {LOCK: "lock"}), "wanted TOML"),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("command", ["verify", "rebuild", "show", "export"])
def test_a_damaged_bundle_is_told(
    kind: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from reprolock.cli import main

    damage, says = DAMAGED[kind]
    path = small(tmp_path / "x.reprolock.zip")
    damage(path)
    more = ["--to", "conda"] if command == "export" else []
    code = main([command, str(path), "--json", *more])
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert code == result["exit_code"] == 2
    assert "Traceback" not in said.err
    assert "itself failed" not in said.err
    (finding,) = result["findings"]
    assert says in finding["message"]
    assert finding["hint"]
    assert finding["code"] in ("bundle.unreadable", "bundle.unsafe", "lock.unreadable")
    if command == "verify":
        assert result["verdict"] == "UNVERIFIABLE"
    assert {p.name for p in tmp_path.iterdir()} <= {"x.reprolock.zip"}


# Bundles that would do harm


def named(name: str) -> Callable[[Path], None]:
    """Make a bundle with a member of that name, and a manifest that lists it."""

    def make(path: Path) -> None:
        content = {"format": 1, "members": [
            {"path": n, "role": r, "sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}
            for n, r in ((LOCK, "lock"), (name, "input"))
        ]}  # fmt: skip
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("manifest.json", json.dumps(content))
            made.writestr(LOCK, b"x")
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            made.writestr(info, b"x")

    return make


def linked(path: Path) -> None:
    def add(made: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("run/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, b"/etc/passwd")

    small(path, more=add)


def doubled(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        small(path, more=lambda made: made.writestr(LOCK, b"another"))


def bomb(path: Path) -> None:
    """Ten MiB of zeros in ten KiB, listed with their true size."""
    data = bytes(10 << 20)
    small(
        path,
        {"run/zeros": data},
    )
    with zipfile.ZipFile(path) as found:
        parts = {n: found.read(n) for n in found.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)


def overlapping(path: Path) -> None:
    """Let two hundred entries of the directory stand for the same bytes."""
    data = bytes(100_000)
    names = [f"run/{n:03}" for n in range(200)]
    sha256 = hashlib.sha256(data).hexdigest()
    listed = [manifest.Entry(name, "input", sha256, len(data)) for name in names]
    listed.append(manifest.Entry(LOCK, "lock", hashlib.sha256(b"").hexdigest(), 0))
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("manifest.json", manifest.dumps(listed))
        made.writestr(LOCK, b"")
        made.writestr(names[0], data)
        first = made.getinfo(names[0])
        for name in names[1:]:
            info = zipfile.ZipInfo(name)
            info.file_size = info.compress_size = len(data)
            info.CRC, info.header_offset = first.CRC, first.header_offset
            info.create_version = info.extract_version = 20
            made.filelist.append(info)
            made.NameToInfo[name] = info


def encrypted(path: Path) -> None:
    small(path)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


UNSAFE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "above": (named("../evil"), "stays within"),
    "above, deep": (named("run/../../evil"), "stays within"),
    "absolute": (named("/tmp/evil"), "stays within"),
    "drive": (named("C:/evil"), "stays within"),
    "backslash": (named("run\\..\\evil"), "stays within"),
    "dot": (named("run/./evil"), "stays within"),
    "slashes": (named("run//evil"), "stays within"),
    "folder": (named("run/evil/"), "stays within"),
    "control": (named("run/\x1b[31m"), "stays within"),
    "newline": (named("run/a\nb"), "stays within"),
    "long": (named("run/" + "x" * 2000), "stays within"),
    "file and folder": (named(f"{LOCK}/evil"), "is a file and a folder"),
    "link": (linked, "is no regular file"),
    "doubled": (doubled, "two members of one name"),
    "unlisted": (
        lambda p: small(p, more=lambda made: made.writestr("run/.bashrc", b"evil")),
        "does not list: run/.bashrc",
    ),
    "bomb": (bomb, "is compressed"),
    "overlapping": (overlapping, "larger than itself"),
    "encrypted": (encrypted, "is encrypted"),
    "manifest lists itself": (with_manifest(entry_text(path="manifest.json")), "stays within"),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_an_unsafe_bundle_is_refused_before_anything_is_written(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from reprolock.cli import main

    path = tmp_path / "x.reprolock.zip"
    make, says = UNSAFE[kind]
    make(path)
    monkeypatch.setattr(unpack, "_write", lambda *_: pytest.fail("something was unpacked"))
    code = main(["verify", str(path), "--json"])
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert (code, result["verdict"]) == (2, "UNVERIFIABLE")
    (finding,) = result["findings"]
    assert finding["code"] == "bundle.unsafe"
    assert says in finding["message"]
    assert "\x1b" not in said.err
    assert {p.name for p in tmp_path.iterdir()} == {"x.reprolock.zip"}


def test_every_byte_of_a_bundle_counts(tmp_path: Path) -> None:
    """Any one changed byte of a small bundle is refused, or changes nothing that is unpacked."""
    path = small(tmp_path / "x.zip", {"run/data": b"0123456789"})
    whole = path.read_bytes()
    wanted = {LOCK: b"lock-version = '1.0'\n", "run/data": b"0123456789"}
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            with unpack.unpacked(path) as found:
                root = found.lock.parent.parent
                assert contents(root) == wanted
        except BundleError:
            continue


def test_no_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small(tmp_path / "x.zip")
    usage = shutil.disk_usage(tmp_path)._replace(free=3)
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(BundleError, match="no room to unpack"), unpack.unpacked(path):
        pass


def test_what_is_unpacked_is_private(tmp_path: Path) -> None:
    with unpack.unpacked(small(tmp_path / "x.zip")) as found:
        root = found.lock.parent.parent
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert found.is_whole
    assert not root.exists()


def test_folders_of_a_platform_are_mapped_and_a_person_s_maps_win(tmp_path: Path) -> None:
    parts = {
        "platform/content/x.csv": b"1",
        "platform/content/drive/MyDrive/y.csv": b"2",
        "platform/kaggle/input/z.csv": b"3",
    }
    with unpack.unpacked(small(tmp_path / "x.zip", parts)) as found:
        assert {k: (v / "x.csv").is_file() for k, v in found.maps.items()} == {
            "/content": True, "/kaggle/input": False,
        }  # fmt: skip
        mine = {"/content/drive/MyDrive": tmp_path}
        assert set(found.maps_with(mine)) == {"/kaggle/input", "/content/drive/MyDrive"}


# The archive


def test_large_files_are_streamed(tmp_path: Path) -> None:
    big = tmp_path / "big"
    size = 300 << 20
    with big.open("wb") as file:
        file.truncate(size)
    digest = hashlib.sha256()
    for _ in range(size >> 20):
        digest.update(bytes(1 << 20))
    member = Member("run/big", "input", big, digest.hexdigest(), size)
    entries = [manifest.Entry("run/big", "input", member.sha256, size)]
    tracemalloc.start()
    with (tmp_path / "out.zip").open("wb") as out:
        archive.write(out, ("manifest.json", manifest.dumps(entries)), [member], lambda _: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert (tmp_path / "out.zip").stat().st_size > size


def test_a_file_that_changes_while_it_is_packed(tmp_path: Path) -> None:
    from reprolock.errors import ExportError

    path = tmp_path / "x"
    path.write_bytes(b"12345")
    good = hashlib.sha256(b"12345").hexdigest()
    for member in (
        Member("x", "input", path, "0" * 64, 5),
        Member("x", "input", path, good, 4),
        Member("x", "input", path, good, 6),
    ):
        with pytest.raises(ExportError, match="changed while it was packed"):
            archive.write(io.BytesIO(), ("manifest.json", b""), [member], lambda _: None)


def test_unsafe_is_a_kind_of_unreadable() -> None:
    assert issubclass(UnsafeBundleError, BundleError)


# Packages that are no wheels of an index


@pytest.mark.slow
def test_a_wheel_that_is_on_no_index_is_carried(
    tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lay in a folder of the capturing machine; the lock can only name it."""
    links, folder = tmp_path / "links", tmp_path / "project"
    links.mkdir()
    folder.mkdir()
    name, data = make_wheel("onlyhere", "1.0")
    (links / name).write_bytes(data)
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    python = make_env(tmp_path / "env", "ipykernel==6.31.0", "onlyhere==1.0")
    cli = Command(folder, shared_cache)
    made = notebooks.notebook("import onlyhere", "print(f'accuracy: {float(onlyhere.VERSION)}')")
    notebooks.write(made, folder / "note.ipynb")
    assert cli("capture", "note.ipynb", "--python", python).code == 0
    done = cli("export", "pylock.note.toml", "--to", "bundle", "--json")
    assert done.code == 0, str(done)
    assert done.codes() == set()
    shutil.rmtree(links)
    shutil.rmtree(tmp_path / "env")
    away = tmp_path / "away"
    away.mkdir()
    elsewhere = Command(away, tmp_path / "cache")
    again = elsewhere("verify", folder / "note.reprolock.zip", "--json", env=offline(away))
    assert again.verdict == "BIT_EXACT", str(again)


@pytest.mark.slow
def test_a_source_is_carried_and_said_to_need_building(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What builds without any requirement is built from the bundle, with no network."""
    folder = tmp_path / "project"
    with serving(Index()) as index:
        index.add(make_sdist("fromsource", "2.0"))
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index.simple)
        monkeypatch.setenv("UV_EXTRA_INDEX_URL", index.simple)
        python = make_env(tmp_path / "env", "ipykernel==6.31.0", "fromsource==2.0")
        folder.mkdir()
        cli = Command(folder, tmp_path / "cache")
        made = notebooks.notebook("import fromsource", "print('accuracy: 0.5')")
        notebooks.write(made, folder / "note.ipynb")
        assert cli("capture", "note.ipynb", "--python", python).code == 0
        done = cli("export", "pylock.note.toml", "--to", "bundle", "--json")
        assert done.code == 0, str(done)
        assert done.codes() == {"export.needs-build"}
    away = tmp_path / "away"
    away.mkdir()
    elsewhere = Command(away, tmp_path / "another cache")
    again = elsewhere("verify", folder / "note.reprolock.zip", "--json", env=offline(away))
    assert again.verdict == "BIT_EXACT", str(again)
    assert "packages.built-from-source" in again.codes()
