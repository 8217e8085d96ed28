"""Environments that were changed behind the installer's back are told apart; clean ones are not."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import io
import py_compile
import random
import shutil
import sys
from pathlib import Path

import pytest

from reprolock.facts.packages import collect
from reprolock.facts.packages.index import Client, SimpleIndex
from tests.packages_support import Index, listed, make_env, make_wheel, serving, site

TELLING = {
    "packages.altered",
    "packages.bytecode-unchecked",
    "packages.modified",
    "packages.unowned",
    "packages.unreadable",
}
PACKAGES = ("alpha", "beta", "gamma")


def content(name: str) -> dict[str, bytes]:
    files = {f"{name}/__init__.py": b"from . import core\n", f"{name}/core.py": b"VALUE = 1\n"}
    return {**files, **{f"{name}/part_{n}.py": f"x = {n}\n".encode() for n in range(30)}}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An environment of three packages, and the index that they came from."""
    folder = tmp_path_factory.mktemp("original")
    with serving(Index()) as index:
        index.add(*(make_wheel(name, "1.0", content(name)) for name in PACKAGES))
        python = make_env(folder / "env", *PACKAGES, index=index.simple)
        entries = [e for e in listed(python) if e["name"] in PACKAGES]
        yield index, site(python), entries, folder / "cache"


def told(original, copy: Path) -> set[str]:
    index, folder, entries, cache = original
    moved = [
        {**e, "path": e["path"].replace(str(folder), str(copy)), "root": str(copy)} for e in entries
    ]
    source = SimpleIndex(index.simple, Client())
    _, findings = collect(moved, sources=(source,), cache=cache)
    return {f.code for f in findings}


def fixed_up(copy: Path, name: str, edit) -> None:
    """Edit the rows of a RECORD and write it back."""
    path = copy / f"{name}-1.0.dist-info" / "RECORD"
    rows = list(csv.reader(io.StringIO(path.read_text())))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(edit(rows))
    path.write_text(out.getvalue())


def line(path: str, data: bytes) -> list[str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return [path, f"sha256={digest}", str(len(data))]


def edit_module(copy, name, rng):
    path = copy / name / f"part_{rng.randrange(30)}.py"
    path.write_bytes(path.read_bytes() + b"# edited\n")


def edit_same_size(copy, name, _rng):
    (copy / name / "core.py").write_bytes(b"VALUE = 2\n")


def delete_file(copy, name, rng):
    (copy / name / f"part_{rng.randrange(30)}.py").unlink()


def add_file(copy, name, rng):
    (copy / name / f"added_{rng.randrange(1000)}.py").write_text("x = 1\n")


def edit_with_record(copy, name, rng):
    number, data = rng.randrange(30), b"x = 'edited'\n"
    (copy / name / f"part_{number}.py").write_bytes(data)
    target = f"{name}/part_{number}.py"
    fixed_up(copy, name, lambda rows: [line(target, data) if r[0] == target else r for r in rows])


def add_with_record(copy, name, rng):
    path = f"{name}/extra_{rng.randrange(1000)}.py"
    (copy / path).write_text("x = 1\n")
    fixed_up(copy, name, lambda rows: [*rows, [path, "", ""]])


def delete_with_record(copy, name, rng):
    path = f"{name}/part_{rng.randrange(30)}.py"
    (copy / path).unlink()
    fixed_up(copy, name, lambda rows: [r for r in rows if r[0] != path])


def plant_pth(copy, _name, rng):
    (copy / f"a{rng.randrange(1000)}.pth").write_text(
        "import os; os.environ.setdefault('X', '1')\n"
    )


def plant_module(copy, _name, rng):
    (copy / f"module_{rng.randrange(1000)}.py").write_text("x = 1\n")


def plant_bytecode(copy, name, _rng):
    """Byte code that Python runs in the place of the source, which stays as it was."""
    evil = copy.parent / "evil.py"
    evil.write_text("VALUE = 'planted'\n")
    target = importlib.util.cache_from_source(str(copy / name / "core.py"))
    Path(target).parent.mkdir(exist_ok=True)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(evil), cfile=target, invalidation_mode=mode)


def plant_sourceless(copy, name, rng):
    evil = copy.parent / "evil.py"
    evil.write_text("VALUE = 'planted'\n")
    py_compile.compile(str(evil), cfile=str(copy / name / f"ghost_{rng.randrange(99)}.pyc"))


def replace_by_link(copy, name, rng):
    path = copy / name / f"part_{rng.randrange(30)}.py"
    path.unlink()
    other = copy.parent / "elsewhere.py"
    other.write_text("x = 'elsewhere'\n")
    path.symlink_to(other)


def lose_record(copy, name, _rng):
    (copy / f"{name}-1.0.dist-info" / "RECORD").unlink()


FAULTS = [
    edit_module,
    edit_same_size,
    delete_file,
    add_file,
    edit_with_record,
    add_with_record,
    delete_with_record,
    plant_pth,
    plant_module,
    plant_bytecode,
    plant_sourceless,
    replace_by_link,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_kind_of_tampering_is_told(original, tmp_path, fault):
    for seed in range(3):
        rng = random.Random(f"{fault.__name__} {seed}")
        copy = tmp_path / str(seed) / "site-packages"
        shutil.copytree(original[1], copy)
        fault(copy, rng.choice(PACKAGES), rng)
        assert told(original, copy) & TELLING, (fault.__name__, seed)


@pytest.mark.slow
def test_two_hundred_seeded_tamperings_are_told(original, tmp_path):
    missed = []
    for seed in range(200):
        rng = random.Random(seed)
        fault, copy = rng.choice(FAULTS), tmp_path / str(seed) / "site-packages"
        shutil.copytree(original[1], copy)
        fault(copy, rng.choice(PACKAGES), rng)
        if not told(original, copy) & TELLING:
            missed.append((seed, fault.__name__))
        shutil.rmtree(copy)
    assert missed == []


def test_a_clean_environment_raises_no_flag_used_or_not(original, tmp_path):
    copy = tmp_path / "site-packages"
    shutil.copytree(original[1], copy)
    assert told(original, copy) == set()
    for name in PACKAGES:  # as an import leaves it
        for source in (copy / name).glob("*.py"):
            py_compile.compile(str(source))
    assert told(original, copy) == set()


def test_a_lost_record_is_named(original, tmp_path):
    copy = tmp_path / "site-packages"
    shutil.copytree(original[1], copy)
    lose_record(copy, "alpha", None)
    found = told(original, copy)
    assert "packages.unresolved" in found
    assert "packages.unowned" in found  # nobody lists its files any more


def test_what_is_planted_is_said_to_run_at_every_start(original, tmp_path):
    index, folder, entries, cache = original
    copy = tmp_path / "site-packages"
    shutil.copytree(folder, copy)
    (copy / "evil.pth").write_text("import sys\n")
    moved = [
        {**e, "path": e["path"].replace(str(folder), str(copy)), "root": str(copy)} for e in entries
    ]
    _, findings = collect(moved, sources=(SimpleIndex(index.simple, Client()),), cache=cache)
    assert [f.message for f in findings] == [
        (
            "evil.pth lies among the installed packages and belongs to none, and Python runs it at "
            "every start: a rebuild will not have it"
        )
    ]


def test_real_environments_are_clean():
    """The one that runs the tests has dozens of real distributions; none of them was tampered with."""
    from reprolock.facts.packages import read_folder
    from reprolock.facts.packages.unowned import added

    folder = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    dists = read_folder(folder)
    assert len(dists) > 40
    assert added(dists) == ()
