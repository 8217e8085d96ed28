"""``devcontainer.json``: the same container for an editor, which opens the lock's folder in it.

Format: the "Dev Container metadata reference". A file in a folder of its own below
``.devcontainer`` stands beside others.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, BinaryIO

from reprolock.export.carried import unresolved
from reprolock.export.image import ENVIRONMENT, Image, image_of, install_command
from reprolock.facts import hardware

if TYPE_CHECKING:
    from reprolock.export.model import Subject
    from reprolock.finding import Finding


class DevContainer:
    name = "devcontainer"
    mark = b'"made-by": "reprolock export"'

    def filename(self, subject: Subject) -> str:
        return f".devcontainer/{subject.stem}/devcontainer.json"

    def write(self, subject: Subject, file: BinaryIO) -> tuple[Finding, ...]:
        image = image_of(subject)
        text = json.dumps(_document(subject, image), indent=2, ensure_ascii=False)
        file.write(f"{text}\n".encode())
        return (*image.findings, *unresolved(subject))


def _document(subject: Subject, image: Image) -> dict[str, Any]:
    environ = {**image.environ, "PATH": f"{ENVIRONMENT}/bin:${{containerEnv:PATH}}"}
    found: dict[str, Any] = {
        "name": subject.stem,
        "image": image.base,
        "runArgs": [f"--platform={image.platform}"],
        "onCreateCommand": _install(subject, image),
        "remoteEnv": environ,
        "customizations": {
            "reprolock": {"made-by": "reprolock export", "lock": subject.locked.path.name},
            "vscode": {
                "extensions": ["ms-python.python", "ms-toolsai.jupyter"],
                "settings": {"python.defaultInterpreterPath": f"{ENVIRONMENT}/bin/python"},
            },
        },
    }
    if subject.locked.record[hardware.Hardware].gpus.devices:
        found["hostRequirements"] = {"gpu": "optional"}
    return found


def _install(subject: Subject, image: Image) -> str:
    apt = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(image.apt)} && "
    return (apt if image.apt else "") + install_command(shlex.quote(subject.locked.path.name))
