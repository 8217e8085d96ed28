"""What a cell's source says without running it: names that it binds, seeds, files that it names."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# The calls that seed a global stream, by the end of their dotted name.
_SEEDERS = {
    "random.seed": "random",
    "np.random.seed": "numpy",
    "numpy.random.seed": "numpy",
    "torch.manual_seed": "torch",
    "torch.random.manual_seed": "torch",
    "tf.random.set_seed": "tensorflow",
    "tensorflow.random.set_seed": "tensorflow",
}


@dataclass(frozen=True)
class Seeding:
    stream: str
    call: str
    seed: int | str


def parsed(source: str) -> ast.Module | None:
    """Return the syntax tree of a cell, magics and shell lines taken as IPython does; None where
    it is no Python.
    """
    import warnings

    try:
        from IPython.core.inputtransformer2 import TransformerManager

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            manager: Any = TransformerManager()  # type: ignore[no-untyped-call]
            return ast.parse(str(manager.transform_cell(source)))
    except (ImportError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def names_bound(source: str) -> set[str] | None:
    """Return the names that a cell binds where it stands; None where that cannot be told.

    A star import, ``exec`` and ``%run`` may bind anything.
    """
    tree = parsed(source)
    if tree is None:
        return None
    names: set[str] = set()
    for node in _of_module(tree):
        found = _bound_by(node)
        if found is None:
            return None
        names |= found
    return names


def _of_module(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run in the notebook's own namespace."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # What a function declares global it may bind when it is called.
            yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.Global))
        elif not isinstance(node, (ast.ClassDef, ast.Lambda)):
            yield from _of_module(node)


def _bound_by(node: ast.AST) -> set[str] | None:  # noqa: PLR0911  one for each kind of node
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Global):
        return set(node.names)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        if any(alias.name == "*" for alias in node.names):
            return None
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ExceptHandler):
        return {node.name} if node.name else set()
    if isinstance(node, (ast.MatchAs, ast.MatchStar)):
        return {node.name} if node.name else set()
    if isinstance(node, ast.MatchMapping):
        return {node.rest} if node.rest else set()
    if isinstance(node, ast.Call):
        return None if _binds_anything(node) else set()
    return set()


def _binds_anything(call: ast.Call) -> bool:
    name = dotted(call.func)
    if name.rpartition(".")[2] in ("exec", "globals", "push", "run_cell", "run_cell_magic"):
        return True
    first = call.args[0] if call.args else None
    is_magic = name.endswith("run_line_magic") and isinstance(first, ast.Constant)
    return is_magic and isinstance(first, ast.Constant) and first.value in ("run", "pylab", "load")


def ends_with_capture(source: str) -> bool:
    """Say whether the last statement of a cell is the call for a lock, and shows no value."""
    tree = parsed(source)
    last = tree.body[-1] if tree is not None and tree.body else None
    if not isinstance(last, (ast.Expr, ast.Assign)) or not isinstance(last.value, ast.Call):
        return False
    name = dotted(last.value.func).rpartition(".")[2]
    if name == "capture":
        return isinstance(last, ast.Assign) or source.rstrip().endswith(";")
    return name in _LINES and "reprolock" in ast.dump(last) and "capture" in ast.dump(last)


# What IPython makes of a magic and of a command line.
_LINES = ("run_line_magic", "run_cell_magic", "system", "getoutput")


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for such an expression, else the part that is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def seedings(source: str) -> list[Seeding]:
    """Return the calls that seed a global stream with a number or text that stands there."""
    tree = parsed(source)
    found = []
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name, seed = dotted(node.func), node.args[0]
        stream = _SEEDERS.get(name)
        if stream and isinstance(seed, ast.Constant) and isinstance(seed.value, (int, str)):
            found.append(Seeding(stream, name, seed.value))
    return found
