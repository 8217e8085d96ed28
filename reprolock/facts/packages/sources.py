"""The sources that pip and uv are told to use on this machine."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_json
from reprolock.facts import memo
from reprolock.facts.packages.index import (
    Client,
    LinksFolder,
    LinksPage,
    LocalIndex,
    SimpleIndex,
    Source,
    local_path,
)
from reprolock.files import cache_dir
from reprolock.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping


def default_index() -> str:
    """Return the address of the index that pip asks when it is told nothing."""
    from pip._internal.models.index import PyPI

    return str(PyPI.simple_url)


def configured_sources(
    environ: Mapping[str, str] | None = None, *, client: Client | None = None
) -> tuple[Source, ...]:
    """Return the sources of pip's configuration and of ``PIP_*`` and ``UV_*``, best first.

    Asks ``pip config list`` of the interpreter that runs this. Indexes behind HTTP come
    before folders, so that a file both have is known by an address that others can reach.
    uv's own configuration files are not read.
    """
    environ = os.environ if environ is None else environ
    client = client or Client()
    indexes, links = _addresses(_pip_settings(environ), environ)
    found: dict[str, Source] = {}
    for address in indexes:
        source = _index(address, client)
        found.setdefault(source.label, source)
    for address in links:
        source = _links(address, client)
        found.setdefault(source.label, source)
    return tuple(sorted(found.values(), key=lambda s: isinstance(s, (LocalIndex, LinksFolder))))


def _addresses(pip: Mapping[str, str], env: Mapping[str, str]) -> tuple[list[str], list[str]]:
    main = [
        value
        for value in (pip.get("index-url"), env.get("UV_DEFAULT_INDEX"), env.get("UV_INDEX_URL"))
        if value
    ]
    extra = [
        *pip.get("extra-index-url", "").split(),
        *(part.rpartition("=")[2] if _is_named(part) else part for part in _words(env, "UV_INDEX")),
        *_words(env, "UV_EXTRA_INDEX_URL"),
    ]
    links = [
        *pip.get("find-links", "").split(),
        *env.get("UV_FIND_LINKS", "").replace(",", " ").split(),
    ]
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return [], links
    return [*(main or [default_index()]), *extra], links


def _words(env: Mapping[str, str], name: str) -> list[str]:
    return env.get(name, "").split()


def _is_named(part: str) -> bool:
    """Whether *part* is ``name=address``, as ``UV_INDEX`` allows."""
    name, found, _ = part.partition("=")
    return bool(found) and "/" not in name


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings, kept while neither its files nor its variables change."""
    place = cache_dir() / "pip-settings" / f"{sha256_json(_settings_state(environ))}.json"
    kept = memo.load(place)
    if isinstance(kept, dict):
        return kept
    found = _asked_of_pip(environ)
    if not any("@" in value for value in found.values()):  # such as a password
        memo.keep(place, found)
    return found


def _settings_state(environ: Mapping[str, str]) -> list[Any]:
    """Return what pip's settings follow from. See "Configuration" in pip's user guide."""
    home = Path(environ.get("HOME") or Path.home())
    folders = [
        *environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep),
        "/etc",
        "/Library/Application Support",
        environ.get("XDG_CONFIG_HOME") or str(home / ".config"),
        str(home / "Library" / "Application Support"),
    ]
    files = [
        *(
            Path(folder, *part)
            for folder in folders
            for part in (("pip", "pip.conf"), ("pip.conf",))
        ),
        home / ".pip" / "pip.conf",
        Path(sys.prefix, "pip.conf"),
        *([Path(environ["PIP_CONFIG_FILE"])] if environ.get("PIP_CONFIG_FILE") else []),
    ]
    variables = sorted((k, v) for k, v in environ.items() if k.upper().startswith("PIP_"))
    return [sys.executable, variables, [_stat(path) for path in files]]


def _stat(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except OSError:
        return [str(path)]
    return [str(path), found.st_mtime_ns, found.st_size, found.st_ino]


def _asked_of_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings; a later section overrides an earlier one, as in pip."""
    # Not from the current folder: a pip.py of the user there would be run.
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = run(command, env=environ, cwd=Path(sys.prefix), timeout=30)
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in answer.out.splitlines():
        key, found, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if found and section in sections:
            sections[section][name] = _unquoted(value)
    return {**sections["global"], **sections["install"], **sections[":env:"]}


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value


def _index(address: str, client: Client) -> Source:
    path = local_path(address)
    if path is not None:
        return LocalIndex(path)
    if "://" not in address and Path(address).expanduser().is_dir():
        return LocalIndex(Path(address).expanduser().resolve())
    return SimpleIndex(address, client)


def _links(address: str, client: Client) -> Source:
    path = local_path(address)
    if path is None and "://" not in address:
        path = Path(address).expanduser().resolve()
    return LinksPage(address, client) if path is None else LinksFolder(path)
