"""What the README shows is what the program does: its transcripts, commands and links."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from reprolock.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
_MASKS = (
    (r"\S*reprolock-demo[^/\s]*/", "DEMO/"),
    (r"Python 3\.\d+\.\d+\S*", "Python 3.X"),
    (r"\b\d+ packages locked", "N packages locked"),
    (r" +$", ""),
)


def masked(text: str) -> str:
    for pattern, new in _MASKS:
        text = re.sub(pattern, new, text, flags=re.MULTILINE)
    return text


def transcripts() -> list[str]:
    return re.findall(r"```console\n(.*?)```", README, re.DOTALL)


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="3.10 has other releases of scikit-learn: other numbers"
)
def test_the_transcripts_are_the_demo():
    done = subprocess.run(
        [sys.executable, ROOT / "fixtures" / "demo" / "run.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = masked(done.stdout)
    assert len(transcripts()) == 5
    for block in transcripts():
        assert masked(block) in shown


def test_links_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def commands() -> list[list[str]]:
    texts = [README, *(p.read_text() for p in (ROOT / "docs").glob("*.md"))]
    lines = [
        line
        for text in texts
        for line in re.findall(r"^\s*(?:- run: )?!?(reprolock .*)$", text, re.MULTILINE)
    ]
    return [line.split("#")[0].split(">")[0].split() for line in lines]


def test_every_command_in_the_docs_has_the_options_that_it_uses():
    assert len(commands()) > 6
    for _, name, *rest in commands():
        assert name in COMMANDS
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            command = command.commands[rest[0]]
        options = {o for p in command.params for o in p.opts}
        assert {r.split("=")[0] for r in rest if r.startswith("--")} <= options


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name):
    command = cli.get_command(click.Context(cli), name)
    assert re.search(r"(^\s*|\$\()reprolock " + name, command.help, re.MULTILINE)


def test_every_normaliser_is_described():
    from reprolock.compare import NORMALISER_NAMES

    text = (ROOT / "docs" / "compare.md").read_text()
    assert [n for n in NORMALISER_NAMES if n not in text] == []


def test_every_verdict_is_described():
    from reprolock.result import Verdict

    for verdict in Verdict:
        assert f"| {verdict.value} |" in README
        assert f"| {verdict.value} | " in README
        assert f" | {verdict.exit_code} |" in next(
            line for line in README.splitlines() if line.startswith(f"| {verdict.value} |")
        )
