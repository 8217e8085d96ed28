"""How an environment is to be rebuilt, and what may not be done for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from reprolock.errors import RebuildError
from reprolock.facts.packages import VcsSource
from reprolock.facts.packages.index import local_path
from reprolock.rebuild.interpreters import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reprolock.facts.packages import LockedPackage

ALL = ":all:"
_SHOWN = 10


@dataclass(frozen=True)
class How:
    """*offline*: fetch nothing; *allow_missing*: names that may be left out; *kinds*: of
    interpreters, in the order in which they are looked for; *at_hand*: files of a bundle by
    SHA-256, that were checked; *installer*: ``uv`` or ``pip``, by default uv, and pip where uv is
    absent or unable; *link_mode*: how uv puts files in place; *substitutes*: another version may
    stand in for one that is gone; *builds*: names that may be built from source, which runs their
    code, None for all; *hosts*: the only ones that may be asked, none for any; *cache*: the folder.
    """

    offline: bool = False
    allow_missing: tuple[str, ...] = ()
    kinds: tuple[str, ...] = KINDS
    at_hand: Mapping[str, Path] = field(default_factory=dict)
    installer: str | None = None
    link_mode: str = "copy"
    substitutes: bool = False
    builds: tuple[str, ...] | None = None
    hosts: tuple[str, ...] = ()
    cache: Path | None = None

    def require_allowed(self, packages: Sequence[LockedPackage]) -> None:
        """Raise RebuildError where *packages* ask for a build or a host that is not allowed."""
        self._require_builds([package for package in packages if package.built])
        if not self.hosts:
            return
        elsewhere = sorted({f"{p.name} from {_host(p)}" for p in packages if not self._may_ask(p)})
        if elsewhere:
            raise RebuildError(
                f"{len(elsewhere)} files of the lock lie on hosts that are not allowed",
                causes=tuple(elsewhere[:_SHOWN]),
                hint="allow the host with --allow-host, or verify from a bundle",
            )

    def _require_builds(self, built: Sequence[LockedPackage]) -> None:
        if self.builds is None or ALL in self.builds:
            return
        allowed = {canonicalize_name(name) for name in self.builds}
        lost = sorted(package.name for package in built if package.name not in allowed)
        if lost:
            options = " ".join(f"--allow-build {name}" for name in lost[:3])
            raise RebuildError(
                "the lock was not captured here, and it asks to build packages from source, which "
                "runs their code",
                causes=(", ".join(lost[:_SHOWN]),),
                hint=f"look at them, and allow it: {options}{' ...' if len(lost) > 3 else ''}",  # noqa: PLR2004
            )

    def may_ask(self, url: str) -> bool:
        """Whether the host of *url* may be asked. A host stands for those below it too."""
        if not self.hosts or local_path(url) is not None:
            return True
        host = (urlsplit(url).hostname or "").lower()
        return any(host == one or host.endswith(f".{one}") for one in map(str.lower, self.hosts))

    def _may_ask(self, package: LockedPackage) -> bool:
        at_hand = getattr(package.source, "sha256", None) in self.at_hand
        return at_hand or self.may_ask(package.source.url)


def _host(package: LockedPackage) -> str:
    url = package.source.url
    is_scp = isinstance(package.source, VcsSource) and "://" not in url
    return url.partition(":")[0] if is_scp else urlsplit(url).hostname or url
