"""Google Cloud: Vertex AI Workbench and Colab Enterprise.

Signs and their sources:

* ``VERTEX_PRODUCT`` (COLAB_ENTERPRISE, WORKBENCH_INSTANCE, WORKBENCH_CUSTOM_CONTAINER):
  googleapis/python-aiplatform, ``google/cloud/aiplatform/initializer.py``; that Colab Enterprise
  has ``google.colab``: googlecolab/colabtools, ``_shell_customizations.py``
* ``/opt/deeplearning/metadata/env_version`` and ``env_uri``, the image: the images' own
  ``jupyter_server_config.py`` (``get_env_name``); env_version is the sign of older instances in
  the setup cells of GoogleCloudPlatform/vertex-ai-samples
* ``/home/jupyter``: Google Cloud's docs "Manage features through metadata" (jupyter-user)

Where Dataproc's kernels are on, as they are by default, the server knows the kernel by another id
than the kernel itself (``kernels_mixer/kernels.py``), so that JPY_SESSION_NAME decides.
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from . import colab
from .seam import Found, Machine, Platform, Search

FOLDERS: Dict[str, Tuple[str, ...]] = {
    "vertex-workbench": ("/home/jupyter",),
    "colab-enterprise": ("/content",),
}

_IMAGE = "/opt/deeplearning/metadata/"
_WORKBENCH = ("WORKBENCH_INSTANCE", "WORKBENCH_CUSTOM_CONTAINER")


def recognise(machine: Machine) -> Optional[Platform]:
    product = machine.environ.get("VERTEX_PRODUCT")
    if product == "COLAB_ENTERPRISE":
        name, version = "colab-enterprise", machine.first("COLAB_RELEASE_TAG")
    elif product in _WORKBENCH or machine.exists(_IMAGE + "env_version"):
        name = "vertex-workbench"
        version = machine.line(_IMAGE + "env_version") or machine.line(_IMAGE + "env_uri")
    else:
        return None
    return Platform(name, version, FOLDERS[name])


def find(search: Search) -> Optional[Found]:
    """Ask Colab Enterprise's front end; Workbench's server is asked as any other."""
    if search.machine.environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        return colab.find(search)
    return None
