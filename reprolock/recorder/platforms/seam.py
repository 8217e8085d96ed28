"""What the platforms are asked through, so that a test can stand in for a machine."""

from __future__ import annotations

import glob
import io
import json
import os
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MOST_BYTES = 1 << 28
_CHUNK = 1 << 16


class Platform(NamedTuple):
    """*version*: the runtime's own, None where it has none; *folders*: where data lie there."""

    name: str
    version: Optional[str] = None
    folders: Tuple[str, ...] = ()


class Found(NamedTuple):
    """A notebook, as far as it was found.

    *path*: its file on this machine, absolute; *content*: its nbformat JSON, which counts where
    both are given (the file may be a text notebook); *name*: what it is called where it was
    opened; *how*: what told it; *problems*: one sentence for each thing that went wrong.
    """

    path: Optional[str] = None
    content: Optional[Dict[str, Any]] = None
    name: Optional[str] = None
    how: str = ""
    problems: List[str] = []  # noqa: RUF012 - replaced as a whole, never added to


def get_json(
    url: str, headers: Mapping[str, str], timeout: float, body: Optional[Any] = None
) -> Any:
    """Return the JSON that *url* answers; with *body*, which is sent as JSON, a POST.

    The headers may hold a token: redirections are not followed, and an address that is not https
    is asked without a proxy. *timeout* (seconds) bounds every wait and the reading as a whole.
    Raises OSError where there is no answer or no good one, ValueError where it is no JSON.
    """
    from urllib import request

    asked = request.Request(url, headers=dict(headers))  # noqa: S310 - http or https, see _handlers
    if body is not None:
        asked.data = json.dumps(body).encode("utf-8")
        asked.add_header("Content-Type", "application/json")
    end = time.monotonic() + timeout
    with request.build_opener(*_handlers(url)).open(asked, timeout=timeout) as answer:
        return json.loads(_read(answer, end).decode("utf-8"))


def _handlers(url: str) -> List[Any]:
    from urllib import request
    from urllib.parse import urlsplit

    class Unmoved(request.HTTPRedirectHandler):
        def redirect_request(self, *_args: Any) -> None:
            return None

    parts = urlsplit(url)
    here = is_here(parts.hostname or "")
    handlers: List[Any] = [Unmoved()]
    if parts.scheme not in ("http", "https"):
        raise OSError("an address that begins with {}: cannot be asked".format(parts.scheme))
    if here or parts.scheme == "http":
        handlers.append(request.ProxyHandler({}))
    if here and parts.scheme == "https":
        import ssl

        # A server on this machine signs its certificate itself; the wire is not a network.
        context = ssl._create_unverified_context()  # noqa: S323
        handlers.append(request.HTTPSHandler(context=context))
    return handlers


def _read(answer: Any, end: float) -> bytes:
    parts: List[bytes] = []
    size = 0
    while True:
        part = answer.read1(_CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise OSError("the answer is longer than 256 MiB")
        if time.monotonic() > end:
            raise TimeoutError("timed out")


def is_here(host: str) -> bool:
    """Say whether *host* is this machine by its loopback interface."""
    return host in _LOOPBACK or host.startswith("127.")


def why(problem: BaseException) -> str:
    """Say in a few words, and with no address, why an answer did not come."""
    code = getattr(problem, "code", None)
    if isinstance(code, int):
        return "it answered {} {}".format(code, getattr(problem, "reason", "")).rstrip()
    reason = getattr(problem, "reason", problem)
    if isinstance(reason, TimeoutError) or "timed out" in str(reason):
        return "it did not answer in time"
    if isinstance(reason, ValueError):
        return "its answer is no JSON"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return "{}: {}".format(type(problem).__name__, reason)


def _exists(path: str) -> bool:
    return os.path.exists(path)


def _read_text(path: str) -> Optional[str]:
    try:
        with io.open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (OSError, ValueError):
        return None


def _glob(pattern: str) -> List[str]:
    return sorted(glob.glob(pattern))


class Machine(NamedTuple):
    """What a platform is known by: all that its modules look at.

    *environ*: the kernel's environment variables; *modules*: what it has loaded, empty outside of
    it; ``exists(path)``; ``read(path)``: the text, or None; ``glob(pattern)``: paths;
    ``get_json``: see the function of that name; *shell*: its InteractiveShell, None outside.
    """

    environ: Mapping[str, str]
    modules: Mapping[str, Any] = {}
    exists: Callable[[str], bool] = _exists
    read: Callable[[str], Optional[str]] = _read_text
    glob: Callable[[str], List[str]] = _glob
    get_json: Callable[..., Any] = get_json
    shell: Optional[Any] = None

    @classmethod
    def here(cls, shell: Optional[Any] = None) -> Machine:
        """Return this machine as the kernel with *shell*, in this very process, sees it."""
        return cls(os.environ, sys.modules, shell=shell)

    @classmethod
    def of_kernel(cls, pid: int) -> Machine:
        """Return this machine as the kernel with the process id *pid* sees it, from outside.

        Where its environment cannot be read (see proc(5)), that of this process stands in.
        """
        return cls(environment_of(_read_text, pid) or os.environ)

    def first(self, *names: str) -> Optional[str]:
        """Return the first of these environment variables that is set and not empty."""
        return next((self.environ[name] for name in names if self.environ.get(name)), None)

    def line(self, path: str) -> Optional[str]:
        """Return the first line of the file at *path*; None where there is none."""
        text = (self.read(path) or "").strip()
        return text.splitlines()[0].strip() if text else None


def environment_of(read: Callable[[str], Optional[str]], pid: int) -> Dict[str, str]:
    """Return the variables that the process *pid* was started with; {} where that is not told."""
    text = read("/proc/{}/environ".format(pid)) or ""
    pairs = (entry.partition("=") for entry in text.split("\0"))
    return {name: value for name, equals, value in pairs if equals}


class Search:
    """One look for the notebook of the kernel *kernel_id*; *problems* are told as they come."""

    def __init__(self, machine: Machine, kernel_id: Optional[str], timeout: float) -> None:
        self.machine = machine
        self.kernel_id = kernel_id
        self.problems: List[str] = []
        self._end = time.monotonic() + timeout

    def left(self, most: float = 1e9) -> float:
        """Return the seconds that are left, at least a tenth of one and not more than *most*."""
        return max(0.1, min(most, self._end - time.monotonic()))

    def tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def without_registry(image: str) -> str:
    """Return the name of a container image without the registry that keeps it.

    A private registry's name may tell an account number or a company.
    """
    registry, slash, rest = image.partition("/")
    return rest if slash and ("." in registry or ":" in registry) else image
