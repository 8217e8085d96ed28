"""The notebook is as without a recorder: names, counter, history, random streams, hooks."""

from __future__ import annotations

import ast
import json

import pytest

from reprolock.kernel import MetricRequest, finish_code, read_journal, start_code
from tests import kernels

# Imports first, so that what the imports themselves do is not taken for the recorder's doing.
PREPARE = "import hashlib, os, random, signal, sys, threading, warnings; import numpy"
STATE = """
def state():
    from IPython import get_ipython
    shell = get_ipython()
    digest = lambda value: hashlib.sha256(repr(value).encode()).hexdigest()
    numpy_state = numpy.random.get_state()
    return {
        "names": sorted(name for name in globals() if name != "state"),
        "counter": shell.execution_count,
        "In": list(In),
        "Out": sorted(Out),
        "sys.path": list(sys.path),
        "warnings": digest(warnings.filters),
        "signals": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)],
        "random": digest(random.getstate()),
        "numpy": digest((numpy_state[1].tobytes(), numpy_state[2:])),
        "threads": threading.active_count(),
        "dont_write_bytecode": sys.dont_write_bytecode,
        "environ": digest(sorted(os.environ.items())),
        "cwd": os.getcwd(),
    }
"""
HOOKS = """
def hooks():
    from IPython import get_ipython
    import numpy.random._mt19937, numpy.random.bit_generator, operator, secrets
    shell = get_ipython()
    return {
        "meta_path": [type(finder).__module__ for finder in sys.meta_path],
        "callbacks": {name: len(found) for name, found in shell.events.callbacks.items()},
        "random.seed": random.seed == random._inst.seed,
        "urandom": random._urandom is os.urandom,
        "os.urandom": type(os.urandom).__name__,
        "uuid1": sys.modules["uuid"].uuid1.__code__.co_filename,
        "Random": [getattr(random.Random, f).__code__.co_filename for f in ("seed", "setstate")],
        "random.setstate": random.setstate == random._inst.setstate,
        "numpy.set_state": type(numpy.random.set_state).__name__,
        "default_rng": type(numpy.random.default_rng).__name__,
        "numpy.seed": type(numpy.random.seed).__name__,
        "randbits": numpy.random.bit_generator.randbits == secrets.randbits,
        "operator": numpy.random._mt19937.operator is operator,
        "magics": "reprolock" in shell.magics_manager.magics["line"],
        "modules": sorted(name for name in sys.modules if name.startswith("_reprolock_recorder")),
        "system": sys.modules["ipykernel.zmqshell"].system.__module__,
    }
"""


def look(running: kernels.Kernel, what: str) -> dict:
    return ast.literal_eval(running.run(f"print({what}())", silent=True).text)


@pytest.mark.parametrize("python", [kernels.older_python, kernels.science_python])
def test_start_and_finish_change_nothing_that_a_notebook_can_see(python, tmp_path):
    folder = tmp_path / "nb"
    folder.mkdir()
    settings = kernels.config(folder, MetricRequest("answer", "6 * 7"))
    with kernels.kernel(python(), folder) as running:
        for code in (PREPARE, STATE, HOOKS):
            running.run(code)
        before, hooks_before = look(running, "state"), look(running, "hooks")
        started = running.run(start_code(settings), silent=True)
        recorded = look(running, "state")
        finished = running.run(finish_code(), silent=True)
        after, hooks_after = look(running, "state"), look(running, "hooks")

    assert (started.status, started.text) == ("ok", "")
    assert (finished.status, finished.text) == ("ok", "")
    assert recorded == before
    assert after == before
    modules = hooks_after.pop("modules")
    assert "_reprolock_recorder" not in modules
    hooks_before.pop("modules")
    assert hooks_after == hooks_before


def test_the_same_numbers_come_out_with_and_without(tmp_path):
    cells = [
        "import random, numpy as np; random.seed(1); np.random.seed(2)",
        "print(random.random(), np.random.rand(), np.random.default_rng(3).random())",
        "print(np.random.RandomState(4).rand(), random.Random(5).random())",
    ]
    folder = tmp_path / "nb"
    folder.mkdir()
    with kernels.kernel(kernels.science_python(), folder) as running:
        plain = [running.run(cell).text for cell in cells]
    recorded = kernels.record(kernels.science_python(), folder, cells)
    assert [reply.text for reply in recorded.replies] == plain


def test_no_bytecode_is_written_beside_the_recorder(tmp_path):
    import shutil

    from reprolock.kernel import carry

    folder = tmp_path / "nb"
    folder.mkdir()
    carried = tmp_path / "recorder"
    shutil.copytree(carry._FOLDER, carried, ignore=shutil.ignore_patterns("__pycache__"))
    settings = kernels.config(folder)
    with kernels.kernel(kernels.own_python(), folder) as running:
        code = start_code(settings).replace(repr(str(carry._FOLDER)), repr(str(carried)))
        assert running.run(code, silent=True).status == "ok"
        running.run(finish_code(), silent=True)
    assert read_journal(settings.journal)[0][-1] == {"event": "end"}
    assert not list(carried.rglob("*.pyc"))


def test_a_function_that_seeds_still_pickles_and_shows_its_signature(tmp_path):
    folder = tmp_path / "nb"
    folder.mkdir()
    recorded = kernels.record(
        kernels.science_python(),
        folder,
        [
            "import pickle, random, numpy as np",
            "print([pickle.loads(pickle.dumps(f)) is f for f in (random.seed, np.random.seed)])",
            "print(random.seed.__self__ is random._inst, np.__spec__.loader is np.__loader__)",
            "print(type(np.random.__spec__.loader).__name__)",
            "import os; fs = os.urandom, np.random.set_state, np.random.default_rng",
            "print([pickle.loads(pickle.dumps(f)) is f for f in fs])",
        ],
    )
    assert [reply.text for reply in recorded.replies[1:]] == [
        "[True, True]\n",
        "True True\n",
        "SourceFileLoader\n",
        "",
        "[True, True, True]\n",
    ]


def test_an_unwritable_journal_does_not_reach_the_notebook(tmp_path):
    folder = tmp_path / "nb"
    folder.mkdir()
    settings = kernels.RecorderConfig(tmp_path / "missing" / "journal", folder)
    with kernels.kernel(kernels.own_python(), folder) as running:
        running.run(start_code(settings), silent=True)
        reply = running.run("1 + 1")
        assert running.run(finish_code(), silent=True).status == "ok"
    assert (reply.text, reply.execution_count) == ("2", 1)
    assert read_journal(settings.journal) == ([], ["the recorder left no journal"])


def test_a_full_disk_loses_events_and_not_the_run(tmp_path):
    folder = tmp_path / "nb"
    folder.mkdir()
    from pathlib import Path

    settings = kernels.RecorderConfig(Path("/dev/full"), folder)
    with kernels.kernel(kernels.own_python(), folder) as running:
        assert running.run(start_code(settings), silent=True).status == "ok"
        assert running.run("1 + 1").text == "2"
        assert running.run(finish_code(), silent=True).status == "ok"


def test_a_second_start_is_told_and_the_first_goes_on(tmp_path):
    folder = tmp_path / "nb"
    folder.mkdir()
    settings = kernels.config(folder)
    with kernels.kernel(kernels.own_python(), folder) as running:
        for _ in range(2):
            assert running.run(start_code(settings), silent=True).status == "ok"
        running.run("1")
        running.run(finish_code(), silent=True)
        assert running.run(finish_code(), silent=True).status == "ok"
    events, problems = read_journal(settings.journal)
    assert problems == []
    kinds = [event["event"] for event in events]
    assert kinds.count("start") == kinds.count("cell-start") == kinds.count("end") == 1
    assert [e["message"] for e in events if e["event"] == "trouble"] == [
        "a recorder is already at work in this kernel"
    ]


def test_an_empty_cell_costs_less_than_a_millisecond(tmp_path):
    folder = tmp_path / "nb"
    folder.mkdir()
    settings = kernels.config(folder)
    measure = (
        "def median():\n"
        "    import time\n"
        "    from IPython import get_ipython\n"
        "    run, took = get_ipython().run_cell, []\n"
        "    for _ in range(200):\n"
        "        begin = time.perf_counter(); run('pass'); took.append(time.perf_counter() - begin)\n"
        "    return sorted(took)[100]\n"
    )
    with kernels.kernel(kernels.science_python(), folder) as running:
        running.run("import numpy\n" + measure)
        plain = json.loads(running.run("print(median())", silent=True).text)
        running.run(start_code(settings), silent=True)
        recorded = json.loads(running.run("print(median())", silent=True).text)
        running.run(finish_code(), silent=True)
    assert recorded - plain < 0.001
