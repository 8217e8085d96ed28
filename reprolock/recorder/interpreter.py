"""The interpreter that runs the kernel."""

from __future__ import annotations

import io
import os
import platform
import sys
import sysconfig
from typing import Any, Dict, Optional

# Only these are ever read: other variables may hold secrets.
ENVIRON = (
    "PYTHONHASHSEED",
    "PYTHONUTF8",
    "PYTHONOPTIMIZE",
    "LANG",
    "LC_ALL",
    "TZ",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "NUMEXPR_NUM_THREADS",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "XLA_FLAGS",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "NPY_DISABLE_CPU_FEATURES",
    "ATEN_CPU_CAPABILITY",
    "TF_DETERMINISTIC_OPS",
    "MPLBACKEND",
)


def collect() -> Dict[str, Any]:
    """Return the facts of the ``interpreter`` event."""
    return {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "build": list(platform.python_build()),
        "compiler": platform.python_compiler(),
        "abiflags": getattr(sys, "abiflags", ""),
        "soabi": sysconfig.get_config_var("SOABI"),
        "ext_suffix": sysconfig.get_config_var("EXT_SUFFIX"),
        "platform": sysconfig.get_platform(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "debug": hasattr(sys, "gettotalrefcount"),
        "executable": sys.executable,
        "libpython": _libpython(),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "flags": _flags(),
        "environ": {name: os.environ[name] for name in ENVIRON if name in os.environ},
    }


def _libpython() -> Optional[str]:
    """Return the shared library that holds the interpreter, where it is not in the executable."""
    try:
        with io.open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                path = line.rstrip("\n").partition("/")[2]
                if os.path.basename(path).startswith("libpython"):
                    return "/" + path
    except OSError:
        pass
    return None


def _flags() -> Dict[str, Any]:
    # Whether byte code is kept changes no number, and differs from shell to shell.
    names = (
        name
        for name in dir(sys.flags)
        if not name.startswith(("_", "n_")) and name != "dont_write_bytecode"
    )
    values = {name: getattr(sys.flags, name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, (bool, int))}
