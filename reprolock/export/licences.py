"""The licences that wheels state in their METADATA, looked up once and kept in the cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from reprolock.facts.memo import keep, load
from reprolock.facts.packages import WheelFile
from reprolock.facts.packages.index import Client, IndexFile, SourceError, local_path
from reprolock.facts.packages.wheelfile import read_metadata
from reprolock.files import cache_dir

if TYPE_CHECKING:
    from reprolock.export.model import Subject
    from reprolock.facts.packages import LockedPackage

_THREADS = 16
_CLASSIFIER = "License :: "
_SHORT = 100


@dataclass(frozen=True)
class Licence:
    """What a package says of itself. *expression*: SPDX (PEP 639); *text*: the field of older
    metadata, where it is a name and not a whole licence; *classifiers*: their last parts.
    """

    expression: str | None = None
    text: str | None = None
    classifiers: tuple[str, ...] = ()


def parse(metadata: str) -> Licence:
    """Read the core metadata of a distribution."""
    fields = HeaderParser().parsestr(metadata)
    text = (fields.get("License") or "").strip()
    named = [c for c in fields.get_all("Classifier", []) if c.startswith(_CLASSIFIER)]
    parts = [c.rpartition(" :: ")[2] for c in named]
    return Licence(
        (fields.get("License-Expression") or "").strip() or None,
        text if text and len(text) <= _SHORT and "\n" not in text and text != "UNKNOWN" else None,
        tuple(part for part in parts if part != "OSI Approved"),
    )


def of_packages(subject: Subject) -> dict[str, Licence]:
    """Return what is known, by the package's name. What cannot be had is left out."""
    client = Client()
    wheels = [p for p in subject.packages.packages if isinstance(p.source, WheelFile)]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda package: _one(subject, package, client), wheels)
        pairs = zip(wheels, found, strict=True)
        return {package.name: licence for package, licence in pairs if licence is not None}


def _one(subject: Subject, package: LockedPackage, client: Client) -> Licence | None:
    source = package.source
    if not isinstance(source, WheelFile):
        return None
    place = cache_dir() / "licences" / f"{source.sha256}.json"
    known = load(place)
    if isinstance(known, dict) and known.keys() == {"expression", "text", "classifiers"}:
        return Licence(known["expression"], known["text"], tuple(known["classifiers"]))
    path = subject.at_hand.get(source.sha256) or local_path(source.url)
    if path is None and subject.offline:
        return None
    try:
        licence = parse(read_metadata(IndexFile(source.filename, source.url, path=path), client))
    except SourceError:
        return None
    keep(place, {**vars(licence), "classifiers": list(licence.classifiers)})
    return licence
