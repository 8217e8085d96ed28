"""Amazon SageMaker: Studio with its JupyterLab and Code Editor spaces, notebook instances, jobs.

Signs and their sources:

* ``SAGEMAKER_APP_TYPE``, ``SAGEMAKER_APP_TYPE_LOWERCASE`` and ``IMAGE_VERSION``, the image's:
  aws/sagemaker-distribution, ``entrypoint-jupyter-server`` and ``Dockerfile``
* ``SAGEMAKER_INTERNAL_IMAGE_URI``; ``SM_APP_TYPE``, ``SM_INTERNAL_IMAGE_URI`` and
  ``SERVICE_NAME=SageMakerUnifiedStudio``, their newer names: aws/aws-toolkit-vscode,
  ``extensionUtilities.ts`` (``hasSageMakerEnvVars``)
* ``/opt/ml/metadata/resource-metadata.json``: AWS's docs "Get Amazon SageMaker Studio Classic
  Notebook and App Metadata"
* ``/etc/opt/ml/sagemaker-notebook-instance-version.txt``: aws/sagemaker-python-sdk,
  ``user_agent.py``
* ``SM_CURRENT_HOST``, in training jobs: aws/sagemaker-training-toolkit,
  ``ENVIRONMENT_VARIABLES.md``
* ``/home/sagemaker-user``: sagemaker-distribution, ``Dockerfile``; ``/home/ec2-user/SageMaker``:
  AWS's docs "Amazon SageMaker notebook instances"; ``/opt/ml/input/data``: the training toolkit

The server of a space has no token and writes its file as any other, so that it is simply asked.
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from .seam import Found, Machine, Platform, Search, without_registry

FOLDERS: Dict[str, Tuple[str, ...]] = {
    "sagemaker": ("/home/sagemaker-user", "/home/ec2-user/SageMaker", "/opt/ml/input/data")
}

_VARIABLES = (
    "SAGEMAKER_APP_TYPE",
    "SAGEMAKER_APP_TYPE_LOWERCASE",
    "SAGEMAKER_INTERNAL_IMAGE_URI",
    "SM_APP_TYPE",
    "SM_INTERNAL_IMAGE_URI",
    "SM_CURRENT_HOST",
)
_METADATA = "/opt/ml/metadata/resource-metadata.json"
_INSTANCE = "/etc/opt/ml/sagemaker-notebook-instance-version.txt"


def recognise(machine: Machine) -> Optional[Platform]:
    if (
        machine.first(*_VARIABLES)
        or machine.environ.get("SERVICE_NAME") == "SageMakerUnifiedStudio"
        or machine.exists(_METADATA)
        or machine.exists(_INSTANCE)
    ):
        return Platform("sagemaker", _version(machine), FOLDERS["sagemaker"])
    return None


def _version(machine: Machine) -> Optional[str]:
    """Return the image's version, or its name without the account that keeps it."""
    image = machine.first("SAGEMAKER_INTERNAL_IMAGE_URI", "SM_INTERNAL_IMAGE_URI")
    return (
        machine.first("IMAGE_VERSION")
        or (without_registry(image) if image else None)
        or machine.line(_INSTANCE)
    )


def find(search: Search) -> Optional[Found]:
    """Say what SageMaker adds to the ways that work everywhere: nothing."""
    del search
    return None
