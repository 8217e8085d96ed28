"""Google Colab.

Signs and their sources:

* ``COLAB_RELEASE_TAG``, the runtime's release: googlecolab/colabtools,
  ``google/colab/_serverextension/_handlers.py``; ``COLAB_GPU``: set in every runtime
* the module ``google.colab``: colabtools, loaded in every kernel of Colab's
* ``google.colab._message.blocking_request('get_ipynb')``: colabtools, ``_message.py``, for the
  way it asks the front end; the request's name is not in it, but in programs that many people
  use in Colab (wandb/wandb, ``wandb/jupyter.py``)
* ``COLAB_JUPYTER_IP``, ``KMP_TARGET_PORT``, ``COLAB_JUPYTER_TOKEN``, the server that the kernel
  runs behind, whose sessions tell the notebook's name, percent-encoded: in lists of variables that
  users published of runtimes of 2023 and 2024, and in their programs since; not documented
* ``/content`` and ``/content/drive/MyDrive``: colabtools, ``files.py`` and ``drive.py``, and the
  notebook "External data: Local Files, Drive, Sheets, and Cloud Storage"
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Dict, Optional, Tuple

from . import jupyter
from .seam import Found, Machine, Platform, Search, why

FOLDERS: Dict[str, Tuple[str, ...]] = {
    "colab": ("/content", "/content/drive/MyDrive", "/content/drive/Shareddrives")
}

_MESSAGES = "google.colab._message"
_OUTSIDE = "Colab gives the notebook only to its kernel: add a cell with %load_ext reprolock"


def recognise(machine: Machine) -> Optional[Platform]:
    seen = machine.first("COLAB_RELEASE_TAG", "COLAB_GPU") or "google.colab" in machine.modules
    if not seen and "COLAB_GPU" not in machine.environ:
        return None
    return Platform("colab", machine.first("COLAB_RELEASE_TAG"), FOLDERS["colab"])


def find(search: Search) -> Optional[Found]:
    content = from_front_end(search)
    name = _name_in(content) or _name_by_server(search)
    if content is None and name is None:
        return None
    how = "the sessions of Colab's server" if content is None else "Colab's front end"
    return Found(None, content, name, how)


def from_front_end(search: Search) -> Optional[Dict[str, Any]]:
    """Return the notebook as it is in the browser, saved or not."""
    if search.machine.shell is None:
        search.tell(_OUTSIDE)
        return None
    try:
        said = _messages(search.machine).blocking_request(
            "get_ipynb", request="", timeout_sec=search.left()
        )
    except Exception as problem:
        search.tell("Colab's front end could not be asked for the notebook: " + why(problem))
        return None
    content = said.get("ipynb") if isinstance(said, dict) else None
    if not jupyter.is_notebook(content):
        search.tell(
            "Colab's front end did not answer in time; the notebook's tab has to be open"
            if said is None
            else "Colab's front end answered with something that is no notebook"
        )
        return None
    return dict(content)  # type: ignore[arg-type]


def _messages(machine: Machine) -> Any:
    found = machine.modules.get(_MESSAGES)
    if found is None and machine.modules is sys.modules:
        found = importlib.import_module(_MESSAGES)
    if found is None:
        raise LookupError(_MESSAGES + " is not there")
    return found


def _name_in(content: Optional[Dict[str, Any]]) -> Optional[str]:
    try:
        name = content["metadata"]["colab"]["name"]  # type: ignore[index]
    except (KeyError, TypeError):
        return None
    return name if isinstance(name, str) and name else None


def _name_by_server(search: Search) -> Optional[str]:
    from urllib.parse import unquote

    machine = search.machine
    address = machine.first("COLAB_JUPYTER_IP")
    port = machine.first("KMP_TARGET_PORT")
    if not (address and port and search.kernel_id):
        return None
    token = machine.environ.get("COLAB_JUPYTER_TOKEN", "")
    server = jupyter.Server("http://{}:{}/".format(address, port), token, ())
    for session in jupyter.sessions_of(search, server, search.left()):
        if isinstance(session.get("name"), str) and session["name"]:
            return unquote(session["name"])
    return None
