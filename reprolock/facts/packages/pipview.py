"""What pip itself says of an environment, as a second witness."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprolock.finding import Finding, note
from reprolock.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# pip_api asks for pip's version when it is imported, so it lives in a process of its own.
_ASK = """
import json, pip_api
found = pip_api.installed_distributions()
print(json.dumps({name: str(dist.version) for name, dist in found.items()}))
"""
_SECONDS = 60


def pip_view(python: Path) -> dict[str, str] | None:
    """Return name (normalised) and version of what pip of the interpreter *python* lists.

    None where that interpreter has no pip, or pip gives no answer within a minute. The answer
    comes through pip_api, run by the interpreter that runs reprolock.
    """
    env = {**os.environ, "PIPAPI_PYTHON_LOCATION": str(python.absolute()), "PYTHONSAFEPATH": "1"}
    env.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as empty:
        done = run([sys.executable, "-c", _ASK], env=env, cwd=Path(empty), timeout=_SECONDS)
    if not done.ok:
        return None
    try:
        found = json.loads(done.out)
    except ValueError:
        return None
    return {canonicalize_name(name): version for name, version in found.items()}


def compare_pip_view(
    view: Mapping[str, str] | None, distributions: Sequence[Mapping[str, Any]]
) -> tuple[Finding, ...]:
    """Return a note where *view* and the journal's *distributions* disagree; none without a view.

    What pip leaves out is no difference: the notebook's own search path may be longer.
    """
    if view is None:
        return ()
    ours: dict[str, str] = {}
    for entry in distributions:
        if entry.get("name") and entry.get("version"):
            ours.setdefault(canonicalize_name(str(entry["name"])), str(entry["version"]))
    found = []
    for name, version in sorted(view.items()):
        if not _same(ours.get(name), version):
            seen = ours.get(name, "not there")
            found.append(
                note(
                    "packages.pip-disagrees",
                    f"pip lists {name} {version}, and to the notebook it is {seen}",
                    subject=name,
                    expected=version,
                    observed=ours.get(name),
                )
            )
    return tuple(found)


def _same(one: str | None, other: str) -> bool:
    try:
        return one is not None and Version(one) == Version(other)
    except InvalidVersion:
        return one == other
