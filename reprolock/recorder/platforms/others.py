"""Platforms that are recognised; their notebooks are found by the ways that work everywhere.

Signs and their sources:

* Databricks, ``DATABRICKS_RUNTIME_VERSION``: databricks/databricks-sdk-py, pull request 287;
  ``/dbfs`` and ``/Workspace``: Databricks' docs "Work with files"
* Binder, ``BINDER_LAUNCH_HOST``, ``BINDER_REPO_URL`` and ``BINDER_REF_URL``, whose end is the
  commit that the image was built from: jupyterhub/binderhub, ``binderspawner_mixin.py``
  (``get_env``)
* GitHub Codespaces, ``CODESPACES``: GitHub's docs "Default environment variables for your
  codespace"; ``/workspaces``: its docs "Deep dive into GitHub Codespaces"
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from .seam import Found, Machine, Platform, Search

FOLDERS: Dict[str, Tuple[str, ...]] = {
    "databricks": ("/dbfs", "/Workspace"),
    "binder": (),
    "codespaces": ("/workspaces",),
}


def recognise(machine: Machine) -> Optional[Platform]:
    runtime = machine.first("DATABRICKS_RUNTIME_VERSION")
    if runtime:
        return Platform("databricks", runtime, FOLDERS["databricks"])
    if machine.first("BINDER_LAUNCH_HOST", "BINDER_REPO_URL", "BINDER_SERVICE_HOST"):
        built_from = (machine.first("BINDER_REF_URL") or "").rstrip("/").rpartition("/")[2]
        return Platform("binder", built_from or None, FOLDERS["binder"])
    if machine.first("CODESPACES"):
        return Platform("codespaces", None, FOLDERS["codespaces"])
    return None


def find(search: Search) -> Optional[Found]:
    """Say what these platforms add to the ways that work everywhere: nothing."""
    del search
    return None
