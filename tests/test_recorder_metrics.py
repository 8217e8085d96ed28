"""Metrics by name and by expression, and the answers given in the name of reprolock."""

from __future__ import annotations

from fractions import Fraction

import pytest

from reprolock.kernel import MetricRequest
from reprolock.recorder.metrics import plain_value
from tests import kernels


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "nb"
    made.mkdir()
    return made


def test_named_metrics_keep_their_type(folder):
    recorded = kernels.record(
        kernels.science_python(),
        folder,
        [
            "import reprolock, numpy as np",
            "reprolock.metric('float', 0.5); reprolock.metric('int', 3)",
            "reprolock.metric('bool', True); reprolock.metric('text', 'ä')",
            "reprolock.metric('f32', np.float32(0.25)); reprolock.metric('i64', np.int64(7))",
            "reprolock.metric('zero-d', np.array(1.5)); reprolock.metric('flag', np.bool_(False))",
            "reprolock.metric('nan', float('nan')); reprolock.metric('inf', np.float64('-inf'))",
            "reprolock.metric('list', [1]); reprolock.metric('array', np.zeros(3))",
        ],
    )
    assert [reply.status for reply in recorded.replies] == ["ok"] * 7
    found = {e["name"]: (e["n"], e["value"], e["dtype"]) for e in recorded.of("metric")}
    assert found == {
        "float": (1, 0.5, "float"),
        "int": (1, 3, "int"),
        "bool": (2, True, "bool"),
        "text": (2, "ä", "str"),
        "f32": (3, 0.25, "float32"),
        "i64": (3, 7, "int64"),
        "zero-d": (4, 1.5, "float64"),
        "flag": (4, False, "bool"),
        "nan": (5, "NaN", "float"),
        "inf": (5, "-Infinity", "float64"),
    }
    assert {event["source"] for event in recorded.of("metric")} == {"api"}
    assert [(e["n"], e["name"], e["error"]) for e in recorded.of("metric-error")] == [
        (6, "list", "a metric is one number, text or truth value; found list"),
        (
            6,
            "array",
            "a metric is one number, text or truth value; found numpy.ndarray of shape (3,)",
        ),
    ]


def test_expressions_after_a_cell_and_at_the_finish(folder):
    recorded = kernels.record(
        kernels.own_python(),
        folder,
        ["x = 1", "x = 2\n1/0", "x = 3"],
        MetricRequest("first", "x", 0),
        MetricRequest("raised", " x * 10", 1),
        MetricRequest("last", "float(x)"),
        MetricRequest("unknown", "y"),
        MetricRequest("broken", "x +"),
        MetricRequest("never", "x", 9),
        MetricRequest("exit", "exit()", 2),
    )
    found = [(e["n"], e["name"], e["value"], e["expression"]) for e in recorded.of("metric")]
    assert found == [
        (0, "first", 1, "x"),
        (1, "raised", 20, " x * 10"),
        (None, "last", 3.0, "float(x)"),
    ]
    errors = {e["name"]: e["error"] for e in recorded.of("metric-error")}
    assert errors["unknown"] == "NameError: name 'y' is not defined"
    assert errors["broken"].startswith("SyntaxError: ")
    assert errors["never"] == "cell 9 did not run"
    assert set(errors) == {"unknown", "broken", "never", "exit"}
    assert recorded.events[-1] == {"event": "end"}


def test_a_type_that_is_no_metric_is_named():
    half = Fraction(1, 2)
    with pytest.raises(TypeError, match=r"found fractions\.Fraction$"):
        plain_value(half)
    with pytest.raises(TypeError, match=r"found complex$"):
        plain_value(1j)


def test_the_stand_in_answers_where_reprolock_is_not_installed(folder):
    recorded = kernels.record(
        kernels.science_python(),
        folder,
        [
            "%load_ext reprolock",
            "%reprolock capture --metric a=1",
            "import reprolock; reprolock.capture(); reprolock.checkpoint('model.pt'); reprolock.model(3)",
            "!reprolock capture",
            "x = !reprolock capture\nprint(list(x))",
            "name = 'world'\n!echo hello {name} $name",
            "def f():\n    local = 'inner'\n    return get_ipython().getoutput('echo {local}')\nprint(f())",
            "!exit 3\nprint(_exit_code)",
            "!reprolock verify x\nprint(_exit_code)",
            "from reprolock import metric; metric('a', 1)",
        ],
    )
    answer = "reprolock: recorded by the run that is going on"
    assert [reply.error for reply in recorded.replies] == [None] * 10
    assert [reply.text for reply in recorded.replies] == [
        "",
        "",
        "",
        f"{answer}\n",
        f"['{answer}']\n",
        "hello world world\n",
        "['inner']\n",
        "3\n",
        f"{answer}\n0\n",
        "",
    ]
    marks = [(e["n"], e["kind"]) for e in recorded.of("mark")]
    assert marks == [(1, "magic"), (2, "capture"), (2, "checkpoint"), (2, "model")]
    assert {e["name"] for e in recorded.of("metric")} == {"a"}
    assert recorded.of("trouble") == []


def test_after_the_finish_reprolock_is_unknown_again(folder):
    settings = kernels.config(folder)
    with kernels.kernel(kernels.science_python(), folder) as running:
        running.run(kernels.start_code(settings), silent=True)
        running.run("import reprolock")
        running.run(kernels.finish_code(), silent=True)
        assert running.run("import reprolock").error == "ModuleNotFoundError"
        assert "recorded by" not in running.run("!reprolock capture").text


def test_a_real_module_of_that_name_goes_first(folder):
    (folder / "reprolock.py").write_text("real = True\n")
    recorded = kernels.record(
        kernels.science_python(), folder, ["import reprolock; print(reprolock.real)"]
    )
    assert recorded.replies[0].text == "True\n"
