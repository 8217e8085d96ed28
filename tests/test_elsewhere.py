"""A notebook recorded on a platform, run again elsewhere: its modules, paths, uploads, secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reprolock import elsewhere
from reprolock.errors import LockError, UsageError
from reprolock.facts import data
from reprolock.kernel import RecorderConfig, bind, finish_code, read_journal, start_code
from reprolock.verify import substituted
from tests import kernels, notebooks
from tests.conftest import Answer, Command, contents, toml
from tests.real import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

CSV = "a,b\n1,2\n3,4\n"
DRIVE = "/content/drive/MyDrive"
SECRET = "tok-5f1d88c1e2"

# What stands for Colab at capture: it prints and does what Colab does, with the same signatures.
FAKE_COLAB = {
    "google/colab/__init__.py": "from google.colab import drive, files, userdata\n",
    "google/colab/drive.py": (
        "def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):\n"
        "    print(f'Mounted at {mountpoint}')\n"
    ),
    "google/colab/files.py": (
        "import os\n"
        "def upload(target_dir=''):\n"
        "    from IPython.display import HTML, display\n"
        "    display(HTML('<output>Upload widget is only available when the cell has been executed"
        " in the current browser session.</output>'))\n"
        "    content = b'x\\n5\\n6\\n'\n"
        "    with open('up.csv', 'ab') as file:\n"
        "        file.write(content)\n"
        "    print('Saving up.csv to up.csv')\n"
        "    return {'up.csv': content}\n"
        "def download(filename):\n"
        "    from IPython.display import Javascript, display\n"
        "    display(Javascript('google.colab.kernel.comms.open(id)'))\n"
    ),
    "google/colab/userdata.py": f"def get(key):\n    return {SECRET[::-1]!r}\n",
}
NOTEBOOK = (
    "from google.colab import drive, files, userdata\ndrive.mount('/content/drive')",
    (
        "import csv, os\n"
        "rows = list(csv.DictReader(open('/content/drive/MyDrive/data/x.csv')))\n"
        "accuracy = sum(int(row['b']) for row in rows) / 10\n"
        "print(f'accuracy: {accuracy}', os.getcwd())"
    ),
    "up = files.upload()\nprint(sorted(up), up['up.csv'], open('up.csv').read())",
    "token = userdata.get('TOKEN')\nprint(len(token) > 3)",
    "where = '/'.join(['', 'content', 'drive', 'MyDrive'])\nprint(sorted(os.listdir(where)))",
    (
        "os.makedirs('/content/drive/MyDrive/models', exist_ok=True)\n"
        "with open('/content/drive/MyDrive/models/out.txt', 'w') as file:\n    file.write('5 6')\n"
        "files.download('/content/drive/MyDrive/models/out.txt')\n"
        "!cat /content/drive/MyDrive/models/out.txt"
    ),
)


def spec(tmp_path: Path, places: list[dict[str, str]], **more: Any) -> str:
    root = tmp_path / "root of a namespace"
    root.mkdir(exist_ok=True)
    return json.dumps({"root": str(root), "places": places, "cwd": "/", **more})


def within(made: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", bind.__file__, made)


@pytest.fixture
def namespaces(tmp_path: Path) -> None:
    """Skips where this machine allows no mount namespace."""
    made = spec(tmp_path, [{"at": "/content", "folder": str(tmp_path)}])
    done = subprocess.run([*within(made), "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no mount namespace here: {done.stderr}")


def fake_colab(folder: Path) -> Path:
    for name, text in FAKE_COLAB.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path / "my drive"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "x.csv").write_text(CSV)
    return folder


@pytest.fixture
def lock(
    namespaces: None, tmp_path: Path, shared_cache: Path, bare_python: Path, drive: Path
) -> Path:
    """The lock of a notebook that was captured in /content, with a Drive, as on Colab."""
    content, site = tmp_path / "recorded", fake_colab(tmp_path / "site")
    content.mkdir()
    notebooks.write(notebooks.notebook(*NOTEBOOK), content / "note.ipynb")
    mounted = tmp_path / "the drive of the recorded machine"
    subprocess.run(["cp", "-r", drive, mounted], check=True)
    places = [{"at": "/content", "folder": str(content)}, {"at": DRIVE, "folder": str(mounted)}]
    done = Command(tmp_path, shared_cache)(
        "capture", "note.ipynb", "--python", bare_python, "--json",
        prefix=within(spec(tmp_path, places, cwd="/content")),
        env={"COLAB_RELEASE_TAG": "release-colab_20260801", "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.code == 0, str(done)
    return content / "pylock.note.toml"


def verify(
    cli: Command, lock: Path, *more: str | Path, env: dict[str, str] | None = None
) -> Answer:
    done = cli("verify", lock, "--json", *more, env=env)
    assert done.code == done.json["exit_code"], str(done)
    assert "Traceback" not in done.err, str(done)
    return done


def given(drive: Path) -> tuple[str, ...]:
    return ("--map", f"{DRIVE}={drive}", "--secret", "TOKEN=MY_TOKEN")


TOKEN = {"MY_TOKEN": SECRET}
NO_NAMESPACES = (
    # a launcher that fails stands for a machine that allows no namespace
    "import sys\nfrom reprolock.kernel import bind\nbind.__file__ = sys.argv.pop(1)\n"
    "from reprolock.cli import main\nsys.exit(main())\n"
)


class Weaker(Command):
    """The command on a machine that allows no namespace."""

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        launcher = self.cwd / "launcher.py"
        launcher.write_text("import sys; sys.exit('unshare: Operation not permitted')\n")
        program = self.cwd / "weaker.py"
        program.write_text(NO_NAMESPACES)
        # sys.executable -m reprolock ... are taken as arguments of the program's own
        shell = 'program=$1; launcher=$2; shift 5; exec "$0" "$program" "$launcher" "$@"'
        prefix = ("sh", "-c", shell, sys.executable, str(program), str(launcher))
        return super().start(*arguments, **{**options, "prefix": prefix})


# -- from capture on the platform to a verdict elsewhere --------------------------------------------


def test_the_lock_names_files_by_the_platforms_paths(lock: Path, tmp_path: Path) -> None:
    text = lock.read_text()
    files = {f["name"]: f for f in toml(text)["tool"]["reprolock"]["data"]["files"]}
    assert files[f"platform:{DRIVE}/data/x.csv"]["role"] == "input"
    assert files[f"platform:{DRIVE}/models/out.txt"]["role"] == "output"
    assert files["up.csv"] | {"role": "input", "upload": 0} == files["up.csv"]
    assert toml(text)["tool"]["reprolock"]["data"]["folder"] == "platform:/content"
    assert str(tmp_path) not in text


def test_it_runs_elsewhere_with_its_paths_bound(
    cli: Command, lock: Path, drive: Path, bare_python: Path
) -> None:
    before, root = contents(drive), sorted(os.listdir("/"))
    done = verify(cli, lock, *given(drive), "--environment", bare_python, env=TOKEN)
    assert done.verdict == "BIT_EXACT", str(done)
    assert contents(drive) == before
    assert sorted(os.listdir("/")) == root
    assert "platform.path-rewritten" not in done.codes()
    mapped = {f["subject"] for f in done.json["findings"] if f["code"] == "platform.path-mapped"}
    assert mapped == {"/content", DRIVE}
    kinds = {(s["kind"], s["name"]) for s in done.json["environment"]["substitutions"]}
    assert kinds >= {
        ("path", "/content"),
        ("module", "google.colab.drive.mount"),
        ("module", "google.colab.files.upload"),
        ("secret", "TOKEN"),
    }
    assert SECRET not in done.out + done.err


def test_it_runs_in_a_user_namespace_too(
    namespaces: None, tmp_path: Path, bare_python: Path
) -> None:
    inside, upper, work, lower = (tmp_path / name for name in ("in", "up", "wk", "low, a:b"))
    for folder in (inside, upper, work, lower):
        folder.mkdir()
    (lower / "old").write_text("old")
    places = [
        {"at": "/content", "folder": str(inside)},
        {"at": DRIVE, "lower": str(lower), "upper": str(upper), "work": str(work)},
        {"at": "/home/ec2-user/SageMaker", "folder": str(inside)},
    ]
    made = spec(tmp_path, places, cwd="/content", user=True, gone=[f"{DRIVE}/old", "/content/kept"])
    (inside / "kept").write_text("")
    look = (
        "import os; print(os.getcwd(), os.getuid(), os.listdir('/content/drive/MyDrive'))\n"
        "open('new', 'w').close(); open('drive/MyDrive/new', 'w').close()\n"
        "print(sorted(os.listdir('/home/ec2-user/SageMaker')), os.path.isdir('/proc/self'))"
    )
    done = subprocess.run(
        [*within(made), bare_python, "-c", look], capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr:
        pytest.skip("no user namespace here")
    assert done.stdout.splitlines() == [
        f"/content {os.getuid()} []",
        "['drive', 'kept', 'new'] True",
    ], done
    assert (inside / "new").stat().st_uid == os.getuid()
    assert (upper / "new").exists()
    assert (lower / "old").read_text() == "old"
    assert not Path("/content").exists()


@pytest.mark.slow
def test_it_runs_with_rewritten_paths_where_nothing_can_be_bound(
    lock: Path, drive: Path, tmp_path: Path, shared_cache: Path, bare_python: Path
) -> None:
    before = contents(drive)
    cli = Weaker(tmp_path, shared_cache)
    done = verify(cli, lock, *given(drive), "--environment", bare_python, env=TOKEN)
    assert "Operation not permitted" in done.finding("platform.path-rewritten")["message"]
    # the cell that puts its path together is not reached: said beforehand, and it shows
    assert done.verdict == "DID_NOT_RUN", str(done)
    assert done.finding("run.raised")["cell"] == 4
    assert contents(drive) == before


def test_rewritten_paths_count_as_the_recorded_ones(
    namespaces: None, tmp_path: Path, shared_cache: Path, bare_python: Path, drive: Path
) -> None:
    cells = (
        "path = '/content/drive/MyDrive/data/x.csv'\nprint(path)",
        "accuracy = len(open(path).read()) / 100\nprint(f'accuracy: {accuracy}')",
        "%cd /content\nname = 'data'\nprint(open(f'/content/drive/My Drive/{name}/x.csv').read())",
        "!head -1 /content/drive/MyDrive/data/x.csv; echo https://x.org/content",
        "%%writefile /content/script.sh\ncat /content/nothing",
        "open('/content/drive/MyDrive/new.txt', 'w').write('1')\nb'/content', '/contents'",
    )
    content = tmp_path / "recorded"
    content.mkdir()
    notebooks.write(notebooks.notebook(*cells), content / "note.ipynb")
    places = [
        {"at": "/content", "folder": str(content)},
        {"at": DRIVE, "folder": str(drive)},
        {"at": "/content/drive/My Drive", "folder": str(drive)},
    ]
    done = Command(tmp_path, shared_cache)(
        "capture", "note.ipynb", "--python", bare_python, "--json",
        prefix=within(spec(tmp_path, places, cwd="/content")), env={"COLAB_GPU": ""},
    )  # fmt: skip
    assert done.code == 0, str(done)
    before = contents(drive)
    done = verify(
        Weaker(tmp_path, shared_cache), content / "pylock.note.toml",
        "--map", f"{DRIVE}={drive}", "--environment", bare_python,
    )  # fmt: skip
    assert done.verdict in ("BIT_EXACT", "REPRODUCED_WITHIN_TOLERANCE", "PARTIAL"), str(done)
    assert not done.codes("error"), str(done)
    assert contents(drive) == before


@pytest.mark.parametrize("name", ["TOKEN", pytest.param("OTHER", marks=pytest.mark.slow)])
def test_a_secret_that_is_missing_says_so(
    cli: Command, lock: Path, drive: Path, bare_python: Path, name: str
) -> None:
    more = ("--map", f"{DRIVE}={drive}", "--environment", bare_python)
    more += ("--secret", "OTHER=MY_TOKEN") if name == "OTHER" else ()
    done = verify(cli, lock, *more, env=TOKEN)
    assert done.verdict == "DID_NOT_RUN"
    found = done.finding("platform.secret-missing")
    assert (found["severity"], found["cell"], found["subject"]) == ("error", 3, "TOKEN")
    assert "SecretNotFoundError" in done.finding("run.raised")["message"]


def test_a_secret_that_the_notebook_prints_is_not_in_the_result(
    cli: Command, namespaces: None, tmp_path: Path, bare_python: Path
) -> None:
    site = fake_colab(tmp_path / "site")
    cells = (
        "from google.colab import userdata\nt = userdata.get('TOKEN')\nprint('x' * 190 + t)",
        "if t.startswith('tok'):\n    raise ValueError(t)",
    )
    notebooks.write(notebooks.notebook(*cells), tmp_path / "note.ipynb")
    env = {"COLAB_GPU": "", "PYTHONPATH": str(site)}
    made = cli("capture", "note.ipynb", "--python", bare_python, "--json", env=env)
    assert made.code == 0, str(made)
    done = verify(
        cli, tmp_path / "pylock.note.toml", "--secret", "TOKEN=MY_TOKEN",
        "--environment", bare_python, env=TOKEN,
    )  # fmt: skip
    assert done.finding("run.raised")["cell"] == 1
    assert SECRET not in done.out + done.err
    assert "tok-5" not in done.out + done.err


# -- data before the run ----------------------------------------------------------------------------


@pytest.mark.slow
def test_data_on_the_platform_asks_for_a_map(cli: Command, lock: Path, bare_python: Path) -> None:
    done = verify(cli, lock, "--environment", bare_python)
    assert done.verdict == "COULD_NOT_REBUILD"
    found = done.finding("data.missing")
    assert found["subject"] == f"platform:{DRIVE}/data/x.csv"
    assert f"--map {DRIVE}=" in found["hint"]


@pytest.mark.slow
def test_other_data_behind_a_map_is_seen_before_the_run(
    cli: Command, lock: Path, drive: Path, bare_python: Path
) -> None:
    (drive / "data" / "x.csv").write_text(CSV.replace("4", "5"))
    done = verify(cli, lock, *given(drive), "--environment", bare_python, env=TOKEN)
    assert done.finding("data.content-changed")["subject"] == f"platform:{DRIVE}/data/x.csv"
    assert done.verdict == "DIVERGED"


@pytest.mark.slow
def test_an_upload_that_is_gone_is_missed(
    cli: Command, lock: Path, drive: Path, bare_python: Path
) -> None:
    (lock.parent / "up.csv").unlink()
    done = verify(cli, lock, *given(drive), "--environment", bare_python, env=TOKEN)
    assert done.verdict == "COULD_NOT_REBUILD"
    assert "uploads it" in done.finding("data.missing")["message"]


@pytest.mark.slow
def test_the_working_folder_itself_cannot_be_mapped(
    cli: Command, lock: Path, drive: Path, bare_python: Path
) -> None:
    done = verify(cli, lock, "--map", f"/content={drive}", "--environment", bare_python)
    assert done.verdict in ("UNVERIFIABLE", "COULD_NOT_REBUILD")


# -- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "platform", "path", "name"),
    [
        ("/content", "colab", "/content/a.csv", "a.csv"),
        ("/content", "colab", f"{DRIVE}/a.csv", f"platform:{DRIVE}/a.csv"),
        ("/content", "colab", "/content/drive/My Drive/a.csv", f"platform:{DRIVE}/a.csv"),
        ("/content", "jupyter", f"{DRIVE}/a.csv", "drive/MyDrive/a.csv"),
        (f"{DRIVE}/p", "colab", f"{DRIVE}/p/a.csv", "a.csv"),
        (f"{DRIVE}/p", "colab", f"{DRIVE}/a.csv", "../a.csv"),
        (f"{DRIVE}/p/q/r", "colab", f"{DRIVE}/a.csv", f"platform:{DRIVE}/a.csv"),
        (f"{DRIVE}/p", "colab", "/content/a.csv", "platform:/content/a.csv"),
        ("/kaggle/working", "kaggle", "/kaggle/input/t/a.csv", "platform:/kaggle/input/t/a.csv"),
        ("/home/u/nb", "kaggle", "/kaggle/input/a.csv", "platform:/kaggle/input/a.csv"),
        ("/home/u/nb", "jupyter", "/work/secret/a.csv", None),
        ("/work", "deepnote", "/datasets/d/a.csv", "platform:/datasets/d/a.csv"),
        ("/home/ec2-user/SageMaker", "sagemaker-studio", "/home/ec2-user/other/a", "../other/a"),
    ],
)
def test_names_of_files_on_a_platform(
    folder: str, platform: str, path: str, name: str | None
) -> None:
    found = data.Places(Path(folder), platform).name(path)
    assert found == name if name else found.startswith("external/")


@pytest.mark.parametrize(
    "name", ["platform:/etc/passwd", f"platform:{DRIVE}/../../../etc/passwd", "platform:content/a"]
)
def test_a_lock_cannot_name_files_beside_the_platforms_folders(name: str) -> None:
    table = {"files": [{"name": name, "role": "input"}]}
    with pytest.raises(LockError, match=r"data\.files\.name: wanted a path below a platform"):
        data.from_toml(table)
    with pytest.raises(LockError):
        data.from_toml({"files": [], "folder": name})


def test_facts_go_into_the_lock_and_back() -> None:
    file = data.DataFile(f"platform:{DRIVE}/a", "input", 1, "0" * 64, 2, upload=3)
    facts = data.Data((file,), folder="platform:/content")
    assert data.from_toml(data.to_toml(facts)) == facts


# -- options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["/content"], "wanted PREFIX=FOLDER"),
        (["/content="], "wanted PREFIX=FOLDER"),
        (["=."], "wanted PREFIX=FOLDER"),
        (["content=."], "wanted an absolute path"),
        (["/=."], "cannot be mapped"),
        (["//=."], "cannot be mapped"),
        (["/content/..=."], "cannot be mapped"),
        (["/usr/=."], "cannot be mapped"),
        (["/data=/no/such/folder"], "is not there"),
        ([f"/data={__file__}"], "is no folder"),
        (["/data=.", "/data/=."], "mapped twice"),
        (["/data=.", "/data/in=."], "lies in /data"),
        ([f"{DRIVE}=.", "/content/drive/My Drive=."], "mapped twice"),
    ],
)
def test_maps_that_make_no_sense_are_refused(texts: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as raised:
        elsewhere.parse_maps(texts)
    assert raised.value.hint


def test_maps_are_read(tmp_path: Path) -> None:
    (tmp_path / "a=b").mkdir()
    maps = elsewhere.parse_maps([f"/content/drive/My Drive/={tmp_path}/a=b", f"/data2={tmp_path}"])
    assert maps == {DRIVE: tmp_path / "a=b", "/data2": tmp_path}


@pytest.mark.parametrize("text", ["TOKEN", "TOKEN=", "=MY", f"TOKEN={SECRET}", "TOKEN=NOT_SET"])
def test_secrets_that_make_no_sense_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        elsewhere.parse_secrets([text], {"MY": "x"})
    assert SECRET not in str(raised.value)
    assert raised.value.hint


def test_the_command_refuses_a_map_before_it_does_anything(cli: Command) -> None:
    done = cli("verify", "pylock.none.toml", "--map", "content=.", "--json")
    assert (done.code, done.json["findings"][0]["code"]) == (2, "usage.wrong")


# -- the modules, in real kernels -------------------------------------------------------------------


def replay(
    python: Path, folder: Path, cells: tuple[str, ...], *, environ: dict[str, str] | None = None,
    **options: Any,
) -> kernels.Recording:  # fmt: skip
    folder.mkdir(exist_ok=True)
    journal = folder.parent / f"{folder.name}.journal"
    settings = RecorderConfig(
        journal, folder, **{"replay": True, "stand_ins": ("colab", "kaggle"), **options}
    )
    with kernels.kernel(python, folder, **(environ or {})) as running:
        assert running.run(start_code(settings), silent=True).status == "ok"
        replies = [running.run(cell) for cell in cells]
        assert running.run(finish_code(), silent=True).status == "ok"
        replies.append(running.run("import sys; print([m for m in sys.modules if 'colab' in m])"))
    events, problems = read_journal(journal)
    return kernels.Recording(events, problems, replies)


PYTHONS = pytest.mark.parametrize("python", [kernels.older_python, kernels.science_python])


@PYTHONS
def test_colabs_modules_answer(python: Any, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"12")
    cells = (
        (
            "from google.colab import drive\ndrive.mount('drive')\ndrive.mount('drive')\n"
            "drive.mount('drive', force_remount=True)\ndrive.flush_and_unmount()\n"
            "drive.flush_and_unmount()"
        ),
        "import google.colab.files as f\nprint(f.upload('to'), f.upload_file('x'), open('x').read())",
        "f.upload()",
        "f.download('x'); f.download('none')",
        (
            "from google.colab import userdata, auth\nauth.authenticate_user()\n"
            "print(userdata.get('A'))\nuserdata.get('B')"
        ),
        (
            "from google.colab import output\noutput.clear()\noutput.eval_js('1', ignore_result=True)\n"
            "output.register_callback('f', print)\noutput.no_vertical_scroll()\n"
            "with output.use_tags('a'):\n    print('shown')\noutput.eval_js('1')"
        ),
        (
            "%load_ext google.colab.data_table\n"
            "from google.colab.data_table import DataTable, enable_dataframe_formatter\n"
            "class Frame:\n    def _repr_html_(self): return '<table></table>'\nDataTable(Frame())"
        ),
        (
            "from google.colab import widgets, runtime\nfor _ in widgets.Grid(1, 2): print(_)\n"
            "with widgets.TabBar(['a']).output_to('a'): print('tab')\nruntime.unassign()"
        ),
        "from google.colab import sheets",
        "import google.colab._message",
        "import google.colab; google.colab.snippets",
        "import google, json, sys\nprint(google.colab.drive is sys.modules['google.colab.drive'])",
    )
    made = replay(
        python(), tmp_path / "nb", cells, secrets={"A": "V"}, environ={"V": SECRET},
        uploads=tuple(({"name": name, "path": str(tmp_path / "up")},) for name in ("u (1).csv", "y")),
    )  # fmt: skip
    mount, up, none, down, secret, shown, table, wid, sheets, message, attr, last, after = (
        made.replies
    )
    assert mount.text == (
        "Mounted at drive\n"
        'Drive already mounted at drive; to attempt to forcibly remount, call drive.mount("drive", '
        "force_remount=True).\nMounted at drive\n"
        "Drive not mounted, so nothing to flush and unmount.\n"
    )
    assert up.text.splitlines() == [
        "Saving u.csv to to/u (1).csv",
        f"Saved y to {tmp_path / 'nb'}/x",
        "{'to/u (1).csv': b'12'} None 12",
    ]
    assert none.error == down.error == "FileNotFoundError"
    assert (secret.error, secret.text) == ("SecretNotFoundError", SECRET + "\n")
    assert (shown.error, shown.text) == ("RuntimeError", "shown\n")
    assert table.text == "<google.colab.data_table.DataTable object>"
    assert wid.text == "(0, 0)\n(0, 1)\ntab\n"
    assert (sheets.error, message.error) == ("ImportError", "ModuleNotFoundError")
    assert attr.error == "AttributeError"
    assert (last.text, after.text) == ("True\n", "[]\n")
    kinds = {(e["kind"], e["name"]) for e in made.of("substituted")}
    assert {("secret", "A"), ("secret-missing", "B"), ("absent", "google.colab.sheets")} <= kinds
    assert [len(e["names"]) for e in made.of("uploaded")] == [1, 1]
    assert SECRET not in json.dumps(made.events)
    assert not made.problems
    assert not made.of("trouble")


@PYTHONS
def test_kaggles_modules_answer(python: Any, tmp_path: Path) -> None:
    cells = (
        (
            "from kaggle_secrets import UserSecretsClient, NotFoundError, BackendError\n"
            "c = UserSecretsClient()\nprint(c.get_secret('A'))"
        ),
        "c.get_secret('B')",
        "c.get_secret('')",
        "c.get_gcloud_credential()",
        "c.set_gcloud_credentials(project='p')\nimport os\nprint(os.environ['GOOGLE_CLOUD_PROJECT'])",
        "c.get_bigquery_access_token()",
        "from kaggle_datasets import KaggleDatasets\nKaggleDatasets().get_gcs_path('x')",
        "from kaggle_web_client import BackendError as B\nprint(B is BackendError)",
    )
    made = replay(
        python(), tmp_path / "nb", cells, secrets={"A": "V"}, environ={"V": SECRET}
    )  # fmt: skip
    assert [reply.error for reply in made.replies[:7]] == [
        None, "BackendError", "ValidationError", "NotFoundError", None, "CredentialError",
        "RuntimeError",
    ]  # fmt: skip
    assert made.replies[0].text == SECRET + "\n"
    assert made.replies[7].text == "True\n"
    assert SECRET not in json.dumps(made.events)


def test_a_real_google_package_is_kept(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "google" / "protobuf").mkdir(parents=True)
    (site / "google" / "protobuf" / "__init__.py").write_text("answer = 6\n")
    cells = (
        (
            f"import sys; sys.path.append({str(site)!r})\nimport google.protobuf\n"
            "import google.colab.drive, google\n"
            "print(google.protobuf.answer, list(google.__path__) != [])"
        ),
        "import importlib; importlib.reload(google.protobuf); print(google.protobuf.__file__ != '')",
    )
    made = replay(kernels.own_python(), tmp_path / "nb", cells)
    assert [reply.text for reply in made.replies[:2]] == ["6 True\n", "True\n"]


def test_a_module_that_is_really_there_wins(tmp_path: Path) -> None:
    site = fake_colab(tmp_path / "site")
    cells = (
        (
            f"import sys; sys.path.append({str(site)!r})\nfrom google.colab import userdata\n"
            "print(userdata.get('A'))"
        ),
    )
    made = replay(kernels.own_python(), tmp_path / "nb", cells)
    assert made.replies[0].text == SECRET[::-1] + "\n"
    assert not made.of("substituted")


@pytest.mark.parametrize("options", [{"replay": False}, {"stand_ins": ()}])
def test_nothing_is_served_where_nothing_was_there(tmp_path: Path, options: dict[str, Any]) -> None:
    made = replay(kernels.own_python(), tmp_path / "nb", ("import google.colab",), **options)
    assert made.replies[0].error == "ModuleNotFoundError"


def test_an_image_of_opencv_is_shown(tmp_path: Path) -> None:
    cells = (
        (
            "import io, base64, numpy as np, IPython.display as d\n"
            "shown = []\nd.display = lambda image: shown.append(np.asarray(image).tolist())\n"
            "from google.colab.patches import cv2_imshow"
        ),
        "cv2_imshow(np.array([[[1, 2, 3]]]))\ncv2_imshow(np.array([[[1, 2, 3, 4]]]))",
        "cv2_imshow(np.array([[300.0, -1.0]]))\ncv2_imshow(np.array([[[9], [8]]]))\nprint(shown)",
        "import sys; sys.modules['PIL.Image'] = None\ncv2_imshow(np.array([[7]]))",
    )
    python = environment(kernels.RUNNING, ("ipykernel", "numpy", "pillow"))
    made = replay(python, tmp_path / "nb", cells)
    rgb, rgba = [[[3, 2, 1]]], [[[3, 2, 1, 4]]]
    assert made.replies[2].text == f"{[rgb, rgba, [[255, 0]], [[9, 8]]]}\n"
    assert made.replies[3].error == "ImportError"


@PYTHONS
def test_what_is_uploaded_and_mounted_is_told_and_nothing_else_changes(
    python: Any, tmp_path: Path
) -> None:
    site, folder = fake_colab(tmp_path / "site-packages"), tmp_path / "nb"
    folder.mkdir()
    cells = (
        (
            f"import sys; sys.path.append({str(site)!r})\nfrom google.colab import drive, files\n"
            "drive.mount('/content/drive')\nup = files.upload()\nprint(drive.mount.__name__)"
        ),
        "drive.mount()",
        "import random; files.upload = 5",
    )
    made = kernels.record(python(), folder, cells)
    assert made.replies[0].text.startswith("Mounted at /content/drive\n")
    assert made.replies[0].text.endswith("mount\n")
    assert (made.replies[1].error, made.replies[2].error) == ("TypeError", None)
    assert made.one("mounted")["path"] == "/content/drive"
    assert made.one("uploaded")["names"] == [str(folder / "up.csv")]
    assert not made.of("trouble")
    files, _ = data.parse(made.events, {0: 0}, data.Places(folder))
    assert [(f.name, f.role, f.upload) for f in files.files] == [("up.csv", "input", 0)]


def test_rewriting_leaves_the_cell_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_text("found")
    cells = (
        (
            "def f():\n    '''/data/a'''\n    return open('/data/a').read(), f'{1}:/data', '/database'\n"
            "print(f()[0], f()[1:])"
        ),
        "print(In[1].count(''.join(['/da', 'ta/a'])))\n!cat /data/a",
        "1 +",
    )
    made = replay(
        kernels.own_python(), tmp_path / "nb", cells, rewrite=True,
        maps={"/data": str(tmp_path / "there")},
    )  # fmt: skip
    assert made.replies[0].text == f"found ('1:{tmp_path}/there', '/database')\n"
    assert made.replies[1].text == "2\nfound"
    assert made.replies[2].error == "SyntaxError"
    starts = made.of("cell-start")
    assert starts[0]["source_sha256"] == __import__("hashlib").sha256(cells[0].encode()).hexdigest()
    assert made.of("substituted", kind="rewritten", n=0)


# -- grounds ----------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "root" / "a" / "b" / "copy"
    folder.mkdir(parents=True)
    return folder


def test_a_prefix_that_hides_the_interpreter_is_not_bound(copy: Path, bare_python: Path) -> None:
    package = str(Path(elsewhere.__file__).parent)
    wanted = elsewhere.Wanted(work=package)
    with elsewhere.prepare(copy, wanted, bare_python) as ground:
        assert ground.weaker
        assert ground.prefix == ()


def test_nothing_wanted_is_nothing_done(copy: Path, bare_python: Path) -> None:
    with elsewhere.prepare(copy, elsewhere.Wanted(None), bare_python) as ground:
        assert ground == elsewhere.Ground(copy, copy)


def test_copies_hold_what_overlays_would(copy: Path, drive: Path, bare_python: Path) -> None:
    (drive / "out").mkdir()
    (drive / "out" / "old.txt").write_text("old")
    wanted = elsewhere.Wanted(
        "/content", {DRIVE: drive}, gone=(f"{DRIVE}/out/old.txt",), rooms=(f"{DRIVE}/more",),
        bind=False,
    )  # fmt: skip
    with elsewhere.prepare(copy, wanted, bare_python) as ground:
        place = copy / "drive" / "MyDrive"
        assert ground.maps[DRIVE] == (place,)
        assert contents(place) == {"data/x.csv": CSV.encode()}
        assert (place / "more").is_dir()
        event = {"event": "file", "path": f"{place}/a", "to": f"{copy}/b"}
        assert ground.as_recorded(event) == {**event, "path": f"{DRIVE}/a", "to": "/content/b"}
        assert ground.recorder_maps["/content/drive/My Drive"] == str(place)


def test_folders_above_the_working_one_belong_to_it(copy: Path, bare_python: Path) -> None:
    home = "/home/ec2-user/SageMaker"
    wanted = elsewhere.Wanted(f"{home}/p/nb", bind=False)
    with elsewhere.prepare(copy, wanted, bare_python) as ground:
        assert {at: folders[0] for at, folders in ground.maps.items()} == {
            f"{home}/p/nb": copy,
            f"{home}/p": copy.parent,
            home: copy.parent.parent,
        }


def test_without_overlays_copies_are_bound(
    namespaces: None, copy: Path, drive: Path, bare_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, really = [], elsewhere._Layout._why_not

    def first_fails(layout: Any, maps: Any) -> str | None:
        tried.append(maps)
        return "overlay: no such device" if len(tried) == 1 else really(layout, maps)

    monkeypatch.setattr(elsewhere._Layout, "_why_not", first_fails)
    wanted = elsewhere.Wanted("/content", {DRIVE: drive})
    with elsewhere.prepare(copy, wanted, bare_python) as ground:
        assert ground.weaker is None
        look = [*ground.prefix, "cat", f"{DRIVE}/data/x.csv", "drive/My Drive/data/x.csv"]
        assert subprocess.run(look, capture_output=True, text=True, check=True).stdout == CSV * 2


# -- what Colab's page adds to outputs --------------------------------------------------------------


def shown(*outputs: dict[str, Any]) -> list[dict[str, Any]]:
    cell = {"outputs": list(outputs)}
    substituted.without_front_end([cell], "colab")
    return cell["outputs"]


def display(**data: str) -> dict[str, Any]:
    named = {name.replace("__", "/"): text for name, text in data.items()}
    return {"output_type": "display_data", "data": named}


def test_what_colabs_page_adds_is_left_out_of_the_comparison() -> None:
    frame = "<div>\n<table><tr><td>1</td></tr></table>\n</div>"
    around = (
        '\n  <div id="df-0f9b0c66-5f2a-4a3b-9d3e-6f1f6cbe1a11" class="colab-df-container">\n    '
        f'{frame}\n    <div class="colab-df-buttons">\n<style>a</style></div>\n  </div>\n  '
    )
    found = shown(
        {
            "output_type": "execute_result",
            "data": {
                "text/html": around,
                "text/plain": "   0\n0  1",
                "application/vnd.google.colaboratory.intrinsic+json": {"type": "dataframe"},
            },
        },
        display(
            text__html="<div><table></table><label><b>dtype:</b> int64</label>", text__plain="0"
        ),
        display(text__html="Upload widget is only available when the cell has been executed in"),
        display(application__javascript="if (!google.colab.kernel.accessAllowed) {}"),
        display(application__javascript='download("download_1", "a", 3)'),
        {
            "output_type": "stream",
            "text": "Drive already mounted at /content/drive; to attempt to forcibly remount, "
            'call drive.mount("/content/drive", force_remount=True).\n',
        },
    )
    assert [o.get("data") or o["text"] for o in found] == [
        {"text/html": frame, "text/plain": "   0\n0  1"},
        {"text/plain": "0"},
        "Mounted at /content/drive\n",
    ]


def test_other_platforms_outputs_stay() -> None:
    cell = {"outputs": [display(text__html="<label><b>dtype:</b> int64</label>")]}
    substituted.without_front_end([cell], "jupyter")
    assert "text/html" in cell["outputs"][0]["data"]


def test_a_distribution_of_the_platform_is_stood_in_for() -> None:
    from reprolock.finding import warning

    found = substituted.without_platform_packages(
        [warning("packages.missing", "m", subject=name) for name in ("google-colab", "numpy")]
    )
    assert [f.code for f in found] == ["platform.package-stood-in", "packages.missing"]


@pytest.mark.slow
def test_a_run_that_is_stopped_leaves_nothing_behind(
    cli: Command, namespaces: None, tmp_path: Path, bare_python: Path, drive: Path
) -> None:
    cells = ("import os, time\nif os.path.exists('/data/x'):\n    time.sleep(600)", "1")
    (tmp_path / "nb").mkdir()
    notebooks.write(notebooks.notebook(*cells), tmp_path / "nb" / "note.ipynb")
    made = cli("capture", "nb/note.ipynb", "--python", bare_python, "--json")
    assert made.code == 0, str(made)
    (drive / "x").write_text("")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = verify(
        cli, tmp_path / "nb" / "pylock.note.toml", "--map", f"/data={drive}", "--timeout", "3",
        "--environment", bare_python, env={"TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.finding("run.timeout")["cell"] == 0
    assert not list(temporary.iterdir())
    assert str(temporary) not in Path("/proc/mounts").read_text()
