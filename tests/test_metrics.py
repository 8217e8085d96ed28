"""Metrics: asked for, found, judged, and kept in the lock."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from reprolock.errors import LockError, UsageError
from reprolock.facts import metrics as m
from reprolock.finding import Severity
from reprolock.result import MetricStatus, Tolerance

EXACT = Tolerance()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("acc=model.score(X, y)", ("acc", "model.score(X, y)", None)),
        ("acc=acc@7", ("acc", "acc", 7)),
        ("same=a == b", ("same", "a == b", None)),
        ("norm=float((a @ b).sum())", ("norm", "float((a @ b).sum())", None)),
        ("p=a@b@12", ("p", "a@b", 12)),
        (" my name = f(x=1) ", ("my name", "f(x=1)", None)),
    ],
)
def test_requests(text, wanted):
    assert m.parse_request(text) == wanted


@pytest.mark.parametrize("text", ["", "acc", "=x", "acc=", "acc= @3", "a==b", "acc=@3"])
def test_bad_requests(text):
    with pytest.raises(UsageError, match="wanted NAME=EXPR") as caught:
        m.parse_request(text)
    assert "--metric" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "absolute", "relative"),
    [
        ("a=0.005", 0.005, None),
        ("a=1%", None, 0.01),
        ("a=0.1%", None, 0.001),
        ("a=rel:1e-3", None, 1e-3),
        ("a=rel:5%", None, 0.05),
        ("a=abs:0.1", 0.1, None),
        ("a = abs:0.1, rel:1%", 0.1, 0.01),
        ("a=0", 0.0, None),
    ],
)
def test_tolerances(text, absolute, relative):
    assert m.parse_tolerance(text) == ("a", Tolerance(absolute, relative, "user"))


@pytest.mark.parametrize(
    "text", ["", "a", "a=", "=1", "a=-1", "a=nan", "a=inf", "a=x", "a=abs:1%", "a=foo:1"]
)
def test_bad_tolerances(text):
    with pytest.raises(UsageError, match="wanted NAME=NUMBER"):
        m.parse_tolerance(text)


def cell(text, **rest):
    outputs = [{"output_type": "stream", "name": "stdout", "text": text}]
    return {"cell_type": "code", "source": "", "metadata": {}, "outputs": outputs, **rest}


def shown(cell_type="code", **bundle):
    outputs = [
        {
            "output_type": "execute_result",
            "data": {k.replace("_", "/"): v for k, v in bundle.items()},
        }
    ]
    return {"cell_type": cell_type, "source": "", "metadata": {}, "outputs": outputs}


def found(*cells):
    return {x.name: x.value for x in m.discover(cells)}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("accuracy: 0.972", {"accuracy": 0.972}),
        ("Test RMSE = 3.2", {"test_rmse": 3.2}),
        ("accuracy 97.2%", {"accuracy": 97.2}),
        ("{'acc': 0.9, 'f1': 0.8}", {"acc": 0.9, "f1": 0.8}),
        ("{'acc': np.float64(0.9)}", {"acc": 0.9}),
        ("loss: tensor(0.5, grad_fn=<X>)", {"loss": 0.5}),
        ("Epoch 1/2 loss 0.5 acc 0.7\nEpoch 2/2 loss 0.4 acc 0.8", {"loss": 0.4, "acc": 0.8}),
        ("1/2 loss: 0.9\r2/2 loss: 0.4", {"loss": 0.4}),
        (
            "10/10 ━━━ 3s 12ms/step - accuracy: 0.9 - val_loss: 0.3",
            {"accuracy": 0.9, "val_loss": 0.3},
        ),
        ("Accuracy on the 10000 test images: 53 %", {"accuracy_on_the_10000_test_images": 53}),
        ("R^2: 0.8", {"r2": 0.8}),
        ("R-squared = 0.8", {"r2": 0.8}),
        ("ROC AUC = 0.92 (+/- 0.03)", {"roc_auc": 0.92}),
        ("log-prob = -3.2", {"log_prob": -3.2}),
        ("\x1b[1mAccuracy is 0.9.\x1b[0m", {"accuracy": 0.9}),
        ("balancedAccuracy: 1e-3", {"balancedaccuracy": 1e-3}),
        ("Best score 0.97 at C=1", {"best_score": 0.97}),
        ("accuracy                 0.97        36", {"accuracy": 0.97}),
        ("accuracy    0.97\nf1   0.8\ndtype: float64", {"accuracy": 0.97, "f1": 0.8}),
        ("scores: [0.9, 0.8]", {}),
        ("training time: 3.2", {}),
        ("score took: 3.2 s", {}),
        ("epoch: 3, step: 4, batch size: 5", {}),
        ("learning rate: 0.1", {}),
        ("ValueError: 3", {}),
        ("error: 404 Not Found", {}),
        ("accuracy: 1.2.3", {}),
        ("nothing 3.2 here", {}),
        ("Elapsed: 0.3944s accuracy=0.912", {"accuracy": 0.912}),
        ("Elapsed: 12 accuracy=0.9", {"accuracy": 0.9}),
        ("Elapsed: 1m 3.2s loss = 0.5", {"loss": 0.5}),
        ("Elapsed: 0:00:03.251 acc=0.9", {"acc": 0.9}),
        ("time: 3s loss: 0.5", {"loss": 0.5}),
        ("train_time: 12.1 acc: 0.9", {"acc": 0.9}),
        ("0.39s accuracy 0.9", {"accuracy": 0.9}),
        ("epoch 0 0.161s - loss: 0.5", {"loss": 0.5}),
        ("epoch 3 12s loss: 0.5", {"loss": 0.5}),
        ("accuracy after 3.21s: 0.9", {"accuracy_after": 0.9}),
        ("2026-01-02 13:21:22.123456 accuracy: 0.9", {"accuracy": 0.9}),
        ("2026-01-02 13:21:22,123 INFO accuracy: 0.9", {"info_accuracy": 0.9}),
        ("2026-01-02T13:21:22.1+00:00: accuracy: 0.9", {"accuracy": 0.9}),
        ("[13:21] loss: 0.4", {"loss": 0.4}),
        ("best score at 12:00:01: 0.9", {"best_score_at": 0.9}),
        # A number that is part of a name stays in it.
        ("f1: 0.9", {"f1": 0.9}),
        ("top-5 accuracy: 0.8", {"top_5_accuracy": 0.8}),
        ("R2: 0.3", {"r2": 0.3}),
        ("precision@10: 0.4", {"precision_10": 0.4}),
        ("mAP@0.5: 0.6", {"map_0_5": 0.6}),
        ("model 3 accuracy: 0.9", {"model_3_accuracy": 0.9}),
        ("24h mae: 0.4", {"24h_mae": 0.4}),
        ("alpha=0.1 score: 0.5", {"0_1_score": 0.5}),
        ("2020-01-02 rmse: 0.5", {"2020_01_02_rmse": 0.5}),
    ],
)
def test_labelled_numbers(text, values):
    assert found(cell(text)) == values
    assert found(shown(text_plain=text)) == values


def test_nan_is_a_value():
    assert math.isnan(found(cell("loss: nan"))["loss"])


def test_tables_of_one_row_or_one_column():
    row = "<table><tr><th></th><th>accuracy</th><th>F1 score</th><th>time</th></tr><tr><th>0</th><td>0.97</td><td>0.9</td><td>3</td></tr></table>"
    assert found(shown(text_html=row, text_plain="0 0.97")) == {"accuracy": 0.97, "f1_score": 0.9}
    column = "<table><tr><th></th><th>value</th></tr><tr><th>rmse</th><td>1.5</td></tr><tr><th>n</th><td>3</td></tr></table>"
    assert found(shown(text_html=column)) == {"rmse": 1.5}
    many = row.replace("</table>", "<tr><th>1</th><td>0.1</td><td>0.2</td><td>3</td></tr></table>")
    assert found(shown(text_html=many)) == {}


def test_names_are_unique_and_stay():
    cells = [
        cell("accuracy: 0.9", id="a"),
        {"cell_type": "markdown"},
        cell("accuracy: 0.8"),
        cell("accuracy: 0.7"),
    ]
    metrics = m.discover(cells)
    assert [(x.name, x.value, x.cell, x.cell_id) for x in metrics] == [
        ("accuracy", 0.9, 0, "a"),
        ("accuracy@2", 0.8, 2, None),
        ("accuracy@3", 0.7, 3, None),
    ]
    assert {x.source for x in metrics} == {"output"}


@pytest.mark.parametrize(
    ("tag", "text", "name"),
    [
        ("metric", "0.5", "metric@0"),
        ("metric", "accuracy: 0.5", "accuracy"),
        ("metric:my score", "0.5\n", "my score"),
        ("reprolock:metric=x", "np.float64(0.5)", "x"),
    ],
)
def test_tags(tag, text, name):
    tagged = cell(text, metadata={"tags": ["other", tag]})
    metric = next(x for x in m.discover([tagged]) if x.source == "tag")
    assert (metric.name, metric.value) == (name, 0.5)
    assert m.tag_problems([tagged]) == ()


def test_a_tagged_cell_without_one_number_is_told():
    (finding,) = m.tag_problems([cell("1 2", metadata={"tags": ["metric"]}), cell("x")])
    assert (finding.code, finding.cell) == ("metrics.tag-unreadable", 0)


@pytest.mark.parametrize(
    "outputs", [None, "x", [{}], [None], [{"data": None}], [{"data": {"text/html": 3}}]]
)
def test_bent_cells_never_raise(outputs):
    bent = {"cell_type": "code", "outputs": outputs, "metadata": None}
    assert m.discover([bent]) == ()
    assert m.tag_problems([bent]) == ()


def event(name, value, dtype="float", n=0, **rest):
    return {
        "event": "metric",
        "n": n,
        "name": name,
        "value": value,
        "dtype": dtype,
        "source": "api",
        **rest,
    }


def test_journal():
    events = [
        {"event": "start"},
        event("loss", 0.5),
        event("loss", "NaN", n=1),
        event("text", "NaN", "str"),
        event("end", 3, "int", None, source="expression", expression="f()"),
        event("list", [1], "list"),
        event("late", 1.0),
        {"event": "metric-error", "n": 1, "name": "late", "error": "NameError: x"},
    ]
    got = m.from_journal(events, {0: 2, 1: 5}, {5: "five"})
    assert math.isnan(got.get("loss").value)
    assert (got.get("loss").cell, got.get("loss").cell_id) == (5, "five")
    assert got.get("text").value == "NaN"
    assert got.get("end") == m.Metric("end", 3, None, None, "int", "expression", "f()")
    assert got.get("list").value == "[1]"
    assert got.failed == (m.FailedMetric("late", "NameError: x", 5),)


def test_explicit_wins():
    explicit = m.Metrics((m.Metric("acc", 1.0, source="api"),), (m.FailedMetric("f1", "no"),))
    merged = m.merge(explicit, [m.Metric("acc", 2.0), m.Metric("f1", 2.0), m.Metric("auc", 3.0)])
    assert [(x.name, x.value) for x in merged.metrics] == [("acc", 1.0), ("auc", 3.0)]


def test_lock_round_trip():
    facts = m.Metrics(
        (
            m.Metric("a b.c", 0.1, 3, "id", "float32", "expression", "f(x)"),
            m.Metric("inf", -math.inf),
            m.Metric("flag", True, dtype="bool"),
            m.Metric("n", 3, dtype="int"),
            m.Metric("s", "x", dtype="str", source="tag"),
        ),
        (m.FailedMetric("bad", "NameError", 2),),
    )
    text = tomlkit.dumps(m.to_toml(facts))
    assert m.from_toml(tomlkit.parse(text).unwrap()) == facts
    nan = m.from_toml(
        tomlkit.parse(tomlkit.dumps(m.to_toml(m.Metrics((m.Metric("x", math.nan),))))).unwrap()
    )
    assert math.isnan(nan.metrics[0].value)


GOOD = {"value": 1.0, "dtype": "float", "source": "output"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([], "metrics: wanted a table, found list"),
        ({"a": 1}, "metrics.a: wanted a table, found int"),
        ({"a": {}}, "metrics.a.value: wanted a number, boolean or string, found nothing"),
        (
            {"a": {**GOOD, "value": []}},
            "metrics.a.value: wanted a number, boolean or string, found list",
        ),
        ({"a": {**GOOD, "dtype": 3}}, "metrics.a.dtype: wanted a string, found 3"),
        ({"a": {**GOOD, "cell": -1}}, "metrics.a.cell: wanted an integer of 0 or more, found -1"),
        (
            {"a": {**GOOD, "source": "x"}},
            "metrics.a.source: wanted one of expression, api, tag, output, found 'x'",
        ),
    ],
)
def test_damaged_locks(table, said):
    with pytest.raises(LockError) as caught:
        m.from_toml(table)
    assert caught.value.message == said


def judge(expected, observed, tolerance=None, dtype="float", other=None, undecided=()):
    one = m.Metrics((m.Metric("x", expected, 7, "id", dtype),))
    two = m.Metrics((m.Metric("x", observed, 7, "id", other or dtype),))
    tolerances = {} if tolerance is None else {"x": tolerance}
    (result,), findings = m.compare(one, two, tolerances, EXACT, frozenset(undecided))
    return result, [f.code for f in findings]


def absolute(value):
    return Tolerance(abs=value, source="user")


@pytest.mark.parametrize(
    ("expected", "observed", "tolerance", "status"),
    [
        (0.97, 0.97, None, "exact"),
        (0.97, 0.9700000000000001, None, "outside"),
        (0.97, 0.965, absolute(0.005), "within"),
        (0.97, 0.975, absolute(0.005), "within"),
        (0.97, 0.9649999, absolute(0.005), "outside"),
        (0.3, 0.1 + 0.2, absolute(1e-15), "within"),
        (200.0, 198.0, Tolerance(rel=0.01), "within"),
        (-200.0, -202.1, Tolerance(rel=0.01), "outside"),
        (200.0, 197.0, Tolerance(abs=3, rel=0.01), "within"),
        (0.0, 0.001, Tolerance(rel=0.5), "outside"),
        (0.0, -0.0, None, "within"),
        (math.nan, math.nan, None, "exact"),
        (math.nan, 1.0, absolute(9), "outside"),
        (1.0, math.nan, absolute(9), "outside"),
        (math.inf, math.inf, None, "exact"),
        (math.inf, -math.inf, absolute(9), "outside"),
        (math.inf, 1.0, Tolerance(rel=9), "outside"),
        (1e308, -1e308, Tolerance(rel=2), "within"),
        (True, True, None, "exact"),
        (True, False, absolute(9), "outside"),
        ("a", "a", None, "exact"),
        ("a", "b", absolute(9), "outside"),
        (3, 3, None, "exact"),
        (3, 4, absolute(1), "within"),
        (10**30, 10**30 + 1, absolute(0.5), "outside"),
        (1, 1.0, None, "within"),
        (1, True, absolute(9), "outside"),
        ("1", 1, absolute(9), "outside"),
    ],
)
def test_statuses(expected, observed, tolerance, status):
    result, codes = judge(expected, observed, tolerance)
    assert result.status.value == status
    assert ("metrics.outside-tolerance" in codes) == (status == "outside")


def test_float32_is_judged_by_its_own_shortest_form():
    import struct

    one, other = (struct.unpack("f", struct.pack("f", v))[0] for v in (0.97, 0.965))
    assert judge(one, other, absolute(0.005), "float32")[0].status is MetricStatus.WITHIN


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**6), st.integers(0, 6))
def test_a_shift_by_the_very_margin_is_within(value, shift, places):
    scale = Decimal(10) ** -places
    one, moved, beyond = (
        float(Decimal(v) * scale) for v in (value, value + shift, value + shift + 1)
    )
    tolerance = absolute(float(Decimal(shift) * scale))
    assert judge(one, moved, tolerance)[0].status in (MetricStatus.WITHIN, MetricStatus.EXACT)
    assert judge(one, beyond, tolerance)[0].status is MetricStatus.OUTSIDE


def test_messages():
    one = m.Metrics((m.Metric("accuracy", 0.9722, 7),))
    two = m.Metrics((m.Metric("accuracy", 0.9611, 7), m.Metric("f1", math.nan)))
    (result,), (finding, added) = m.compare(one, two, {"accuracy": absolute(0.005)}, EXACT)
    assert finding.message == (
        "metric accuracy: 0.9611, the locked run 0.9722; moved by 0.0111, tolerance 0.005 (user)"
    )
    assert (finding.subject, finding.cell, finding.severity) == ("accuracy", 7, Severity.ERROR)
    assert (added.code, added.severity, added.observed) == ("metrics.added", Severity.NOTE, "NaN")
    assert result.to_json()["tolerance"] == {"abs": 0.005, "rel": None, "source": "user"}


def test_missing_and_failed():
    one = m.Metrics((m.Metric("a", 1.0), m.Metric("b", 2.0)), (m.FailedMetric("c", "NameError"),))
    two = m.Metrics((), (m.FailedMetric("b", "ZeroDivisionError"),))
    results, findings = m.compare(one, two, {}, EXACT)
    assert [r.status.value for r in results] == ["missing", "failed", "failed"]
    assert [f.code for f in findings] == ["metrics.missing", "metrics.failed", "metrics.failed"]


@pytest.mark.parametrize(
    "older",
    [
        "0_3944s_accuracy",
        "12s_accuracy",
        "22_123456_accuracy",
        "0_3944_accuracy",
        "accuracy_12_00_01",
        "accuracy_3_21_s",
    ],
)
def test_a_time_in_the_name_of_an_older_lock_is_passed_over(older):
    one = m.Metrics((m.Metric(older, 0.9, 3),))

    def judged(*observed):
        (result,), findings = m.compare(one, m.Metrics(observed), {}, EXACT)
        return result.status.value, [f.code for f in findings]

    assert judged(m.Metric("accuracy", 0.9, 3)) == ("exact", [])
    assert judged(m.Metric("accuracy@3", 0.9, 3), m.Metric("accuracy", 0.1, 1))[0] == "exact"
    assert judged(m.Metric("accuracy", 0.8, 3))[0] == "outside"
    assert judged(m.Metric("accuracy", 0.9, 4))[0] == "missing"
    assert judged(m.Metric("f1", 0.9, 3))[0] == "missing"


@pytest.mark.parametrize("name", ["fold_1_accuracy", "map_0_5", "top_5_accuracy", "1_accuracy"])
def test_a_number_that_is_part_of_a_name_is_not_passed_over(name):
    one = m.Metrics((m.Metric(name, 0.9, 3),))
    two = m.Metrics((m.Metric("accuracy", 0.9, 3), m.Metric("map", 0.9, 3)))
    assert m.compare(one, two, {}, EXACT)[0][0].status is MetricStatus.MISSING


def test_undecided_without_a_tolerance_of_its_own():
    result, codes = judge(0.5, 0.5, None, undecided=["x"])
    assert (result.status, codes) == (MetricStatus.UNDECIDED, ["metrics.undecided"])
    assert judge(0.5, 0.5, absolute(0.1), undecided=["x"])[0].status is MetricStatus.EXACT


def test_changes_of_type():
    assert judge(0.5, 0.5, None, "float", "float64")[1] == ["metrics.type-changed"]
    assert judge(1, 1.0, None, "int", "float")[1] == ["metrics.type-changed"]
    assert judge(1, "1", None, "int", "str")[1] == [
        "metrics.type-changed",
        "metrics.outside-tolerance",
    ]
