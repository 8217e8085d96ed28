"""A real chromium without a window, driven through its DevTools protocol.

Example, with a server of ``tests/servers.py``::

    with server(tmp_path, folder, lab=True) as jupyter, browser(tmp_path) as page:
        ...
        page.open(jupyter.address("a.ipynb"))
        page.wait_for(OUTPUT)                           # a CSS selector
        assert "captured" in page.text(OUTPUT)
        page.screenshot(tmp_path / "a.png")             # look at it

Debian's package is ``chromium``; without one the test is skipped and says so. The browser has a
profile of its own below *tmp_path* and reaches nothing but this machine.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from websocket import create_connection as open_websocket

from tests.servers import end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 60
OUTPUT = ".jp-OutputArea-output"  # of JupyterLab 4, one of each cell's outputs
HTML_OUTPUT = ".jp-RenderedHTML"
PROMPT = ".jp-InputPrompt"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
    "about:blank",
)


def chromium() -> str:
    """Return the browser's command, or skip the test where there is none."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    pytest.skip("no chromium on this machine; Debian's package is called chromium")


@contextmanager
def browser(tmp_path: Path, *, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """Start a browser with one page, and end it with all its processes."""
    command = chromium()
    profile = tmp_path / f"chromium-{secrets.token_hex(4)}"
    profile.mkdir(parents=True)
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses a sandbox to root
    process = subprocess.Popen(
        [command, f"--user-data-dir={profile}", f"--window-size={width},{height}", *root, *_SWITCHES],
        env={**os.environ, "HOME": str(profile), "BROWSER_OF_TEST": str(profile)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        page = Page(_socket_address(profile, process))
        page.size(width, height)
        yield page
        page.close()
    finally:
        end(process, "BROWSER_OF_TEST", str(profile))


def _socket_address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the address of the first page, by the port that chromium writes into its profile."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, IndexError, ValueError, urllib3.exceptions.HTTPError):
            port = (profile / "DevToolsActivePort").read_text(encoding="utf-8").splitlines()[0]
            listed = urllib3.request("GET", f"http://127.0.0.1:{port}/json/list", retries=False)
            pages = [one for one in json.loads(listed.data) if one["type"] == "page"]
            return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError(f"chromium did not come up (exit {process.poll()})")


class Page:
    """A page of the browser. Selectors are CSS; what is waited for comes within *seconds*."""

    def __init__(self, address: str) -> None:
        self._socket = open_websocket(address, timeout=SECONDS, suppress_origin=True)
        self._number = 0

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command of the DevTools protocol, such as ``Page.navigate``."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)

    def size(self, width: int, height: int) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression, a promise's when it is kept."""
        result = self.command(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """Return the visible text of each element that *selector* finds."""
        return list(
            self.evaluate(
                f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)"
            )
        )

    def text(self, selector: str) -> str:
        return "\n".join(self.texts(selector))

    def wait_for(self, selector: str, text: str = "", seconds: float = SECONDS) -> str:
        """Wait until the elements of *selector* hold *text*; return all that they hold."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(AssertionError):  # while one page gives way to the next
                found = self.texts(selector)
                if found and text in "\n".join(found):
                    return "\n".join(found)
            if time.monotonic() > until:
                shown = self.evaluate("document.body.innerText")
                raise TimeoutError(
                    f"no {selector} with {text!r} on the page, which shows:\n{shown}"
                )
            time.sleep(0.1)

    def click(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def screenshot(self, path: Path) -> Path:
        """Write what the page shows as a PNG."""
        shot = self.command("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def close(self) -> None:
        self._socket.close()
