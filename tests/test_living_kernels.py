"""The extension in each kernel that it is made for, and with all that a session may do to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers import KERNELS, kernel_python, server
from tests.test_living import CAPTURE, LOAD, METRIC, SEEDED, TRACE, captured, codes, lock_of, of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCORE = pytest.approx(0.32383276483316237)
LIVE = sorted(name for name, kind in KERNELS.items() if kind.live)
FIRST = ("3.11-ipykernel5", "3.12-ipykernel7", "3.13-ipykernel6")  # the others are slow tests


@pytest.fixture
def work(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPROLOCK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    for name in ("identified", "hashed"):
        (shared_cache / name).mkdir(exist_ok=True)
        (tmp_path / "cache" / name).symlink_to(shared_cache / name)
    folder = tmp_path / "my wörk"
    folder.mkdir()
    (folder / "data.csv").write_text("a,b\n1,2\n")
    return folder


@pytest.mark.parametrize(
    "kind", [name if name in FIRST else pytest.param(name, marks=pytest.mark.slow) for name in LIVE]
)
def test_each_kernel_gives_the_same_lock(tmp_path, work, kind):
    cells = [LOAD, SEEDED, METRIC, "%reprolock metric twice 2 * score\nscore", CAPTURE]
    python = kernel_python(kind)
    with (
        server(tmp_path, work, kernels={"python3": python}) as jupyter,
        jupyter.notebook("n.ipynb", cells) as notebook,
    ):
        assert notebook.execute(TRACE).status == "ok"
        assert notebook.execute("before = state()").status == "ok"
        notebook.save()
        runs = notebook.run_all()
        assert [run.status for run in runs] == ["ok"] * 5, runs[-1]
        assert "pylock.n.toml" in runs[4].html
        lock = lock_of(work)
        result = captured(notebook)
        assert notebook.execute("%unload_ext reprolock").text == ""
        left = notebook.execute(LEFT).text
    assert left == "[]\n"
    assert "recorder.trouble" not in codes(result), of(result, "recorder.trouble")
    assert lock["interpreter"]["version"].startswith(KERNELS[kind].python)
    print(json.dumps(lock, indent=1)[:3000], result)


LEFT = """\
after = state()
print([(a, b) for a, b in zip(before[1:9] + before[10:], after[1:9] + after[10:]) if a != b])
"""
