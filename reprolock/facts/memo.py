"""Small JSON values kept on disk to save time. Losing one costs time and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def load(path: Path) -> Any:
    """Return the value kept at *path*, None where there is none or it is damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def keep(path: Path, value: Any) -> None:
    """Keep *value* at *path*, by a rename, without waiting for the disk. Never raises OSError."""
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file, sort_keys=True)
        Path(name).replace(path)
    except OSError:
        if name is not None:
            with contextlib.suppress(OSError):
                Path(name).unlink()
