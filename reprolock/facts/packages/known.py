"""Indexes that a machine is not told of: those of local versions, and those that a notebook names.

A version such as ``2.11.0+cu128`` is on no default index, and nothing in what is installed says
where it came from. Its local label says whose it is. What is found there is proved by RECORD like
all else, so that a wrong guess finds nothing.

``REPROLOCK_INDEXES`` adds to the list: words ``LABEL=ADDRESS``, where LABEL is a regular expression
for the whole local label, and ``{label}`` in ADDRESS stands for it.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from reprolock.facts.packages.index import Client, LinksPage, SimpleIndex, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# As their installation guides have them: pytorch.org "Get Started", docs.jax.dev "Installation"
# (the older CUDA wheels), docs.rapids.ai "Installation".
_LABELS = (
    (r"cpu|cu\d+|rocm[\d.]+|xpu", "https://download.pytorch.org/whl/{label}"),
    (
        r"cuda\d+\.cudnn\d+",
        "https://storage.googleapis.com/jax-releases/jax_cuda_releases.html",
    ),
)
_INDEX_OPTIONS = ("--index-url", "-i", "--extra-index-url", "--index", "--default-index")
_LINKS_OPTIONS = ("--find-links", "-f")


def for_version(
    version: str, client: Client, environ: Mapping[str, str] | None = None
) -> tuple[Source, ...]:
    """Return the indexes that offer local versions with the label of *version*, if it has one."""
    label = _label(version)
    if label is None:
        return ()
    addresses = [
        address.replace("{label}", label)
        for pattern, address in (*_configured(os.environ if environ is None else environ), *_LABELS)
        if _fits(pattern, label)
    ]
    return tuple(_source(address, client) for address in addresses)


def _label(version: str) -> str | None:
    try:
        return Version(version).local
    except InvalidVersion:
        return None


def _configured(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    words = environ.get("REPROLOCK_INDEXES", "").split()
    return [
        (label, address) for label, found, address in (w.partition("=") for w in words) if found
    ]


def _fits(pattern: str, label: str) -> bool:
    try:
        return re.fullmatch(pattern, label) is not None
    except re.error:
        return pattern == label


def _source(address: str, client: Client) -> Source:
    return LinksPage(address, client) if address.endswith(".html") else SimpleIndex(address, client)


def named_in(commands: Iterable[str], client: Client) -> tuple[Source, ...]:
    """Return the indexes and pages of links that the lines of a notebook name, each once."""
    found: dict[str, Source] = {}
    for command in commands:
        for option, address in _options(command):
            if address.startswith(("http://", "https://")):
                kind = LinksPage if option in _LINKS_OPTIONS else SimpleIndex
                source = kind(address, client)
                found.setdefault(source.label, source)
    return tuple(found.values())


def _options(command: str) -> Iterable[tuple[str, str]]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in (*_INDEX_OPTIONS, *_LINKS_OPTIONS):
            yield name, value if equals else following
