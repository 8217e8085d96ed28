"""``reprolock capture NOTEBOOK``."""

from __future__ import annotations

from pathlib import Path

import click

from reprolock.cli import options
from reprolock.cli.ui import Ui, common


@click.command("capture", short_help="Run a notebook, record the run, write its lock.")
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--python", type=click.Path(path_type=Path), help="Run it with this interpreter.")
@click.option("--kernel", metavar="NAME", help="Run it with this kernelspec.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=EXPR[@K]",
    help="Record a Python expression, evaluated at the end or after cell K. Repeatable.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the lock here.")
@click.option("--inplace", is_flag=True, help="Store the outputs of this run in the notebook.")
@options.allow_errors
@options.timeout
@options.max_output
@options.offline
@common
def command(
    ui: Ui,
    *,
    notebook: Path,
    python: Path | None,
    kernel: str | None,
    metrics: tuple[str, ...],
    output: Path | None,
    inplace: bool,
    allow_errors: bool,
    timeout: float | None,
    max_output: int,
    offline: bool,
) -> int:
    """Run NOTEBOOK in a fresh kernel, record the run and write pylock.NAME.toml
    beside it. Nothing is installed in the notebook's environment.

    \b
    reprolock capture train.ipynb --metric 'auc=roc_auc' --python .venv/bin/python
    """  # noqa: D301
    from reprolock.capture import Options, capture
    from reprolock.execute import Limits
    from reprolock.facts.metrics import parse_request
    from reprolock.report import console
    from reprolock.run import Wanted

    wanted = Options(
        notebook=notebook,
        limits=Limits(timeout, max_output << 20),
        python=python,
        kernel=kernel,
        output=output,
        metrics=tuple(Wanted(*parse_request(text)) for text in metrics),
        allow_errors=allow_errors,
        inplace=inplace,
        offline=offline,
    )
    with ui.progress() as say:
        result = capture(wanted, say)
    return ui.finish(result, console.capture)
