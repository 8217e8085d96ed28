"""The RECORD inside a wheel, read without the rest of the wheel where the server allows that."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING, cast

from urllib3.exceptions import HTTPError

from reprolock.digest import sha256_file
from reprolock.facts.packages import record
from reprolock.facts.packages.index import Client, IndexFile, SourceError, finish

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

# Measured over 131 wheels: 64 KiB hold directory and RECORD of five in six, for few bytes more.
_TAIL = 64 * 1024
_KEEP_IN_MEMORY = 16 * 1024 * 1024
_CHUNK = 1 << 20
_PARTIAL, _OK = 206, 200


def read_record(file: IndexFile, client: Client) -> tuple[dict[str, str], IndexFile]:
    """Return the RECORD of the wheel *file*, by ``record.wheel_path``, and the file.

    The file comes back with its size filled in. Raises SourceError where it cannot be had or is
    no wheel.
    """
    try:
        if file.path is not None:
            with file.path.open("rb") as stream:
                return _record(stream), replace(file, size=file.path.stat().st_size)
        with _open_remote(file, client) as remote:
            found = _record(remote)
            return found, replace(file, size=remote.seek(0, io.SEEK_END))
    except (zipfile.BadZipFile, OSError, HTTPError, ValueError, KeyError) as exc:
        raise SourceError(f"{file.filename}: {exc}") from exc


def read_metadata(file: IndexFile, client: Client) -> str:
    """Return the METADATA of the wheel *file*. Raises SourceError as ``read_record`` does."""
    try:
        if file.path is not None:
            with file.path.open("rb") as stream:
                return _member(stream, "METADATA")
        with _open_remote(file, client) as remote:
            return _member(remote, "METADATA")
    except (zipfile.BadZipFile, OSError, HTTPError, ValueError, KeyError) as exc:
        raise SourceError(f"{file.filename}: {exc}") from exc


def sha256_of(file: IndexFile, client: Client) -> str:
    """Return the SHA-256 of the whole *file*. Raises SourceError."""
    import hashlib

    if file.path is not None:
        return sha256_file(file.path)
    answer = client.get(file.url, {"Accept-Encoding": "identity"})
    digest = hashlib.sha256()
    try:
        _require(answer, file, _OK)
        for piece in answer.stream(_CHUNK):
            digest.update(piece)
    except (HTTPError, OSError) as exc:
        raise SourceError(f"{file.filename}: {exc}") from exc
    finally:
        finish(answer)
    return digest.hexdigest()


def _record(stream: IO[bytes]) -> dict[str, str]:
    lines = record.parse(_member(stream, "RECORD"))
    return {record.wheel_path(line.path): line.hash for line in lines}


def _member(stream: IO[bytes], wanted: str) -> str:
    with zipfile.ZipFile(stream) as wheel:
        names = [n for n in wheel.namelist() if re.fullmatch(rf"[^/]+\.dist-info/{wanted}", n)]
        if len(names) != 1:
            raise ValueError(f"wanted one {wanted} in the wheel, found {len(names)}")
        return wheel.read(names[0]).decode("utf-8", "replace")


def _open_remote(file: IndexFile, client: Client) -> IO[bytes]:
    headers = {"Range": f"bytes=-{_TAIL}", "Accept-Encoding": "identity"}
    answer = client.get(file.url, headers)
    try:
        span = re.match(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("content-range", ""))
        if answer.status == _PARTIAL and span:
            start, _, total = map(int, span.groups())
            return cast("IO[bytes]", _Ranged(file, client, total, start, answer.read()))
        if answer.status == _OK:
            return _spooled(answer)
    finally:
        finish(answer)
    # Some servers refuse a range of that form: then there is only the whole file.
    answer = client.get(file.url, {"Accept-Encoding": "identity"})
    try:
        _require(answer, file, _OK)
        return _spooled(answer)
    finally:
        finish(answer)


def _require(answer: BaseHTTPResponse, file: IndexFile, status: int) -> None:
    if answer.status != status:
        raise SourceError(f"{file.filename}: the server answered {answer.status}")


def _spooled(answer: BaseHTTPResponse) -> IO[bytes]:
    whole = tempfile.SpooledTemporaryFile(max_size=_KEEP_IN_MEMORY)  # noqa: SIM115 - handed on
    for piece in answer.stream(_CHUNK):
        whole.write(piece)
    return whole


class _Ranged(io.RawIOBase):
    """A remote file that fetches what is read, beginning with its tail."""

    def __init__(self, file: IndexFile, client: Client, size: int, start: int, tail: bytes) -> None:
        super().__init__()
        self._file, self._client, self._size = file, client, size
        self._start, self._data = start, tail
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        if end <= self._at:
            return b""
        if not (self._start <= self._at and end <= self._start + len(self._data)):
            self._fetch(self._at, end)
        begin = self._at - self._start
        self._at = end
        return self._data[begin : end - self._start]

    def _fetch(self, start: int, end: int) -> None:
        # zipfile reads a member in small pieces: fetch a good deal at once.
        end = min(self._size, max(end, start + 4 * _TAIL))
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        answer = self._client.get(self._file.url, headers)
        try:
            _require(answer, self._file, _PARTIAL)
            self._data, self._start = answer.read(), start
        finally:
            finish(answer)
        if len(self._data) != end - start:
            raise SourceError(f"{self._file.filename}: the server sent another range than asked")
