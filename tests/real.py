"""Real notebooks of other people, out of pinned source archives on the package index.

Nothing of them is in this repository: an archive is fetched once, checked against its SHA-256,
kept in ``.cache/sdists``, and one member of it is read. The environment that a notebook needs
is made once by uv in ``.cache/envs``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import filelock
import pytest
import urllib3

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"


@dataclass(frozen=True)
class Sdist:
    """A source archive on the index: *file* is its name there, *licence* that of its content."""

    name: str
    version: str
    file: str
    sha256: str
    licence: str


SDISTS = {
    s.name: s
    for s in (
        Sdist(
            "corner",
            "2.3.0",
            "corner-2.3.0.tar.gz",
            "685ecb1e778809b78c6783f4a4691d023bbd9f781c9efda683c2b793878b561c",
            "BSD-2-Clause",
        ),
        Sdist(
            "emcee",
            "3.1.6",
            "emcee-3.1.6.tar.gz",
            "11af4daf6ab8f9ca69681e3c29054665db7bbd87fd4eb8e437d2c3a1248c637d",
            "MIT",
        ),
        Sdist(
            "flax",
            "0.12.8",
            "flax-0.12.8.tar.gz",
            "1bb438775b967a3f1f42b9c3d4ddf1d2883cd6406589f9cecdc244634036bdc4",
            "Apache-2.0",
        ),
        Sdist(
            "gpytorch",
            "1.15.2",
            "gpytorch-1.15.2.tar.gz",
            "380625e93f851b85f772b25c5fb0a6c6d2e3eb2ef667f1e566ab4f95b8775361",
            "MIT",
        ),
        Sdist(
            "imbalanced-learn",
            "0.14.2",
            "imbalanced_learn-0.14.2.tar.gz",
            "f80ce7eafbcece8686e32571bd12978546c729c3f277215bead61a906ce9afe4",
            "MIT",
        ),
        Sdist(
            "lmfit",
            "1.3.4",
            "lmfit-1.3.4.tar.gz",
            "3c22c28c43f717f6c5b4a3bd81e893a2149739c26a592c046f2e33c23cfbe497",
            "BSD-3-Clause",
        ),
        Sdist(
            "nbclient",
            "0.11.0",
            "nbclient-0.11.0.tar.gz",
            "04a134a5b087f2c5887f228aca155db50169b8cd9334dee6942c8e927e56081a",
            "BSD-3-Clause",
        ),
        Sdist(
            "nbconvert",
            "7.17.2",
            "nbconvert-7.17.2.tar.gz",
            "344a218e8595117ce37396ed025d994f146d076226ebac59255a2fa085ab24d8",
            "BSD-3-Clause",
        ),
        Sdist(
            "nbval",
            "0.11.0",
            "nbval-0.11.0.tar.gz",
            "77c95797607b0a968babd2597ee3494102d25c3ad37435debbdac0e46e379094",
            "BSD-3-Clause",
        ),
        Sdist(
            "seaborn",
            "0.13.2",
            "seaborn-0.13.2.tar.gz",
            "93e60a40988f4d65e9f4885df477e2fdaff6b73a9ded434c1ab356dd57eefff7",
            "BSD-3-Clause",
        ),
    )
}


def sdist(name: str) -> Path:
    """Return the checked archive of *name*, fetched the first time; skip the test without an index."""
    wanted = SDISTS[name]
    folder = CACHE / "sdists"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / wanted.file
    with filelock.FileLock(folder / f"{wanted.file}.lock"):
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_bytes(_fetch(wanted))
            partial.replace(path)
    return path


def member(name: str, inside: str) -> bytes:
    """Return the file *inside* the archive of *name*; *inside* is the path below its top folder.

    Read, never unpacked to where the archive says: no member can leave the folder.
    """
    parts = PurePosixPath(inside).parts
    with tarfile.open(sdist(name)) as archive:
        for info in archive:
            if info.isfile() and PurePosixPath(info.name).parts[1:] == parts:
                file = archive.extractfile(info)
                assert file is not None
                return file.read()
    raise LookupError(f"{SDISTS[name].file}: wanted {inside}, which is not in it")


def _fetch(wanted: Sdist) -> bytes:
    page_url = f"{_index()}/{wanted.name}/"
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    pool = urllib3.PoolManager(ssl_context=_ssl_context(), retries=3, timeout=60)
    try:
        page = pool.request("GET", page_url, headers=headers)
        url = next(f["url"] for f in json.loads(page.data)["files"] if f["filename"] == wanted.file)
        data = pool.request("GET", urllib.parse.urljoin(page_url, url)).data
    except (urllib3.exceptions.HTTPError, StopIteration, ValueError) as exc:
        pytest.skip(f"{wanted.file} cannot be fetched from the package index: {exc!r}")
    found = hashlib.sha256(data).hexdigest()
    assert found == wanted.sha256, f"{wanted.file}: wanted sha256 {wanted.sha256}, found {found}"
    return data


def _index() -> str:
    """Return the index that pip is set to use, its default where none is set."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if chosen := os.environ.get("PIP_INDEX_URL") or asked.stdout.strip():
        return chosen.rstrip("/")
    from pip._internal.models.index import PyPI

    return str(PyPI.simple_url).rstrip("/")


def _ssl_context() -> ssl.SSLContext:
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if bundle := os.environ.get(name):
            return ssl.create_default_context(cafile=bundle)
    return ssl.create_default_context()


def interpreter(python: str) -> Path:
    """Return an interpreter of version *python* ("3.12"), or skip the test where there is none.

    pyenv's shims answer for versions that are not chosen, so its real folders go first.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    real = [str(folder) for folder in sorted(pyenv.glob("versions/*/bin"))]
    rest = [p for p in os.environ.get("PATH", "").split(os.pathsep) if Path(p) != pyenv / "shims"]
    found = _uv("python", "find", "--no-project", "--system", "--no-python-downloads", python,
                env={"PATH": os.pathsep.join(real + rest)})  # fmt: skip
    if found.returncode != 0:
        pytest.skip(f"Python {python} is not on this machine")
    return Path(found.stdout.strip())


def environment(python: str = "3.12", requirements: tuple[str, ...] | list[str] = ()) -> Path:
    """Return the interpreter of an environment that holds *requirements* and ipykernel.

    Made once for each set of requirements; a marker file says that it is complete, a lock file
    keeps parallel tests from making it twice.
    """
    base = interpreter(python)
    wanted = sorted(requirements)
    key = hashlib.sha256(json.dumps([str(base), wanted]).encode()).hexdigest()[:16]
    root = CACHE / "envs" / f"py{python}-{key}"
    root.parent.mkdir(parents=True, exist_ok=True)
    marker = root / "complete"
    with filelock.FileLock(root.parent / f"{root.name}.lock"):
        if not marker.exists():
            shutil.rmtree(root, ignore_errors=True)
            _must("venv", "--quiet", "--no-project", "--python", str(base), str(root))
            _must("pip", "install", "--quiet", "--python", str(root / "bin" / "python"),
                  "--link-mode", "copy", *wanted)  # fmt: skip
            marker.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    return root / "bin" / "python"


def _uv(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    import uv

    return subprocess.run(
        [uv.find_uv_bin(), *arguments],
        env={**{k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}, **(env or {})},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def _must(*arguments: str) -> None:
    done = _uv(*arguments)
    if done.returncode != 0:
        if "error sending request" in done.stderr or "dns error" in done.stderr:
            pytest.skip("the package index cannot be reached")
        raise AssertionError(f"uv {' '.join(arguments)}: {done.stderr}")


# Requirements under which the notebooks below ran twice. Packages that are not named come as the
# index has them, and each lock pins what came.
OLD = ("ipykernel==6.29.5", "matplotlib==3.8.4", "numpy==1.26.4", "sympy==1.12")
JAX = ("flax==0.12.12", "ipykernel==7.4.0", "jax==0.12.0.1", "numpy==2.5.5")
SCIENCE = (
    "imbalanced-learn==0.14.2", "ipykernel==7.4.0", "ipywidgets==8.1.8", "matplotlib==3.11.2", "numpy==2.5.5",
    "pandas==3.1.1", "scikit-learn==1.9.1", "scipy==1.18.1", "seaborn==0.13.2", "sympy==1.14.0",
)  # fmt: skip
EXACT = ("BIT_EXACT",)
SAME = ("BIT_EXACT", "REPRODUCED_WITHIN_TOLERANCE")


@dataclass(frozen=True)
class RealNotebook:
    """A notebook of other people and what an honest second run of it must be called.

    *member* is its path below the archive's top folder, *beside* that of files it reads.
    *slow* ones stay out of ``make test``; *rebuild* ones are verified in a rebuilt environment.
    """

    key: str
    sdist: str
    member: str
    python: str
    requirements: tuple[str, ...]
    expected: tuple[str, ...]
    why: str
    beside: tuple[str, ...] = ()
    rebuild: bool = False
    slow: bool = False

    def write(self, folder: Path) -> Path:
        """Write the notebook, and the files it reads, into *folder*; return its path."""
        for name in (*self.beside, self.member):
            (folder / PurePosixPath(name).name).write_bytes(member(self.sdist, name))
        return folder / PurePosixPath(self.member).name


REAL = (
    RealNotebook("nbval-coalesce", "nbval", "tests/test_coalesce.ipynb", "3.9", OLD, SAME,
                 "numpy; equal to its stored outputs; an older Python", rebuild=True),
    RealNotebook("nbconvert-random", "nbconvert", "tests/exporters/files/notebook2.ipynb", "3.9", OLD,
                 ("INCONCLUSIVE",), "numpy without a seed; its stored outputs no longer match"),
    RealNotebook("nbval-exceptions", "nbval", "tests/exceptions.ipynb", "3.9", OLD,
                 ("DIVERGED", "PARTIAL", *SAME), "raises on purpose, errors stored, no tags; prints the time"),
    RealNotebook("nbconvert-widgets", "nbconvert", "tests/files/Widget_List.ipynb", "3.12", SCIENCE, SAME,
                 "widgets; model ids differ between runs", beside=("tests/files/testimage.png",)),
    RealNotebook("flax-filters", "flax", "docs_nnx/guides/filters_guide.ipynb", "3.12", JAX, SAME,
                 "jax; equal to its stored outputs", rebuild=True, slow=True),
    RealNotebook("imblearn-metrics", "imbalanced-learn", "doc/auto_examples/evaluation/plot_metrics.ipynb", "3.12",
                 SCIENCE, SAME, "scikit-learn; none stored", rebuild=True),
    RealNotebook("imblearn-shrinkage", "imbalanced-learn",
                 "doc/auto_examples/over-sampling/plot_shrinkage_effect.ipynb", "3.12", SCIENCE, SAME,
                 "scikit-learn, matplotlib and seaborn pictures", slow=True),
    RealNotebook("nbconvert-sympy", "nbconvert", "tests/files/notebook1.ipynb", "3.9", OLD, SAME,
                 "sympy; equal to its stored outputs", slow=True),
    RealNotebook("nbval-latex", "nbval", "tests/latex-example.ipynb", "3.9", OLD, ("INCONCLUSIVE",),
                 "sympy, drawing without a seed", slow=True),
    RealNotebook("flax-tiny", "flax", "docs_nnx/guides/tiny_nnx.ipynb", "3.12", JAX, SAME,
                 "jax; trains; equal to its stored outputs", slow=True),
    RealNotebook("flax-intermediates", "flax", "docs_nnx/guides/extracting_intermediates.ipynb", "3.12", JAX, SAME,
                 "jax; stored execution counts out of order", slow=True),
    RealNotebook("flax-engine", "flax", "flax/core/flax_functional_engine.ipynb", "3.12", JAX, SAME,
                 "jax; its stored outputs no longer match", slow=True),
    RealNotebook("seaborn-aesthetics", "seaborn", "doc/_tutorial/aesthetics.ipynb", "3.12", SCIENCE, SAME,
                 "seaborn and matplotlib, many pictures; draws with a seed", slow=True),
    RealNotebook("imblearn-strategy", "imbalanced-learn",
                 "doc/auto_examples/api/plot_sampling_strategy_usage.ipynb", "3.12", SCIENCE, SAME,
                 "scikit-learn and pies", slow=True),
)  # fmt: skip
