"""``reprolock show LOCK``."""

from __future__ import annotations

from pathlib import Path

import click

from reprolock.cli.ui import Ui, common


@click.command("show", short_help="Read a lock as a person would.")
@click.argument("lock", type=click.Path(path_type=Path))
@common
def command(ui: Ui, *, lock: Path) -> int:
    """Print what LOCK holds: notebook, interpreter, packages, machine, data,
    random streams and metrics.

    \b
    reprolock show pylock.train.toml --verbose
    """  # noqa: D301
    from reprolock.inspect import show
    from reprolock.report import console

    return ui.finish(show(lock), console.show)
