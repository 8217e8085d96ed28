"""One recorded run: a notebook in an environment becomes a Record. Shared by capture and verify."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock import execute, notebooks
from reprolock.facts import Record, data, hardware, metrics, notebook, packages, randomness, system
from reprolock.facts import installs as installing
from reprolock.facts import interpreter as interpreters
from reprolock.facts import session as sessions
from reprolock.files import cache_dir
from reprolock.finding import Finding, error, warning
from reprolock.kernel import MetricRequest, RecorderConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reprolock.elsewhere import Ground
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
    files against RECORD; *replay*, *secrets*, *stand_ins*, *uploads* and *answers*: see
    RecorderConfig; *ground*: the paths of the recorded machine, of a run of *platform* that is run
    again here.
    """

    notebook: NotebookFile
    kernel: Kernel
    folder: Path
    environment: Mapping[str, str]
    limits: Limits
    may_raise: frozenset[int] = frozenset()
    wanted: tuple[Wanted, ...] = ()
    offline: bool = False
    prove: bool = False
    identify: bool = True
    hash_installed: bool = True
    replay: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)
    stand_ins: tuple[str, ...] = ()
    uploads: tuple[tuple[Mapping[str, str], ...], ...] = ()
    ground: Ground | None = None
    platform: str | None = None
    answers: Mapping[str, int] = field(default_factory=dict)

    @property
    def kernel_folder(self) -> Path:
        return self.ground.kernel_folder if self.ground else self.folder

    @property
    def places(self) -> data.Places | None:
        """The names of the recorded run, None where this run is the one that gives them."""
        if self.ground is None:
            return None
        return data.Places(self.ground.folder, self.platform, self.ground.maps)


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
        view = asked_of_pip(pool, plan.kernel.python) if plan.identify else None
        execution = execute.execute(
            plan.notebook.node,
            _kernel(plan),
            folder=plan.folder,
            recorder=_recorder(plan, journal),
            environment=plan.environment,
            limits=plan.limits,
            may_raise=plan.may_raise,
            progress=lambda done, total: say("cell", done, total),
            started=background.start,
        )
        found, about_packages = background.result(execution.events)
        if view is not None:
            about_packages += told_by_pip(
                view.result(), plan.kernel.python, _distributions(execution.events)
            )
        return _gather(plan, execution, found, gpus.result(), about_packages)


def asked_of_pip(pool: ThreadPoolExecutor, python: Path) -> Future[Any]:
    return pool.submit(packages.pip_view, python, _pip_views())


def told_by_pip(view: Mapping[str, str] | None, python: Path, listed: Any) -> tuple[Finding, ...]:
    """Say where pip's *view* of an environment is another; keep it for the next time."""
    packages.keep_pip_view(python, view, listed, _pip_views())
    return packages.compare_pip_view(view, listed)


def _pip_views() -> Path:
    return cache_dir() / "pip-views"


def _kernel(plan: Plan) -> Kernel:
    return replace(plan.kernel, prefix=plan.ground.prefix) if plan.ground else plan.kernel


def _recorder(plan: Plan, journal: Path) -> RecorderConfig:
    return RecorderConfig(
        journal,
        plan.kernel_folder,
        _requests(plan),
        replay=plan.replay,
        maps=plan.ground.recorder_maps if plan.ground else {},
        secrets=plan.secrets,
        stand_ins=plan.stand_ins,
        uploads=plan.uploads,
        rewrite=plan.ground is not None and plan.ground.weaker is not None,
        answers=plan.answers,
    )


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

    def _collect(self, distributions: Any, named: tuple[str, ...] = ()) -> Any:
        return packages.collect(
            distributions,
            named=named,
            offline=self.plan.offline,
            prove=self.plan.prove,
            identify=self.plan.identify,
            hash_installed=self.plan.hash_installed,
            progress=lambda done, total: self.say("package", done, total),
        )

    def result(self, events: tuple[dict[str, Any], ...]) -> Any:
        last, named = _distributions(events), commands_in(events)
        if self.early is not None and last == self.listed and not named:
            return self.early.result()
        return self._collect(last, named)


def commands_in(events: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the commands by which the notebook installed: they may name an index."""
    return tuple(str(e.get("asked")) for e in events if e.get("event") == "command")


def _distributions(events: Any) -> list[dict[str, Any]]:
    lists = [e["distributions"] for e in events if e.get("event") == "packages"]
    return lists[-1] if lists else []


@dataclass(frozen=True)
class Seen:
    """A run as its journal and its notebook tell it. *cells* hold the outputs of the run; *cell_of*
    maps the ordinal of an execution to the cell's index, *ran* a cell's index to its place in the
    order, *raised* to the name of its exception.
    """

    name: str
    folder: Path
    cells: list[Any]
    events: tuple[dict[str, Any], ...]
    cell_of: Mapping[int, int]
    ran: Mapping[int, int]
    raised: Mapping[int, str]
    problems: tuple[str, ...] = ()
    session: sessions.Session = field(default_factory=sessions.Session)
    places: data.Places | None = None

    def last(self, event: str) -> dict[str, Any]:
        """Return the last event of that name, empty where there is none."""
        return next((e for e in reversed(self.events) if e.get("event") == event), {})


def _gather(
    plan: Plan,
    execution: Execution,
    found: packages.Packages,
    gpus: hardware.Gpus,
    about_packages: tuple[Finding, ...],
) -> Run:
    seen = Seen(
        name=plan.notebook.path.name,
        folder=plan.folder,
        cells=list(execution.node.cells),
        events=_as_recorded(plan, execution),
        cell_of=execution.cell_of,
        ran={index: ordinal for ordinal, index in enumerate(execution.order)},
        raised=execution.raised,
        problems=execution.problems,
        places=plan.places,
    )
    record, paths = record_of(seen, found, gpus)
    return Run(execution, record, (*about_packages, *troubles(seen)), paths)


def _as_recorded(plan: Plan, execution: Execution) -> tuple[dict[str, Any], ...]:
    """Return the events with the paths that the recorded run would have told."""
    if plan.ground is None:
        return execution.events
    return tuple(plan.ground.as_recorded(event) for event in execution.events)


def record_of(
    seen: Seen, found: packages.Packages, gpus: hardware.Gpus, memo: Path | None = None
) -> tuple[Record, dict[str, str]]:
    """Return the Record of a run, and the absolute path of each data file by its name.

    *memo*: a folder in which the digests of large files are remembered.
    """
    about = system.parse(seen.last("system"))
    places = seen.places or data.Places(seen.folder, about.platform)
    files, paths = data.parse(seen.events, seen.cell_of, places, memo)
    record = Record(
        {
            notebook.Notebook: notebook.parse(
                seen.name,
                seen.cells,
                seen.ran,
                seen.raised,
                folder=None if seen.places else os.path.realpath(seen.folder),
            ),
            interpreters.Interpreter: interpreters.parse(seen.last("interpreter")),
            packages.Packages: found,
            system.System: about,
            hardware.Hardware: hardware.parse(seen.last("hardware"), gpus),
            data.Data: files,
            randomness.Randomness: randomness.parse(seen.events, seen.cell_of),
            metrics.Metrics: _metrics(seen),
            sessions.Session: seen.session,
            installing.Installs: installing.parse(seen.events, seen.cell_of),
        }
    )
    return record, paths


def _metrics(seen: Seen) -> metrics.Metrics:
    """Metrics that were named win over those that outputs show."""
    ids = {index: cell["id"] for index, cell in enumerate(seen.cells) if "id" in cell}
    named = metrics.from_journal(seen.events, seen.cell_of, ids)
    return metrics.merge(named, metrics.discover(seen.cells))


def troubles(seen: Seen) -> tuple[Finding, ...]:
    """The recorder's own failures and a journal that broke off, told as what they are."""
    failures = [
        warning(
            "recorder.trouble",
            f"the recorder failed in {e.get('where')}: {e.get('message')}",
            subject=str(e.get("where")),
            hint="what it records there may be incomplete",
        )
        for e in seen.events
        if e.get("event") == "trouble"
    ]
    failed = [
        error(
            "metrics.failed",
            f"the metric {e.get('name')} has no value: {e.get('error')}",
            subject=str(e.get("name")),
            cell=seen.cell_of.get(e.get("n", -1)),
        )
        for e in seen.events
        if e.get("event") == "metric-error"
    ]
    broken = [warning("recorder.journal-incomplete", problem) for problem in seen.problems]
    return (*failures, *failed, *broken, *metrics.tag_problems(seen.cells))
