"""What a living kernel adds: the cells that ran before, captures on demand, and their summary.

The lock is written by a child process, so that nothing of what that needs is loaded here. It finds
the journal by the process that started it.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import Any, Dict, List, Optional, Tuple

from . import atwork, packages, platforms
from .runners import Answer

_PRINTABLE = re.compile(r"[^\x20-\x7e\n\u00a0-\ud7ff\ue000-\ufffd]")
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
        journal.guard("journal", session.data.apart, journal.look_after_second)
        for where, action in (
            ("outputs", session.outputs.flush),
            ("packages", session.packages.again),
            ("machine", session.tell_machine),
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
            lost=session.journal.unwritten,
            threads=session.journal.guard("threads", atwork.threads),
            tasks=session.journal.guard("tasks", atwork.tasks),
            processes=session.journal.guard("processes", atwork.processes),
        )

    # -- capture ------------------------------------------------------------------------------

    def capture(self, arguments: List[str]) -> Optional[Dict[str, Any]]:
        """Write the lock and show the summary; return the result as ``--json`` has it."""
        arguments = self._session.metrics.asked_for(arguments)
        self.snapshot()
        if self._session.journal.unwritten and "--journal" not in " ".join(arguments):
            sys.stderr.write(self._no_room())
            return None
        done = self._run(["capture", "--json", "--display", *arguments])
        try:
            result = json.loads(done.stdout.decode("utf-8", "replace"))
        except ValueError:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            self._say_what_went_wrong(said or "reprolock gave no answer")
            return None
        if "display" in result:
            self.shell.display_pub.publish(data=result.pop("display"), metadata={})
        else:
            self._say_what_went_wrong(_errors(result))
        return dict(result)

    def _run(self, arguments: List[str]) -> Any:
        try:
            return subprocess.run(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
            )
        finally:
            self._session.data.pass_over()

    def _no_room(self) -> str:
        journal = self._session.journal
        return (
            "reprolock: {} events wait for room on the disk of {}\n"
            "hint: make room and capture again, or keep the journal elsewhere: "
            "`%reprolock journal DIR`, then `%reprolock capture --journal DIR`\n"
        ).format(journal.unwritten, journal.path)

    def _say_what_went_wrong(self, said: str) -> None:
        sys.stderr.write(_PRINTABLE.sub("?", said) + "\n")

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
            if self._session.journal.unwritten:
                sys.stderr.write(self._no_room())

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
            "  metrics   {}".format(", ".join(_metrics(counts["metric"])) or "none named"),
            "  journal   {}".format(self._session.journal.path),
        ]
        if self._session.journal.unwritten:
            troubles.append("{} events wait for room".format(self._session.journal.unwritten))
        return "\n".join(lines + ["  trouble   {}".format(one) for one in troubles])

    def _counted(self) -> Tuple[Dict[str, Any], List[str]]:
        counts: Dict[str, Any] = {
            key: set() for key in ("cell", "history", "file", "seed", "unseeded")
        }
        counts["metric"] = {}
        troubles = []
        with io.open(self._session.journal.path, encoding="ascii", errors="replace") as file:
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
                    name = str(event.get("name"))
                    counts["metric"][name] = counts["metric"].get(name, 0) + 1
                elif kind == "trouble":
                    troubles.append("{}: {}".format(event.get("where"), event.get("message")))
        return counts, troubles

    def also_to(self, folder: str) -> str:
        """Keep a second journal in *folder* from now on; return what to tell the user."""
        path = os.path.join(os.path.abspath(os.path.expanduser(folder)), _name(self._session))
        data = self._session.data
        data.not_ours(path)
        try:
            data.unseen(os.makedirs, os.path.dirname(path), 0o700, True)
            data.unseen(self._session.journal.also_to, path)
            self._session.journal.write("second", path=path)
        except OSError as exc:
            return "reprolock: no journal can be kept there: {}".format(exc)
        return "reprolock: a second journal is kept in {}".format(path)


def _metrics(counts: Dict[str, int]) -> List[str]:
    """Of a metric that was named more than once, the last value is the one that is locked."""
    return [
        name if count == 1 else "{} (the last of {} values)".format(name, count)
        for name, count in sorted(counts.items())
    ]


def _name(session: Any) -> str:
    return str(os.path.basename(session.journal.path))


def kernel_id(shell: Any) -> Optional[str]:
    """Return the id that the server knows this kernel by: it is in its connection file's name."""
    app = getattr(getattr(shell, "kernel", None), "parent", None)
    name = os.path.basename(str(getattr(app, "connection_file", "")))
    found = re.match(r"kernel-(?:v\d+-)?(.+)\.json$", name)
    return found.group(1) if found else None


def _errors(result: Dict[str, Any]) -> str:
    """Return what a capture that wrote no lock says, as the command says it."""
    lines = []
    for one in result.get("findings") or [{"message": "reprolock gave no reason"}]:
        lines.append("error: {}".format(one.get("message")))
        if one.get("hint"):
            lines.append("hint: {}".format(one["hint"]))
    return "\n".join(lines)


def _asks_for_capture(command: str) -> bool:
    return "reprolock" in command and bool(re.search(r"\bcapture\b", command))
