"""From a notebook to a verdict, with real kernels, real rebuilds and the command as a process."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import nbformat
import pytest

from reprolock.digest import plain
from tests import notebooks
from tests.conftest import RUNNING, Answer, Command, contents, rewrite, surroundings, toml
from tests.kernels import kernelspec
from tests.packages_support import listed, make_env
from tests.real import REAL, ROOT, RealNotebook, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPRODUCED = ("BIT_EXACT", "REPRODUCED_WITHIN_TOLERANCE")
Captured = tuple[Path, Answer]


def capture(
    cli: Command, notebook: nbformat.NotebookNode, python: Path, *more: str, name: str = "note"
) -> Path:
    """Write *notebook* into the command's folder, capture it, and return the lock."""
    notebooks.write(notebook, cli.cwd / f"{name}.ipynb")
    done = cli("capture", f"{name}.ipynb", "--python", python, "--json", *more)
    assert done.code == 0, str(done)
    return cli.cwd / f"pylock.{name}.toml"


def verify(cli: Command, lock: Path, *more: str | Path) -> Answer:
    done = cli("verify", lock, "--json", *more)
    assert done.code == done.json["exit_code"], str(done)
    assert "Traceback" not in done.err, str(done)
    return done


def tool(lock: Path) -> dict[str, Any]:
    return toml(lock.read_text(encoding="utf-8"))["tool"]["reprolock"]


def metrics_of(answer: Answer) -> dict[str, dict[str, Any]]:
    return {m["name"]: m for m in answer.json["metrics"]}


# The demo: captured once, then verified as it is and with one fault at a time.


@pytest.fixture(scope="module")
def captured_once(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, demo_python: Path
) -> Captured:
    folder = tmp_path_factory.mktemp("captured") / "demo"
    shutil.copytree(
        demo_folder(), folder, ignore=shutil.ignore_patterns("pylock.*", "*.reference.ipynb")
    )
    before = contents(folder)
    done = Command(folder, shared_cache)(
        "capture", "train.ipynb", "--python", demo_python, "--json"
    )
    assert done.code == 0, str(done)
    after = contents(folder)
    assert set(after) - set(before) == {"pylock.train.toml", "train.reference.ipynb"}
    assert {name: after[name] for name in before} == before
    return folder, done


def demo_folder() -> Path:
    return Path(__file__).resolve().parent.parent / "fixtures" / "demo"


@pytest.fixture
def captured(captured_once: Captured, tmp_path: Path) -> Path:
    """Return a copy of the captured demo, at another place than where it was captured."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(captured_once[0], folder)
    return folder


def test_the_lock_of_the_demo_holds_what_the_run_was(captured: Path, demo_python: Path) -> None:
    ours = tool(captured / "pylock.train.toml")
    text = (captured / "pylock.train.toml").read_text(encoding="utf-8")
    assert "data/patients.csv" in text
    assert re.search(r'"?accuracy"?', json.dumps(ours["metrics"]))
    assert set(ours) >= {
        "notebook",
        "interpreter",
        "packages",
        "system",
        "hardware",
        "data",
        "randomness",
        "metrics",
    }
    assert ours["interpreter"]["version"].startswith(RUNNING)
    for private in (str(demo_python.parent.parent), str(Path.home()), "pytest-of"):
        assert private not in text


def test_the_lock_is_one_that_packaging_reads(captured: Path) -> None:
    pylock = pytest.importorskip("packaging.pylock")
    found = pylock.Pylock.from_dict(
        toml((captured / "pylock.train.toml").read_text(encoding="utf-8"))
    )
    found.validate()
    versions = {str(p.name): str(p.version) for p in found.packages}
    assert versions["numpy"] == "2.2.6"
    assert all(
        p.wheels and p.wheels[0].hashes["sha256"] for p in found.packages if str(p.name) == "numpy"
    )


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "schemas" / name).read_text(encoding="utf-8"))
    return found


def test_what_the_commands_write_follows_the_schemas(
    captured_once: Captured, captured: Path, cli: Command, demo_python: Path
) -> None:
    lock = captured / "pylock.train.toml"
    jsonschema.validate(plain(tool(lock)), schema("lock.schema.json"))
    current = ("--environment", demo_python)
    honest = verify(cli, lock, *current)
    other = captured.parent / "other"
    shutil.copytree(captured, other)
    csv = other / "data" / "patients.csv"
    csv.write_text(csv.read_text().replace("54,27.2,133,98,0,1", "54,27.2,133,980,0,1"))
    answers = [
        captured_once[1],
        honest,
        verify(cli, other / lock.name, *current),
        cli("rebuild", lock, "--json"),
        cli("show", lock, "--json"),
        cli("diff", lock, lock, "--json"),
        cli("verify", captured / "pylock.none.toml", "--json"),
        cli("capture", captured / "none.ipynb", "--json"),
    ]
    assert [a.code for a in answers] == [0, 0, 1, 0, 0, 0, 2, 2]
    known = schema("findings.json")
    for answer in answers:
        jsonschema.validate(answer.json, schema("result.schema.json"))
        assert answer.codes() <= known.keys()


def test_a_second_capture_differs_in_the_time_stamp_alone(
    captured: Path, cli: Command, demo_python: Path
) -> None:
    lock = captured / "pylock.train.toml"
    first = lock.read_text(encoding="utf-8").splitlines()
    done = cli("capture", captured / "train.ipynb", "--python", demo_python)
    assert done.code == 0, str(done)
    second = lock.read_text(encoding="utf-8").splitlines()
    changed = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
    assert all(a.startswith("created") for a, _ in changed), changed


def test_the_demo_reproduces_in_a_rebuilt_environment_elsewhere(
    captured: Path, cli: Command
) -> None:
    before = contents(captured)
    done = verify(cli, captured / "pylock.train.toml")
    assert done.verdict in REPRODUCED, str(done)
    assert done.code == 0
    assert metrics_of(done)["accuracy"]["status"] == "exact"
    assert [s["name"] for s in done.json["steps"] if s["status"] != "passed"] == []
    assert contents(captured) == before, "verify changed the user's folder"


def test_a_changed_value_in_the_data_is_named_and_the_run_goes_on(
    captured: Path, cli: Command
) -> None:
    csv = captured / "data" / "patients.csv"
    csv.write_text(csv.read_text().replace("54,27.2,133,98,0,1", "54,27.2,133,980,0,1"))
    done = verify(cli, captured / "pylock.train.toml")
    assert (done.verdict, done.code) == ("DIVERGED", 1), str(done)
    assert done.finding("data.content-changed")["subject"] == "data/patients.csv"
    assert done.json["causes"][0]["subject"] == "data/patients.csv"
    assert any(m["status"] == "outside" for m in metrics_of(done).values())


@pytest.mark.slow
def test_another_package_version_is_named(
    captured: Path, cli: Command, other_demo_python: Path
) -> None:
    done = verify(cli, captured / "pylock.train.toml", "--environment", other_demo_python)
    changed = [f for f in done.json["findings"] if f["code"] == "packages.version-changed"]
    assert [f["subject"] for f in changed] == ["scikit-learn"], str(done)
    assert done.json["causes"][0]["subject"] == "scikit-learn"
    if sys.version_info >= (3, 11):  # 3.10 has no two versions whose metrics differ
        assert (done.verdict, done.code) == ("DIVERGED", 1), str(done)


def test_the_environment_of_the_capture_needs_no_rebuild(
    captured: Path, cli: Command, demo_python: Path
) -> None:
    done = verify(cli, captured / "pylock.train.toml", "--environment", demo_python)
    assert done.verdict in REPRODUCED, str(done)
    assert {s["name"]: s["status"] for s in done.json["steps"]}["rebuild"] == "skipped"


def test_a_notebook_that_was_edited_is_said_and_never_passes(
    captured: Path, cli: Command, demo_python: Path
) -> None:
    path = captured / "train.ipynb"
    path.write_text(path.read_text().replace("SEED = 7", "SEED = 8"))
    done = verify(cli, captured / "pylock.train.toml", "--environment", demo_python)
    assert done.code == 1, str(done)
    assert done.finding("notebook.source-changed")["cell"] == 1


def test_a_lock_that_was_edited_is_unverifiable(captured: Path, cli: Command) -> None:
    lock = captured / "pylock.train.toml"
    lock.write_text(lock.read_text().replace("0.933", "0.999"))
    done = verify(cli, lock)
    assert (done.verdict, done.code) == ("UNVERIFIABLE", 2), str(done)
    assert "digest" in json.dumps(done.json["findings"])


def test_the_policy_may_be_edited_and_its_tolerances_are_named(
    cli: Command, bare_python: Path
) -> None:
    lock = capture(cli, notebooks.unseeded_random(), bare_python)
    text = lock.read_text()
    assert "[tool.reprolock.policy]" in text
    lock.write_text(text + "\n[tool.reprolock.policy.tolerances.score]\nabs = 0.9\n")
    done = verify(cli, lock, "--environment", bare_python)
    assert metrics_of(done)["score"]["tolerance"]["source"] == "policy", str(done)
    assert metrics_of(done)["score"]["status"] == "within"


def test_the_demo_is_drawn_for_people_in_80_columns_without_colour(
    captured: Path, cli: Command
) -> None:
    csv = captured / "data" / "patients.csv"
    csv.write_text(csv.read_text().replace("54,27.2,133,98,0,1", "54,27.2,133,980,0,1"))
    done = cli("verify", captured / "pylock.train.toml")
    assert done.code == 1, str(done)
    said = done.out + done.err
    assert "DIVERGED" in said
    assert "data/patients.csv" in said
    fits_80_columns(said)


def fits_80_columns(said: str) -> None:
    """No colour, and no line over 80 but for a path, which is never broken."""
    assert "\x1b" not in said
    long = [line for line in said.splitlines() if len(line) > 80]
    assert [line for line in long if max(map(len, line.split())) < 60] == []


def test_show_and_diff(captured: Path, cli: Command, other_demo_python: Path) -> None:
    shown = cli("show", captured / "pylock.train.toml")
    assert shown.code == 0, str(shown)
    assert "accuracy" in shown.out
    other = captured.parent / "other"
    shutil.copytree(captured, other)
    assert cli("capture", other / "train.ipynb", "--python", other_demo_python).code == 0
    told = cli("diff", captured / "pylock.train.toml", other / "pylock.train.toml")
    assert "scikit-learn" in told.out, str(told)
    assert "Traceback" not in told.err
    fits_80_columns(shown.out + told.out)


def test_rebuild_prints_a_path_and_is_quick_the_second_time(captured: Path, cli: Command) -> None:
    first = cli("rebuild", captured / "pylock.train.toml")
    assert first.code == 0, str(first)
    python = Path(first.out.strip()) / "bin" / "python"
    asked = subprocess.run(
        [python, "-c", "import sklearn; print(sklearn.__version__)"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert asked.stdout.strip() == tool_version(captured, "scikit-learn")
    assert "Traceback" not in first.err
    again = cli("rebuild", captured / "pylock.train.toml", "--json")
    assert again.json["environment"]["cached"] is True
    assert again.json["environment"]["path"]


def tool_version(folder: Path, package: str, name: str = "pylock.train.toml") -> str:
    lock = toml((folder / name).read_text(encoding="utf-8"))
    return next(p["version"] for p in lock["packages"] if p["name"] == package)


# Small notebooks: one behaviour each.


@pytest.mark.parametrize("captures", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_again_sees_the_folder_that_the_recorded_one_saw(
    cli: Command, bare_python: Path, captures: int
) -> None:
    made = notebooks.notebook(
        "import glob, os, pathlib\nprint(sorted(os.listdir('.')), sorted(glob.glob('*')))",
        "print(sorted(path.name for path in pathlib.Path('.').iterdir()))",
        "!ls -a",
    )
    (cli.cwd / ".git").mkdir()
    for beside in ([".git"], [".git", "note.reference.ipynb", "pylock.note.toml"])[:captures]:
        lock = capture(cli, made, bare_python)
        assert tool(lock)["data"]["beside"] == beside
    done = verify(cli, lock, "--environment", bare_python)
    assert (done.verdict, done.code) == ("BIT_EXACT", 0), str(done)


def test_a_notebook_that_prints_its_folder_is_verified_in_another(
    cli: Command, bare_python: Path, tmp_path: Path
) -> None:
    made = notebooks.notebook("import os\nos.getcwd()", "!pwd", "print(os.path.abspath('a.csv'))")
    before, moved = tmp_path / "first", tmp_path / "moved"
    cli.cwd = before
    before.mkdir()
    lock = moved / capture(cli, made, bare_python).name
    cli.cwd = before.rename(moved)
    done = verify(cli, lock, "--environment", bare_python)
    assert done.verdict in REPRODUCED, str(done)
    assert str(before) in (moved / "note.reference.ipynb").read_text()
    assert str(before) not in lock.read_text()


def test_an_input_that_another_program_changes_after_it_was_read_is_no_full_pass(
    cli: Command, bare_python: Path
) -> None:
    waiting = (
        "import os, time\nwhile os.path.getsize('data.csv') == 2_000_000:\n    time.sleep(0.05)"
    )
    made = notebooks.notebook(
        "rows = open('data.csv').read().split()\nopen('go', 'w').close()",
        waiting,
        "accuracy = float(rows[0])\nprint(f'accuracy: {accuracy}')",
    )
    data = cli.cwd / "data.csv"
    data.write_text("1\n" * 1_000_000)  # more than the kernel itself writes meanwhile
    other = subprocess.Popen(
        ["sh", "-c", "while ! [ -e go ]; do sleep 0.1; done; echo 25 >> data.csv"],
        cwd=cli.cwd,
    )
    try:
        notebooks.write(made, cli.cwd / "note.ipynb")
        captured = cli("capture", "note.ipynb", "--python", bare_python, "--json")
    finally:
        other.wait(timeout=60)
    assert captured.code == 0, str(captured)
    assert captured.finding("data.changed-since-read")["subject"] == "data.csv"
    assert "data.changed-during-run" not in captured.codes()
    lock = cli.cwd / "pylock.note.toml"
    (file,) = (one for one in tool(lock)["data"]["files"] if one["name"] == "data.csv")
    assert (file["size"], file["changed-since-read"], "sha256" in file) == (2_000_000, True, False)
    jsonschema.validate(plain(tool(lock)), schema("lock.schema.json"))
    done = verify(cli, lock, "--environment", bare_python)
    assert (done.verdict, done.code) == ("PARTIAL", 1), str(done)
    assert metrics_of(done)["accuracy"]["status"] == "exact"
    assert done.finding("data.content-unknown")["subject"] == "data.csv"


def test_uv_installs_from_the_lock(cli: Command, bare_python: Path) -> None:
    lock = capture(cli, notebooks.simple(), bare_python)
    venv = cli.cwd / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", str(bare_python), str(venv)], check=True)
    done = subprocess.run(
        [*uv, "pip", "install", "--python", str(venv / "bin" / "python"), "-r", str(lock)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    subprocess.run([venv / "bin" / "python", "-c", "import ipykernel"], check=True)


@pytest.mark.slow
def test_a_pip_that_knows_pylock_installs_from_the_lock(cli: Command, bare_python: Path) -> None:
    lock = capture(cli, notebooks.simple(), bare_python)
    python = make_env(cli.cwd / "venv", "pip>=26.1", python=bare_python)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-compile", "-r", lock],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = {normal(one["name"]): one["version"] for one in listed(python)}
    wanted = {p["name"]: p["version"] for p in toml(lock.read_text(encoding="utf-8"))["packages"]}
    assert {**wanted, "pip": found["pip"]} == found
    subprocess.run([python, "-c", "import ipykernel"], check=True)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# Where the notebook runs.


@pytest.mark.slow
def test_the_kernel_is_the_one_asked_for_then_the_notebooks_then_the_current_one(
    cli: Command, bare_python: Path
) -> None:
    env = {"JUPYTER_PATH": str(kernelspec(cli.cwd / "jupyter", "chosen-here", bare_python))}
    notebooks.write(notebooks.simple(), cli.cwd / "other.ipynb")
    asked = cli("capture", "other.ipynb", "--kernel", "chosen-here", "--json", env=env)
    made = notebooks.simple()
    made.metadata.kernelspec.name = "chosen-here"
    notebooks.write(made, cli.cwd / "own.ipynb")
    own = cli("capture", "own.ipynb", "--json", env=env)
    del made.metadata["kernelspec"]
    notebooks.write(made, cli.cwd / "none.ipynb")
    none = cli("capture", "none.ipynb", "--json", env=env)
    kernels = [answer.json["kernel"] for answer in (asked, own, none)]
    assert kernels == [str(bare_python), str(bare_python), sys.executable]
    assert [answer.code for answer in (asked, own, none)] == [0, 0, 0]
    assert tool_version(cli.cwd, "ipykernel", "pylock.own.toml") == "6.31.0"


def test_nothing_is_installed_where_the_notebook_runs(cli: Command, bare_python: Path) -> None:
    assert "reprolock" not in {one["name"] for one in listed(bare_python)}
    before = files_of(bare_python.parent.parent)
    lock = capture(cli, notebooks.uses_reprolock_metric(), bare_python)
    assert verify(cli, lock, "--environment", bare_python).verdict in REPRODUCED
    assert files_of(bare_python.parent.parent) == before


def files_of(root: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of each file but byte code, which any import may write."""
    found = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.mark.slow
def test_the_current_environment_is_reprolocks_own(cli: Command) -> None:
    lock = capture(cli, notebooks.simple(), environment("3.9", ["ipykernel==6.29.5"]))
    done = verify(cli, lock, "--environment", "current")
    changed = done.finding("interpreter.version-changed")
    assert changed["observed"] == ".".join(map(str, sys.version_info[:3]))
    assert done.json["environment"] == {"path": "current", "cached": False, "substitutions": []}
    assert metrics_of(done)["accuracy"]["status"] == "exact"


# What is captured, and how it is held against a second run.


def test_the_lock_names_cells_files_seeds_and_metrics(cli: Command, numpy_python: Path) -> None:
    made = notebooks.notebook(
        "# %% # Words",
        "import random\nimport numpy as np\nrandom.seed(3)\nnp.random.seed(42)",
        "rows = open('data.csv').read().splitlines()",
        notebooks.code("x = 1", "skip-execution"),
        "with open('out.txt', 'w') as file:\n    file.write('x' * len(rows))",
        "print(f'accuracy: {np.random.rand():.3f}')",
    )
    text = notebooks.csv_text()
    (cli.cwd / "data.csv").write_text(text)
    ours = tool(capture(cli, made, numpy_python))
    cells = ours["notebook"]["cells"]
    assert [c["id"] for c in cells] == [f"cell-{n}" for n in range(6)]
    assert [c["source-sha256"] for c in cells] == [sha256(c.source) for c in made.cells]
    assert [c.get("ran") for c in cells] == [None, 0, 1, None, 2, 3]
    assert [c["index"] for c in cells if "outputs-sha256" in c] == [5]
    assert ours["data"]["files"] == [
        {"name": "data.csv", "role": "input", "size": len(text), "sha256": sha256(text), "cell": 2},
        {"name": "out.txt", "role": "output", "size": 21, "sha256": sha256("x" * 21), "cell": 4},
    ]
    seeds = {s["library"]: (s["seed"], s["seeded-in"]) for s in ours["randomness"]["streams"]}
    assert seeds == {"random": (3, 1), "numpy": (42, 1)}
    assert ours["metrics"]["accuracy"]["value"] == 0.375
    assert ours["metrics"]["accuracy"]["cell"] == 5
    assert ours["hardware"]["cores"] == os.cpu_count()
    assert ours["hardware"]["gpus"] == "none" or ours["hardware"]["gpus"]
    assert ours["system"]["platform"] in ("jupyter", "colab", "kaggle")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_metrics_are_found_in_text_dictionaries_tables_and_tagged_cells(
    cli: Command, bare_python: Path
) -> None:
    table = "<table><tr><th></th><th>rmse</th></tr><tr><th>0</th><td>1.5</td></tr></table>"
    made = notebooks.notebook(
        "print('accuracy: 0.972')",
        "{'loss': 0.25, 'f1': 0.8}",
        f"from IPython.display import HTML\nHTML({table!r})",
        notebooks.code("7 / 8", "metric:my figure"),
    )
    lock = capture(cli, made, bare_python)
    found = {name: (m["value"], m["source"]) for name, m in tool(lock)["metrics"].items()}
    assert found == {
        "accuracy": (0.972, "output"),
        "loss": (0.25, "output"),
        "f1": (0.8, "output"),
        "rmse": (1.5, "output"),
        "my figure": (0.875, "tag"),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "kind"), [("--rtol", "rel"), pytest.param("--atol", "abs", marks=pytest.mark.slow)]
)
def test_a_tolerance_for_all_numbers(
    option: str, kind: str, cli: Command, bare_python: Path
) -> None:
    made = notebooks.notebook(
        "import random\nscore = 0.5 + random.random() * 1e-6\nprint(f'score: {score:.12f}')"
    )
    lock = capture(cli, made, bare_python)
    current = ("--environment", bare_python)
    done = verify(cli, lock, *current, option, "0.001")
    assert (done.verdict, done.code) == ("REPRODUCED_WITHIN_TOLERANCE", 0), str(done)
    score = metrics_of(done)["score"]
    assert score["tolerance"] == {"abs": None, "rel": None, "source": "user", kind: 0.001}
    assert verify(cli, lock, *current, option, "1e-13").code == 1


@pytest.mark.slow
def test_the_default_is_exact_only_on_the_same_kind_of_cpu(cli: Command, bare_python: Path) -> None:
    lock = capture(cli, notebooks.simple(), bare_python)
    same = metrics_of(verify(cli, lock, "--environment", bare_python))["accuracy"]
    assert same["tolerance"] == {"abs": 0.0, "rel": None, "source": "default"}
    sets = re.search(r"^instruction-sets = .*$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    assert sets is not None
    rewrite(lock, sets[0], 'instruction-sets = ["of-another-machine"]')
    done = verify(cli, lock, "--environment", bare_python)
    assert done.finding("hardware.cpu-class-changed")["severity"] == "warning"
    assert metrics_of(done)["accuracy"]["tolerance"]["source"] != "default"
    assert metrics_of(done)["accuracy"]["tolerance"]["rel"] == 1e-6


@pytest.mark.parametrize(
    "build",
    [
        notebooks.simple,
        notebooks.addresses_paths_times,
        notebooks.set_order,
        notebooks.writes_files,
        *(
            pytest.param(build, marks=pytest.mark.slow, id=build.__name__)
            for build in (
                notebooks.raising_on_purpose,
                notebooks.raising_as_stored,
                notebooks.uses_reprolock_metric,
                notebooks.uses_extension,
                notebooks.uses_shell_capture,
            )
        ),
    ],
    ids=lambda build: build.__name__,
)
def test_an_honest_run_reproduces(
    build: Callable[[], nbformat.NotebookNode], cli: Command, bare_python: Path
) -> None:
    lock = capture(cli, build(), bare_python)
    before = contents(cli.cwd)
    done = verify(cli, lock, "--environment", bare_python)
    assert done.verdict in REPRODUCED, str(done)
    assert contents(cli.cwd) == before


def test_seeded_numpy_is_exact_and_unseeded_is_inconclusive(
    cli: Command, numpy_python: Path
) -> None:
    seeded = capture(cli, notebooks.seeded_numpy(), numpy_python, name="seeded")
    unseeded = capture(cli, notebooks.unseeded_numpy(), numpy_python, name="unseeded")
    assert verify(cli, seeded, "--environment", numpy_python).verdict == "BIT_EXACT"
    done = verify(cli, unseeded, "--environment", numpy_python)
    assert (done.verdict, done.code) == ("INCONCLUSIVE", 2), str(done)
    assert metrics_of(done)["score"]["status"] == "undecided"
    told = verify(cli, unseeded, "--environment", numpy_python, "--tolerance", "score=0.5")
    assert metrics_of(told)["score"]["status"] == "within", str(told)
    assert metrics_of(told)["score"]["tolerance"]["source"] == "user"


def test_an_edited_number_does_not_pass(cli: Command, bare_python: Path) -> None:
    lock = capture(cli, notebooks.simple("0.75"), bare_python)
    notebooks.write(notebooks.simple("0.751"), cli.cwd / "note.ipynb")
    done = verify(cli, lock, "--environment", bare_python)
    assert (done.verdict, done.code) == ("DIVERGED", 1), str(done)
    within = verify(cli, lock, "--environment", bare_python, "--tolerance", "accuracy=1%")
    assert within.code == 1, "a changed source is never simply reproduced"
    assert metrics_of(within)["accuracy"]["status"] == "within"


@pytest.mark.slow
def test_a_metric_may_be_named_after_any_cell(cli: Command, bare_python: Path) -> None:
    made = notebooks.notebook("x = 1.5", "# %% words", "x = 2.5", "x = 4.0")
    lock = capture(
        cli,
        made,
        bare_python,
        "--metric",
        "early=x@0",
        "--metric",
        "middle=x * 2@2",
        "--metric",
        "late=x",
    )
    done = verify(cli, lock, "--environment", bare_python)
    assert {n: m["expected"] for n, m in metrics_of(done).items()} == {
        "early": 1.5,
        "middle": 5.0,
        "late": 4.0,
    }
    assert done.verdict == "BIT_EXACT", str(done)


def test_files_have_roles(cli: Command, bare_python: Path) -> None:
    made = notebooks.notebook(
        *[c.source for c in notebooks.reads_csv().cells], "open('out.txt', 'w').write('x')"
    )
    (cli.cwd / "data.csv").write_text(notebooks.csv_text())
    lock = capture(cli, made, bare_python)
    (cli.cwd / "data.csv").write_text(notebooks.csv_text(21))
    done = verify(cli, lock, "--environment", bare_python)
    assert (done.verdict, done.json["causes"][0]["subject"]) == ("DIVERGED", "data.csv"), str(done)
    text = json.dumps(tool(lock)["data"])
    assert re.search(r'"out\.txt"', text)
    assert '"input"' in text
    assert '"output"' in text


def test_the_recorder_leaves_no_trace_in_the_notebook(cli: Command, numpy_python: Path) -> None:
    """The outputs under the recorder are those of ``jupyter execute``, names and counters included."""
    made = notebooks.notebook(
        "import random, sys\nimport numpy as np\nrandom.seed(1); np.random.seed(1)",
        "print(random.random(), np.random.rand())",
        "print(sorted(n for n in globals() if not n.startswith('_')))",
        "print(len(In), get_ipython().execution_count)",
        "In[-1]",
        "print(sorted(get_ipython().user_ns_hidden))",
        "open.__module__, open.__qualname__, print.__module__, np.random.seed.__name__",
    )
    capture(cli, made, numpy_python)
    jupyter = kernelspec(cli.cwd / "jupyter", "plain", numpy_python)
    execute = Path(sys.executable).with_name("jupyter-execute")
    subprocess.run(
        [execute, "--kernel_name=plain", "--output=plain.ipynb", "note.ipynb"],
        cwd=cli.cwd, check=True, capture_output=True,
        env={**os.environ, "JUPYTER_PATH": str(jupyter)},
    )  # fmt: skip
    expected = nbformat.read(cli.cwd / "plain.ipynb", 4).cells
    found = nbformat.read(cli.cwd / "note.reference.ipynb", 4).cells
    assert [c.outputs for c in found] == [c.outputs for c in expected]
    assert [c.execution_count for c in found] == [c.execution_count for c in expected]


@pytest.mark.parametrize(
    "python", ["3.8", *(pytest.param(v, marks=pytest.mark.slow) for v in ("3.9", "3.13"))]
)
def test_other_python_versions_are_captured_and_verified(python: str, cli: Command) -> None:
    kernel = environment(python, ["ipykernel==6.29.5"])
    lock = capture(cli, notebooks.simple(), kernel)
    assert tool(lock)["interpreter"]["version"].startswith(python + ".")
    done = verify(cli, lock, "--environment", kernel)
    assert done.verdict in REPRODUCED, str(done)


@pytest.mark.slow
def test_an_older_python_is_rebuilt(cli: Command) -> None:
    lock = capture(cli, notebooks.simple(), environment("3.9", ["ipykernel==6.29.5"]))
    done = verify(cli, lock)
    assert done.verdict in REPRODUCED, str(done)
    asked = subprocess.run([python_of(done), "-V"], check=False, capture_output=True, text=True)
    assert asked.stdout.startswith("Python 3.9.")


def python_of(done: Answer) -> Path:
    """Return the interpreter of the environment that a result names."""
    path = Path(done.json["environment"]["path"])
    return path / "bin" / "python" if path.is_dir() else path


def test_a_dot_in_the_name_is_mapped_and_said(cli: Command, bare_python: Path) -> None:
    notebooks.write(notebooks.simple(), cli.cwd / "my.first.ipynb")
    done = cli("capture", "my.first.ipynb", "--python", bare_python, "--json")
    assert done.code == 0, str(done)
    lock = Path(done.json["lock"]["path"]).name
    assert re.fullmatch(r"pylock\.[^.]+\.toml", lock)
    assert done.finding("notebook.name-mapped")["severity"] == "note"


def test_json_is_one_object_and_progress_goes_elsewhere(cli: Command, bare_python: Path) -> None:
    lock = capture(cli, notebooks.simple(), bare_python)
    done = cli("verify", lock, "--environment", bare_python, "--json", "--quiet")
    assert json.loads(done.out)["command"] == "verify"
    assert done.err == ""


@pytest.mark.slow
def test_progress_is_shown_by_step(cli: Command, bare_python: Path) -> None:
    lock = capture(cli, notebooks.simple(), bare_python)
    done = cli("verify", lock, "--environment", bare_python)
    names = ("read", "source", "data", "rebuild", "execute", "compare", "judge")
    shown = [line for line in done.err.splitlines() if line.startswith("[")]
    assert shown == [f"[{n}/7] {name}" for n, name in enumerate(names, 1)]
    assert "running cells: 3" in done.err


@pytest.mark.slow
def test_progress_on_a_terminal_counts_packages_and_cells(
    cli: Command, tmp_path_factory: pytest.TempPathFactory, bare_python: Path
) -> None:
    made = notebooks.notebook(*["import time\ntime.sleep(0.4)"] * 3, "print('accuracy: 0.5')")
    lock = capture(cli, made, bare_python)
    ours, theirs = pty.openpty()
    env = surroundings(tmp_path_factory.mktemp("empty cache"))
    env.pop("CI", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "reprolock", "verify", str(lock)],
        env={**env, "TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    said = "".join(until_closed(ours))
    assert process.wait(timeout=60) == 0, said
    count = len(toml(lock.read_text(encoding="utf-8"))["packages"])
    assert re.search(rf"installing packages\b.* \d+/{count}\b", said), said
    cells = {int(n) for n in re.findall(r"running cells\b.* (\d)/4\b", said)}
    assert len(cells) >= 3, said


def until_closed(terminal: int) -> Iterator[str]:
    """Read a terminal until the last process that has it open ends, which Linux tells as an error."""
    with open(terminal, "rb", buffering=0) as file:
        try:
            while part := file.read(4096):
                yield part.decode(errors="replace")
        except OSError:
            return


# Notebooks of other people.


def test_the_real_notebooks_are_of_many_kinds() -> None:
    always = [real for real in REAL if not real.slow]
    assert len(always) >= 5
    used = " ".join(word for real in always for word in (real.why, *real.requirements))
    assert all(name in used for name in ("scikit-learn", "numpy", "widgets", "no longer match"))
    versions = {tuple(map(int, real.python.split("."))) for real in always}
    assert len(versions) >= 2
    assert min(versions) < (3, 10) <= sys.version_info
    expected = [real.expected for real in always]
    assert ("INCONCLUSIVE",) in expected
    assert REPRODUCED in expected
    assert any(real.rebuild for real in always)


@pytest.mark.parametrize(
    "real", [pytest.param(r, id=r.key, marks=[pytest.mark.slow] if r.slow else []) for r in REAL]
)
def test_a_real_notebook(real: RealNotebook, cli: Command) -> None:
    path = real.write(cli.cwd)
    original = path.read_bytes()
    python = environment(real.python, real.requirements)
    done = cli("capture", path.name, "--python", python, "--json")
    assert done.code == 0, str(done)
    before = contents(cli.cwd)
    assert before[path.name] == original, "capture changed the notebook"
    again = verify(
        cli,
        Path(done.json["lock"]["path"]),
        *(("--environment", python) if not real.rebuild else ()),
    )
    assert again.verdict in real.expected, str(again)
    assert contents(cli.cwd) == before
