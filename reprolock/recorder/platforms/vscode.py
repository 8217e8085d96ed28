"""Visual Studio Code and what is built on it, by its Jupyter extension.

Signs and their sources, all in microsoft/vscode-jupyter:

* ``__vsc_ipynb_file__``, the notebook's file when the kernel started, in the kernel's namespace:
  ``src/kernels/kernel.ts`` (``gatherInternalStartupCode``); not in kernels that ran before
* ``PYDEVD_IPYTHON_COMPATIBLE_DEBUGGING=1`` in kernels that it starts without a server:
  ``src/kernels/raw/launcher/kernelEnvVarsService.node.ts``
* connection files called ``kernel-v3HEX.json``: ``src/kernels/raw/launcher/kernelProcess.node.ts``

``VSCODE_PID`` and its like are no signs: a server started from its terminal has them as well.
"""

from __future__ import annotations

import os
import re
from typing import Dict, Optional, Tuple

from .seam import Found, Machine, Platform, Search

FOLDERS: Dict[str, Tuple[str, ...]] = {"vscode": ()}

_VARIABLE = "__vsc_ipynb_file__"


def recognise(machine: Machine) -> Optional[Platform]:
    started = machine.environ.get("PYDEVD_IPYTHON_COMPATIBLE_DEBUGGING") == "1"
    return Platform("vscode") if started or _told(machine) else None


def find(search: Search) -> Optional[Found]:
    machine = search.machine
    if machine.shell is None:
        if _is_raw(search):
            search.tell("VS Code tells the notebook's name only inside the kernel")
        return None
    path = _told(machine)
    if path is None:
        return None
    name = re.split(r"[\\/]", path)[-1]
    if not os.path.isabs(path) or not machine.exists(path):
        search.tell("{}, which VS Code started the kernel for, is not on this machine".format(name))
        return Found(name=name, how=_VARIABLE)
    return Found(path, None, name, _VARIABLE + ", the name at the kernel's start")


def _told(machine: Machine) -> Optional[str]:
    try:
        said = machine.shell.user_ns.get(_VARIABLE)  # type: ignore[union-attr]
    except AttributeError:
        return None
    return said if isinstance(said, str) and said else None


def _is_raw(search: Search) -> bool:
    return recognise(search.machine) is not None or str(search.kernel_id).startswith("v3")
