"""``reprolock export LOCK --to FORMAT``."""

from __future__ import annotations

from pathlib import Path

import click

from reprolock.cli import options
from reprolock.cli.ui import Ui, common
from reprolock.export import FORMATS

_NAMES = [one.name for one in FORMATS]


@click.command("export", short_help="Write a lock in another format.")
@click.argument("lock", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="FORMAT", help=f"One of {', '.join(_NAMES)}.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The file to write, or a folder for it; by default it is beside the lock.",
)
@click.option(
    "--max-size",
    type=click.IntRange(min=0),
    default=1024,
    show_default=True,
    metavar="MIB",
    help="The largest data file to put into a bundle or an RO-Crate.",
)
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="PREFIX=FOLDER",
    help="Where data of the recorded machine lies here. Repeatable.",
)
@click.option("--force", is_flag=True, help="Write over a file that is no earlier export.")
@options.offline
@common
def command(
    ui: Ui,
    *,
    lock: Path,
    to: str,
    output: Path | None,
    max_size: int,
    maps: tuple[str, ...],
    force: bool,
    offline: bool,
) -> int:
    """Write LOCK, or the lock of a bundle, as other tools want it. A bundle is one
    file with the notebook, its data and its packages; verify and rebuild take it
    in the place of a lock and need no network then.

    \b
    reprolock export pylock.train.toml --to bundle
    reprolock verify train.reprolock.zip
    """  # noqa: D301
    from reprolock.elsewhere import parse_maps
    from reprolock.export import Options, export
    from reprolock.report import console

    wanted = Options(lock, to, output, parse_maps(maps), max_size << 20, offline, force)
    with ui.progress() as say:
        result = export(wanted, say)
    return ui.finish(result, console.export)
