"""What a living kernel adds: the cells that ran before, captures on demand, and their summary.

The lock is written by a child process, so that nothing of what that needs is loaded here. It finds
the journal by the process that started it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from typing import Any, Dict, List, Optional, Tuple

from . import callers, hardware, packages, platforms, system
from .runners import Answer

_PRINTABLE = re.compile(r"[^\x20-\x7e\n\u00a0-\ud7ff\ue000-\ufffd]")
_MACHINERY = (*callers.MACHINERY, "debugpy", "pydevd", "_pydevd_bundle", "google")
_QUESTION = 10.0  # seconds that the front end has to send the notebook


class Live:
    """*command* is the argument list that starts ``reprolock``."""

    def __init__(self, session: Any, shell: Any, command: List[str], folder: str) -> None:
        self._session = session
        self._command = command
        self.shell = shell
        self.folder = folder

    def earlier(self) -> Tuple[List[str], str, int]:
        """Return the sources of the cells that ran before, of the running one, and how many
        ran of which no source is known.
        """
        history = [str(text) for text in getattr(self.shell.history_manager, "input_hist_raw", [])]
        known = history[1:]
        source = self._running()
        if known and (source is None or known[-1].strip() == source.strip()):
            source = known.pop() if source is None else (known.pop(), source)[1]
        counted = int(getattr(self.shell, "execution_count", 1)) - 1
        if len(history) > 1:
            counted = min(counted, len(known))  # IPython 9 counts the running cell already
        return known, source or "", max(0, counted - len(known))

    def _running(self) -> Optional[str]:
        try:
            return str(self.shell.get_parent()["content"]["code"])
        except Exception:
            return None

    # -- the state that only this process knows -----------------------------------------------

    def snapshot(self) -> None:
        """Write down what a capture needs and no cell's end has told."""
        session = self._session
        journal = session.journal
        journal.guard("installs", session.data.apart, session.installs.snapshot)
        journal.guard("data", session.data.end)
        for where, action in (
            ("outputs", session.outputs.flush),
            ("packages", session.packages.again),
            ("system", lambda: journal.write("system", **system.collect())),
            ("hardware", lambda: journal.write("hardware", **hardware.collect())),
            ("modules", lambda: journal.write("modules", loaded=packages.loaded())),
            ("notebook", self._notebook),
            ("snapshot", self._state),
        ):
            journal.guard(where, session.data.apart, action)

    def _notebook(self) -> None:
        found = platforms.find_notebook(
            platforms.Machine.here(self.shell), kernel_id(self.shell), _QUESTION
        )
        self._session.journal.write("notebook", **found._asdict())

    def _state(self) -> None:
        session = self._session
        session.journal.write(
            "snapshot",
            n=session.cell.n,
            names=session.names.living(),
            threads=[one.name for one in threading.enumerate() if _is_users(one)],
            lost=session.journal.lost,
        )

    # -- capture ------------------------------------------------------------------------------

    def capture(self, arguments: List[str]) -> Optional[Dict[str, Any]]:
        """Write the lock and show the summary; return the result as ``--json`` has it."""
        arguments = self._evaluated(arguments)
        self.snapshot()
        done = subprocess.run(
            [*self._command, "capture", "--json", "--display", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        self._session.data.pass_over()
        try:
            result = json.loads(done.stdout.decode("utf-8", "replace"))
        except ValueError:
            self._say_what_went_wrong(done)
            return None
        self._show(result.pop("display", {}))
        return dict(result)

    def _evaluated(self, arguments: List[str]) -> List[str]:
        """Take the values of ``--metric NAME=EXPR`` here; return the other arguments."""
        rest: List[str] = []
        waiting = False
        for word in arguments:
            if waiting or word.startswith("--metric="):
                name, _, expression = word[9 if not waiting else 0 :].partition("=")
                self._session.metrics.now(name.strip(), expression)
                waiting = False
            elif word == "--metric":
                waiting = True
            else:
                rest.append(word)
        return rest

    def _say_what_went_wrong(self, done: Any) -> None:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        sys.stderr.write((_PRINTABLE.sub("?", said) or "reprolock gave no answer") + "\n")

    def _show(self, data: Dict[str, str]) -> None:
        if data:
            self.shell.display_pub.publish(data=data, metadata={})

    def answer(self, command: str) -> Optional[Answer]:
        """Start this very reprolock where the shell would find none of that name."""
        first, _, rest = command.strip().partition(" ")
        if first != "reprolock" or shutil.which(first) is not None:
            return None
        return Answer(instead=" ".join(map(shlex.quote, self._command)) + " " + rest)

    def before_command(self, command: str) -> None:
        """``!reprolock capture`` reads the journal in a process of its own: tell it the rest."""
        if _asks_for_capture(command):
            self._session.mark("capture", {})
            self.snapshot()

    def after_command(self, command: str, _status: Optional[int]) -> None:
        if _asks_for_capture(command):
            self._session.data.pass_over()

    # -- status -------------------------------------------------------------------------------

    def status(self) -> str:
        """Return what was seen until now, in a few lines."""
        counts, troubles = self._counted()
        files = counts["file"]
        lines = [
            "reprolock is recording this kernel",
            "  cells     {} seen, {} before it was loaded".format(
                len(counts["cell"]) - len(counts["history"]), len(counts["history"])
            ),
            "  files     {} read, {} written".format(
                len({path for op, path in files if op == "read"}),
                len({path for op, path in files if op != "read"}),
            ),
            "  seeds     {}".format(", ".join(sorted(counts["seed"])) or "none set"),
            "  unseeded  {}".format(", ".join(sorted(counts["unseeded"])) or "no draw seen"),
            "  metrics   {}".format(", ".join(sorted(counts["metric"])) or "none named"),
            "  journal   {}".format(self._session.journal.path),
        ]
        return "\n".join(lines + ["  trouble   {}".format(one) for one in troubles])

    def _counted(self) -> Tuple[Dict[str, Any], List[str]]:
        counts: Dict[str, Any] = {
            key: set() for key in ("cell", "history", "file", "seed", "unseeded", "metric")
        }
        troubles = []
        with open(self._session.journal.path, encoding="ascii", errors="replace") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                kind = event.get("event")
                if kind == "cell-start":
                    counts["history" if event.get("via") else "cell"].add(event["n"])
                    counts["cell"].add(event["n"])
                elif kind == "file":
                    counts["file"].add((event.get("op"), event.get("path")))
                elif kind in ("seed", "unseeded", "draw"):
                    counts["seed" if kind == "seed" else "unseeded"].add(str(event.get("stream")))
                elif kind == "metric":
                    counts["metric"].add(str(event.get("name")))
                elif kind == "trouble":
                    troubles.append("{}: {}".format(event.get("where"), event.get("message")))
        return counts, troubles

    def also_to(self, folder: str) -> str:
        """Keep a second journal in *folder* from now on; return what to tell the user."""
        path = os.path.join(os.path.abspath(os.path.expanduser(folder)), _name(self._session))
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._session.journal.also_to(path)
        except OSError as exc:
            return "reprolock: no journal can be kept there: {}".format(exc)
        self._session.data.not_ours(path)
        return "reprolock: a second journal is kept in {}".format(path)


def _name(session: Any) -> str:
    return str(os.path.basename(session.journal.path))


def kernel_id(shell: Any) -> Optional[str]:
    """Return the id that the server knows this kernel by: it is in its connection file's name."""
    app = getattr(getattr(shell, "kernel", None), "parent", None)
    name = os.path.basename(str(getattr(app, "connection_file", "")))
    found = re.match(r"kernel-(?:v\d+-)?(.+)\.json$", name)
    return found.group(1) if found else None


def _asks_for_capture(command: str) -> bool:
    return "reprolock" in command and bool(re.search(r"\bcapture\b", command))


def _is_users(thread: Any) -> bool:
    """Say whether a thread was started by the notebook, not by the kernel's machinery."""
    if thread in (threading.current_thread(), threading.main_thread()) or not thread.is_alive():
        return False
    target = getattr(thread, "_target", None)
    modules = {type(thread).__module__, getattr(target, "__module__", None) or ""}
    if any(module.partition(".")[0] in _MACHINERY for module in modules):
        return False
    return not thread.name.startswith(("IOPub", "Heartbeat", "Control", "IPythonHistory"))
