"""``Dockerfile``: base image, apt packages, the lock's packages by their hashes, notebook and data.

Format: the "Dockerfile reference". The lock's folder is the build context.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, BinaryIO

from reprolock.export.carried import unresolved
from reprolock.export.contents import inputs_beside
from reprolock.export.image import ENVIRONMENT, Image, image_of, install_command

if TYPE_CHECKING:
    from reprolock.export.model import Subject
    from reprolock.finding import Finding

_CELLS = """\
import json
for cell in json.load(open({name!r}, encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        get_ipython().run_cell("".join(cell["source"])).raise_error()
"""


class Dockerfile:
    name = "dockerfile"
    mark = b"made by `reprolock export --to dockerfile`"

    def filename(self, subject: Subject) -> str:
        return f"{subject.stem}.Dockerfile"

    def write(self, subject: Subject, file: BinaryIO) -> tuple[Finding, ...]:
        image = image_of(subject)
        files, left = inputs_beside(subject)
        file.write("".join(f"{line}\n" for line in self._lines(subject, image, files)).encode())
        return (*image.findings, *unresolved(subject), *left)

    def _lines(self, subject: Subject, image: Image, files: list[str]) -> list[str]:
        lock, name = subject.locked.path.name, self.filename(subject)
        return [
            f"# {subject.notebook.path} by {lock}: made by `reprolock export --to dockerfile`.",
            "# In the folder of the lock:",
            f"# docker build -t {_tag(subject.stem)} -f {shlex.quote(name)} .",
            "# The lock's files are for this kind of machine.",
            "# hadolint ignore=DL3029",
            f"FROM --platform={image.platform} {image.base}",
            *_apt(image),
            *(f"ENV {name}={_value(text)}" for name, text in image.environ.items()),
            "WORKDIR /work",
            _copy(lock, "./"),
            f"RUN {install_command(shlex.quote(lock))}",
            f"ENV PATH={ENVIRONMENT}/bin:$PATH",
            _copy(subject.notebook.path, "./"),
            *(_copy(name, f"./{name}") for name in files),
            *_command(subject),
        ]


def _apt(image: Image) -> list[str]:
    if not image.apt:
        return []
    return [
        "RUN apt-get update \\",
        f" && apt-get install -y --no-install-recommends {' '.join(image.apt)} \\",
        " && rm -rf /var/lib/apt/lists/*",
    ]


def _value(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")


def _tag(stem: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "notebook"


def _copy(source: str, target: str) -> str:
    """Copy one file, by the form that takes any name; wildcards are Go's ``filepath.Match``."""
    escaped = "".join(f"[{c}]" if c in "*?[" else c for c in source)
    return f"COPY {json.dumps([escaped, target], ensure_ascii=False)}"


def _command(subject: Subject) -> list[str]:
    """Run the notebook by what the lock has for it: IPython alone reads no notebook."""
    if subject.packages.get("ipython") is None:
        return []
    name = subject.notebook.path
    if subject.packages.get("nbformat") is None:
        words = ["ipython", "-c", _CELLS.format(name=name)]
    else:
        words = ["ipython", name]
    return [f"CMD {json.dumps(words, ensure_ascii=False)}"]
