"""A living kernel with ``%load_ext reprolock`` against the same session without it."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.kernels import kernel

if TYPE_CHECKING:
    from pathlib import Path

CELLS = 60
EMPTY = 200
DISTRIBUTIONS = 700
FILES = 12  # of each invented distribution
DATA_MIB = 1024

_FIRST = """\
import numpy as np
from sklearn.ensemble import RandomForestClassifier
draw = np.random.default_rng(0)
x = draw.normal(size=(1500, 20))
y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(int)"""
_TRAIN = """\
model_{n} = RandomForestClassifier(n_estimators=40, random_state={n}).fit(x[:1000], y[:1000])
print('accuracy {n}:', model_{n}.score(x[1000:], y[1000:]))"""


@dataclass(frozen=True)
class Session:
    """Seconds of the training cells and of one empty cell, and the kernel's peak in MiB."""

    training: float
    empty: float
    kernel_mib: float


def sessions(python: Path, work: Path, repeats: int) -> tuple[Session, Session]:
    """Return the quickest of *repeats* sessions without and with the extension, run in turns."""
    plain, ours = [], []
    for number in range(repeats):
        plain.append(_session(python, work / f"plain-{number}", extension=False))
        ours.append(_session(python, work / f"ours-{number}", extension=True))
    return _best(plain), _best(ours)


def _best(found: list[Session]) -> Session:
    return Session(
        min(one.training for one in found),
        min(one.empty for one in found),
        min(one.kernel_mib for one in found),
    )


def _session(python: Path, folder: Path, *, extension: bool) -> Session:
    folder.mkdir(parents=True)
    environ = {"REPROLOCK_CACHE": str(folder.parent / "cache")}
    with kernel(python, folder, **environ) as running:
        running.run("pass")
        began = time.perf_counter()
        if extension:
            _run(running, "%load_ext reprolock")
        _run(running, _FIRST)
        for number in range(CELLS - 1):
            _run(running, _TRAIN.format(n=number))
        training = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(EMPTY):
            _run(running, "pass")
        empty = (time.perf_counter() - began) / EMPTY
        peak = int(_run(running, _PEAK).strip())
    return Session(training, empty, peak / 1024)


_PEAK = """\
print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"""


def _run(running: Any, code: str) -> str:
    reply = running.run(code)
    if reply.status != "ok":
        raise RuntimeError(f"{code}: {reply.error}")
    return str(reply.text)


def import_seconds(python: Path, work: Path) -> float:
    """Return how long ``import reprolock`` takes in a kernel that has not loaded it."""
    code = (
        "import time; began = time.perf_counter(); import reprolock; "
        "print(time.perf_counter() - began)"
    )
    folder = work / "import"
    folder.mkdir()
    with kernel(python, folder) as running:
        return float(_run(running, code))


def capture_seconds(python: Path, work: Path) -> float:
    """Return how long the second ``%reprolock capture`` takes, with many distributions and data.

    The distributions are invented, and no index is asked; the first capture hashes the data.
    """
    folder = work / "large"
    invented = folder / "site-packages"
    invented.mkdir(parents=True)
    for number in range(DISTRIBUTIONS):
        _invent(invented, number)
    data = folder / "data.bin"
    with data.open("wb") as file:
        for _ in range(DATA_MIB):
            file.write(os.urandom(1 << 20))
    with kernel(python, folder, REPROLOCK_CACHE=str(work / "cache")) as running:
        _run(running, f"import sys; sys.path.append({str(invented)!r})")
        _run(running, "%load_ext reprolock")
        _run(running, "size = len(open('data.bin', 'rb').read())")
        _run(running, "%reprolock capture --offline")
        began = time.perf_counter()
        _run(running, "%reprolock capture --offline")
        return time.perf_counter() - began


def _invent(folder: Path, number: int) -> None:
    """Make a distribution as an installer leaves it: modules, METADATA and a RECORD of them."""
    name = f"invented_{number:04}"
    package, info = folder / name, folder / f"{name}-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    rows = []
    for part in range(FILES):
        path = package / f"part_{part}.py"
        content = f"value = {number * part}\n".encode() * 100
        path.write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name}/{path.name},sha256={digest},{len(content)}")
    metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata)
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (info / "INSTALLER").write_text("pip\n")
    rows += [f"{info.name}/{one},," for one in ("METADATA", "WHEEL", "INSTALLER", "RECORD")]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
