"""The interpreter family: which Python ran the notebook, and with what settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from reprolock.digest import sha256_file
from reprolock.errors import LockError
from reprolock.finding import Finding, error, note, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

# A path of two parts or more, where a value begins or after a separator. "module://name" is none.
_PATH = re.compile(r"(^|[=:,;\s\"'])(?:~|[A-Za-z]:)?(?:[/\\][\w.~+@-]+){2,}[/\\]?")
_STRINGS = ("compiler", "abiflags", "soabi", "ext_suffix", "platform", "binary", "libpython")
_READ = tuple(name for name in _STRINGS if name not in ("binary", "libpython"))
_BOOLEANS = ("free_threaded", "debug")

#: Environment variables that decide numbers or text: recorded, and set again for a re-run.
REPLAYED = (
    "PYTHONHASHSEED",
    "PYTHONUTF8",
    "PYTHONOPTIMIZE",
    "LANG",
    "LC_ALL",
    "TZ",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "NUMEXPR_NUM_THREADS",
    "CUBLAS_WORKSPACE_CONFIG",
    "XLA_FLAGS",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "NPY_DISABLE_CPU_FEATURES",
    "ATEN_CPU_CAPABILITY",
    "TF_DETERMINISTIC_OPS",
)
# ipykernel sets it so where it is not set: who looks at the kernel from outside sees it unset.
_SET_BY_KERNEL = {"MPLBACKEND": ("module://matplotlib_inline.", "module://ipykernel.")}


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter, said without any path of the machine it is on.

    *version* is ``X.Y.Z`` with what follows (``rc1``); *platform* as ``sysconfig.get_platform``;
    *soabi* as ``sysconfig.get_config_var("SOABI")``; *environ* the listed variables that were set.
    *binary* and *libpython* are the SHA-256 of the executable and of the shared library that holds
    the interpreter where the executable does not; empty where they are not known.
    """

    implementation: str
    version: str
    build: tuple[str, ...] = ()
    compiler: str = ""
    abiflags: str = ""
    soabi: str = ""
    ext_suffix: str = ""
    platform: str = ""
    binary: str = ""
    libpython: str = ""
    free_threaded: bool = False
    debug: bool = False
    flags: Mapping[str, int | bool] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def minor(self) -> str:
        """``X.Y``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def display_name(self) -> str:
        """The interpreter as a person names it, such as ``CPython 3.13.0 (free-threaded)``."""
        name = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}.get(
            self.implementation, self.implementation
        )
        kind = " (free-threaded)" if self.free_threaded else ""
        return f"{name} {self.version}{kind}{' (debug)' if self.debug else ''}"

    @property
    def requires_python(self) -> str:
        """PEP 751 ``requires-python``."""
        return f">={self.minor}"

    @property
    def environments(self) -> list[str]:
        """PEP 751 ``environments``: the one kind of machine that the wheels are for."""
        system, machine = self._system()
        parts = {
            "sys_platform": system,
            "platform_machine": machine,
            "implementation_name": self.implementation,
        }
        marker = " and ".join(f"{key} == '{value}'" for key, value in parts.items() if value)
        return [marker] if marker else []

    @property
    def pin(self) -> dict[str, Any]:
        """What a rebuild has to find again, of which only the patch release may be another."""
        return {
            "implementation": self.implementation,
            "version": self.version,
            "free_threaded": self.free_threaded,
            "debug": self.debug,
            "platform": self.platform,
        }

    def _system(self) -> tuple[str, str]:
        """Return ``sys.platform`` and ``platform.machine()`` by *platform*; empty where unknown."""
        first, _, rest = self.platform.partition("-")
        if first == "linux":
            return "linux", rest
        if first == "macosx":
            return "darwin", rest.rpartition("-")[2]
        if first == "win":
            return "win32", rest.upper()
        return "", ""


def parse(event: Mapping[str, Any]) -> Interpreter:
    """Make the facts from the journal's ``interpreter`` event.

    ``executable`` and the prefixes are left behind, and paths within variables are cut out. Hashes
    the executable, and ``libpython``.
    """
    environ = event.get("environ") or {}
    flags = event.get("flags") or {}
    return Interpreter(
        implementation=str(event.get("implementation") or "unknown"),
        version=str(event.get("version") or "0"),
        build=tuple(str(part) for part in event.get("build") or ()),
        free_threaded=bool(event.get("free_threaded")),
        debug=bool(event.get("debug")),
        flags={k: v for k, v in sorted(flags.items()) if isinstance(v, (int, bool))},
        environ={k: without_paths(str(v)) for k, v in sorted(environ.items()) if v is not None},
        binary=_digest(event.get("executable")),
        libpython=_digest(event.get("libpython")),
        **{key: str(event.get(key) or "") for key in _READ},
    )


def _digest(path: Any) -> str:
    try:
        found = isinstance(path, str) and Path(path).is_file()
        return sha256_file(Path(path)) if found else ""
    except (OSError, ValueError):
        return ""


def without_paths(value: str) -> str:
    """Return *value* with every path in it replaced by ``<path>``."""
    return _PATH.sub(r"\1<path>", value)


def to_toml(facts: Interpreter) -> dict[str, Any]:
    """Return ``[tool.reprolock.interpreter]``. What is empty is left out."""
    out: dict[str, Any] = {"implementation": facts.implementation, "version": facts.version}
    if facts.build:
        out["build"] = list(facts.build)
    out.update({key: value for key in _STRINGS if (value := getattr(facts, key))})
    out.update({key: getattr(facts, key) for key in _BOOLEANS})
    if facts.flags:
        out["flags"] = dict(sorted(facts.flags.items()))
    if facts.environ:
        out["environ"] = dict(sorted(facts.environ.items()))
    return out


def from_toml(table: Mapping[str, Any]) -> Interpreter:
    """Read ``[tool.reprolock.interpreter]``. Raises LockError naming the key and what was found."""
    where = "tool.reprolock.interpreter"
    version = _get(table, "version", str, where)
    try:
        Version(version.rstrip("+"))
    except InvalidVersion as exc:
        raise LockError(f"{where}.version: wanted a Python version, found {version!r}") from exc
    build = table.get("build", [])
    if not isinstance(build, list) or not all(isinstance(part, str) for part in build):
        raise LockError(f"{where}.build: wanted an array of strings, found {build!r}")
    return Interpreter(
        implementation=_get(table, "implementation", str, where),
        version=version,
        build=tuple(build),
        flags=_mapping(table, "flags", (bool, int), where),
        environ=_mapping(table, "environ", (str,), where),
        **{key: _get(table, key, str, where, "") for key in _STRINGS},
        **{key: _get(table, key, bool, where, False) for key in _BOOLEANS},
    )


def _get(table: Mapping[str, Any], key: str, kind: type, where: str, default: Any = None) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind):
        found = "nothing" if value is None else repr(value)
        wanted = {"str": "a string", "bool": "true or false"}[kind.__name__]
        raise LockError(f"{where}.{key}: wanted {wanted}, found {found}")
    return value


def _mapping(
    table: Mapping[str, Any], key: str, kinds: tuple[type, ...], where: str
) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise LockError(f"{where}.{key}: wanted a table, found {value!r}")
    for name, entry in value.items():
        if not isinstance(entry, kinds):
            wanted = "a string" if str in kinds else "a whole number or true or false"
            raise LockError(f"{where}.{key}.{name}: wanted {wanted}, found {entry!r}")
    return value


def compare(expected: Interpreter, observed: Interpreter) -> tuple[Finding, ...]:
    """Return what differs. Another implementation, minor version or ABI is an error."""
    found = [*_identity(expected, observed), *_build(expected, observed)]
    found += _settings(expected.flags, observed.flags, "flags-changed", "interpreter flag")
    found += _settings(expected.environ, observed.environ, "environment-changed", "variable")
    return tuple(found)


def _identity(expected: Interpreter, observed: Interpreter) -> list[Finding]:
    if expected.implementation != observed.implementation:
        return [
            error(
                "interpreter.implementation-changed",
                f"the notebook ran on {observed.display_name}, not {expected.display_name}",
                subject="python",
                expected=expected.implementation,
                observed=observed.implementation,
            )
        ]
    found = []
    if expected.version != observed.version:
        make = warning if expected.minor == observed.minor else error
        found.append(
            make(
                "interpreter.version-changed",
                f"Python is {observed.version}, and was {expected.version} in the recorded run",
                subject="python",
                expected=expected.version,
                observed=observed.version,
            )
        )
    if _abi(expected) != _abi(observed):
        found.append(
            error(
                "interpreter.abi-changed",
                f"the interpreter is a {_abi(observed)} build, and was {_abi(expected)}",
                subject="python",
                expected=_abi(expected),
                observed=_abi(observed),
            )
        )
    return found


def _abi(facts: Interpreter) -> str:
    parts = [
        *(["free-threaded"] if facts.free_threaded else []),
        *(["debug"] if facts.debug else []),
    ]
    return " ".join(parts) or "standard"


def _build(expected: Interpreter, observed: Interpreter) -> list[Finding]:
    found = []
    if expected.platform and observed.platform and expected.platform != observed.platform:
        found.append(
            warning(
                "interpreter.platform-changed",
                f"the platform is {observed.platform}, and was {expected.platform}",
                subject="python",
                expected=expected.platform,
                observed=observed.platform,
            )
        )
    ours = [*expected.build, expected.compiler]
    theirs = [*observed.build, observed.compiler]
    if expected.version == observed.version and ours != theirs:
        found.append(
            note(
                "interpreter.build-changed",
                "the same version of Python, built another time or by another compiler",
                subject="python",
                expected=ours,
                observed=theirs,
            )
        )
    elif expected.version == observed.version and _is_other(expected, observed):
        found.append(
            note(
                "interpreter.binary-changed",
                "the same version and build of Python, of which the file is another",
                subject="python",
                expected=f"sha256:{expected.libpython or expected.binary}",
                observed=f"sha256:{observed.libpython or observed.binary}",
            )
        )
    return found


def _is_other(expected: Interpreter, observed: Interpreter) -> bool:
    pairs = [(getattr(one, key) for one in (expected, observed)) for key in ("binary", "libpython")]
    return any(before and after and before != after for before, after in pairs)


def _settings(
    expected: Mapping[str, Any], observed: Mapping[str, Any], code: str, what: str
) -> list[Finding]:
    return [
        warning(
            f"interpreter.{code}",
            f"{what} {name} is {_shown(observed.get(name))}, "
            f"and was {_shown(expected.get(name))} in the recorded run",
            subject=name,
            expected=expected.get(name),
            observed=observed.get(name),
        )
        for name in sorted({*expected, *observed})
        if _chosen(name, expected.get(name)) != _chosen(name, observed.get(name))
    ]


def _chosen(name: str, value: Any) -> Any:
    """Return *value*, None where the kernel set it by itself."""
    return None if str(value).startswith(_SET_BY_KERNEL.get(name, ("\0",))) else value


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)
