"""Answers for ``reprolock`` in the notebook while a run is recorded.

``import reprolock``, ``%load_ext reprolock``, ``%reprolock ...``, ``!reprolock ...`` and
``x = !reprolock ...`` work where reprolock is not installed. Where it is, the real module is
used, and only ``!reprolock capture`` is answered here: it would record the run a second time.

The functions of IPython that run expanded commands are replaced, rather than those of the shell
object: a wrapper there would add a frame, and ``!echo {name}`` looks its names up by counting
frames.
"""

from __future__ import annotations

import functools
import shutil
import sys
from typing import Any, Callable, Dict, List, Tuple

from .imports import Serving

NAME = "reprolock"
ANSWER = "reprolock: recorded by the run that is going on"
_RUNNERS: Dict[str, Tuple[str, ...]] = {
    "ipykernel.zmqshell": ("system",),
    "IPython.core.interactiveshell": ("system", "getoutput", "get_output_error_code"),
}


class StandIn:
    """*package* is the name under which the recorder is loaded."""

    def __init__(self, package: str, shell: Any) -> None:
        self._package = package
        self._shell = shell
        self._finder = Serving(NAME, self._fill)
        self._replaced: List[Tuple[Any, str, Any]] = []

    def open(self) -> None:
        self._finder.open()
        answers: Dict[str, Callable[[], Any]] = {
            "system": _say,
            "getoutput": lambda: ANSWER,
            "get_output_error_code": lambda: (ANSWER, "", 0),
        }
        for module_name, names in _RUNNERS.items():
            module = sys.modules.get(module_name)
            for name in names:
                original = getattr(module, name, None)
                if original is not None:
                    self._replaced.append((module, name, original))
                    setattr(module, name, _answering(original, answers[name]))

    def close(self) -> None:
        self._finder.close()
        self._unload(self._shell)
        for module, name, original in reversed(self._replaced):
            setattr(module, name, original)
        self._replaced = []

    def _fill(self, module: Any) -> None:
        recorder = sys.modules[self._package]
        module.__doc__ = "Stands in for reprolock while a run is recorded."
        module.metric = recorder.metric
        module.capture = lambda *_args, **_options: recorder.mark("capture")
        module.checkpoint = lambda path, **_options: recorder.mark("checkpoint", path=str(path))
        module.model = lambda one=None, **_options: recorder.mark("model", type=_type_name(one))
        module.load_ipython_extension = self._load
        module.unload_ipython_extension = self._unload

    def _load(self, shell: Any) -> None:
        recorder = sys.modules[self._package]

        def magic(line: str) -> None:
            recorder.mark("magic", line=line)

        shell.register_magic_function(magic, "line", NAME)

    def _unload(self, shell: Any) -> None:
        magics = shell.magics_manager.magics["line"]
        if getattr(magics.get(NAME), "__module__", None) == __name__:
            del magics[NAME]


def _say() -> int:
    sys.stdout.write(ANSWER + "\n")
    sys.stdout.flush()
    return 0


def _answering(original: Callable[..., Any], answer: Callable[[], Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def run(command: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return answer() if _is_ours(command) else original(command, *args, **kwargs)

    return run


def _is_ours(command: Any) -> bool:
    words = command.split() if isinstance(command, str) else []
    if not words or words[0] != NAME:
        return False
    return words[1:2] == ["capture"] or shutil.which(NAME) is None


def _type_name(value: Any) -> str:
    return "{}.{}".format(type(value).__module__, type(value).__qualname__)
