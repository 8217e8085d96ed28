"""``%reprolock ...``: the same lines in a living kernel and in a run that is recorded from outside.

    %reprolock capture [OPTIONS]           write the lock; the options of ``reprolock capture``
    %reprolock status                      what has been seen so far
    %reprolock metric NAME EXPRESSION      record the value of a Python expression
    %reprolock mark checkpoint|model PATH  say what a file is
    %reprolock journal DIR                 keep a second journal in DIR, such as a mounted drive

A run that is recorded from outside writes its lock at the end; there ``capture`` is marked only,
and nothing is printed.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any, Callable, Dict, List

NAME = "reprolock"
_KINDS = ("checkpoint", "model")
_NO_EXPANSION = "_ipython_magic_no_var_expand"  # IPython.core.magic.MAGIC_NO_VAR_EXPAND_ATTR


class Magic:
    """*session* is the running one; *live* what a living kernel adds, None elsewhere."""

    def __init__(self, session: Any, shell: Any, live: Any) -> None:
        self._session = session
        self._shell = shell
        self._live = live
        self._verbs: Dict[str, Callable[[str], None]] = {
            "capture": self._capture,
            "status": self._status,
            "metric": self._metric,
            "mark": self._mark,
            "journal": self._journal,
        }

    def register(self) -> None:
        def reprolock(line: str) -> None:
            __tracebackhide__ = True
            try:
                self.run(line)
            except Exception as exc:
                self._session.journal.trouble("magic", exc)
            except KeyboardInterrupt as exc:  # At once: what follows the line must not run.
                raise exc.with_traceback(None) from None

        reprolock.__doc__ = __doc__
        setattr(reprolock, _NO_EXPANSION, True)
        self._shell.register_magic_function(reprolock, "line", NAME)

    def unregister(self) -> None:
        magics = self._shell.magics_manager.magics["line"]
        if getattr(magics.get(NAME), "__module__", None) == __name__:
            del magics[NAME]

    def run(self, line: str) -> None:
        verb, _, rest = line.strip().partition(" ")
        self._session.mark("magic", {"line": line.strip()[:1000]})
        action = self._verbs.get(verb)
        if action is None:
            self._say(_usage(verb))
        else:
            action(rest.strip())

    def _say(self, text: str) -> None:
        """Print in a living kernel; a run that is recorded from outside stays as it is."""
        if self._live is not None:
            sys.stdout.write(text + "\n")

    def _capture(self, rest: str) -> None:
        if self._live is not None:
            self._session.mark("capture", {})
            self._live.capture(_words(self._expanded(rest)))
        else:
            self._session.metrics.asked_for(_words(rest))

    def _status(self, _rest: str) -> None:
        if self._live is not None:
            self._say(self._live.status())

    def _metric(self, rest: str) -> None:
        name, _, expression = rest.partition(" ")
        if not expression.strip():
            self._say("wanted: %reprolock metric NAME EXPRESSION, as in: metric auc roc_auc")
            return
        problem = self._session.metrics.now(name, expression.strip())
        if problem is not None:
            self._say("reprolock: the metric {} has no value: {}".format(name, problem))

    def _mark(self, rest: str) -> None:
        kind, _, path = self._expanded(rest).partition(" ")
        path = path.strip().strip("\"'")
        if kind not in _KINDS or not path:
            self._say("wanted: %reprolock mark checkpoint PATH, or mark model PATH")
            return
        self._session.mark(kind, {"path": os.path.abspath(path)})

    def _journal(self, rest: str) -> None:
        folder = self._expanded(rest).strip().strip("\"'")
        if not folder:
            self._say("wanted: %reprolock journal DIR, a folder that outlives this machine")
        elif self._live is not None:
            self._say(self._live.also_to(folder))

    def _expanded(self, text: str) -> str:
        """Put in the values of ``{name}`` and ``$name``, as IPython does for its own magics."""
        try:
            return str(self._shell.var_expand(text, depth=0))
        except Exception:
            return text


def _words(text: str) -> List[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _usage(verb: str) -> str:
    lines = (__doc__ or "").partition("\n\n")[2].partition("\n\n")[0]
    found = "wanted one of these, found {!r}:\n".format(verb) if verb not in ("", "help") else ""
    return found + "\n".join(line[4:] for line in lines.splitlines())
