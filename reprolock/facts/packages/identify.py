"""For each installed distribution, the very file that it came from.

The proof is the wheel's own RECORD: where it lists the same paths with the same hashes as the
installed one, the wheel holds the installed files. Tags and metadata only choose which wheel is
looked at first; they are claims, and some published wheels make false ones.
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packaging.tags import parse_tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from reprolock.digest import sha256_json
from reprolock.facts import memo
from reprolock.facts.packages import known, origin, record
from reprolock.facts.packages.archive import build_requires
from reprolock.facts.packages.index import (
    Client,
    IndexFile,
    Source,
    SourceError,
    UnreachableError,
    local_path,
    without_login,
)
from reprolock.facts.packages.model import (
    FILE_SCHEMES,
    REPOSITORY_SCHEMES,
    ArchiveSource,
    LockedPackage,
    SdistFile,
    Spare,
    UnresolvedPackage,
    VcsSource,
    WheelFile,
)
from reprolock.facts.packages.wheelfile import read_record, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reprolock.facts.packages.installed import Installed

_FORMAT = 2
_ASK_AGAIN_SECONDS = 24 * 3600
# So many of a wheel's files may differ in an altered copy of it; another build differs in more.
_ALTERED = 0.1
_MOST_DIFFERS = 50
_OTHER_SYSTEMS = {
    "linux": ("win", "macosx", "ios", "android"),
    "darwin": ("win", "linux", "manylinux", "musllinux", "android"),
    "win32": ("macosx", "linux", "manylinux", "musllinux", "ios", "android"),
}


@dataclass
class Identifier:
    """Identifies distributions one at a time; safe to call from several threads.

    *sources* empty means that nothing is looked up (*offline* says why). *cache* is the folder
    in which answers are kept. *prove*: hold every wheel of a release against what is installed, and
    do not stop at the first that matches. *troubles* collects what sources answered that was no
    answer.
    """

    sources: tuple[Source, ...]
    client: Client
    cache: Path | None = None
    offline: bool = False
    prove: bool = False
    troubles: set[str] = field(default_factory=set)

    def identify(self, dist: Installed) -> LockedPackage | UnresolvedPackage:
        if dist.direct_url is not None:
            return self._from_direct_url(dist, dist.direct_url)
        if reason := other_manager(dist):
            told = {"dpkg": origin.of_dpkg, "conda": origin.of_conda}.get(reason)
            return replace(_unresolved(dist, reason), origin=told(dist) if told else {})
        place = self._place(dist)
        kept = None if place is None else _recall(memo.load(place), dist)
        if kept is not None:
            return kept
        if self.offline:
            return _unresolved(dist, "offline")
        answer = self._from_sources(dist)
        lasting = isinstance(answer, LockedPackage) or answer.reason != "unreachable"
        if place is not None and lasting:
            memo.keep(place, _remember(answer))
        return answer

    def _place(self, dist: Installed) -> Path | None:
        if self.cache is None:
            return None
        # The digest of the RECORD that leaves out what names this one environment.
        key = [_FORMAT, dist.name, dist.version, dist.files, dist.installer, self.prove]
        return self.cache / f"{sha256_json([*key, sorted(s.label for s in self.sources)])}.json"

    # -- direct_url.json (PEP 610)

    def _from_direct_url(self, dist: Installed, direct: Any) -> LockedPackage | UnresolvedPackage:
        url = str(direct.get("url") or "")
        subdirectory = direct.get("subdirectory")
        folder, vcs, archive = (direct.get(key) for key in ("dir_info", "vcs_info", "archive_info"))
        if isinstance(folder, dict):
            reason = "editable" if folder.get("editable") else "directory"
            return replace(_unresolved(dist, reason), origin=origin.of_folder(dist))
        if isinstance(vcs, dict):
            return _from_vcs(dist, url, vcs, subdirectory)
        sha256 = _archive_hash(archive if isinstance(archive, dict) else {})
        if (path := local_path(url)) is not None:
            return replace(_unresolved(dist, "local-file"), filename=path.name, sha256=sha256)
        if sha256 is None and urlsplit(url).scheme in FILE_SCHEMES:
            sha256 = self._hash_of_proved(dist, url)
        if sha256 is None or urlsplit(url).scheme not in FILE_SCHEMES:
            return _unresolved(dist, "no-hash")
        return _locked(dist, ArchiveSource(_safe(url), sha256, None, subdirectory), "direct-url")

    def _hash_of_proved(self, dist: Installed, url: str) -> str | None:
        """Return the hash of the wheel at *url* where it proves to be what is installed."""
        file = IndexFile(urlsplit(url).path.rpartition("/")[2], _safe(url))
        if self.offline or not file.filename.endswith(".whl") or dist.lines is None:
            return None
        self.client.remember_login(url)
        try:
            found, _ = read_record(file, self.client)
            proved = record.matches(dist.hashes, found, dist.rewritten)
            return sha256_of(file, self.client) if proved else None
        except SourceError as exc:
            self.troubles.add(str(exc))
            return None

    # -- indexes

    def _from_sources(self, dist: Installed) -> LockedPackage | UnresolvedPackage:
        files, complete = self._release(dist)
        wheels = [f for f in files if f.filename.endswith(".whl")]
        sdists = [f for f in files if not f.filename.endswith(".whl") and f.sha256]
        sdist = next((f for f in sdists if not f.is_local), None)
        nearest = _Nearest(dist)
        same: list[IndexFile] = []
        for wheel in _by_likelihood(wheels, dist):
            held = self._held(dist, wheel, nearest)
            if isinstance(held, IndexFile):
                same.append(held)
                if not self.prove:
                    break
            complete = complete and not isinstance(held, UnreachableError)
        if same:
            alone = self.prove and complete and len(same) == 1
            return self._proved(dist, same[0], sdist, "record-alone" if alone else "record")
        if not complete:
            return _unresolved(dist, "unreachable")
        if not files:
            return _unresolved(dist, "not-on-index")
        if sdist is not None and not wheels:
            return self._built(dist, sdist, "sdist-only")
        if _is_local_build(dist) or nearest.is_same_code:
            built = sdist and self._built(dist, sdist, "sdist-build")
            return built or _unresolved(dist, "sdist-build")
        return nearest.altered() or _unresolved(dist, "no-match")

    def _built(self, dist: Installed, sdist: IndexFile, evidence: str) -> LockedPackage:
        requires = build_requires(sdist, self.client)
        told = {"generator": dist.generator, "requires": requires, "sources": dist.sources}
        return replace(
            _locked(dist, _source(SdistFile, sdist, sdist.sha256 or ""), evidence),
            build={key: value for key, value in told.items() if value is not None},
        )

    def _release(self, dist: Installed) -> tuple[list[IndexFile], bool]:
        """Return the files of this release, each once, and whether all sources answered."""
        found: dict[str, IndexFile] = {}
        complete = bool(self.sources)
        for source in (*self.sources, *known.for_version(dist.version, self.client)):
            files = self._files(source, dist.name)
            complete = complete and files is not None
            for file in files or ():
                if _is_version(file.filename, dist.version):
                    found.setdefault(file.sha256 or file.url, file)
        return list(found.values()), complete

    def _files(self, source: Source, name: str) -> tuple[IndexFile, ...] | None:
        try:
            return source.files(name)
        except SourceError as exc:
            self.troubles.add(str(exc))
            return None

    def _held(
        self, dist: Installed, wheel: IndexFile, nearest: _Nearest
    ) -> IndexFile | UnreachableError | None:
        """Return *wheel*, completed, where it holds what is installed; None where it does not."""
        try:
            found, wheel = read_record(wheel, self.client)
        except SourceError as exc:
            self.troubles.add(str(exc))
            return exc if isinstance(exc, UnreachableError) else None
        differs = record.differences(dist.hashes, found, dist.rewritten)
        nearest.see(wheel, differs, len(found))
        return None if differs else wheel

    def _proved(
        self, dist: Installed, wheel: IndexFile, sdist: IndexFile | None, evidence: str
    ) -> LockedPackage | UnresolvedPackage:
        sha256 = sha256_of(wheel, self.client) if wheel.is_local else wheel.sha256
        sha256 = sha256 or sha256_of(wheel, self.client)
        if wheel.is_local:
            lost = _unresolved(dist, "local-file")
            return replace(lost, filename=wheel.filename, sha256=sha256)
        spare = None if sdist is None else Spare(sdist.filename, sdist.sha256 or "")
        return replace(_locked(dist, _source(WheelFile, wheel, sha256), evidence), spare=spare)


@dataclass
class _Nearest:
    """The published wheel that *dist* differs least from: an altered copy of it, if by little."""

    dist: Installed
    wheel: IndexFile | None = None
    differs: tuple[str, ...] = ()
    count: int = 0

    def see(self, wheel: IndexFile, differs: tuple[str, ...], count: int) -> None:
        if self.wheel is None or len(differs) < len(self.differs):
            self.wheel, self.differs, self.count = wheel, differs, count

    @property
    def is_same_code(self) -> bool:
        """Whether all that differs is what a build writes into the metadata folder."""
        return self.wheel is not None and all(
            re.fullmatch(r"[^/]+\.dist-info/(WHEEL|METADATA|top_level\.txt|licenses/.*)", path)
            for path in self.differs
        )

    def altered(self) -> UnresolvedPackage | None:
        if self.wheel is None or len(self.differs) > max(2, self.count * _ALTERED):
            return None
        return replace(
            _unresolved(self.dist, "altered"),
            filename=self.wheel.filename,
            sha256=self.wheel.sha256,
            differs=self.differs[:_MOST_DIFFERS],
        )


def _from_vcs(
    dist: Installed, url: str, vcs: dict[str, Any], subdirectory: str | None
) -> LockedPackage | UnresolvedPackage:
    kind, commit = vcs.get("vcs"), vcs.get("commit_id")
    if urlsplit(url).scheme not in REPOSITORY_SCHEMES:
        return _unresolved(dist, "local-vcs")
    if not kind or not commit:
        return _unresolved(dist, "no-hash")
    source = VcsSource(
        str(kind), _safe(url), str(commit), vcs.get("requested_revision"), subdirectory
    )
    return _locked(dist, source, "direct-url")


def _safe(url: str) -> str:
    """Return *url* without credentials. The user of an ssh address is part of its place."""
    if urlsplit(url).scheme.endswith("ssh") and urlsplit(url).password is None:
        return url
    return without_login(url)


def _archive_hash(info: dict[str, Any]) -> str | None:
    hashes = info.get("hashes")
    found = hashes.get("sha256") if isinstance(hashes, dict) else None
    if found is None and str(info.get("hash", "")).startswith("sha256="):
        found = str(info["hash"]).partition("=")[2]
    return found if isinstance(found, str) and re.fullmatch(r"[0-9a-f]{64}", found) else None


def other_manager(dist: Installed) -> str | None:
    """Return the reason why no index has *dist*, seen from how it is installed; None if one may."""
    if dist.installer == "conda" or (dist.installer is None and _in_conda(dist)):
        return "conda"
    if dist.root.name == "dist-packages" and (
        dist.installer in (None, "debian") or dist.lines is None
    ):
        return "dpkg"
    return "no-record" if dist.lines is None else None


def _in_conda(dist: Installed) -> bool:
    return any((parent / "conda-meta").is_dir() for parent in list(dist.root.parents)[:4])


def _is_local_build(dist: Installed) -> bool:
    """Whether the tags are those of a wheel made on the spot: indexes refuse plain ``linux_*``."""
    return any(tag.platform.startswith("linux_") for tag in dist.tags)


def _is_version(filename: str, version: str) -> bool:
    if filename.endswith(".whl"):
        # The second part, parsed once for all wheels of a release: pages list thousands.
        text = [*filename.split("-", 2), "", ""][1]
        return _is_same(text, version) and _is_wheel(filename)
    return filename.endswith((".tar.gz", ".zip")) and _is_sdist(filename, version)


def _is_wheel(filename: str) -> bool:
    try:
        parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return False
    return True


def _is_sdist(filename: str, version: str) -> bool:
    try:
        return _is_same(str(parse_sdist_filename(filename)[1]), version)
    except (InvalidSdistFilename, InvalidVersion):
        return False


@lru_cache(maxsize=20_000)
def _is_same(text: str, version: str) -> bool:
    try:
        return Version(text) == Version(version)
    except InvalidVersion:
        return False


def _by_likelihood(wheels: Iterable[IndexFile], dist: Installed) -> list[IndexFile]:
    """Sort *wheels*: tags equal, tags in common, others; leave out those of other systems."""
    others = _OTHER_SYSTEMS.get(sys.platform, ())
    ranked = []
    for wheel in wheels:
        tags = parse_tag("-".join(wheel.filename[: -len(".whl")].rsplit("-", 3)[1:]))
        if all(tag.platform.startswith(others) for tag in tags):
            continue
        rank = 0 if tags == dist.tags else 1 if tags & dist.tags else 2
        ranked.append((rank, wheel.is_local, wheel.filename, wheel))
    return [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:3])]


def _source(kind: Any, file: IndexFile, sha256: str) -> Any:
    return kind(file.filename, _safe(file.url), sha256, file.size, file.upload_time)


def _locked(dist: Installed, source: Any, evidence: str) -> LockedPackage:
    return LockedPackage(dist.name, dist.version, source, evidence, dist.installer, dist.files)


def _unresolved(dist: Installed, reason: str) -> UnresolvedPackage:
    return UnresolvedPackage(dist.name, dist.version, reason, dist.installer, dist.files)


def _remember(answer: LockedPackage | UnresolvedPackage) -> dict[str, Any]:
    if isinstance(answer, LockedPackage):
        return {
            "kind": type(answer.source).__name__,
            "source": asdict(answer.source),
            "evidence": answer.evidence,
            "build": dict(answer.build),
            "spare": answer.spare and asdict(answer.spare),
        }
    return {
        "kind": "unresolved",
        "reason": answer.reason,
        "filename": answer.filename,
        "sha256": answer.sha256,
        "differs": answer.differs,
        "asked": time.time(),
    }


def _recall(kept: Any, dist: Installed) -> LockedPackage | UnresolvedPackage | None:
    """Return what was kept for *dist*; a "no" holds for a day, as indexes grow."""
    try:
        if kept["kind"] == "unresolved":
            if kept["reason"] != "local-file" and time.time() - kept["asked"] > _ASK_AGAIN_SECONDS:
                return None
            return replace(
                _unresolved(dist, kept["reason"]),
                filename=kept["filename"],
                sha256=kept["sha256"],
                differs=tuple(kept.get("differs", ())),
            )
        kind = {"WheelFile": WheelFile, "SdistFile": SdistFile}[kept["kind"]]
        found = _locked(dist, kind(**kept["source"]), kept["evidence"])
        spare = kept["spare"] and Spare(**kept["spare"])
        return replace(found, build=dict(kept["build"]), spare=spare)
    except (TypeError, KeyError):
        return None
