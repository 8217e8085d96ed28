"""One recorded run: a notebook in an environment becomes a Record. Shared by capture and verify."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import execute, notebooks
from reprolock.facts import Record, data, hardware, metrics, notebook, packages, randomness, system
from reprolock.facts import interpreter as interpreters
from reprolock.finding import Finding, error, warning
from reprolock.kernel import MetricRequest, RecorderConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reprolock.execute import Execution, Kernel, Limits
    from reprolock.notebooks import NotebookFile

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """A metric that a person named: a Python *expression*, evaluated after *cell* or at the end."""

    name: str
    expression: str
    cell: int | None = None


@dataclass(frozen=True)
class Plan:
    """What to run and how. *folder* is where the kernel works; *offline* asks no index;
    *identify* looks up where packages came from; *hash_installed* holds their
    files against RECORD; *replay*, *maps* and *secrets*: see RecorderConfig."""

    notebook: NotebookFile
    kernel: Kernel
    folder: Path
    environment: Mapping[str, str]
    limits: Limits
    may_raise: frozenset[int] = frozenset()
    wanted: tuple[Wanted, ...] = ()
    offline: bool = False
    identify: bool = True
    hash_installed: bool = True
    replay: bool = False
    maps: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run that has ended. *paths* gives the absolute path of each data file by its name."""

    execution: Execution
    record: Record
    findings: tuple[Finding, ...]
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def told_all(self) -> bool:
        """Whether the recorder came to its end; hardware and system are told only there."""
        return any(event.get("event") == "end" for event in self.execution.events)


def run(plan: Plan, say: Say) -> Run:
    """Run the notebook and gather all facts. Packages are identified while the cells run.

    *say* is told ``(what, done, total)``.
    """
    with _journal() as journal, ThreadPoolExecutor(max_workers=3) as pool:
        background = _Background(pool, plan, say)
        gpus = pool.submit(hardware.probe_gpus)
        view = pool.submit(packages.pip_view, plan.kernel.python) if plan.identify else None
        execution = execute.execute(
            plan.notebook.node,
            plan.kernel,
            folder=plan.folder,
            recorder=RecorderConfig(
                journal, plan.folder, _requests(plan), plan.replay, plan.maps, plan.secrets
            ),
            environment=plan.environment,
            limits=plan.limits,
            may_raise=plan.may_raise,
            progress=lambda done, total: say("cell", done, total),
            started=background.start,
        )
        found, about_packages = background.result(execution.events)
        if view is not None:
            listed = _distributions(execution.events)
            about_packages += packages.compare_pip_view(view.result(), listed)
        return _gather(plan, execution, found, gpus.result(), about_packages)


@contextmanager
def _journal() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="reprolock-journal-"))
    try:
        yield folder / "journal.jsonl"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _requests(plan: Plan) -> tuple[MetricRequest, ...]:
    """Give the recorder each wanted metric with the ordinal of its cell."""
    ran = [index for index, cell in enumerate(plan.notebook.node.cells) if notebooks.runs(cell)]
    ordinals = {index: ordinal for ordinal, index in enumerate(ran)}
    return tuple(
        MetricRequest(w.name, w.expression, None if w.cell is None else ordinals.get(w.cell))
        for w in plan.wanted
    )


class _Background:
    """Identifies the installed packages beside the run, and again where the run changed them."""

    def __init__(self, pool: ThreadPoolExecutor, plan: Plan, say: Say) -> None:
        self.pool, self.plan, self.say = pool, plan, say
        self.early: Future[Any] | None = None
        self.listed: Any = None

    def start(self, events: list[dict[str, Any]]) -> None:
        self.listed = _distributions(events)
        self.early = self.pool.submit(self._collect, self.listed)

    def _collect(self, distributions: Any) -> Any:
        return packages.collect(
            distributions,
            offline=self.plan.offline,
            identify=self.plan.identify,
            hash_installed=self.plan.hash_installed,
            progress=lambda done, total: self.say("package", done, total),
        )

    def result(self, events: tuple[dict[str, Any], ...]) -> Any:
        last = _distributions(events)
        if self.early is not None and last == self.listed:
            return self.early.result()
        return self._collect(last)


def _distributions(events: Any) -> list[dict[str, Any]]:
    lists = [e["distributions"] for e in events if e.get("event") == "packages"]
    return lists[-1] if lists else []


def _event(execution: Execution, name: str) -> dict[str, Any]:
    return next((e for e in reversed(execution.events) if e.get("event") == name), {})


def _gather(
    plan: Plan,
    execution: Execution,
    found: packages.Packages,
    gpus: hardware.Gpus,
    about_packages: tuple[Finding, ...],
) -> Run:
    cells = list(execution.node.cells)
    order = {index: ordinal for ordinal, index in enumerate(execution.order)}
    files, paths = data.parse(execution.events, execution.cell_of, data.Places(plan.folder))
    record = Record(
        {
            notebook.Notebook: notebook.parse(
                plan.notebook.path.name, cells, order, execution.raised
            ),
            interpreters.Interpreter: interpreters.parse(_event(execution, "interpreter")),
            packages.Packages: found,
            system.System: system.parse(_event(execution, "system")),
            hardware.Hardware: hardware.parse(_event(execution, "hardware"), gpus),
            data.Data: files,
            randomness.Randomness: randomness.parse(execution.events, execution.cell_of),
            metrics.Metrics: _metrics(cells, execution),
        }
    )
    return Run(execution, record, (*about_packages, *_troubles(execution)), paths)


def _metrics(cells: list[Any], execution: Execution) -> metrics.Metrics:
    """Metrics that were named win over those that outputs show."""
    ids = {index: cell["id"] for index, cell in enumerate(cells) if "id" in cell}
    named = metrics.from_journal(execution.events, execution.cell_of, ids)
    return metrics.merge(named, metrics.discover(cells))


def _troubles(execution: Execution) -> tuple[Finding, ...]:
    """The recorder's own failures and a journal that broke off, told as what they are."""
    troubles = [
        warning(
            "recorder.trouble",
            f"the recorder failed in {e.get('where')}: {e.get('message')}",
            subject=str(e.get("where")),
            hint="what it records there may be incomplete",
        )
        for e in execution.events
        if e.get("event") == "trouble"
    ]
    failed = [
        error(
            "metrics.failed",
            f"the metric {e.get('name')} has no value: {e.get('error')}",
            subject=str(e.get("name")),
            cell=execution.cell_of.get(e.get("n", -1)),
        )
        for e in execution.events
        if e.get("event") == "metric-error"
    ]
    broken = [warning("recorder.journal-incomplete", problem) for problem in execution.problems]
    return (*troubles, *failed, *broken, *metrics.tag_problems(execution.node.cells))
