"""Where distributions can come from: indexes, folders and pages of links.

Simple repository API as JSON (PEP 691, PEP 700) or HTML (PEP 503), read over one pool of
connections. Credentials in an address are sent and never kept: ``label`` has none.
"""

from __future__ import annotations

import contextlib
import json
import netrc
import os
import ssl
import threading
import urllib.request
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

import urllib3
from packaging.utils import canonicalize_name

from reprolock.digest import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

THREADS = 16
_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)
_CONNECT_SECONDS = 4.0
_READ_SECONDS = 20.0
_WORTH_DRAINING = 1 << 16


class SourceError(Exception):
    """A source gave no usable answer."""


class UnreachableError(SourceError):
    """Nothing answered at all: no network, no such host, nobody listening."""


@dataclass(frozen=True)
class IndexFile:
    """One file of a project. *path* is set where it lies on this machine. *size* in bytes."""

    filename: str
    url: str
    sha256: str | None = None
    size: int | None = None
    upload_time: str | None = None
    yanked: bool = False
    path: Path | None = None

    @property
    def is_local(self) -> bool:
        return self.path is not None


class Source(Protocol):
    """Something that lists the files of a project."""

    @property
    def label(self) -> str:
        """Its address, without credentials."""
        ...

    def files(self, name: str) -> tuple[IndexFile, ...]:
        """Return all files of the project *name* (normalised), of any version; none is no error.

        Raises SourceError.
        """
        ...


class Client:
    """HTTP with a pool of connections, retries, and a quick end where there is no network."""

    def __init__(
        self, *, connect_seconds: float = _CONNECT_SECONDS, read_seconds: float = _READ_SECONDS
    ) -> None:
        self._timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)
        self._lock = threading.Lock()
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._dead: dict[str, str] = {}
        self._logins: dict[str, str] = {}

    def remember_login(self, url: str) -> None:
        """Send the credentials in *url*, if any, with every request to its host."""
        parts = urlsplit(url)
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._logins[parts.netloc.rpartition("@")[2]] = pair

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """Ask for *url* and return the answer with its body still unread.

        A host that could not be reached once is not tried again. Raises UnreachableError,
        SourceError.
        """
        host = urlsplit(url).netloc.rpartition("@")[2]
        if host in self._dead:
            raise UnreachableError(self._dead[host])
        try:
            return self._pool(url).request(
                "GET",
                without_login(url),
                headers={**(headers or {}), **self._authorization(host)},
                preload_content=False,
                timeout=self._timeout,
                retries=urllib3.Retry(
                    total=4, connect=1, read=2, status=2, backoff_factor=0.2, raise_on_status=False,
                    status_forcelist=(429, 500, 502, 503, 504),
                ),
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, ValueError) as exc:
            reason = f"{host}: {_short(exc)}"
            if _is_connect_failure(exc):
                self._dead[host] = reason
                raise UnreachableError(reason) from exc
            raise SourceError(reason) from exc

    def read(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body. Raises as ``get`` does."""
        answer = self.get(url, headers)
        try:
            body = answer.read(decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise SourceError(f"{urlsplit(url).hostname}: {_short(exc)}") from exc
        finally:
            finish(answer)
        return answer.status, answer.headers, body

    def _authorization(self, host: str) -> dict[str, str]:
        login = self._logins.get(host)
        if login is None:
            with contextlib.suppress(OSError, netrc.NetrcParseError):
                entry = netrc.netrc().authenticators(host.partition(":")[0])
                login = f"{entry[0]}:{entry[2]}" if entry else None
        return urllib3.make_headers(basic_auth=login) if login else {}

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = None
        if not urllib.request.proxy_bypass(parts.hostname or ""):
            proxy = urllib.request.getproxies().get(parts.scheme)
        with self._lock:
            if (proxy or "") not in self._pools:
                self._pools[proxy or ""] = _new_pool(proxy)
            return self._pools[proxy or ""]


def finish(answer: urllib3.BaseHTTPResponse) -> None:
    """Give the connection back. One whose answer was not read to its end serves nobody else."""
    with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
        length = answer.headers.get("content-length", "")
        if length.isdigit() and int(length) <= _WORTH_DRAINING:
            answer.drain_conn()
        elif not answer.closed:
            answer.close()
    answer.release_conn()


def _new_pool(proxy: str | None) -> urllib3.PoolManager:
    bundle = next(
        (
            value
            for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
            if (value := os.environ.get(name)) and Path(value).is_file()
        ),
        None,
    )
    context = ssl.create_default_context(cafile=bundle)
    if proxy:
        return urllib3.ProxyManager(proxy, maxsize=THREADS, ssl_context=context)
    return urllib3.PoolManager(maxsize=THREADS, ssl_context=context)


def _is_connect_failure(exc: BaseException) -> bool:
    reason = getattr(exc, "reason", exc)
    return isinstance(
        reason,
        (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.ProxyError,
            urllib3.exceptions.SSLError,
        ),
    )


def _short(exc: BaseException) -> str:
    text = str(getattr(exc, "reason", None) or exc)
    return text.rpartition(">: ")[2] or type(exc).__name__


def without_login(url: str) -> str:
    """Return *url* with user name and password taken out."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True)
class SimpleIndex:
    """A simple index behind HTTP. *url* may hold credentials."""

    url: str
    client: Client

    @property
    def label(self) -> str:
        return without_login(self.url).rstrip("/")

    def files(self, name: str) -> tuple[IndexFile, ...]:
        self.client.remember_login(self.url)
        page = f"{self.label}/{name}/"
        status, headers, body = self.client.read(page, {"Accept": _ACCEPT})
        if status == 404:  # noqa: PLR2004
            return ()
        _require_ok(status, self.label)
        if "json" in headers.get("content-type", ""):
            return tuple(_from_json(body, page))
        return tuple(from_html(body.decode("utf-8", "replace"), page))


@dataclass(frozen=True)
class LinksPage:
    """A page of links behind HTTP, as given to ``--find-links``."""

    url: str
    client: Client

    @property
    def label(self) -> str:
        return without_login(self.url)

    def files(self, name: str) -> tuple[IndexFile, ...]:
        self.client.remember_login(self.url)
        status, _, body = self.client.read(self.label, {"Accept": "text/html"})
        _require_ok(status, self.label)
        found = from_html(body.decode("utf-8", "replace"), self.label)
        return tuple(file for file in found if belongs(file.filename, name))


@dataclass(frozen=True)
class LocalIndex:
    """A simple index in a folder (``file://``)."""

    folder: Path

    @property
    def label(self) -> str:
        return self.folder.as_uri()

    def files(self, name: str) -> tuple[IndexFile, ...]:
        page = self.folder / name / "index.html"
        try:
            text = page.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return LinksFolder(page.parent).files(name)
        return tuple(from_html(text, page.as_uri()))


@dataclass(frozen=True)
class LinksFolder:
    """A folder of wheels and source archives, as given to ``--find-links``."""

    folder: Path

    @property
    def label(self) -> str:
        return self.folder.as_uri()

    def files(self, name: str) -> tuple[IndexFile, ...]:
        try:
            found = sorted(p for p in self.folder.iterdir() if belongs(p.name, name))
        except OSError:
            return ()
        return tuple(IndexFile(p.name, p.as_uri(), size=p.stat().st_size, path=p) for p in found)


def belongs(filename: str, name: str) -> bool:
    """Whether *filename* is a wheel or source archive of the project *name* (normalised)."""
    if filename.endswith(".whl"):
        return canonicalize_name(filename.partition("-")[0]) == name
    if not filename.endswith((".tar.gz", ".zip", ".tar.bz2")):
        return False
    return canonicalize_name(filename).startswith(name + "-")


def _require_ok(status: int, label: str) -> None:
    if status != 200:  # noqa: PLR2004
        hint = " (are the credentials right?)" if status in (401, 403) else ""
        raise SourceError(f"{label} answered {status}{hint}")


def _from_json(body: bytes, page: str) -> Iterator[IndexFile]:
    try:
        entries = json.loads(body)["files"]
    except (ValueError, KeyError, TypeError) as exc:
        raise SourceError(f"{page} is no simple index page: {exc}") from exc
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
            continue
        hashes: Any = entry.get("hashes") or {}
        size: Any = entry.get("size")
        yield IndexFile(
            str(entry.get("filename") or _basename(entry["url"])),
            _absolute(entry["url"], page),
            hashes.get("sha256"),
            size if isinstance(size, int) else None,
            entry.get("upload-time"),
            bool(entry.get("yanked")),
        )


def _absolute(url: str, page: str) -> str:
    # Joining is slow, and a page of a large project has thousands of addresses that need none.
    if url.startswith(("https://", "http://")):
        return url.partition("#")[0]
    return urldefrag(urljoin(page, url)).url


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.base: str | None = None
        self.links: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        href = found.get("href")
        if tag == "base" and href and self.base is None:
            self.base = href
        elif tag == "a" and href:
            self.links.append((href, "data-yanked" in found))


def from_html(text: str, page: str) -> Iterator[IndexFile]:
    """Read the links of an HTML page at the address *page*."""
    parser = _Links()
    parser.feed(text)
    base = urljoin(page, parser.base or "")
    for href, yanked in parser.links:
        url, fragment = urldefrag(urljoin(base, href))
        name, _, digest = fragment.partition("=")
        local = local_path(url)
        yield IndexFile(
            _basename(url), url, digest if name == "sha256" else None, yanked=yanked, path=local
        )


def local_path(url: str) -> Path | None:
    """Return the path that a ``file:`` address names, None for any other address."""
    parts = urlsplit(url)
    return Path(urllib.request.url2pathname(parts.path)) if parts.scheme == "file" else None


def _basename(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def find_by_hash(
    sources: tuple[Source, ...], name: str, filename: str, sha256: str
) -> IndexFile | None:
    """Return the first file of *sources* with that name and SHA-256; pass sources that fail."""
    return next(all_by_hash(sources, name, filename, sha256), None)


def all_by_hash(
    sources: tuple[Source, ...], name: str, filename: str, sha256: str
) -> Iterator[IndexFile]:
    """Yield the files of *sources* with that name and SHA-256; pass sources that fail."""
    for source in sources:
        with contextlib.suppress(SourceError, OSError):
            for file in source.files(name):
                if file.filename == filename and _sha256(file) == sha256:
                    yield file


def _sha256(file: IndexFile) -> str | None:
    """Return the hash that is stated, but that of the bytes where they lie on this machine."""
    return file.sha256 if file.path is None else sha256_file(file.path)
