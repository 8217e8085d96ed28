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
offline = click.option("--offline", is_flag=True, help="Ask no package index.")
