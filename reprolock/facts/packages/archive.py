"""What a source archive asks for to be built: the ``[build-system]`` of its pyproject.toml."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from reprolock.facts.packages.index import SourceError, finish

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from reprolock.facts.packages.index import Client, IndexFile

_LARGEST = 32 << 20  # bytes of an archive that is fetched for one small file in it
_LARGEST_FILE = 1 << 20
_CHUNK = 1 << 20
_OK = 200
#: Of a project without a table ``[build-system]`` (PEP 518).
_LEGACY = ["setuptools>=40.8.0"]


def build_requires(file: IndexFile, client: Client) -> list[str] | None:
    """Return what the archive *file* requires to be built, None where it cannot be read.

    An archive of more than 32 MiB is not fetched for it.
    """
    try:
        data = file.path.read_bytes() if file.path is not None else _fetched(file, client)
        text = _pyproject(data)
        table: Any = {} if text is None else tomllib.loads(text)
        requires = table.get("build-system", {}).get("requires", _LEGACY)
    except (SourceError, HTTPError, OSError, EOFError, ValueError, AttributeError):
        return None
    except (tarfile.TarError, zipfile.BadZipFile, KeyError):
        return None
    is_list = isinstance(requires, list) and all(isinstance(one, str) for one in requires)
    return requires if is_list else None


def _fetched(file: IndexFile, client: Client) -> bytes:
    if file.size is not None and file.size > _LARGEST:
        raise SourceError(f"{file.filename} is larger than {_LARGEST} bytes")
    answer = client.get(file.url, {"Accept-Encoding": "identity"})
    found = bytearray()
    try:
        if answer.status != _OK:
            raise SourceError(f"{file.filename}: the server answered {answer.status}")
        for piece in answer.stream(_CHUNK):
            found += piece
            if len(found) > _LARGEST:
                raise SourceError(f"{file.filename} is larger than {_LARGEST} bytes")
    finally:
        finish(answer)
    return bytes(found)


def _pyproject(data: bytes) -> str | None:
    """Return ``PROJECT-VERSION/pyproject.toml`` of a .tar.gz or .zip."""
    stream = io.BytesIO(data)
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            names = [n for n in archive.namelist() if _is_wanted(n)]
            if not names:
                return None
            with archive.open(names[0]) as member:
                return member.read(_LARGEST_FILE).decode("utf-8")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            if _is_wanted(info.name) and (file := tar.extractfile(info)) is not None:
                return file.read(_LARGEST_FILE).decode("utf-8")
    return None


def _is_wanted(name: str) -> bool:
    return name.removeprefix("./").split("/")[1:] == ["pyproject.toml"]
