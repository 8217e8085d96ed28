"""The one place that runs other programs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Completed:
    """*code* is the exit status, -1 where the program could not be run or ran out of time."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = 600,
) -> Completed:
    """Run *command* without a shell, *timeout* seconds at most. Never raises OSError."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=dict(env) if env is not None else None,
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Completed(-1, "", f"no answer within {timeout:g} seconds")
    except OSError as exc:
        return Completed(-1, "", str(exc))
    return Completed(done.returncode, done.stdout, done.stderr)
