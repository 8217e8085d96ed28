"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop a cell that runs longer; no limit by default.",
)
max_output = click.option(
    "--max-output",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    metavar="MIB",
    help="Stop a cell that puts out more.",
)
allow_errors = click.option("--allow-errors", is_flag=True, help="Go on after a cell that raises.")


def _kinds(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    from reprolock.rebuild.interpreters import KINDS

    if value is None:
        return KINDS
    kinds = tuple(word.strip() for word in value.split(","))
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong:
        raise click.BadParameter(f"wanted some of {','.join(KINDS)}, found {wrong[0] or 'nothing'}")
    return kinds


python_preference = click.option(
    "--python-preference",
    metavar="KINDS",
    callback=_kinds,
    help="Where to look for the interpreter, in this order: own,uv,pyenv,system,conda by default.",
)
offline = click.option("--offline", is_flag=True, help="Ask no package index.")
