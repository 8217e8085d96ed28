"""The lock: written, read, refused, kept."""

from __future__ import annotations

import datetime as dt
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
import tomlkit
from packaging.pylock import Pylock

from reprolock import lock
from reprolock.digest import plain
from reprolock.errors import LockError
from reprolock.facts import (
    Record,
    data,
    hardware,
    installs,
    interpreter,
    metrics,
    notebook,
    packages,
    randomness,
    session,
    system,
)
from reprolock.facts.owners import Owner
from reprolock.lock.read import parse

ROOT = Path(__file__).resolve().parent.parent
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)


_LIBRARIES = (
    system.Library("libgomp.so.1", "2" * 64, Owner("apt", "libgomp1", "12.2.0-14")),
    system.Library("libz.so.1", "3" * 64),
)


BUILT = packages.LockedPackage(
    "zeta",
    "1.0",
    packages.SdistFile("zeta-1.0.tar.gz", "https://example.org/zeta-1.0.tar.gz", "5" * 64),
    "sdist-build",
    "pip",
    "6" * 64,
    {
        "generator": "setuptools (75.6.0)",
        "requires": ["setuptools", 'a "b"'],
        "sources": "7" * 64,
    },
)


def record(count: int = 2, value: float = 0.9722, *more: packages.LockedPackage) -> Record:
    wheels = tuple(
        packages.LockedPackage(
            f"package-{i:03}",
            f"1.{i}",
            packages.WheelFile(
                f"package_{i:03}-1.{i}-py3-none-any.whl",
                f"https://example.org/package_{i:03}-1.{i}-py3-none-any.whl",
                f"{i:064x}",
                1000 + i,
                "2026-01-02T03:04:05.678901Z",
            ),
            "record",
            "pip",
            f"{i:064x}",
            spare=packages.Spare(f"package_{i:03}-1.{i}.tar.gz", f"{i:064x}") if i % 2 else None,
        )
        for i in range(count)
    )
    loose = (packages.UnresolvedPackage("mine", "0.1", "editable"),)
    cells = [{"cell_type": "code", "source": "x = 1", "outputs": [], "id": "a"}]
    return Record(
        {
            notebook.Notebook: notebook.parse("n.ipynb", cells, {0: 0}, {}, "n.ipynb", "0" * 64),
            interpreter.Interpreter: interpreter.Interpreter(
                "cpython", "3.11.7", platform="linux-x86_64", environ={"PYTHONHASHSEED": "7"}
            ),
            packages.Packages: packages.Packages((*wheels, *more), loose),
            system.System: system.System(
                "debian", "12", "x86_64", "glibc 2.36", "jupyter", libraries=_LIBRARIES
            ),
            hardware.Hardware: hardware.Hardware("EPYC", None, 2, 1 << 30, ("avx2",)),
            data.Data: data.Data((data.DataFile('d é".csv', "input", 3, "1" * 64, 0),)),
            randomness.Randomness: randomness.Randomness(
                (randomness.Stream("numpy", 2**62, 0), randomness.Stream("random", 'a"b', 0)), "7"
            ),
            metrics.Metrics: metrics.Metrics(
                (
                    metrics.Metric("accuracy", value, 0, "a", "float", "output"),
                    metrics.Metric("loss", math.nan, 0, "a", "float64", "api"),
                )
            ),
            session.Session: session.Session(
                "live",
                run_again=(0,),
                edited=(1,),
                unknown=2,
                deleted=(session.Deleted("4" * 64, ("x", "ü")),),
                raised=(0,),
                interrupted=(1,),
                captured_within=(2,),
                foreign_names=("y",),
                breaks=(session.Break((0,), "ended", ("model.pt",), ("a 1 (locked: 2)",)),),
            ),
            installs.Installs: installs.Installs(
                (installs.Command("pip install a", ("pip",), "shell", 0, 0, ("a",), True, ("r",)),),
                (
                    installs.Change("a", "1", None, 0, loaded=True),
                    installs.Change("b", system=True),
                ),
                (installs.Stale("a", "a", "1", "2"),),
            ),
        }
    )


def written(folder: Path, *, content: Record | None = None, created: dt.datetime = NOW) -> Path:
    path = folder / "pylock.n.toml"
    lock.write(content or record(), path, created=created, beside={})
    return path


def test_round_trip_and_schema(tmp_path):
    content = record(2, 0.9722, BUILT)
    path = written(tmp_path, content=content)
    found = lock.read(path)
    assert found.intact
    for kind, facts in content.facts.items():
        if kind is not metrics.Metrics:
            assert found.record[kind] == facts
    assert math.isnan(found.record[metrics.Metrics].metrics[1].value)
    document = parse(path, path.read_bytes())
    schema = json.loads((ROOT / "schemas" / "lock.schema.json").read_text())
    jsonschema.validate(plain(document["tool"]["reprolock"]), schema)


def test_it_is_pep_751(tmp_path):
    path = written(tmp_path)
    pylock = Pylock.from_dict(parse(path, path.read_bytes()))
    assert [str(p.name) for p in pylock.packages] == ["package-000", "package-001"]


def test_two_captures_differ_in_the_time_stamp_alone(tmp_path):
    first = written(tmp_path).read_text()
    second = written(tmp_path, created=NOW + dt.timedelta(days=1)).read_text()
    changed = [
        (a, b) for a, b in zip(first.splitlines(), second.splitlines(), strict=True) if a != b
    ]
    assert changed == [("created = 2026-01-02T03:04:05Z", "created = 2026-01-03T03:04:05Z")]
    assert lock.read(tmp_path / "pylock.n.toml").intact


def test_every_single_edit_outside_of_policy_and_time_breaks_the_digest(tmp_path):
    path = written(tmp_path)
    text = path.read_text()
    for old, new in [
        ("0.9722", "0.9721"),
        ("example.org/package_001", "example.com/package_001"),
        ("seed = 4611686018427387904", "seed = 1"),
        ('requires-python = ">=3.11"', 'requires-python = ">=3.10"'),
        ("avx2", "avx"),
        ('reason = "editable"', 'reason = "other"'),
        ("1" * 64, "2" * 64),
    ]:
        assert old in text
        path.write_text(text.replace(old, new))
        assert not lock.read(path).intact, old


def test_the_policy_may_be_edited_and_is_kept_with_its_comments(tmp_path):
    path = written(tmp_path)
    mine = (
        "\n# I said so\n[tool.reprolock.policy.tolerances.accuracy]\nabs = 0.005  # five seeds\n"
        'reason = "spread"\n\n[[tool.reprolock.policy.excused]]\ncell = 3\nreason = "weather"\n'
    )
    path.write_text(path.read_text() + mine)
    found = lock.read(path)
    assert found.intact
    assert found.policy.tolerances["accuracy"].abs == 0.005
    assert found.policy.tolerances["accuracy"].source == "policy"
    assert found.policy.excused == (lock.Excuse(3, "weather"),)
    written(tmp_path, content=record(value=0.5))
    again = path.read_text()
    assert mine in again
    assert "0.9722" not in again
    assert lock.read(path).policy == found.policy


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("tolerances.accuracy = 3", "wanted a table"),
        ("tolerances.accuracy = {abs = -1}", "from 0"),
        ("tolerances.accuracy = {abs = nan}", "from 0"),
        ("tolerances.accuracy = {}", "neither"),
        ("excused = [{cell = 3}]", "no `reason`"),
        ('excused = [{cell = true, reason = "x"}]', "index or an id"),
    ],
)
def test_a_policy_that_is_wrong_is_named(tmp_path, policy, message):
    path = written(tmp_path)
    path.write_text(path.read_text() + policy + "\n")
    with pytest.raises(LockError, match=message):
        lock.read(path)


def test_a_policy_that_cannot_be_kept_stops_the_capture(tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text() + "broken = = 1\n")
    before = path.read_bytes()
    with pytest.raises(LockError, match="does not parse"):
        written(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[: len(t) // 2], "."),
        (lambda t: "not toml at all [", "wanted TOML"),
        (lambda t: "a = 1\n", "no `lock-version`"),
        (
            lambda t: t.replace('lock-version = "1.0"', 'lock-version = "2.0"'),
            "wanted lock-version 1",
        ),
        (lambda t: t.replace("format = 1\n", "format = 99\n"), "reads up to 1"),
        (lambda t: t.replace("format = 1\n", 'format = "one"\n'), "to be an integer"),
        (lambda t: t[: t.index("[tool")], "not written by reprolock"),
        (
            lambda t: t.replace("[tool.reprolock.hardware]", "[tool.reprolock.hard]"),
            "no `hardware`",
        ),
        (lambda t: t.replace("cores = 2", 'cores = "two"'), r"hardware\.cores.*wanted an integer"),
        (lambda t: t.replace("hashes = {sha256", "hashes = {md5"), "."),
    ],
)
def test_a_lock_that_is_wrong_says_what_was_wanted(tmp_path, change, message):
    path = written(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(LockError, match=message) as caught:
        lock.read(path)
    assert caught.value.hint or caught.value.causes


def test_binary_and_missing_locks(tmp_path):
    path = tmp_path / "pylock.x.toml"
    with pytest.raises(LockError, match="cannot read"):
        lock.read(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LockError, match="wanted TOML"):
        lock.read(path)


def test_the_museum_is_read():
    """One lock of every released format; all of them must stay readable and intact."""
    locks = sorted((ROOT / "tests" / "museum").glob("format-*/pylock.*.toml"))
    assert locks
    for path in locks:
        assert lock.read(path).intact, path


def test_two_hundred_packages(tmp_path):
    path = written(tmp_path, content=record(200))
    begun = time.perf_counter()
    found = lock.read(path)
    assert len(found.record[packages.Packages].packages) == 200
    assert time.perf_counter() - begun < 60  # a hang, not a speed


def test_nothing_of_this_machine_is_in_it(tmp_path):
    text = written(tmp_path).read_text()
    for secret in (str(Path.home()), str(ROOT), sys.prefix):
        assert secret not in text


def test_tomlkit_and_tomllib_read_the_same(tmp_path):
    path = written(tmp_path)
    one = tomlkit.parse(path.read_text()).unwrap()
    two = parse(path, path.read_bytes())
    assert plain(one) == plain(two)


def test_uv_takes_it(tmp_path):
    """The syntax is what uv reads; that real packages install from it is tested end to end."""
    path = written(tmp_path, content=record(0))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--dry-run",
            "--python",
            sys.executable,
            "-r",
            path,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
