"""What of the recorded machine was answered by something else: as findings, and in the result."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reprolock.finding import Finding, error, note, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reprolock.elsewhere import Ground

# Distributions that only their platform has, and that a stand-in answers for.
STOOD_IN_FOR = frozenset({"google-colab"})
_OF_THE_PLATFORM = "packages.left-out", "packages.missing"
_FRONT_END = "application/vnd.google.colaboratory"
_UPLOAD = "Upload widget is only available when the cell has been executed"
_ALREADY = re.compile(r"Drive already mounted at (\S+?); to attempt to forcibly remount.*")
_FRAME = re.compile(
    r'\s*<div id="df-[0-9a-f-]+" class="colab-df-container">\s*(.*?)\s*'
    r'<div class="colab-df-buttons">.*',
    re.DOTALL,
)
_SHORTEST = 4  # characters of a secret; a shorter one would blot out half of a text


def of_paths(ground: Ground, given: Mapping[str, Any]) -> Iterator[Finding]:
    """Tell where the paths of the recorded machine lead here. *given*: what the user mapped."""
    for prefix in sorted(ground.maps):
        what = "the folder of --map" if prefix in given else "a scratch copy of the lock's folder"
        yield note(
            "platform.path-mapped",
            f"{prefix} of the recorded machine was {what} in this run",
            subject=prefix,
            observed="rewritten" if ground.weaker else "bound",
        )
    if ground.maps and ground.weaker:
        yield warning(
            "platform.path-rewritten",
            "the recorded machine's paths could not be bound here and were rewritten in the source "
            f"of the cells: {ground.weaker}",
            subject=", ".join(sorted(ground.maps)),
            hint="this does not reach paths that are put together when a cell runs, nor those in "
            "modules and in files; verify on Linux, where user namespaces are allowed",
        )


def of_modules(
    events: Iterable[Mapping[str, Any]], cell_of: Mapping[int, int], raised: Mapping[int, str]
) -> Iterator[Finding]:
    """Tell what the recorder answered, each name once, with its cells."""
    for kind, name, detail, cells in _answered(events, cell_of):
        failed = next((cell for cell in cells if cell in raised), None)
        first = cells[0] if cells else None
        if kind == "secret-missing":
            say = warning if failed is None else error
            yield say(
                "platform.secret-missing",
                f"{detail} asked for the secret {name}, and none was given",
                subject=name,
                cell=first if failed is None else failed,
                hint=f"put it into an environment variable: --secret {name}=VARIABLE",
            )
        elif kind == "absent":
            say = note if failed is None else error
            yield say(
                "platform.not-stood-in",
                f"{name} is not stood in for here",
                subject=name,
                cell=first if failed is None else failed,
                hint="it needs the platform itself: leave the cell out, or verify there",
            )
        elif kind in ("module", "secret"):
            told = f"{detail}({name})" if kind == "secret" else name
            yield note(
                "platform.module-substituted",
                f"{told} was answered by a stand-in in {_cells(cells)}",
                subject=told,
                cell=first,
                observed=detail if kind == "module" else "from an environment variable",
            )


def as_json(
    events: Iterable[Mapping[str, Any]], cell_of: Mapping[int, int], ground: Ground
) -> tuple[dict[str, Any], ...]:
    """Return the substitutions as the result shows them; no value of a secret is among them."""
    how = "rewritten" if ground.weaker else "bound"
    paths = [
        {"kind": "path", "name": prefix, "detail": how, "cells": []}
        for prefix in sorted(ground.maps)
    ]
    modules = [
        {"kind": kind, "name": name, **({"detail": detail} if detail else {}), "cells": cells}
        for kind, name, detail, cells in _answered(events, cell_of)
        if kind not in ("absent", "rewritten")
    ]
    return (*paths, *modules)


def _answered(
    events: Iterable[Mapping[str, Any]], cell_of: Mapping[int, int]
) -> list[tuple[str, str, str | None, list[int]]]:
    found: dict[tuple[str, str], tuple[str | None, list[int]]] = {}
    for event in events:
        if event.get("event") != "substituted":
            continue
        key = str(event.get("kind")), str(event.get("name"))
        _, cells = found.setdefault(key, (event.get("detail"), []))
        cell = cell_of.get(event.get("n", -1))
        if cell is not None and cell not in cells:
            cells.append(cell)
    return [(*key, detail, cells) for key, (detail, cells) in sorted(found.items())]


def _cells(cells: list[int]) -> str:
    listed = ", ".join(map(str, cells))
    return f"cell{'s' if len(cells) > 1 else ''} {listed}" if cells else "the run"


def without_platform_packages(findings: Iterable[Finding]) -> list[Finding]:
    """Say of a distribution that only its platform has that a stand-in answers for it."""
    return [
        note(
            "platform.package-stood-in",
            f"{f.subject} is to be had on its platform only; a stand-in answers for it",
            subject=f.subject,
        )
        if f.code in _OF_THE_PLATFORM and f.subject in STOOD_IN_FOR
        else f
        for f in findings
    ]


def without_front_end(cells: Iterable[Any], platform: str) -> None:
    """Take out of the outputs of *cells* what Colab's page adds to them and shows for itself.

    See google/colab/files.py, _interactive_table_hint_button.py, _reprs.py and drive.py of
    googlecolab/colabtools: an upload's form, the scripts of a download, the buttons beside a data
    frame, HTML for what has a plain text, and that the Drive was mounted before.
    """
    if not platform.startswith("colab"):
        return
    for cell in cells:
        if cell.get("outputs"):
            kept = [_simpler(output) for output in cell["outputs"]]
            cell["outputs"] = [output for output in kept if output is not None]


def _simpler(output: Any) -> Any:
    if output.get("output_type") == "stream":
        output["text"] = _ALREADY.sub(r"Mounted at \1", _text(output.get("text")))
        return output
    if "data" not in output:
        return output
    data = {m: v for m, v in output["data"].items() if not m.startswith(_FRONT_END)}
    html = _text(data.get("text/html"))
    script = _text(data.get("application/javascript"))
    if _UPLOAD in html or "google.colab.kernel" in script or script.startswith('download("down'):
        return None
    if html and ("<label><b>dtype:</b>" in html or 'class="ndarray_repr"' in html):
        data.pop("text/html")
    elif frame := _FRAME.fullmatch(html):
        data["text/html"] = frame[1]
    output["data"] = data
    return output


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value or "")


def scrubbed(value: Any, secrets: Mapping[str, str]) -> Any:
    """Return *value*, made of what JSON has, with the values of *secrets* cut out.

    *secrets*: name -> value.
    """
    if isinstance(value, str):
        for name, secret in secrets.items():
            if len(secret) >= _SHORTEST:
                value = value.replace(secret, f"<secret {name}>")
        return value
    if isinstance(value, dict):
        return type(value)({key: scrubbed(one, secrets) for key, one in value.items()})
    if isinstance(value, list):
        return [scrubbed(one, secrets) for one in value]
    return value


def scrubbed_finding(finding: Finding, secrets: Mapping[str, str]) -> Finding:
    return replace(
        finding,
        **{
            name: scrubbed(getattr(finding, name), secrets)
            for name in ("message", "subject", "expected", "observed", "hint")
        },
    )
