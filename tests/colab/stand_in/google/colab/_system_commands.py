"""``!`` and ``%shell``: bash under a pseudo-terminal, its output streamed as it comes."""

import codecs
import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios

from IPython.utils import text

from google.colab import _ipython, _message

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


class ShellResult:
    """What ``%shell`` gives back: both streams as one, since they share the terminal."""

    def __init__(self, args, returncode, command_output):
        self.args = args
        self.returncode = returncode
        self.output = command_output

    def check_returncode(self):
        if self.returncode:
            raise subprocess.CalledProcessError(self.returncode, self.args, self.output)

    def _repr_pretty_(self, p, cycle):
        """Show nothing: the output has been shown."""


def _shell_line_magic(line):
    result = _run_command(line)
    result.check_returncode()
    return result


def _shell_cell_magic(line, cmd):
    result = _run_command(cmd)
    if "--ignore-errors" not in line:
        result.check_returncode()
    return result


def _system_compat(shell, cmd, also_return_output=False):
    """Run *cmd* for ``!``: the exit status goes into ``_exit_code``, nothing is returned."""
    result = _run_command(shell.var_expand(cmd, depth=2))
    shell.user_ns["_exit_code"] = result.returncode
    _note_interrupt(result)
    return text.LSString(result.output) if also_return_output else None


def _getoutput_compat(shell, cmd, split=True, depth=0):
    """Run *cmd* for ``x = !cmd``: what it wrote, by lines."""
    from google.colab.output import _tags

    with _tags.temporary():
        result = _run_command(shell.var_expand(cmd, depth=depth + 2))
    _note_interrupt(result)
    return text.SList(result.output.splitlines()) if split else text.LSString(result.output)


def _note_interrupt(result):
    if -result.returncode in _SIGNALS:
        print("^C")


def _run_command(cmd):
    ours, theirs = pty.openpty()
    _configure(theirs)
    try:
        with _stdin_widget():
            process = subprocess.Popen(
                cmd, shell=True, executable="/bin/bash", close_fds=True,
                stdin=theirs, stdout=theirs, stderr=theirs,
            )  # fmt: skip
            os.close(theirs)
            output = _stream(process, ours)
    finally:
        os.close(ours)
    return ShellResult(cmd, process.returncode, output)


def _configure(terminal):
    """Leave line ends as they are written, and echo no control characters."""
    settings = termios.tcgetattr(terminal)
    settings[1] &= ~termios.ONLCR
    settings[3] &= ~termios.ECHOCTL
    termios.tcsetattr(terminal, termios.TCSANOW, settings)


def _stream(process, terminal):
    """Show what comes until the process and all that hold its terminal are gone; return it all."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    parts, interrupts = [], 0
    while True:
        try:
            piece = _read(terminal)
            if piece is None:
                process.wait()
                sys.stdout.flush()
                return "".join(parts)
            if piece:
                shown = decoder.decode(piece)
                sys.stdout.write(shown)
                parts.append(shown)
            _forward_input(terminal)
        except KeyboardInterrupt:
            interrupts += 1
            process.send_signal(signal.SIGINT if interrupts == 1 else signal.SIGKILL)


def _read(terminal):
    """Return bytes, none where none came in time, None where the other end is closed."""
    ready, _, _ = select.select([terminal], [], [], 0.1)
    if not ready:
        return b""
    try:
        return os.read(terminal, 1 << 20) or None
    except OSError:
        return None


def _forward_input(terminal):
    typed = _message._read_stdin_message()
    if typed is not None:
        os.write(terminal, typed.encode())


@contextlib.contextmanager
def _stdin_widget():
    parent = _ipython.get_ipython().parent_header
    tell = {"parent": parent, "expect_reply": False}
    _message.send_request("cell_display_stdin", {"delayMillis": 500}, **tell)
    try:
        yield
    finally:
        _message.send_request("cell_remove_stdin", {}, **tell)


def _register_magics(ip):
    ip.register_magic_function(_shell_line_magic, magic_kind="line", magic_name="shell")
    ip.register_magic_function(_shell_cell_magic, magic_kind="cell", magic_name="shell")
