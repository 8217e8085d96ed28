"""A requirement as pip takes it on its command line, held against the packages of a lock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from reprolock.facts.packages.model import ArchiveSource, VcsSource

if TYPE_CHECKING:
    from reprolock.facts.packages.model import Packages


@dataclass(frozen=True)
class Answer:
    """Whether a requirement *holds*; *version*: what there is; *unchecked*: why nobody can say."""

    name: str = ""
    version: str | None = None
    holds: bool = False
    unchecked: str | None = None


def answer_to(text: str, found: Packages, python: str) -> Answer:
    """Say whether *found* holds the requirement *text*, as pip takes it on its command line.

    *python*: the version of the interpreter, for markers.
    """
    if "$" in text or "`" in text:
        return Answer(unchecked="a shell would fill it in")
    for asking in (_by_wheel, _by_vcs, _by_archive, _by_folder):
        answer = asking(text, found)
        if answer is not None:
            return answer
    return _by_requirement(text, found, python)


def _by_requirement(text: str, found: Packages, python: str) -> Answer:
    try:
        wanted = Requirement(text)
    except InvalidRequirement:
        return Answer(unchecked="it is no requirement by the standard")
    if wanted.marker and not wanted.marker.evaluate(_environment(python)):
        return Answer(wanted.name, holds=True)
    if wanted.url:
        return _by_name(wanted.name, found)
    here = found.get(wanted.name)
    if here is None:
        return Answer(wanted.name)
    try:
        holds = wanted.specifier.contains(here.version, prereleases=True)
    except InvalidVersion:
        return Answer(wanted.name, here.version, unchecked=f"{here.version} is no version")
    return Answer(wanted.name, here.version, holds)


def _environment(python: str) -> dict[str, str]:
    return {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "extra": "",
    }


def _by_wheel(text: str, found: Packages) -> Answer | None:
    if " @ " in text or not urlsplit(text).path.endswith(".whl"):
        return None
    try:
        name, version, _, _ = parse_wheel_filename(PurePosixPath(urlsplit(text).path).name)
    except (InvalidWheelFilename, InvalidVersion):
        return Answer(unchecked="the name of the wheel is not by the standard")
    return _of_version(name, str(version), found)


def _by_vcs(text: str, found: Packages) -> Answer | None:
    if not text.startswith(("git+", "hg+", "svn+", "bzr+")):
        return None
    address, _, fragment = text.partition("#")
    egg = next((f[4:] for f in fragment.split("&") if f.startswith("egg=")), "")
    if egg:
        return _by_name(egg.partition("[")[0], found)
    for one in found.packages:
        if isinstance(one.source, VcsSource) and _same_address(one.source.url, address):
            return Answer(one.name, one.version, holds=True)
    return _by_name(_repository(address), found)


def _by_name(name: str, found: Packages) -> Answer:
    """The commit is the lock's: a branch that moved since is what a lock is for."""
    here = found.get(name)
    known = None if here is None else here.version
    return Answer(canonicalize_name(name), known, holds=here is not None)


def _of_version(name: str, version: str, found: Packages) -> Answer:
    here = found.get(name)
    known = None if here is None else here.version
    return Answer(name, known, holds=known == version)


def _by_archive(text: str, found: Packages) -> Answer | None:
    path = urlsplit(text).path
    if " @ " in text or not path.endswith((".tar.gz", ".zip", ".tar.bz2", ".tgz")):
        return None
    for one in found.packages:
        if isinstance(one.source, ArchiveSource) and _same_address(one.source.url, text):
            return Answer(one.name, one.version, holds=True)
    try:
        name, version = parse_sdist_filename(PurePosixPath(path).name)
    except (InvalidSdistFilename, InvalidVersion):
        return Answer(unchecked="the archive does not say which package it is")
    return _of_version(name, str(version), found)


def _by_folder(text: str, _found: Packages) -> Answer | None:
    if " @ " in text:
        return None
    if text.startswith((".", "/", "~", "<path>", "file:")) or "://" in text or "/" in text:
        return Answer(unchecked="it does not say which package it is")
    return None


def _same_address(one: str, other: str) -> bool:
    return _plain(one) == _plain(other)


def _plain(address: str) -> str:
    """Return host and path of an address, without credentials, revision and ``.git``."""
    parts = urlsplit(
        address.partition("+")[2] if "+" in address.split(":", maxsplit=1)[0] else address
    )
    path = parts.path.partition("@")[0].rstrip("/").removesuffix(".git")
    return f"{parts.netloc.rpartition('@')[2]}{path}".lower()


def _repository(address: str) -> str:
    return _plain(address).rpartition("/")[2]
