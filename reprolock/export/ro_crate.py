"""A Workflow Run RO-Crate 0.5 (on RO-Crate 1.1) as a zip archive, described by rocrate.

The notebook is the workflow, the recorded run one CreateAction: its objects are what the notebook
read, its results what it wrote, its outputs (the reference) and its metrics.
"""

from __future__ import annotations

import json
import warnings
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from reprolock.export import archive
from reprolock.export.contents import Member, of_the_run
from reprolock.export.extra import required
from reprolock.facts import data, metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reprolock.export.model import Subject
    from reprolock.finding import Finding

_METADATA = "ro-crate-metadata.json"
_VERSION = "1.1"
_PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate"),
)
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_PEP_751 = "https://packaging.python.org/en/latest/specifications/pylock-toml/"
_PYTHON = "https://www.python.org/"
_NOTEBOOK = "application/x-ipynb+json"
_TYPES = {"lock": "application/toml", "notebook": _NOTEBOOK, "reference": _NOTEBOOK}
#: Not the machine's own table: the same lock gives the same bytes everywhere.
_KINDS = {
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".html": "text/html",
    ".ipynb": _NOTEBOOK,
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
}
_WHAT = {
    "lock": "The lock: environment, data, seeds and metrics of the run",
    "notebook": "The notebook that was run",
    "reference": "The notebook with the outputs of the run",
}


class RoCrate:
    name = "ro-crate"
    mark = b"as recorded by reprolock"

    def filename(self, subject: Subject) -> str:
        return f"{subject.stem}.crate.zip"

    def write(self, subject: Subject, file: BinaryIO) -> tuple[Finding, ...]:
        """Write the archive. Raises ExportError where the library is missing."""
        with required("ro-crate", "rocrate"):
            import rocrate  # noqa: F401
        members, findings = of_the_run(subject)
        text = json.dumps(_described(subject, members), indent=2, sort_keys=True)
        head = (_METADATA, f"{text}\n".encode())
        archive.write(file, head, members, lambda n: subject.say("pack", n, len(members)))
        return tuple(findings)


def _described(subject: Subject, members: list[Member]) -> dict[str, Any]:
    """Return the JSON-LD of the crate, its entities in the order of their ids."""
    from rocrate.rocrate import ROCrate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        crate = ROCrate(version=_VERSION)
        crate.metadata.extra_contexts.append(_TERMS)
        files = {member.place: _file(crate, member) for member in members}
        by_role = {m.role: files[m.place] for m in members if m.file is None}
        _root(crate, subject)
        workflow = _workflow(crate, subject, by_role["notebook"])
        _action(crate, subject, members, files, workflow)
        found: dict[str, Any] = crate.metadata.generate()
    return {**found, "@graph": sorted(found["@graph"], key=lambda entity: entity["@id"])}


def _file(crate: Any, member: Member) -> Any:
    kind = _TYPES.get(member.role) or _KINDS.get(PurePosixPath(member.place).suffix.lower())
    name = member.file.name if member.file else member.path.name
    about: dict[str, Any] = {
        "name": name,
        "contentSize": str(member.size),
        "sha256": member.sha256,
        "encodingFormat": kind or "application/octet-stream",
        "description": _WHAT.get(member.role, f"{member.role} of the run"),
    }
    if member.role == "notebook":
        about["@type"] = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
    return crate.add_file(str(member.path), quote(member.place), properties=about)


def _root(crate: Any, subject: Subject) -> None:
    crate.name = f"A run of {subject.notebook.path}"
    crate.description = (
        f"The notebook {subject.notebook.path}, the outputs of one run of it, its data, and a lock "
        "from which its environment is made again, as recorded by reprolock."
    )
    crate.datePublished = subject.created
    crate.license = "The licence of the notebook and of its data is not recorded in the lock."
    profiles = [
        crate.add(_entity(crate, url, "CreativeWork", name=name, version=url.rpartition("/")[2]))
        for url, name in _PROFILES
    ]
    crate.root_dataset["conformsTo"] = profiles
    crate.metadata["conformsTo"] = [{"@id": crate.metadata.profile}, {"@id": _PROFILES[-1][0]}]


def _entity(crate: Any, identifier: str, kind: str | list[str], **about: Any) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return ContextEntity(crate, identifier, {"@type": kind, **about})


def _workflow(crate: Any, subject: Subject, notebook: Any) -> Any:
    wanted = subject.interpreter
    python = crate.add(
        _entity(
            crate,
            _PYTHON,
            ["ComputerLanguage", "SoftwareApplication"],
            name="Python",
            version=wanted.version,
            url=_PYTHON,
            description=wanted.display_name,
        )
    )
    notebook["programmingLanguage"] = python
    notebook["softwareRequirements"] = python
    notebook["version"] = f"sha256:{subject.notebook.source_sha256}"
    crate.mainEntity = notebook
    return notebook


def _action(
    crate: Any, subject: Subject, members: list[Member], files: dict[str, Any], workflow: Any
) -> None:
    own = {m.role: files[m.place] for m in members if m.file is None}
    own["lock"]["conformsTo"] = crate.add(
        _entity(crate, _PEP_751, "CreativeWork", name="pylock.toml (PEP 751)")
    )
    read = [files[m.place] for m in members if m.file and m.role == data.INPUT]
    written = [files[m.place] for m in members if m.file and m.role != data.INPUT]
    values = list(_metrics(crate, subject))
    about: dict[str, Any] = {
        "name": f"The recorded run of {subject.notebook.path}",
        "description": f"Run by reprolock with {subject.interpreter.display_name}",
        "instrument": workflow,
        "object": [own["lock"], *read],
        "result": [*([own["reference"]] if "reference" in own else []), *written, *values],
        "endTime": subject.created.isoformat(),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    variables = list(_variables(crate, subject))
    if variables:
        about["environment"] = variables
    action = crate.add(_entity(crate, "#run", "CreateAction"))
    for name, value in about.items():
        action[name] = value
    crate.root_dataset["mentions"] = action


def _metrics(crate: Any, subject: Subject) -> Iterable[Any]:
    for metric in subject.locked.record[metrics.Metrics].metrics:
        yield _property(crate, f"#metric-{quote(metric.name, safe='')}", metric.name, metric.value)


def _variables(crate: Any, subject: Subject) -> Iterable[Any]:
    for name, value in sorted(subject.interpreter.environ.items()):
        yield _property(crate, f"#variable-{quote(name, safe='')}", name, value)


def _property(crate: Any, identifier: str, name: str, value: Any) -> Any:
    # JSON has no NaN, and numbers lose digits in some readers: values stand as text.
    text = value if isinstance(value, str) else repr(value)
    return crate.add(_entity(crate, identifier, "PropertyValue", name=name, value=text))
