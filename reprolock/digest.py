"""SHA-256 of bytes, files and of JSON values in a canonical form."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Return the lower-case hexadecimal SHA-256 of *data*."""
    return hashlib.sha256(data).hexdigest()


def sha256_text(text: str) -> str:
    return sha256_bytes(text.encode("utf-8", "surrogatepass"))


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of the file at *path*, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def canonical(value: Any) -> bytes:
    """Return *value* as canonical JSON: keys sorted, no spaces, ASCII.

    Floats that JSON cannot hold become the strings ``NaN``, ``Infinity`` and ``-Infinity``.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_json(value: Any) -> str:
    return sha256_bytes(canonical(value))


def plain(value: Any) -> Any:
    """Return *value* with what JSON cannot hold as text: dates, NaN and infinities."""
    if type(value) is str or type(value) is int:  # most of what there is: the quick way out
        return value
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value
