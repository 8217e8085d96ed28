"""Starts a program that sees folders under other paths: ``bind.py SPEC PROGRAM [ARGUMENT...]``.

A program of its own, standard library only. It moves into a new mount namespace, by its own right
or inside a new user namespace, lays out a root of its own in memory in which everything of the
real one stands at its place and the wanted paths besides, enters it, and becomes PROGRAM: the
process keeps its number, parent, user, network and signals, and nothing is made in the real root.

SPEC is a JSON object: ``root`` an empty folder; ``places`` a list of objects with ``at`` (absolute,
the outer ones first) and ``folder``, or ``same``, the ``at`` of an earlier one, or ``lower``,
``upper`` and ``work`` of an overlay, in which ``lower`` stays as it is; ``gone`` paths below
overlays to take away; ``cwd``; ``user``: take a user namespace in any case.

See namespaces(7), mount(2), pivot_root(2) and the kernel's documentation of overlayfs, which may be
mounted in a user namespace since Linux 5.11.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import shutil
import sys
from typing import Any

FAILED = 97
_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_BIND, _RECURSIVE, _SLAVE = 0x1000, 0x4000, 0x80000
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

Tree = dict[str, Any]


def main(arguments: list[str]) -> None:
    spec, program = json.loads(arguments[0]), arguments[1:]
    try:
        _move_out(user=bool(spec.get("user")))
        _lay_out(spec)
        _enter(spec["root"])
        os.chdir(spec["cwd"])
        os.execvp(program[0], program)  # noqa: S606  becomes the program
    except OSError as exc:
        sys.stderr.write(f"{exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}\n")
        sys.exit(FAILED)


def _move_out(*, user: bool) -> None:
    """Leave the mounts of the others, as root if that is allowed, else in a user namespace."""
    try:
        if user:
            raise PermissionError
        _call("unshare", _NEW_MOUNTS)
    except OSError:
        own = {"uid_map": os.getuid(), "gid_map": os.getgid()}
        _call("unshare", _NEW_USER | _NEW_MOUNTS)
        # Each stays who it is, so that files belong to the user; setgroups: see user_namespaces(7)
        _write("/proc/self/setgroups", "deny")
        for name, number in own.items():
            _write(f"/proc/self/{name}", f"{number} {number} 1")
    # What others mount goes on to be seen; what is mounted here stays here.
    _mount(None, "/", None, _SLAVE | _RECURSIVE)


def _lay_out(spec: dict[str, Any]) -> None:
    root = spec["root"]
    _mount("tmpfs", root, "tmpfs", 0, "mode=755")
    tree: Tree = {}
    for place in spec["places"]:
        if "same" in place:
            place["folder"] = root + place["same"]
        node = tree
        for part in place["at"].strip("/").split("/"):
            node = node.setdefault(part, {})
        node[""] = place
    _lay("/", root, tree)
    overlays = tuple(place["at"] + "/" for place in spec["places"] if "upper" in place)
    for path in spec.get("gone", ()):
        if path.startswith(overlays):
            _take_away(root + path)


def _lay(real: str, new: str, tree: Tree) -> None:
    """Make the folder *new* like *real*, but for the names of *tree*."""
    _mirror(real, new, set(tree))
    for name, below in tree.items():
        target = os.path.join(new, name)
        os.mkdir(target)
        if "" in below:
            _place(below.pop(""), target)
            _inside(target, below)
        else:
            _lay(os.path.join(real, name), target, below)


def _inside(folder: str, tree: Tree) -> None:
    """Put the places of *tree* into a *folder* that is ours to write to."""
    for name, below in tree.items():
        target = os.path.join(folder, name)
        os.makedirs(target, exist_ok=True)
        if "" in below:
            _place(below.pop(""), target)
        _inside(target, below)


def _mirror(real: str, new: str, leave: set[str]) -> None:
    try:
        entries = list(os.scandir(real))
    except OSError:
        return  # it is not there, or not for us to read
    for entry in entries:
        if entry.name not in leave:
            with contextlib.suppress(OSError):  # one that cannot be bound is not needed, or missed
                _bind_entry(entry, os.path.join(new, entry.name))


def _bind_entry(entry: os.DirEntry[str], target: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(entry.path), target)
    elif entry.is_dir():
        os.mkdir(target)
        _mount(entry.path, target, None, _BIND | _RECURSIVE)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
        _mount(entry.path, target, None, _BIND)


def _place(place: dict[str, str], target: str) -> None:
    if "folder" in place:
        _mount(place["folder"], target, None, _BIND | _RECURSIVE)
        return
    wanted = ",".join(
        f"{key}={_escaped(place[name])}"
        for key, name in (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work"))
    )
    try:
        # In a user namespace the marks of an overlay are kept in attributes of the user.
        _mount("overlay", target, "overlay", 0, wanted + ",userxattr")
    except OSError:
        _mount("overlay", target, "overlay", 0, wanted)


def _escaped(path: str) -> str:
    for character in "\\,:":
        path = path.replace(character, "\\" + character)
    return path


def _take_away(path: str) -> None:
    """Remove *path* from an overlay; through a link it would be gone from another place."""
    parent = os.path.dirname(path)
    if os.path.realpath(parent) != parent:
        return
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _enter(root: str) -> None:
    os.chdir(root)
    try:
        _pivot()
    except OSError:
        os.chroot(".")  # the root of a machine without a disk cannot be put away
    os.chdir("/")


def _pivot() -> None:
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise PermissionError
    _call("syscall", ctypes.c_long(number), b".", b".")
    _call("umount2", b".", _DETACH)


def _write(path: str, text: str) -> None:
    with contextlib.suppress(FileNotFoundError), open(path, "w", encoding="ascii") as file:
        file.write(text)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    _call(
        "mount",
        *(None if part is None else os.fsencode(part) for part in (source, target, kind)),
        ctypes.c_ulong(flags),
        None if data is None else os.fsencode(data),
    )


def _call(name: str, *arguments: Any) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv[1:])
