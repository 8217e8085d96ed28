"""The files that a run read and wrote: by name, role, size and SHA-256, never by absolute path."""

from __future__ import annotations

import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.digest import sha256_file, sha256_text
from reprolock.errors import LockError
from reprolock.facts.memo import keep, load
from reprolock.facts.reading import may, need, tables, without_none
from reprolock.finding import Finding, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WHERE = "tool.reprolock.data"
_LARGE = 1 << 20  # bytes
_UP = 2  # folders above the notebook's that a relative name may climb
PLATFORM = "platform:"
# Where each platform keeps the files of its users: names that are the same for all of them.
PLATFORM_FOLDERS: dict[str, tuple[str, ...]] = {
    "colab": (
        "/content",
        "/content/drive/MyDrive",
        "/content/drive/Shareddrives",
        "/content/gdrive/MyDrive",
        "/content/gdrive/Shareddrives",
    ),
    "kaggle": ("/kaggle/input", "/kaggle/working", "/kaggle/temp"),
    "deepnote": ("/work", "/datasets"),
    "sagemaker": ("/home/sagemaker-user", "/home/ec2-user/SageMaker", "/opt/ml/input/data"),
    "vertex": ("/home/jupyter",),
}
# Colab's Drive has its main folder under two names.
ALIASES = {
    "/content/drive/My Drive": "/content/drive/MyDrive",
    "/content/gdrive/My Drive": "/content/gdrive/MyDrive",
}
INPUT, OUTPUT = "input", "output"
# What the notebook itself says of files that it wrote.
MARKED = ("checkpoint", "model")
_READS, _WRITES = ("read",), ("write", "append", "update", "rename")


@dataclass(frozen=True)
class DataFile:
    """One file. *name* is relative to the notebook's folder, ``platform:PATH`` below a folder that
    the platform gives to all its users, or ``external/DIGEST/NAME`` for a file far outside of
    both; *size* in bytes; *cell* the first that touched it; *problem* says why there is no digest;
    *overwritten* that the run itself changed an input after reading it; *changed_since_read* that
    something else did, so that nobody knows the digest of what was read; *upload* that the user
    uploaded it, by the call of that number, from 0; *fetched*: the command of the notebook that
    fetched it, which a run where it is need not do again; *installer*: only a command that
    installs or fetches read it.
    """

    name: str
    role: str
    size: int | None = None
    sha256: str | None = None
    cell: int | None = None
    problem: str | None = None
    overwritten: bool = False
    changed_since_read: bool = False
    upload: int | None = None
    fetched: str | None = None
    installer: bool = False

    @property
    def platform_path(self) -> str | None:
        """The path on the platform, of a file that is named by it."""
        return self.name[len(PLATFORM) :] if self.name.startswith(PLATFORM) else None


@dataclass(frozen=True)
class Data:
    """*folders*: those that the run made, by name; *folder* the notebook's own, where it lies below
    a folder of the platform. *beside*: what lay there when the run listed it, of locks, references,
    and folders that no copy is made of.
    """

    files: tuple[DataFile, ...] = ()
    folders: tuple[str, ...] = ()
    may_have_missed: tuple[str, ...] = ()
    folder: str | None = None
    beside: tuple[str, ...] = ()

    def by_role(self, role: str) -> tuple[DataFile, ...]:
        """Return the files of that *role*; checkpoints and models are outputs too."""
        roles = (OUTPUT, *MARKED) if role == OUTPUT else (role,)
        return tuple(file for file in self.files if file.role in roles)


def known_folders(platform: str | None) -> tuple[str, ...]:
    """Return the folders of the *platform*, whose name may say more: ``sagemaker-studio``."""
    known = (
        PLATFORM_FOLDERS[name] for name in PLATFORM_FOLDERS if (platform or "").startswith(name)
    )
    return next(known, ())


def longest(path: str, prefixes: Iterable[str]) -> str | None:
    """Return the longest of the *prefixes* that is *path* or a folder above it."""
    fitting = (p for p in prefixes if path == p or path.startswith(p.rstrip("/") + "/"))
    return max(fitting, key=len, default=None)


def without_alias(path: str) -> str:
    alias = longest(path, ALIASES)
    return path if alias is None else ALIASES[alias] + path[len(alias) :]


@dataclass(frozen=True)
class Places:
    """Turns paths of one run into names that mean the same in another.

    *folder*: the notebook's, as the run saw it. *platform*: where the recorded run was, as System
    names it; the folders of other platforms are private ones. *maps*: prefix of the recorded
    machine -> folders here in which what lay below it is looked for, in that order.
    """

    folder: Path
    platform: str | None = None
    maps: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def name(self, path: str) -> str:
        """Return the name of *path*: relative if near, else the platform's, else a digest and the
        last part.
        """
        path = without_alias(path)
        base = self._base(path)
        own = base is None or base == self._base(str(self.folder))
        if own and self._is_near(path):
            return printable(Path(os.path.relpath(path, self.folder)).as_posix())
        if base is not None:
            return PLATFORM + printable(path)
        return f"external/{sha256_text(path)[:12]}/{printable(os.path.basename(path))}"  # noqa: PTH119

    @property
    def folder_name(self) -> str | None:
        """The notebook's folder by the platform's path, None where it lies elsewhere."""
        path = without_alias(str(self.folder))
        return PLATFORM + printable(path) if self._base(path) else None

    def path(self, name: str) -> Path | None:
        """Return where the file of that *name* lies, None for one that is not known to be here."""
        if name.startswith("external/"):
            return None
        if name.startswith(PLATFORM):
            return self._of_the_platform(name[len(PLATFORM) :])
        return Path(os.path.normpath(self.folder / name))

    def here(self, path: str) -> Path:
        """Return where the file lies that the run saw at *path*."""
        path = without_alias(path)
        prefix = longest(path, self.maps)
        if prefix is None:
            return Path(path)
        places = [Path(f"{folder}{path[len(prefix) :]}") for folder in self.maps[prefix]]
        return next((p for p in places if os.path.lexists(p)), places[0])

    def _of_the_platform(self, path: str) -> Path | None:
        if longest(path, self.maps) is not None:
            return self.here(path)
        return Path(path) if os.path.lexists(path) else None

    def _is_near(self, path: str) -> bool:
        """Say whether a relative name is short: by way of the root it would be an absolute one."""
        relative = Path(os.path.relpath(path, self.folder))
        common = os.path.commonpath([path, self.folder])
        return relative.parts.count(os.pardir) <= _UP and common != os.path.dirname(common)  # noqa: PTH120

    def _base(self, path: str) -> str | None:
        return longest(path, known_folders(self.platform))


def printable(text: str) -> str:
    r"""Return *text* with bytes that are no UTF-8 written as ``\\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass
class _Seen:
    path: str
    role: str
    cell: int | None
    size: int | None
    mtime_ns: int | None
    written: bool
    n: int | None = None
    via: str | None = None
    changed: bool = False  # by nobody knows whom
    deleted: bool = False  # by the run
    upload: int | None = None
    fetched: str | None = None
    installer: bool = False


def parse(
    events: Iterable[Mapping[str, Any]],
    cell_of: Mapping[int, int],
    places: Places,
    memo: Path | None = None,
) -> tuple[Data, dict[str, str]]:
    """Read the recorder's ``file`` events and hash the files, several at once.

    With *memo*, a folder, a large file that has the inode, size and times of an earlier time is not
    hashed again. Returns the facts and, by name, the absolute path of each file, which never
    enters a lock.
    """
    events = list(events)
    seen = _gather(events, cell_of)
    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        files = list(pool.map(lambda entry: _describe(entry, places, memo), seen))
    marks = {str(e.get("path")): str(e["kind"]) for e in events if e.get("kind") in MARKED}
    kept = {
        file.name: (_marked(file, entry.path, marks), entry.path)
        for file, entry in zip(files, seen, strict=True)
        if file
    }
    missed = sorted({str(e.get("reason")) for e in events if e.get("event") == "may-have-missed"})
    ordered = tuple(kept[name][0] for name in sorted(kept) if kept[name][0] is not None)
    made = {places.name(str(e["path"])) for e in events if e.get("event") == "folder"}
    folders = tuple(sorted(name for name in made if not name.startswith("external/")))
    listed = [e for e in events if e.get("event") == "listed"]
    beside = {printable(str(name)) for e in listed for name in e.get("beside") or ()}
    facts = Data(ordered, folders, tuple(missed), places.folder_name, tuple(sorted(beside)))
    return facts, {name: str(places.here(path)) for name, (_, path) in kept.items()}


def _marked(file: DataFile, path: str, marks: Mapping[str, str]) -> DataFile:
    """Give a written file the role that the notebook marked it with, or a folder above it."""
    above = [str(parent) for parent in (Path(path), *Path(path).parents)]
    role = next((marks[place] for place in above if place in marks), None)
    return replace(file, role=role) if role and file.role == OUTPUT else file


def _gather(events: list[Mapping[str, Any]], cell_of: Mapping[int, int]) -> list[_Seen]:
    """Return one entry per path, in the order of first touch."""
    seen: dict[str, _Seen] = {}
    uploads = _uploads(events)
    for event in events:
        if event.get("event") != "file":
            continue
        path, op = str(event.get("path")), str(event.get("op"))
        number, by = uploads.get(path, (None, None))
        if number is not None and event.get("n") == by:
            _touch(seen, path, INPUT, event, cell_of).upload = number
        elif event.get("command"):
            _fetch(seen, op, event, cell_of)
        elif op == "rename" and event.get("to"):
            _write(seen, str(event["to"]), OUTPUT, event, cell_of)
            _delete(seen, path, event)
        elif op in _WRITES:
            existed = op in ("append", "update") and bool(event.get("existed"))
            _write(seen, path, INPUT if existed else OUTPUT, event, cell_of)
        elif op == "delete":
            _delete(seen, path, event)
        elif op in _READS:
            _touch(seen, path, INPUT, event, cell_of).installer = False
    return list(seen.values())


def _write(
    seen: dict[str, _Seen],
    path: str,
    role: str,
    event: Mapping[str, Any],
    cell_of: Mapping[int, int],
) -> None:
    """A change by nobody knows whom: of a file that the run read before, it counts as another's.

    Between two cells a new file is none of the run's. In one cell native code may read and write.
    """
    known, n = seen.get(path), event.get("n")
    if event.get("by") == "unknown":
        if known is None and n is None:
            return
        native = known is not None and known.via == "inotify" and known.n == n
        if known is not None and known.role == INPUT and not native:
            known.changed = True
            return
    _touch(seen, path, role, event, cell_of).written = True


def _delete(seen: dict[str, _Seen], path: str, event: Mapping[str, Any]) -> None:
    if path in seen and event.get("by") != "unknown":
        seen[path].deleted = True


def _fetch(
    seen: dict[str, _Seen], op: str, event: Mapping[str, Any], cell_of: Mapping[int, int]
) -> None:
    """A command of the notebook made or read the file: either way it must be there for the run."""
    path = str(event.get("to") if op == "rename" else event.get("path"))
    fresh = path not in seen
    if op in _READS:
        _touch(seen, path, INPUT, event, cell_of).installer |= fresh
    elif op in _WRITES:
        entry = _touch(seen, path, INPUT, event, cell_of)
        if fresh or entry.fetched or entry.installer:
            entry.fetched, entry.installer = str(event["command"]), False
            entry.size, entry.mtime_ns = event.get("size"), event.get("mtime_ns")


def _uploads(events: list[Mapping[str, Any]]) -> dict[str, tuple[int, Any]]:
    """Return, for each uploaded path, the number of the call and the ordinal of its cell.

    The platform writes such a file in the kernel; it is an input all the same.
    """
    calls = [event for event in events if event.get("event") == "uploaded"]
    return {
        str(path): (number, call.get("n"))
        for number, call in enumerate(calls)
        for path in call.get("names") or ()
    }


def _touch(
    seen: dict[str, _Seen],
    path: str,
    role: str,
    event: Mapping[str, Any],
    cell_of: Mapping[int, int],
) -> _Seen:
    if path not in seen:
        cell = cell_of.get(event.get("n", -1))
        state = event.get("size"), event.get("mtime_ns")
        seen[path] = _Seen(
            path, role, cell, *state, written=False, n=event.get("n"), via=event.get("via")
        )
    return seen[path]


def _describe(entry: _Seen, places: Places, memo: Path | None) -> DataFile | None:
    name, path = places.name(entry.path), places.here(entry.path)
    try:
        status = path.stat()
    except OSError:
        return _gone(name, entry)
    if not stat.S_ISREG(status.st_mode):
        return None
    if entry.role == OUTPUT and _is_scratch(entry.path, places):
        return None
    read = entry.role == INPUT and not entry.written
    before = _digest_when_read(path, entry, memo) if read else None
    try:
        digest = _digest(path, status, memo)
        if read and (entry.changed or _moved_on(entry, path.stat())) and digest != before:
            return _lost(name, entry, "changed")
    except OSError as exc:
        return DataFile(
            name, entry.role, status.st_size, None, entry.cell, exc.strerror or str(exc)
        )
    return DataFile(
        name,
        entry.role,
        status.st_size,
        digest,
        entry.cell,
        overwritten=entry.role == INPUT and entry.written,
        upload=entry.upload,
        fetched=entry.fetched,
        installer=entry.installer,
    )


def _lost(name: str, entry: _Seen, what: str) -> DataFile:
    """An input that something else than the run *what*: no digest can be claimed for it."""
    return DataFile(
        name,
        INPUT,
        entry.size,
        None,
        entry.cell,
        f"{what} after it was read, by something else than the run",
        changed_since_read=True,
        upload=entry.upload,
        fetched=entry.fetched,
        installer=entry.installer,
    )


def _digest_when_read(path: Path, entry: _Seen, memo: Path | None) -> str | None:
    """Return the digest that an earlier capture remembered of the state in which it was read."""
    known = load(_memo_of(path, memo)) if memo is not None else None
    if isinstance(known, list) and known[2:4] == [entry.size, entry.mtime_ns]:
        return str(known[-1])
    return None


def _memo_of(path: Path, memo: Path) -> Path:
    return memo / f"{sha256_text(str(path))}.json"


def _digest(path: Path, status: os.stat_result, memo: Path | None) -> str:
    """Return the SHA-256 of the file, remembered where *memo* knows it in this very state."""
    if memo is None or status.st_size < _LARGE:
        return sha256_file(path)
    place = _memo_of(path, memo)
    names = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
    state = [getattr(status, name) for name in names]
    known = load(place)
    if isinstance(known, list) and known[:-1] == state:
        return str(known[-1])
    digest = sha256_file(path)
    after = path.stat()
    if [getattr(after, name) for name in names] == state:
        keep(place, [*state, digest])
    return digest


def _moved_on(entry: _Seen, status: os.stat_result) -> bool:
    return entry.mtime_ns is not None and (status.st_size, status.st_mtime_ns) != (
        entry.size,
        entry.mtime_ns,
    )


def _gone(name: str, entry: _Seen) -> DataFile | None:
    """An input that is gone is told; an output that is gone was temporary."""
    if entry.role == OUTPUT:
        return None
    if not entry.deleted:
        return _lost(name, entry, "deleted")
    return DataFile(
        name,
        INPUT,
        entry.size,
        None,
        entry.cell,
        "deleted during the run",
        upload=entry.upload,
        fetched=entry.fetched,
        installer=entry.installer,
    )


def _is_scratch(path: str, places: Places) -> bool:
    inside = Path(path).is_relative_to(places.folder)
    return not inside and Path(path).is_relative_to(tempfile.gettempdir())


def to_toml(facts: Data) -> dict[str, Any]:
    return without_none(
        {
            "may-have-missed": list(facts.may_have_missed) or None,
            "folder": facts.folder,
            "folders": list(facts.folders) or None,
            "beside": list(facts.beside) or None,
            "files": [
                without_none(
                    {
                        "name": file.name,
                        "role": file.role,
                        "size": file.size,
                        "sha256": file.sha256,
                        "cell": file.cell,
                        "problem": file.problem,
                        "overwritten": file.overwritten or None,
                        "changed-since-read": file.changed_since_read or None,
                        "upload": file.upload,
                        "fetched": file.fetched,
                        "installer": file.installer or None,
                    }
                )
                for file in facts.files
            ],
        }
    )


def from_toml(table: dict[str, Any]) -> Data:
    where = f"{_WHERE}.files"
    return Data(
        files=tuple(
            DataFile(
                name=_sound(need(entry, "name", str, where), f"{where}.name"),
                role=need(entry, "role", str, where),
                size=may(entry, "size", int, where),
                sha256=may(entry, "sha256", str, where),
                cell=may(entry, "cell", int, where),
                problem=may(entry, "problem", str, where),
                overwritten=bool(may(entry, "overwritten", bool, where)),
                changed_since_read=bool(may(entry, "changed-since-read", bool, where)),
                upload=may(entry, "upload", int, where),
                fetched=may(entry, "fetched", str, where),
                installer=bool(may(entry, "installer", bool, where)),
            )
            for entry in tables(table, "files", _WHERE)
        ),
        folders=tuple(
            _sound(str(name), f"{_WHERE}.folders")
            for name in may(table, "folders", list, _WHERE) or ()
        ),
        may_have_missed=tuple(
            str(text) for text in may(table, "may-have-missed", list, _WHERE) or ()
        ),
        folder=_folder(may(table, "folder", str, _WHERE)),
        beside=tuple(_entry(name) for name in may(table, "beside", list, _WHERE) or ()),
    )


def _entry(name: object) -> str:
    """Return the name of an entry of a folder. Raises LockError for one that leads elsewhere."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise LockError(f"{_WHERE}.beside: wanted names without a folder, found {name!r}")
    return name


def _sound(name: str, where: str) -> str:
    """Return *name*. Raises LockError for a platform's path that leaves the platform's folders."""
    if name.startswith(PLATFORM):
        path = name[len(PLATFORM) :]
        everywhere = [folder for folders in PLATFORM_FOLDERS.values() for folder in folders]
        if os.path.normpath(path) != path or longest(path, everywhere) is None:
            raise LockError(f"{where}: wanted a path below a platform's folder, found {name!r}")
    return name


def _folder(name: str | None) -> str | None:
    if name is None or name.startswith(PLATFORM):
        return name and _sound(name, f"{_WHERE}.folder")
    raise LockError(f"{_WHERE}.folder: wanted {PLATFORM}PATH, found {name!r}")


def check_inputs(facts: Data, places: Places) -> tuple[Finding, ...]:
    """Hold the locked inputs against what lies on this machine, before anything runs."""
    findings = (_check(file, places.path(file.name), places) for file in facts.by_role(INPUT))
    return tuple(finding for finding in findings if finding is not None)


def _check(file: DataFile, path: Path | None, places: Places) -> Finding | None:
    if file.platform_path is not None and path is None:
        return _missing(file, "No such file or directory", places)
    if file.changed_since_read and path is not None and not file.installer:
        return _unknown(file)
    if path is None or file.sha256 is None or file.overwritten:
        return _unchecked(file, path)
    try:
        found = sha256_file(path)
    except FileNotFoundError as exc:
        return _missing(file, exc.strerror, places)
    except OSError as exc:
        return error(
            "data.unreadable",
            f"{file.name} is unreadable: cell {file.cell} reads it",
            subject=file.name,
            cell=file.cell,
            expected=f"sha256:{file.sha256}",
            observed=exc.strerror,
            hint="put the file that was captured back in its place",
        )
    return changed(file, found) if found != file.sha256 else None


def _missing(file: DataFile, why: str | None, places: Places) -> Finding:
    if file.fetched is not None:
        return warning(
            "data.to-be-fetched",
            f"{file.name} is not here: cell {file.cell} has to fetch it again",
            subject=file.name,
            cell=file.cell,
            expected=f"sha256:{file.sha256}",
            hint="put the captured file in its place for a run without network",
        )
    does = "uploads" if file.upload is not None else "reads"
    return error(
        "data.missing",
        f"{file.name} is missing: cell {file.cell} {does} it",
        subject=file.name,
        cell=file.cell,
        expected=f"sha256:{file.sha256}",
        observed=why,
        hint=_where_to_put(file, places),
    )


def _where_to_put(file: DataFile, places: Places) -> str:
    if file.platform_path is None:
        return "put the file that was captured back in its place"
    prefix = longest(file.platform_path, places.maps)
    if prefix is not None:
        return f"put the captured file into the folder of --map {prefix}=..., or map another folder"
    base = longest(file.platform_path, known_folders(places.platform))
    return f"say which folder here holds what lay there: --map {base or '/PREFIX'}=FOLDER"


def _unchecked(file: DataFile, path: Path | None) -> Finding:
    why = (
        "it lies outside the notebook's folder"
        if path is None
        else (file.problem or "the run itself changed it after reading it")
    )
    return warning(
        "data.not-checked",
        f"{file.name} could not be checked before the run: {why}",
        subject=file.name,
        cell=file.cell,
    )


def _unknown(file: DataFile) -> Finding:
    return error(
        "data.content-unknown",
        f"{file.name} cannot be checked: it was {file.problem}, and nobody knows what "
        f"cell {file.cell} read",
        subject=file.name,
        cell=file.cell,
        hint="capture again, and let nothing else write to the file until the lock is there",
    )


def changed(file: DataFile, found: str) -> Finding:
    return error(
        "data.content-changed",
        f"{file.name} is not the file that was captured: cell {file.cell} reads it",
        subject=file.name,
        cell=file.cell,
        expected=f"sha256:{file.sha256}",
        observed=f"sha256:{found}",
        hint="put the file that was captured back, or capture again if the change is meant",
    )


def compare(expected: Data, observed: Data) -> tuple[Finding, ...]:
    """Hold the files of a second run against those of the first, by name."""
    new = {file.name: file for file in observed.files}
    findings: list[Finding] = []
    for file in expected.files:
        after = new.pop(file.name, None)
        if after is None:
            # What a command read or made that did not run again need not be touched.
            findings += [] if file.fetched or file.installer else [_untouched(file)]
        elif file.overwritten or file.changed_since_read:
            continue  # its content before the run is not known: said before the run
        elif file.role == INPUT and after.changed_since_read:
            findings.append(_unknown(after))
        elif file.sha256 and after.sha256 and file.sha256 != after.sha256:
            findings.append(
                changed(file, after.sha256) if file.role == INPUT else _output(file, after)
            )
    findings += [
        warning(
            "data.new-input",
            f"{file.name} is read by this run and was not by the recorded one",
            subject=file.name,
            cell=file.cell,
        )
        for file in new.values()
        if file.role == INPUT
    ]
    return tuple(findings)


def _untouched(file: DataFile) -> Finding:
    if file.role == INPUT:
        return warning(
            "data.not-touched",
            f"{file.name} was read by the recorded run and not by this one",
            subject=file.name,
            cell=file.cell,
        )
    return error(
        "data.output-missing",
        f"{file.name} was written by the recorded run and not by this one",
        subject=file.name,
        cell=file.cell,
    )


def _output(file: DataFile, after: DataFile) -> Finding:
    return warning(
        "data.output-bytes-differ",
        f"{file.name}, written by cell {file.cell}, has other bytes",
        subject=file.name,
        cell=file.cell,
        expected=f"sha256:{file.sha256}",
        observed=f"sha256:{after.sha256}",
    )
