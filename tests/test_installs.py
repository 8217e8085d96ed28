"""Installs and downloads inside a notebook: recorded, answered in a replay, compared."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from reprolock.compare import CompareOptions, compare_cells
from reprolock.compare.model import CellStatus
from reprolock.facts import installs
from reprolock.facts.data import Data, DataFile, Places
from reprolock.facts.installs import Change, Command, Installs, Stale
from reprolock.facts.packages import (
    LockedPackage,
    Packages,
    UnresolvedPackage,
    VcsSource,
    WheelFile,
)
from reprolock.kernel import finish_code, read_journal, start_code
from reprolock.rebuild.uv import uv_binary
from reprolock.recorder import commands, credentials, runners, wants
from reprolock.recorder.journal import Journal
from tests import notebooks
from tests.conftest import Answer, toml
from tests.conftest import Command as Cli
from tests.kernels import Recording, config, kernel, older_python, own_python
from tests.packages_support import Index, make_env, make_wheel, serving

# Command lines.


@pytest.mark.parametrize(
    ("text", "kinds", "rest"),
    [
        ("pip install x", "pip", None),
        ("/opt/x/bin/python3.11 -m pip install -q x  # why", "pip", None),
        ("uv --quiet pip sync r.txt", "uv", None),
        ("sudo -E apt-get -qq -y install -o A=b foo > /dev/null 2>&1", "apt", None),
        ("yes | apt-get install x", "apt", None),
        ("apt install linux-headers-$(uname -r)", "apt", None),
        ("conda install -y -c conda-forge x", "conda", None),
        ("pip install 'numpy>=1.2' | tail -n 1", "pip", None),
        ("git clone https://a/b.git && pip install -r b/r.txt", "git pip", None),
        ("git clone https://a/b.git && cd b && git checkout abc", "git", "true && cd b && true"),
        ("wget -q http://a/b.zip && unzip b.zip && rm b.zip", "fetch", None),
        ("curl -sSLo f.csv https://a/b", "fetch", None),
        ("curl https://a/b > f.csv", "fetch", None),
        ("wget -qO- https://a/b | tar xz", "fetch", None),
        ("pip install x && python train.py", "pip", "true && python train.py"),
        ("python a.py || pip install y", "pip", "python a.py || true"),
        ("echo hello; pip install y", "pip", "echo hello; true"),
        ("mkdir -p data\ncd data\nwget http://x/y", "fetch", "mkdir -p data\ncd data\n true"),
    ],
)
def test_a_line_is_taken_to_pieces(text, kinds, rest):
    line = commands.read(text)
    assert line is not None
    assert line.understood
    assert (" ".join(line.kinds), line.rest) == (kinds, rest)


@pytest.mark.parametrize(
    "text",
    [
        "pip list",
        "pip freeze > r.txt",
        "pip show x",
        "pip install --help",
        "pip install --dry-run x",
        "echo 'pip install x'",
        "git log",
        "curl https://a/b",
        "uv run python x",
        "apt list --installed",
        "ls wget",
        "",
        "'" * 10_000,
    ],
)
def test_other_lines_are_left_alone(text):
    assert commands.read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "for i in 1 2; do pip install $i; done",
        "pip install x &",
        "pip install $(python names.py)",
        "pip install x | python y.py",
        'pip install "x',
        "(pip install x)",
        "pip install x <<EOF\nEOF",
        "pip install " + "'" * 9_999,
    ],
)
def test_what_is_more_than_a_list_is_told_and_not_taken_to_pieces(text):
    line = commands.read(text)
    assert line is not None
    assert not line.understood
    assert line.kinds == ("pip",)


@pytest.mark.parametrize(
    "text",
    [
        "pip install " + "x " * 40_000,
        "pip install " + "\\" * 30_001,
        "pip " + "$(" * 5_000,
        "git " + '"`' * 9_000,
        "curl " + "-a" * 40_000,
        "pip install é 名 \udc80 \x00",
    ],
)
def test_hostile_lines_end(text):
    line = commands.read(text)
    if line is not None:
        wants.requirements(line, "/")
        wants.targets(line, "/")
    json.dumps(credentials.written(text, "/n")).encode("utf-8")


def test_requirements_are_read_with_those_of_files(tmp_path):
    (tmp_path / "r.txt").write_text(
        "numpy>=1 # why\n-r s.txt\n--index-url x\nfoo[bar]==2 --hash=sha256:a \\\n  --hash=sha256:b\n"
    )
    (tmp_path / "s.txt").write_text("deep\n")

    def of(text):
        return wants.requirements(commands.read(text), str(tmp_path))

    assert of("pip install -qU 'a>=1' -r r.txt --index-url y b[c]==2").requirements == (
        "a>=1", "numpy>=1", "deep", "foo[bar]==2", "b[c]==2",
    )  # fmt: skip
    assert of("cd sub && pip install -r r.txt").unread == ("r.txt",)
    for there in ("-t lib", "-Ut lib", "--target=lib", "--prefix env", "--root r"):
        assert of(f"pip install {there} x").elsewhere
    for here in ("-rt.txt", f"--prefix {sys.prefix}", "--upgrade-strategy eager", "--src lib"):
        assert not of(f"pip install {here} x").elsewhere
    assert of("uv pip sync --target lib r.txt").elsewhere
    assert of("PIP_TARGET=lib pip install x").elsewhere
    assert of("uv add --dev x 'y>1'").requirements == ("x", "y>1")
    assert of("pip uninstall -y x").requirements == ()


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("wget http://a/b/c%20d.csv", ["c d.csv"]),
        ("wget 'http://a/b?x=1' -P sub", ["sub/b?x=1"]),
        ("wget -qO f http://a", ["f"]),
        ("wget -r http://a", None),
        ("curl -L https://a/x.zip -o y.zip", ["y.zip"]),
        ("curl -LO https://a/x.zip?z=1", ["x.zip"]),
        ("curl -sL https://x/y | tar xz", None),
        ("git clone -b dev --depth 1 git@h:x/y.git", ["y"]),
        ("git clone https://a/b && cd b && wget http://q/z", ["b", "b/z"]),
        ("gdown 123", None),
        ("kaggle datasets download -d me/set -p data", ["data/set.zip"]),
        ("pip install -t lib -rrequirements.txt", ["lib"]),
        ("cd sub && pip install --prefix=env x", ["sub/env"]),
        ("uv pip install --target lib x", ["lib"]),
        ("PIP_TARGET=lib pip install x", ["lib"]),
        ("pip install -rrequirements.txt -ct.txt", []),
    ],
)
def test_the_files_that_a_command_makes(text, made):
    found = wants.targets(commands.read(text), "/n")
    assert found == (None if made is None else [f"/n/{name}" for name in made])


@pytest.mark.parametrize(
    "text",
    [
        "git clone https://user:zzz@github.com/a/b",
        "pip install git+https://zzz@github.com/a/b",
        "wget 'https://a/b?token=zzz&x=1'",
        "wget 'https://a/b?x=1&X-Amz-Signature=zzz'",
        "curl -H 'Authorization: Bearer zzz' -O https://a/b",
        "curl -H X-Api-Key:zzz -O https://a/b",
        "curl -u me:zzz -O https://a/b",
        "HF_TOKEN=zzz wget https://a",
        "kaggle --token zzz datasets download x",
        "wget --http-password=zzz https://a",
        "pip install --index-url https://x:zzz@h/simple foo",
        "wget --post-data 'user=a&password=zzz' https://a",
        "curl -d 'password=zzz' -O https://a",
        "wget https://a/zzz-in-the-environment",
        "pip install /home/zzz/wheels/x-1-py3-none-any.whl",
        "pip install file:///home/zzz/x.whl",
        "git -c http.extraHeader='Authorization: Bearer zzz' clone http://h/r",
        'git -c "http.https://h/.extraHeader=Authorization: Bearer zzz" clone http://h/r',
        'git config --global http.extraHeader "Authorization: Basic zzz" && git clone http://h/r',
        "curl --oauth2-bearer zzz -O https://h/f",
        "curl --pass zzz -E cert.pem -O https://h/f",
        "curl -E cert.pem:zzz -O https://h/f",
        "curl -F pass=zzz -o f https://h",
        "curl -F a=b -F 'pass=zzz' -o f https://h",
        "curl -H 'Apikey zzz' -O https://h/f",
        'curl -H "X-Any: Bearer zzz" -O https://h/f',
        "curl -H Apikey\\ zzz -O https://h/f",
        "wget --header='X-Session-Id: zzz' https://h/f",
        "kaggle config set -n key -v zzz && kaggle datasets download x",
        "kaggle config set --name key --value=zzz && kaggle datasets download x",
        "echo zzz | docker login -u me --password-stdin; pip install x",
        'echo "zzz" | base64 -d | gh auth login --with-token && git clone http://h/r',
        "printf '%s' 'zzz' | sudo -S apt-get install x",
        "docker login --password-stdin <<< zzz; pip install x",
        'docker login --password-stdin <<<"zzz zzz"; pip install x',
        "docker login -u me --password-stdin <<EOF; pip install x\nzzz\nEOF",
        "printf 'machine h login u password zzz' > ~/.netrc; wget http://h/f",
        "printf 'machine h\\nlogin u\\npassword zzz\\n' >> ~/.netrc; wget http://h/f",
        "cat > ~/.netrc <<EOF\nmachine h login u password zzz\nEOF",
        'echo \'{"username":"u","key":"zzz"}\' > ~/.kaggle/kaggle.json; kaggle datasets download x',
        'echo "{\\"username\\":\\"u\\",\\"key\\":\\"zzz\\"}" > k.json; kaggle datasets download x',
        "echo zzz > /root/.ssh/id_rsa; git clone git@h:a/b",
        "unzip -P zzz a.zip; wget https://h/a.zip",
        "unzip -Pzzz a.zip; wget https://h/a.zip",
        "7z x -pzzz a.7z; wget https://h/a.7z",
        "7z x '-pzzz' a.7z; wget https://h/a.7z",
        "unrar x -hpzzz a.rar; wget https://h/a.rar",
        "sshpass -p zzz scp h:f . ; git clone h:r",
        "sshpass -pzzz scp h:f . ; git clone h:r",
        "mysql -u me -pzzz db < x.sql; pip install x",
        "openssl enc -d -k zzz -in a; wget https://h/f",
        "openssl enc -d -pass pass:zzz -in a; wget https://h/f",
        "pip install --extra-index-url=https://me:p@zzz@h/simple x",
        "curl -H @- -o f https://h <<< 'Authorization: zzz'",
        "wget 'https://h/f?AWSAccessKeyId=zzz'",
        "wget 'https://h/f?a=1&AWSAccessKeyId=zzz&Expires=1'",
        "aws configure set aws_secret_access_key zzz; pip install x",
        "wandb login zzz; pip install x",
        "sshpass '-pz zzz' scp h:f .; git clone h:r",
        "curl '--header=Authorization: Bearer zzz' -O https://h/f",
        "hf '--token=a zzz' download x; pip install x",
        "docker login -u me -p zzz h; pip install x",
        "curl -H X-Any:Bearer\\ zzz -O https://h/f",
        "curl -H Authorization:\\ Basic\\ zzz -O https://h/f",
    ],
)
def test_credentials_and_private_paths_are_cut_out(text, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "zzz-in-the-environment")
    assert "zzz" not in credentials.written(text, "/n")


def test_what_is_no_credential_stays():
    for text in (
        "pip install tokenizers==0.19 keyring>=2",
        "git clone -b main https://a/b",
        "python -u -m pip install x",
        "wget --auth-no-challenge https://a/b",
        "kaggle datasets download -d me/set",
        "pip install -p x",
        "mkdir -p dir && wget https://h/f",
        "wget -P folder https://h/f",
        "cp -p a b; wget https://h/f",
        "unzip -p a.zip f | head; wget https://h/a.zip",
        "unzip -o -d data a.zip; wget https://h/a.zip",
        "docker run -p 80:80 x; pip install x",
        "mysql -P 3306 -p db; pip install x",
        "awk -F= 1 f; curl -O https://h/f",
        "grep -F a=b f; pip install x",
        "echo hello | tee log; pip install x",
        "yes | apt-get install x",
        "echo y | conda install x",
        "curl -H 'Accept: text/csv' -O https://h/f",
        'curl -H "User-Agent: me" -o f https://h/f',
        "git -c core.autocrlf=false clone https://h/a",
        "git clone git@github.com:a/b",
        "pip install 'x @ git+https://h/a/b@v2'",
        "pip install git+https://h/a@v2#egg=a",
        "7z x a.7z -odata; wget https://h/a.7z",
        "openssl enc -d -pass env:NAME -in a; wget https://h/f",
        "gdown --fuzzy https://h/f -O x",
        "pip config set global.index-url https://h/simple; pip install x",
        "git config user.name me && git clone https://h/a",
        "tar -xkf a.tgz; wget https://h/a.tgz",
        "echo done > log.txt; pip install x",
        'echo \'{"vocab": "abc"}\' > tokenizer.json; wget https://h/f',
        "huggingface-cli download gpt2; pip install x",
        "cat r.txt | xargs pip install",
        "curl -H Accept:x https://h/token -o f",
    ):
        assert credentials.written(text, "/n") == text
    assert credentials.written("pip install -r /n/sub/r.txt", "/n") == "pip install -r ./sub/r.txt"


# What is asked, held against what is there.

LOCKED = Packages(
    (
        LockedPackage("numpy", "1.26.4", WheelFile("n.whl", "https://h/n.whl", "a"), "record"),
        LockedPackage("torch", "2.1.0+cu121", WheelFile("t.whl", "https://h/t.whl", "a"), "record"),
        LockedPackage(
            "clip-anytorch",
            "1.0",
            VcsSource("git", "https://github.com/o/CLIP.git", "abc"),
            "direct-url",
        ),
    ),
    (UnresolvedPackage("mine", "0.1", "editable"),),
)


def held(*requirements: str, **more) -> list[tuple[str, str | None]]:
    command = Command("pip install ...", ("pip",), cell=1, requirements=requirements, **more)
    command = dataclasses.replace(command, answered=True)
    found = installs.unsatisfied(Installs(), Installs((command,)), LOCKED, "3.11.4")
    return [(f.code.partition(".")[2], f.subject) for f in found]


@pytest.mark.parametrize(
    "text",
    [
        "numpy",
        "NumPy>=1.20,<2",
        "numpy[extra]~=1.26.0",
        "torch==2.1.0",
        "mine",
        "absent; python_version<'3.8'",
        "git+https://user@github.com/o/clip@v2",
        "git+https://h/x/whatever#egg=numpy",
        "numpy @ https://h/numpy.zip",
        "https://h/numpy-1.26.4-cp311-cp311-linux_x86_64.whl",
        "./numpy-1.26.4.tar.gz",
    ],
)
def test_what_the_lock_holds_is_no_finding(text):
    assert held(text) == []


@pytest.mark.parametrize(
    ("text", "code", "subject"),
    [
        ("numpy>=2", "unsatisfied", "numpy"),
        ("absent", "unsatisfied", "absent"),
        ("git+https://github.com/o/other.git", "unsatisfied", "other"),
        ("./numpy-1.0-py3-none-any.whl", "unsatisfied", "numpy"),
        (".", "not-checked", "."),
        ("numpy==$VERSION", "not-checked", "numpy==$VERSION"),
        ("https://h/x", "not-checked", "https://h/x"),
        (">>>", "not-checked", ">>>"),
    ],
)
def test_what_it_does_not_hold_is_told(text, code, subject):
    assert held(text) == [(code, subject)]


def test_a_command_that_failed_then_need_not_hold_now():
    command = Command("pip install absent", ("pip",), cell=1, status=1, requirements=("absent",))
    now = dataclasses.replace(command, answered=True)
    assert installs.unsatisfied(Installs((command,)), Installs((now,)), LOCKED, "3.11") == ()


def asked(text: str, cell: int, *requirements: str, **more) -> Command:
    return Command(text, ("pip",), cell=cell, status=0, requirements=requirements, **more)


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ((), "unsatisfied", "error"),
        ((Change("numpy", None, "1.26.4", 3),), "unsatisfied", "error"),
        ((Change("numpy", "1.25.0", "1.26.4", 3),), "unsatisfied", "error"),
        ((Change("numpy", "1.24.0", "1.26.4", 3, system=True),), "unsatisfied", "error"),
        ((Change("NumPy", "1.24.0", "1.26.4", 3),), "superseded", "note"),
        ((Change("numpy", "1.24.0", "1.26.4", 3, loaded=True),), "superseded", "warning"),
    ],
)
def test_what_the_recorded_run_replaced_itself_is_no_contradiction(changes, code, severity):
    first, second = asked("a", 1, "numpy==1.24.0"), asked("b", 3, "numpy==1.26.4")
    then = Installs((first, second), changes)
    now = Installs(tuple(dataclasses.replace(c, answered=True) for c in (first, second)))
    (found,) = installs.unsatisfied(then, now, LOCKED, "3.11")
    assert (found.code, found.severity.value) == (f"installs.{code}", severity)
    assert (found.subject, found.cell) == ("numpy", 1)
    # Another request than the recorded one has no such excuse.
    other = Installs((dataclasses.replace(first, asked="c", answered=True),))
    assert [f.code for f in installs.unsatisfied(then, other, LOCKED, "3.11")] == [
        "installs.unsatisfied"
    ]


def test_a_version_that_was_loaded_before_it_was_replaced_is_marked():
    def event(kind, **facts):
        return {"event": kind, "n": 1, **facts}

    def command(number, text):
        return event("command", number=number, asked=text, kinds=["pip"], via="shell")

    facts = installs.parse(
        [
            command(1, "a==1"),
            event("installed", distributions=[{"name": "A", "before": "1", "after": "2"}]),
            event(
                "memory-differs",
                modules=[{"module": "a", "distribution": "a", "memory": "1", "disk": "2"}],
            ),
            command(2, "a==2"),
            event("memory-differs", modules=[]),
            command(3, "a==1"),
        ],
        {1: 0},
    )
    assert facts.changes == (Change("A", "1", "2", 0, loaded=True),)
    assert facts.stale == ()
    # What was asked last is last, also where it had been asked before.
    assert [c.asked for c in facts.commands] == ["a==2", "a==1"]


def files(*names: str, by: str) -> Data:
    return Data(tuple(DataFile(name, "input", 1, "0" * 64, 1, fetched=by) for name in names))


def test_an_install_elsewhere_is_answered_where_its_files_are_here(tmp_path):
    command = asked("pip install -t lib x", 1, "x", elsewhere=True)
    places = Places(tmp_path)
    names = ("lib/x.py", "lib/x-1.dist-info/METADATA")

    def answers(made: Data, command: Command = command) -> dict[str, int]:
        return installs.answers(Installs((command,)), made, places)

    made = files(*names, by=command.asked)
    assert answers(made) == {}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    assert answers(made) == {command.asked: 0}
    assert answers(Data()) == answers(files("lib/x.py", by=command.asked)) == {}
    assert answers(files(*names, "lib/y.py", by=command.asked)) == {}
    assert answers(Data(), dataclasses.replace(command, status=1)) == {command.asked: 1}
    assert answers(Data(), dataclasses.replace(command, elsewhere=False)) == {command.asked: 0}


def test_a_command_that_ran_again_has_to_make_its_files_again(tmp_path):
    command = asked("pip install -t lib x", 1, "x", elsewhere=True)
    again = dataclasses.replace(command, why="not-here")
    then, made = Installs((command,)), files("lib/x.py", "lib/y.py", by=command.asked)

    def codes(findings) -> list[str]:
        return [f"{f.severity.value} {f.code}" for f in findings]

    assert codes(installs.compare(then, Installs((again,)))) == ["warning installs.fetched-again"]
    failed = Installs((dataclasses.replace(again, status=1),))
    assert codes(installs.compare(then, failed))[1:] == ["error installs.rerun-failed"]
    ran = Installs((again,))
    assert installs.not_made(made, made, ran, Places(tmp_path)) == ()
    (found,) = installs.not_made(made, Data(), ran, Places(tmp_path))
    assert found.code == "installs.rerun-failed"
    assert "lib/x.py and 1 more" in found.message
    # What lay there before it ran need not be made.
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "x.py").write_text("1")
    assert (
        installs.not_made(files("lib/x.py", by=command.asked), Data(), ran, Places(tmp_path)) == ()
    )


def test_facts_survive_the_lock():
    facts = Installs(
        (
            Command("pip install a", ("pip",), "shell", 2, 0, ("a",), unread=("r.txt",)),
            Command("git clone x", ("git",), "subprocess", elsewhere=True),
        ),
        (Change("a", "0.9", "1.0", 2, loaded=True), Change("libfoo", "1", None, 3, system=True)),
        (Stale("a", "a", "1.0", "2.0"), Stale("b", "b", "1.0")),
    )
    assert installs.from_toml(installs.to_toml(facts)) == facts
    assert installs.from_toml({}) == Installs()
    old = Installs((), (Change("a", "1.0", "2.0", 2),), (Stale("a", "a", "1.0", "2.0"),))
    assert installs.from_toml(installs.to_toml(old)).changes[0].loaded


# What installers print.

PIP = (
    "Collecting alpha>=1 (from -r r.txt (line 1))\r\n"
    "  Downloading alpha-1.0-py3-none-any.whl (3.2 MB)\r\n"
    "\x1b[?25l     \x1b[90m━━━━━━━━━━\x1b[0m 0.0/3.2 MB ? eta -:--:--\r"
    "     ━━━━━━━━━━ 3.2/3.2 MB 12.3 MB/s eta 0:00:00\r\n"
    "Requirement already satisfied: beta in /x/lib/python3.11/site-packages (2.0)\r\n"
    "Installing collected packages: alpha\r\n"
    "Successfully installed alpha-1.0\r\n"
    "\r\n"
    "\x1b[1m[notice] A new release of pip is available: 23.0 -> 24.0\x1b[0m\r\n"
)
UV = "Resolved 2 packages in 12ms\nInstalled 1 package in 3ms\n + alpha==1.0\n"
APT = (
    "Reading package lists... Done\nThe following NEW packages will be installed:\n  libfoo\n"
    "Get:1 http://archive.ubuntu.com/ubuntu jammy/main amd64 libfoo amd64 1.0 [12 kB]\n"
    "Selecting previously unselected package libfoo.\n(Reading database ... 123 files.)\n"
    "Setting up libfoo (1.0) ...\n"
)
WGET = (
    "--2024-01-01 10:00:00--  http://h/d.csv\nResolving h (h)... 1.2.3.4\n"
    "Connecting to h (h)|1.2.3.4|:80... connected.\n"
    "HTTP request sent, awaiting response... 200 OK\nLength: 12 (12B) [text/csv]\n"
    "Saving to: \u2018d.csv\u2019\n\nd.csv          100%[=========>]      12  --.-KB/s    in 0s\n\n"
    "2024-01-01 10:00:01 (1.2 MB/s) - \u2018d.csv\u2019 saved [12/12]\n\n"
)
CURL = (
    "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n"
    "                                 Dload  Upload   Total   Spent    Left  Speed\n"
    "100   12  100   12    0     0   1200      0 --:--:-- --:--:-- --:--:--  1200\n"
)
GIT = "Cloning into 'b'...\nremote: Enumerating objects: 5, done.\nReceiving objects: 100% (5/5), done.\n"


def compared(source: str, was: str, now: str, **options):
    def cell(text):
        outputs = [{"output_type": "stream", "name": "stdout", "text": text}] if text else []
        return {"cell_type": "code", "id": "a", "source": source, "outputs": outputs}

    found = compare_cells([cell(was)], [cell(now)], CompareOptions(**options))
    return found.cells[0]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("%pip install alpha", PIP),
        ("subprocess.run([sys.executable, '-m', 'pip', 'install', 'alpha'])", PIP),
        ("!uv pip install alpha", UV),
        ("!apt-get install libfoo", APT),
        ("!wget http://h/d.csv", WGET),
        ("!curl -O http://h/d.csv", CURL),
        ("!git clone https://h/b", GIT),
    ],
)
def test_what_an_installer_prints_is_taken_out(source, text):
    assert compared(source, text, "").status is CellStatus.NORMALISED
    same = compared(source, text + "accuracy: 0.9\n", "accuracy: 0.9\n")
    assert same.status is CellStatus.NORMALISED
    assert "installer-output" in same.normalisers
    other = compared(source, text + "accuracy: 0.9\n", "accuracy: 0.8\n")
    assert other.status is CellStatus.DIFFERENT
    assert compared("print(1)", text, "").status is CellStatus.DIFFERENT
    off = frozenset({"installer-output"})
    assert compared(source, text, "", disabled=off).status is CellStatus.DIFFERENT


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("accuracy: 0.9\n", "accuracy: 0.91\n"),
        # Printed by the notebook in the very form of pip: it counts all the same.
        ("Successfully installed accuracy-0.9\n", "Successfully installed accuracy-0.91\n"),
        ("\n0.9\n", "\n0.91\n"),
        ("12.5 MB\n", "12.6 MB\n"),
        ("", "Successfully installed accuracy-0.91\n"),
    ],
)
def test_a_changed_number_of_the_notebook_is_never_hidden(was, now):
    source = "!pip install alpha\nprint(accuracy)"
    assert compared(source, PIP + was, now).status is CellStatus.DIFFERENT
    assert compared(source, PIP + now, now).status is CellStatus.NORMALISED


def test_where_the_command_ran_again_both_sides_are_cleaned():
    other = PIP.replace("12.3 MB/s", "14.1 MB/s").replace("24.0", "25.0")
    source, again = "!pip install alpha", frozenset({0})
    assert compared(source, PIP, other, installed_again=again).status is CellStatus.NORMALISED
    both = compared(source, PIP + "a 1\n", other + "a 2\n", installed_again=again)
    assert both.status is CellStatus.DIFFERENT


CONDA = (
    "Channels:\n - defaults\nPlatform: linux-64\n"
    "Collecting package metadata (repodata.json): done\nSolving environment: done\n\n"
    "## Package Plan ##\n\n  environment location: /opt/conda\n\n  added / updated specs:\n    - six\n\n"
    "The following packages will be downloaded:\n\n"
    "    package                    |            build\n"
    "    ---------------------------|-----------------\n"
    "    six-1.16.0                 |     pyhd3eb1b0_1          18 KB\n"
    "    ------------------------------------------------------------\n"
    "                                           Total:          18 KB\n\n"
    "The following NEW packages will be INSTALLED:\n\n"
    "  six                pkgs/main/noarch::six-1.16.0-pyhd3eb1b0_1\n\n"
    "Preparing transaction: done\nExecuting transaction: done\n"
)
GDOWN = (
    "Downloading...\nFrom: https://drive.google.com/uc?id=1\nTo: /content/d.csv\n"
    "100%|██████████| 12.0/12.0 [00:00<00:00, 9.1kB/s]\n"
)
PRINTED = {
    "!pip install alpha": PIP,
    "!uv pip install alpha": UV,
    "!apt-get install libfoo": APT,
    "!conda install -y six": CONDA,
    "!git clone https://h/b": GIT,
    "!wget http://h/d.csv": WGET,
    "!curl -O http://h/d.csv": CURL,
    "!gdown 1": GDOWN,
}
AGAIN = frozenset({0})


@pytest.mark.parametrize("source", PRINTED)
@pytest.mark.parametrize("called", [None, {0: ("pip", "uv", "apt", "conda", "git", "fetch")}])
def test_all_that_a_program_prints_is_known(source, called):
    text = PRINTED[source]
    options = {"called": called, "installed_again": AGAIN}
    assert compared(source, text + "0.9\n", "0.9\n", **options).status is CellStatus.NORMALISED
    assert compared(source, "0.9\n", text + "0.9\n", **options).status is CellStatus.NORMALISED


@pytest.mark.parametrize(
    "own",
    [
        "Length: {}",
        "Length: {} [text/csv]",
        "Saving to: run-{}",
        "Downloaded: {}",
        "Downloaded: {} files",
        "Total wall clock time: {}",
        "From: https://h/{}",
        "From https://h/{}",
        "To: {}",
        "{}% 5/5 [",
        "{}% [5/5]",
        "{}%|###| 5/5 [x",
        "Downloading {} files",
        "Downloading data-{}.zip",
        "Downloaded model-{}",
        "Built index {}",
        "Building index-{}",
        " + accuracy==0.{}",
        " - 0.{}",
        "    - 0.{}",
        "  loss 0.{}",
        "  loss-{}",
        "    loss-{} | 0.9",
        "                    Total: {} KB",
        "Total: {}",
        "N: {}",
        "W: 0.{}",
        "debconf: {}",
        "Setting up experiment {}",
        "Removing {} outliers",
        "  Added {} rows",
        "  Removed {} outliers",
        "  Resolved {} cases",
        "Processing ./part-{}",
        "Successfully built model-{}",
        "Successfully installed accuracy-0.{}",
        "Requirement already satisfied: 0.{}",
        "Solving environment {}",
        "Counting: {}",
        "Updating: {}",
        "DEPRECATION: {}",
        "Fetched: {}",
        "[notice] loss {}",
        "━━━━━━━━━━ {}/99 epochs",
        "1 2 3 4 5 6 7 8 9 10 11 {}",
        "100 12 100 12 0 0 1200 0 --:--:-- --:--:-- --:--:-- {}",
        "   {}K .......... .......... 10% 3M",
        "License(s): {}",
        "Platform: linux-{}",
        "  latest version: {}",
    ],
)
def test_a_line_of_the_notebook_counts_in_whatever_form(own):
    """Behind every program's output, also where the programs ran in both runs."""
    for source, text in PRINTED.items():
        one, other = text + own.format(13) + "\n", text + own.format(14) + "\n"
        for again in (AGAIN, frozenset()):
            found = compared(source, one, other, installed_again=again)
            assert found.status is CellStatus.DIFFERENT, source
        bare = (text + "done\n0.9\n", text + "0.9\n")
        assert compared(source, *bare, installed_again=AGAIN).status is CellStatus.DIFFERENT


@pytest.mark.parametrize(
    "source",
    [
        "x = 1  # git clone, then wget and pip install",
        "print('use git, wget, curl, pip install x')",
        "apt = 3\ngit = wget = curl = apt",
        "!ls  # git clone",
        '"""\nFrom git: apt-get install\n"""',
    ],
)
def test_a_program_that_is_only_named_hides_nothing(source):
    for text in (PIP, WGET, GIT, APT):
        assert compared(source, text, "").status is CellStatus.DIFFERENT


def test_the_recorded_commands_say_which_programs_were_called():
    then = Installs(
        (
            Command("wget http://h/d.csv", ("fetch",), cell=0),
            Command("pip download -d w x", ("fetch",), cell=1),
            Command("git clone https://h/b", ("git",), cell=None),
        )
    )
    now = Installs((Command("pip install x", ("pip",), cell=0),))
    assert installs.called(then, now) == {0: {"fetch", "pip"}, 1: {"fetch", "pip"}}
    assert compared("fetch()", WGET, "", called={0: ("fetch",)}).status is CellStatus.NORMALISED
    assert compared("!wget x", WGET, "", called={0: ("git",)}).status is CellStatus.DIFFERENT
    assert compared("!wget x", WGET, "", called={}).status is CellStatus.DIFFERENT
    tail = "Successfully installed alpha-1.0\n"
    assert compared("!pip install alpha | tail -1", tail, "").status is CellStatus.NORMALISED


# In real kernels.


def run(python: Path, folder: Path, *cells: str, replay: bool = False, **settings) -> Recording:
    folder.mkdir(exist_ok=True)
    wanted = dataclasses.replace(config(folder), replay=replay, **settings)
    # As in a run of ours, so that `!pip` is the pip of the environment and of no other.
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    with kernel(python, folder, PATH=path) as running:
        assert running.run(start_code(wanted), silent=True).status == "ok"
        replies = [running.run(cell) for cell in cells]
        assert running.run(finish_code(), silent=True).status == "ok"
    events, problems = read_journal(wanted.journal)
    found = Recording(events, problems, replies)
    assert found.of("trouble") == []
    return found


@pytest.fixture
def index(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    files = Index().add(
        make_wheel("alpha", "1.0"), make_wheel("alpha", "2.0"), make_wheel("beta", "1.0")
    )
    with serving(files) as found:
        yield found


@pytest.fixture
def python(tmp_path) -> Path:
    """An environment of its own, to be changed by the notebook."""
    return make_env(tmp_path / "env", "ipykernel==6.31.0", "pip")


def pip(index: Index) -> str:
    return f"--quiet --no-cache-dir --index-url {index.simple}"


def test_what_a_cell_asks_and_changes_is_recorded(python, index, tmp_path):
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb" / "r.txt").write_text("beta\n")
    found = run(
        python,
        tmp_path / "nb",
        "version = '1.0'",
        f"!pip install {pip(index)} alpha=={{version}}",
        f"import alpha\n%pip install {pip(index)} -U alpha -r r.txt\nalpha.VERSION",
        "!pip list > listed.txt\n_exit_code",
        "!pip install --no-index --quiet absent 2>/dev/null\n_exit_code",
    )
    first, second, failed = found.of("command")
    assert first["asked"].endswith("alpha==1.0")
    assert (first["n"], first["kinds"], first["answered"]) == (1, ["pip"], False)
    assert second["asked"].startswith("python -m pip install")
    ends = {end["number"]: end for end in found.of("command-end")}
    assert ends[first["number"]]["requirements"] == ["alpha==1.0"]
    assert ends[second["number"]]["requirements"] == ["alpha", "beta"]
    assert [ends[c["number"]]["status"] for c in (first, second, failed)] == [0, 0, 1]
    assert found.replies[4].text.endswith("1")
    one, other = found.of("installed")
    assert one["distributions"] == [{"name": "alpha", "before": None, "after": "1.0"}]
    assert other["distributions"] == [
        {"name": "alpha", "before": "1.0", "after": "2.0"},
        {"name": "beta", "before": None, "after": "1.0"},
    ]
    assert found.replies[2].text.endswith("'1.0'")
    assert found.one("memory-differs")["modules"] == [
        {"module": "alpha", "distribution": "alpha", "memory": "1.0", "disk": "2.0"}
    ]
    cells = dict(enumerate(range(5)))
    facts = installs.parse(found.events, cells)
    codes = [f.code for f in installs.weaknesses(facts, Packages(), "3.11")]
    assert codes[:2] == ["installs.memory-differs", "installs.failed"]


def test_a_module_that_was_loaded_again_is_the_new_one(python, index, tmp_path):
    found = run(
        python,
        tmp_path / "nb",
        f"!pip install {pip(index)} alpha==1.0",
        f"import alpha\n!pip install {pip(index)} alpha==2.0",
        "import sys, importlib\nimportlib.invalidate_caches()\ndel sys.modules['alpha']\n"
        "import alpha\nalpha.VERSION",
        f"!pip install {pip(index)} alpha==1.0",
    )
    assert found.replies[2].text == "'2.0'"
    first, last = found.of("memory-differs")[0], found.of("memory-differs")[-1]
    assert (first["modules"][0]["memory"], first["modules"][0]["disk"]) == ("1.0", "2.0")
    # Loaded again in between, the module of the later version is the one that computes.
    assert (last["modules"][0]["memory"], last["modules"][0]["disk"]) == ("2.0", "1.0")


def test_uv_is_recorded_and_answered(python, index, tmp_path):
    where = f"--python {{sys.executable}} --default-index {index.simple}"
    cells = (
        f"uv = {str(uv_binary())!r}\nimport sys",
        f"!{{uv}} pip install --quiet {where} 'alpha>=1'\n_exit_code",
    )
    found = run(python, tmp_path / "nb", *cells)
    command = found.one("command")
    assert command["kinds"] == ["uv"]
    assert found.one("command-end")["requirements"] == ["alpha>=1"]
    (change,) = found.one("installed")["distributions"]
    assert change == {"name": "alpha", "before": None, "after": "2.0"}
    again = run(python, tmp_path / "again", *cells, replay=True)
    assert again.one("command")["answered"]
    assert again.one("command")["asked"] == command["asked"]
    assert again.of("installed") == []


def test_the_packages_of_the_system_that_changed(tmp_path, monkeypatch):
    from reprolock.recorder import installs as recorded

    status = tmp_path / "status"
    text = "Package: {}\nStatus: install ok {}\nPriority: x\nVersion: {}\nDescription: y\n z\n\n"
    status.write_text(
        text.format("liba", "installed", "1") + text.format("libb", "config-files", "1")
    )
    monkeypatch.setattr(recorded, "_DPKG", str(status))
    environment = recorded._Environment()
    environment.look(("apt",))
    status.write_text(text.format("liba", "installed", "2") + text.format("libc", "installed", "3"))
    assert environment.changes()["system"] == [
        {"name": "liba", "before": "1", "after": "2"},
        {"name": "libc", "before": None, "after": "3"},
    ]
    assert environment.changes() is None


@pytest.mark.slow
def test_commands_of_scripts_and_of_python_code_are_recorded(python, index, tmp_path):
    found = run(
        python,
        tmp_path / "nb",
        f"%%bash\npip install {pip(index)} alpha==1.0",
        "import subprocess, sys\n"
        f"subprocess.check_call([sys.executable, '-m', 'pip', *'install {pip(index)} beta'.split()])",
        "import os\nos.system('git clone /absent/there.git 2>/dev/null')",
        "subprocess.run('pip list | head -1', shell=True).returncode",
    )
    assert [(c["n"], c["via"], c["kinds"]) for c in found.of("command")] == [
        (0, "script", ["pip"]),
        (1, "subprocess", ["pip"]),
        (2, "os.system", ["git"]),
    ]
    assert [e["distributions"][0]["name"] for e in found.of("installed")] == ["alpha", "beta"]
    assert found.replies[3].text.endswith("0")


def served(folder: Path):
    """Serve *folder* over HTTP on the loopback."""
    import functools
    import http.server

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "d.csv").write_text("1,2,3\n")
    server = served(folder)
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def repository(place: Path) -> Path:
    """Make a repository with a module and a folder in it."""
    (place / "sub").mkdir(parents=True)
    (place / "helper.py").write_text("FACTOR = 3\n")
    (place / "sub" / "table.csv").write_text("4\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=place, check=True, capture_output=True)
    return place


@needs_curl
@needs_git
def test_fetched_files_are_told_as_such(tmp_path, site):
    repo = repository(tmp_path / "origin" / "helpers")
    found = run(
        own_python(),
        tmp_path / "nb",
        f"!curl -s -o d.csv {site}/d.csv\n!git clone -q file://{repo}",
        "total = sum(map(int, open('d.csv').read().split(',')))\n"
        "open('out.txt', 'w').write(str(total))",
        f"!curl -s -o e.csv {site}/d.csv && cp e.csv made.csv && echo made",
        f"!curl -s -o f.csv {site}/d.csv && python -c \"open('other.txt', 'w').write('1')\"",
    )
    by = {Path(e["path"]).name: e.get("command") for e in found.of("file") if e["op"] == "write"}
    assert by["d.csv"].startswith("curl -s -o d.csv")
    assert by["helper.py"] == by["table.csv"]
    assert by["helper.py"].startswith("git clone")
    assert by["out.txt"] is None
    assert by["e.csv"] == by["made.csv"]
    assert by["f.csv"] is not None
    assert by["other.txt"] is None
    assert found.of("folder") == []


@needs_curl
def test_a_replay_answers_what_is_here_and_runs_what_is_not(tmp_path, site):
    folder = tmp_path / "nb"
    folder.mkdir()
    (folder / "here.csv").write_text("1\n")
    found = run(
        own_python(),
        folder,
        "!pip install --index-url http://127.0.0.1:9/simple absent\n_exit_code",
        "!curl -s -o here.csv http://127.0.0.1:9/here.csv",
        f"!curl -s -o d.csv {site}/d.csv\nopen('d.csv').read()",
        "!pip install absent && echo ran\n_exit_code",
        "x = !pip install absent\nx",
        "%%bash\npip install absent\necho out\n",
        "%%bash\napt-get install absent\n",
        "import subprocess, os\nsubprocess.run(['pip', 'install', 'absent'], check=True).returncode",
        "subprocess.check_output('pip install absent && echo kept', shell=True)",
        "os.system('git clone https://127.0.0.1:9/known')",
        "!pip --version > /dev/null && for i in 1; do pip install --help > /dev/null; done; echo $i",
        replay=True,
        answers={"git clone https://127.0.0.1:9/known": 128},
    )
    texts = [reply.text for reply in found.replies]
    assert texts[0] == "0"
    assert texts[1] == ""
    assert texts[2] == r"'1,2,3\n'"
    assert texts[3] == "ran\n0"
    assert texts[4] == "[]"
    assert texts[5] == "out\n"
    assert texts[6] == ""
    assert texts[7] == "0"
    assert texts[8] == r"b'kept\n'"
    assert texts[9] == str(128 << 8)
    assert texts[10] == "1\n"
    answered = {c["n"]: c["answered"] for c in found.of("command")}
    assert answered == {**dict.fromkeys(range(10), True), 2: False, 10: False}
    assert found.one("command", n=2)["why"] == "not-here"
    assert found.one("command", n=10)["why"] == "not-understood"


@needs_curl
def test_a_replay_leaves_no_trace(tmp_path):
    probe = (
        "import subprocess, os\n"
        "(subprocess.Popen.__init__.__module__, os.system.__module__,"
        " 'run_cell_magic' in vars(get_ipython()))"
    )
    folder = tmp_path / "nb"
    folder.mkdir()
    wanted = dataclasses.replace(config(folder), replay=True)
    path = os.pathsep.join([str(own_python().parent), os.environ["PATH"]])
    with kernel(own_python(), folder, PATH=path) as running:
        before = running.run(probe).text
        running.run(start_code(wanted), silent=True)
        running.run("%%bash\npip install absent\n")
        running.run(finish_code(), silent=True)
        assert running.run(probe).text == before
        assert "nothing_there" in running.run("%%bash\nls nothing_there 2>&1 || true").text


@pytest.mark.slow
def test_hostile_cells_do_not_hurt_the_kernel(tmp_path):
    for replay in (False, True):
        found = run(
            own_python(),
            tmp_path / f"nb{replay}",
            "!pip install 'unclosed",
            "!pip install --index-url http://127.0.0.1:9/ --retries 0 -q é名 2>/dev/null",
            "name = 'absent'\n!pip list --{name} 2>/dev/null; echo $name {name} '{name}'",
            "get_ipython().system('pip install --no-index ' + 'x' * 10000 + ' >/dev/null 2>&1')",
            "import subprocess\nsubprocess.run([b'true', b'\\xff'])",
            "try:\n    subprocess.run(['pip', 3])\nexcept TypeError as exc:\n    print('type')",
            "try:\n    subprocess.run(['pip', 'install', 'x\\0'])\nexcept ValueError:\n    print('nul')\n",
            replay=replay,
        )
        assert [reply.status for reply in found.replies] == ["ok"] * 7
        assert found.replies[2].text == "absent absent absent\n"
        assert found.replies[5].text == "type\n"


@pytest.mark.slow
def test_python_3_8_records_and_answers(tmp_path):
    old = older_python()
    cell = "!pip install --no-index absent > /dev/null 2>&1\n_exit_code"
    assert run(old, tmp_path / "one", cell).one("command")["answered"] is False
    replayed = run(
        old, tmp_path / "two", cell, "import os\nos.system('pip install x')", replay=True
    )
    assert [c["answered"] for c in replayed.of("command")] == [True, True]
    assert [reply.text for reply in replayed.replies] == ["0", "0"]


def test_the_runner_of_colab_is_asked_and_told(tmp_path, monkeypatch, capsys):
    """A stand-in of what Colab documents: its shell runs all commands by this one function."""
    ran, told = [], []

    class ShellResult:
        def __init__(self, args, returncode, command_output):
            self.args, self.returncode, self.output = args, returncode, command_output

    def run_command(cmd, clear_streamed_output):
        ran.append(cmd)
        return ShellResult(cmd, 3, "out")

    colab = SimpleNamespace(_run_command=run_command, ShellResult=ShellResult)
    monkeypatch.setitem(sys.modules, "google.colab._system_commands", colab)
    asked = runners.Runners(Journal(str(tmp_path / "journal")))
    asked.answer(lambda text: runners.Answer("hello", 1) if text == "mine" else None)
    asked.answer(lambda text: runners.Answer(instead="rest") if text == "mixed" else None)
    asked.listen(told.append, lambda text, status: told.append((text, status)))
    asked.open()
    mine = colab._run_command("mine", clear_streamed_output=False)
    assert (mine.returncode, mine.output) == (1, "hello\n")
    assert colab._run_command("mixed", clear_streamed_output=True).returncode == 3
    assert colab._run_command("other", False).output == "out"
    asked.close()
    assert ran == ["rest", "other"]
    assert told == ["rest", ("rest", 3), "other", ("other", 3)]
    assert capsys.readouterr().out == "hello\n"
    assert colab._run_command is run_command


# From capture to verdict.


def verify(cli: Cli, lock: Path, *more: str) -> Answer:
    done = cli("verify", lock, "--json", *more)
    assert "Traceback" not in done.err, str(done)
    return done


@pytest.fixture
def cli(tmp_path, index, monkeypatch) -> Cli:
    """The command, whose installers know the small index beside the real one."""
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index.simple)
    monkeypatch.setenv("UV_INDEX", index.simple)
    folder = tmp_path / "work"
    folder.mkdir()
    return Cli(folder, tmp_path / "cache")


@needs_curl
@needs_git
def test_a_notebook_that_installs_is_verified_without_network(cli, python, index, site, tmp_path):
    repo = repository(tmp_path / "origin" / "helpers")
    made = notebooks.notebook(
        "# %% # Installs",
        f"%pip install --no-cache-dir --index-url {index.simple} alpha==1.0",
        f"!curl -o d.csv {site}/d.csv && echo fetched\n!git clone file://{repo}",
        "import sys\nsys.path.insert(0, 'helpers')\nimport alpha, helper\n"
        "total = helper.FACTOR * sum(map(int, open('d.csv').read().split(',')))\n"
        "total += int(open('helpers/sub/table.csv').read())\n"
        "print('total:', total)\nopen('out.txt', 'w').write(str(total))\n",
        "alpha.VERSION",
    )
    notebooks.write(made, cli.cwd / "note.ipynb")
    done = cli("capture", "note.ipynb", "--python", python, "--metric", "total=total", "--json")
    assert done.code == 0, str(done)
    lock = cli.cwd / "pylock.note.toml"
    told = toml(lock.read_text())["tool"]["reprolock"]
    asked = told["installs"]["commands"]
    assert [c["cell"] for c in asked] == [1, 2, 2]
    assert told["installs"]["changes"] == [{"name": "alpha", "after": "1.0", "cell": 1}]
    roles = {f["name"]: (f["role"], "fetched" in f) for f in told["data"]["files"]}
    assert roles["d.csv"] == roles["helpers/helper.py"] == ("input", True)
    assert roles["out.txt"] == ("output", False)
    assert str(tmp_path) not in json.dumps(told["installs"])

    assert cli("rebuild", lock, "--json").code == 0
    shutil.rmtree(repo)
    gone = {"PIP_EXTRA_INDEX_URL": "", "UV_INDEX": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # fmt: skip
    shown = cli("verify", lock, "--offline", "--json", env=gone)
    assert shown.verdict == "BIT_EXACT", str(shown)
    assert shown.codes("error") == set()
    normalised = [f for f in shown.json["findings"] if f["code"] == "outputs.normalised"]
    assert "installer-output" in {f["subject"] for f in normalised}
    assert "installs.fetched-again" not in shown.codes()

    text = (cli.cwd / "note.ipynb").read_text()
    (cli.cwd / "note.ipynb").write_text(text.replace("alpha==1.0", "alpha==2.0"))
    shown = cli("verify", lock, "--offline", "--json", env=gone)
    told = shown.finding("installs.unsatisfied")
    assert told["message"].startswith("cell 1 asks for alpha==2.0, and the lock has alpha 1.0")
    assert shown.verdict == "PARTIAL"


@needs_curl
def test_what_was_fetched_is_checked_and_fetched_again_where_it_is_gone(
    cli, python, site, tmp_path
):
    made = notebooks.notebook(
        f"!curl -s -o d.csv {site}/d.csv",
        "total = sum(map(int, open('d.csv').read().split(',')))\nprint('total:', total)",
    )
    notebooks.write(made, cli.cwd / "note.ipynb")
    done = cli("capture", "note.ipynb", "--python", python, "--metric", "total=total", "--json")
    assert done.code == 0, str(done)
    lock, fetched = cli.cwd / "pylock.note.toml", cli.cwd / "d.csv"

    here = ("--environment", str(python))
    fetched.write_text("1,2,4\n")
    assert "data.content-changed" in verify(cli, lock, *here).codes("error")
    fetched.unlink()
    again = verify(cli, lock, *here)
    assert {"data.to-be-fetched", "installs.fetched-again"} <= again.codes("warning")
    assert again.verdict == "BIT_EXACT", str(again)
    (tmp_path / "site" / "d.csv").write_text("1,2,4\n")
    other = verify(cli, lock, *here)
    assert "data.content-changed" in other.codes("error")
    assert other.verdict == "DIVERGED"


@pytest.mark.slow
def test_an_install_into_a_folder_of_its_own_is_done_again_where_the_folder_is_gone(
    cli, python, tmp_path
):
    """By a path that only a child process has: the environment holds another version."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for version in ("1.0", "2.0"):
        name, content = make_wheel("alpha", version)
        (wheels / name).write_bytes(content)
    local = f"-q --no-index --find-links {wheels}"
    subprocess.run(
        [python, "-m", "pip", "install", *local.split(), "alpha==2.0"], check=True, cwd=tmp_path
    )
    made = notebooks.notebook(
        f"!pip install {local} --target lib alpha==1.0",
        "import subprocess, sys\n"
        "print('used:', subprocess.check_output([sys.executable, '-c',"
        " 'import alpha; print(alpha.VERSION)'], env={'PYTHONPATH': 'lib'}, text=True))",
    )
    notebooks.write(made, cli.cwd / "note.ipynb")
    done = cli("capture", "note.ipynb", "--python", python, "--json")
    assert done.code == 0, str(done)
    lock, here = cli.cwd / "pylock.note.toml", ("--environment", str(python))
    told = toml(lock.read_text())["tool"]["reprolock"]
    assert told["installs"]["commands"][0]["elsewhere"]
    by = {f["name"]: f for f in told["data"]["files"]}
    assert by["lib/alpha-1.0.dist-info/METADATA"]["fetched"].startswith("pip install -q")

    answered = verify(cli, lock, *here)
    assert answered.verdict == "BIT_EXACT", str(answered)
    assert "installs.fetched-again" not in answered.codes()
    shutil.rmtree(cli.cwd / "lib")
    again = verify(cli, lock, *here)
    assert again.verdict == "BIT_EXACT", str(again)
    assert "installs.fetched-again" in again.codes("warning")
    shutil.rmtree(wheels)
    failed = verify(cli, lock, *here)
    assert "installs.rerun-failed" in failed.codes("error")
    assert failed.verdict == "DIVERGED"
