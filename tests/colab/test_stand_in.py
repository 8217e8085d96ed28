"""The stand-in for Colab does what Colab is documented to do."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.colab import RELEASE_TAG, Colab, colab


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with colab(tmp_path_factory.mktemp("colab")) as running:
        yield running


@pytest.fixture(autouse=True)
def _answers_again(machine: Colab):
    yield
    machine.front_end.silent.clear()


def run(machine, *cells):
    with machine.notebook("cells.ipynb", cells) as notebook:
        return [one.text for one in notebook.run_all()]


def test_the_versions_are_colabs(machine: Colab):
    told = run(
        machine,
        "import sys, ipykernel, IPython\nprint(*sys.version_info[:2], ipykernel.__version__, IPython.__version__)",
        "print(get_ipython(), sys.argv[0])",
    )
    assert told[0] == "3 13 6.17.1 7.34.0\n"
    assert "google.colab._shell.Shell" in told[1]
    assert "colab_kernel_launcher.py" in told[1]


def test_the_variables_are_colabs(machine: Colab):
    (told,) = run(
        machine,
        "import os\nprint(os.environ['COLAB_RELEASE_TAG'], repr(os.environ['COLAB_GPU']), 'JPY_SESSION_NAME' in os.environ, os.getcwd())",
    )
    assert told.split() == [RELEASE_TAG, "''", "False", str(machine.content)]


def test_the_session_has_no_path_but_a_name(machine: Colab):
    with machine.notebook("named.ipynb", ["1"]):
        port = machine.server.url.rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/sessions") as answer:  # no token
            (session,) = json.load(answer)
    assert session["name"] == "named.ipynb"
    assert session["path"].startswith("fileId=")


def test_shell_commands_run_under_a_terminal_and_are_streamed(machine: Colab):
    cells = [
        "!test -t 1 && echo terminal; echo to stderr >&2; exit 3",
        "print(_exit_code)",
        # `found = !echo` is no syntax of IPython 7.34 on a Python of 3.12 or newer.
        "name = 'x y'\nprint(list(get_ipython().getoutput(\"echo {name}; printf 'a\\\\nb\\\\n'\")))",
        "!echo first; sleep 30; echo never",
    ]
    with machine.notebook("shell.ipynb", cells) as notebook:
        assert notebook.run(0).text == "terminal\nto stderr\n"
        assert [one["name"] for one in notebook.cells[0].outputs] == ["stdout"]
        assert notebook.run(1).text == "3\n"
        assert notebook.run(2).text == "['x y', 'a', 'b']\n"
        running = notebook.start(3)
        notebook.listen(lambda: "first" in running.text, 20)
        assert not running.done
        notebook.interrupt()
        assert "^C" in running.wait(20).text


def test_pip_magic_is_the_shell_command(machine: Colab):
    (told,) = run(machine, "%pip --version")
    assert "pip 24.1.2" in told


def test_the_page_gives_the_notebook_or_nothing(machine: Colab):
    asks = (
        "from google.colab import _message\n"
        "answer = _message.blocking_request('get_ipynb', request='', timeout_sec=LIMIT)\n"
        "print(answer and answer['ipynb']['cells'][0]['metadata']['id'])"
    )
    cells = [asks.replace("LIMIT", "20"), asks.replace("LIMIT", "0.5")]
    with machine.notebook("asked.ipynb", cells) as notebook:
        assert notebook.run(0).text.strip() == notebook.cells[0].id
        machine.front_end.silent.add("get_ipynb")
        assert notebook.run(1).text == "None\n"
        assert ("get_ipynb", "") in notebook.requests


def test_drive_is_mounted_and_kept_when_the_runtime_is_lost(machine: Colab):
    (machine.drive / "kept.txt").write_text("kept")
    cells = [
        "from google.colab import drive\ndrive.mount('drive')\ndrive.mount('drive')",
        "print(open('drive/MyDrive/kept.txt').read())\nopen('drive/MyDrive/new.txt', 'w').write('n')\nopen('gone.txt', 'w').write('')",
        "import os\nprint(os.path.exists('gone.txt'), os.path.exists('drive'))",
    ]
    with machine.notebook("mounts.ipynb", cells) as notebook:
        assert notebook.run(0).text.splitlines()[0] == "Mounted at drive"
        assert "already mounted" in notebook.cells[0].outputs[0]["text"]
        assert "kept" in notebook.run(1).text
        assert notebook.save().exists()
        notebook.lose_runtime()
        assert notebook.run(2).text == "False False\n"
    assert (machine.drive / "new.txt").read_text() == "n"
    assert (machine.drive / "Colab Notebooks" / "mounts.ipynb").exists()


def test_secrets_uploads_and_sign_in(machine: Colab):
    machine.front_end.secrets = {"KNOWN": "s3cret", "KEPT": "x"}
    machine.front_end.refused = {"KEPT"}
    machine.front_end.uploads = {"a.csv": b"1,2\n"}
    cells = [
        "from google.colab import userdata\nprint(userdata.get('KNOWN') == 's3cret')",
        "for key in ('KEPT', 'OTHER'):\n    try:\n        userdata.get(key)\n    except Exception as e:\n        print(type(e).__name__)",
        "from google.colab import files\nprint(files.upload())\nfiles.download('a.csv')",
        "from google.colab import auth, output\nauth.authenticate_user()\nprint(output.eval_js('1'))",
    ]
    told = run(machine, *cells)
    assert told[0] == "True\n"
    assert told[1] == "NotebookAccessError\nSecretNotFoundError\n"
    assert "Saving a.csv to a.csv" in told[2]
    assert told[3] == "None\n"
    assert (machine.content / "a.csv").read_bytes() == b"1,2\n"


def test_tables_and_the_history_of_cells(machine: Colab):
    cells = [
        "import pandas\nfrom google.colab import data_table\ndata_table.DataTable(pandas.DataFrame({'a': [7]}))",
        "print(get_ipython().history_manager._input_hist_cells[1]['cell_id'])",
    ]
    with machine.notebook("tables.ipynb", cells) as notebook:
        assert "<td>7</td>" in notebook.run(0).html
        assert notebook.run(1).text.strip() == notebook.cells[0].id
