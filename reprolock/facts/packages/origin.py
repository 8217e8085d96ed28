"""Where a distribution came from that no index gives back: a repository, apt's or conda's.

What is told here pins nothing that pip or uv could fetch. It lets a person find the same again, and
a second run be told from the first.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.facts.packages.index import local_path, without_login
from reprolock.process import run

if TYPE_CHECKING:
    from reprolock.facts.packages.installed import Installed

_SECONDS = 20
_DPKG = Path("/var/lib/dpkg")

Origin = dict[str, str]


def of_folder(dist: Installed) -> Origin:
    """Return what tells the code of a package that was installed from a folder.

    ``commit`` of the repository that it lies in, its address ``url``, and ``changed``: the SHA-256
    of what differs from the commit, untracked files included.

    Empty where there is no repository. Runs git, which reads no more than the folder.
    """
    url = str((dist.direct_url or {}).get("url") or "")
    folder = local_path(url)
    if folder is None or not folder.is_dir():
        return {}
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    found = {"kind": "git", "commit": commit.strip()}
    remote = (_git(folder, "remote", "get-url", "origin") or "").strip()
    if "://" in remote or re.match(r"[\w.-]+@[\w.-]+:", remote):
        found["url"] = without_login(remote) if "://" in remote else remote
    changed = _changes(folder)
    return {**found, "changed": changed} if changed else found


def _changes(folder: Path) -> str | None:
    diff = (
        _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary", "--", ".") or ""
    )
    listed = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or ""
    untracked = sorted(name for name in listed.split("\0") if name)
    if not diff and not untracked:
        return None
    digest = hashlib.sha256(diff.encode("utf-8", "surrogatepass"))
    for name in untracked:
        digest.update(name.encode("utf-8", "surrogatepass") + b"\0")
        try:
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except OSError:
            continue
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    # No hooks, filters or programs that the repository's own configuration names.
    safe = ("-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null")
    done = run(["git", *safe, "-C", folder, *arguments], timeout=_SECONDS)
    return done.out if done.ok else None


def of_dpkg(dist: Installed) -> Origin:
    """Return name and version of the Debian package that owns the distribution's metadata."""
    owners, versions = _dpkg_owners(_DPKG), _dpkg_versions(_DPKG)
    name = owners.get(str(dist.path)) or owners.get(str(dist.path / "METADATA"))
    name = name or owners.get(str(dist.path / "PKG-INFO"))
    if name is None:
        return {}
    return {"kind": "apt", "name": name, "version": versions.get(name, "")}


@lru_cache(maxsize=4)
def _dpkg_owners(folder: Path) -> dict[str, str]:
    """Map each path of Python metadata to its package (dpkg's ``info/*.list``)."""
    owners: dict[str, str] = {}
    for path in sorted((folder / "info").glob("*.list")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if "-info" in text:
            name = path.stem.partition(":")[0]
            owners.update((line, name) for line in text.splitlines() if "-info" in line)
    return owners


@lru_cache(maxsize=4)
def _dpkg_versions(folder: Path) -> dict[str, str]:
    try:
        text = (folder / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", text, re.MULTILINE | re.DOTALL)
    return dict(pairs)


def of_conda(dist: Installed) -> Origin:
    """Return what ``conda-meta`` says of the package that owns the distribution.

    ``name``, ``version``, ``build``, ``channel``, ``url`` and ``sha256`` of its archive.
    """
    folder = next(
        (parent / "conda-meta" for parent in dist.root.parents if (parent / "conda-meta").is_dir()),
        None,
    )
    if folder is None:
        return {}
    package = _conda_owners(folder).get(_below(dist.path, folder.parent))
    if package is None:
        return {}
    keys = ("name", "version", "build", "channel", "url", "sha256")
    told = {key: str(package[key]) for key in keys if package.get(key)}
    for key in ("url", "channel"):
        if "://" in told.get(key, ""):
            told[key] = without_login(told[key])
    return {"kind": "conda", **told}


def _below(path: Path, prefix: Path) -> str:
    return path.relative_to(prefix).as_posix() if path.is_relative_to(prefix) else ""


@lru_cache(maxsize=4)
def _conda_owners(folder: Path) -> dict[str, dict[str, Any]]:
    """Map each metadata folder, relative to the prefix, to its package's JSON."""
    owners: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            package = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(package, dict):
            for file in package.get("files") or ():
                place, found, _ = str(file).partition("-info/")
                if found:
                    owners[f"{place}-info"] = package
    return owners
