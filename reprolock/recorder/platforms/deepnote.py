"""Deepnote.

Signs and their sources, in deepnote/deepnote-toolkit where nothing else is said:

* ``DEEPNOTE_PROJECT_ID``: ``deepnote_toolkit/set_notebook_path.py`` (which sets it where it is not
  set) and ``get_webapp_url.py``
* its own server, ``DEEPNOTE_JUPYTER_PORT`` (8888) and ``DEEPNOTE_JUPYTER_TOKEN`` (none), whose
  sessions tell the notebook's path: ``set_notebook_path.py``, which asks in the same way;
  ``DEEPNOTE_SERVER__JUPYTER_PORT``: ``deepnote_core/config/loader.py``
* the folder that paths start at, in this order: ``DEEPNOTE_PATHS__NOTEBOOK_ROOT``,
  ``DEEPNOTE_PATHS__HOME_DIR`` or ``DEEPNOTE_HOME_DIR``, ``/work`` or ``~/work``:
  ``set_notebook_path.py``
* the module ``deepnote_toolkit`` with ``__version__``: ``deepnote_toolkit/__init__.py``
* ``/work``, ``/datasets``: ``dockerfiles/jupyter-for-local-hotreload/entrypoint.sh`` and
  Deepnote's docs
"""

from __future__ import annotations

import os
from typing import Dict, Optional, Tuple

from . import jupyter
from .seam import Found, Machine, Platform, Search

FOLDERS: Dict[str, Tuple[str, ...]] = {"deepnote": ("/work", "/datasets")}


def recognise(machine: Machine) -> Optional[Platform]:
    if not machine.first("DEEPNOTE_PROJECT_ID") and "deepnote_toolkit" not in machine.modules:
        return None
    version = getattr(machine.modules.get("deepnote_toolkit"), "__version__", None)
    return Platform(
        "deepnote",
        "toolkit " + version if isinstance(version, str) else None,
        FOLDERS["deepnote"],
    )


def find(search: Search) -> Optional[Found]:
    machine = search.machine
    port = machine.first("DEEPNOTE_SERVER__JUPYTER_PORT", "DEEPNOTE_JUPYTER_PORT") or "8888"
    token = machine.environ.get("DEEPNOTE_JUPYTER_TOKEN", "")
    server = jupyter.Server("http://127.0.0.1:{}/".format(port), token, _roots(machine))
    return jupyter.ask(search, [server])


def _roots(machine: Machine) -> Tuple[str, ...]:
    chosen = (
        machine.first("DEEPNOTE_PATHS__NOTEBOOK_ROOT"),
        machine.first("DEEPNOTE_PATHS__HOME_DIR", "DEEPNOTE_HOME_DIR"),
        "/work",
        os.path.join(machine.environ.get("HOME") or os.path.expanduser("~"), "work"),
    )
    return tuple(dict.fromkeys(root for root in chosen if root))
