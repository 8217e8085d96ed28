"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

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


_BUILDING = (
    click.option(
        "--leave-out",
        "leave_out",
        multiple=True,
        metavar="PACKAGE",
        help="Rebuild without a package that the lock could not pin. Repeatable.",
    ),
    click.option(
        "--allow-substitutes",
        is_flag=True,
        help="Take the nearest version of a package whose file is gone, and say so.",
    ),
    click.option(
        "--allow-build",
        multiple=True,
        metavar="PACKAGE",
        help="Build it from source, which runs its code, though the lock was not captured here; "
        ":all: for all. Repeatable.",
    ),
    click.option(
        "--allow-host",
        multiple=True,
        envvar="REPROLOCK_ALLOWED_HOSTS",
        metavar="HOST",
        help="Fetch from this host, or one below it, and no other. Repeatable.",
    ),
    click.option(
        "--link-mode",
        type=click.Choice(("copy", "clone", "hardlink", "symlink")),
        default="copy",
        show_default=True,
        help="How uv puts files in place; but for copies, a notebook that writes into its "
        "packages damages uv's cache.",
    ),
)


def building(function: F) -> F:
    """Add the options that say how an environment is rebuilt; the command gets one `How`."""

    @functools.wraps(function)
    def command(
        *args: Any,
        leave_out: tuple[str, ...],
        python_preference: tuple[str, ...],
        allow_substitutes: bool,
        allow_build: tuple[str, ...],
        allow_host: tuple[str, ...],
        link_mode: str,
        offline: bool,
        **rest: Any,
    ) -> Any:
        from reprolock.rebuild import How

        how = How(
            offline=offline,
            allow_missing=leave_out,
            kinds=python_preference,
            link_mode=link_mode,
            substitutes=allow_substitutes,
            builds=allow_build,
            hosts=allow_host,
        )
        return function(*args, how=how, **rest)

    found: Any = command
    for option in reversed((*_BUILDING, _python_preference, offline)):
        found = option(found)
    return cast("F", found)


_python_preference = click.option(
    "--python-preference",
    metavar="KINDS",
    callback=_kinds,
    help="Where to look for the interpreter, in this order: own,uv,pyenv,system,conda by default.",
)
offline = click.option("--offline", is_flag=True, help="Ask no package index.")
