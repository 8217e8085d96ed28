"""Bundles taken apart without trust: every member is checked before and while it is written.

A bundle can come from anyone. It is unpacked into a new private folder, and nothing of it is
written that its manifest does not list with that very size and SHA-256.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import struct
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from reprolock import lock
from reprolock.errors import BundleError, UnsafeBundleError
from reprolock.export import manifest
from reprolock.export.named import require_named
from reprolock.facts import data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reprolock.export.manifest import Entry
    from reprolock.lock import Lock

_MAGIC = b"PK\x03\x04"
_CHUNK = 1 << 20
_MANIFEST_BYTES = 64 << 20
_MEMBERS = 200_000
_ENCRYPTED = 0x1
_BROKEN = (
    zipfile.BadZipFile,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)
_NOT_OURS = "a bundle is what `reprolock export --to bundle` wrote, and nothing else"


@dataclass(frozen=True)
class Bundle:
    """A bundle that was unpacked, or a lock alone where *is_whole* is not true. *lock*: the lock's
    path; *packages*: files to install, by SHA-256; *maps*: prefix of the recorded machine -> folder
    in which its files lie here; *entries*: its members.
    """

    lock: Path
    is_whole: bool = False
    entries: tuple[Entry, ...] = ()
    packages: Mapping[str, Path] = field(default_factory=dict)
    maps: Mapping[str, Path] = field(default_factory=dict)

    def read(self) -> Lock:
        """Read the lock. Raises LockError, UnsafeBundleError where the lock does not name all."""
        locked = lock.read(self.lock)
        if self.is_whole:
            require_named(self.entries, locked)
        return locked

    def maps_with(self, stated: Mapping[str, Path]) -> dict[str, Path]:
        """Return the maps with those that a person *stated*, before which the bundle's give way."""
        own = {
            prefix: folder
            for prefix, folder in self.maps.items()
            if data.longest(prefix, stated) is None
            and all(data.longest(other, [prefix]) is None for other in stated)
        }
        return {**own, **stated}


def is_bundle(path: Path) -> bool:
    """Say whether the file is a bundle or is called like one: no lock begins or ends so."""
    if path.suffix == ".zip":
        return True
    try:
        if not path.is_file():  # one could wait for ever for the first byte of a pipe
            return False
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


@contextlib.contextmanager
def unpacked(path: Path, *, only_lock: bool = False) -> Iterator[Bundle]:
    """Unpack the bundle at *path* into a new private folder; remove that at the end.

    Raises BundleError where it is damaged, UnsafeBundleError where it would do harm.
    """
    root = _private_folder()
    try:
        entries = _unpack(path, root, only_lock=only_lock)
        yield _bundle(entries, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _private_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="reprolock-bundle-")).resolve()
    except OSError as exc:
        raise BundleError(
            "cannot make a folder to unpack the bundle in",
            causes=(exc.strerror or str(exc),),
            hint="make room, or set TMPDIR to a folder that can be written",
        ) from exc


@contextlib.contextmanager
def lock_path(path: Path, *, only_lock: bool = False) -> Iterator[Bundle]:
    """Give the bundle at *path* unpacked, or the lock at *path* as a bundle of itself."""
    if is_bundle(path):
        with unpacked(path, only_lock=only_lock) as bundle:
            yield bundle
    else:
        yield Bundle(path.absolute())


def _unpack(path: Path, root: Path, *, only_lock: bool) -> tuple[Entry, ...]:
    if path.exists() and not path.is_file():
        raise BundleError(f"{path} is no regular file")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = _checked(archive, os.fstat(file.fileno()).st_size)
            wanted = [e for e in entries if e.role == manifest.LOCK or not only_lock]
            _require_room(root, sum(entry.size for entry in wanted))
            for entry in wanted:
                _write(archive, entry, root / entry.path)
    except _BROKEN as exc:
        raise BundleError(f"{path} is no bundle, or a damaged one", causes=(_short(exc),)) from exc
    except OSError as exc:
        raise BundleError(
            f"cannot read or unpack the bundle {path}",
            causes=(exc.strerror or str(exc),),
            hint="check the path; TMPDIR sets where a bundle is unpacked",
        ) from exc
    return entries


def _short(exc: BaseException) -> str:
    return str(exc)[:300] or type(exc).__name__


def _checked(archive: zipfile.ZipFile, size: int) -> tuple[Entry, ...]:
    """Hold the archive's directory against its manifest, before anything is written."""
    infos = {info.filename: info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise UnsafeBundleError("the bundle holds two members of one name", hint=_NOT_OURS)
    if len(infos) > _MEMBERS:
        raise UnsafeBundleError(f"the bundle holds {len(infos):,} members", hint=_NOT_OURS)
    for info in infos.values():
        _require_plain(info)
    entries = _manifest(archive, infos)
    _require_same(infos, entries)
    if sum(info.file_size for info in infos.values()) > size:
        raise UnsafeBundleError("the bundle's members are larger than itself", hint=_NOT_OURS)
    return entries


def _require_plain(info: zipfile.ZipInfo) -> None:
    """Let only what the exporter writes pass: stored bytes of a regular file at a sound path."""
    name, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
    if not manifest.is_sound(name) or info.orig_filename != name:
        raise UnsafeBundleError(
            f"the bundle holds {info.orig_filename!r}: wanted a path that stays within it",
            hint=_NOT_OURS,
        )
    if kind not in (0, stat.S_IFREG):
        raise UnsafeBundleError(f"{name} in the bundle is no regular file", hint=_NOT_OURS)
    if info.flag_bits & _ENCRYPTED:
        raise UnsafeBundleError(f"{name} in the bundle is encrypted", hint=_NOT_OURS)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise UnsafeBundleError(f"{name} in the bundle is compressed", hint=_NOT_OURS)


def _manifest(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo]) -> tuple[Entry, ...]:
    info = infos.get(manifest.NAME)
    if info is None:
        raise BundleError(f"the bundle has no {manifest.NAME}", hint=_NOT_OURS)
    if info.file_size > _MANIFEST_BYTES:
        raise UnsafeBundleError(f"the bundle's {manifest.NAME} is too large", hint=_NOT_OURS)
    return manifest.loads(archive.read(info))


def _require_same(infos: Mapping[str, zipfile.ZipInfo], entries: tuple[Entry, ...]) -> None:
    listed = {entry.path: entry for entry in entries}
    if len(listed) != len(entries):
        raise UnsafeBundleError("the bundle's manifest lists a member twice", hint=_NOT_OURS)
    strangers = sorted(infos.keys() - listed.keys() - {manifest.NAME})
    if strangers:
        raise UnsafeBundleError(
            f"the bundle holds what its manifest does not list: {strangers[0]}", hint=_NOT_OURS
        )
    for path, entry in listed.items():
        if path not in infos:
            raise BundleError(f"{path} is not in the bundle, and its manifest lists it")
        if infos[path].file_size != entry.size:
            raise BundleError(
                f"{path} in the bundle: wanted {entry.size:,} bytes, "
                f"found {infos[path].file_size:,}"
            )
    folders = {str(above) for path in listed for above in PurePosixPath(path).parents}
    if clash := sorted(folders & listed.keys()):
        raise UnsafeBundleError(f"{clash[0]} in the bundle is a file and a folder", hint=_NOT_OURS)
    if sum(entry.role == manifest.LOCK for entry in entries) != 1:
        raise BundleError("wanted one lock in the bundle", hint=_NOT_OURS)


def _require_room(root: Path, wanted: int) -> None:
    free = shutil.disk_usage(root).free
    if free < wanted:
        raise BundleError(
            f"no room to unpack the bundle: wanted {wanted / 1e6:,.0f} MB, "
            f"found {free / 1e6:,.0f} MB free",
            hint="make room, or set TMPDIR to a folder on another disk",
        )


def _write(archive: zipfile.ZipFile, entry: Entry, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), entry.size
    with archive.open(entry.path) as source, target.open("xb") as file:
        while piece := source.read(min(_CHUNK, left + 1)):
            left -= len(piece)
            if left < 0:
                break
            digest.update(piece)
            file.write(piece)
    if left or digest.hexdigest() != entry.sha256:
        raise BundleError(
            f"{entry.path} in the bundle is not what the manifest says: wanted "
            f"sha256 {entry.sha256}, found {digest.hexdigest()}"
        )


def _bundle(entries: tuple[Entry, ...], root: Path) -> Bundle:
    inside = next(entry for entry in entries if entry.role == manifest.LOCK)
    kinds = (manifest.WHEEL, manifest.SDIST)
    return Bundle(
        lock=root / inside.path,
        is_whole=True,
        entries=entries,
        packages={entry.sha256: root / entry.path for entry in entries if entry.role in kinds},
        maps=_maps([entry.path for entry in entries], root),
    )


def _maps(paths: list[str], root: Path) -> dict[str, Path]:
    """Return the platform's folders of which the bundle holds files, none within another."""
    known = [folder for folders in data.PLATFORM_FOLDERS.values() for folder in folders]
    names = [path.removeprefix("platform") for path in paths if path.startswith("platform/")]
    found = {prefix for name in names if (prefix := data.longest(name, known)) is not None}
    outer = (prefix for prefix in found if data.longest(prefix, found - {prefix}) is None)
    return {prefix: root / "platform" / prefix[1:] for prefix in sorted(outer)}
