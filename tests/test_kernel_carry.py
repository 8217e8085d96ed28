"""The statements that carry the recorder in, and the reading of what it left."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from reprolock.kernel import (
    MetricRequest,
    RecorderConfig,
    finish_code,
    read_journal,
    start_code,
)

RECORDER = Path(sys.modules["reprolock.kernel"].__file__).parent.parent / "recorder"


def settings(tmp_path):
    return RecorderConfig(tmp_path / 'it\'s "here".jsonl', tmp_path, (MetricRequest("a", "'?'"),))


def test_each_is_one_expression_on_one_line_that_binds_no_name(tmp_path):
    for code in (start_code(settings(tmp_path)), finish_code()):
        assert "\n" not in code
        (statement,) = ast.parse(code).body
        assert isinstance(statement, ast.Expr)
        assert not [node for node in ast.walk(statement) if isinstance(node, ast.NamedExpr)]


def test_where_there_is_no_shell_the_journal_says_so(tmp_path):
    config = settings(tmp_path)
    code = start_code(config) + "\n" + finish_code()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    events, problems = read_journal(config.journal)
    assert problems == []
    assert [event["event"] for event in events] == ["trouble"]
    assert events[0]["where"] == "start"


def test_the_recorder_imports_only_the_standard_library_and_ipython():
    allowed = {*sys.stdlib_module_names, "IPython"}
    for path in RECORDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            assert {name.partition(".")[0] for name in names} <= allowed, path


def test_the_recorder_is_python_3_8():
    for path in RECORDER.glob("*.py"):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 8))


class TestReadJournal:
    def test_whole(self, tmp_path):
        path = tmp_path / "j"
        path.write_text('{"event": "start", "format": 1}\n{"event": "end"}\n')
        assert read_journal(path) == ([{"event": "start", "format": 1}, {"event": "end"}], [])

    @pytest.mark.parametrize("cut", [b'{"event": "fi', b'{"event": "\xc3', b"{"])
    def test_last_line_cut(self, tmp_path, cut):
        path = tmp_path / "j"
        path.write_bytes(b'{"event": "start"}\n' + cut)
        assert read_journal(path) == (
            [{"event": "start"}],
            ["line 2 of the journal is cut off"],
        )

    def test_lines_that_are_no_event(self, tmp_path):
        path = tmp_path / "j"
        deep = "[" * 100_000
        path.write_text(f'x\n[1]\n{{"n": 1}}\n\n{deep}\n{{"event": "end"}}\n')
        events, problems = read_journal(path)
        assert events == [{"event": "end"}]
        assert problems == [f"line {n} of the journal is no event" for n in (1, 2, 3, 5)]

    def test_missing_and_unreadable(self, tmp_path):
        assert read_journal(tmp_path / "none") == ([], ["the recorder left no journal"])
        events, problems = read_journal(tmp_path)
        assert events == []
        assert problems == ["the journal cannot be read: Is a directory"]

    def test_large(self, tmp_path):
        path = tmp_path / "j"
        with path.open("w") as file:
            for n in range(100_000):
                file.write(json.dumps({"event": "cell-start", "n": n}) + "\n")
        events, problems = read_journal(path)
        assert (len(events), problems) == (100_000, [])
