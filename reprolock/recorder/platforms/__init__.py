"""Where the notebook runs, and which file it is.

One file a platform, each with the signs it is known by and their sources. All look through a
``Machine``, so that tests can stand in for what no test machine is. To add one, add its file and
its entry in ``_PLATFORMS``: a module with ``recognise(machine)``, ``find(search)`` and ``FOLDERS``.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from . import colab, deepnote, jupyter, kaggle, others, sagemaker, vertex, vscode
from .seam import Found, Machine, Platform, Search, get_json

__all__ = [
    "FOLDERS",
    "NAMES",
    "Found",
    "Machine",
    "Platform",
    "find_notebook",
    "get_json",
    "recognise",
]

# In the order in which they are asked: one that is built on another comes before it. Every
# machine is at least ``jupyter``.
_PLATFORMS: Tuple[Any, ...] = (
    kaggle,
    vertex,
    colab,
    deepnote,
    sagemaker,
    others,
    vscode,
    jupyter,
)
_EVERYWHERE: Tuple[Any, ...] = (jupyter, vscode)

# The data folders of each platform by its name, for who has only the name, as a lock does.
FOLDERS: Dict[str, Tuple[str, ...]] = {
    name: folders for platform in _PLATFORMS for name, folders in platform.FOLDERS.items()
}
NAMES: Tuple[str, ...] = tuple(sorted(FOLDERS))


def recognise(machine: Machine) -> Platform:
    """Return the platform of *machine*. Never raises."""
    return _recognised(machine)[1]


def _recognised(machine: Machine) -> Tuple[Any, Platform]:
    for module in _PLATFORMS:
        try:
            platform = module.recognise(machine)
        except Exception:
            continue
        if platform is not None:
            return module, platform
    return jupyter, Platform("jupyter")


def find_notebook(machine: Machine, kernel_id: Optional[str], timeout: float) -> Found:
    """Return the notebook of the kernel *kernel_id*, as far as it can be found in *timeout* s.

    *kernel_id* is what the connection file's name, ``kernel-ID.json``, tells; None in a shell
    that is no kernel. Works in the kernel, where the machine has a shell, and from outside. The
    platform's own way comes first. Never raises: what failed is in ``problems``.
    """
    search = Search(machine, kernel_id, timeout)
    best = Found(how="nothing tells it")
    for module in _ways(machine):
        found = _guarded(module, search)
        if found is not None and (found.path or found.content):
            return _complete(found, best, search.problems)
        if found is not None and best.name is None:
            best = found
    return best._replace(problems=search.problems)


def _ways(machine: Machine) -> List[Any]:
    own = _recognised(machine)[0]
    return list(dict.fromkeys([own, *_EVERYWHERE]))


def _guarded(module: Any, search: Search) -> Optional[Found]:
    try:
        found: Optional[Found] = module.find(search)
    except Exception as problem:
        name = module.__name__.rpartition(".")[2]
        search.tell("looking for the notebook as on {} failed: {!r}".format(name, problem))
        return None
    return found


def _complete(found: Found, named: Found, problems: List[str]) -> Found:
    return found._replace(name=found.name or named.name, problems=problems)
