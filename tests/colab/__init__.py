"""A stand-in for Colab: its versions, its kernel, its front end's answers, its variables.

Example::

    from tests.colab import colab

    def test_it(tmp_path):
        with colab(tmp_path) as machine, machine.notebook("train.ipynb", ["1 + 1"]) as notebook:
            assert notebook.run(0).text == "2"
            machine.front_end.secrets["HF_TOKEN"] = "x"        # answers userdata.get
            machine.front_end.silent.add("get_ipynb")          # a page that is closed: no answer
            (machine.drive / "data.csv").write_text("1\\n")     # before drive.mount("drive")
            notebook.lose_runtime()                            # SIGKILL, an empty /content, a new kernel

What is real: the packages at Colab's versions (``requirements.txt``; Python 3.13, ipykernel 6.17.1,
IPython 7.34.0), the kernel, the messages over its sockets, and ``!`` under a pseudo-terminal. What
stands in: ``google.colab`` (``stand_in/``), a Jupyter server in the place of Colab's, without a
token as there, and a folder *content* in the place of ``/content``; Drive is a folder that
``drive.mount`` moves to where it is asked for. As on Colab the notebook is no file in *content*:
its session is called ``fileId=...``, the page has the content, and a save goes to Drive.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers import ServerNotebook, free_port, opened, prepared, server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.servers import Server

HERE = Path(__file__).parent
RELEASE_TAG = "release-colab-external_20260818-060118_RC00"


def colab_python(runtime: str = "cpu", *more: str) -> Path:
    """Return the interpreter of the "cpu" or "gpu" runtime, with the requirements *more*.

    As pip left it on Colab and not as it would be resolved today: jedi, which IPython asks for,
    is not there.
    """
    lists = ["requirements.txt", *(["requirements-gpu.txt"] if runtime == "gpu" else [])]
    asked = [part for name in lists for part in ("-r", str(HERE / name))]
    installs = [
        ["--no-deps", *asked],
        ["--no-deps", str(HERE / "stand_in")],
        *([list(more)] if more else []),
    ]
    return prepared(f"colab-{runtime}", "3.13", installs, key=_digest())


def _digest() -> str:
    made = sorted((HERE / "stand_in").rglob("*"))
    files = [*HERE.glob("*.txt"), *(one for one in made if one.suffix in (".py", ".toml"))]
    return hashlib.sha256(b"".join(one.read_bytes() for one in sorted(files))).hexdigest()


@contextmanager
def colab(
    tmp_path: Path, runtime: str = "cpu", *, python: Path | None = None, **environ: str
) -> Iterator[Colab]:
    """Start a machine of Colab's; its server and kernels end with it."""
    root = tmp_path / f"colab-{secrets.token_hex(4)}"
    machine = Colab(root)
    port = free_port()
    variables = {**variables_of(runtime, port), **machine.variables(), **environ}
    with server(
        root, machine.content, kernels={"python3": python or colab_python(runtime)},
        module="colab_kernel_launcher", environ=variables, port=port, token="",
    ) as running:  # fmt: skip
        machine.server = running
        yield machine


def variables_of(runtime: str, port: int) -> dict[str, str]:
    """Return Colab's environment variables, as far as they tell a program where it is.

    Names and shapes are those of dumps that people publish; the addresses lead nowhere, but for
    the server's own.
    """
    return {
        "CLICOLOR": "1",
        "COLAB_BACKEND_VERSION": "next",
        "COLAB_CUSTOMIZE_FOR_VM_TYPE": "1",
        "COLAB_FILE_HANDLER_ADDR": "localhost:3453",
        "COLAB_GPU": "1" if runtime == "gpu" else "",
        "COLAB_JUPYTER_IP": "127.0.0.1",
        "COLAB_JUPYTER_TOKEN": "",
        "COLAB_JUPYTER_TRANSPORT": "ipc",
        "COLAB_KERNEL_MANAGER_PROXY_HOST": "127.0.0.1",
        "COLAB_KERNEL_MANAGER_PROXY_PORT": "6000",
        "COLAB_RELEASE_TAG": RELEASE_TAG,
        "COLAB_TPU_1VM": "",
        "COLAB_WARMUP_DEFAULTS": "1",
        "COLUMNS": "100",
        "ENABLE_DIRECTORYPREFETCHER": "1",
        "GCE_METADATA_TIMEOUT": "3",
        "GIT_PAGER": "cat",
        "KMP_LISTEN_PORT": "6000",
        "KMP_TARGET_PORT": str(port),
        "LANG": "en_US.UTF-8",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "NO_GCE_CHECK": "False",
        "PAGER": "cat",
        "PYDEVD_USE_FRAME_EVAL": "NO",
        "PYTHONPATH": "/env/python",
        "PYTHONUTF8": "1",  # Colab's locale is UTF-8; this machine's need not be
        "PYTHONWARNINGS": "ignore:::pip._internal.cli.base_command",
        "SHELL": "/bin/bash",
        "TBE_CREDS_ADDR": "127.0.0.1:9",
        "TBE_EPHEM_CREDS_ADDR": "127.0.0.1:9",
        "TBE_RUNTIME_ADDR": "127.0.0.1:9",
        "TERM": "xterm-color",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "USE_AUTH_EPHEM": "1",
    }


class FrontEnd:
    """What Colab's page answers to ``google.colab``.

    *silent*: kinds of request that get no answer; *secrets*: those of the person, *refused*: those
    that the notebook may not have; *uploads*: the files that the person picks next.
    """

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.secrets: dict[str, str] = {}
        self.refused: set[str] = set()
        self.uploads: dict[str, bytes] = {}
        self.scripts: list[str] = []
        self._sending: list[dict[str, str]] = []

    def answer(self, notebook: ColabNotebook, kind: str, body: Any) -> dict[str, Any] | None:
        known = {
            "get_ipynb": lambda: {"ipynb": notebook.ipynb()},
            "GetSecret": lambda: self._secret(body["key"]),
            "request_auth": dict,
            "cell_javascript_eval": lambda: self._script(body["script"]),
        }
        if kind in self.silent:
            return None
        if kind not in known:
            return {"error": f"no handler for {kind}"}
        return {"data": known[kind]()}

    def _secret(self, key: str) -> dict[str, Any]:
        known, granted = key in self.secrets, key not in self.refused
        payload = {"payload": self.secrets[key]} if known and granted else {}
        return {"exists": known, "access": known and granted, **payload}

    def _script(self, script: str) -> Any:
        self.scripts.append(script)
        if "_uploadFilesContinue" in script:
            return self._sending.pop(0) if self._sending else {"action": "complete"}
        if "_uploadFiles" in script:
            self._sending = [
                {"action": "append", "file": name, "data": base64.b64encode(data).decode()}
                for name, data in self.uploads.items()
            ]
            return {"action": "starting"}
        return None


class Colab:
    """A machine: *content* is its ``/content``, *drive* the person's Drive while it is not mounted."""

    server: Server

    def __init__(self, root: Path) -> None:
        self.content = root / "content"
        self.drive = root / "MyDrive"
        self.front_end = FrontEnd()
        self.drive.mkdir(parents=True)
        self._fresh()

    def variables(self) -> dict[str, str]:
        return {
            "CLOUDSDK_CONFIG": str(self.content / ".config"),
            "COLAB_STAND_IN_DRIVE": str(self.drive),
            "DATALAB_ROOT": str(self.content.parent),
        }

    @contextmanager
    def notebook(self, name: str, sources: Sequence[str]) -> Iterator[ColabNotebook]:
        """Open a notebook of *sources* called *name*, saved to Drive."""
        with opened(ColabNotebook(self, name), sources) as notebook:
            yield notebook

    @property
    def drive_now(self) -> Path:
        """Where Drive is at the moment: mounted, or *drive*."""
        note = self.drive.with_name(self.drive.name + ".mounted")
        return note.readlink() / "MyDrive" if note.is_symlink() else self.drive

    def take_away(self) -> None:
        """Empty *content*, as on the next machine that one gets; Drive is as it was."""
        if self.drive_now != self.drive:
            self.drive_now.rename(self.drive)
            self.drive.with_name(self.drive.name + ".mounted").unlink()
        for one in self.content.iterdir():  # the folder stays: it is the server's root
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        self._fresh()

    def _fresh(self) -> None:
        (self.content / ".config").mkdir(parents=True)
        (self.content / "sample_data").mkdir()
        (self.content / "sample_data" / "README.md").write_text("Sample data sets.\n")


class ColabNotebook(ServerNotebook):
    """A notebook on Colab's page."""

    def __init__(self, machine: Colab, name: str) -> None:
        super().__init__(machine.server, name, "python3")
        self.machine = machine
        self.file_id = secrets.token_urlsafe(24)
        self.front_end = lambda kind, body: machine.front_end.answer(self, kind, body)

    def session_request(self) -> dict[str, Any]:
        return {"path": f"fileId={self.file_id}", "name": self.path, "type": "notebook"}

    def cell_metadata(self, cell: Any) -> dict[str, Any]:
        return {"colab": {"cell_id": cell.id}}

    def ipynb(self) -> dict[str, Any]:
        """Return the notebook as the page has it: format 4.0, a cell's id in its metadata."""
        return {
            "nbformat": 4,
            "nbformat_minor": 0,
            "metadata": {
                "colab": {"provenance": [], "name": self.path},
                "kernelspec": {"name": "python3", "display_name": "Python 3"},
                "language_info": {"name": "python"},
            },
            "cells": [_cell(one) for one in self.cells],
        }

    def save(self) -> Path:
        """Write the notebook to Drive; return the file, which moves when Drive is mounted."""
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(json.dumps(self.ipynb()), encoding="utf-8")
        return self.file

    @property
    def file(self) -> Path:
        return self.machine.drive_now / "Colab Notebooks" / self.path

    def reload(self) -> None:
        raise NotImplementedError("wanted cells: Colab's notebook is opened with sources")

    def rename(self, path: str, *, tell_session: bool = True) -> None:
        self.file.rename(self.file.with_name(path))
        self.path = path
        if tell_session:
            self.server.ask("PATCH", f"sessions/{self.session_id}", {"name": path})

    def lose_runtime(self) -> None:
        """Have the machine taken away without a word, and go on with the notebook on a new one."""
        self.kill()
        self._leave()
        self.machine.take_away()
        self.connect()


def _cell(cell: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "cell_type": cell.cell_type,
        "metadata": {**cell.metadata, "id": cell.id},
        "source": cell.source.splitlines(keepends=True),
    }
    if cell.cell_type == "code":
        made.update(execution_count=cell.execution_count, outputs=cell.outputs)
    return made
