"""File events of the running Linux kernel, by ctypes (inotify(7)). Needs no privilege."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from typing import AbstractSet, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

ACCESS, MODIFY, CLOSE_NOWRITE, OPEN = 0x1, 0x2, 0x10, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _IGNORED, _ISDIR = 0x4000, 0x8000, 0x40000000
_ONLYDIR, _EXCL_UNLINK = 0x01000000, 0x04000000
_WANTED = ACCESS | MODIFY | CLOSE_NOWRITE | OPEN | MOVED_FROM | MOVED_TO | CREATE | DELETE
_OF_A_WRITE = CREATE | OPEN | MODIFY | CLOSE_NOWRITE
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_PIECE = 1 << 16
_LONGEST = _HEAD.size + 256  # of one event: what leaves room for one more was all there was


class Seen(NamedTuple):
    """One event: *mask* of the constants above, *cookie* joins the two halves of a move."""

    path: str
    mask: int
    cookie: int
    is_folder: bool


class Inotify:
    """Watches folders. Raises OSError where the system has no inotify or gives no instance."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1: " + os.strerror(ctypes.get_errno()))
        self._folders: Dict[int, str] = {}
        self._watched: Dict[str, int] = {}
        self._reading = threading.Lock()
        self.overflowed = False
        self.listed: Set[str] = set()

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, folder: str) -> Optional[str]:
        """Watch *folder*, not what lies in its folders. Return why not, or None."""
        if folder in self._watched:
            return None
        watch = self._libc.inotify_add_watch(
            self._handle, os.fsencode(folder), _WANTED | _ONLYDIR | _EXCL_UNLINK
        )
        if watch < 0:
            return os.strerror(ctypes.get_errno())
        self._watched[folder] = watch
        # A folder with two names keeps the one that was watched first.
        self._folders.setdefault(watch, folder)
        return None

    def drain(self, written: AbstractSet[str] = frozenset()) -> List[Seen]:
        """Return what happened since the last call; sets ``overflowed`` where some was lost.

        Of files that are known to be *written* only the other events are returned. Watched folders
        whose own entries were read are added to ``listed``.
        """
        if not self._reading.acquire(blocking=False):
            return []  # Another thread drains; what it finds belongs to the same cell.
        try:
            return [seen for piece in self._pieces() for seen in self._parse(piece, written)]
        finally:
            self._reading.release()

    def _pieces(self) -> Iterator[bytes]:
        while True:
            try:
                piece = os.read(self._handle, _PIECE)
            except BlockingIOError:
                return
            yield piece
            if len(piece) + _LONGEST <= _PIECE:
                return

    def _parse(self, piece: bytes, written: AbstractSet[str]) -> Iterator[Seen]:
        at = 0
        last, path, known = (-1, b""), "", False
        while at < len(piece):
            watch, mask, cookie, length = _HEAD.unpack_from(piece, at)
            at += _HEAD.size
            name = piece[at : at + length]
            at += length
            if mask & _OVERFLOW:
                self.overflowed = True
            elif mask & _IGNORED:
                self._watched.pop(self._folders.pop(watch, ""), None)
            elif watch not in self._folders:
                continue
            elif name:
                if (watch, name) != last:  # A file that is made gives several events in a row.
                    last = (watch, name)
                    path = os.path.join(self._folders[watch], os.fsdecode(name.rstrip(b"\0")))
                    known = path in written
                if not (known and mask & _OF_A_WRITE) or mask & _ISDIR:
                    yield Seen(path, mask, cookie, bool(mask & _ISDIR))
            elif mask & ACCESS:
                self.listed.add(self._folders[watch])

    def close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def move_pairs(events: List[Seen]) -> Dict[int, Tuple[Optional[str], Optional[str]]]:
    """Return (from, to) by cookie; None for an end that lies outside the watched folders."""
    pairs: Dict[int, Tuple[Optional[str], Optional[str]]] = {}
    for seen in events:
        if not seen.cookie:
            continue
        start, end = pairs.get(seen.cookie, (None, None))
        if seen.mask & MOVED_FROM:
            pairs[seen.cookie] = (seen.path, end)
        elif seen.mask & MOVED_TO:
            pairs[seen.cookie] = (start, seen.path)
    return pairs
