"""Real kernels for the tests, and a run of cells with the recorder in."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from reprolock.kernel import (
    MetricRequest,
    RecorderConfig,
    finish_code,
    read_journal,
    start_code,
)
from tests.real import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECONDS = 60
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def own_python() -> Path:
    """Return the interpreter that runs the tests; it has ipykernel."""
    return Path(sys.executable)


def older_python() -> Path:
    """Return a Python 3.8 or 3.9 with ipykernel and numpy; skips where there is none."""
    for version in ("3.8", "3.9"):
        with contextlib.suppress(pytest.skip.Exception):
            return environment(version, ("ipykernel", "numpy"))
    pytest.skip("this machine has neither Python 3.8 nor 3.9, or no package index")


def science_python() -> Path:
    """Return an interpreter of the running version with ipykernel, numpy and pandas."""
    return environment(RUNNING, ("ipykernel", "numpy", "pandas"))


def kernelspec(folder: Path, name: str, python: Path) -> Path:
    """Make a kernel called *name* that runs in *python*; return the folder for JUPYTER_PATH."""
    place = folder / "kernels" / name
    place.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": name, "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return folder


@dataclass
class Reply:
    status: str
    execution_count: int | None
    text: str
    error: str | None = None


class Kernel:
    """A running kernel. ``run`` executes a cell and waits for its end."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, *, silent: bool = False) -> Reply:
        parts: list[str] = []

        def output(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                parts.append(content["text"].replace("\r\n", "\n"))
            elif message["msg_type"] in ("execute_result", "display_data"):
                parts.append(content["data"].get("text/plain", ""))

        answer = self.client.execute_interactive(
            code,
            silent=silent,
            store_history=not silent,
            allow_stdin=False,
            output_hook=output,
            timeout=SECONDS,
        )["content"]
        return Reply(
            answer["status"], answer.get("execution_count"), "".join(parts), answer.get("ename")
        )

    def run_until_death(self, code: str) -> None:
        self.client.execute(code)
        until = time.monotonic() + SECONDS
        while self.manager.is_alive():
            assert time.monotonic() < until, "the kernel lives on"
            time.sleep(0.05)


@contextmanager
def kernel(python: Path, folder: Path, **environ: str) -> Iterator[Kernel]:
    """Run a kernel of *python* in *folder*."""
    manager = KernelManager()
    manager._kernel_spec = KernelSpec(
        argv=[str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        language="python",
        display_name="test",
    )
    profile = folder.parent / f"{folder.name}.ipython"
    variables = {**os.environ, "IPYTHONDIR": str(profile), **environ}
    variables.pop("PYTHONPATH", None)
    manager.start_kernel(cwd=str(folder), env=variables)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@dataclass
class Recording:
    events: list[dict[str, Any]]
    problems: list[str]
    replies: list[Reply] = field(default_factory=list)

    def of(self, event: str, **facts: Any) -> list[dict[str, Any]]:
        """Return the events of that name in which all *facts* stand."""
        return [
            one
            for one in self.events
            if one["event"] == event and all(one.get(key) == facts[key] for key in facts)
        ]

    def one(self, event: str, **facts: Any) -> dict[str, Any]:
        found = self.of(event, **facts)
        assert len(found) == 1, (event, facts, found, self.of(event))
        return found[0]

    def files(self, n: int | None) -> list[tuple[str, str]]:
        """Return (op, name) of the files of cell *n*."""
        return [(one["op"], Path(one["path"]).name) for one in self.of("file", n=n)]


def config(folder: Path, *metrics: MetricRequest) -> RecorderConfig:
    """Return the settings of a new recording of a notebook in *folder*."""
    journal = folder.parent / f"{folder.name}.journal"
    journal.unlink(missing_ok=True)
    return RecorderConfig(journal, folder, metrics)


def record(
    python: Path,
    folder: Path,
    cells: Sequence[str],
    *metrics: MetricRequest,
    **environ: str,
) -> Recording:
    """Run *cells* in a kernel of *python* in *folder*, recorded from start to finish."""
    settings = config(folder, *metrics)
    with kernel(python, folder, **environ) as running:
        assert running.run(start_code(settings), silent=True).status == "ok"
        replies = [running.run(cell) for cell in cells]
        assert running.run(finish_code(), silent=True).status == "ok"
    events, problems = read_journal(settings.journal)
    return Recording(events, problems, replies)
