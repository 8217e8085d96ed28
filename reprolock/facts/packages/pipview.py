"""What pip itself says of an environment, as a second witness."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprolock.digest import sha256_json
from reprolock.facts import memo
from reprolock.finding import Finding, note
from reprolock.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# pip_api asks for pip's version when it is imported, so it lives in a process of its own.
_ASK = """
import json, pip_api
found = pip_api.installed_distributions()
print(json.dumps({name: str(dist.version) for name, dist in found.items()}))
"""
_SECONDS = 60


def pip_view(python: Path, kept: Path | None = None) -> dict[str, str] | None:
    """Return name (normalised) and version of what pip of the interpreter *python* lists.

    None where that interpreter has no pip, or pip gives no answer within a minute. The answer
    comes through pip_api, run by the interpreter that runs reprolock. *kept*: the folder of
    ``keep_pip_view``, whose answer holds while nothing was installed or taken away.
    """
    answer = None if kept is None else memo.load(_place(kept, python))
    if isinstance(answer, dict) and answer.get("roots") == _state(answer.get("roots") or ()):
        return {str(name): str(version) for name, version in answer["view"].items()}
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


def keep_pip_view(
    python: Path,
    view: Mapping[str, str] | None,
    distributions: Sequence[Mapping[str, Any]],
    kept: Path,
) -> None:
    """Keep *view* in the folder *kept* with the state of the folders that hold *distributions*."""
    roots = {str(entry["root"]) for entry in distributions if entry.get("root")}
    if view is not None and roots:
        memo.keep(_place(kept, python), {"roots": _state(roots), "view": dict(view)})


def _place(kept: Path, python: Path) -> Path:
    return kept / f"{sha256_json([str(python.absolute()), sys.executable])}.json"


def _state(roots: Iterable[str]) -> dict[str, int]:
    """Installing and taking away change the time at which a folder's entries changed, in ns."""
    found = {}
    for root in sorted(roots):
        with contextlib.suppress(OSError):
            found[root] = Path(root).stat().st_mtime_ns
    return found


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
