"""``reprolock cache list|prune|verify``."""

from __future__ import annotations

import click

from reprolock.cli.ui import Ui, common


@click.group("cache", short_help="List, prune or verify the rebuilt environments.")
def command() -> None:
    """Look at the cache of rebuilt environments, or clear it.

    \b
    reprolock cache list
    reprolock cache prune --older-than 30
    """  # noqa: D301


@command.command("list")
@common
def listed(ui: Ui) -> int:
    """Print each environment with its size and when it was last used.

    \b
    reprolock cache list --json
    """  # noqa: D301
    from reprolock.caches import listed
    from reprolock.report import console

    return ui.finish(listed(), console.cache)


@command.command("prune")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Remove environments that were not used for so long.",
)
@click.option("--all", "everything", is_flag=True, help="Remove all environments.")
@common
def pruned(ui: Ui, *, older_than: float, everything: bool) -> int:
    """Remove environments, and what interrupted rebuilds left. One that is at
    work now stays.

    \b
    reprolock cache prune --older-than 7
    """  # noqa: D301
    from reprolock.caches import pruned
    from reprolock.report import console

    return ui.finish(pruned(None if everything else older_than), console.cache)


@command.command("verify")
@common
def verified(ui: Ui) -> int:
    """Hash every file of every environment against the list that it was installed
    by; exit 1 where one was changed.

    \b
    reprolock cache verify
    """  # noqa: D301
    from reprolock.caches import verified
    from reprolock.report import console

    with ui.progress() as say:
        result = verified(say)
    return ui.finish(result, console.cache)
