"""``import reprolock`` in a notebook whose environment has it installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import reprolock


class Shell:
    def __init__(self):
        self.magics_manager = SimpleNamespace(magics={"line": {}})

    def register_magic_function(self, function, kind, name):
        self.magics_manager.magics[kind][name] = function


@pytest.fixture
def told(monkeypatch):
    events = []
    recorder = SimpleNamespace(
        metric=lambda name, value: events.append(("metric", name, value)),
        mark=lambda kind, **facts: events.append((kind, facts)),
    )
    monkeypatch.setitem(sys.modules, "_reprolock_recorder", recorder)
    return events


def test_it_tells_the_recorder(told):
    shell = Shell()
    assert reprolock.metric("auc", 0.9) is None
    reprolock.capture(timeout=3)
    reprolock.checkpoint("model.pt")
    reprolock.model([])
    reprolock.load_ipython_extension(shell)
    shell.magics_manager.magics["line"]["reprolock"]("capture")
    reprolock.unload_ipython_extension(shell)
    assert shell.magics_manager.magics["line"] == {}
    assert told == [
        ("metric", "auc", 0.9),
        ("capture", {}),
        ("checkpoint", {"path": "model.pt"}),
        ("model", {"type": "builtins.list"}),
        ("magic", {"line": "capture"}),
    ]


def test_it_does_nothing_where_no_run_is_recorded(monkeypatch):
    monkeypatch.delitem(sys.modules, "_reprolock_recorder", raising=False)
    reprolock.metric("auc", 0.9)
    reprolock.capture()
    reprolock.load_ipython_extension(Shell())
