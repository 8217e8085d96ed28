"""The operating system, its C library and the shared libraries in use; best effort from /proc."""

from __future__ import annotations

import io
import locale
import os
import platform
import time
from typing import Any, Dict, List, Optional

from . import platforms
from .places import package_roots


def collect() -> Dict[str, Any]:
    """Return the facts of the ``system`` event."""
    where = platforms.recognise(platforms.Machine.here())
    return {
        "os": _os_release(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "libc": _libc(),
        "locale": locale.setlocale(locale.LC_ALL),
        "timezone": _timezone(),
        "platform_signs": _signs(where.name),
        "platform_version": where.version,
        "libraries": _libraries(),
    }


def process(pid: int) -> Optional[str]:
    """Return what no other process of any machine has: the boot, and the time since then at which
    it began, in clock ticks. See proc_pid_stat(5). None where the system does not tell.
    """
    try:
        with io.open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        with io.open("/proc/{}/stat".format(pid), "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    return "{}-{}".format(boot, ticks)


def _os_release() -> Dict[str, Optional[str]]:
    """Return id, version_id and name of os-release(5); the name of the system elsewhere."""
    values = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with io.open(path, encoding="utf-8", errors="replace") as file:
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


def _signs(platform_name: str) -> Dict[str, bool]:
    signs = {name: name == platform_name for name in platforms.NAMES}
    signs["container"] = os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv")
    signs["wsl"] = "microsoft" in platform.release().lower()
    return signs


def _libraries() -> List[str]:
    """Return the shared libraries mapped into this process from outside the environment."""
    own = tuple(root + os.sep for root in package_roots())
    found = set()
    try:
        with io.open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                path = line.rstrip("\n").partition("/")[2]
                if ".so" in os.path.basename(path):
                    found.add("/" + path)
    except OSError:
        return []
    return sorted(path for path in found if not path.startswith(own))
