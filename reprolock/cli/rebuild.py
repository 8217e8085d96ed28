"""``reprolock rebuild LOCK``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reprolock.cli import options
from reprolock.cli.ui import Ui, common

if TYPE_CHECKING:
    from reprolock.rebuild import How


@click.command("rebuild", short_help="Make the environment of a lock and print its path.")
@click.argument("lock", type=click.Path(path_type=Path))
@click.option(
    "--check",
    is_flag=True,
    help="Install nothing: say which files can be had today, and from where.",
)
@options.building
@common
def command(ui: Ui, *, lock: Path, check: bool, how: How) -> int:
    """Make the environment that LOCK pins, or find it in the cache, check every
    file in it, and print its path.

    \b
    $(reprolock rebuild pylock.train.toml)/bin/python -V
    reprolock rebuild pylock.train.toml --check
    """  # noqa: D301
    from reprolock.report import console

    with ui.progress() as say:
        if check:
            from reprolock import availability

            result = availability.check(lock, say, how)
        else:
            from reprolock.rebuilt import from_lock

            result = from_lock(lock, say, how)
    return ui.finish(result, console.availability if check else console.rebuild)
