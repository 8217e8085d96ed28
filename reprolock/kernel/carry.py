"""The two statements that start and finish the recorder in a kernel."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reprolock.files import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "_reprolock_recorder"
_FOLDER = Path(__file__).resolve().parent.parent / "recorder"

# Runs in the kernel, in a namespace of its own. It has to compile on every Python 3, so that
# one that is too old is told in the journal.
_PROGRAM = """
import sys

def load():
    if sys.version_info < (3, 8):
        found = "%d.%d" % sys.version_info[:2]
        raise RuntimeError("the recorder needs Python 3.8 or newer; found " + found)
    from importlib.util import module_from_spec, spec_from_file_location
    kept = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        spec = spec_from_file_location(
            name, folder + "/__init__.py", submodule_search_locations=[folder]
        )
        module = module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = kept
    return module

try:
    recorder = sys.modules.get(name)
    if recorder is None:
        recorder = load()
    recorder.start(config)
except Exception as failure:
    import json
    told = "%s: %s" % (type(failure).__name__, failure)
    with open(journal, "a") as file:
        file.write(json.dumps({"event": "trouble", "where": "start", "message": told}) + "\\n")
"""


@dataclass(frozen=True)
class MetricRequest:
    """*expression* is Python, evaluated in the notebook's namespace after the cell with the
    ordinal *after* (cells that ran, from 0), or at the finish where *after* is None.
    """

    name: str
    expression: str
    after: int | None = None


@dataclass(frozen=True)
class RecorderConfig:
    """*journal* is the file that the recorder appends to; *folder* the notebook's folder.

    *replay*: the run repeats a recorded one elsewhere, so that installs and the modules of a
    platform are answered; *maps*: folder of the recorded run -> folder here; *secrets*: name that
    the notebook asks for -> environment variable that holds it; *stand_ins*: the platforms whose
    modules are stood in for; *uploads*: for each call that uploaded, its files as ``name`` and
    ``path``; *rewrite*: the *maps* are not bound, and are rewritten in the source; *command*: what
    starts reprolock, where the kernel lives already and asks for its captures itself; *answers*:
    for each command of the recorded run of which all is here, its exit status.
    """

    journal: Path
    folder: Path
    metrics: tuple[MetricRequest, ...] = ()
    replay: bool = False
    maps: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    stand_ins: tuple[str, ...] = ()
    uploads: tuple[tuple[Mapping[str, str], ...], ...] = ()
    rewrite: bool = False
    command: tuple[str, ...] | None = None
    answers: Mapping[str, int] = field(default_factory=dict)

    @property
    def _copies_of_uploads(self) -> set[str]:
        return {str(Path(file["path"]).parent) for call in self.uploads for file in call}

    def to_json(self) -> str:
        return json.dumps(
            {
                "journal": str(self.journal.absolute()),
                "folder": str(self.folder.absolute()),
                "metrics": [dict(vars(request)) for request in self.metrics],
                "replay": self.replay,
                "maps": dict(self.maps),
                "secrets": dict(self.secrets),
                "stand_ins": self.stand_ins,
                "uploads": self.uploads,
                "rewrite": self.rewrite,
                "command": self.command,
                "private": [str(cache_dir().absolute()), *self._copies_of_uploads],
                "answers": dict(self.answers),
            }
        )


def start_code(config: RecorderConfig) -> str:
    """Return one statement that starts the recorder in the kernel that runs it.

    It binds no name there and raises nothing: a failure is a ``trouble`` event in the journal.
    """
    names = {
        "name": _NAME,
        "folder": str(_FOLDER),
        "journal": str(config.journal.absolute()),
        "config": config.to_json(),
    }
    return f"exec({_PROGRAM!r}, {names!r})"


def finish_code() -> str:
    """Return one statement that finishes the recorder; where there is none it does nothing."""
    return f'getattr(__import__("sys").modules.get({_NAME!r}), "finish", int)()'
