"""A statement that tells what an interpreter and its packages are, run in that interpreter."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent.parent / "recorder"

_PROGRAM = """
import json, sys
sys.path[:] = [entry for entry in sys.path if entry]
sys.dont_write_bytecode = True
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location(
    "_reprolock_probe", {folder!r} + "/__init__.py", submodule_search_locations=[{folder!r}]
)
module = module_from_spec(spec)
sys.modules["_reprolock_probe"] = module
spec.loader.exec_module(module)
from _reprolock_probe import hardware, interpreter, packages, system
facts = dict()
for one in (interpreter, packages, system, hardware):
    try:
        facts[one.__name__.rpartition(".")[2]] = one.collect()
    except Exception as problem:
        facts.setdefault("troubles", []).append(repr(problem))
print(json.dumps(facts, default=repr))
"""


def probe_code() -> str:
    """Return a program that prints one JSON object: a table for each family of the recorder."""
    return _PROGRAM.format(folder=str(_FOLDER))
