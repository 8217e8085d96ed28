"""Where a notebook runs and which file it is.

No test machine is Colab or Kaggle. ``machine`` stands in for one at the seam of
``recorder/platforms``: variables, files and answers as they were seen there (the sources are in
the modules' docstrings). ``get_json`` talks to real servers on loopback.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from reprolock.facts import system
from reprolock.recorder import platforms
from reprolock.recorder.platforms import Found, Machine, find_notebook, get_json, recognise
from tests import kernels

KERNEL = "5b5d4d5e-9f5c-4f3f-8a58-0a1c6a3a4b01"
OTHER = "11111111-2222-3333-4444-555555555555"
RUNTIME = "/home/ann/.local/share/jupyter/runtime"
HOME = {"HOME": "/home/ann"}
NOTEBOOK = {
    "cells": [{"cell_type": "code", "source": "x = 1", "metadata": {}, "outputs": []}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}
NAMES = ("train.ipynb", "my run (2).ipynb", "данные.v1.2.ipynb", "a#b?c%20d&e.ipynb", "..nb.ipynb")
IN_KERNEL = "in the kernel"
OUTSIDE = "outside"


class Stand:
    """A machine of recorded facts; ``asked`` keeps what was asked over the network."""

    def __init__(
        self,
        environ: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        answers: dict[str, Any] | None = None,
        modules: dict[str, Any] | None = None,
        shell: Any = None,
    ) -> None:
        self.files = files or {}
        self.answers = answers or {}
        self.asked: list[tuple[str, dict[str, str], float, Any]] = []
        self.machine = Machine(
            environ=environ or {},
            modules=modules or {},
            exists=self.exists,
            read=self.files.get,
            glob=lambda pattern: sorted(fnmatch.filter(self.files, pattern)),
            get_json=self.get_json,
            shell=shell,
        )

    def exists(self, path: str) -> bool:
        return path in self.files or any(one.startswith(path + "/") for one in self.files)

    def get_json(self, url: str, headers: dict[str, str], timeout: float, body: Any = None) -> Any:
        self.asked.append((url, dict(headers), timeout, body))
        answer = self.answers.get(url, HTTPError(url, 404, "Not Found", None, None))
        if callable(answer):
            answer = answer(headers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def find(self, kernel_id: str | None = KERNEL, timeout: float = 5.0) -> Found:
        return find_notebook(self.machine, kernel_id, timeout)


def shell(**names: Any) -> Any:
    return SimpleNamespace(user_ns=names, config={})


def at(position: str, **names: Any) -> Any:
    return shell(**names) if position == IN_KERNEL else None


def info(pid: int = 41, port: int = 8888, **more: Any) -> str:
    facts = {
        "base_url": "/",
        "hostname": "localhost",
        "password": False,
        "pid": pid,
        "port": port,
        "root_dir": "/home/ann/work",
        "secure": False,
        "sock": "",
        "token": "c0ffee",
        "url": f"http://localhost:{port}/",
        "version": "2.20.0",
    }
    return json.dumps({**facts, **more})


def session(path: str, kernel: str = KERNEL, kind: str = "notebook") -> dict[str, Any]:
    return {
        "id": "d3a1",
        "path": path,
        "name": path.rpartition("/")[2],
        "type": kind,
        "kernel": {"id": kernel, "name": "python3", "execution_state": "busy"},
        **({"notebook": {"path": path, "name": ""}} if kind == "notebook" else {}),
    }


def jupyter(
    *sessions: Any,
    files: dict[str, str] | None = None,
    environ: dict[str, str] | None = None,
    position: str = OUTSIDE,
    **facts: Any,
) -> Stand:
    """Return a machine with one running server that knows *sessions*."""
    return Stand(
        {**HOME, "JPY_PARENT_PID": "41", **(environ or {})},
        {f"{RUNTIME}/jpserver-41.json": info(**facts), **(files or {})},
        {"http://localhost:8888/api/sessions": list(sessions)},
        shell=at(position),
    )


# -- which platform ---------------------------------------------------------------------------

# As seen in the runtimes; what a lock must not hold, such as account numbers, is in there too.
COLAB = {
    "COLAB_RELEASE_TAG": "release-colab_20260707-060140_RC00",
    "COLAB_GPU": "",
    "COLAB_JUPYTER_IP": "172.28.0.12",
    "COLAB_JUPYTER_TOKEN": "",
    "KMP_TARGET_PORT": "9000",
    "JPY_PARENT_PID": "86",
    "HOME": "/root",
    "CLOUDSDK_CONFIG": "/content/.config",
}
KAGGLE = {
    **COLAB,
    "KAGGLE_KERNEL_RUN_TYPE": "Interactive",
    "KAGGLE_USER_SECRETS_TOKEN": "kaggle-secret",
    "KAGGLE_URL_BASE": "https://www.kaggle.com",
}
KAGGLE_FILES = {"/etc/git_commit": "0a1b2c3d\n", "/etc/build_date": "20260812-143423\n"}
SPACE = {
    "SAGEMAKER_APP_TYPE": "JupyterLab",
    "SAGEMAKER_APP_TYPE_LOWERCASE": "jupyterlab",
    "SAGEMAKER_INTERNAL_IMAGE_URI": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/own-image:7",
    "HOME": "/home/sagemaker-user",
}
DEEPNOTE = {
    "DEEPNOTE_PROJECT_ID": "25fcb3b2-cf3d-4c08-9b24-4306f1518caa",
    "DEEPNOTE_JUPYTER_TOKEN": "deep-secret",
    "HOME": "/root",
}
WORKBENCH = {"VERTEX_PRODUCT": "WORKBENCH_INSTANCE", "HOME": "/home/jupyter"}


@pytest.mark.parametrize(
    ("environ", "files", "name", "version"),
    [
        ({}, {}, "jupyter", None),
        ({"JUPYTERHUB_API_URL": "http://10.0.0.1/hub/api"}, {}, "jupyterhub", None),
        (
            {"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/", "JUPYTER_IMAGE": "reg.corp.com/lab:2026-1"},
            {},
            "jupyterhub",
            "lab:2026-1",
        ),
        ({"PYDEVD_IPYTHON_COMPATIBLE_DEBUGGING": "1"}, {}, "vscode", None),
        ({"VSCODE_PID": "7", "TERM_PROGRAM": "vscode"}, {}, "jupyter", None),
        (COLAB, {}, "colab", "release-colab_20260707-060140_RC00"),
        ({"COLAB_GPU": ""}, {}, "colab", None),
        (KAGGLE, KAGGLE_FILES, "kaggle", "0a1b2c3d 20260812-143423"),
        (KAGGLE, {"/etc/git_commit": "unknown\n"}, "kaggle", None),
        (
            {**COLAB, "VERTEX_PRODUCT": "COLAB_ENTERPRISE"},
            {},
            "colab-enterprise",
            COLAB["COLAB_RELEASE_TAG"],
        ),
        (
            WORKBENCH,
            {"/opt/deeplearning/metadata/env_version": "workbench-instances.m130\n"},
            "vertex-workbench",
            "workbench-instances.m130",
        ),
        (
            {},
            {
                "/opt/deeplearning/metadata/env_version": "\n",
                "/opt/deeplearning/metadata/env_uri": "u:m9",
            },
            "vertex-workbench",
            "u:m9",
        ),
        ({**SPACE, "IMAGE_VERSION": "3.9.10-cpu"}, {}, "sagemaker", "3.9.10-cpu"),
        (SPACE, {}, "sagemaker", "own-image:7"),
        ({"SERVICE_NAME": "SageMakerUnifiedStudio"}, {}, "sagemaker", None),
        ({}, {"/opt/ml/metadata/resource-metadata.json": "{}"}, "sagemaker", None),
        (
            {},
            {"/etc/opt/ml/sagemaker-notebook-instance-version.txt": "120.0-0\n"},
            "sagemaker",
            "120.0-0",
        ),
        (DEEPNOTE, {}, "deepnote", None),
        ({"DATABRICKS_RUNTIME_VERSION": "17.3"}, {}, "databricks", "17.3"),
        (
            {"CODESPACES": "true", "PYDEVD_IPYTHON_COMPATIBLE_DEBUGGING": "1"},
            {},
            "codespaces",
            None,
        ),
        (
            {
                "BINDER_LAUNCH_HOST": "https://mybinder.org/",
                "BINDER_REF_URL": "https://github.com/o/r/tree/4f2c",
                "JUPYTERHUB_API_URL": "http://hub",
            },
            {},
            "binder",
            "4f2c",
        ),
    ],
)
def test_a_platform_is_recognised_by_its_signs(environ, files, name, version):
    found = recognise(Stand(environ, files).machine)
    assert (found.name, found.version) == (name, version)
    assert found.folders == platforms.FOLDERS[name]


def test_modules_and_names_are_signs_in_the_kernel():
    toolkit = {"deepnote_toolkit": SimpleNamespace(__version__="1.4.2")}
    assert recognise(Stand(modules={"google.colab": object()}).machine).name == "colab"
    assert recognise(Stand(modules=toolkit).machine)[:2] == ("deepnote", "toolkit 1.4.2")
    vscode = Stand(shell=shell(__vsc_ipynb_file__="/w/a.ipynb"))
    assert recognise(vscode.machine).name == "vscode"


def test_a_machine_that_fails_is_plain_jupyter():
    def broken(_path):
        raise PermissionError("no")

    machine = Machine({}, exists=broken, read=broken, shell=object())
    assert recognise(machine) == ("jupyter", None, ())
    found = find_notebook(machine, KERNEL, 1)
    assert (found.path, found.content, found.name) == (None, None, None)


def test_the_folders_of_every_platform_are_known_by_its_name():
    assert platforms.FOLDERS["colab"][:2] == ("/content", "/content/drive/MyDrive")
    assert "/kaggle/input" in platforms.FOLDERS["kaggle"]
    assert "/work" in platforms.FOLDERS["deepnote"]
    assert "/home/sagemaker-user" in platforms.FOLDERS["sagemaker"]
    assert set(platforms.NAMES) == set(platforms.FOLDERS)


# -- Jupyter ----------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [IN_KERNEL, OUTSIDE])
@pytest.mark.parametrize("name", NAMES)
def test_the_server_tells_the_notebook_of_this_kernel(name, position):
    stand = jupyter(
        session("deep/other.ipynb", OTHER),
        session(f"deep/{name}"),
        files={f"/home/ann/work/deep/{name}": "{}", "/home/ann/work/deep/other.ipynb": "{}"},
        position=position,
    )
    found = stand.find()
    assert found == (f"/home/ann/work/deep/{name}", None, name, found.how, [])
    assert "sessions" in found.how
    ((url, headers, timeout, _),) = stand.asked
    assert (url, headers) == (
        "http://localhost:8888/api/sessions",
        {"Authorization": "token c0ffee"},
    )
    assert timeout <= 3


def test_the_classic_notebook_is_asked_in_the_same_way():
    old = {"notebook_dir": "/srv", "url": "http://localhost:8888/"}
    facts = {**json.loads(info()), **old}
    del facts["root_dir"]
    plain = {"kernel": {"id": KERNEL}, "notebook": {"path": "a b.ipynb"}}
    stand = Stand(
        HOME,
        {f"{RUNTIME}/nbserver-41.json": json.dumps(facts), "/srv/a b.ipynb": "{}"},
        {"http://localhost:8888/api/sessions": [plain]},
    )
    assert stand.find().path == "/srv/a b.ipynb"


def test_a_renamed_notebook_is_found_under_its_new_name():
    stand = jupyter(
        session("new.ipynb"),
        files={"/home/ann/work/new.ipynb": "{}", "/home/ann/work/old.ipynb": "{}"},
        environ={"JPY_SESSION_NAME": "/home/ann/work/old.ipynb"},
    )
    assert stand.find().path == "/home/ann/work/new.ipynb"


def test_another_kernels_notebook_is_never_taken():
    stand = jupyter(session("theirs.ipynb", OTHER), files={"/home/ann/work/theirs.ipynb": "{}"})
    assert stand.find()[:3] == (None, None, None)
    nothing = jupyter(session("theirs.ipynb", None), files={"/home/ann/work/theirs.ipynb": "{}"})
    found = nothing.find(None)
    assert found[:3] == (None, None, None)
    assert found.problems == ["this process is no kernel that a Jupyter server could know"]


def test_of_two_servers_the_one_that_started_the_kernel_is_asked_first():
    stand = Stand(
        {**HOME, "JPY_PARENT_PID": "77"},
        {
            f"{RUNTIME}/jpserver-41.json": info(41, 8888),
            f"{RUNTIME}/jpserver-77.json": info(77, 9999, token="other"),
            "/home/ann/work/mine.ipynb": "{}",
        },
        {
            "http://localhost:8888/api/sessions": [session("wrong.ipynb")],
            "http://localhost:9999/api/sessions": [session("mine.ipynb")],
        },
    )
    assert stand.find().path == "/home/ann/work/mine.ipynb"
    assert [url for url, *_ in stand.asked] == ["http://localhost:9999/api/sessions"]
    assert stand.asked[0][1] == {"Authorization": "token other"}


def test_a_server_that_does_not_answer_keeps_no_other_from_being_asked():
    stand = Stand(
        HOME,
        {
            f"{RUNTIME}/jpserver-41.json": info(41, 8888),
            f"{RUNTIME}/jpserver-77.json": info(77, 9999),
            "/home/ann/work/mine.ipynb": "{}",
        },
        {
            "http://localhost:8888/api/sessions": URLError(TimeoutError("timed out")),
            "http://localhost:9999/api/sessions": [session("mine.ipynb")],
        },
    )
    found = stand.find(timeout=2)
    assert found.path == "/home/ann/work/mine.ipynb"
    assert found.problems == [
        "the Jupyter server at localhost:8888 could not be asked: it did not answer in time"
    ]
    assert stand.asked[0][2] <= 1, "half of the time for each"


def test_a_dead_server_is_not_asked():
    stand = jupyter(session("a.ipynb"), files={"/proc/self/stat": "", "/proc/99/stat": ""})
    found = stand.find()
    assert stand.asked == []
    assert "no running Jupyter server" in found.problems[0]


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("Expecting value"),
        "a string",
        {"message": "hello"},
        [1, None, {"kernel": 3}, {"kernel": {"id": [KERNEL]}}],
        None,
    ],
)
def test_an_answer_that_makes_no_sense_is_told_at_most(answer):
    stand = jupyter()
    stand.answers["http://localhost:8888/api/sessions"] = answer
    found = stand.find()
    assert found[:3] == (None, None, None)
    assert all("localhost:8888" in problem for problem in found.problems)


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"url": 1, "pid": "x"}', "\udcff"])
def test_a_server_file_that_makes_no_sense_is_told(text):
    found = Stand(HOME, {f"{RUNTIME}/jpserver-1.json": text}).find()
    assert found.problems[0].startswith("jpserver-1.json in Jupyter's runtime folder does not")


@pytest.mark.parametrize("position", [IN_KERNEL, OUTSIDE])
def test_a_wrong_token_leaves_the_name_at_the_kernels_start(position):
    stand = jupyter(
        environ={"JPY_SESSION_NAME": "/home/ann/work/a.ipynb"},
        files={"/home/ann/work/a.ipynb": "{}", "/proc/41/environ": "PATH=/bin\0HOME=/home/ann\0"},
        position=position,
    )
    url = "http://localhost:8888/api/sessions"
    stand.answers[url] = HTTPError(url, 403, "Forbidden", None, None)
    found = stand.find()
    assert (found.path, found.name) == ("/home/ann/work/a.ipynb", "a.ipynb")
    assert found.how.startswith("JPY_SESSION_NAME")
    assert found.problems == [
        "the Jupyter server at localhost:8888 could not be asked: it answered 403 Forbidden"
    ]
    assert "c0ffee" not in repr(found)


def test_a_server_with_a_password_is_not_asked():
    stand = jupyter(
        environ={"JPY_SESSION_NAME": "/home/ann/work/a.ipynb"},
        files={"/home/ann/work/a.ipynb": "{}"},
        token="",
        password=True,
    )
    found = stand.find()
    assert (found.path, stand.asked) == ("/home/ann/work/a.ipynb", [])
    assert found.problems == [
        "the server of jpserver-41.json asks for a password, which is not known here"
    ]


def test_a_unix_socket_is_told():
    assert "Unix socket" in jupyter(sock="/tmp/jp.sock").find().problems[0]


def test_the_name_of_another_kernel_that_came_along_is_not_ours():
    """As in a notebook that runs another one by nbclient: the variables are handed on."""
    files = {
        "/home/ann/work/outer.ipynb": "{}",
        "/proc/500/environ": "JPY_SESSION_NAME=/home/ann/work/outer.ipynb\0JPY_PARENT_PID=41\0",
    }
    named = {"JPY_SESSION_NAME": "/home/ann/work/outer.ipynb", "JPY_PARENT_PID": "500"}
    assert jupyter(environ=named, files=files).find()[:3] == (None, None, None)
    unknown = {**files, "/proc/500/environ": ""}
    assert jupyter(environ=named, files=unknown).find()[:3] == (None, None, None)


def test_a_name_that_is_gone_is_only_a_name():
    stand = jupyter(environ={"JPY_SESSION_NAME": "/home/ann/work/old.ipynb"})
    found = stand.find()
    assert (found.path, found.name) == (None, "old.ipynb")
    assert found.problems == ["old.ipynb, which the kernel was started for, is not where it was"]


def test_a_console_on_this_kernel_is_no_notebook():
    stand = jupyter(session("a.ipynb-console", kind="console"))
    assert "by no notebook" in stand.find().problems[0]
    both = jupyter(
        session("a.ipynb-console", kind="console"),
        session("a.ipynb"),
        files={"/home/ann/work/a.ipynb": "{}"},
    )
    assert both.find().path == "/home/ann/work/a.ipynb"


def test_two_notebooks_on_one_kernel_are_told():
    files = {"/home/ann/work/a.ipynb": "{}", "/home/ann/work/b.ipynb": "{}"}
    stand = jupyter(
        session("a.ipynb"),
        session("b.ipynb"),
        files=files,
        environ={"JPY_SESSION_NAME": "/home/ann/work/b.ipynb"},
    )
    found = stand.find()
    assert found.path == "/home/ann/work/b.ipynb"
    assert found.problems == ["2 notebooks share this kernel"]


def test_the_prefix_of_collaboration_is_no_folder():
    stand = jupyter(session("RTC:deep/a.ipynb"), files={"/home/ann/work/deep/a.ipynb": "{}"})
    assert stand.find()[:3] == ("/home/ann/work/deep/a.ipynb", None, "a.ipynb")


def test_a_notebook_that_is_on_no_disk_is_asked_for():
    url = "http://localhost:8888/api/contents/b%C3%BCcket/a%20b.ipynb?type=notebook&content=1"
    stand = jupyter(session("bücket/a b.ipynb"))
    stand.answers[url] = {"type": "notebook", "content": NOTEBOOK}
    found = stand.find()
    assert found == (None, NOTEBOOK, "a b.ipynb", found.how, [])
    stand.answers[url] = {"type": "notebook", "content": {"cells": 3}}
    assert stand.find().problems == ["a b.ipynb is not in a folder of this machine"]


def test_a_text_notebook_comes_with_its_content():
    stand = jupyter(session("a.py"), files={"/home/ann/work/a.py": "# %%\nx = 1\n"})
    url = "http://localhost:8888/api/contents/a.py?type=notebook&content=1"
    stand.answers[url] = {"content": NOTEBOOK}
    assert stand.find()[:3] == ("/home/ann/work/a.py", NOTEBOOK, "a.py")


def test_the_hubs_token_opens_only_a_server_on_this_machine():
    hub = {"JUPYTERHUB_API_TOKEN": "hub", "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}
    url = "http://127.0.0.1:8888/user/ann/api/sessions"
    stand = jupyter(
        environ=hub,
        files={"/home/ann/work/a.ipynb": "{}"},
        token="",
        hostname="0.0.0.0",
        base_url="/user/ann/",
        url="http://pod-7:8888/user/ann/",
    )
    stand.answers[url] = [session("a.ipynb")]
    assert stand.find().path == "/home/ann/work/a.ipynb"
    assert stand.asked[0][:2] == (url, {"Authorization": "token hub"})
    away = jupyter(environ=hub, token="", hostname="10.1.2.3", url="http://10.1.2.3:8888/")
    found = away.find()
    assert away.asked[0][1] == {}
    assert "/user/ann" not in repr(found.problems), "the address tells the user's name"


def test_the_runtime_folder_is_where_the_variables_or_the_connection_file_say():
    answers = {"http://localhost:8888/api/sessions": [session("a.ipynb")]}
    for environ, folder in (
        ({"JUPYTER_RUNTIME_DIR": "/run/jp"}, "/run/jp"),
        ({"JUPYTER_DATA_DIR": "/data/jp"}, "/data/jp/runtime"),
        ({"XDG_DATA_HOME": "/xdg"}, "/xdg/jupyter/runtime"),
        (HOME, "/home/ann/Library/Jupyter/runtime"),
    ):
        files = {f"{folder}/jpserver-41.json": info(), "/home/ann/work/a.ipynb": "{}"}
        assert Stand(environ, files, answers).find().path, folder
    kernel = SimpleNamespace(
        user_ns={}, config={"IPKernelApp": {"connection_file": "/odd/kernel-1.json"}}
    )
    files = {"/odd/jpserver-41.json": info(), "/home/ann/work/a.ipynb": "{}"}
    assert Stand({}, files, answers, shell=kernel).find().path


# -- VS Code ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_vscode_tells_the_file_in_the_kernel(name):
    stand = Stand(
        {**HOME, "PYDEVD_IPYTHON_COMPATIBLE_DEBUGGING": "1"},
        {f"/w/{name}": "{}"},
        shell=shell(__vsc_ipynb_file__=f"/w/{name}"),
    )
    found = stand.find("v3a6bd5")
    assert found == (f"/w/{name}", None, name, found.how, [])


def test_vscode_outside_of_the_kernel_says_what_to_do():
    started = Stand({**HOME, "PYDEVD_IPYTHON_COMPATIBLE_DEBUGGING": "1"})
    assert started.find("v3a6bd5").problems[0] == (
        "VS Code tells the notebook's name only inside the kernel"
    )


@pytest.mark.parametrize("path", [r"c:\Users\ann\My Notebook.ipynb", "/w/My Notebook.ipynb"])
def test_a_file_that_vscode_has_elsewhere_is_only_a_name(path):
    found = Stand(HOME, shell=shell(__vsc_ipynb_file__=path)).find()
    assert (found.path, found.name) == (None, "My Notebook.ipynb")
    assert "is not on this machine" in found.problems[0]


def test_a_notebook_that_vscode_runs_on_a_jupyter_server():
    """Its session has a made-up path; the file is where the variable says."""
    made_up = session("train-jvsc-1f0e6ab1-3f.ipynb")
    files = {"/w/train.ipynb": "{}", "/home/ann/work/train-jvsc-1f0e6ab1-3f.ipynb": "{}"}
    stand = jupyter(made_up, files=files)
    inside = stand.machine._replace(shell=shell(__vsc_ipynb_file__="/w/train.ipynb"))
    assert find_notebook(inside, KERNEL, 5).path == "/w/train.ipynb"
    outside = stand.find()
    assert (outside.path, outside.name) == (None, "train.ipynb")


@pytest.mark.parametrize("value", [3, "", None, ["/w/a.ipynb"]])
def test_a_variable_of_that_name_that_is_no_path(value):
    assert Stand(HOME, shell=shell(__vsc_ipynb_file__=value)).find().path is None


# -- Colab ------------------------------------------------------------------------------------


class FrontEnd:
    """Stands in for ``google.colab._message``."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def blocking_request(self, kind: str, request: str = "", timeout_sec: float = 5) -> Any:
        self.asked.append((kind, request, timeout_sec))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def in_colab(answer: Any, environ: dict[str, str] = COLAB) -> tuple[Stand, FrontEnd]:
    front = FrontEnd(answer)
    modules = {"google.colab": object(), "google.colab._message": front}
    return Stand(environ, modules=modules, shell=shell()), front


@pytest.mark.parametrize("product", [{}, {"VERTEX_PRODUCT": "COLAB_ENTERPRISE"}])
def test_colab_gives_the_notebook_to_its_kernel(product):
    named = {**NOTEBOOK, "metadata": {"colab": {"name": "Копия a.b.ipynb"}}}
    stand, front = in_colab({"ipynb": named}, {**COLAB, **product})
    found = stand.find(timeout=4)
    assert found == (None, named, "Копия a.b.ipynb", "Colab's front end", [])
    ((kind, request, seconds),) = front.asked
    assert (kind, request) == ("get_ipynb", "")
    assert 0 < seconds <= 4
    assert stand.asked == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "did not answer in time; the notebook's tab has to be open"),
        ({"error": {"type": "x"}}, "answered with something that is no notebook"),
        ({"ipynb": {"cells": None}}, "answered with something that is no notebook"),
        ("text", "answered with something that is no notebook"),
        (RuntimeError("no frontend"), "could not be asked for the notebook: RuntimeError"),
    ],
)
def test_a_front_end_that_does_not_give_it(answer, told):
    stand, _ = in_colab(answer)
    found = stand.find()
    assert found.content is None
    assert told in found.problems[0]


def test_a_colab_kernel_without_its_messages():
    found = Stand(COLAB, modules={"google.colab": object()}, shell=shell()).find()
    assert "could not be asked" in found.problems[0]


def test_colab_outside_of_the_kernel_knows_the_name_and_says_what_to_do():
    url = "http://172.28.0.12:9000/api/sessions"
    theirs = {**session("fileId=0", OTHER), "name": "other.ipynb"}
    ours = {**session("fileId=1"), "name": "%D0%BC%D0%BE%D1%8F%20nb.ipynb"}
    stand = Stand({**COLAB, "COLAB_JUPYTER_TOKEN": "colab-secret"}, answers={url: [theirs, ours]})
    found = stand.find()
    assert (found.path, found.content, found.name) == (None, None, "моя nb.ipynb")
    assert found.problems[0] == (
        "Colab gives the notebook only to its kernel: add a cell with %load_ext reprolock"
    )
    assert stand.asked[0][1] == {"Authorization": "token colab-secret"}


# -- Kaggle -----------------------------------------------------------------------------------

DRAFT = "https://www.kaggle.com/requests/GetKernelRunSourceForCaipRequest"


def draft(notebook: Any, key: str = "source") -> dict[str, Any]:
    return {"result": {key: json.dumps(notebook)}, "wasSuccessful": True}


@pytest.mark.parametrize("position", [IN_KERNEL, OUTSIDE])
def test_kaggles_batch_run_has_its_file(position):
    batch = {**KAGGLE, "KAGGLE_KERNEL_RUN_TYPE": "Batch"}
    path = "/kaggle/working/__notebook__.ipynb"
    assert Stand(batch, {path: "{}"}, shell=at(position)).find().path == path
    assert "has no __notebook__.ipynb" in Stand(batch).find().problems[0]


@pytest.mark.parametrize("position", [IN_KERNEL, OUTSIDE])
@pytest.mark.parametrize("key", ["source", "sourceNullable"])
def test_kaggle_gives_the_draft_of_an_interactive_session(position, key):
    """A __notebook__.ipynb there would be left over from something else."""
    left_over = {"/kaggle/working/__notebook__.ipynb": "{}"}
    stand = Stand(KAGGLE, left_over, {DRAFT: draft(NOTEBOOK, key)}, shell=at(position))
    found = stand.find()
    assert found == (None, NOTEBOOK, None, "Kaggle's draft of the session", [])
    ((url, headers, _, body),) = stand.asked
    assert url == DRAFT
    assert headers == {"X-Kaggle-Authorization": "Bearer kaggle-secret"}
    assert body == {"UseDraft": True}


def test_the_cells_that_kaggle_adds_are_left_out():
    added = [
        "# IMPORTANT: SOME DATA\n# RUN THIS CELL IN ORDER TO IMPORT YOUR KAGGLE DATA SOURCES.\n",
        "\n# IMPORTANT: RUN THIS CELL IN ORDER TO IMPORT YOUR KAGGLE DATA SOURCES,\nimport os\n",
    ]
    cells = [{"cell_type": "code", "source": text.splitlines(True)} for text in added]
    exported = {**NOTEBOOK, "cells": [*cells, *NOTEBOOK["cells"]]}
    found = Stand(KAGGLE, answers={DRAFT: draft(exported)}).find()
    assert found.content == NOTEBOOK
    assert found.problems == ["Kaggle put 2 cell(s) before the notebook, which are left out"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"wasSuccessful": False}, "something that is no notebook"),
        ({"result": {"source": "not json"}}, "something that is no notebook"),
        ({"result": {"source": "[]"}}, "something that is no notebook"),
        ([], "something that is no notebook"),
        (HTTPError(DRAFT, 401, "Unauthorized", None, None), "it answered 401 Unauthorized"),
        (URLError(OSError(101, "Network is unreachable")), "network is unreachable"),
    ],
)
def test_a_draft_that_does_not_come(answer, told):
    found = Stand(KAGGLE, answers={DRAFT: answer}).find()
    assert found.content is None
    assert told in found.problems[0]
    assert "kaggle-secret" not in repr(found)


def test_a_kaggle_session_without_a_token_is_not_asked():
    stand = Stand({"KAGGLE_KERNEL_RUN_TYPE": "Interactive", **HOME})
    assert "no token" in stand.find().problems[0]
    assert stand.asked == []


# -- Vertex, SageMaker, Deepnote --------------------------------------------------------------


@pytest.mark.parametrize("position", [IN_KERNEL, OUTSIDE])
def test_workbench_where_the_server_has_the_same_id(position):
    facts = info(token="", port=8080, root_dir="/home/jupyter", url="http://localhost:8080/")
    stand = Stand(
        WORKBENCH,
        {
            "/home/jupyter/.local/share/jupyter/runtime/jpserver-41.json": facts,
            "/home/jupyter/a b.ipynb": "{}",
        },
        {"http://localhost:8080/api/sessions": [session("a b.ipynb")]},
        shell=at(position),
    )
    assert stand.find().path == "/home/jupyter/a b.ipynb"
    assert stand.asked[0][1] == {}


def test_workbench_where_dataprocs_kernels_change_the_id():
    stand = jupyter(
        session("a.ipynb", OTHER),
        environ={**WORKBENCH, **HOME, "JPY_SESSION_NAME": "/home/ann/work/a.ipynb"},
        files={"/home/ann/work/a.ipynb": "{}", "/proc/41/environ": "HOME=/home/ann\0"},
    )
    assert stand.find().path == "/home/ann/work/a.ipynb"


@pytest.mark.parametrize("position", [IN_KERNEL, OUTSIDE])
def test_a_sagemaker_space_has_a_server_like_any_other(position):
    home = "/home/sagemaker-user"
    facts = info(
        token="",
        hostname="0.0.0.0",
        base_url="/jupyterlab/default/",
        url="http://default:8888/jupyterlab/default/",
        root_dir=home,
    )
    stand = Stand(
        SPACE,
        {f"{home}/.local/share/jupyter/runtime/jpserver-41.json": facts, f"{home}/a.ipynb": "{}"},
        {"http://127.0.0.1:8888/jupyterlab/default/api/sessions": [session("RTC:a.ipynb")]},
        shell=at(position),
    )
    assert stand.find()[:3] == (f"{home}/a.ipynb", None, "a.ipynb")


@pytest.mark.parametrize("position", [IN_KERNEL, OUTSIDE])
def test_deepnotes_own_server_is_asked(position):
    answers = {"http://127.0.0.1:8888/api/sessions": [session("/sub/My notebook.ipynb")]}
    stand = Stand(DEEPNOTE, {"/work/sub/My notebook.ipynb": "{}"}, answers, shell=at(position))
    assert stand.find().path == "/work/sub/My notebook.ipynb"
    assert stand.asked[0][1] == {"Authorization": "token deep-secret"}


def test_deepnotes_folder_and_port_are_where_its_variables_say():
    environ = {
        **DEEPNOTE,
        "DEEPNOTE_JUPYTER_PORT": "9001",
        "DEEPNOTE_PATHS__NOTEBOOK_ROOT": "/own",
    }
    answers = {"http://127.0.0.1:9001/api/sessions": [session("a.ipynb")]}
    files = {"/own/a.ipynb": "{}", "/work/a.ipynb": "{}"}
    assert Stand(environ, files, answers).find().path == "/own/a.ipynb"


def test_a_notebook_that_deepnote_keeps_for_itself_has_only_a_name():
    answers = {"http://127.0.0.1:8888/api/sessions": [session("Notebook 1.ipynb")]}
    found = Stand(DEEPNOTE, answers=answers).find()
    assert (found.path, found.name) == (None, "Notebook 1.ipynb")
    assert "Notebook 1.ipynb is not in a folder of this machine" in found.problems


@pytest.mark.parametrize(
    "environ", [SPACE, WORKBENCH, DEEPNOTE, {"DATABRICKS_RUNTIME_VERSION": "17.3"}, HOME]
)
@pytest.mark.parametrize("position", [IN_KERNEL, OUTSIDE])
def test_where_nothing_tells_it_the_problems_say_why(environ, position):
    found = Stand(environ, shell=at(position)).find()
    assert found[:4] == (None, None, None, "nothing tells it")
    assert found.problems


# -- the network, for real --------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers), ""))
        self.server.answer(self)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.seen.append((self.path, dict(self.headers), self.rfile.read(length).decode()))
        self.server.answer(self)

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def server(answer: Any):
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    running.answer, running.seen = answer, []
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield running, f"http://127.0.0.1:{running.server_port}/"
    finally:
        running.shutdown()
        running.server_close()


def reply(status: int = 200, body: bytes = b"{}", **headers: str) -> Any:
    def answer(handler: Any) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_json_with_a_header_and_without_the_proxy_of_the_environment(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with server(reply(body='[{"name": "ä"}]'.encode())) as (running, url):
        assert get_json(url + "api", {"Authorization": "token t"}, 5) == [{"name": "ä"}]
    path, headers, _ = running.seen[0]
    assert (path, headers["Authorization"]) == ("/api", "token t")


def test_a_body_is_posted_as_json():
    with server(reply()) as (running, url):
        assert get_json(url, {}, 5, {"UseDraft": True}) == {}
    _, headers, body = running.seen[0]
    assert (headers["Content-Type"], body) == ("application/json", '{"UseDraft": true}')


def test_the_token_goes_to_no_other_address():
    with server(reply()) as (other, elsewhere):
        with (
            server(reply(302, Location=elsewhere)) as (running, url),
            pytest.raises(HTTPError) as caught,
        ):
            get_json(url, {"Authorization": "token t"}, 5)
        assert other.seen == []
    assert caught.value.code == 302
    assert len(running.seen) == 1


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b'{"a": ', b"\xff\xfe"])
def test_what_is_no_json_is_a_value_error(body):
    with server(reply(body=body)) as (_, url), pytest.raises(ValueError):
        get_json(url, {}, 5)


def test_a_server_that_says_nothing_is_left_in_time():
    with server(lambda _handler: time.sleep(3)) as (_, url):
        began = time.monotonic()
        with pytest.raises(OSError):
            get_json(url, {}, 0.3)
        assert time.monotonic() - began < 2


def test_a_server_that_drips_is_left_in_time():
    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(30):
            handler.wfile.write(b" ")
            time.sleep(0.1)

    with server(drip) as (_, url):
        began = time.monotonic()
        with pytest.raises(OSError):
            get_json(url, {}, 0.5)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://127.0.0.1:1/"])
def test_what_cannot_be_asked_is_an_os_error(url):
    with pytest.raises(OSError):
        get_json(url, {}, 1)


@pytest.mark.parametrize("broken", [reply(403), reply(body=b"junk"), reply(302, Location="/login")])
def test_a_search_over_the_network_ends_with_a_sentence(broken, tmp_path):
    with server(broken) as (running, url):
        place = tmp_path / "jpserver-1.json"
        facts = {"url": url, "pid": os.getpid(), "token": "secret", "root_dir": str(tmp_path)}
        place.write_text(json.dumps(facts), encoding="utf-8")
        machine = Machine({"JUPYTER_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)})
        found = find_notebook(machine, KERNEL, 5)
        assert found.problems[0].startswith(
            f"the Jupyter server at 127.0.0.1:{running.server_port}"
        )
        assert "secret" not in repr(found)


def test_a_search_over_the_network_finds_the_file(tmp_path):
    name = "été №5 (a).ipynb"
    (tmp_path / name).write_text("{}", encoding="utf-8")
    body = json.dumps([session(name)]).encode()
    with server(reply(body=body)) as (_, url):
        facts = {"url": url, "pid": os.getpid(), "token": "secret", "root_dir": str(tmp_path)}
        (tmp_path / "jpserver-1.json").write_text(json.dumps(facts), encoding="utf-8")
        machine = Machine({"JUPYTER_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)})
        assert find_notebook(machine, KERNEL, 5)[:1] == (str(tmp_path / name),)


# -- this machine -----------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
def test_a_process_is_seen_with_the_variables_it_was_started_with():
    environ = {**os.environ, "COLAB_RELEASE_TAG": "r=1", "ODD": "a\nb=c ä"}
    code = "import os; os.environ['COLAB_RELEASE_TAG'] = 'changed'; print(flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        process.stdout.readline()
        machine = Machine.of_kernel(process.pid)
        assert machine.shell is None
        assert machine.environ["ODD"] == "a\nb=c ä"
        assert recognise(machine)[:2] == ("colab", "r=1")
    finally:
        process.communicate(b"\n")


def test_this_process_is_seen_as_it_is(monkeypatch):
    monkeypatch.setenv("CODESPACES", "true")
    machine = Machine.here(shell())
    assert machine.modules is sys.modules
    assert machine.exists(__file__)
    assert not machine.exists("/no/such/file\0")
    assert machine.read(os.path.dirname(__file__)) is None
    assert machine.read("/no/such/file\0") is None


OLDER = """
import json, sys
from importlib.util import module_from_spec, spec_from_file_location
folder, runtime = sys.argv[1:]
spec = spec_from_file_location("p", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["p"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["p"])
p = sys.modules["p"]
before = set(sys.modules)
machine = p.Machine({"JUPYTER_RUNTIME_DIR": runtime, "HOME": runtime})
print(json.dumps([p.recognise(p.Machine.here()).name, p.find_notebook(machine, "k", 5)]))
"""


def test_it_works_on_an_older_python(tmp_path):
    (tmp_path / "a.ipynb").write_text("{}", encoding="utf-8")
    body = json.dumps([session("a.ipynb", "k")]).encode()
    with server(reply(body=body)) as (_, url):
        facts = {"url": url, "pid": os.getpid(), "token": "t", "root_dir": str(tmp_path)}
        (tmp_path / "jpserver-1.json").write_text(json.dumps(facts), encoding="utf-8")
        folder = Path(platforms.__file__).parent
        done = subprocess.run(
            [kernels.older_python(), "-c", OLDER, folder, tmp_path],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "CODESPACES": "true"},
        )
    name, found = json.loads(done.stdout)
    assert (name, found[0]) == ("codespaces", str(tmp_path / "a.ipynb"))


# -- the facts --------------------------------------------------------------------------------


def facts(**event: Any) -> system.System:
    return system.parse({"os": {"id": "ubuntu"}, "machine": "x86_64", **event})


def test_the_runtimes_version_is_in_the_lock_and_compared():
    old = facts(platform_signs={"colab": True}, platform_version="release-1")
    assert system.to_toml(old)["platform-version"] == "release-1"
    assert system.from_toml(system.to_toml(old)) == old
    new = facts(platform_signs={"colab": True}, platform_version="release-2")
    (finding,) = system.compare(old, new)
    assert (finding.code, finding.expected, finding.observed) == (
        "system.platform-version-changed",
        "release-1",
        "release-2",
    )


def test_a_version_that_only_one_has_is_no_change():
    one, none = facts(platform_version="release-1"), facts()
    assert system.compare(one, none) == system.compare(none, one) == ()
    assert "platform-version" not in system.to_toml(none)


# -- the pages --------------------------------------------------------------------------------

PAGES = Path(__file__).parent.parent / "docs" / "platforms"


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.name)
def test_a_page_shows_cells_and_folders_that_are_real(page):
    text = page.read_text(encoding="utf-8")
    assert "%load_ext reprolock" in text
    assert "%reprolock capture" in text
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (PAGES / link).is_file(), link
    known = {folder for folders in platforms.FOLDERS.values() for folder in folders}
    mapped = set(re.findall(r"--map (/\S+?)=", text))
    assert mapped <= known | {"/data"}


def test_every_page_is_in_the_index():
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\((\w+\.md)\)", index))
    assert {page.removesuffix(".md") for page in pages} == {
        "colab",
        "deepnote",
        "jupyter",
        "kaggle",
        "sagemaker",
        "vertex",
        "vscode",
    }
