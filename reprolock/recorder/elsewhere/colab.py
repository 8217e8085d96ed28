"""``google.colab`` where a notebook of Colab is run again, made from its documented behaviour.

Source: googlecolab/colabtools on GitHub (Apache-2.0), ``google/colab/*.py`` as of August 2026: the
names, signatures, messages and exceptions; no code of it is used. What needs Colab's browser page
or Google's servers does nothing, or says that it cannot be had; nothing is invented.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import Any, Callable, Dict, List, Optional, Set

from . import colab_display
from .context import Context, fill

_PARTS = ("auth", "data_table", "drive", "errors", "files", "output", "runtime", "widgets")
_DOC = "Stands in for {} while reprolock runs a notebook again that was recorded on Colab."
_UPLOAD = "google.colab.files.upload"


def fills(context: Context) -> Dict[str, Callable[[Any], None]]:
    """Return name -> what fills a new module of that name."""
    errors = _errors()
    parts: Dict[str, Dict[str, Any]] = {
        "auth": _auth(context),
        "data_table": colab_display.data_table(context),
        "drive": _Drive(context).names(),
        "errors": errors,
        "files": _Files(context).names(),
        "output": colab_display.output(context),
        "patches": colab_display.patches(context),
        "runtime": _runtime(context),
        "userdata": _userdata(context, errors["Error"]),
        "widgets": colab_display.widgets(context),
    }

    def filling(name: str, names: Dict[str, Any]) -> Callable[[Any], None]:
        full = "google.colab." + name
        return lambda module: fill(module, context, _DOC.format(full), names)

    def package(module: Any) -> None:
        fill(module, context, _DOC.format("google.colab"), {"__version__": "0.0.1a2"})
        context.told("module", "google.colab")
        for part in _PARTS:
            importlib.import_module("google.colab." + part)

    made = {"google.colab." + name: filling(name, names) for name, names in parts.items()}
    made["google.colab"] = package
    made["google"] = lambda _module: None
    return made


def _errors() -> Dict[str, Any]:
    class Error(Exception):
        """The base of Colab's errors."""

    class AuthorizationError(Error):
        """What has to do with authorization failed."""

    class RuntimeManagementError(Error):
        """What has to do with the runtime failed."""

    class WidgetException(Exception):  # noqa: N818 - Colab's name
        """What has to do with widgets failed."""

    found = (Error, AuthorizationError, RuntimeManagementError, WidgetException)
    return {one.__name__: one for one in found}


def _auth(context: Context) -> Dict[str, Any]:
    def authenticate_user(clear_output: bool = True, project_id: Optional[str] = None) -> None:
        """Do nothing but name the project: there is no Google account here."""
        context.told("module", "google.colab.auth.authenticate_user")
        if project_id is not None:
            os.environ["GOOGLE_CLOUD_PROJECT"] = project_id
            os.environ["GOOGLE_CLOUD_QUOTA_PROJECT"] = project_id

    def authenticate_service_account(clear_output: bool = True) -> None:
        """Do nothing: there is no Google account here."""
        context.told("module", "google.colab.auth.authenticate_service_account")

    return {
        "authenticate_user": authenticate_user,
        "authenticate_service_account": authenticate_service_account,
    }


class _Drive:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._mounted: Set[str] = set()

    def names(self) -> Dict[str, Any]:
        def mount(
            mountpoint: str,
            force_remount: bool = False,
            timeout_ms: int = 120000,
            readonly: bool = False,
        ) -> None:
            """Make the folder that was mapped for the Drive look mounted."""
            self._mount(os.fspath(mountpoint), force_remount)

        def flush_and_unmount(timeout_ms: int = 24 * 60 * 60 * 1000) -> None:
            """Forget the mount; the files stay where they are."""
            self._context.told("module", "google.colab.drive.flush_and_unmount")
            if not self._mounted:
                print("Drive not mounted, so nothing to flush and unmount.")
            self._mounted.clear()

        return {"mount": mount, "flush_and_unmount": flush_and_unmount}

    def _mount(self, mountpoint: str, again: bool) -> None:
        path = os.path.abspath(os.path.expanduser(mountpoint))
        shown = self._context.shown(os.path.expanduser(mountpoint))
        if " " in shown:
            raise ValueError("Mountpoint must not contain a space.")
        if path in self._mounted and not again:
            print(
                "Drive already mounted at {0}; to attempt to forcibly remount, "
                'call drive.mount("{0}", force_remount=True).'.format(shown)
            )
            return
        self._context.told("module", "google.colab.drive.mount", self._held(path, shown))
        try:
            os.makedirs(os.path.join(path, "MyDrive"), exist_ok=True)
        except OSError as exc:
            raise ValueError(
                "mount failed: {} cannot be made here ({}); reprolock verify takes it with "
                "--map {}/MyDrive=FOLDER".format(shown, exc.strerror, shown)
            ) from None
        self._mounted.add(path)
        print("Mounted at {}".format(shown))

    def _held(self, path: str, shown: str) -> str:
        """Say what stands at the mount point."""
        drive = self._context.shown(path).rstrip("/") + "/MyDrive"
        return "{}: {}".format(shown, "mapped" if drive in self._context.maps else "empty")


class _Files:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting = list(context.uploads)

    def names(self) -> Dict[str, Any]:
        def upload(target_dir: str = "") -> Dict[str, bytes]:
            """Return name -> content of the files that the recorded run uploaded by this call."""
            if target_dir:
                os.makedirs(target_dir, exist_ok=True)
            return self._upload(target_dir)

        def upload_file(filename: str) -> None:
            """Write the one file that the recorded run uploaded by this call."""
            (content, original), *_ = self._next()
            self._write(filename, content)
            self._context.uploaded([filename])
            where = self._context.shown(os.getcwd()) + "/" + filename
            print("Saved {} to {}".format(original, where))

        def download(filename: str) -> None:
            """Do nothing where the file is there: there is no browser to send it to."""
            self._context.told("module", "google.colab.files.download")
            _must_exist(filename)

        def view(filepath: str) -> None:
            """Do nothing where the file is there."""
            self._context.told("module", "google.colab.files.view")
            _must_exist(filepath)

        return {
            "upload": upload,
            "upload_file": upload_file,
            "download": download,
            "view": view,
        }

    def _upload(self, target: str) -> Dict[str, bytes]:
        found = {}
        for content, name in self._next():
            local = os.path.join(target, name)
            self._write(local, content)
            print("Saving {} to {}".format(_original(name), local))
            found[local] = content
        self._context.uploaded(list(found))
        return found

    def _next(self) -> List[Any]:
        """Return (content, name) of each file of the next call that the lock knows."""
        self._context.told("module", _UPLOAD)
        if not self._waiting:
            raise FileNotFoundError(
                "files.upload: the lock names no uploaded file for this call; capture the "
                "notebook again, with reprolock loaded before the cell that uploads"
            )
        files = self._waiting.pop(0)
        return [(_content(file), file["name"]) for file in files]

    def _write(self, path: str, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)


def _content(file: Dict[str, str]) -> bytes:
    try:
        with open(file["path"], "rb") as opened:
            return opened.read()
    except OSError as exc:
        raise FileNotFoundError(
            "files.upload: {} was uploaded in the recorded run, and is not beside the lock "
            "({})".format(file["name"], exc.strerror)
        ) from None


def _original(name: str) -> str:
    """Return the name that a file had before Colab numbered it: ``a (1).csv`` was ``a.csv``."""
    return re.sub(r" \(\d+\)(?=(\.[^.]*)?$)", "", name)


def _must_exist(path: str) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError("Cannot find file: {}".format(path))


def _runtime(context: Context) -> Dict[str, Any]:
    def unassign() -> None:
        """Do nothing: the run goes on to its end."""
        context.told("module", "google.colab.runtime.unassign")

    return {"unassign": unassign}


def _userdata(context: Context, base: Any) -> Dict[str, Any]:
    class SecretNotFoundError(base):  # type: ignore[misc]
        def __init__(self, key: str) -> None:
            super().__init__("Secret {} does not exist.".format(key))

    class NotebookAccessError(Exception):
        def __init__(self, key: str) -> None:
            super().__init__("Notebook does not have access to secret {}".format(key))

    class TimeoutException(base):  # type: ignore[misc]
        def __init__(self, key: str) -> None:
            super().__init__("Requesting secret {} timed out.".format(key))

    def get(key: str) -> str:
        """Return the secret *key* from the environment variable that was named for it."""
        if not key or not isinstance(key, str):
            raise ValueError("Please enter a valid secret name")
        if re.search(r"\s", key):
            raise ValueError("Secret name cannot contain spaces or whitespace")
        value = context.secret("google.colab.userdata.get", key)
        if value is None:
            raise SecretNotFoundError(key)
        return value

    errors = (SecretNotFoundError, NotebookAccessError, TimeoutException)
    return dict({one.__name__: one for one in errors}, get=get)
