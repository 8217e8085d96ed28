"""What a cell's source does with the files that it names: reads, writes, asks whether they are."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reprolock.living.sources import dotted, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable

READ, WRITE, ASK = "read", "write", "ask"

_READING = re.compile(r"(^|_)(read|load|scan|open)|^im(read|open)$|^genfromtxt$|^from_?file$")
_WRITING = re.compile(
    r"(^|_)(to_|write|save|dump|export|sink)|retrieve|download|^im(write|save)$|^to_?file$"
    r"|([Ww]riter|Checkpoint|Logger|Handler)$"
)
_ASKING = ("exists", "isfile", "is_file", "lexists", "getmtime", "getsize", "stat")
# Calls that only make a path, or another form of one.
_PATHS = ("Path", "PurePath", "PosixPath", "str", "fspath", "abspath", "realpath", "expanduser")
# Calls that take a mode, after the file or, as a method of a path, before all else.
_WITH_MODE = ("open", "File", "ZipFile", "TarFile", "GzipFile", "Dataset")
_MODE = re.compile(r"[rwaxbtU+]{1,4}|[rwax]:\w*")
_MAGICS = ("run_cell_magic", "run_line_magic")
# What stands in an argument and is, or holds, the file.
_HOLDERS = (ast.List, ast.Tuple, ast.Set, ast.IfExp, ast.Starred, ast.keyword)
_PASSING = (*_HOLDERS, ast.Attribute, ast.JoinedStr)


@dataclass(frozen=True)
class Use:
    """A *text* that may be the name of a file, and what is done with it; nothing where the source
    does not tell.
    """

    text: str
    kind: str | None


@dataclass
class _Reader:
    """*names*: the texts that stand for a variable, from earlier cells too."""

    names: dict[str, str]
    found: list[Use] = field(default_factory=list)

    def visit(self, node: ast.AST, kind: str | None = None) -> None:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                self.found.append(Use(node.value, kind))
        elif isinstance(node, ast.Name):
            if kind is not None and node.id in self.names:
                self.found.append(Use(self.names[node.id], kind))
        elif isinstance(node, ast.Call):
            self._call(node, kind)
        else:
            self._children(node, kind if isinstance(node, _PASSING) else None)
            if isinstance(node, ast.Assign):
                self._assign(node)

    def _children(self, node: ast.AST, kind: str | None) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child, kind)

    def _call(self, call: ast.Call, outer: str | None) -> None:
        own = outer if _name_of(call) in _PATHS else _kind_of(call)
        if isinstance(call.func, ast.Attribute):
            self.visit(call.func.value, own)
        for part in (*call.args, *call.keywords):
            self.visit(part, own)

    def _assign(self, node: ast.Assign) -> None:
        value = node.value
        if isinstance(value, ast.Call) and _name_of(value) in _PATHS and len(value.args) == 1:
            value = value.args[0]
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.names.pop(target.id, None)
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    self.names[target.id] = value.value


def uses(source: str, names: dict[str, str] | None = None) -> list[Use]:
    """Return the texts of a cell in the order in which they stand there.

    *names* holds the texts of variables that cells before it set; those that this one sets are put
    in.
    """
    tree = parsed(source)
    reader = _Reader({} if names is None else names)
    if tree is not None:
        try:
            reader.visit(tree)
        except RecursionError:
            return reader.found
    return reader.found


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)


def _kind_of(call: ast.Call) -> str | None:
    name = _name_of(call)
    if name in _WITH_MODE:
        return _by_mode(call)
    if name in _MAGICS:
        first = call.args[0] if call.args else None
        writes = isinstance(first, ast.Constant) and first.value in ("writefile", "file")
        return WRITE if writes else None
    if name in _ASKING:
        return ASK
    reading, writing = _READING.search(name) is not None, _WRITING.search(name) is not None
    if reading == writing:
        return None
    return READ if reading else WRITE


def _by_mode(call: ast.Call) -> str | None:
    """Say what a file is opened for. One that is opened for both is read first."""
    given = [word.value for word in call.keywords if word.arg == "mode"]
    first = 0 if isinstance(call.func, ast.Attribute) else 1
    texts = [a for a in (*given, *call.args[first:2]) if isinstance(a, ast.Constant)]
    modes = [a.value for a in texts if isinstance(a.value, str) and _MODE.fullmatch(a.value)]
    if modes:
        return WRITE if set(modes[0]) & set("wax") else READ
    known = not given and not call.args[1:2]
    return READ if known or texts else None


def roles(kinds: Iterable[str | None]) -> tuple[bool, bool]:
    """Return whether a file that is younger than the kernel was there for the run to read, and
    whether the run wrote it, by what its uses say in their order.

    A re-run needs what is read first, and what nobody can tell. What is asked for before it is
    written is kept from one run to the next: the first had to make it.
    """
    told = [kind for kind in kinds if kind is not None]
    done = [kind for kind in told if kind != ASK]
    if WRITE not in done:
        return True, False
    return done[0] == READ and ASK not in told, True
