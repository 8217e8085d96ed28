"""Paths of the recorded machine rewritten in a cell's source, where they could not be bound.

IPython's AST transformers run after the cell was parsed: its source, its digest and its
tracebacks stay as they are. Reached are the literal texts of a cell, shell lines and the lines of
magics among them. Not reached: paths that are put together when the cell runs, paths in modules
and in files, and the text of a file that ``%%writefile`` writes.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Dict, List

from .context import Context

_WRITES_ITS_BODY = ("writefile", "file")


class Rewriting:
    def __init__(self, context: Context, shell: Any, maps: Dict[str, str]) -> None:
        self._shell = shell
        self._transformer = _Transformer(context, maps) if maps else None

    def open(self) -> None:
        if self._transformer is not None:
            self._shell.ast_transformers.append(self._transformer)

    def close(self) -> None:
        transformers: List[Any] = self._shell.ast_transformers
        if self._transformer in transformers:
            transformers.remove(self._transformer)


class _Transformer(ast.NodeTransformer):
    def __init__(self, context: Context, maps: Dict[str, str]) -> None:
        self._context = context
        self._maps = maps
        one_of = "|".join(re.escape(name) for name in sorted(maps, key=len, reverse=True))
        # No part of a longer path or name, as the comparison of outputs has it too.
        self._prefix = re.compile(r"(?<![\w.-])(?:{})(?![\w-]|\.\w)".format(one_of))

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        value: Any = node.value
        if isinstance(value, str):
            value = self._rewritten(value)
        elif isinstance(value, bytes):
            value = self._rewritten(value.decode("latin-1")).encode("latin-1", "replace")
        if value == node.value:
            return node
        return ast.copy_location(ast.Constant(value=value, kind=None), node)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        body = node.args[2:] if _writes_its_body(node) else []
        self.generic_visit(node)
        node.args[2:] = body or node.args[2:]
        return node

    def _rewritten(self, text: str) -> str:
        return self._prefix.sub(lambda found: self._place(found.group()), text)

    def _place(self, prefix: str) -> str:
        self._context.told("rewritten", prefix)
        return self._maps[prefix]


def _writes_its_body(node: ast.Call) -> bool:
    """Say whether *node* is a cell magic of which the cell's body becomes a file."""
    name = node.args[0] if len(node.args) > 2 else None
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr == "run_cell_magic"
        and isinstance(name, ast.Constant)
        and name.value in _WRITES_ITS_BODY
    )
