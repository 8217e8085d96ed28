"""Each format, held against its own tool or its standard's validator where one can be had here.

There is no container engine and no conda: the Dockerfile is read by BuildKit's parser and its
install line is run in a bare environment; environment.yml is read as YAML and its pip part by pip.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from reprolock import lock
from reprolock.cli import main
from reprolock.digest import sha256_file
from reprolock.errors import ExportError
from reprolock.export import FORMATS, format_named
from reprolock.export.licences import Licence, parse
from reprolock.export.model import Subject
from reprolock.facts import Record, installs, interpreter, packages, system
from tests import notebooks
from tests.conftest import RUNNING, Answer, Command, contents, rewrite
from tests.real import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = [one.name for one in FORMATS]
GIT = packages.VcsSource("git", "https://git.example/tool.git", "a" * 40, None, "python")
SDIST = packages.SdistFile("old-1.0.tar.gz", "https://index.example/old-1.0.tar.gz", "b" * 64, 10)
ZIP = packages.ArchiveSource("https://index.example/main.zip", "c" * 64, 10, "sub")


def note(folder: Path) -> Path:
    """Write a notebook that reads a file, imports a module beside it, and writes a file."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "values.csv").write_text("".join(f"{n * 1.5}\n" for n in range(100)))
    (folder / "helper.py").write_text("def mean(x):\n    return x.mean()\n")
    made = notebooks.notebook(
        "import numpy as np\nfrom pathlib import Path\nnp.random.seed(42)",
        "values = np.loadtxt('data/values.csv')",
        "import helper\nscore = float(helper.mean(values))\nprint(f'score: {score:.6f}')",
        "Path('out').mkdir(exist_ok=True)\nPath('out/result.txt').write_text(f'{score}\\n')",
    )
    return notebooks.write(made, folder / "note.ipynb")


@pytest.fixture(scope="module")
def captured_once(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, numpy_python: Path
) -> Path:
    folder = tmp_path_factory.mktemp("export") / "project"
    note(folder)
    done = Command(folder, shared_cache)("capture", "note.ipynb", "--python", numpy_python)
    assert done.code == 0, str(done)
    return folder


@pytest.fixture
def project(captured_once: Path, tmp_path: Path) -> Path:
    """A copy of a captured project."""
    shutil.copytree(captured_once, tmp_path / "project")
    return tmp_path / "project"


class Here:
    """The command in this process, which has loaded the libraries of all formats already."""

    def __init__(self, cache: Path, patch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.cache, self.patch, self.capsys = cache, patch, capsys

    def __call__(self, *arguments: str | Path, cwd: Path | None = None) -> Answer:
        with self.patch.context() as patch:
            patch.setenv("REPROLOCK_CACHE", str(self.cache))
            patch.setenv("NO_COLOR", "1")
            patch.setenv("COLUMNS", "80")
            if cwd is not None:
                patch.chdir(cwd)
            self.capsys.readouterr()
            code = main([str(argument) for argument in arguments])
        said = self.capsys.readouterr()
        return Answer(code, said.out, said.err, 0.0)


@pytest.fixture
def cli(
    shared_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    return Here(shared_cache, monkeypatch, capsys)


def export(cli: Command | Here, project: Path, to: str, *more: str | Path) -> Path:
    done = cli("export", project / "pylock.note.toml", "--to", to, "--json", *more)
    assert done.code == 0, str(done)
    jsonschema.validate(
        done.json, json.loads((ROOT / "schemas" / "result.schema.json").read_text("utf-8"))
    )
    assert done.json["command"] == "export"
    assert done.json["export"]["format"] == to
    return Path(done.json["export"]["path"])


def subject(project: Path, **more: Any) -> Subject:
    locked = lock.read(project / "pylock.note.toml")
    return Subject(locked, lambda *_: None, **more)


def having(found: Subject, **facts: Any) -> Subject:
    """Return *found* with other facts: packages, interpreter, system or installs."""
    kinds = {type(value): value for value in facts.values()}
    record = Record({**found.locked.record.facts, **kinds})
    return replace(found, locked=replace(found.locked, record=record))


def written(to: str, found: Subject) -> tuple[str, list[Any]]:
    file = io.BytesIO()
    findings = format_named(to).write(found, file)
    return file.getvalue().decode(), list(findings)


def odd(found: Subject) -> Subject:
    """Return a lock with a repository, a source, an archive, and what cannot be pinned."""
    first = found.packages.packages[:1]
    return having(
        found,
        packages=packages.Packages(
            (
                *first,
                packages.LockedPackage("old", "1.0", SDIST, "sdist-only"),
                packages.LockedPackage("tool", "2.0", GIT, "direct-url"),
                packages.LockedPackage("zipped", "3.0", ZIP, "direct-url"),
            ),
            (
                packages.UnresolvedPackage("mine", "0.1", "editable"),
                packages.UnresolvedPackage(
                    "mkl", "2024.0", "conda",
                    origin={"kind": "conda", "name": "mkl", "version": "2024.0", "build": "h1_0",
                            "channel": "https://conda.example/conda-forge"},
                ),
                packages.UnresolvedPackage(
                    "pyyaml", "6.0", "dpkg",
                    origin={"kind": "apt", "name": "python3-yaml", "version": "6.0-3+b2"},
                ),
            ),
        ),
    )  # fmt: skip


# All formats


@pytest.mark.parametrize("to", NAMES)
def test_two_exports_are_the_same_bytes_and_nothing_else_changes(
    to: str, project: Path, cli: Here
) -> None:
    before = contents(project)
    made = export(cli, project, to)
    first = made.read_bytes()
    assert {k: v for k, v in contents(project).items() if project / k != made} == before
    for path in project.rglob("*"):
        path.touch()
    assert export(cli, project, to, "-o", project.parent / "again").read_bytes() == first
    assert str(project) not in first.decode("latin-1")


def test_an_export_goes_into_a_folder_that_is_named(project: Path, cli: Here) -> None:
    made = export(cli, project, "requirements", "-o", project.parent)
    assert made == project.parent / "requirements.note.txt"


def test_what_belongs_to_the_lock_is_not_written_over(project: Path, cli: Here) -> None:
    before = contents(project)
    for name in ("pylock.note.toml", "note.ipynb", "note.reference.ipynb", "data/values.csv"):
        done = cli("export", project / "pylock.note.toml", "--to", "conda", "-o", project / name)
        assert done.code == 2, str(done)
        assert "belongs to it" in done.err
    assert contents(project) == before


@pytest.mark.parametrize("to", NAMES)
def test_a_file_of_somebody_else_is_not_written_over(
    to: str, project: Path, cli: Here, tmp_path: Path
) -> None:
    lock_file, other = project / "pylock.note.toml", tmp_path / "other"
    other.write_text("made by reprolock: reprolock==0.1\n")
    link = tmp_path / "link"
    link.symlink_to(other)
    for place in (other, link):
        done = cli("export", lock_file, "--to", to, "--offline", "-o", place)
        assert done.code == 2, str(done)
        assert "--force" in done.err
    assert other.read_text() == "made by reprolock: reprolock==0.1\n"
    assert link.is_symlink()
    assert cli("export", lock_file, "--to", to, "--force", "-o", other).code == 0
    assert cli("export", lock_file, "--to", to, "-o", other).code == 0, "its own earlier one"


def test_a_device_is_not_replaced_by_a_file(project: Path, cli: Here) -> None:
    for more in ((), ("--force",)):
        done = cli(
            "export", project / "pylock.note.toml", "--to", "conda", "-o", "/dev/null", *more
        )
        assert done.code == 2, str(done)
        assert "no regular file" in done.err
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("to", [n for n in NAMES if n not in ("bundle", "ro-crate")])
def test_credentials_of_an_address_are_not_written(to: str, project: Path) -> None:
    url = "https://ann:hunter2@index.example/a-1-py3-none-any.whl"
    wheel = packages.WheelFile("a-1-py3-none-any.whl", url, "a" * 64)
    vcs = replace(GIT, url="https://ann:hunter2@git.example/tool.git")
    listed = (
        packages.LockedPackage("a", "1", wheel, "record"),
        packages.LockedPackage("tool", "2", vcs, "direct-url"),
    )
    found = having(replace(subject(project), offline=True), packages=packages.Packages(listed))
    text, findings = written(to, found)
    assert "hunter2" not in text + repr(findings)


def test_a_notebook_that_reads_itself_is_packed_once(project: Path) -> None:
    from reprolock.export.contents import of_the_run
    from reprolock.facts import data

    found = subject(project)
    facts = found.locked.record[data.Data]
    itself = data.DataFile(
        "note.ipynb", data.INPUT, None, sha256_file(project / "note.ipynb"), cell=0
    )
    members, _ = of_the_run(having(found, data=replace(facts, files=(*facts.files, itself))))
    assert [m.role for m in members if m.place == "run/note.ipynb"] == ["notebook"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("pylock.note.toml", "--to", "docker"), 2, "requirements, conda, dockerfile"),
        (("pylock.note.toml",), 2, "Missing option '--to'"),
        (("pylock.none.toml", "--to", "conda"), 2, "cannot read the lock"),
        (("note.ipynb", "--to", "conda"), 2, "is not a lock"),
        (("pylock.note.toml", "--to", "conda", "-o", "no/such/place.yml"), 2, "there is no folder"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], code: int, says: str, project: Path, cli: Here
) -> None:
    before = contents(project)
    done = cli("export", *arguments, cwd=project)
    assert done.code == code, str(done)
    assert says in done.err
    assert "hint: " in done.err
    assert contents(project) == before


def test_a_lock_that_was_changed_is_not_exported(project: Path, cli: Here) -> None:
    path = project / "pylock.note.toml"
    path.write_text(path.read_text().replace("2.2.6", "2.2.5"))
    done = cli("export", path, "--to", "requirements", "--json")
    assert done.code == 2, str(done)
    assert done.codes() == {"lock.unreadable"}
    assert not (project / "requirements.note.txt").exists()


def test_a_missing_library_is_named_with_its_extra(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module, to in (("cyclonedx.output.json", "sbom"), ("rocrate", "ro-crate")):
        monkeypatch.setitem(sys.modules, module, None)
        assert main(["export", str(project / "pylock.note.toml"), "--to", to]) == 1
        assert f"hint: pip install 'reprolock[{to}]'" in capsys.readouterr().err
    assert not list(project.glob("*.json"))


def test_formats_load_no_heavy_library(project: Path) -> None:
    code = (
        "import sys, reprolock.cli.export, reprolock.export; "
        "print(sorted({'cyclonedx', 'rocrate', 'nbclient', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# requirements.txt


@pytest.fixture(scope="module")
def old_pip() -> Path:
    return environment(RUNNING, ["pip==22.3"])


@pytest.mark.slow
def test_requirements_install_with_an_old_pip(project: Path, cli: Here, old_pip: Path) -> None:
    made = export(cli, project, "requirements")
    done = subprocess.run(
        [old_pip, "-m", "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "-r", made],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "numpy-2.2.6" in done.stdout


def test_requirements_install_with_uv(project: Path, cli: Here, tmp_path: Path) -> None:
    import uv

    made = export(cli, project, "requirements")
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, tmp_path / "venv"],
                   check=True)  # fmt: skip
    done = subprocess.run(
        [uv.find_uv_bin(), "pip", "install", "--dry-run", "--require-hashes", "--no-deps",
         "--python", python, "-r", made],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "numpy==2.2.6" in done.stderr


@pytest.mark.slow
def test_a_wrong_hash_in_requirements_is_refused_by_pip(
    project: Path, cli: Here, old_pip: Path
) -> None:
    made = export(cli, project, "requirements")
    line = next(li for li in made.read_text().splitlines() if li.startswith("comm"))
    made.write_text(re.sub(r"sha256:.{4}", "sha256:0000", line))
    done = subprocess.run(
        [old_pip, "-m", "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "-r", made],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_requirements_of_what_has_no_hash(project: Path) -> None:
    text, findings = written("requirements", odd(subject(project)))
    assert f"old @ {SDIST.url} --hash=sha256:{'b' * 64}\n" in text
    assert f"zipped @ {ZIP.url}#subdirectory=sub --hash=sha256:{'c' * 64}\n" in text
    address = f"tool @ git+https://git.example/tool.git@{'a' * 40}#subdirectory=python"
    assert f"# pip install --no-deps '{address}'\n" in text
    assert {(f.code, f.subject) for f in findings} == {
        ("export.not-carried", name) for name in ("tool", "mine", "mkl", "pyyaml")
    }
    assert next(f for f in findings if f.subject == "tool").hint.endswith(f"'{address}'")


@pytest.mark.parametrize("url", ["https://x/a b.whl", "https://x/a.whl\n--index-url evil", "x'y"])
def test_an_address_cannot_break_out_of_its_line(url: str, project: Path) -> None:
    found = subject(project)
    source = packages.WheelFile("a-1-py3-none-any.whl", url, "a" * 64)
    forged = packages.Packages((packages.LockedPackage("a", "1", source, "record"),))
    for to in ("requirements", "conda"):
        with pytest.raises(ExportError, match="without spaces"):
            written(to, having(found, packages=forged))


# environment.yml


def test_environment_yml_is_what_conda_takes(project: Path, cli: Here) -> None:
    yaml = pytest.importorskip("yaml")
    made = yaml.safe_load(export(cli, project, "conda").read_text("utf-8"))
    locked = lock.read(project / "pylock.note.toml")
    assert set(made) == {"name", "channels", "dependencies"}
    assert made["name"] == "note"
    python, pip, listed = made["dependencies"]
    assert python == f"python={locked.record[interpreter.Interpreter].version}"
    assert pip == "pip"
    assert list(listed) == ["pip"]
    assert len(listed["pip"]) == len(locked.record[packages.Packages].packages)
    from packaging.requirements import Requirement

    for line in listed["pip"]:
        found = Requirement(line)
        assert re.search(r"#sha256=[0-9a-f]{64}$", found.url or ""), line


def test_what_conda_installed_is_conda_s_again(project: Path) -> None:
    yaml = pytest.importorskip("yaml")
    text, findings = written("conda", odd(subject(project)))
    made = yaml.safe_load(text)
    assert "mkl=2024.0=h1_0" in made["dependencies"]
    assert made["channels"] == ["https://conda.example/conda-forge", "conda-forge"]
    pip = made["dependencies"][-1]["pip"]
    assert f"tool @ git+https://git.example/tool.git@{'a' * 40}#subdirectory=python" in pip
    carried = {f.subject for f in findings if f.code == "export.not-carried"}
    assert carried == {"mine", "pyyaml"}


# Dockerfile and devcontainer.json

INSTALLED = """
import importlib.metadata as m
print(*sorted(d.metadata["Name"].lower().replace("_", "-") for d in m.distributions()))
"""
KNOWN = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "CMD"}


def instructions(text: str, folder: Path) -> list[Any]:
    parser = pytest.importorskip("dockerfile")
    path = folder / "Dockerfile"
    path.write_text(text)
    return list(parser.parse_file(str(path)))


def test_the_dockerfile_is_one_for_buildkit(project: Path, cli: Here, tmp_path: Path) -> None:
    made = export(cli, project, "dockerfile")
    found = instructions(made.read_text("utf-8"), tmp_path)
    assert {one.cmd for one in found} <= KNOWN
    version = subject(project).interpreter.version
    assert found[0].cmd == "FROM"
    assert found[0].flags == ("--platform=linux/amd64",)
    assert found[0].value == (f"python:{version}-slim",)
    copied = [one.value for one in found if one.cmd == "COPY"]
    assert all((project / source).is_file() for source, _ in copied)
    assert ("data/values.csv", "./data/values.csv") in copied
    assert ("helper.py", "./helper.py") in copied
    assert found[-1].cmd == "CMD"


def bare_venv(folder: Path) -> Path:
    """Make an environment with pip alone, as an official image has."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin"


@pytest.mark.slow
def test_the_install_line_of_the_dockerfile_runs(project: Path, cli: Here, tmp_path: Path) -> None:
    found = instructions(export(cli, project, "dockerfile").read_text("utf-8"), tmp_path)
    line = next(one.value[0] for one in found if one.cmd == "RUN")
    place = tmp_path / "environment"
    path = f"{bare_venv(tmp_path / 'image')}:/usr/bin:/bin"
    done = subprocess.run(
        ["sh", "-c", line.replace("/opt/environment", str(place))],
        cwd=project, env=clean(path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [place / "bin" / "python", "-c", INSTALLED],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert listed == [p.name for p in subject(project).packages.packages]
    ran = subprocess.run(
        found[-1].value, cwd=project, env=clean(f"{place}/bin:{path}"),
        executable=place / "bin" / found[-1].value[0], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "score: 74.25" in ran.stdout, ran.stderr
    assert ran.returncode == 0


def clean(path: str) -> dict[str, str]:
    import os

    kept = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return {**kept, "PATH": path}


def test_the_devcontainer_has_the_keys_of_its_reference(project: Path, cli: Here) -> None:
    """The published schema is on no package index: held against it by hand, here by its keys."""
    made = export(cli, project, "devcontainer")
    assert made == project / ".devcontainer" / "note" / "devcontainer.json"
    found = json.loads(made.read_text("utf-8"))
    assert set(found) == {
        "name", "image", "runArgs", "onCreateCommand", "remoteEnv", "customizations",
    }  # fmt: skip
    assert found["image"] == f"python:{subject(project).interpreter.version}-slim"
    assert "uv pip sync" in found["onCreateCommand"]
    assert "pylock.note.toml" in found["onCreateCommand"]
    assert all(isinstance(v, str) for v in found["remoteEnv"].values())
    assert found["remoteEnv"]["PATH"].startswith("/opt/environment/bin:")


def with_apt(found: Subject, os: str, version: str) -> Subject:
    changes = (
        installs.Change("libgomp1", None, "12.2.0-14", 0, system=True),
        installs.Change("gone", "1", None, 0, system=True),
        installs.Change("bad; rm -rf /", None, "1", 0, system=True),
        installs.Change("six", None, "1.17.0", 0),
    )
    loaded = tuple(system.Library(n, "0" * 64) for n in ("libSM.so.6.0.1", "libgomp.so.1.0.0"))
    facts = replace(found.locked.record[system.System], os=os, os_version=version, libraries=loaded)
    return having(found, installs=installs.Installs(changes=changes), system=facts)


@pytest.mark.parametrize(
    ("os", "version", "base", "package", "codes"),
    [
        ("debian", "12", "-slim-bookworm", "libgomp1=12.2.0-14 libsm6", set()),
        ("ubuntu", "22.04", "-slim", "libgomp1 libsm6", {"export.system-packages-loose"}),
    ],
)
def test_the_packages_of_apt(
    os: str, version: str, base: str, package: str, codes: set[str], project: Path, tmp_path: Path
) -> None:
    found = with_apt(subject(project), os, version)
    text, findings = written("dockerfile", found)
    parsed = instructions(text, tmp_path)
    assert parsed[0].value == (f"python:{found.interpreter.version}{base}",)
    install = f"apt-get install -y --no-install-recommends {package}"
    assert parsed[1].value == (f"apt-get update  && {install}  && rm -rf /var/lib/apt/lists/*",)
    assert {f.code for f in findings} == {"export.interpreter-differs", *codes}
    made = json.loads(written("devcontainer", found)[0])
    assert f"--no-install-recommends {package} && " in made["onCreateCommand"]


def test_what_has_nbformat_runs_the_notebook_by_its_name(project: Path) -> None:
    found = subject(project)
    source = packages.WheelFile("n-5-py3-none-any.whl", "https://x.example/n.whl", "d" * 64)
    more = packages.LockedPackage("nbformat", "5", source, "record")
    both = packages.Packages((*found.packages.packages, more))
    assert written("dockerfile", having(found, packages=both))[0].endswith(
        'CMD ["ipython", "note.ipynb"]\n'
    )


def test_what_has_to_be_built_or_cloned_gets_its_tools(project: Path) -> None:
    text, findings = written("dockerfile", odd(subject(project)))
    assert "--no-install-recommends build-essential git " in text
    # What apt has for Debian's own Python is nothing to the image's.
    assert {f.subject for f in findings if f.code == "export.not-carried"} == {
        "mine", "mkl", "pyyaml",
    }  # fmt: skip


def test_variables_are_quoted_and_private_ones_stay_out(project: Path, tmp_path: Path) -> None:
    found = subject(project)
    environ = {"OMP_NUM_THREADS": "2", "XLA_FLAGS": '--a="b c" $HOME', "LC_ALL": "<path>/x",
               "MPLBACKEND": "agg"}  # fmt: skip
    facts = replace(found.interpreter, environ=environ)
    text, _ = written("dockerfile", having(found, interpreter=facts))
    env = [one.original for one in instructions(text, tmp_path) if one.cmd == "ENV"]
    assert env[:-1] == ['ENV OMP_NUM_THREADS="2"', 'ENV XLA_FLAGS="--a=\\"b c\\" \\$HOME"']


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"free_threaded": True}, "no official image"),
        ({"implementation": "graalpy"}, "no official image"),
        ({"platform": "macosx-14.0-arm64"}, "a container runs Linux"),
    ],
)
def test_a_python_that_no_image_has(changes: dict[str, Any], says: str, project: Path) -> None:
    found = subject(project)
    other = having(found, interpreter=replace(found.interpreter, **changes))
    for to in ("dockerfile", "devcontainer"):
        with pytest.raises(ExportError, match=says):
            written(to, other)


# CycloneDX


def test_the_bill_of_materials_is_valid_and_complete(project: Path, cli: Here) -> None:
    pytest.importorskip("cyclonedx")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = export(cli, project, "sbom").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    made, found = json.loads(text), subject(project)
    assert made["specVersion"] == "1.6"
    assert made["metadata"]["component"]["name"] == "note.ipynb"
    assert made["metadata"]["timestamp"].startswith(found.created.isoformat()[:19])
    by_name = {c["name"]: c for c in made["components"]}
    assert {p.name for p in found.packages.packages} < by_name.keys()
    numpy, locked = by_name["numpy"], found.packages.get("numpy")
    assert isinstance(locked, packages.LockedPackage)
    source = locked.source
    assert isinstance(source, packages.WheelFile)
    assert numpy["purl"].startswith("pkg:pypi/numpy@2.2.6?file_name=numpy-2.2.6-cp3")
    assert numpy["hashes"] == [{"alg": "SHA-256", "content": source.sha256}]
    (reference,) = numpy["externalReferences"]
    assert (reference["type"], reference["url"]) == ("distribution", source.url)
    assert reference["hashes"] == numpy["hashes"]
    licences = {name: c.get("licenses") for name, c in by_name.items()}
    assert all(licences[p.name] for p in found.packages.packages), licences
    assert by_name["ipykernel"]["licenses"][0]["license"]["id"] == "BSD-3-Clause"
    root = made["metadata"]["component"]["bom-ref"]
    depends = next(d for d in made["dependencies"] if d["ref"] == root)["dependsOn"]
    assert sorted(depends) == sorted(c["bom-ref"] for c in made["components"])


def test_the_bill_of_an_odd_lock_is_valid(project: Path) -> None:
    pytest.importorskip("cyclonedx")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = with_apt(odd(replace(subject(project), offline=True)), "debian", "12")
    text, findings = written("sbom", found)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    purls = {c["name"]: c.get("purl") for c in json.loads(text)["components"]}
    assert purls["mkl"] == (
        "pkg:conda/mkl@2024.0?build=h1_0&channel=https://conda.example/conda-forge"
    )
    assert purls["pyyaml"] == "pkg:deb/debian/python3-yaml@6.0-3%2Bb2"
    assert purls["libgomp1"] == "pkg:deb/debian/libgomp1@12.2.0-14"
    assert purls["tool"].startswith("pkg:pypi/tool@2.0?vcs_url=git")
    assert [f.code for f in findings] == ["export.licences-unknown"]


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ("License-Expression: MIT OR Apache-2.0\n", Licence("MIT OR Apache-2.0")),
        ("License: BSD 3-Clause\n", Licence(None, "BSD 3-Clause")),
        ("License: UNKNOWN\n", Licence()),
        ("License: Copyright\n        and a whole text\n", Licence()),
        (
            "Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: MIT License\n",
            Licence(None, None, ("MIT License",)),
        ),
        ("", Licence()),
    ],
)
def test_licences_of_old_and_new_metadata(metadata: str, wanted: Licence) -> None:
    head = "Metadata-Version: 2.1\nName: x\nVersion: 1\n"
    assert parse(f"{head}{metadata}\nThe description.\nLicense: not this\n") == wanted


# RO-Crate


def test_the_crate_is_read_back_by_rocrate(project: Path, cli: Here, tmp_path: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    made = export(cli, project, "ro-crate")
    crate = rocrate.ROCrate(str(made))
    main_entity = crate.mainEntity
    assert main_entity.id == "run/note.ipynb"
    assert "ComputationalWorkflow" in main_entity["@type"]
    (action,) = crate.get_by_type("CreateAction")
    assert action["instrument"].id == "run/note.ipynb"
    assert {e.id for e in action["object"]} == {
        "run/pylock.note.toml", "run/data/values.csv", "run/helper.py",
    }  # fmt: skip
    assert {e.id for e in action["result"]} == {
        "run/note.reference.ipynb", "run/out/result.txt", "#metric-score",
    }  # fmt: skip
    assert crate.get("#metric-score")["value"] == "74.25"
    assert main_entity["programmingLanguage"]["version"] == subject(project).interpreter.version
    with zipfile.ZipFile(made) as archive:
        inside = {n for n in archive.namelist() if n != "ro-crate-metadata.json"}
        assert {e.id for e in crate.data_entities} == inside
        assert archive.read("run/data/values.csv") == (project / "data/values.csv").read_bytes()


# What reads a lock reads a bundle's as well


def test_a_bundle_is_exported_again(project: Path, cli: Here, tmp_path: Path) -> None:
    bundle = export(cli, project, "bundle", "-o", tmp_path)
    for to in ("requirements", "sbom"):
        again = cli("export", bundle, "--to", to, "--json", "--offline", "-o", tmp_path / f"2.{to}")
        assert again.code == 0, str(again)
        first = export(cli, project, to)
        assert (tmp_path / f"2.{to}").read_bytes() == first.read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_leaves_no_half_bundle(project: Path, small_disk: Path, cli: Here) -> None:
    old = small_disk / "note.reprolock.zip"
    old.write_bytes(b'an older one: "created-by": "reprolock"')
    done = cli("export", project / "pylock.note.toml", "--to", "bundle", "-o", old)
    assert done.code == 2, str(done)
    assert "cannot write" in done.err
    assert "No space left" in done.err
    assert contents(small_disk).keys() == {"note.reprolock.zip"}
    assert old.read_bytes().startswith(b"an older one")


@pytest.mark.slow
def test_a_full_cache_is_told(project: Path, small_disk: Path) -> None:
    small = Command(project, small_disk)
    done = small("export", "pylock.note.toml", "--to", "bundle", "--json")
    assert done.code == 1, str(done)
    assert "REPROLOCK_CACHE" in done.finding("export.failed")["hint"]
    assert not (project / "note.reprolock.zip").exists()


# Files that are gone

DEAD = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "UV_DEFAULT_INDEX": "http://127.0.0.1:9/s",
        "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}  # fmt: skip


def dead_address(project: Path) -> None:
    """Move numpy's wheel in the lock to where nobody answers."""
    source = subject(project).packages.get("numpy").source  # type: ignore[union-attr]
    rewrite(project / "pylock.note.toml", source.url, f"http://127.0.0.1:9/{source.filename}")


def test_a_wheel_that_is_gone_from_everywhere_is_named(
    project: Path, empty_cache_cli: Command
) -> None:
    dead_address(project)
    done = empty_cache_cli(
        "export", project / "pylock.note.toml", "--to", "bundle", "--json", env=DEAD
    )
    assert done.code == 1, str(done)
    finding = done.finding("export.failed")
    assert (
        "1 file of the lock's packages cannot be had; numpy 2.2.6 (numpy-2.2.6-cp"
        in (finding["message"])
    )
    assert "PIP_FIND_LINKS" in finding["hint"]
    assert not (project / "note.reprolock.zip").exists()


@pytest.mark.slow
def test_a_wheel_that_is_gone_is_taken_from_another_index(
    project: Path, empty_cache_cli: Command
) -> None:
    dead_address(project)
    made = export(empty_cache_cli, project, "bundle")
    with zipfile.ZipFile(made) as archive:
        assert any(name.startswith("packages/numpy-2.2.6-cp") for name in archive.namelist())


@pytest.mark.slow
def test_without_a_network_what_was_fetched_before_is_enough(
    project: Path, cli: Here, empty_cache_cli: Command
) -> None:
    export(cli, project, "bundle")
    assert export(cli, project, "bundle", "--offline")
    done = empty_cache_cli(
        "export", project / "pylock.note.toml", "--to", "bundle", "--offline", "--json", env=DEAD
    )
    assert done.code == 1, str(done)
    assert "30 files" in done.finding("export.failed")["message"]
    assert "--offline" in done.finding("export.failed")["hint"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: (p / "data/values.csv").unlink(), "data/values.csv: No such file"),
        (lambda p: (p / "data/values.csv").write_text("1\n"), "not the file that was captured"),
        (lambda p: (p / "note.reference.ipynb").unlink(), "note.reference.ipynb"),
        (lambda p: (p / "note.reference.ipynb").write_text("{}"), "note.reference.ipynb"),
        (lambda p: (p / "note.ipynb").write_text("{}"), "note.ipynb"),
        (lambda p: (p / "note.ipynb").unlink(), "note.ipynb"),
    ],
)
@pytest.mark.parametrize("to", ["bundle", "ro-crate"])
def test_what_a_run_needs_is_there_or_nothing_is_written(
    change: Any, says: str, to: str, project: Path, cli: Here
) -> None:
    change(project)
    done = cli("export", project / "pylock.note.toml", "--to", to, "--json")
    assert done.code == 1, str(done)
    assert says in done.finding("export.failed")["message"]
    assert not list(project.glob("*.zip"))


def test_outputs_that_are_gone_or_changed_are_left_out_and_told(project: Path, cli: Here) -> None:
    (project / "out/result.txt").write_text("another")
    done = cli("export", project / "pylock.note.toml", "--to", "ro-crate", "--json")
    assert done.code == 0, str(done)
    assert done.finding("export.data-left-out")["subject"] == "out/result.txt"


def test_the_size_limit_names_inputs_and_leaves_outputs_out(project: Path, cli: Here) -> None:
    lock_file = project / "pylock.note.toml"
    done = cli("export", lock_file, "--to", "bundle", "--max-size", "0", "--json")
    assert done.code == 1, str(done)
    assert "2 files that the notebook reads" in done.finding("export.failed")["message"]
    assert "--max-size" in done.finding("export.failed")["hint"]


# The page that describes it

MASKS = (
    (r"\S*/(?=[\w.]+(?:\s|$))", ""),
    (r"\b[0-9a-f]{64}\b", "SHA"),
    (r"\d+(\.\d+)? (B|KiB|MiB)", "SIZE"),
    (r"python:3\.\d+\.\d+\S*", "python:3.X"),
    (r"linux/\w+", "linux/X"),
    (r"uv==[\d.]+", "uv==X"),
    (r'ENV (LANG|PYTHONHASHSEED)=".*"\n', ""),
)


def masked(text: str) -> str:
    for pattern, new in MASKS:
        text = re.sub(pattern, new, text, flags=re.MULTILINE)
    return text.strip()


def test_what_the_page_shows_is_what_is_written(project: Path, cli: Here) -> None:
    page = (ROOT / "docs" / "export.md").read_text("utf-8")
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    for step in (
        step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ):
        command, _, shown = step.partition("\n")
        program, *arguments = command.split()
        if program == "reprolock":
            said = cli(*arguments, cwd=project).out
        elif program == "grep":
            said = subprocess.run([program, *arguments], cwd=project, capture_output=True,
                                  text=True, check=True).stdout  # fmt: skip
        else:
            assert program == "uv"  # held by test_requirements_install_with_uv
            continue
        assert masked(said) == masked(shown), command
    for name in NAMES:
        assert f"| `{name}` |" in page
