"""Which files are the notebook's data, and which are machinery: one rule for all of them."""

from __future__ import annotations

import os
import site
import sys
import tempfile
from typing import Dict, List, Sequence, Set

# Folders of these names hold machinery wherever they stand.
_MACHINERY = frozenset(
    [
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        ".venv",
        ".ipynb_checkpoints",
        "node_modules",
        "site-packages",
        "dist-packages",
    ]
)
# What verify makes its copy of the notebook's folder without, beside environments.
_NOT_COPIED = frozenset(
    [
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        ".venv",
        ".ipynb_checkpoints",
        "node_modules",
        ".tox",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
    ]
)
_PARENTS = 2
_BYTECODE = (".pyc", ".pyo")
_OF_THE_SYSTEM = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/etc",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share",
    "/usr/local/share/fonts",
    "/var/cache",
    "/var/lib",
)
_OF_THE_USER = (
    "~/.cache",
    "~/.config/matplotlib",
    "~/.matplotlib",
    "~/.fonts",
    "~/.local/share/fonts",
    "~/.ipython",
    "~/.jupyter",
    "~/.local/share/jupyter",
    "~/.local/lib",
)
_NAMED_BY = (
    "XDG_CACHE_HOME",
    "MPLCONFIGDIR",
    "IPYTHONDIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "NUMBA_CACHE_DIR",
)
# What a prefix such as /usr/local holds of an interpreter; data may lie in the rest of it.
_IN_A_PREFIX = ("lib", "lib64", "share", "include", "bin", "etc", "conda-meta")


def package_roots() -> List[str]:
    """Return the folders that hold the interpreter and its packages, as absolute paths."""
    roots: Set[str] = set()
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        whole = any(
            os.path.exists(os.path.join(prefix, sign)) for sign in ("pyvenv.cfg", "conda-meta")
        )
        roots.update([prefix] if whole else [os.path.join(prefix, name) for name in _IN_A_PREFIX])
    roots.update(getattr(site, "getsitepackages", list)())
    roots.add(site.getusersitepackages() if hasattr(site, "getusersitepackages") else "")
    named = {os.path.abspath(root) for root in roots if root}
    # An environment reached by a link: what the system tells of its files has no link in it.
    return sorted(named | {os.path.realpath(root) for root in named})


def not_copied(folder: str) -> List[str]:
    """Return the names in *folder* of what is not copied for another run: locks, references too."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if _is_not_copied(folder, name)]


def _is_not_copied(folder: str, name: str) -> bool:
    if name in _NOT_COPIED or name.endswith(".reference.ipynb"):
        return True
    if name.startswith("pylock.") and name.endswith(".toml"):
        return True
    return os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))


class Places:
    """Answers for absolute paths; the folder nearest to a file decides.

    Left out: interpreter and package files (data files inside packages too), the system's own
    folders, bytecode, fonts and caches, the files of IPython, Jupyter and matplotlib, version
    control, *own* files such as the journal, and *private* folders of reprolock. Kept: all else,
    and everything in the notebook's *folder* that does not lie in one of those again.
    """

    def __init__(self, folder: str, own: List[str], private: Sequence[str] = ()) -> None:
        self.folder = os.path.abspath(folder)
        self.temporary = os.path.abspath(tempfile.gettempdir())
        self._top = self._highest()
        self._own: Set[str] = set()
        for path in own:
            self.add_own(path)
        roots = package_roots() + list(_OF_THE_SYSTEM)
        roots += [os.path.expanduser(name) for name in _OF_THE_USER]
        roots += [os.environ[name] for name in _NAMED_BY if os.environ.get(name)]
        # ipykernel numbers its folder for cell sources by process.
        roots.append(os.path.join(self.temporary, "ipykernel_{}".format(os.getpid())))
        # Tracebacks that pass through the recorder show its source, and reprolock may be loaded.
        roots.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self._machinery: Dict[str, bool] = {}
        self._left_out: Dict[str, bool] = {os.path.abspath(root): True for root in roots}
        self._left_out[self.folder] = False
        self._left_out.update({os.path.abspath(root): True for root in private})

    def add_own(self, path: str) -> None:
        self._own.update((os.path.abspath(path), os.path.realpath(path)))

    def left_out(self, path: str) -> bool:
        """Say whether the file at the absolute *path* is none of the notebook's data."""
        if path.endswith(_BYTECODE) or path in self._own:
            return True
        return self.folder_left_out(path.rpartition("/")[0] or "/")

    def is_machinery(self, path: object) -> bool:
        """Say, quickly, whether *path* lies among installed packages or the like.

        False where it would take a longer look. Byte code is that of the source beside it.
        """
        if not isinstance(path, str) or path[:1] != "/":
            return False
        folder = path.rpartition("/")[0]
        known = self._machinery.get(folder)
        if known is None:
            parent, _, name = folder.rpartition("/")
            source = parent if name == "__pycache__" else folder
            known = os.path.normpath(source) == source and self.folder_left_out(source)
            self._machinery[folder] = known
        return known

    def folder_left_out(self, folder: str) -> bool:
        known = self._left_out.get(folder)
        if known is None:
            parent, name = os.path.split(folder)
            known = name in _MACHINERY or (parent != folder and self.folder_left_out(parent))
            self._left_out[folder] = known
        return known

    def inside(self, folder: str) -> bool:
        """Say whether the absolute *folder* is the notebook's or lies in it."""
        return folder == self.folder or folder.startswith(self.folder + os.sep)

    def near(self, folder: str) -> bool:
        """Say whether *folder* is or lies in the notebook's folder or one of two above it.

        The root and the folder of temporary files, which are everybody's, do not count.
        """
        return folder == self._top or folder.startswith(self._top + os.sep)

    def _highest(self) -> str:
        top = self.folder
        for _ in range(_PARENTS):
            parent = os.path.dirname(top)
            if parent in (os.path.dirname(parent), self.temporary):
                break
            top = parent
        return top

    def too_common(self, folder: str) -> bool:
        """Say whether strangers' programs work in *folder* too, so that watching it misleads."""
        return folder in ("/", self.temporary, os.path.expanduser("~")) or folder.count("/") < 2  # noqa: PLR2004
