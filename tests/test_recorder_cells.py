"""Cell boundaries, what stands around them, and what a kernel that dies leaves behind."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from reprolock.facts import hardware
from reprolock.kernel import read_journal, start_code
from tests import kernels


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "nb"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells") / "nb"
    folder.mkdir()
    cells = [
        "x = 1",
        "1/0",
        "def broken(:",
        "get_ipython().run_cell('y = 2')",
        "import asyncio\nawait asyncio.sleep(0)",
        "%pip --version",
        "",
        "raise SystemExit",
        "print('ä')",
    ]
    environ = {"OMP_NUM_THREADS": "1", "SECRET_TOKEN": "hunter2"}
    return cells, kernels.record(kernels.science_python(), folder, cells, **environ)


def test_each_cell_that_ran_has_a_start_and_an_end(recorded):
    cells, record = recorded
    ran = [cell for cell in cells if cell]
    starts, ends = record.of("cell-start"), record.of("cell-end")
    assert [one["n"] for one in starts] == list(range(len(ran)))
    assert [one["n"] for one in ends] == list(range(len(ran)))
    digests = [hashlib.sha256(cell.encode()).hexdigest() for cell in ran]
    assert [one["source_sha256"] for one in starts] == digests
    assert [(one["ok"], one["error"]) for one in ends] == [
        (True, None),
        (False, "ZeroDivisionError"),
        (False, "SyntaxError"),
        (True, None),
        (True, None),
        (True, None),
        (False, "SystemExit"),
        (True, None),
    ]


def test_the_recorder_had_no_trouble(recorded):
    _, record = recorded
    assert record.problems == []
    assert record.of("trouble") == []
    assert record.of("may-have-missed") == []
    assert record.events[0]["event"] == "start"
    assert record.events[-1] == {"event": "end"}


def test_the_start_and_the_interpreter(recorded):
    _, record = recorded
    start = record.one("start")
    assert start["format"] == 1
    assert start["python"][:2] == list(sys.version_info[:2])
    facts = record.one("interpreter")
    assert facts["version"] == ".".join(map(str, start["python"]))
    assert facts["implementation"] == sys.implementation.name
    assert facts["executable"] == str(kernels.science_python())
    assert facts["prefix"] == str(kernels.science_python().parent.parent)
    assert facts["flags"]["hash_randomization"] in (0, 1)
    assert "dont_write_bytecode" not in facts["flags"]


def test_only_listed_environment_variables_are_told(recorded):
    _, record = recorded
    assert record.one("interpreter")["environ"]["OMP_NUM_THREADS"] == "1"
    assert "hunter2" not in str(record.events)


def test_the_packages(recorded):
    _, record = recorded
    start = record.one("packages", when="start")
    found = {one["name"]: one for one in start["distributions"]}
    assert {"numpy", "pandas", "ipykernel"} <= set(found)
    assert found["numpy"]["path"].endswith(f"numpy-{found['numpy']['version']}.dist-info")
    assert str(Path(found["numpy"]["path"]).parent) == found["numpy"]["root"]
    assert record.of("packages", when="end") == []


def test_system_and_hardware(recorded):
    _, record = recorded
    system = record.one("system")
    assert system["libc"][0]
    assert system["machine"] == os.uname().machine
    assert set(system["os"]) == {"id", "version_id", "name"}
    assert system["platform_signs"]["colab"] is False
    assert any(path.rpartition("/")[2].startswith("libc") for path in system["libraries"])
    assert not any("site-packages" in path for path in system["libraries"])
    hardware = record.one("hardware")
    assert hardware["cpu"]["cores_logical"] == os.cpu_count()
    assert hardware["cpu"]["flags"] == sorted(hardware["cpu"]["flags"])
    assert hardware["memory_bytes"] > 1 << 20
    assert hardware["torch"] is None
    assert hardware["jax"] is None


# No test machine has a GPU for certain. These modules stand in for torch and jax at one seam, what
# the recorder's hardware family asks of them; the figures are those of a recorded H100.
TORCH = """
from types import SimpleNamespace as of
__version__ = '2.13.0'
version = of(cuda='12.8')
cuda = of(
    is_available=lambda: True, is_initialized=lambda: True,
    device_count=lambda: 1, get_device_name=lambda n: 'NVIDIA H100 80GB HBM3',
)
backends = of(
    cuda=of(matmul=of(allow_tf32=False)),
    cudnn=of(version=lambda: 91002, deterministic=True, benchmark=False, allow_tf32=True),
)
get_num_threads = lambda: 2
are_deterministic_algorithms_enabled = lambda: True
get_float32_matmul_precision = lambda: 'highest'
get_default_dtype = lambda: 'torch.float32'
"""
JAX = """
import sys
from types import SimpleNamespace as of
__version__ = '0.12.0'
sys.modules['jax._src.xla_bridge'] = of(_backends={'gpu': 1})
default_backend = lambda: 'gpu'
devices = lambda: [of(platform='gpu', device_kind='NVIDIA H100 80GB HBM3', id=0)]
config = of(jax_enable_x64=True)
"""


def test_accelerators_that_torch_and_jax_see(folder):
    (folder / "torch.py").write_text(TORCH)
    (folder / "jax.py").write_text(JAX)
    record = kernels.record(kernels.own_python(), folder, ["import torch, jax"])
    facts = hardware.parse(record.one("hardware"), hardware.Gpus())
    table = hardware.to_toml(facts)
    assert table["torch"]["devices"] == ["NVIDIA H100 80GB HBM3"]
    assert (table["torch"]["cuda"], table["torch"]["cudnn"]) == ("12.8", 91002)
    assert table["jax"]["devices"] == [
        {"platform": "gpu", "kind": "NVIDIA H100 80GB HBM3", "id": 0}
    ]
    assert (table["jax"]["backend"], table["jax"]["x64"]) == ("gpu", True)
    assert hardware.from_toml(table) == facts


def test_packages_that_a_cell_installs_are_told_at_the_end(folder):
    made = (
        "import os, sys\n"
        "os.makedirs('late/late-1.0.dist-info')\n"
        "open('late/late-1.0.dist-info/METADATA', 'w').write('Name: Late\\nVersion: 1.0\\n\\n')\n"
        "sys.path.append(os.path.abspath('late'))"
    )
    record = kernels.record(kernels.own_python(), folder, [made])
    end = record.one("packages", when="end")
    late = [one for one in end["distributions"] if one["name"] == "Late"]
    assert [(one["version"], one["root"]) for one in late] == [("1.0", str(folder / "late"))]


def test_loaded_modules_carry_their_distribution_s_version(folder):
    record = kernels.record(kernels.science_python(), folder, ["import pandas, dateutil, json"])
    loaded = record.one("modules")["loaded"]
    found = {one["name"]: one["version"] for one in record.of("packages")[0]["distributions"]}
    assert loaded["pandas"] == found["pandas"]
    assert loaded["dateutil"] == found["python-dateutil"]
    assert "json" not in loaded
    assert "os" not in loaded


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_killed_kernel_leaves_a_journal_up_to_the_cell_that_killed_it(folder, death):
    settings = kernels.config(folder)
    with kernels.kernel(kernels.own_python(), folder) as running:
        running.run(start_code(settings), silent=True)
        running.run("import os, signal\nopen('before.txt', 'w').write('x')")
        running.run_until_death(death)
    events, problems = read_journal(settings.journal)
    assert problems == []
    assert [event["event"] for event in events][-2:] == ["cell-end", "cell-start"]
    assert events[-1]["n"] == 1
    assert [event["op"] for event in events if event["event"] == "file"] == ["write"]


def test_an_older_python_is_recorded(folder):
    (folder / "in.csv").write_text("a\n1\n")
    record = kernels.record(
        kernels.older_python(),
        folder,
        [
            "import numpy as np; np.random.seed(7)",
            "open('in.csv').read(); open('out.csv', 'w').write('a')",
            "import reprolock; reprolock.metric('m', np.float64(0.5))",
            "!reprolock capture",
            "np.random.default_rng(); np.random.RandomState(1)",
        ],
    )
    assert record.one("start")["python"][:2] < [3, 10]
    assert record.of("trouble") == []
    assert record.one("seed") == {
        "event": "seed",
        "n": 0,
        "stream": "numpy",
        "call": "numpy.random.seed",
        "seed": 7,
    }
    assert record.files(1) == [("read", "in.csv"), ("write", "out.csv")]
    assert record.one("metric")["value"] == 0.5
    assert "recorded" in record.replies[3].text
    assert record.one("unseeded")["stream"] == "numpy.Generator"
    assert record.events[-1] == {"event": "end"}


def test_a_forked_child_writes_no_events(folder):
    fork = "import os, random\nif not os.fork():\n    random.seed(1); os._exit(0)\nos.wait()"
    record = kernels.record(kernels.own_python(), folder, [fork])
    assert record.of("seed") == []
    assert record.one("cell-end")["ok"]
