"""Processor and memory from /proc; accelerators as torch and jax see them.

torch and jax are looked at only where the notebook has loaded them, and nothing that they have
not set up themselves is set up here.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, Callable, Dict, List, Optional

# Key in /proc/cpuinfo -> key of ours; the second spelling of each is that of ARM.
_CPU_KEYS = {
    "model name": "model",
    "vendor_id": "vendor",
    "CPU implementer": "vendor",
    "flags": "flags",
    "Features": "flags",
}


def collect() -> Dict[str, Any]:
    """Return the facts of the ``hardware`` event. ``memory_bytes`` is the machine's, in bytes."""
    return {
        "cpu": _cpu(),
        "memory_bytes": _memory(),
        "torch": _loaded("torch", _torch),
        "jax": _loaded("jax", _jax),
    }


def _cpu() -> Dict[str, Any]:
    found: Dict[str, str] = {}
    try:
        with io.open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, colon, value = line.partition(":")
                if not colon:
                    break  # An empty line ends the first processor.
                ours = _CPU_KEYS.get(key.strip())
                if ours:
                    found.setdefault(ours, value.strip())
    except OSError:
        pass
    return {
        "model": found.get("model"),
        "vendor": found.get("vendor"),
        "cores_logical": os.cpu_count(),
        "cores_usable": _usable(),
        "flags": sorted(found.get("flags", "").split()),
    }


def _usable() -> Optional[int]:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count()


def _memory() -> Optional[int]:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _loaded(name: str, look: Callable[[Any], Dict[str, Any]]) -> Optional[Dict[str, Any]]:
    module = sys.modules.get(name)
    if module is None:
        return None
    try:
        return look(module)
    except Exception as exc:
        version = getattr(module, "__version__", None)
        return {"version": version, "error": "{}: {}".format(type(exc).__name__, exc)}


def _torch(torch: Any) -> Dict[str, Any]:
    cuda = torch.backends.cuda
    cudnn = torch.backends.cudnn
    return {
        "version": str(torch.__version__),
        "cuda_available": bool(torch.cuda.is_available()),
        "cuda": torch.version.cuda,
        "cudnn": cudnn.version() if torch.version.cuda else None,
        "devices": _torch_devices(torch),
        "num_threads": torch.get_num_threads(),
        "deterministic": bool(torch.are_deterministic_algorithms_enabled()),
        "cudnn_deterministic": bool(cudnn.deterministic),
        "cudnn_benchmark": bool(cudnn.benchmark),
        "tf32": {"matmul": bool(cuda.matmul.allow_tf32), "cudnn": bool(cudnn.allow_tf32)},
        "matmul_precision": str(torch.get_float32_matmul_precision()),
        "default_dtype": str(torch.get_default_dtype()),
    }


def _torch_devices(torch: Any) -> List[str]:
    """Return the names of the GPUs, where the notebook has already made a CUDA context."""
    if not torch.cuda.is_initialized():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _jax(jax: Any) -> Dict[str, Any]:
    out: Dict[str, Any] = {"version": str(jax.__version__), "backend": None, "devices": []}
    bridge = sys.modules.get("jax._src.xla_bridge")
    if not getattr(bridge, "_backends", None):
        return out  # jax.devices() would choose and start a backend.
    out["backend"] = jax.default_backend()
    out["devices"] = [
        {"platform": device.platform, "kind": device.device_kind, "id": device.id}
        for device in jax.devices()
    ]
    out["x64"] = bool(jax.config.jax_enable_x64)
    return out
