"""Jupyter: Jupyter server, JupyterLab, the classic notebook and JupyterHub.

Signs and their sources:

* ``jpserver-PID.json`` in the runtime folder, with url, token, root_dir, password, pid, hostname,
  port, sock: jupyter-server/jupyter_server, ``serverapp.py`` (``server_info``). ``nbserver-``
  with notebook_dir: jupyter/notebook 6, ``notebookapp.py``
* the runtime folder: jupyter/jupyter_core, ``paths.py`` (``jupyter_runtime_dir``)
* ``GET api/sessions`` with ``Authorization: token ...``: jupyter_server, ``sessionmanager.py``
  (``row_to_model``) and ``auth/identity.py``; ``GET api/contents/PATH``: its ``api.yaml``
* ``JPY_SESSION_NAME``, the notebook's file as it was called when the kernel started, since
  jupyter_server 2.0.7: ``sessionmanager.py`` (``get_kernel_env``). It is inherited by whatever a
  kernel starts, other kernels included
* ``JPY_PARENT_PID``, the process that started the kernel: jupyter/jupyter_client, ``launcher.py``
* the prefix ``RTC:`` in the paths of sessions: jupyterlab/jupyter-collaboration, issue 183
* ``-jvsc-`` in them, a notebook that VS Code keeps: microsoft/vscode-jupyter,
  ``jupyterKernelSessionFactory.ts``
* ``JUPYTERHUB_API_URL``, ``JUPYTERHUB_SERVICE_PREFIX``, ``JUPYTERHUB_API_TOKEN``:
  jupyterhub/jupyterhub, docs "Spawners"; that the last one opens the user's own server:
  ``roles.py`` (role ``server``, scope ``access:servers!server``)
* ``JUPYTER_IMAGE``, the container image: jupyterhub/kubespawner, ``spawner.py`` (``get_env``)
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .seam import (
    Found,
    Machine,
    Platform,
    Search,
    environment_of,
    is_here,
    why,
    without_registry,
)

FOLDERS: Dict[str, Tuple[str, ...]] = {"jupyter": (), "jupyterhub": ()}

_WILDCARDS = ("", "*", "0.0.0.0", "::", "[::]")  # noqa: S104 - read, not bound
_DRIVE = "RTC:"
_VSCODE = "-jvsc-"
_MOST = 3.0  # seconds for one server


class Server(NamedTuple):
    """*url* ends with a slash; *roots*: folders that the paths of its sessions may start at."""

    url: str
    token: str
    roots: Tuple[str, ...]
    pid: int = 0

    @property
    def label(self) -> str:
        """What to call it in a message: the address may tell the user's name."""
        return "the Jupyter server at {}".format(self.url.split("/")[2])


def recognise(machine: Machine) -> Optional[Platform]:
    if machine.first("JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_PREFIX"):
        image = machine.first("JUPYTER_IMAGE", "JUPYTER_IMAGE_SPEC")
        return Platform("jupyterhub", without_registry(image) if image else None)
    return Platform("jupyter")


def find(search: Search) -> Optional[Found]:
    """Ask the running servers, the one that started the kernel first; then JPY_SESSION_NAME."""
    servers = running_servers(search)
    found = ask(search, servers) or by_session_name(search)
    if found is None and not servers:
        search.tell("no running Jupyter server that can be asked has a file in its runtime folder")
    return found


# -- the servers -----------------------------------------------------------------------------


def running_servers(search: Search) -> List[Server]:
    """Return the servers whose files say that they run here, the kernel's own one first."""
    machine = search.machine
    servers = []
    for folder in _runtime_folders(machine):
        for kind in ("jpserver-*.json", "nbserver-*.json"):
            for path in machine.glob(os.path.join(folder, kind)):
                server = _server(search, path)
                if server is not None and server not in servers:
                    servers.append(server)
    parent = _parent(machine)
    return sorted(servers, key=lambda server: server.pid != parent)


def _runtime_folders(machine: Machine) -> List[str]:
    """Return the folders that the servers' files may be in, on any system."""
    environ = machine.environ
    home = environ.get("HOME") or os.path.expanduser("~")
    data = [
        environ.get("JUPYTER_DATA_DIR"),
        environ.get("XDG_DATA_HOME") and os.path.join(environ["XDG_DATA_HOME"], "jupyter"),
        os.path.join(home, ".local", "share", "jupyter"),
        os.path.join(home, "Library", "Jupyter"),
        environ.get("APPDATA") and os.path.join(environ["APPDATA"], "jupyter"),
    ]
    folders = [os.path.join(folder, "runtime") for folder in data if folder]
    connection = _connection_folder(machine.shell)
    first = [folder for folder in (environ.get("JUPYTER_RUNTIME_DIR"), connection) if folder]
    return list(dict.fromkeys(first + folders))


def _connection_folder(shell: Any) -> Optional[str]:
    """Return the folder of the kernel's connection file: the server's runtime folder."""
    try:
        return os.path.dirname(str(shell.config["IPKernelApp"]["connection_file"])) or None
    except Exception:
        return None


def _server(search: Search, path: str) -> Optional[Server]:
    name = os.path.basename(path)
    try:
        facts = json.loads(search.machine.read(path) or "")
        pid, url = int(facts.get("pid") or 0), str(facts["url"])
        if not _is_alive(search.machine, pid):
            return None
        if facts.get("sock"):
            search.tell("the server of {} listens on a Unix socket, not asked here".format(name))
            return None
        url = _reachable(facts, url)
        root = str(facts.get("root_dir") or facts.get("notebook_dir") or "")
        token = str(facts.get("token") or "") or _hub_token(search.machine, url)
    except (AttributeError, KeyError, TypeError, ValueError):
        search.tell("{} in Jupyter's runtime folder does not describe a server".format(name))
        return None
    if facts.get("password") and not token:
        search.tell("the server of {} asks for a password, which is not known here".format(name))
        return None
    return Server(url, token, (root,) if root else (), pid)


def _is_alive(machine: Machine, pid: int) -> bool:
    if not pid or not machine.exists("/proc/self"):
        return True
    return machine.exists("/proc/{}".format(pid))


def _reachable(facts: Dict[str, Any], url: str) -> str:
    """Return the address with loopback for the name of this machine, which need not resolve."""
    host = str(facts.get("hostname"))
    if facts.get("port") and (host in _WILDCARDS or host == "localhost"):
        scheme = "https" if facts.get("secure") else "http"
        host = "127.0.0.1" if host in _WILDCARDS else host
        base = "/" + str(facts.get("base_url") or "/").strip("/")
        url = "{}://{}:{}{}".format(scheme, host, int(facts["port"]), base)
    return url.rstrip("/") + "/"


def _hub_token(machine: Machine, url: str) -> str:
    """Return the hub's token for the user's own server: only for an address of this machine."""
    from urllib.parse import urlsplit

    here = is_here(urlsplit(url).hostname or "")
    return machine.environ.get("JUPYTERHUB_API_TOKEN", "") if here else ""


# -- the sessions ----------------------------------------------------------------------------


def ask(search: Search, servers: Sequence[Server]) -> Optional[Found]:
    """Return what the first server that knows the kernel says of its notebook."""
    if not search.kernel_id:
        search.tell("this process is no kernel that a Jupyter server could know")
        return None
    for asked, server in enumerate(servers):
        sessions = sessions_of(search, server, search.left() / (len(servers) - asked))
        notebook = _notebook(search, server, sessions)
        if notebook is not None:
            return _resolve(search, server, notebook)
    return None


def sessions_of(search: Search, server: Server, seconds: float) -> List[Dict[str, Any]]:
    """Return the sessions of the kernel that is looked for, none of any other."""
    said = _get(search, server, "api/sessions", min(_MOST, seconds))
    if said is not None and not isinstance(said, list):
        search.tell("{} did not answer with a list of sessions".format(server.label))
    sessions = [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    return [one for one in sessions if _kernel_of(one) == search.kernel_id]


def _get(search: Search, server: Server, path: str, seconds: float) -> Any:
    headers = {"Authorization": "token " + server.token} if server.token else {}
    try:
        return search.machine.get_json(server.url + path, headers, seconds)
    except Exception as problem:
        search.tell("{} could not be asked: {}".format(server.label, why(problem)))
        return None


def _kernel_of(session: Dict[str, Any]) -> Optional[str]:
    kernel = session.get("kernel")
    found = kernel.get("id") if isinstance(kernel, dict) else None
    return found if isinstance(found, str) else None


def _notebook(search: Search, server: Server, sessions: List[Dict[str, Any]]) -> Optional[str]:
    """Return the path of the notebook among *sessions*, all of one kernel."""
    paths = [path for path in map(_path_of, sessions) if path]
    if sessions and not paths:
        search.tell("{} knows this kernel, but by no notebook".format(server.label))
    if len(set(paths)) <= 1:
        return paths[0] if paths else None
    search.tell("{} notebooks share this kernel".format(len(set(paths))))
    started = _session_name(search.machine) or ""
    return next((one for one in paths if started.endswith("/" + _plain(one))), paths[0])


def _path_of(session: Dict[str, Any]) -> Optional[str]:
    notebook = session.get("notebook")
    if session.get("type", "notebook") != "notebook":
        return None
    path = session.get("path") or (notebook.get("path") if isinstance(notebook, dict) else None)
    return path if isinstance(path, str) and path.strip("/") else None


def _plain(path: str) -> str:
    start = len(_DRIVE) if path.startswith(_DRIVE) else 0
    return path[start:].lstrip("/")


def _resolve(search: Search, server: Server, path: str) -> Found:
    name = os.path.basename(path.rstrip("/"))
    if _VSCODE in name:
        return Found(name=name.partition(_VSCODE)[0] + ".ipynb", how="the server's sessions")
    how = "the sessions of the Jupyter server"
    file = _file(search.machine, server, path)
    name = os.path.basename(_plain(path))
    if file is not None and file.endswith(".ipynb"):
        return Found(file, None, name, how)
    content = contents(search, server, path)
    if content is None and file is None:
        search.tell("{} is not in a folder of this machine".format(name))
    return Found(file, content, name, how)


def _file(machine: Machine, server: Server, path: str) -> Optional[str]:
    for root in server.roots:
        for one in (path.lstrip("/"), _plain(path)):
            file = os.path.normpath(os.path.join(root, *one.split("/")))
            if machine.exists(file):
                return file
    return None


def contents(search: Search, server: Server, path: str) -> Optional[Dict[str, Any]]:
    """Return the notebook at *path* as the server saved it last."""
    from urllib.parse import quote

    asked = "api/contents/{}?type=notebook&content=1".format(quote(_plain(path)))
    said = _get(search, server, asked, search.left(_MOST))
    content = said.get("content") if isinstance(said, dict) else None
    return content if is_notebook(content) else None


def is_notebook(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("cells"), list)


# -- the variable ----------------------------------------------------------------------------


def by_session_name(search: Search) -> Optional[Found]:
    """Return the file that JPY_SESSION_NAME names, where it was set for this very kernel."""
    path = _session_name(search.machine)
    if path is None:
        return None
    name = os.path.basename(path)
    if _VSCODE in name or not name.endswith(".ipynb"):
        return None
    if not os.path.isabs(path) or not search.machine.exists(path):
        search.tell("{}, which the kernel was started for, is not where it was".format(name))
        return Found(name=name, how="JPY_SESSION_NAME")
    return Found(path, None, name, "JPY_SESSION_NAME, the name at the kernel's start")


def _session_name(machine: Machine) -> Optional[str]:
    name = machine.environ.get("JPY_SESSION_NAME")
    return name if name and not _is_inherited(machine, name) else None


def _is_inherited(machine: Machine, name: str) -> bool:
    """Say whether another kernel's variable came along: what started this one has it as well."""
    parent = environment_of(machine.read, _parent(machine))
    if parent:
        return parent.get("JPY_SESSION_NAME") == name
    # Where processes do not tell their variables, only a server sets it.
    pattern = "[jn][pb]server-{}.json".format(_parent(machine))
    return not any(machine.glob(os.path.join(f, pattern)) for f in _runtime_folders(machine))


def _parent(machine: Machine) -> int:
    said = machine.environ.get("JPY_PARENT_PID", "")
    return int(said) if said.isascii() and said.isdigit() else -1
