"""What people see: progress on stderr, results on stdout. The only user of rich."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reprolock.errors import (
    BundleError,
    ExportError,
    KernelError,
    LockError,
    NotebookError,
    RebuildError,
    ReprolockError,
    UnsafeBundleError,
    UsageError,
)

if TYPE_CHECKING:
    from reprolock.report.lines import Line
    from reprolock.result import Result

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Ui:
    json: bool
    quiet: bool
    verbose: bool
    color: bool

    def finish(self, result: Result, lines: Callable[[dict[str, Any], bool], list[Line]]) -> int:
        """Print *result* as JSON or as *lines* made from it, and return its exit code."""
        content = result.to_json()
        if self.json:
            _print_json(content)
        elif not self.quiet or result.exit_code:
            self._print(lines(content, self.verbose))
        return result.exit_code

    def _print(self, lines: list[Line]) -> None:
        if not self.color:
            for line in lines:
                click.echo(line.text)
            return
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False, soft_wrap=True)
        for line in lines:
            console.print(Text(line.text, style=line.style))

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Give what shows ``(what, done, total)``: live on a terminal, else a line a step."""
        if self.quiet or (self.json and not sys.stderr.isatty()):
            yield lambda _what, _done, _total: None
        elif sys.stderr.isatty() and not os.environ.get("CI"):
            with _live(self.color) as say:
                yield say
        else:
            yield _plain


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, indent=2, allow_nan=False, default=str))


def failed(command: str, exc: ReprolockError) -> Result:
    """Return the result of a command that could not do its work."""
    from reprolock.finding import error
    from reprolock.result import Result

    code = next(code for kind, code in _CODES if isinstance(exc, kind))
    finding = error(code, "; ".join([exc.message, *exc.causes]), hint=exc.hint)
    return Result(command, exc.exit_code, 0.0, findings=(finding,))


_CODES: tuple[tuple[type[ReprolockError], str], ...] = (
    (UsageError, "usage.wrong"),
    (NotebookError, "notebook.unreadable"),
    (UnsafeBundleError, "bundle.unsafe"),
    (BundleError, "bundle.unreadable"),
    (LockError, "lock.unreadable"),
    (KernelError, "kernel.unusable"),
    (RebuildError, "rebuild.failed"),
    (ExportError, "export.failed"),
    (ReprolockError, "run.failed"),
)
_LABELS = {
    "cell": "running cells",
    "package": "identifying packages",
    "install": "installing packages",
    "check": "checking files",
    "look": "looking for files",
    "fetch": "fetching files",
    "pack": "packing files",
    "environment": "checking environments",
}


def _plain(what: str, done: int, total: int) -> None:
    if what.startswith("step:"):
        click.echo(f"[{done + 1}/{total}] {what[5:]}", err=True)
    elif total and done == total:
        click.echo(f"  {_LABELS.get(what, what)}: {total}", err=True)


@contextmanager
def _live(color: bool) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=not color)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def say(what: str, done: int, total: int) -> None:
            if what.startswith("step:"):
                progress.console.print(
                    f"[{done + 1}/{total}] {what[5:]}", markup=False, highlight=False
                )
                return
            label = _LABELS.get(what, what)
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total)
            progress.update(tasks[label], completed=done, total=total or None)

        yield say


def common(function: F) -> F:
    """Add the options that every command takes; the command gets them as one `Ui`."""
    import functools

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing but failures.")
    @click.option("-v", "--verbose", is_flag=True, help="Print notes as well.")
    @click.option("--no-color", is_flag=True, help="No colour; NO_COLOR does the same.")
    @functools.wraps(function)
    def wrapped(*, as_json: bool, quiet: bool, verbose: bool, no_color: bool, **rest: Any) -> Any:
        color = not no_color and "NO_COLOR" not in os.environ and sys.stdout.isatty()
        try:
            return function(ui=Ui(as_json, quiet, verbose, color), **rest)
        except ReprolockError as exc:
            if as_json:
                name = click.get_current_context().info_name or ""
                _print_json(failed(name, exc).to_json())
            raise

    return wrapped  # type: ignore[return-value]
