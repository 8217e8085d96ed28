"""The paths of the platform that a run was recorded on, given to a kernel on this machine.

The kernel sees the notebook's scratch folder where the recorded run worked (``/content`` on Colab),
and the folders of ``--map`` where its data lay. Best by a mount namespace of its own (see
kernel/bind.py); where this machine does not allow one, the prefixes are rewritten in the source of
each cell (recorder/elsewhere/rewrite.py), which does not reach every path. In both the folders of
the user stay as they are: what the run writes there goes to an overlay, or to a copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import process, scratch
from reprolock.errors import UsageError
from reprolock.facts import data
from reprolock.kernel import bind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Maps = Mapping[str, tuple[Path, ...]]

# Where a run of each platform works, where the lock does not say it.
_WORK = {
    "colab": "/content",
    "kaggle": "/kaggle/working",
    "deepnote": "/work",
    "sagemaker": "/home/sagemaker-user",
    "vertex": "/home/jupyter",
}
_OF_THE_SYSTEM = frozenset(
    f"/{name}"
    for name in (
        *("bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "media", "mnt", "opt"),
        *("proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var"),
    )
)
_UP = 2  # folders above the scratch folder that are part of it
_EXAMPLE = "for example --map /content/drive/MyDrive=./drive"
# Run by the kernel's own interpreter where the kernel will run.
_LOOK = """
import importlib.util, os, socket, sys
cwd, *needed = sys.argv[1:]
assert os.getcwd() == cwd, "the working folder is " + os.getcwd()
missing = [path for path in needed if not os.path.isdir(path)]
assert not missing, "not to be seen there: " + ", ".join(missing)
assert importlib.util.find_spec("ipykernel"), "the interpreter finds no ipykernel there"
open(".reprolock", "x").close()
assert os.stat(".reprolock").st_uid == os.geteuid(), "files belong to somebody else"
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
print("seen")
"""


@dataclass(frozen=True)
class Ground:
    """What a kernel stands on. *folder*: the notebook's, as the recorded run named it; *prefix*:
    the command that starts the kernel there; *maps*: prefix of the recorded machine -> folders
    here, as Places takes them; *weaker*: why the prefixes are only rewritten in the source, None
    where they are bound.
    """

    scratch: Path
    folder: Path
    prefix: tuple[str, ...] = ()
    maps: Maps = field(default_factory=dict)
    weaker: str | None = None

    @property
    def recorder_maps(self) -> dict[str, str]:
        """What stands for each prefix here, Drive's second name among them."""
        named = {prefix: str(folders[0]) for prefix, folders in self.maps.items()}
        again = {alias: named[at] for alias, at in data.ALIASES.items() if at in named}
        return {**again, **named}

    @property
    def kernel_folder(self) -> Path:
        """The notebook's folder as the kernel names it."""
        return self.folder if self.prefix else self.scratch

    def as_recorded(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return *event* with its paths as the recorded run would have named them."""
        if self.weaker is None or event.get("event") not in ("file", "folder", "uploaded"):
            return event
        named: dict[str, Any] = {
            key: self._recorded(str(event[key])) for key in ("path", "to") if key in event
        }
        if "names" in event:
            named["names"] = [self._recorded(str(path)) for path in event["names"]]
        return {**event, **named}

    def _recorded(self, path: str) -> str:
        here = {str(folders[0]): prefix for prefix, folders in self.maps.items()}
        found = data.longest(path, here)
        return path if found is None else here[found] + path[len(found) :]


@dataclass(frozen=True)
class Wanted:
    """*work*: the recorded run's folder; *maps* as the user gave them; *gone*: paths on the
    platform that the run has to make anew, files and folders; *rooms*: folders that have to be
    there; *bind*: whether to try a namespace at all.
    """

    work: str | None
    maps: Mapping[str, Path] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    bind: bool = True


def work_folder(facts: data.Data, platform: str, maps: Iterable[str]) -> str | None:
    """Return the folder in which the recorded run worked, None where it is no platform's.

    Raises UsageError where one of the *maps* would hide it.
    """
    known = facts.folder and facts.folder[len(data.PLATFORM) :]
    folder = known or next((_WORK[key] for key in _WORK if platform.startswith(key)), None)
    hiding = next((m for m in maps if folder and data.longest(folder, [m])), None)
    if hiding is None:
        return folder
    if known is None:
        return None
    raise UsageError(
        f"--map {hiding}=...: the recorded run worked in {folder}, where verify puts its copy of "
        "the lock's folder",
        hint="put the files beside the lock, and map only folders that hold other data",
    )


def parse_maps(texts: Iterable[str]) -> dict[str, Path]:
    """Read ``PREFIX=FOLDER`` options. Raises UsageError, with what to write instead."""
    maps: dict[str, Path] = {}
    for text in texts:
        prefix, folder = _parse_map(text)
        if prefix in maps:
            raise UsageError(f"--map: {prefix} is mapped twice", hint="give it one folder")
        maps[prefix] = folder
    for prefix in maps:
        above = data.longest(prefix, set(maps) - {prefix})
        if above is not None:
            raise UsageError(
                f"--map: {prefix} lies in {above}, which is mapped too",
                hint=f"put its files into {maps[above]}, and map {above} alone",
            )
    return maps


def _parse_map(text: str) -> tuple[str, Path]:
    written, equals, folder = text.partition("=")
    if not (written and equals and folder):
        raise UsageError(f"--map: wanted PREFIX=FOLDER, found {text!r}", hint=_EXAMPLE)
    if not written.startswith("/"):
        raise UsageError(
            f"--map: wanted an absolute path of the recorded machine, found {written!r}",
            hint=_EXAMPLE,
        )
    prefix = data.without_alias("/" + os.path.normpath(written).lstrip("/"))
    if prefix == "/" or prefix in _OF_THE_SYSTEM:
        raise UsageError(
            f"--map: {prefix} holds this machine's own system, and cannot be mapped",
            hint=f"map the folder of the data below it; {_EXAMPLE}",
        )
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        what = "is no folder" if path.exists() else "is not there"
        raise UsageError(
            f"--map {written}: {path} {what}", hint="give the folder that holds the data here"
        )
    if not os.access(path, os.R_OK | os.X_OK):
        raise UsageError(f"--map {written}: {path} cannot be read", hint="check its permissions")
    return prefix, path.resolve()


def parse_secrets(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Read ``NAME=VARIABLE`` options. Raises UsageError where a variable is not set."""
    secrets = {}
    for text in texts:
        name, _, variable = text.partition("=")
        if not name or not variable.isidentifier():
            # what stands there may be the secret itself, and is not repeated
            raise UsageError(
                f"--secret {name}: wanted NAME=VARIABLE, the name of an environment variable",
                hint="put the secret into a variable: read -rs TOKEN; export TOKEN",
            )
        if variable not in environment:
            raise UsageError(
                f"--secret {name}: the environment variable {variable} is not set",
                hint=f"read -rs {variable}; export {variable}",
            )
        secrets[name] = variable
    return secrets


@contextlib.contextmanager
def prepare(copy: Path, wanted: Wanted, python: Path) -> Iterator[Ground]:
    """Lay out the ground for a kernel of *python* whose notebook lies in the scratch folder *copy*.

    Raises ReprolockError where a folder has to be copied and there is no room for it.
    """
    if wanted.work is None and not wanted.maps:
        yield Ground(copy, copy)
        return
    root = Path(tempfile.mkdtemp(prefix="reprolock-maps-")).resolve()
    try:
        yield _Layout(copy, wanted, python, root).ground()
    finally:
        _remove(root)


@dataclass(frozen=True)
class _Layout:
    copy: Path
    wanted: Wanted
    python: Path
    root: Path

    def ground(self) -> Ground:
        """Bind with overlays, else with copies of the mapped folders, else rewrite."""
        overlays: Maps = {
            prefix: (self._overlay(number), folder)
            for number, (prefix, folder) in enumerate(self.wanted.maps.items())
        }
        why = self._why_not(overlays)
        if why is None:
            return self._bound(overlays)
        copies: Maps = {
            prefix: (self._copied(n, prefix),) for n, prefix in enumerate(self.wanted.maps)
        }
        if overlays and self._why_not(copies) is None:
            return self._bound(copies)
        return Ground(self.copy, self._folder, (), {**self._own(), **copies}, why)

    @property
    def _folder(self) -> Path:
        return Path(self.wanted.work) if self.wanted.work else self.copy

    def _own(self) -> Maps:
        """Map the recorded run's folder, and those above it that belong to the platform's user."""
        if self.wanted.work is None:
            return {}
        known = [folder for folders in data.PLATFORM_FOLDERS.values() for folder in folders]
        own: dict[str, tuple[Path, ...]] = {}
        place, here = Path(self.wanted.work), self.copy
        for _ in range(_UP + 1):
            if not data.longest(str(place), known):
                break
            own[str(place)] = (here,)
            place, here = place.parent, here.parent
        return own

    def _bound(self, maps: Maps) -> Ground:
        maps = {**self._own(), **maps}
        return Ground(self.copy, self._folder, self._command(maps), maps)

    def _command(self, maps: Maps) -> tuple[str, ...]:
        spec = {
            "root": str(self.root / "root"),
            "places": list(_places(maps)),
            "gone": list(self.wanted.gone),
            "cwd": str(self._folder),
        }
        (self.root / "root").mkdir(exist_ok=True)
        return (sys.executable, "-I", "-S", bind.__file__, json.dumps(spec))

    def _why_not(self, maps: Maps) -> str | None:
        """Try it once, with the kernel's own interpreter; return None, or why it does not work."""
        if not self.wanted.bind:
            return "it was not asked for"
        if sys.platform != "linux":
            return "only Linux has mount namespaces"
        everything = {**self._own(), **maps}
        needed = [str(Path(bind.__file__).parent.parent / "recorder"), *everything]
        look = [str(self.python), "-c", _LOOK, str(self._folder), *needed]
        done = process.run([*self._command(everything), *look], timeout=60, cwd=self.copy)
        seen = self.copy / ".reprolock"
        written = seen.exists()
        seen.unlink(missing_ok=True)
        if done.ok and written:
            return None
        return (done.err.strip().splitlines() or ["what is written there does not arrive here"])[-1]

    def _overlay(self, number: int) -> Path:
        upper = self.root / f"upper-{number}"
        for folder in (upper, self.root / f"work-{number}"):
            folder.mkdir()
        self._make_room(list(self.wanted.maps)[number], upper)
        return upper

    def _copied(self, number: int, prefix: str) -> Path:
        """Return a copy of a mapped folder: inside the scratch folder, if it lies in there."""
        outer = data.longest(prefix, self._own())
        inside = None if outer is None else f"{self._own()[outer][0]}{prefix[len(outer) :]}"
        place = Path(inside) if inside else self.root / f"copy-{number}"
        source = self.wanted.maps[prefix]
        gone = [source / path[len(prefix) + 1 :] for path in _below(prefix, self.wanted.gone)]
        scratch.copy_into(place, source, gone)
        self._make_room(prefix, place)
        return place

    def _make_room(self, prefix: str, folder: Path) -> None:
        """Make the folders into which the recorded run wrote."""
        for path in _below(prefix, self.wanted.rooms):
            Path(f"{folder}{path[len(prefix) :]}").mkdir(parents=True, exist_ok=True)


def _places(maps: Maps) -> Iterator[dict[str, str]]:
    """Describe each place for kernel/bind.py, the outer ones first."""
    for at in sorted(maps, key=len):
        first, *lower = map(str, maps[at])
        place = {"folder": first}
        if lower:
            work = str(Path(first).with_name(Path(first).name.replace("upper", "work")))
            place = {"lower": lower[0], "upper": first, "work": work}
        yield {"at": at, **place}
        for alias, meant in data.ALIASES.items():
            if meant == at:
                yield {"at": alias, "same": at}


def _below(prefix: str, paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path != prefix and data.longest(path, [prefix])]


def _remove(root: Path) -> None:
    """Remove *root*. The kernel leaves folders of its overlays there that nobody may enter."""
    for work in root.glob("work-*/*"):
        with contextlib.suppress(OSError):
            work.chmod(0o700)
    shutil.rmtree(root, ignore_errors=True)
