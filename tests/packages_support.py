"""A small index on the loopback, small wheels, and environments made by uv."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import json
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reprolock.rebuild.uv import uv_binary

if TYPE_CHECKING:
    from pathlib import Path

LIST = """
import importlib.metadata as m, json
print(json.dumps([
    {"name": d.metadata["Name"], "version": d.version, "path": str(d._path), "root": str(d._path.parent)}
    for d in m.distributions()
]))
"""


def make_wheel(
    name: str,
    version: str,
    files: dict[str, bytes] | None = None,
    tag: str = "py3-none-any",
    wheel_tag: str | None = None,
) -> tuple[str, bytes]:
    """Return name and bytes of a wheel. *wheel_tag*: what its WHEEL claims, where that is not *tag*."""
    info = f"{name}-{version}.dist-info"
    members = {
        **(
            {f"{name}/__init__.py": f"VERSION = {version!r}\n".encode()} if files is None else files
        ),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {wheel_tag or tag}\n".encode(),
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in members.items()
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {
            **members,
            f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode(),
        }.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    return f"{name}-{version}-{tag}.whl", buffer.getvalue()


def make_sdist(name: str, version: str) -> tuple[str, bytes]:
    """Return name and bytes of a source archive that builds with nothing but the standard library."""
    backend = f"""
import base64, hashlib, os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "{name}-{version}.dist-info"
    files = {{"{name}/__init__.py": b"", info + "/METADATA": b"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
             info + "/WHEEL": b"Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}}
    line = lambda p, d: p + ",sha256=" + base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode() + "," + str(len(d)) + "\\n"
    record = "".join(line(p, d) for p, d in files.items()) + info + "/RECORD,,\\n"
    target = "{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, target), "w") as archive:
        for path, data in {{**files, info + "/RECORD": record.encode()}}.items():
            archive.writestr(path, data)
    return target
"""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "{name}"\nversion = "{version}"\n',
        "backend.py": backend,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"{name}-{version}.tar.gz", buffer.getvalue()


@dataclass
class Index:
    """A simple index on 127.0.0.1. What it does is set by its attributes, at any time.

    *faults*: for ``simple`` or ``files`` the statuses of the answers to come, the last for ever; 0
    ends the faults.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    json: bool = True
    ranges: bool = True
    hashes: bool = True
    login: str | None = None
    gone: set[str] = field(default_factory=set)
    yanked: set[str] = field(default_factory=set)
    faults: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ranged: int = 0
    url: str = ""

    def add(self, *made: tuple[str, bytes]) -> Index:
        self.files.update(made)
        return self

    def sha256(self, filename: str) -> str:
        return hashlib.sha256(self.files[filename]).hexdigest()

    @property
    def simple(self) -> str:
        return f"{self.url}/simple"

    def page(self, name: str) -> tuple[str, bytes] | None:
        found = [
            f for f in sorted(self.files) if f.lower().replace("_", "-").startswith(name + "-")
        ]
        if not found:
            return None
        if self.json:
            entries = [
                {
                    "filename": f,
                    "url": f"../../files/{f}",
                    "hashes": {"sha256": self.sha256(f)} if self.hashes else {},
                    "size": len(self.files[f]),
                    "upload-time": "2024-05-06T07:08:09.123456Z",
                    "yanked": f in self.yanked,
                }
                for f in found
            ]
            body = {"meta": {"api-version": "1.1"}, "name": name, "files": entries, "versions": []}
            return "application/vnd.pypi.simple.v1+json", json.dumps(body).encode()
        links = "".join(
            f'<a href="../../files/{f}{"#sha256=" + self.sha256(f) if self.hashes else ""}">{f}</a>\n'
            for f in found
        )
        return "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: Index

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        index = self.index
        index.asked.append(self.path)
        waiting = index.faults.get(self.path.strip("/").partition("/")[0])
        if waiting and waiting[0]:
            return self._answer(waiting.pop(0) if len(waiting) > 1 else waiting[0], b"trouble")
        wanted = base64.b64encode((index.login or "").encode()).decode()
        if index.login and self.headers.get("Authorization") != f"Basic {wanted}":
            return self._answer(401, b"", WWW_Authenticate='Basic realm="t"')
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "simple":
            page = index.page(name)
            return (
                self._answer(404, b"")
                if page is None
                else self._answer(200, page[1], Content_Type=page[0])
            )
        data = index.files.get(name) if kind == "files" else None
        if data is None or name in index.gone:
            return self._answer(404, b"no such file")
        span = self.headers.get("Range", "").removeprefix("bytes=") if index.ranges else ""
        if not span:
            return self._answer(200, data)
        index.ranged += 1
        first, _, last = span.partition("-")
        start = int(first) if first else max(0, len(data) - int(last))
        end = min(len(data), int(last) + 1) if first and last else len(data)
        return self._answer(
            206, data[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(data)}"
        )

    do_HEAD = do_GET  # noqa: N815 - named by http.server


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with the default of 5, a busy machine refuses connections

    def handle_error(self, request: object, client_address: object) -> None:
        """Installers that give up close their connections: that is no error here."""


@contextlib.contextmanager
def serving(index: Index):
    handler = type("Handler", (_Handler,), {"index": index})
    server = _Server(("127.0.0.1", 0), handler)
    index.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()


def uv(*arguments: object, **keywords) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(uv_binary()), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **keywords,
    )
    assert done.returncode == 0, done.stderr
    return done


def make_env(
    root: Path, *requirements: object, index: str | None = None, python: object = None
) -> Path:
    """Make an environment with *requirements*, from *index* or uv's own; return its interpreter."""
    uv(
        "venv",
        "--quiet",
        "--no-project",
        "--python",
        python or sys._base_executable,
        root,
        cwd=root.parent,
    )
    path = root / "bin" / "python"
    chosen = ["--default-index", index] if index else []
    if requirements:
        uv(
            "pip",
            "install",
            "--quiet",
            "--link-mode",
            "copy",
            "--python",
            path,
            *chosen,
            *requirements,
            cwd=root.parent,
        )
    return path


def listed(python: Path) -> list[dict]:
    done = subprocess.run(
        [str(python), "-I", "-c", LIST], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def site(python: Path) -> Path:
    return next(python.parents[1].glob("lib/*/site-packages"))
