"""What a command that installs or fetches asks for: requirements, and the files that it makes."""

from __future__ import annotations

import io
import os
import re
import site
import sys
import sysconfig
from typing import Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlsplit

from . import commands
from .commands import CONDA, FETCH, GIT, PIP, UV, Line, Simple

_MOST = 2000
_DEEPEST = 5
_FOLDER_OPTIONS = ("-t", "--target", "--prefix", "--root")
_FOLDER_VARIABLES = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
# Options of pip and uv that take a value, so that the value is no requirement.
_SHORT_VALUED = "rcetifdbpPC"
_LONG_VALUED = frozenset(
    [
        "--requirement",
        "--requirements",
        "--constraint",
        "--constraints",
        "--editable",
        "--target",
        "--platform",
        "--python-version",
        "--implementation",
        "--abi",
        "--root",
        "--prefix",
        "--src",
        "--upgrade-strategy",
        "--config-settings",
        "--config-setting",
        "--global-option",
        "--install-option",
        "--build-option",
        "--no-binary",
        "--only-binary",
        "--progress-bar",
        "--root-user-action",
        "--report",
        "--group",
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "--proxy",
        "--retries",
        "--timeout",
        "--exists-action",
        "--trusted-host",
        "--cert",
        "--client-cert",
        "--cache-dir",
        "--log",
        "--python",
        "--use-feature",
        "--use-deprecated",
        "--keyring-provider",
        "--build",
        "--index",
        "--default-index",
        "--index-strategy",
        "--upgrade-package",
        "--reinstall-package",
        "--extra",
        "--override",
        "--overrides",
        "--build-constraint",
        "--build-constraints",
        "--resolution",
        "--prerelease",
        "--fork-strategy",
        "--no-build-isolation-package",
        "--exclude-newer",
        "--link-mode",
        "--python-platform",
        "--torch-backend",
        "--directory",
        "--project",
        "--config-file",
        "--color",
        "--refresh-package",
        "--no-build-package",
        "--no-binary-package",
        "--allow-insecure-host",
        "--optional",
        "--tag",
        "--rev",
        "--branch",
        "--bounds",
        "--script",
        "--package",
    ]
)
_CONDA_VALUED = frozenset(
    ["-c", "--channel", "-n", "--name", "-p", "--prefix", "-f", "--file", "--solver"]
)
_LINKS = re.compile(r"(?:https?|ftp)://\S+")


class Asked(NamedTuple):
    """*requirements* as written, those of requirement files too; *elsewhere*: they go to a folder
    that is no part of the environment; *unread*: requirement files that could not be read.
    """

    requirements: Tuple[str, ...]
    elsewhere: bool = False
    unread: Tuple[str, ...] = ()


def requirements(line: Line, folder: str) -> Asked:
    """Return what *line*, run in *folder*, asks pip, uv and conda to install."""
    found: List[str] = []
    unread: List[str] = []
    for part, here in _in_folders(line, folder):
        words = list(part.words)
        if part.kind == CONDA:
            found.extend(_of_conda(words))
        elif part.kind == UV:
            found.extend(_of_uv(words, here, unread))
        elif part.kind == PIP:
            found.extend(_of_pip(words, here, unread))
    elsewhere = goes_elsewhere(line, folder)
    return Asked(tuple(dict.fromkeys(found))[:_MOST], elsewhere, tuple(unread))


def goes_elsewhere(line: Line, folder: str) -> bool:
    """Say whether pip or uv installs into a folder that is no part of the kernel's environment."""
    return any(_elsewhere(part, here) is not None for part, here in _in_folders(line, folder))


def _in_folders(line: Line, folder: str) -> Iterator[Tuple[Simple, str]]:
    """Yield each part with the folder it runs in."""
    for part in line.parts:
        if part.name in ("cd", "pushd") and len(part.words) > 1:
            folder = os.path.normpath(os.path.join(folder, os.path.expanduser(part.words[-1])))
        yield part, folder


def _elsewhere(part: Simple, folder: str) -> Optional[str]:
    """Return the folder into which *part*, run in *folder*, installs; None for the environment."""
    to = _destination(part) if part.kind in (PIP, UV) else None
    if to is None or _of_the_environment(os.path.join(folder, os.path.expanduser(to))):
        return None
    return to


def _destination(part: Simple) -> Optional[str]:
    waiting = list(part.words[1:])
    while waiting:
        word = waiting.pop(0)
        name, value = _option(word, waiting) if word.startswith("-") else ("", None)
        if name in _FOLDER_OPTIONS and value:
            return value
    if part.kind != PIP:
        return None
    given = dict(word.partition("=")[::2] for word in part.raw.split())
    values = (given.get(name) or os.environ.get(name) for name in _FOLDER_VARIABLES)
    return next((value for value in values if value), None)


def _of_the_environment(folder: str) -> bool:
    own = [sys.prefix, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    own += getattr(site, "getsitepackages", list)()
    return os.path.realpath(folder) in [os.path.realpath(path) for path in own]


def _of_conda(words: List[str]) -> List[str]:
    verb, rest = commands.action(words)
    if verb not in ("install", "create", "update", "upgrade"):
        return []
    found, at = [], 0
    while at < len(rest):
        if rest[at] in _CONDA_VALUED:
            at += 2
            continue
        if not rest[at].startswith("-"):
            found.append(rest[at])
        at += 1
    return found


def _of_uv(words: List[str], folder: str, unread: List[str]) -> List[str]:
    verb, rest = commands.action(words, ("--directory", "--project"))
    if verb == "pip":
        verb, rest = commands.action([verb, *rest])
        if verb == "sync":
            return [
                r
                for file in _positional(rest, folder, unread, 0)
                for r in _of_file(file, folder, unread, 0)
            ]
    return _positional(rest, folder, unread, 0) if verb in ("add", "install") else []


def _of_pip(words: List[str], folder: str, unread: List[str]) -> List[str]:
    if os.path.basename(words[0]) == "spacy":
        return [word for word in words[2:] if not word.startswith("-")][:1]
    if os.path.basename(words[0]) == "setup.py":
        return ["."]
    verb, rest = commands.action(words, ("--python", "--proxy", "--log", "--cache-dir"))
    return _positional(rest, folder, unread, 0) if verb == "install" else []


def _positional(words: List[str], folder: str, unread: List[str], depth: int) -> List[str]:
    """Return the requirements among *words*, those in files that they name too."""
    found: List[str] = []
    waiting = list(words)
    while waiting and len(found) < _MOST:
        word = waiting.pop(0)
        if not word.startswith("-"):
            found.append(word)
            continue
        name, value = _option(word, waiting)
        if name in ("-r", "--requirement", "--requirements") and value:
            found.extend(_of_file(value, folder, unread, depth))
        elif name in ("-e", "--editable") and value:
            found.append(value)
    return found


def _option(word: str, behind: List[str]) -> Tuple[str, Optional[str]]:
    """Return the option *word* and its value, taken out of *behind* where it stands there."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        if equals:
            return name, value
        return name, behind.pop(0) if name in _LONG_VALUED and behind else None
    for at, letter in enumerate(word[1:], 2):
        if letter in _SHORT_VALUED:
            return "-" + letter, word[at:] or (behind.pop(0) if behind else None)
    return word, None


def _of_file(name: str, folder: str, unread: List[str], depth: int) -> List[str]:
    """Return what a requirement file asks; pip's format, comments and options left out."""
    path = os.path.join(folder, os.path.expanduser(name))
    try:
        with io.open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(1_000_000).replace("\\\n", " ").splitlines()
    except (OSError, ValueError):
        unread.append(name)
        return []
    if depth >= _DEEPEST or path.endswith(".toml"):
        unread.append(name)
        return []
    found: List[str] = []
    for line in lines[:_MOST]:
        text = re.sub(r"(?:^|\s)#.*", "", line)
        text = re.sub(r"\s--\w[\w-]*[= ]\S+", "", text).strip()
        if text.startswith("-"):
            found.extend(_positional(text.split(), os.path.dirname(path), unread, depth + 1))
        elif text:
            found.append(text)
    return found


# -- files ------------------------------------------------------------------------------------


def targets(line: Line, folder: str) -> Optional[List[str]]:
    """Return the absolute paths that *line*, run in *folder*, makes; None where it does not say."""
    found: List[str] = []
    for part, here in _in_folders(line, folder):
        if part.kind is None:
            continue
        made = _targets(part, list(part.words), here)
        if made is None:
            return None
        found.extend(os.path.normpath(os.path.join(here, os.path.expanduser(p))) for p in made)
    return found


def _targets(part: Simple, words: List[str], folder: str) -> Optional[List[str]]:
    logged = [part.output] if part.output and not part.output.startswith("/dev/") else []
    if part.kind == GIT:
        made = _of_git(words)
    elif part.kind == FETCH:
        made = _of_fetch(part.name, words, logged)
    else:
        to = _elsewhere(part, folder)
        made = [to] if to else []
    return None if made is None else [*made, *logged]


def _of_git(words: List[str]) -> Optional[List[str]]:
    verb, rest = commands.action(words, ("-C", "-c"))
    if verb != "clone":
        return None  # It may change any file of a working tree.
    plain = _without_options(
        rest,
        (
            "-b",
            "--branch",
            "-o",
            "--origin",
            "--depth",
            "-j",
            "--jobs",
            "-c",
            "--config",
            "--reference",
            "--filter",
            "--shallow-since",
            "-u",
            "--upload-pack",
            "--template",
        ),
    )
    if len(plain) > 1:
        return [plain[1]]
    name = re.split(r"[/:]", plain[0].rstrip("/"))[-1] if plain else ""
    name = name.removesuffix(".git")
    return [name] if name else None


def _of_fetch(name: str, words: List[str], logged: List[str]) -> Optional[List[str]]:
    judge = {"wget": _of_wget, "curl": _of_curl, "gdown": _of_gdown, "kaggle": _of_kaggle}.get(name)
    if judge is None:
        return None
    made = judge(words)
    return None if not made and not logged else made or []


def _of_wget(words: List[str]) -> Optional[List[str]]:
    named = commands.option(words, "O", "--output-document")
    if named is not None:
        return [] if named == "-" else [named]
    unsaid = (
        "--content-disposition",
        "--trust-server-names",
        "--recursive",
        "--mirror",
        "--input-file",
        "--force-directories",
    )
    if any(word.partition("=")[0] in unsaid for word in words):
        return None
    if any(commands.has_flag(words, flag) for flag in "rmix"):
        return None
    folder = commands.option(words, "P", "--directory-prefix") or "."
    return _names(words, folder, query=True)


def _of_curl(words: List[str]) -> Optional[List[str]]:
    if commands.has_flag(words, "J") or "--remote-header-name" in words:
        return None
    folder = commands.option(words, "", "--output-dir") or "."
    named = commands.option(words, "o", "--output")
    if named is not None:
        return [] if named == "-" else [os.path.join(folder, named)]
    if not commands.has_flag(words, "O") and not {"--remote-name", "--remote-name-all"} & set(
        words
    ):
        return []
    return _names(words, folder, query=False)


def _names(words: List[str], folder: str, *, query: bool) -> Optional[List[str]]:
    """Return the files that the addresses among *words* are stored as."""
    links = [word for word in words[1:] if _LINKS.fullmatch(word)]
    names = []
    for link in links:
        parts = urlsplit(link)
        name = unquote(parts.path.rpartition("/")[2])
        if query:
            name = (name or "index.html") + ("?" + parts.query if parts.query else "")
        if not name or "$" in name or "{" in name:
            return None
        names.append(os.path.join(folder, name))
    return names or None


def _of_gdown(words: List[str]) -> Optional[List[str]]:
    named = commands.option(words, "O", "--output")
    return None if named is None or named.endswith("/") else [] if named == "-" else [named]


def _of_kaggle(words: List[str]) -> Optional[List[str]]:
    plain = _without_options(words[1:], ("-d", "--dataset", "-c", "-p", "--path", "-f", "--file"))
    what = commands.option(words, "d", "--dataset") or commands.option(words, "c", "--competition")
    what = what or (plain[2] if len(plain) > 2 else "")  # noqa: PLR2004 - behind two verbs
    folder = commands.option(words, "p", "--path") or "."
    if not what or "--unzip" in words or commands.option(words, "f", "--file"):
        return None
    return [os.path.join(folder, what.rpartition("/")[2] + ".zip")]


def _without_options(words: List[str], valued: Tuple[str, ...]) -> List[str]:
    plain, at = [], 0
    while at < len(words):
        if words[at].startswith("-"):
            at += 2 if words[at] in valued else 1
            continue
        plain.append(words[at])
        at += 1
    return plain
