"""``reprolock capture NOTEBOOK``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reprolock.cli import options
from reprolock.cli.ui import Ui, common

if TYPE_CHECKING:
    from reprolock.result import Result


@click.command("capture", short_help="Run a notebook, record the run, write its lock.")
@click.argument("notebook", type=click.Path(path_type=Path), required=False)
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
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    help="Run nothing: take what a living kernel left in this journal, or folder of them.",
)
@click.option("--display", is_flag=True, hidden=True)
@click.option(
    "--fresh", is_flag=True, help="Run NOTEBOOK though it is that of the kernel that asks."
)
@click.option("--inplace", is_flag=True, help="Store the outputs of this run in the notebook.")
@options.allow_errors
@options.timeout
@options.max_output
@options.offline
@click.option("--prove", is_flag=True, help="Hold every wheel of each release against its files.")
@common
def command(
    ui: Ui,
    *,
    notebook: Path | None,
    python: Path | None,
    kernel: str | None,
    metrics: tuple[str, ...],
    output: Path | None,
    journal: Path | None,
    display: bool,
    fresh: bool,
    inplace: bool,
    allow_errors: bool,
    timeout: float | None,
    max_output: int,
    offline: bool,
    prove: bool,
) -> int:
    """Run NOTEBOOK in a fresh kernel, record the run and write pylock.NAME.toml
    beside it. Nothing is installed in the notebook's environment.

    In a cell of a notebook, without NOTEBOOK, write the lock of the kernel as it
    is: nothing is run again. The same holds where NOTEBOOK is that kernel's own.
    `%load_ext reprolock` in the first cell lets it see files, seeds and outputs
    as well.

    \b
    reprolock capture train.ipynb --metric 'auc=roc_auc' --python .venv/bin/python
    !reprolock capture
    """  # noqa: D301
    from reprolock.report import console

    # The magic asks for the summary; a NOTEBOOK there is the kernel's own, and is not run.
    living = display or notebook is None or journal is not None
    own = not living and not fresh and _is_own(notebook)
    if living or own:
        _refuse(python, kernel, metrics, inplace=inplace, fresh=fresh)
        if own:
            click.echo(
                f"{notebook} is the notebook of this kernel: its session is captured as it is; "
                "--fresh runs it from top to bottom",
                err=True,
            )
            notebook = None
        result = _of_kernel(notebook, journal, output, offline=offline, prove=prove)
    else:
        assert notebook is not None  # noqa: S101
        result = _of_run(
            ui,
            notebook,
            python=python,
            kernel=kernel,
            metrics=metrics,
            output=output,
            inplace=inplace,
            allow_errors=allow_errors,
            timeout=timeout,
            max_output=max_output,
            offline=offline,
            prove=prove,
        )
    if display:
        from reprolock.report import summary

        result = summary.with_display(result)
    return ui.finish(result, console.capture)


def _is_own(notebook: Path | None) -> bool:
    from reprolock.living import is_own

    return notebook is not None and is_own(notebook)


def _refuse(
    python: Path | None,
    kernel: str | None,
    metrics: tuple[str, ...],
    *,
    inplace: bool,
    fresh: bool,
) -> None:
    from reprolock.errors import UsageError

    given = {
        "--python": python,
        "--kernel": kernel,
        "--metric": metrics,
        "--inplace": inplace,
        "--fresh": fresh,
    }
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise UsageError(
            f"{wrong[0]} is for a notebook that is run, and here a living kernel is captured",
            hint="in a living kernel, `%reprolock metric NAME EXPRESSION` names a metric"
            if "--metric" in wrong
            else "give a NOTEBOOK; with --fresh that of the kernel that asks is run",
        )


def _of_kernel(
    notebook: Path | None,
    journal: Path | None,
    output: Path | None,
    *,
    offline: bool,
    prove: bool,
) -> Result:
    """A cell's output is no terminal, though `!` gives it one: no progress is drawn there."""
    from reprolock.living import Options, capture

    return capture(
        Options(notebook, journal, output, offline, prove), lambda _what, _done, _of: None
    )


def _of_run(
    ui: Ui,
    notebook: Path,
    *,
    metrics: tuple[str, ...],
    timeout: float | None,
    max_output: int,
    **rest: Any,
) -> Result:
    from reprolock.capture import Options, capture
    from reprolock.execute import Limits
    from reprolock.facts.metrics import parse_request
    from reprolock.run import Wanted

    wanted = Options(
        notebook=notebook,
        limits=Limits(timeout, max_output << 20),
        metrics=tuple(Wanted(*parse_request(text)) for text in metrics),
        **rest,
    )
    with ui.progress() as say:
        return capture(wanted, say)
