"""``requirements.txt``: every package with the hash of its file, for pip 22.3 and newer.

What is on PyPI is named by its version, so that a mirror of it serves too; all else by its address.

Format: pip's "Requirements File Format" and "Secure installs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from reprolock.export.carried import address, not_carried, unresolved
from reprolock.facts.packages import SdistFile, VcsSource, WheelFile

if TYPE_CHECKING:
    from reprolock.export.model import Subject
    from reprolock.facts.packages import LockedPackage
    from reprolock.finding import Finding

_PYPI = ("files.pythonhosted.org", "pypi.org")
_HEAD = """\
# Python {version} with the packages of {lock}: made by `reprolock export --to requirements`.
# pip install --no-deps --require-hashes -r {name}
"""


class Requirements:
    name = "requirements"
    mark = b"made by `reprolock export --to requirements`"

    def filename(self, subject: Subject) -> str:
        return f"requirements.{subject.stem}.txt"

    def write(self, subject: Subject, file: BinaryIO) -> tuple[Finding, ...]:
        """Write one line a package. pip takes no repository beside hashes: those are comments."""
        hashed = [p for p in subject.packages.packages if not isinstance(p.source, VcsSource)]
        others = [p for p in subject.packages.packages if isinstance(p.source, VcsSource)]
        head = _HEAD.format(
            version=subject.interpreter.version,
            lock=subject.locked.path.name,
            name=self.filename(subject),
        )
        lines = [_line(package) for package in hashed]
        lines += [f"# pip install --no-deps '{address(package)}'" for package in others]
        file.write((head + "".join(f"{line}\n" for line in lines)).encode())
        return (*(_repository(package) for package in others), *unresolved(subject))


def _line(package: LockedPackage) -> str:
    """Return the line with the hash as an option, which pip asks for where it requires hashes."""
    source = package.source
    if isinstance(source, (WheelFile, SdistFile)) and urlsplit(source.url).hostname in _PYPI:
        return f"{package.name}=={package.version} --hash=sha256:{source.sha256}"
    where, _, digest = address(package).rpartition("sha256=")
    return f"{where.rstrip('#&')} --hash=sha256:{digest}"


def _repository(package: LockedPackage) -> Finding:
    return not_carried(
        package,
        "pip takes no repository beside hashes",
        f"pip install --no-deps '{address(package)}'",
    )
