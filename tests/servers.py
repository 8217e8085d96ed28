"""A real Jupyter server, driven as JupyterLab drives it: over HTTP and the kernel's WebSocket.

Example::

    from tests.servers import kernel_python, server

    def test_it(tmp_path):
        folder = tmp_path / "work"
        with server(tmp_path, folder, kernels={"python3": kernel_python("3.11-ipykernel6")}) as jupyter:
            with jupyter.notebook("a.ipynb", ["x = 1", "print(x)"]) as notebook:
                assert notebook.run(0).status == "ok"
                assert notebook.run(1).text == "1\\n"
                notebook.save()                        # PUT /api/contents/a.ipynb
                notebook.edit(0, "x = 2")              # in the front end only: the file is stale
                notebook.rename("b.ipynb")             # the file, and the session with it
                notebook.restart()                     # the same kernel id, an empty namespace
                running = notebook.start(notebook.add("import time; time.sleep(60)"))
                notebook.interrupt()
                assert running.wait().error == "KeyboardInterrupt"
                notebook.kill()                        # SIGKILL, as a runtime that is taken away
                notebook.reconnect()                   # another kernel, the same notebook

Parts:

* ``server(tmp_path, folder, lab=True)`` starts JupyterLab in the place of the bare server;
  ``Server.address("a.ipynb")`` is what a browser opens (``tests/browser.py``).
* ``kernels`` names kernels by the Python that runs each. Without it there is one, ``python3``, in
  the environment that runs the tests, which has reprolock. ``KERNELS`` lists the others:
  Python 3.10 to 3.13 with ipykernel 5, 6 and 7 and reprolock editable, 3.8 and 3.9 without it.
  ``kernel_python(name, "numpy==2.2.6")`` makes one, with more packages where asked.
* A notebook is what the front end holds (``notebook.content``); the file has only what was saved.
  ``notebook.execute(code)`` runs code that stands in no cell; ``notebook.answers`` are given to
  ``input()``; ``notebook.front_end`` answers Colab's requests (``tests/colab``).
* Every folder that Jupyter, IPython or a home would have is below *tmp_path*. All that a server
  started ends with it, found by the environment that it inherited, however it was detached.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import filelock
import nbformat
import urllib3
from websocket import WebSocketConnectionClosedException, WebSocketTimeoutException
from websocket import create_connection as open_websocket

from tests.kernels import RUNNING, SECONDS, own_python
from tests.real import CACHE, ROOT, _must, environment, interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeVar

    Notebook = TypeVar("Notebook", bound="ServerNotebook")

# A newer jsonschema brings a grammar that takes each start of a server 2.7 s.
SERVER = ("jupyter_server==2.21.1", "jsonschema==4.23.0")
LAB = (*SERVER, "jupyterlab==4.6.6")
_OLDER = ("ipython==7.34.0", "jupyter_client==7.4.9", "traitlets==5.7.1", "pyzmq==26.2.1")
_ENDING_SECONDS = 15


@dataclass(frozen=True)
class KernelKind:
    """A kernel to test with; *live*: reprolock is installed beside it, editable."""

    python: str
    requirements: tuple[str, ...]
    live: bool = True


KERNELS = {
    # ipykernel 5 imports a module that Python 3.12 took away.
    "3.10-ipykernel5": KernelKind("3.10", ("ipykernel==5.5.6", *_OLDER)),
    "3.11-ipykernel5": KernelKind("3.11", ("ipykernel==5.5.6", *_OLDER)),
    "3.11-ipykernel6": KernelKind("3.11", ("ipykernel==6.17.1", *_OLDER)),
    "3.13-ipykernel6": KernelKind("3.13", ("ipykernel==6.17.1", *_OLDER)),
    "3.10-ipykernel7": KernelKind("3.10", ("ipykernel==7.2.0",)),
    "3.11-ipykernel7": KernelKind("3.11", ("ipykernel==7.4.0",)),
    "3.12-ipykernel7": KernelKind("3.12", ("ipykernel==7.4.0",)),
    "3.13-ipykernel7": KernelKind("3.13", ("ipykernel==7.4.0",)),
    "3.8": KernelKind("3.8", ("ipykernel",), live=False),
    "3.9": KernelKind("3.9", ("ipykernel",), live=False),
}


def kernel_python(name: str, *more: str) -> Path:
    """Return the interpreter of the kernel *name* of KERNELS, with the requirements *more*.

    Made once, as all in ``.cache/envs``; skips the test where this machine has no such Python.
    """
    kind = KERNELS[name]
    wanted = (*kind.requirements, *more)
    if not kind.live:
        return environment(kind.python, wanted)
    # reprolock asks for a newer ipykernel than the oldest that it is tested with.
    rest = [one for one in _own_requirements() if not one.startswith("ipykernel")]
    return prepared(f"live{name}", kind.python, [[*wanted, *rest], ["--no-deps", "-e", str(ROOT)]])


def _own_requirements() -> list[str]:
    from tests.conftest import toml

    read = toml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(read["project"]["dependencies"])


def prepared(label: str, python: str, installs: Sequence[Sequence[str]], key: str = "") -> Path:
    """Return the interpreter of an environment made by several installs, one after the other.

    Each of *installs* is the end of a ``uv pip install`` line. *key* stands for what the
    lines do not tell, such as the content of a folder that they name.
    """
    base = interpreter(python)
    told = json.dumps([str(base), [list(one) for one in installs], key])
    root = CACHE / "envs" / f"{label}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    root.parent.mkdir(parents=True, exist_ok=True)
    marker = root / "complete"
    with filelock.FileLock(root.parent / f"{root.name}.lock"):
        if not marker.exists():
            shutil.rmtree(root, ignore_errors=True)
            _must("venv", "--quiet", "--no-project", "--python", str(base), str(root))
            to = ("--python", str(root / "bin" / "python"), "--link-mode", "copy")
            for one in installs:
                _must("pip", "install", "--quiet", *to, *one)
            marker.write_text(told, encoding="utf-8")
    return root / "bin" / "python"


# The server


@contextmanager
def server(
    tmp_path: Path,
    folder: Path,
    *,
    lab: bool = False,
    kernels: Mapping[str, Path] | None = None,
    python: Path | None = None,
    module: str = "ipykernel_launcher",
    config: Mapping[str, Mapping[str, Any]] | None = None,
    environ: Mapping[str, str] | None = None,
    port: int | None = None,
    token: str | None = None,
) -> Iterator[Server]:
    """Start a server with *folder* as its root, and end all that it started.

    *kernels* maps a kernel's name to its Python, *python* runs the server (else an environment of
    SERVER or LAB), *module* is what a kernel is started with, *config* and *environ* add to the
    server's settings and environment variables, which its kernels inherit. *port* and *token* are
    found by chance where not given; an empty token lets everyone in, as on Colab.
    """
    python = python or environment(RUNNING, LAB if lab else SERVER)
    token = secrets.token_hex(24) if token is None else token
    place = _Place(tmp_path / f"jupyter-{secrets.token_hex(4)}", token)
    folder.mkdir(parents=True, exist_ok=True)
    kernels = kernels or {"python3": own_python()}
    for name, one in kernels.items():
        place.add_kernel(name, one, module)
    place.configure(folder, port or free_port(), config or {})
    log = (place.root / "server.log").open("wb")
    process = subprocess.Popen(
        [str(python), "-m", "jupyterlab" if lab else "jupyter_server"],
        cwd=folder, env={**place.environ(python), **(environ or {})},
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        yield Server(place, folder, kernels, process, _until_up(place, process))
    finally:
        end(process, "JUPYTER_RUNTIME_DIR", str(place.runtime))
        log.close()


class _Place:
    """The folders of one server, all below *root*."""

    def __init__(self, root: Path, token: str) -> None:
        self.root = root
        self.token = token
        self.runtime = root / "runtime"
        self.settings = root / "config"
        self.data = root / "data"
        self.home = root / "home"
        for one in (self.runtime, self.settings, self.data, self.home):
            one.mkdir(parents=True)

    def add_kernel(self, name: str, python: Path, module: str) -> None:
        spec = {
            "argv": [str(python), "-m", module, "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            # As where the server lives in the kernel's environment: `!pip` is the kernel's own.
            "env": {"PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])},
        }
        folder = self.data / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")

    def configure(self, folder: Path, port: int, more: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the settings. The token is one of them, since a kernel inherits variables."""
        settings: dict[str, dict[str, Any]] = {
            "ServerApp": {
                "ip": "127.0.0.1",
                "port": port,
                "root_dir": str(folder),
                "open_browser": False,
                "allow_root": True,
                "disable_check_xsrf": not self.token,
            },
            "IdentityProvider": {"token": self.token},
            "LabApp": {
                "extension_manager": "readonly",
                "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            },
        }
        for name, values in more.items():
            settings.setdefault(name, {}).update(values)
        text = json.dumps(settings)
        for file in ("jupyter_server_config.json", "jupyter_lab_config.json"):
            (self.settings / file).write_text(text, encoding="utf-8")
        # Else JupyterLab asks, over the notebook, whether it may fetch news.
        extension = self.settings / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        extension.mkdir(parents=True)
        (extension / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')

    def environ(self, python: Path) -> dict[str, str]:
        """Return the variables of the server: the caller's, with a home and folders of its own."""
        dropped = (
            "JUPYTER_PATH", "JUPYTER_TOKEN", "MPLBACKEND", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV",
        )  # fmt: skip
        kept = {key: value for key, value in os.environ.items() if key not in dropped}
        home = Path.home()
        return {
            # What a person set pip and uv to, and what they have fetched, is no part of a home here.
            "PIP_CACHE_DIR": str(home / ".cache" / "pip"),
            "PIP_CONFIG_FILE": str(home / ".config" / "pip" / "pip.conf"),
            "UV_CACHE_DIR": str(home / ".cache" / "uv"),
            **kept,
            "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
            "HOME": str(self.home),
            "IPYTHONDIR": str(self.home / ".ipython"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_CONFIG_DIR": str(self.settings),
            "JUPYTER_DATA_DIR": str(self.data),
            "JUPYTERLAB_SETTINGS_DIR": str(self.settings / "lab" / "user-settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.settings / "lab" / "workspaces"),
            **{f"XDG_{name}_HOME": str(self.home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")},
        }  # fmt: skip

    def log_tail(self) -> str:
        return (self.root / "server.log").read_text(encoding="utf-8", errors="replace")[-4000:]


def free_port() -> int:
    """Return a port of this machine that nobody listens on just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _until_up(place: _Place, process: subprocess.Popen[bytes]) -> str:
    """Return the server's address, from the file that it writes: its port may be another."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        for file in place.runtime.glob(f"jpserver-{process.pid}.json"):
            with contextlib.suppress(ValueError, urllib3.exceptions.HTTPError):
                url = json.loads(file.read_text(encoding="utf-8"))["url"].rstrip("/")
                headers = {"Authorization": f"token {place.token}"}
                answer = urllib3.request("GET", f"{url}/api/status", headers=headers, retries=False)
                if answer.status == 200:
                    return str(url)
        time.sleep(0.05)
    raise AssertionError(f"the server did not come up (exit {process.poll()})\n{place.log_tail()}")


def end(process: subprocess.Popen[bytes], variable: str, value: str) -> None:
    """End *process*, kindly at first, and all that inherited ``variable=value`` from it.

    A variable and no process tree: a kernel, and what a cell started, are sessions of their own
    and outlive their parent.
    """
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(_ENDING_SECONDS)
    until = time.monotonic() + _ENDING_SECONDS
    while left := inheritors(variable, value):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert time.monotonic() < until, f"processes {left} do not end"
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
    process.wait()


def inheritors(variable: str, value: str) -> list[int]:
    """Return the living processes that were started with ``variable=value``."""
    wanted = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


class Server:
    """A running server. *url* has no slash at its end."""

    def __init__(
        self,
        place: _Place,
        folder: Path,
        kernels: Mapping[str, Path],
        process: subprocess.Popen[bytes],
        url: str,
    ) -> None:
        self.folder = folder
        self.process = process
        self.url = url
        self.token = place.token
        self.runtime = place.runtime
        self.kernels = dict(kernels)
        self.home = place.home
        self._place = place
        self._pool = urllib3.PoolManager(retries=False, timeout=SECONDS)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer to a request of the API, from JSON; an error's status fails the test."""
        answer = self._pool.request(
            method, f"{self.url}/api/{quote(path)}", headers=self.headers(), json=body
        )
        said = answer.data.decode(errors="replace")
        assert answer.status < 400, f"{method} {path}: {answer.status} {said}\n{self.log()}"
        return json.loads(said) if said else None

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def address(self, path: str) -> str:
        """Return the page on which a browser opens the notebook at *path* in JupyterLab."""
        return f"{self.url}/lab/tree/{quote(path)}?token={self.token}&reset"

    def log(self) -> str:
        return self._place.log_tail()

    def file(self, path: str) -> Path:
        return self.folder / path

    @contextmanager
    def notebook(
        self, path: str, sources: Sequence[str] = (), *, kernel: str = "python3", save: bool = True
    ) -> Iterator[ServerNotebook]:
        """Open the notebook at *path* with a kernel; one with *sources* as cells where given.

        Without *save* it is on no disk until ``ServerNotebook.save``.
        """
        with opened(ServerNotebook(self, path, kernel), sources, save=save) as notebook:
            yield notebook


@contextmanager
def opened(notebook: Notebook, sources: Sequence[str], *, save: bool = True) -> Iterator[Notebook]:
    """Connect *notebook* to a kernel, with *sources* as its cells or else as its file has it."""
    for source in sources:
        notebook.add(source)
    if not sources:
        notebook.reload()
    elif save:
        notebook.save()
    notebook.connect()
    try:
        yield notebook
    finally:
        notebook.close()


# A notebook in the front end


class KernelDiedError(AssertionError):
    """The kernel went away before the cell's end."""


@dataclass
class CellRun:
    """One run of one cell: *status* is "ok", "error" or "aborted", and "" while it runs."""

    notebook: ServerNotebook
    message: str
    status: str = ""
    execution_count: int | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    idle: bool = False
    clear_at_next: bool = False

    @property
    def done(self) -> bool:
        return bool(self.status) and self.idle

    @property
    def text(self) -> str:
        """What a person reads without a browser: streams and plain text, in their order."""
        return "".join(
            one.get("text", "") or one.get("data", {}).get("text/plain", "") for one in self.outputs
        )

    @property
    def html(self) -> str:
        return "".join(one.get("data", {}).get("text/html", "") for one in self.outputs)

    @property
    def error(self) -> str | None:
        """The name of the exception that ended the cell."""
        names = [one["ename"] for one in self.outputs if one["output_type"] == "error"]
        return names[-1] if names else None

    def wait(self, seconds: float = SECONDS) -> CellRun:
        """Return self when the cell has ended; raises KernelDiedError, and AssertionError when late."""
        self.notebook.listen(lambda: self.done, seconds)
        return self


class ServerNotebook:
    """A notebook as a front end holds it: its content, a session of the server, and a socket."""

    def __init__(self, server: Server, path: str, kernel: str) -> None:
        self.server = server
        self.path = path
        self.kernel_name = kernel
        self.content = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
        )
        self.session_id: str | None = None
        self.kernel_id: str | None = None
        self.answers: list[str] = []
        self.front_end: Callable[[str, Any], dict[str, Any] | None] = lambda _kind, _body: None
        self.requests: list[tuple[str, Any]] = []
        self.deleted: list[str] = []
        self.displays: dict[str, list[Any]] = {}
        self._client = uuid.uuid4().hex
        self._socket: Any = None
        self._runs: dict[str, CellRun] = {}
        self._replies: dict[str, dict[str, Any]] = {}
        self._pid: int | None = None
        self._died = False

    # Cells, in the front end only

    @property
    def cells(self) -> list[Any]:
        return list(self.content.cells)

    def add(self, source: str, at: int | None = None, kind: str = "code") -> int:
        """Put a new cell at an index, at the end where none is said; return the index."""
        make = getattr(nbformat.v4, f"new_{kind}_cell")
        at = len(self.content.cells) if at is None else at
        self.content.cells.insert(at, make(source))
        return at

    def edit(self, index: int, source: str) -> None:
        self.content.cells[index].source = source

    def delete(self, index: int) -> None:
        self.deleted.append(self.content.cells.pop(index).id)

    def move(self, index: int, to: int) -> None:
        self.content.cells.insert(to, self.content.cells.pop(index))

    # Running

    def run(self, index: int, seconds: float = SECONDS) -> CellRun:
        """Run the cell at *index* and wait for its end."""
        return self.start(index).wait(seconds)

    def run_all(self) -> list[CellRun]:
        """Run the code cells from top to bottom, up to the first that fails."""
        done: list[CellRun] = []
        for index, cell in enumerate(self.content.cells):
            if cell.cell_type == "code":
                done.append(self.run(index))
                if done[-1].status != "ok":
                    break
        return done

    def start(self, index: int) -> CellRun:
        """Send the cell at *index* to the kernel; ``CellRun.wait`` waits for its end."""
        cell = self.content.cells[index]
        cell.outputs, cell.execution_count = [], None
        started = self._execute(cell.source, self.cell_metadata(cell))
        started.outputs = cell.outputs
        return started

    def execute(self, code: str, seconds: float = SECONDS, *, store: bool = True) -> CellRun:
        """Run *code* that stands in no cell, as a console at the same kernel does."""
        return self._execute(code, {}, store=store).wait(seconds)

    def cell_metadata(self, cell: Any) -> dict[str, Any]:
        """Return what JupyterLab sends along with a cell's code."""
        told, self.deleted = self.deleted, []
        return {**cell.metadata, "deletedCells": told, "recordTiming": False, "cellId": cell.id}

    def _execute(self, code: str, metadata: dict[str, Any], *, store: bool = True) -> CellRun:
        content = {
            "code": code,
            "silent": False,
            "store_history": store,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": True,
        }
        run = CellRun(self, self._send("shell", "execute_request", content, metadata))
        self._runs[run.message] = run
        return run

    # The file

    def save(self) -> Path:
        """Write the notebook as it stands through the server; return the file."""
        body = {"type": "notebook", "format": "json", "content": self.content}
        self.server.ask("PUT", f"contents/{self.path}", body)
        return self.file

    def reload(self) -> None:
        """Take over what the file has, as a front end that is opened anew."""
        read = self.server.ask("GET", f"contents/{self.path}")["content"]
        self.content = nbformat.from_dict(read)

    @property
    def file(self) -> Path:
        return self.server.file(self.path)

    def rename(self, path: str, *, tell_session: bool = True) -> None:
        """Rename the file and, as JupyterLab does, its session."""
        self.server.ask("PATCH", f"contents/{self.path}", {"path": path})
        self.path = path
        if tell_session:
            body = {"path": path, "name": Path(path).name, "type": "notebook"}
            self.server.ask("PATCH", f"sessions/{self.session_id}", body)

    # The kernel

    def session_request(self) -> dict[str, Any]:
        """Return what the front end asks a session with."""
        return {"path": self.path, "name": Path(self.path).name, "type": "notebook"}

    def connect(self) -> None:
        """Start a kernel for the notebook and wait until it answers."""
        body = {**self.session_request(), "kernel": {"name": self.kernel_name}}
        session = self.server.ask("POST", "sessions", body)
        self.session_id, self.kernel_id = session["id"], session["kernel"]["id"]
        self.attach()

    def attach(self) -> None:
        """Open the socket to the kernel, anew where one was open: a page that is loaded again."""
        self.detach()
        address = self.server.url.replace("http", "ws", 1)
        self._socket = open_websocket(
            f"{address}/api/kernels/{self.kernel_id}/channels?session_id={self._client}",
            header=self.server.headers(), timeout=SECONDS, suppress_origin=True,
        )  # fmt: skip
        self._died = False
        self._until_ready()

    def detach(self) -> None:
        """Close the socket; the kernel runs on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def restart(self) -> None:
        """Restart the kernel as the button does: the same id, an empty namespace."""
        self.server.ask("POST", f"kernels/{self.kernel_id}/restart")
        self._pid = None
        self.attach()

    def interrupt(self) -> None:
        self.server.ask("POST", f"kernels/{self.kernel_id}/interrupt")

    def reconnect(self) -> None:
        """Give up the session and go on in a new kernel, as after a runtime was taken away."""
        self._leave()
        self.connect()

    @property
    def pid(self) -> int:
        """The kernel's process, as the kernel says; asked once, so ask before a long cell."""
        if self._pid is None:
            said = int(self._ask_kernel("__import__('os').getpid()"))
            assert said in inheritors("JUPYTER_RUNTIME_DIR", str(self.server.runtime))
            self._pid = said
        return self._pid

    def kill(self) -> None:
        """End the kernel with SIGKILL, in the middle of whatever it does.

        The server notices within seconds and starts another under the same id, as it does for
        everyone: ``attach`` waits for that. ``reconnect`` goes on in a kernel of another id at once.
        """
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + SECONDS
        while alive(pid):
            assert time.monotonic() < until, f"the kernel {pid} lives on"
            time.sleep(0.02)
        self._pid, self._died = None, True

    def close(self) -> None:
        """End the session with its kernel, unless the server has ended first."""
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            self._leave()

    def _leave(self) -> None:
        self.detach()
        self._pid = None
        if self.session_id is not None:
            self.server.ask("DELETE", f"sessions/{self.session_id}")
            self.session_id = None

    def _until_ready(self) -> None:
        """Ask until the kernel answers: a question that comes before its sockets is lost."""
        until = time.monotonic() + SECONDS
        while True:
            asked = self._send("shell", "kernel_info_request", {})
            self._died = False  # the server may be starting it again
            with contextlib.suppress(TimeoutError, KernelDiedError):
                self.listen(lambda asked=asked: asked in self._replies, 2)  # type: ignore[misc]
                return
            assert time.monotonic() < until, f"the kernel does not answer\n{self.server.log()}"

    def _ask_kernel(self, expression: str) -> str:
        """Return how the kernel prints *expression*, asked in silence: no count, no history."""
        content = {
            "code": "",
            "silent": True,
            "store_history": False,
            "user_expressions": {"told": expression},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        asked = self._send("shell", "execute_request", content)
        self.listen(lambda: asked in self._replies, SECONDS)
        return str(self._replies[asked]["user_expressions"]["told"]["data"]["text/plain"])

    # Messages (jupyter-client's "Messaging in Jupyter", version 5.3; JSON frames)

    def _send(
        self, channel: str, kind: str, content: Any, metadata: Any = None, parent: Any = None
    ) -> str:
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "session": self._client,
            "username": "",
            "version": "5.3",
            "date": datetime.now(timezone.utc).isoformat(),
        }
        message = {
            "header": header,
            "parent_header": parent or {},
            "metadata": metadata or {},
            "content": content,
            "channel": channel,
            "buffers": [],
        }
        self._socket.send(json.dumps(message))
        return str(header["msg_id"])

    def listen(self, until: Callable[[], bool], seconds: float) -> None:
        """Take in messages until *until* is true; raises TimeoutError after *seconds*."""
        end = time.monotonic() + seconds
        while not until():
            if self._died:
                raise KernelDiedError(f"the kernel of {self.path} went away")
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.path}: not within {seconds} s\n{self.server.log()}")
            self._socket.settimeout(left)
            with contextlib.suppress(WebSocketTimeoutException):
                self._take()

    def _take(self) -> None:
        try:
            message = json.loads(self._socket.recv())
        except WebSocketConnectionClosedException:
            self._died = True
            return
        kind, content = message["msg_type"], message["content"]
        if kind.endswith("_reply"):
            self._replies[message["parent_header"].get("msg_id", "")] = content
        if kind == "status" and content["execution_state"] in ("restarting", "dead"):
            self._died = True
        elif kind == "input_request":
            self._answer(message)
        elif kind == "colab_request":
            self._answer_colab(message)
        run = self._runs.get(message["parent_header"].get("msg_id", ""))
        if run is not None:
            _take_in(run, kind, content)
            self._show(run)

    def _show(self, run: CellRun) -> None:
        """Put a run's execution count into the cell that it fills."""
        for cell in self.content.cells:
            if cell.cell_type == "code" and cell.outputs is run.outputs:
                cell.execution_count = run.execution_count

    def _answer(self, message: dict[str, Any]) -> None:
        assert self.answers, (
            f"the cell asks {message['content']['prompt']!r}, and no answer is left"
        )
        answer = {"value": self.answers.pop(0), "status": "ok"}
        self._send("stdin", "input_reply", answer, parent=message["header"])

    def _answer_colab(self, message: dict[str, Any]) -> None:
        """Answer a request of a Colab kernel, where it asks for an answer and there is one."""
        about = message["metadata"]
        kind, body = about["colab_request_type"], message["content"].get("request")
        self.requests.append((kind, body))
        if "colab_msg_id" not in about:
            return
        answer = self.front_end(kind, body)
        if answer is not None:
            told = {"type": "colab_reply", "colab_msg_id": about["colab_msg_id"], **answer}
            self._send("stdin", "input_reply", {"value": told}, parent=message["header"])


def alive(pid: int) -> bool:
    """Return whether the process lives; one that ended and is not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return state.rsplit(")", 1)[-1].split()[0] not in ("Z", "X")


def _take_in(run: CellRun, kind: str, content: dict[str, Any]) -> None:
    """Change *run* by a message of its kernel as a front end changes the cell's output area."""
    if kind == "execute_reply":
        run.status = content["status"]
        run.execution_count = content.get("execution_count", run.execution_count)
    elif kind == "execute_input":
        run.execution_count = content["execution_count"]
    elif kind == "status":
        run.idle = content["execution_state"] == "idle"
    elif kind == "clear_output":
        run.clear_at_next = True
        if not content.get("wait"):
            _clear(run)
    elif kind == "update_display_data":
        _update(run, content)
    elif kind in ("stream", "display_data", "execute_result", "error"):
        _clear(run)
        _put_out(run, kind, content)


def _clear(run: CellRun) -> None:
    if run.clear_at_next:
        run.outputs.clear()
        run.clear_at_next = False


def _put_out(run: CellRun, kind: str, content: dict[str, Any]) -> None:
    last = run.outputs[-1] if run.outputs else {}
    if kind == "stream" and last.get("output_type") == kind and last["name"] == content["name"]:
        last["text"] += content["text"]
        return
    values = {key: value for key, value in content.items() if key != "transient"}
    output = nbformat.v4.new_output(kind, **values)
    run.outputs.append(output)
    shown = content.get("transient", {}).get("display_id")
    if shown:
        run.notebook.displays.setdefault(shown, []).append(output)


def _update(run: CellRun, content: dict[str, Any]) -> None:
    for output in run.notebook.displays.get(content["transient"]["display_id"], []):
        output["data"], output["metadata"] = content["data"], content["metadata"]
