"""The command line. Each command is one short module, imported when it is called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from reprolock.errors import ReprolockError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = {
    "capture": "Run a notebook, record the run, write its lock.",
    "rebuild": "Make the environment of a lock and print its path.",
    "verify": "Rebuild, re-execute, compare, judge.",
    "diff": "Compare two locks.",
    "show": "Read a lock as a person would.",
    "export": "Write a lock in another format.",
    "cache": "List, prune or verify the rebuilt environments.",
}
_INTERRUPTED = 130
_TERMINATED = 143
_GRAMMAR = "rfc3987_syntax"


@dataclass
class _Ended:
    by_signal: bool = False


@contextmanager
def _ending_by_signal(ended: _Ended) -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, and leave as little, as when CI gives a job up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Only there may a handler be set.
        return

    def end(_signal: int, _frame: object) -> None:
        ended.by_signal = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _without_grammar_of_addresses() -> Iterator[None]:
    """Keep jsonschema, which nbformat imports, from a grammar that takes seconds to be built.

    It is an optional checker of the format ``iri``, which no notebook's schema asks for.
    """
    if _GRAMMAR in sys.modules:
        yield
        return
    sys.modules[_GRAMMAR] = None  # type: ignore[assignment]  # so that importing it fails
    try:
        yield
    finally:
        del sys.modules[_GRAMMAR]


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"reprolock.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80}
)
@click.version_option(package_name="reprolock", message="%(prog)s %(version)s")
def cli() -> None:
    """Capture a notebook run in one lock, rebuild its environment elsewhere, and
    verify that its metrics hold.

    \b
    reprolock capture train.ipynb
    reprolock verify pylock.train.toml
    """  # noqa: D301


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911  one for each end
    """Run the command line and return its exit code; no error leaves as a traceback."""
    ended = _Ended()
    try:
        with _ending_by_signal(ended), _without_grammar_of_addresses():
            code = cli.main(args=arguments, prog_name="reprolock", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        _say("terminated" if ended.by_signal else "interrupted")
        return _TERMINATED if ended.by_signal else _INTERRUPTED
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        return _usage(exc)
    except ReprolockError as exc:
        explain(exc)
        return exc.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except Exception as exc:  # noqa: BLE001  the last net: people get words, not a traceback
        return _crashed(exc)
    return code if isinstance(code, int) else 0


def explain(exc: ReprolockError) -> None:
    """Print an error as ``error:``, ``Caused by:`` and ``hint:`` lines on standard error."""
    _say(exc.message)
    for cause in exc.causes:
        click.echo(f"  Caused by: {printable(cause)}", err=True)
    if exc.hint:
        click.echo(f"hint: {printable(exc.hint)}", err=True)


def printable(text: str) -> str:
    """Return *text* without characters that a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _say(message: str) -> None:
    click.echo(f"error: {printable(message)}", err=True)


def _usage(exc: click.ClickException) -> int:
    _say(exc.format_message())
    context = getattr(exc, "ctx", None)
    command = context.command_path if context else "reprolock"
    click.echo(f"hint: {command} --help", err=True)
    return 2


def _crashed(exc: Exception) -> int:
    if os.environ.get("REPROLOCK_TRACEBACK"):
        raise exc
    _say("reprolock itself failed")
    click.echo(f"  Caused by: {type(exc).__name__}: {printable(str(exc))[:500]}", err=True)
    click.echo("hint: run it again with REPROLOCK_TRACEBACK=1 and report what it prints", err=True)
    return 2
