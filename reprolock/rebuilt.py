"""``rebuild`` as a command: a lock becomes an environment, or an answer why not."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from reprolock import captured
from reprolock.errors import RebuildError
from reprolock.export import unpack
from reprolock.facts import interpreter, packages
from reprolock.finding import error
from reprolock.rebuild import How, as_json, rebuild
from reprolock.result import Result, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from reprolock.export.unpack import Bundle
    from reprolock.run import Say


def from_lock(path: Path, say: Say, how: How) -> Result:
    """Rebuild the environment of the lock at *path*, or of that in a bundle, without an index then.

    Raises LockError where the lock cannot be read or its digest does not hold. An environment that
    cannot be made gives the verdict COULD_NOT_REBUILD.
    """
    with unpack.lock_path(path) as source:
        return _rebuilt(path, source, say, how)


def _rebuilt(path: Path, source: Bundle, say: Say, how: How) -> Result:
    begun = time.monotonic()
    locked = source.read()
    locked.require_intact(path)
    about = {"path": str(path), "sha256": locked.sha256}
    try:
        made = rebuild(
            locked.record[packages.Packages],
            locked.record[interpreter.Interpreter],
            replace(
                how,
                offline=how.offline or source.is_whole,
                at_hand=source.packages,
                builds=None if captured.is_ours(locked) else how.builds,
            ),
            say,
        )
    except RebuildError as exc:
        verdict = Verdict.COULD_NOT_REBUILD
        failed = error(
            "rebuild.failed",
            "; ".join([exc.message, *exc.causes]),
            subject=str(path),
            hint=exc.hint,
        )
        return Result(
            "rebuild",
            verdict.exit_code,
            time.monotonic() - begun,
            verdict,
            about,
            findings=(failed,),
        )
    environment = as_json(made)
    return Result(
        "rebuild",
        0,
        time.monotonic() - begun,
        lock=about,
        findings=made.findings,
        environment=environment,
    )
