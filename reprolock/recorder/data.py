"""The files that the notebook reads and writes.

Two sources: an audit hook (PEP 578), which sees what Python code in this process opens, at
once and everywhere; and inotify on the notebook's folder and on the folders that the hook saw,
read at the end of each cell, which sees native readers and child processes too.

A read is told at once, with the file's state before it. A write, a deletion or a renaming is
told at the end of the cell, with the state it left. A file that a cell made and that is gone at
the cell's end is left out: it is neither input nor output. Folders that a cell makes are told in
the same way, and those beside the notebook's folder that a cell lists. Where it lists the
notebook's own, what lies there of version control, caches, locks and references is told: verify
lays out its copy of the folder by that.

By inotify a file counts as read where its content was fetched or where it was opened and not
written: a reader that maps the file into memory leaves no other trace. inotify does not say which
process it was. What happens between two cells is therefore told of writes only, and notebooks,
locks and hidden files are left out of what inotify sees. A change that only inotify saw, while no
child process was at work and, between two cells, no thread of the notebook, is told as ``by``
``unknown``: a program that is none of the run made it. While a cell runs, native code in this
process may have: so it is told only where the file is larger than all that this process wrote
meanwhile (``wchar`` of proc_pid_io(5)).
"""

from __future__ import annotations

import io
import os
import stat
import sys
import threading
from importlib.util import source_from_cache
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from . import atwork, callers, inotify
from .cells import Running
from .journal import Journal
from .places import Places, not_copied

_MOST_FOLDERS = 2000
_WRITES = ("write", "append", "update")
_CHANGES = frozenset((*_WRITES, "sqlite3"))
_KINDS = ((stat.S_ISFIFO, "fifo"), (stat.S_ISSOCK, "socket"), (stat.S_ISCHR, "device"))
_ACCESS_MODE = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
_SQLITE_SIDE_FILES = ("-journal", "-wal", "-shm")
_MOST_WRITES = 64  # files written anew between two looks at the queue of events


class _Change:
    """A file that the running cell changed: *existed* before it did, and the state it had then.

    *late*: it was opened before the cell began, and what waited was written now.
    """

    def __init__(self, before: Optional[os.stat_result], via: str) -> None:
        self.existed = before is not None
        self.before = before
        self.via = via
        self.ops: List[str] = []
        self.to: Optional[str] = None
        self.command: Optional[str] = None
        self.late = False

    def unchanged(self, after: Optional[os.stat_result]) -> bool:
        return _state(self.before) == _state(after)


class Watch:
    def __init__(
        self, journal: Journal, running: Running, folder: str, private: Sequence[str] = ()
    ) -> None:
        own = [journal.path] + [part for part in sys.argv[1:] if part.endswith(".json")]
        self._journal = journal
        self._running = running
        self._places = Places(folder, own, private)
        self._pid = os.getpid()
        self._busy = threading.local()
        self._active = False
        self._watcher: Optional[inotify.Inotify] = None
        self._noted: Set[Tuple[str, str]] = set()
        self._reached: Set[Tuple[str, str]] = set()
        self._changed: Set[str] = set()
        self._reals: Dict[str, str] = {}
        self._opened_now: Set[str] = set()
        self._writes = 0
        self._changes: Dict[str, _Change] = {}
        self._databases: Set[str] = set()
        self._seen_folders: Set[str] = set()
        self._real_folders: Dict[str, str] = {}
        self._told: Set[str] = set()
        self._made_folders: Dict[str, None] = {}
        self._listed_folders: Set[str] = set()
        self._command: Optional[str] = None
        self._started = False  # a child process, in this cell, or before it and it works still
        self._at_work: Optional[bool] = None
        self._written: Optional[int] = None
        self._drives: Set[str] = set()
        self._handlers: Dict[str, Callable[..., None]] = {
            "open": self._opened,
            "os.fork": self._starts,
            "os.forkpty": self._starts,
            "os.listdir": self._listed,
            "os.mkdir": self._making_folder,
            "os.posix_spawn": self._starts,
            "os.remove": self._removed,
            "os.rename": self._renamed,
            "os.scandir": self._listed,
            "os.system": self._starts,
            "os.truncate": self._truncated,
            "sqlite3.connect": self._connected,
            "subprocess.Popen": self._starts,
        }

    def open(self) -> None:
        self._journal.guard("data", self._watch_tree, self._places.folder, True)
        self._active = True
        sys.addaudithook(self._hook)

    def begin(self) -> None:
        self._between_cells()

    def end(self) -> None:
        self._quietly(self._drain, False)
        self._quietly(self._settle)
        self._quietly(self._look_at_children)

    def settle(self) -> None:
        """Tell what happened since the last cell: the last thing before the end of the run."""
        self._between_cells()

    def pass_over(self) -> None:
        """Forget what was read since the last look: reprolock itself did it."""
        self._quietly(self._drain, True)

    def apart(self, action: Callable[[], Any]) -> None:
        """Run *action*; the files that it opens are not the notebook's. Raises what it raises."""
        self._busy.now = True
        try:
            action()
        finally:
            self._busy.now = False

    def not_ours(self, path: str) -> None:
        """Count the file at *path* among those of the recorder."""
        self._places.add_own(path)

    def mounted(self, path: str) -> None:
        """Take what lies below *path* as it is: it came with a drive, and no cell made it."""
        self._drives.add(path)

    def also(self, event: str, handler: Callable[..., None]) -> None:
        """Call *handler* too with the arguments of the audit event *event*: one hook serves all."""
        first = self._handlers.get(event)

        def both(*args: Any) -> None:
            if first is not None:
                first(*args)
            handler(*args)

        self._handlers[event] = both

    def unseen(self, action: Callable[..., Any], *args: Any) -> Any:
        """Return ``action(*args)``; what the hook would see of it is the recorder's own."""
        busy = getattr(self._busy, "now", False)
        self._busy.now = True
        try:
            return action(*args)
        finally:
            self._busy.now = busy

    def command_begins(self, command: Optional[str]) -> None:
        """Count all files that change from here on, until it ends, as fetched by *command*.

        With None only the end says which they are.
        """
        self._quietly(self._drain, self._running.n is None)
        self._command = command

    def command_ends(self, command: str, made: Sequence[str]) -> None:
        """Count what *command* changed as fetched, and of what it left open the paths *made*."""
        self._quietly(self._drain, self._running.n is None)
        self._command = None
        tops = tuple(path + os.sep for path in made)
        for path, change in self._changes.items():
            if change.command is None and (path in made or path.startswith(tops)):
                change.command = command
        for folder in list(self._made_folders):
            if folder in made or folder.startswith(tops):
                del self._made_folders[folder]

    def close(self) -> None:
        # An audit hook cannot be taken out again; it returns at once from here on.
        self._active = False
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _between_cells(self) -> None:
        self._quietly(self._drain, True)
        self._quietly(self._settle)

    # -- what Python code in this process does ------------------------------------------------

    def _hook(self, event: str, args: Tuple[Any, ...]) -> None:
        __tracebackhide__ = True
        handler = self._handlers.get(event)
        if handler is None or not self._active or getattr(self._busy, "now", False):
            return
        if event == "open" and self._places.is_machinery(args[0]):
            return  # Thousands of them, when a large package is imported.
        if os.getpid() != self._pid:
            return  # A forked child's files are seen by inotify.
        self._quietly(handler, *args)

    def _quietly(self, action: Callable[..., None], *args: Any) -> None:
        """Run *action*; the files that it touches itself are not the notebook's."""
        __tracebackhide__ = True
        self._busy.now = True
        try:
            self._journal.guard("data", action, *args)
        finally:
            self._busy.now = False

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        op = _op(mode, flags)
        name = _absolute(path)
        if name is None or op is None or (op, name) in self._noted:
            return
        if name.endswith(".pyc") and op == "read":
            name = _source(name)
        if self._places.left_out(name):
            return
        before = self._state_before(name)
        self._writes += 1
        if op != "write" or before is not None or self._writes > _MOST_WRITES:
            # A file that native code wrote a moment ago is told as written before it is read; and
            # the queue of events stays short in a long cell.
            self._writes = 0
            self._drain(self._running.n is None)
        if op == "read" and (before is None or not os.access(name, os.R_OK)):
            return  # It failed.
        if before is not None and op != "read" and not os.access(name, os.W_OK):
            return
        if before is not None and stat.S_ISDIR(before.st_mode):
            return
        self._note(op, name, "open", before)
        self._watch_folder_of(name)

    def _starts(self, *_args: Any) -> None:
        self._started = True

    def _look_at_children(self) -> None:
        self._started = self._started and atwork.has_children()

    def _removed(self, path: Any, folder: Any = -1) -> None:
        name = _absolute(path, folder)
        if name is not None and not self._places.left_out(name):
            self._note("delete", name, "os.remove", _stat(name))

    def _renamed(self, path: Any, to: Any, folder: Any = -1, to_folder: Any = -1) -> None:
        name, target = _absolute(path, folder), _absolute(to, to_folder)
        if name is not None and target is not None:
            self._note_move(name, target, "os.rename", _stat(name))

    def _truncated(self, path: Any, _length: Any) -> None:
        name = _absolute(path)
        if name is not None and not self._places.left_out(name):
            self._note("update", name, "os.truncate", _stat(name))

    def _connected(self, database: Any) -> None:
        name = _database(database)
        if name is None or self._places.left_out(name):
            return
        self._databases.add(name)
        self._note("sqlite3", name, "sqlite3", _stat(name))
        self._watch_folder_of(name)

    def _making_folder(self, path: Any, _mode: Any, folder: Any = -1) -> None:
        name = _absolute(path, folder)
        if name is not None and not os.path.lexists(name):
            self._note_folder(name)

    def _listed(self, path: Any) -> None:
        name = os.getcwd() if path is None else _absolute(path)
        if name is None or self._running.n is None or name in self._listed_folders:
            return
        own = name == self._places.folder
        if not own and (self._places.inside(name) or not self._places.near(name)):
            return
        if not own and self._places.folder_left_out(name):
            return
        caller = callers.behind_library(sys._getframe(1))
        if caller is None or callers.is_machinery(caller):
            return
        if own:
            self._tell_own_listed()
        elif os.path.isdir(name):
            self._listed_folders.add(name)
            self._journal.write("listed", n=self._running.n, path=name)

    def _tell_own_listed(self) -> None:
        folder = self._places.folder
        if folder in self._listed_folders:
            return
        self._listed_folders.add(folder)
        beside = not_copied(folder)
        if beside:
            self._journal.write("listed", n=self._running.n, path=folder, beside=beside)

    # -- what was seen in one cell ------------------------------------------------------------

    def _note(self, op: str, path: str, via: str, before: Optional[os.stat_result]) -> None:
        if (op, path) in self._noted:
            return
        real = self._real(path)
        if via == "inotify" and (op, real) in self._reached:
            return  # The hook saw it, under the name of a link.
        self._noted.add((op, path))
        self._reached.add((op, real))
        if op in _CHANGES:
            self._changed.update((path, real))
        change = self._changes.get(path)
        if change is None and op == "read":
            self._tell("read", path, via, before, command=self._command)
            return
        if change is None:
            change = self._changes[path] = _Change(before, via)
            change.command = self._command
        change.ops.append(op)

    def _note_move(self, path: str, to: str, via: str, before: Optional[os.stat_result]) -> None:
        if before is not None and not stat.S_ISREG(before.st_mode):
            return
        made = path in self._changes and not self._changes[path].existed
        if not self._places.left_out(to):
            # A file written under another name first, as careful writers do, is simply written.
            self._note("write", to, via, _stat(to))
        if not self._places.left_out(path) and not made:
            self._note("rename", path, via, before)
            self._changes[path].to = to

    def _note_folder(self, path: str) -> None:
        """Note a folder that was not there; whether it stays shows at the cell's end."""
        if self._running.n is None or self._places.folder_left_out(path):
            return
        if self._places.near(path) and self._command is None:
            self._made_folders[path] = None

    def _settle_folders(self) -> None:
        made, self._made_folders = self._made_folders, {}
        self._listed_folders = set()
        for path in made:
            if os.path.isdir(path):
                self._journal.write("folder", n=self._running.n, path=path)

    def _settle(self) -> None:
        self._settle_folders()
        changes, self._changes = self._changes, {}
        self._noted, self._reached, self._changed = set(), set(), set()
        self._opened_now = set()
        for path, change in changes.items():
            self._settle_one(path, change, _stat(path))
        self._reals, self._at_work, self._written = {}, None, _bytes_written()
        if self._watcher is not None and self._watcher.overflowed:
            self._watcher.overflowed = False
            self._missed("the queue of file events ran over", again=True)

    def _settle_one(self, path: str, change: _Change, after: Optional[os.stat_result]) -> None:
        if after is None and not change.existed:
            return  # Made and gone again, or it could not be made.
        if after is not None and stat.S_ISDIR(after.st_mode):
            return
        for op in change.ops:
            if op == "sqlite3":
                self._tell_database(path, change, after)
            elif op == "rename":
                self._tell_move(path, change, after)
            elif op == "write" and change.via == "os.rename" and change.unchanged(after):
                continue  # The renaming failed.
            elif op != "delete" or after is None:
                self._tell_change(op, path, change, after)

    def _tell_change(
        self, op: str, path: str, change: _Change, after: Optional[os.stat_result]
    ) -> None:
        before = change.before if op in ("append", "update") else None
        self._tell(
            op,
            path,
            change.via,
            after,
            existed=change.existed,
            before=before,
            command=change.command,
            by=self._by(path, change, after),
            late=change.late,
        )

    def _by(self, path: str, change: _Change, after: Optional[os.stat_result]) -> Optional[str]:
        """Return ``unknown`` where nothing that the notebook was seen to do explains the change."""
        if change.via != "inotify" or change.command is not None or path in self._databases:
            return None
        between_cells = self._running.n is None
        if not between_cells and after is not None and not self._wrote_less_than(after.st_size):
            return None
        if self._at_work is None:
            self._at_work = (
                self._started or atwork.has_children() or (between_cells and bool(atwork.threads()))
            )
        return None if self._at_work else "unknown"

    def _wrote_less_than(self, size: int) -> bool:
        """Say whether this process wrote fewer than *size* bytes since the cell began."""
        now = _bytes_written()
        return now is not None and self._written is not None and now - self._written < size

    def _tell_move(self, path: str, change: _Change, after: Optional[os.stat_result]) -> None:
        if change.to is None or after is not None:
            return  # It failed.
        now = _stat(change.to)
        by = self._by(path, change, _stat(change.to))
        self._tell("rename", path, change.via, now, to=change.to, command=change.command, by=by)

    def _tell_database(self, path: str, change: _Change, after: Optional[os.stat_result]) -> None:
        """Tell a read from a write by the database's state: the connection looks the same."""
        op = "read" if change.unchanged(after) else "update" if change.existed else "write"
        if op not in change.ops:
            self._tell_change(op, path, change, after)

    def _tell(
        self,
        op: str,
        path: str,
        via: str,
        now: Optional[os.stat_result],
        to: Optional[str] = None,
        existed: bool = False,
        before: Optional[os.stat_result] = None,
        command: Optional[str] = None,
        by: Optional[str] = None,
        late: bool = False,
    ) -> None:
        facts: Dict[str, Any] = {"n": self._running.n, "op": op, "path": path}
        if existed:
            facts["existed"] = True
        if before is not None:
            then = _facts(before)
            facts["size_before"], facts["mtime_before"] = then["size"], then["mtime_ns"]
        if to is not None:
            facts["to"] = to
        facts["via"] = via
        if command is not None:
            facts["command"] = command
        if by is not None:
            facts["by"] = by
        if late:
            facts["late"] = True
        facts.update(_facts(now))
        real = self._real(path)
        if real != path:
            facts["real"] = real
        self._journal.write("file", **facts)

    def _real(self, path: str) -> str:
        """Return *path* without symbolic links: files are resolved once a cell, folders once."""
        real = self._reals.get(path)
        if real is None:
            real = self._reals[path] = self._resolved(path)
        return real

    def _state_before(self, path: str) -> Optional[os.stat_result]:
        """Return what `_stat` does; one look tells a file from a link too."""
        try:
            state = os.lstat(path)
        except (OSError, ValueError):
            state = None
        if state is not None and stat.S_ISLNK(state.st_mode):
            return _stat(path)
        if path not in self._reals:
            self._reals[path] = self._within_folder(path)
        return state

    def _resolved(self, path: str) -> str:
        return os.path.realpath(path) if os.path.islink(path) else self._within_folder(path)

    def _within_folder(self, path: str) -> str:
        folder = _folder_of(path)
        real = self._real_folders.get(folder)
        if real is None:
            real = self._real_folders[folder] = os.path.realpath(folder)
        return path if real == folder else os.path.join(real, os.path.basename(path))

    # -- what inotify saw ---------------------------------------------------------------------

    def _drain(self, between_cells: bool) -> None:
        if self._watcher is None:
            return
        events = self._watcher.drain(self._changed)
        listed, self._watcher.listed = self._watcher.listed, set()
        if self._started and not between_cells and self._places.folder in listed:
            self._tell_own_listed()
        only_opened: Dict[str, None] = {}
        moves = inotify.move_pairs(events)
        for seen in events:
            if seen.is_folder:
                self._folder_seen(seen)
            elif not self._unwatched(seen.path):
                self._file_seen(seen, moves, only_opened, between_cells)
        for path in only_opened:
            if not between_cells and path not in self._changed:
                self._note_if_there("read", path)

    def _file_seen(
        self,
        seen: inotify.Seen,
        moves: Dict[int, Tuple[Optional[str], Optional[str]]],
        only_opened: Dict[str, None],
        between_cells: bool,
    ) -> None:
        path, mask = seen.path, seen.mask
        if mask & inotify.ACCESS:
            if not between_cells and not {("update", path), ("sqlite3", path)} & self._noted:
                self._note_if_there("read", path)
        elif mask & (inotify.OPEN | inotify.CLOSE_NOWRITE):
            only_opened[path] = None
            if mask & inotify.OPEN:
                self._opened_now.add(path)
        elif mask & (inotify.CREATE | inotify.MODIFY):
            if path not in self._changed:
                self._note_write(path, bool(mask & inotify.CREATE))
        elif mask & inotify.DELETE:
            self._note("delete", path, "inotify", _GONE)
        elif seen.cookie in moves:
            self._moved(*moves.pop(seen.cookie))

    def _note_write(self, path: str, created: bool) -> None:
        self._note("write", path, "inotify", None if created else _stat(path) or _GONE)
        change = self._changes.get(path)
        if change is not None and change.via == "inotify":
            change.late = not created and path not in self._opened_now

    def _moved(self, path: Optional[str], to: Optional[str]) -> None:
        if path is not None and to is not None:
            if ("rename", path) not in self._noted and to not in self._changed:
                self._note_move(path, to, "inotify", None if self._made(path) else _GONE)
        elif path is not None:
            if ("rename", path) not in self._noted:
                self._note("delete", path, "inotify", _GONE)
        elif to is not None and to not in self._changed:
            self._note("write", to, "inotify", _stat(to))

    def _note_if_there(self, op: str, path: str) -> None:
        now = _stat(path)
        if now is not None and stat.S_ISREG(now.st_mode):
            self._note(op, path, "inotify", now)

    def _made(self, path: str) -> bool:
        return path in self._changes and not self._changes[path].existed

    def _unwatched(self, path: str) -> bool:
        name = os.path.basename(path)
        if name.startswith(".") or name.endswith((".ipynb", ".swp", "~")):
            return True
        if name.startswith("pylock.") and name.endswith(".toml"):
            return True
        for end in _SQLITE_SIDE_FILES:
            if path.endswith(end) and path[: -len(end)] in self._databases:
                return True
        return self._places.left_out(path)

    # -- which folders are watched ------------------------------------------------------------

    def _watch_tree(self, top: str, recurse: bool) -> None:
        if self._watcher is None:
            try:
                self._watcher = inotify.Inotify()
            except (OSError, AttributeError, ImportError) as exc:
                self._missed("file events cannot be had: {}".format(exc))
                return
        waiting = [top]
        while waiting:
            folder = waiting.pop(0)
            if len(self._watcher) >= _MOST_FOLDERS:
                self._missed("only the first {} folders are watched".format(_MOST_FOLDERS))
                return
            problem = self._watcher.watch(folder)
            if problem is not None:
                if os.path.isdir(folder):
                    self._missed("a folder cannot be watched: {}".format(problem))
                continue
            if recurse:
                waiting.extend(self._folders_in(folder))

    def _folders_in(self, folder: str) -> List[str]:
        try:
            with os.scandir(folder) as entries:
                found = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        return sorted(path for path in found if not self._hidden(path))

    def _hidden(self, folder: str) -> bool:
        return os.path.basename(folder).startswith(".") or self._places.folder_left_out(folder)

    def _watch_folder_of(self, path: str) -> None:
        folder = _folder_of(path)
        if folder in self._seen_folders:
            return
        self._seen_folders.add(folder)
        if not self._places.too_common(folder) and os.path.isdir(folder):
            self._watch_tree(folder, False)

    def _is_drive(self, folder: str) -> bool:
        """Say whether *folder* is of another file system: it may be large, and far away."""
        return folder in self._drives or os.path.ismount(folder)

    def _folder_seen(self, seen: inotify.Seen) -> None:
        """Watch a folder that appeared; what it holds already was written before we could."""
        if not seen.mask & (inotify.CREATE | inotify.MOVED_TO) or self._hidden(seen.path):
            return
        waiting = [seen.path]
        while waiting:
            folder = waiting.pop()
            if self._is_drive(folder):
                continue
            self._note_folder(folder)
            self._watch_tree(folder, False)
            waiting.extend(self._folders_in(folder))
            for name in _files_in(folder):
                path = os.path.join(folder, name)
                if not self._unwatched(path) and path not in self._changed:
                    self._note("write", path, "inotify", None)

    def _missed(self, reason: str, again: bool = False) -> None:
        if again or reason not in self._told:
            self._told.add(reason)
            self._journal.write("may-have-missed", n=self._running.n, family="data", reason=reason)


# Stands for the state of a file that was there and that nobody can ask for any more.
_GONE = os.stat_result([stat.S_IFREG] + [0] * 9)


def _op(mode: Any, flags: Any) -> Optional[str]:
    """Return what an ``open`` with these arguments of the audit event is for."""
    if not isinstance(flags, int):
        return None
    if flags & getattr(os, "O_PATH", 0) or flags & os.O_DIRECTORY:
        return None  # A handle for a name; O_TMPFILE, a file without one, has O_DIRECTORY in it.
    if flags & _ACCESS_MODE == os.O_RDONLY:
        return "read"
    if flags & os.O_APPEND or (isinstance(mode, str) and "a" in mode):
        return "append"
    return "write" if flags & (os.O_TRUNC | os.O_EXCL) else "update"


def _absolute(path: Any, folder: Any = -1) -> Optional[str]:
    """Return *path* as absolute text; None for a descriptor, whose opening was seen before."""
    if isinstance(path, int):
        return None
    name = os.fsdecode(path)
    if isinstance(folder, int) and folder >= 0 and not os.path.isabs(name):
        name = os.path.join(os.readlink("/proc/self/fd/{}".format(folder)), name)
    return os.path.abspath(name)


def _folder_of(path: str) -> str:
    """Return the folder of an absolute path in its normal form."""
    return path.rpartition("/")[0] or "/"


def _database(database: Any) -> Optional[str]:
    """Return the path of an SQLite database, given as a path or as a ``file:`` URI."""
    name = os.fsdecode(database)
    if name.startswith("file:"):
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(name)
        if "mode=memory" in parts.query:
            return None
        name = unquote(parts.path)
    return None if name in ("", ":memory:") else os.path.abspath(name)


def _source(bytecode: str) -> str:
    """Return the source that *bytecode* stands for: it is what the notebook depends on."""
    try:
        source = source_from_cache(bytecode)
    except (ValueError, NotImplementedError):
        return bytecode
    return source if os.path.exists(source) else bytecode


def _bytes_written() -> Optional[int]:
    """Return what this process has written by now, to whatever; None where nobody counts it."""
    try:
        with io.open("/proc/self/io", "rb") as file:
            return int(file.read().partition(b"wchar: ")[2].split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return None


def _stat(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _state(now: Optional[os.stat_result]) -> Optional[Tuple[int, int, int]]:
    return None if now is None else (now.st_ino, now.st_size, now.st_mtime_ns)


def _facts(now: Optional[os.stat_result]) -> Dict[str, Any]:
    """Return size in bytes, time of change in nanoseconds and inode; null where there are none."""
    if now is None or now is _GONE:
        return {"size": None, "mtime_ns": None, "ino": None}
    for is_kind, kind in () if stat.S_ISREG(now.st_mode) else _KINDS:
        if is_kind(now.st_mode):
            return {"size": None, "mtime_ns": None, "ino": now.st_ino, "kind": kind}
    return {"size": now.st_size, "mtime_ns": now.st_mtime_ns, "ino": now.st_ino}


def _files_in(folder: str) -> List[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
    except OSError:
        return []
