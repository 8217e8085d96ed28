"""The operating system, its C library and the shared libraries in use; best effort from /proc."""

from __future__ import annotations

import locale
import os
import platform
import sys
import time
from typing import Any, Dict, List, Optional

from .places import package_roots

# A platform is known by a variable that it sets in every session of its own.
_SIGNS = {
    "colab": ("COLAB_RELEASE_TAG", "COLAB_GPU"),
    "kaggle": ("KAGGLE_KERNEL_RUN_TYPE",),
    "databricks": ("DATABRICKS_RUNTIME_VERSION",),
    "sagemaker": ("SM_CURRENT_HOST", "SAGEMAKER_INTERNAL_IMAGE_URI"),
    "codespaces": ("CODESPACES",),
    "binder": ("BINDER_LAUNCH_HOST", "BINDER_SERVICE_HOST"),
    "jupyterhub": ("JUPYTERHUB_API_URL",),
}


def collect() -> Dict[str, Any]:
    """Return the facts of the ``system`` event."""
    return {
        "os": _os_release(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "libc": _libc(),
        "locale": locale.setlocale(locale.LC_ALL),
        "timezone": _timezone(),
        "platform_signs": _platform_signs(),
        "libraries": _libraries(),
    }


def _os_release() -> Dict[str, Optional[str]]:
    """Return id, version_id and name of os-release(5); the name of the system elsewhere."""
    values = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    key, equals, value = line.strip().partition("=")
                    if equals:
                        values[key] = value.strip("\"'")
            break
        except OSError:
            continue
    return {
        "id": values.get("ID", platform.system().lower()),
        "version_id": values.get("VERSION_ID"),
        "name": values.get("PRETTY_NAME", platform.system()),
    }


def _libc() -> List[str]:
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        said = ""
    name, _, version = said.partition(" ")
    return [name, version] if version else list(platform.libc_ver())


def _timezone() -> Optional[str]:
    chosen = os.environ.get("TZ")
    if chosen:
        return chosen
    target = os.path.realpath("/etc/localtime")
    _, mark, name = target.partition("/zoneinfo/")
    return name if mark else time.tzname[0]


def _platform_signs() -> Dict[str, bool]:
    signs = {key: any(name in os.environ for name in names) for key, names in _SIGNS.items()}
    signs["colab"] = signs["colab"] or "google.colab" in sys.modules
    signs["container"] = os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv")
    signs["wsl"] = "microsoft" in platform.release().lower()
    return signs


def _libraries() -> List[str]:
    """Return the shared libraries mapped into this process from outside the environment."""
    own = tuple(root + os.sep for root in package_roots())
    found = set()
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                path = line.rstrip("\n").partition("/")[2]
                if ".so" in os.path.basename(path):
                    found.add("/" + path)
    except OSError:
        return []
    return sorted(path for path in found if not path.startswith(own))
