"""The harness of a real Jupyter server: it runs, saves, renames, restarts, interrupts and kills."""

from __future__ import annotations

import contextlib
import json
import os

import nbformat
import pytest

from tests.servers import KERNELS, KernelDiedError, Server, alive, inheritors, kernel_python, server


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    place = tmp_path_factory.mktemp("server")
    with server(place, place / "work") as running:
        yield running


def on_disk(notebook):
    return nbformat.read(notebook.file, as_version=4)


def test_cells_run_and_their_outputs_are_saved(jupyter: Server):
    html = "from IPython.display import HTML, display\nprint('seen')\ndisplay(HTML('<b>bold</b>'))\n40 + 2"
    with jupyter.notebook("runs.ipynb", ["x = 1", html, "1 / 0"]) as notebook:
        first, second, third = notebook.run_all()
        assert (first.status, first.execution_count, first.outputs) == ("ok", 1, [])
        assert "seen" in second.text
        assert second.html == "<b>bold</b>"
        assert (third.status, third.error) == ("error", "ZeroDivisionError")
        assert on_disk(notebook)["cells"][1]["outputs"] == []
        notebook.save()
        saved = on_disk(notebook)["cells"]
    assert [cell["execution_count"] for cell in saved] == [1, 2, 3]
    assert [one["output_type"] for one in saved[1]["outputs"]] == [
        "stream",
        "display_data",
        "execute_result",
    ]


def test_the_kernel_is_told_the_cell_and_the_notebook(jupyter: Server):
    asks = (
        "import json, os\nparent = get_ipython().parent_header if hasattr(get_ipython(), 'parent_header') else {}\n"
        "print(json.dumps([parent['metadata']['cellId'], os.environ['JPY_SESSION_NAME'], os.getcwd()]))"
    )
    with jupyter.notebook("told.ipynb", [asks]) as notebook:
        cell_id, name, folder = json.loads(notebook.run(0).text)
        assert cell_id == notebook.cells[0].id
    assert name.endswith("told.ipynb")
    assert folder == str(jupyter.folder)


def test_displays_are_updated_and_cleared(jupyter: Server):
    updates = "from IPython.display import HTML, clear_output, display\nh = display(HTML('a'), display_id=True)\nh.update(HTML('b'))"
    with jupyter.notebook(
        "shows.ipynb", [updates, "print(1)\nclear_output(wait=True)\nprint(2)"]
    ) as notebook:
        assert notebook.run(0).html == "b"
        assert notebook.run(1).text == "2\n"


def test_input_is_answered(jupyter: Server):
    with jupyter.notebook("asks.ipynb", ["print(input('who? ').upper())"]) as notebook:
        notebook.answers = ["ada"]
        assert "ADA" in notebook.run(0).text


def test_an_edit_leaves_the_file_stale_until_it_is_saved(jupyter: Server):
    with jupyter.notebook("stale.ipynb", ["x = 1", "x"]) as notebook:
        notebook.edit(0, "x = 2")
        notebook.delete(1)
        assert notebook.run(0).status == "ok"
        assert [cell["source"] for cell in on_disk(notebook)["cells"]] == ["x = 1", "x"]
        notebook.save()
        assert [cell["source"] for cell in on_disk(notebook)["cells"]] == ["x = 2"]


def test_a_notebook_that_was_never_saved_has_no_file(jupyter: Server):
    with jupyter.notebook("unsaved.ipynb", ["1"], save=False) as notebook:
        assert notebook.run(0).text == "1"
        assert not notebook.file.exists()


def test_a_renamed_notebook_keeps_its_kernel(jupyter: Server):
    with jupyter.notebook("before.ipynb", ["x = 5", "x"]) as notebook:
        notebook.run(0)
        notebook.rename("after.ipynb")
        assert notebook.run(1).text == "5"
        assert not jupyter.file("before.ipynb").exists()
        assert notebook.file.name == "after.ipynb"
        assert jupyter.ask("GET", f"sessions/{notebook.session_id}")["path"] == "after.ipynb"


def test_restart_empties_and_attach_keeps_the_namespace(jupyter: Server):
    with jupyter.notebook("again.ipynb", ["x = 5", "x"]) as notebook:
        before = notebook.kernel_id
        notebook.run(0)
        notebook.attach()
        assert notebook.run(1).text == "5"
        notebook.restart()
        assert notebook.run(1).error == "NameError"
        assert notebook.kernel_id == before


def test_a_running_cell_is_interrupted(jupyter: Server):
    with jupyter.notebook(
        "long.ipynb", ["print('up', flush=True)\nimport time\ntime.sleep(60)"]
    ) as notebook:
        running = notebook.start(0)
        notebook.listen(lambda: "up" in running.text, 30)
        notebook.interrupt()
        assert running.wait(30).error == "KeyboardInterrupt"


def test_a_kernel_is_killed_in_the_middle_of_a_cell(jupyter: Server):
    cells = ["x = 1", "print('up', flush=True)\nimport time\ntime.sleep(60)", "x"]
    with jupyter.notebook("killed.ipynb", cells) as notebook:
        notebook.run(0)
        pid, before = notebook.pid, notebook.kernel_id
        running = notebook.start(1)
        notebook.listen(lambda: "up" in running.text, 30)
        notebook.kill()
        assert not alive(pid)
        with pytest.raises(KernelDiedError):
            running.wait()
        notebook.reconnect()
        assert notebook.kernel_id != before
        assert notebook.run(2).error == "NameError"


def test_the_server_starts_a_killed_kernel_again(jupyter: Server):
    with jupyter.notebook("revived.ipynb", ["x = 1", "x"]) as notebook:
        notebook.run(0)
        before, pid = notebook.kernel_id, notebook.pid
        notebook.kill()
        notebook.attach()
        assert notebook.run(1).error == "NameError"
        assert notebook.kernel_id == before
        assert notebook.pid != pid


def test_two_notebooks_have_two_kernels(jupyter: Server):
    with (
        jupyter.notebook("one.ipynb", ["x = 1"]) as one,
        jupyter.notebook("two.ipynb", ["x"]) as two,
    ):
        one.run(0)
        assert two.run(0).error == "NameError"
        assert one.pid != two.pid


def test_a_home_of_its_own(jupyter: Server):
    with jupyter.notebook(
        "home.ipynb", ["import os, IPython\nprint(os.path.expanduser('~'))"]
    ) as notebook:
        assert notebook.run(0).text.strip() == str(jupyter.home)


def test_nothing_outlives_the_server(tmp_path):
    detached = "import subprocess\nsubprocess.Popen(['sleep', '300'], start_new_session=True).pid"
    with server(tmp_path, tmp_path / "work") as running:
        opened = running.notebook("leaves.ipynb", [detached])
        notebook = opened.__enter__()  # and never left: a test that failed
        sleeper = int(notebook.run(0).text)
        os.kill(sleeper, 0)
        marker = str(running.runtime)
        assert len(inheritors("JUPYTER_RUNTIME_DIR", marker)) >= 3
    assert inheritors("JUPYTER_RUNTIME_DIR", marker) == []
    assert not alive(sleeper)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A server with every kernel that this machine has the Python for."""
    found = {}
    for name in KERNELS:
        with contextlib.suppress(pytest.skip.Exception):
            found[name] = kernel_python(name)
    place = tmp_path_factory.mktemp("many")
    with server(place, place / "work", kernels=found) as running:
        yield running


@pytest.mark.parametrize("name", KERNELS)
def test_each_kernel_runs_and_reports_what_it_is(many: Server, name):
    kind = KERNELS[name]
    if name not in many.kernels:
        pytest.skip(f"Python {kind.python} is not on this machine")
    asks = (
        "import importlib.util, sys, ipykernel\n"
        "print(*sys.version_info[:2], sep='.')\nprint(ipykernel.__version__)\n"
        "print(importlib.util.find_spec('reprolock') is not None)"
    )
    with many.notebook(f"{name}.ipynb", [asks], kernel=name) as notebook:
        python, ipykernel, has_reprolock = notebook.run(0).text.split()
        assert alive(notebook.pid)
    assert python == kind.python
    assert f"ipykernel=={ipykernel}" in kind.requirements or not kind.live
    assert has_reprolock == str(kind.live)


def test_a_cell_finds_the_commands_of_its_own_environment(many: Server):
    name = "3.11-ipykernel7"
    if name not in many.kernels:
        pytest.skip("Python 3.11 is not on this machine")
    with many.notebook("commands.ipynb", ["!which reprolock"], kernel=name) as notebook:
        assert notebook.run(0).text.strip() == str(many.kernels[name].parent / "reprolock")
