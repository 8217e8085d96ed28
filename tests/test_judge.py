"""The verdict is a pure function of the evidence; a doubtful case never becomes a pass."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from reprolock.compare import CompareOptions, compare_cells
from reprolock.facts import notebook, session
from reprolock.judge import Evidence, judge
from reprolock.result import MetricResult, MetricStatus, Tolerance, Verdict
from reprolock.verify import hold


def metric(status: MetricStatus) -> MetricResult:
    return MetricResult("accuracy", 0.9, 0.9, Tolerance(abs=0.0), status)


EXACT, WITHIN = metric(MetricStatus.EXACT), metric(MetricStatus.WITHIN)
OUTSIDE, UNDECIDED = metric(MetricStatus.OUTSIDE), metric(MetricStatus.UNDECIDED)


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (Evidence(metrics=(EXACT,), compared=3), Verdict.BIT_EXACT),
        (Evidence(compared=3), Verdict.BIT_EXACT),
        (Evidence(metrics=(WITHIN,), compared=3), Verdict.REPRODUCED_WITHIN_TOLERANCE),
        (Evidence(metrics=(EXACT,), compared=3, inexact=(2,)), Verdict.REPRODUCED_WITHIN_TOLERANCE),
        (Evidence(metrics=(EXACT,), files_inexact=True), Verdict.REPRODUCED_WITHIN_TOLERANCE),
        (Evidence(metrics=(EXACT,), compared=3, different=(1,)), Verdict.PARTIAL),
        (Evidence(metrics=(EXACT,), compared=3, excused=(1,)), Verdict.PARTIAL),
        (Evidence(metrics=(EXACT,), compared=3, must_equal=1), Verdict.PARTIAL),
        (Evidence(metrics=(EXACT,), compared=3, in_doubt=True), Verdict.PARTIAL),
        (Evidence(compared=3, in_doubt=True), Verdict.PARTIAL),
        (Evidence(metrics=(EXACT,), compared=3, files_differ=True), Verdict.PARTIAL),
        (Evidence(metrics=(EXACT, OUTSIDE), compared=3), Verdict.DIVERGED),
        (Evidence(metrics=(UNDECIDED, OUTSIDE)), Verdict.DIVERGED),
        (Evidence(metrics=(metric(MetricStatus.MISSING),)), Verdict.DIVERGED),
        (Evidence(metrics=(metric(MetricStatus.FAILED),)), Verdict.DIVERGED),
        (Evidence(metrics=(EXACT, UNDECIDED), compared=3), Verdict.INCONCLUSIVE),
        (Evidence(compared=3, different=(4,)), Verdict.DIVERGED),
        (Evidence(compared=3, different=(4,), unseeded_from=2), Verdict.INCONCLUSIVE),
        (Evidence(compared=3, different=(1, 4), unseeded_from=2), Verdict.DIVERGED),
        (Evidence(compared=3, different=(4,), unseeded_from=2, must_equal=1), Verdict.DIVERGED),
        (
            Evidence(compared=3, different=(4,), unseeded_from=2, in_doubt=True),
            Verdict.INCONCLUSIVE,
        ),
        (Evidence(), Verdict.INCONCLUSIVE),
        (Evidence(ran=False, metrics=(EXACT,), compared=3), Verdict.DID_NOT_RUN),
    ],
)
def test_verdict(evidence: Evidence, verdict: Verdict):
    assert judge(evidence) is verdict


def test_nothing_that_is_off_ever_passes():
    statuses = [None, *MetricStatus]
    cells = [(), (1,)]
    for status, different, excused, unseeded, equal, ran in itertools.product(
        statuses, cells, cells, [None, 0], [0, 1], [True, False]
    ):
        metrics = () if status is None else (metric(status),)
        verdict = judge(
            Evidence(ran, metrics, 2, different, (), excused, unseeded, equal, files_differ=False)
        )
        sound = status in (None, MetricStatus.EXACT, MetricStatus.WITHIN)
        clean = ran and sound and not (different or excused or equal)
        assert (verdict.exit_code == 0) == clean


def test_exit_codes_are_the_contract():
    assert {v.value: v.exit_code for v in Verdict} == {
        "BIT_EXACT": 0,
        "REPRODUCED_WITHIN_TOLERANCE": 0,
        "PARTIAL": 1,
        "DIVERGED": 1,
        "DID_NOT_RUN": 1,
        "COULD_NOT_REBUILD": 1,
        "INCONCLUSIVE": 2,
        "UNVERIFIABLE": 2,
    }


def test_an_excused_cell_without_a_known_output_was_compared_with_nothing():
    facts = {
        session.Session: session.Session("outside", outputs_unseen=(0,)),
        notebook.Notebook: notebook.Notebook("n.ipynb", "0", None, None, ()),
    }
    locked = SimpleNamespace(record=facts)
    cell = {"cell_type": "code", "source": "a", "outputs": []}
    again = {**cell, "outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}]}
    outputs = compare_cells([cell], [again], CompareOptions(excused={0: "not seen"}))
    assert (outputs.compared, len(outputs.excused)) == (1, 1)
    known = outputs.compared - len(hold.without_outputs(outputs, locked))
    evidence = Evidence(compared=known, excused=(0,))
    assert judge(evidence) is Verdict.INCONCLUSIVE
    told = hold.undecided(evidence, locked)
    assert told.code == "outputs.nothing-compared"
    assert "save the notebook" in told.hint
