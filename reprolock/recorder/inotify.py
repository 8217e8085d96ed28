"""File events of the running Linux kernel, by ctypes (inotify(7)). Needs no privilege."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

ACCESS, MODIFY, CLOSE_WRITE, CLOSE_NOWRITE, OPEN = 0x1, 0x2, 0x8, 0x10, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _IGNORED, _ISDIR = 0x4000, 0x8000, 0x40000000
_ONLYDIR, _EXCL_UNLINK = 0x01000000, 0x04000000
_WANTED = (
    ACCESS | MODIFY | CLOSE_WRITE | CLOSE_NOWRITE | OPEN | MOVED_FROM | MOVED_TO | CREATE | DELETE
)
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_PIECE = 1 << 16


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

    def drain(self) -> List[Seen]:
        """Return what happened since the last call; sets ``overflowed`` where some was lost."""
        if not self._reading.acquire(blocking=False):
            return []  # Another thread drains; what it finds belongs to the same cell.
        try:
            return [seen for piece in self._pieces() for seen in self._parse(piece)]
        finally:
            self._reading.release()

    def _pieces(self) -> Iterator[bytes]:
        while True:
            try:
                piece = os.read(self._handle, _PIECE)
            except BlockingIOError:
                return
            yield piece

    def _parse(self, piece: bytes) -> Iterator[Seen]:
        at = 0
        while at < len(piece):
            watch, mask, cookie, length = _HEAD.unpack_from(piece, at)
            at += _HEAD.size
            name = os.fsdecode(piece[at : at + length].rstrip(b"\0"))
            at += length
            if mask & _OVERFLOW:
                self.overflowed = True
            elif mask & _IGNORED:
                self._watched.pop(self._folders.pop(watch, ""), None)
            elif name and watch in self._folders:
                path = os.path.join(self._folders[watch], name)
                yield Seen(path, mask, cookie, bool(mask & _ISDIR))

    def close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def move_pairs(events: List[Seen]) -> Dict[int, Tuple[Optional[str], Optional[str]]]:
    """Return (from, to) by cookie; None for an end that lies outside the watched folders."""
    pairs: Dict[int, Tuple[Optional[str], Optional[str]]] = {}
    for seen in events:
        start, end = pairs.get(seen.cookie, (None, None))
        if seen.mask & MOVED_FROM:
            pairs[seen.cookie] = (seen.path, end)
        elif seen.mask & MOVED_TO:
            pairs[seen.cookie] = (start, seen.path)
    return pairs
