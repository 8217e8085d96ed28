"""Measure reprolock against plain execution: ``python -m benchmarks.run [--json FILE] [--check]``.

Each figure is a ratio or a difference of two runs made here, in turns, in one session: the
seconds alone say more of the machine than of reprolock. Of repeated runs the quickest counts,
since everything else on the machine can only slow one down.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import living
from benchmarks.locks import time_lock
from tests import notebooks
from tests.conftest import RUNNING, demo_requirements, surroundings
from tests.real import environment
from tests.servers import kernel_python

if TYPE_CHECKING:
    from nbformat import NotebookNode

LONG = 10.0
KERNEL = "3.11-ipykernel6"
JUPYTER_EXECUTE = Path(sys.executable).with_name("jupyter-execute")
REPROLOCK = (sys.executable, "-m", "reprolock")

TRAINING = """\
import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
draw = np.random.default_rng(0)
x = draw.normal(size=(2000, 20))
y = (x[:, 0] * x[:, 1] + x[:, 2] + draw.normal(size=2000) * 0.3 > 0).astype(int)
model = GradientBoostingClassifier(n_estimators={trees}, random_state=0).fit(x[:1500], y[:1500])"""
SCORE = "print(f'accuracy: {model.score(x[1500:], y[1500:]):.4f}')"


@dataclass(frozen=True)
class Row:
    """*plain* and *ours* in *unit*, judged by *figure*, which must not pass *limit*."""

    name: str
    plain: float | None
    ours: float
    unit: str
    figure: float
    limit: float
    kind: str

    @property
    def held(self) -> bool:
        return self.figure <= self.limit


@dataclass(frozen=True)
class Timed:
    """Wall time in s and the peak resident memory of the kernel in MiB, both of one process."""

    seconds: float
    kernel_mib: float


def main() -> int:
    options = _parser().parse_args()
    work = Path(tempfile.mkdtemp(prefix="reprolock-bench-"))
    try:
        rows = measure(work, trees=options.trees, repeats=options.repeats)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(report(rows), indent=2) + "\n", encoding="utf-8")
    return int(options.check and not all(row.held for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument(
        "--repeats", type=int, default=2, metavar="N", help="runs of each (default 2)"
    )
    parser.add_argument("--trees", type=int, default=500, metavar="N",
                        help="size of the long training (default 500)")  # fmt: skip
    return parser


def report(rows: list[Row]) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "rows": [{**asdict(row), "held": row.held} for row in rows],
    }


def table(rows: list[Row]) -> str:
    lines = [f"{'':38} {'plain':>9} {'reprolock':>10}  {'figure':>8}  {'target':>8}"]
    for row in rows:
        sign = {"ratio": "x", "more": f"{row.unit} +", "most": row.unit}[row.kind]
        plain = "" if row.plain is None else f"{row.plain:.3f}"
        lines.append(
            f"{row.name:38} {plain:>9} {row.ours:10.3f}  {row.figure:6.3f}{sign[:2]:>2}"
            f"  {row.limit:6.2f}{sign[:2]:>2}  {'held' if row.held else 'MISSED'}"
        )
    return "\n".join(lines)


def measure(work: Path, *, trees: int, repeats: int) -> list[Row]:
    training = notebooks.notebook(TRAINING.format(trees=trees), SCORE)
    short = notebooks.notebook("print('accuracy: 0.5')")
    rows = [*_runs(work, "long", training, repeats), *_runs(work, "short", short, repeats)]
    rows += _living(work / "living", repeats)
    rows.append(_help(repeats * 5))
    read, write = time_lock(work / "short" / "pylock.bench.toml", packages=200)
    rows.append(Row("read a lock of 200 packages", None, read, "s", read, 0.05, "most"))
    rows.append(Row("write a lock of 200 packages", None, write, "s", write, 0.5, "most"))
    return rows


def _runs(work: Path, name: str, notebook: NotebookNode, repeats: int) -> list[Row]:
    """Time plain execution, capture and the two kinds of verify of one notebook, in turns."""
    folder = work / name
    folder.mkdir()
    notebooks.write(notebook, folder / "bench.ipynb")
    python = environment(RUNNING, demo_requirements())
    env = surroundings(work / "cache", JUPYTER_PATH=str(_kernelspec(work, python)))
    lock = "pylock.bench.toml"
    capture = (*REPROLOCK, "capture", "bench.ipynb", "--python", str(python))
    current = ("--environment", str(python))
    commands = {
        "plain": (str(JUPYTER_EXECUTE), "--kernel_name=bench", "bench.ipynb"),
        "capture": capture,
        "verify, rebuilt before": (*REPROLOCK, "verify", lock),
        "verify, no rebuild": (*REPROLOCK, "verify", lock, *current),
    }
    _timed(capture, folder, env)
    _timed((*REPROLOCK, "rebuild", lock), folder, env)
    found: dict[str, list[Timed]] = {key: [] for key in commands}
    for _ in range(repeats):
        for key, command in commands.items():
            found[key].append(_timed(command, folder, env))
    best = {key: _best(runs) for key, runs in found.items()}
    plain = best.pop("plain")
    return [
        *(_against(f"{key}, {name}", plain, ours) for key, ours in best.items()),
        _ratio(f"kernel memory, {name}", plain.kernel_mib, best["capture"].kernel_mib, "MiB", 1.1),
    ]


def _living(work: Path, repeats: int) -> list[Row]:
    """Time sessions in a living kernel, without the extension and with it, in turns."""
    python = kernel_python(KERNEL, "numpy==2.2.6", "scikit-learn==1.7.2")
    work.mkdir()
    plain, ours = living.sessions(python, work, repeats)
    imported = living.import_seconds(python, work)
    captured = living.capture_seconds(python, work)
    return [
        _ratio(f"session of {living.CELLS} cells", plain.training, ours.training, "s", 1.025),
        Row("an empty cell", plain.empty, ours.empty, "s", ours.empty - plain.empty, 0.003, "more"),
        _ratio("kernel memory, session", plain.kernel_mib, ours.kernel_mib, "MiB", 1.1),
        Row("import reprolock, in a kernel", None, imported, "s", imported, 0.15, "most"),
        Row("%reprolock capture, 700 packages", None, captured, "s", captured, 10.0, "most"),
    ]


def _against(name: str, plain: Timed, ours: Timed) -> Row:
    """Compare wall times: a ratio where plain execution takes 10 s or more, else the difference."""
    if plain.seconds >= LONG:
        return _ratio(name, plain.seconds, ours.seconds, "s", 1.15)
    return Row(name, plain.seconds, ours.seconds, "s", ours.seconds - plain.seconds, 2.0, "more")


def _ratio(name: str, plain: float, ours: float, unit: str, limit: float) -> Row:
    return Row(name, plain, ours, unit, ours / plain, limit, "ratio")


def _help(repeats: int) -> Row:
    """Compare with an interpreter that does nothing; the target is ten times that."""
    plain = min(_wall((sys.executable, "-c", "pass")) for _ in range(repeats))
    ours = min(_wall((*REPROLOCK, "--help")) for _ in range(repeats))
    return _ratio("reprolock --help", plain, ours, "s", 10.0)


def _kernelspec(work: Path, python: Path) -> Path:
    """Make a kernel named ``bench`` that runs in *python*; return the folder for JUPYTER_PATH."""
    folder = work / "jupyter" / "kernels" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "bench", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return folder.parent.parent


def _wall(command: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _best(runs: list[Timed]) -> Timed:
    peaks = [r.kernel_mib for r in runs if not math.isnan(r.kernel_mib)]
    return Timed(min(r.seconds for r in runs), min(peaks, default=math.nan))


def _timed(command: tuple[str, ...], folder: Path, env: dict[str, str]) -> Timed:
    """Run *command*; raise RuntimeError with what it said where it fails."""
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        watch = KernelMemory(process.pid)
        code = process.wait()
        seconds = time.perf_counter() - began
        watch.stop()
        if code != 0:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: exit code {code}\n{said.read()}")
    # A rebuild runs no kernel; where one was wanted and not seen, no ratio of memory holds.
    return Timed(seconds, watch.peak_kib / 1024 if watch.peak_kib else math.nan)


class KernelMemory(threading.Thread):
    """Follows the peak resident memory of the ipykernel below process *root*, from ``/proc``.

    The kernel's own high-water mark (VmHWM of proc(5)) is read, so that looking five times a
    second misses at most what the last fifth of a second added.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.peak_kib = 0
        self._root = root
        self._kernel: int | None = None
        self._done = threading.Event()
        self.start()

    def stop(self) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        while not self._done.wait(0.2):
            if self._kernel is None:
                self._kernel = next(filter(_is_kernel, _descendants(self._root)), None)
            if self._kernel is not None:
                self.peak_kib = max(self.peak_kib, _high_water(self._kernel))


def _descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may hold anything; state and parent stand after it.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _is_kernel(pid: int) -> bool:
    with contextlib.suppress(OSError):
        # The launcher alone: a probe that merely imports ipykernel is no kernel.
        return b"ipykernel_launcher" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _high_water(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
