"""``reprolock verify LOCK``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reprolock.cli import options
from reprolock.cli.ui import Ui, common

if TYPE_CHECKING:
    from reprolock.rebuild import How


@click.command("verify", short_help="Rebuild, re-execute, compare, judge.")
@click.argument("lock", type=click.Path(path_type=Path))
@click.option(
    "--environment",
    metavar="current|PYTHON",
    help="Skip the rebuild and verify in reprolock's own or another interpreter.",
)
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="NAME=VALUE",
    help="How far a metric may move: 0.005 or 1%. Repeatable.",
)
@click.option("--rtol", type=click.FloatRange(min=0), help="Relative tolerance for all numbers.")
@click.option("--atol", type=click.FloatRange(min=0), help="Absolute tolerance for all numbers.")
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="PREFIX=FOLDER",
    help="Where data of the recorded machine lies here: /content/drive/MyDrive=./drive. "
    "Repeatable; the folder itself is not changed.",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME=VARIABLE",
    help="The environment variable that holds a secret the notebook asks for. Repeatable.",
)
@options.allow_errors
@options.timeout
@options.max_output
@options.building
@common
def command(
    ui: Ui,
    *,
    lock: Path,
    environment: str | None,
    tolerances: tuple[str, ...],
    rtol: float | None,
    atol: float | None,
    maps: tuple[str, ...],
    secrets: tuple[str, ...],
    allow_errors: bool,
    timeout: float | None,
    max_output: int,
    how: How,
) -> int:
    """Rebuild the environment of LOCK, run its notebook there in a scratch copy
    of its folder, and compare with the recorded run. Exit code 0: reproduced;
    1: not; 2: the evidence does not decide.

    \b
    reprolock verify pylock.train.toml --tolerance accuracy=0.005
    """  # noqa: D301
    import math
    import os

    from reprolock.elsewhere import parse_maps, parse_secrets
    from reprolock.errors import UsageError
    from reprolock.execute import Limits
    from reprolock.facts.metrics import parse_tolerance
    from reprolock.notebooks import lock_name
    from reprolock.report import console
    from reprolock.verify import Options, verify

    for name, value in (("--rtol", rtol), ("--atol", atol)):
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{name}: wanted a finite number from 0, found {value}")
    if lock.suffix == ".ipynb":
        raise UsageError(
            f"{lock} is a notebook; verify takes its lock",
            hint=f"reprolock verify {lock_name(lock)}",
        )
    wanted = Options(
        lock=lock,
        limits=Limits(timeout, max_output << 20),
        environment=environment,
        tolerances=dict(parse_tolerance(text) for text in tolerances),
        rtol=rtol,
        atol=atol,
        allow_errors=allow_errors,
        how=how,
        maps=parse_maps(maps),
        secrets=parse_secrets(secrets, os.environ),
    )
    with ui.progress() as say:
        result = verify(wanted, say)
    return ui.finish(result, console.verify)
