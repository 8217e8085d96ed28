"""Kaggle notebooks.

Signs and their sources, in Kaggle/docker-python where nothing else is said:

* ``KAGGLE_KERNEL_RUN_TYPE`` (Interactive or Batch): ``patches/kaggle_module_resolver.py``
* ``/etc/git_commit`` and ``/etc/build_date``, the image: ``Dockerfile.tmpl``. It is built on
  Colab's image, so that Colab's signs are there as well
* ``/kaggle/input``: ``patches/kaggle_datasets.py``; ``/kaggle/working``, ``/kaggle/temp``: the
  first cell that Kaggle puts into every new notebook
* ``/kaggle/working/__notebook__.ipynb`` in a batch run: papermill's input_path and output_path in
  the notebooks that such runs publish
* the draft of an interactive session, by a POST to ``GetKernelRunSourceForCaipRequest``:
  ``patches/kaggle_session.py`` and ``patches/kaggle_web_client.py``, whose variables
  ``KAGGLE_URL_BASE``, ``KAGGLE_USER_SECRETS_TOKEN`` and ``KAGGLE_IAP_TOKEN`` are used here.
  Where datasets are attached, Kaggle puts cells before it, with the comment in ``_ADDED``
"""

from __future__ import annotations

import json
from typing import Any, Dict, Optional, Tuple

from . import jupyter
from .seam import Found, Machine, Platform, Search, why

FOLDERS: Dict[str, Tuple[str, ...]] = {
    "kaggle": ("/kaggle/input", "/kaggle/working", "/kaggle/temp")
}

_BATCH = "/kaggle/working/__notebook__.ipynb"
_BASE = "https://www.kaggle.com"
_DRAFT = "/requests/GetKernelRunSourceForCaipRequest"
_ADDED = "RUN THIS CELL IN ORDER TO IMPORT YOUR KAGGLE DATA SOURCES"


def recognise(machine: Machine) -> Optional[Platform]:
    if "KAGGLE_KERNEL_RUN_TYPE" not in machine.environ:
        return None
    image = [machine.line(path) for path in ("/etc/git_commit", "/etc/build_date")]
    known = " ".join(part for part in image if part and part != "unknown")
    return Platform("kaggle", known or None, FOLDERS["kaggle"])


def find(search: Search) -> Optional[Found]:
    if search.machine.environ.get("KAGGLE_KERNEL_RUN_TYPE") == "Batch":
        if search.machine.exists(_BATCH):
            return Found(_BATCH, None, None, "the file of Kaggle's batch run")
        search.tell("Kaggle's batch run has no __notebook__.ipynb in /kaggle/working")
        return None
    content = _draft(search)
    return None if content is None else Found(None, content, None, "Kaggle's draft of the session")


def _draft(search: Search) -> Optional[Dict[str, Any]]:
    machine = search.machine
    base = machine.first("KAGGLE_URL_BASE") or _BASE
    if machine.first("KAGGLE_USER_SECRETS_TOKEN") is None:
        search.tell("Kaggle has given this session no token to ask for the notebook with")
        return None
    try:
        said = machine.get_json(
            base.rstrip("/") + _DRAFT, _headers(machine), search.left(), {"UseDraft": True}
        )
        result = said["result"]
        content = json.loads(result.get("source") or result.get("sourceNullable"))
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError):
        search.tell("Kaggle answered with something that is no notebook")
        return None
    except Exception as problem:
        search.tell("Kaggle could not be asked for the notebook: " + why(problem))
        return None
    if not jupyter.is_notebook(content):
        search.tell("Kaggle answered with something that is no notebook")
        return None
    return _as_written(search, content)


def _headers(machine: Machine) -> Dict[str, str]:
    token = machine.environ["KAGGLE_USER_SECRETS_TOKEN"]
    headers = {"X-Kaggle-Authorization": "Bearer " + token}
    proxy = machine.first("KAGGLE_IAP_TOKEN")
    return dict(headers, Authorization="Bearer " + proxy) if proxy else headers


def _as_written(search: Search, content: Dict[str, Any]) -> Dict[str, Any]:
    """Return *content* without the cells that Kaggle put before it."""
    cells = content["cells"]
    first = 0
    while first < len(cells) and _ADDED in _source(cells[first])[:300]:
        first += 1
    if first:
        search.tell("Kaggle put {} cell(s) before the notebook, which are left out".format(first))
    return dict(content, cells=cells[first:])


def _source(cell: Any) -> str:
    source = cell.get("source") if isinstance(cell, dict) else ""
    return "".join(source) if isinstance(source, list) else str(source)
