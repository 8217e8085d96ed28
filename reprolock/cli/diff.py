"""``reprolock diff A B``."""

from __future__ import annotations

from pathlib import Path

import click

from reprolock.cli.ui import Ui, common


@click.command("diff", short_help="Compare two locks.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@common
def command(ui: Ui, *, first: Path, second: Path) -> int:
    """Say in what two locks differ: packages, data, seeds, hardware, outputs and
    metrics. Exit code 0: in nothing but the time stamp; 1: in something.

    \b
    reprolock diff old/pylock.train.toml new/pylock.train.toml
    """  # noqa: D301
    from reprolock.inspect import diff
    from reprolock.report import console

    return ui.finish(diff(first, second), console.diff)
