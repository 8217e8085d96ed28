"""Runs a notebook in a fresh kernel with the recorder inside. The only user of nbclient."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import notebooks, process
from reprolock.errors import KernelError, ReprolockError
from reprolock.kernel import finish_code, read_journal, start_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reprolock.kernel import RecorderConfig

    Progress = Callable[[int, int], None]

_SILENT_TIMEOUT = 120.0
_SLICE = 0.5  # seconds
DEFAULT_OUTPUT_LIMIT = 64 << 20


@dataclass(frozen=True)
class Kernel:
    """Which kernel runs the notebook: *argv* with ``{connection_file}``, as in a kernelspec;
    *prefix*: a command that prepares the process and becomes *argv*.
    """

    argv: tuple[str, ...]
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        return Path(self.argv[0])


@dataclass(frozen=True)
class Limits:
    """*timeout* in seconds for each cell, None for none; *output* in bytes for each cell."""

    timeout: float | None = None
    output: int = DEFAULT_OUTPUT_LIMIT


@dataclass(frozen=True)
class Failure:
    """Why a run ended early. *kind*: ``raised``, ``died``, ``timeout``, ``output`` or ``start``."""

    kind: str
    message: str
    cell: int | None = None
    hint: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Execution:
    """One run. *node* is the notebook with the outputs of this run; *order* the indexes of the
    cells that were started, in order; *raised* the exception's name by cell index; *events* and
    *problems* are the journal's.
    """

    node: Any
    order: tuple[int, ...]
    raised: Mapping[int, str]
    failure: Failure | None
    events: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]

    @property
    def cell_of(self) -> dict[int, int]:
        """Map the ordinal of a cell that ran to its index in the notebook."""
        return dict(enumerate(self.order))


def kernel_from_python(python: Path) -> Kernel:
    """Return the kernel of *python*. Raises KernelError where it has no ipykernel."""
    probe = process.run(
        [python, "-c", "import sys, ipykernel; print(sys.version_info[0])"], timeout=120
    )
    if not probe.ok:
        missing = "No module named 'ipykernel'" in probe.err
        raise KernelError(
            f"{python} cannot start a kernel",
            causes=((probe.err.strip().splitlines() or ["it gave no reason"])[-1],),
            hint=f"install ipykernel there: uv pip install --python {python} ipykernel"
            if missing
            else "give a Python interpreter with --python",
        )
    # absolute, not resolved: a virtual environment's python is a link that must keep its name
    argv = (str(python.absolute()), "-m", "ipykernel_launcher", "-f", "{connection_file}")
    return Kernel(argv, python.name)


def kernel_from_name(name: str) -> Kernel | None:
    """Return the kernelspec called *name*, None where there is none.

    Raises KernelError where its language is not Python.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec(name)
    except (NoSuchKernel, ValueError, OSError):
        return None
    if (spec.language or "python").lower() != "python":
        raise KernelError(
            f"the kernel {name!r} runs {spec.language}; reprolock records Python kernels",
            hint="choose another with --kernel or --python",
        )
    return Kernel(tuple(spec.argv), name, dict(spec.env or {}))


def execute(
    node: Any,
    kernel: Kernel,
    *,
    folder: Path,
    recorder: RecorderConfig,
    environment: Mapping[str, str],
    limits: Limits = Limits(),
    may_raise: frozenset[int] = frozenset(),
    progress: Progress | None = None,
    started: Callable[[list[dict[str, Any]]], None] | None = None,
) -> Execution:
    """Run the cells of *node* in order in a fresh kernel whose folder is *folder*.

    *environment* is the kernel's whole environment; cells in *may_raise* go on after an exception;
    *started* is called with the first events of the journal before the first cell runs.
    Raises KernelError where the kernel cannot be started; all that goes wrong later is a Failure.
    """
    run = _Run(node, kernel, folder, recorder, environment, limits, may_raise, progress, started)
    with _own_ipython():
        failure = asyncio.run(run.go())
    events, problems = read_journal(recorder.journal)
    return Execution(node, tuple(run.order), run.raised, failure, tuple(events), tuple(problems))


@contextlib.contextmanager
def _own_ipython() -> Iterator[None]:
    """Keep jupyter_client's warnings about event loops and paths away from people."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_HINTS = {
    "StdinNotImplementedError": "the notebook asks for input(); it cannot run unattended",
    "ModuleNotFoundError": "run it in the environment that has the module: "
    "capture with --python PATH or --kernel NAME",
}


def _interrupted() -> bool:
    """Say whether Ctrl-C came: nbclient takes the cancelling that it brings for a dead kernel.

    Before Python 3.11 ``asyncio.run`` raises KeyboardInterrupt itself, whatever is returned here.
    """
    task = asyncio.current_task()
    cancelling = getattr(task, "cancelling", None)
    return bool(cancelling and cancelling())


class _OutputTooLargeError(Exception):
    pass


@dataclass
class _Run:
    node: Any
    kernel: Kernel
    folder: Path
    recorder: RecorderConfig
    environment: Mapping[str, str]
    limits: Limits
    may_raise: frozenset[int]
    progress: Progress | None
    started: Callable[[list[dict[str, Any]]], None] | None
    order: list[int] = field(default_factory=list)
    raised: dict[int, str] = field(default_factory=dict)

    async def go(self) -> Failure | None:
        client = self._client()
        try:
            await self._start(client)
            return await self._cells(client)
        finally:
            with contextlib.suppress(Exception):
                await client._async_cleanup_kernel()  # noqa: SLF001  nbclient has no public name for it

    def _client(self) -> Any:
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient

        limit = self.limits.output

        class Client(NotebookClient):  # type: ignore[misc]
            """Counts what a cell puts out, and stops it at the limit."""

            spent = 0
            stopping: Any = None

            def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
                if msg["msg_type"] in ("stream", "display_data", "execute_result"):
                    self.spent += _size(msg["content"])
                    if self.spent > limit:
                        # nbclient looks at this task only when the cell ends, which may be never
                        self.stopping = asyncio.ensure_future(self.km.shutdown_kernel(now=True))
                        raise _OutputTooLargeError
                return super().process_message(msg, cell, cell_index)

        manager = AsyncKernelManager()
        manager._kernel_spec = KernelSpec(  # noqa: SLF001  the manager's only door for a spec of one's own
            argv=[*self.kernel.prefix, *self.kernel.argv],
            display_name=self.kernel.name,
            language="python",
            env=dict(self.kernel.environment),
        )
        return Client(
            self.node,
            km=manager,
            timeout=self.limits.timeout,
            allow_errors=False,
            interrupt_on_timeout=False,
            startup_timeout=120,
            ipython_hist_file=":memory:",
            skip_cells_with_tag="",
            record_timing=False,
            resources={"metadata": {"path": str(self.folder)}},
        )

    async def _start(self, client: Any) -> None:
        with tempfile.TemporaryFile() as said:
            try:
                await client.async_start_new_kernel(
                    env=dict(self.environment), cwd=str(self.folder), stdout=said, stderr=said
                )
                await client.async_start_new_kernel_client()
                _ask_again(client.kc.shell_channel)
                client.reset_execution_trackers()
                await _silent(client, start_code(self.recorder))
            except (RuntimeError, OSError, TimeoutError, asyncio.TimeoutError) as exc:
                raise KernelError(
                    f"the kernel {self.kernel.name!r} did not start",
                    causes=(
                        str(exc).splitlines()[0] if str(exc) else type(exc).__name__,
                        *_last_words(said),
                    ),
                    hint=f"try it by hand: {self.kernel.python} -m ipykernel_launcher",
                ) from exc
        if self.started:
            self.started(read_journal(self.recorder.journal)[0])

    async def _cells(self, client: Any) -> Failure | None:
        todo = [i for i, cell in enumerate(self.node.cells) if notebooks.is_code(cell)]
        for index in todo:
            self.node.cells[index].outputs = []
            self.node.cells[index].execution_count = None
        for count, index in enumerate(todo):
            if self.progress:
                self.progress(count, len(todo))
            if failure := await self._cell(client, index):
                if failure.kind == "raised":  # the kernel lives, and can still tell its facts
                    with contextlib.suppress(RuntimeError, TimeoutError, asyncio.TimeoutError):
                        await _silent(client, finish_code())
                return failure
        if self.progress:
            self.progress(len(todo), len(todo))
        try:
            await _silent(client, finish_code())
            client.set_widgets_metadata()
        except (RuntimeError, TimeoutError, asyncio.TimeoutError) as exc:
            return Failure(
                "died", f"the kernel died after the last cell: {exc}", todo[-1] if todo else None
            )
        return None

    async def _cell(self, client: Any, index: int) -> Failure | None:
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

        cell = self.node.cells[index]
        if not notebooks.runs(cell):
            return None
        self.order.append(index)
        client.spent = 0
        # The cell is let go on always: whether its exception ends the run is decided here.
        tags = list(cell.metadata.get("tags", ()))
        cell.metadata["tags"] = [*tags, notebooks.RAISES]
        try:
            await client.async_execute_cell(
                cell, index, execution_count=client.code_cells_executed + 1
            )
        except CellTimeoutError:
            return Failure(
                "timeout",
                f"cell {index} did not end within {self.limits.timeout:g} seconds",
                index,
                "raise the limit with --timeout SECONDS",
            )
        except (DeadKernelError, _OutputTooLargeError):
            if _interrupted():
                raise asyncio.CancelledError from None
            if client.stopping is None:
                return Failure(
                    "died",
                    f"the kernel died while cell {index} ran",
                    index,
                    "it was killed, ran out of memory or called os._exit",
                )
            return Failure(
                "output",
                f"cell {index} put out more than {self.limits.output >> 20} MiB",
                index,
                "raise the limit with --max-output MIB",
            )
        except CellExecutionError as exc:  # pragma: no cover  the tag above keeps it away
            return Failure("raised", f"cell {index} raised {exc.ename}: {exc.evalue}", index)
        finally:
            if tags:
                cell.metadata["tags"] = tags
            else:
                cell.metadata.pop("tags", None)
        return self._exception(index, cell)

    def _exception(self, index: int, cell: Any) -> Failure | None:
        raised = next((o for o in cell.outputs if o.output_type == "error"), None)
        if raised is None:
            return None
        self.raised[index] = raised.ename
        if index in self.may_raise:
            return None
        hint = _HINTS.get(
            raised.ename, "mend the cell, tag it raises-exception, or run with --allow-errors"
        )
        return Failure(
            "raised",
            f"cell {index} raised {raised.ename}: {raised.evalue}",
            index,
            hint,
            "\n".join(raised.traceback),
        )


def _ask_again(channel: Any) -> None:
    """Make the channel look for messages twice a second, whatever wakes it.

    nbclient sends the state of an Output widget on the socket on which it waits for the cell's
    reply. Where the reply comes at that moment its wake-up is lost, and the wait would never end.
    """
    get = channel.get_msg

    async def get_msg(timeout: float | None = None) -> Any:
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            left = _SLICE if deadline is None else max(0.0, min(_SLICE, deadline - loop.time()))
            try:
                return await get(timeout=left)
            except queue.Empty:
                if deadline is not None and loop.time() >= deadline:
                    raise

    channel.get_msg = get_msg


def _last_words(file: Any) -> tuple[str, ...]:
    """Return the last line that the kernel itself wrote before it gave up."""
    file.seek(0)
    lines = file.read()[-4096:].decode(errors="replace").strip().splitlines()
    return (lines[-1][:300],) if lines else ()


async def _silent(client: Any, code: str) -> None:
    """Run *code* in the kernel without a trace: no output, no counter, no history."""
    message = client.kc.execute(
        code, silent=True, store_history=False, allow_stdin=False, stop_on_error=False
    )
    deadline = asyncio.get_running_loop().time() + _SILENT_TIMEOUT
    while True:
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise RuntimeError("the kernel does not answer")
        if not await client.km.is_alive():
            raise RuntimeError("the kernel is dead")
        try:
            reply = await client.kc.get_shell_msg(timeout=min(left, 2.0))
        except queue.Empty:
            continue
        if reply["parent_header"].get("msg_id") == message:
            break
    if reply["content"].get("status") != "ok":
        raise RuntimeError(f"the recorder did not load: {reply['content'].get('evalue')}")


def _size(content: Mapping[str, Any]) -> int:
    if "text" in content:
        return len(content["text"])
    return sum(
        len(v) if isinstance(v, str) else len(json.dumps(v))
        for v in content.get("data", {}).values()
    )


_PYTHON_VARIABLES = (
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONBREAKPOINT",
    "PYTHONINSPECT",
    "__PYVENV_LAUNCHER__",
)
# The last one makes every import compile anew, which takes seconds; containers often set it.
_OF_THE_SHELL = (
    "PYTHONPATH",
    "PYTHONWARNINGS",
    "PYTHONHASHSEED",
    "PYTHONUSERBASE",
    "PYTHONDONTWRITEBYTECODE",
)


def kernel_environment(python: Path, *, hash_seed: str | None, clean: bool) -> dict[str, str]:
    """Return the environment variables for a kernel of the interpreter *python*.

    Its own folder comes first on PATH, so that ``!pip`` is its pip. *hash_seed* is set where none
    is set already; *clean* leaves out what the user's shell adds to Python (PYTHONPATH and such).
    """
    environment = {k: v for k, v in os.environ.items() if k not in _PYTHON_VARIABLES}
    environment["PATH"] = os.pathsep.join([str(python.parent), environment.get("PATH", os.defpath)])
    environment.pop("VIRTUAL_ENV", None)
    if (python.parent.parent / "pyvenv.cfg").exists():
        environment["VIRTUAL_ENV"] = str(python.parent.parent)
    if clean:
        for name in _OF_THE_SHELL:
            environment.pop(name, None)
    if hash_seed is not None and environment.get("PYTHONHASHSEED", "random") == "random":
        environment["PYTHONHASHSEED"] = hash_seed
    return environment


def check_folder(folder: Path) -> None:
    """Raise ReprolockError where a kernel could not work in *folder*."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise ReprolockError(f"cannot enter the folder {folder}", hint="check its permissions")
