"""Cells: alignment, statuses, outputs that are missing, added or of another kind."""

from __future__ import annotations

import json

import pytest

from reprolock.compare import CellStatus, CompareOptions, compare_cells
from reprolock.finding import Severity


def code(*outputs, source="x", **rest):
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "metadata": {}, **rest}


def out(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def data(kind="display_data", /, **bundle):
    return {
        "output_type": kind,
        "data": {k.replace("_", "/", 1): v for k, v in bundle.items()},
        "metadata": {},
    }


def fails(name, value, *traceback):
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": list(traceback)}


def one(expected, observed, **options):
    return compare_cells([expected], [observed], CompareOptions(**options)).cells[0]


def codes(cell):
    return [f.code for f in cell.findings]


def test_identical_and_not_compared():
    assert one(code(out("a")), code(out("a"))).status is CellStatus.IDENTICAL
    assert one(code(), code()).status is CellStatus.NOT_COMPARED


def test_a_number_that_differs_reads_well():
    markdown = {"cell_type": "markdown", "source": "# T", "id": "m"}
    before = [markdown, code(out("accuracy: 0.9722\n"), id="c")]
    after = [markdown, code(out("accuracy: 0.9611\n"), id="c")]
    result = compare_cells(before, after, CompareOptions())
    (finding,) = result.findings
    assert finding.message == "cell 1: printed 0.9611, the locked run printed 0.9722"
    assert (finding.code, finding.severity) == ("outputs.number-differs", Severity.ERROR)
    assert (finding.cell, finding.cell_id) == (1, "c")
    assert (finding.expected, finding.observed) == ("0.9722", "0.9611")
    assert (result.compared, result.bit_exact, result.within) == (1, False, False)
    assert result.first_divergence is result.different[0]
    assert json.loads(json.dumps(finding.to_json()))["family"] == "outputs"


def test_within_tolerance_and_its_helpers():
    result = compare_cells([code(out("0.5"))], [code(out("0.5001"))], CompareOptions(rtol=1e-2))
    assert result.cells[0].status is CellStatus.WITHIN
    assert (result.within, result.bit_exact, result.findings) == (True, False, ())


def test_streams_are_joined_and_their_interleaving_does_not_count():
    before = code(out("a"), out("warn\n", "stderr"), out(["b\n", "c"]))
    after = code(out("warn\n", "stderr"), out("ab\nc"))
    assert one(before, after).status is CellStatus.IDENTICAL


def test_execution_count_and_metadata_are_ignored():
    before = code({**data("execute_result", text_plain="1"), "execution_count": 3})
    after = code(
        {**data("execute_result", text_plain=["1"]), "execution_count": 9, "metadata": {"a": 1}}
    )
    assert one(before, after).status is CellStatus.IDENTICAL


def test_missing_and_added_outputs():
    cell = one(code(out("a"), data(text_plain="X")), code(out("a")))
    assert (codes(cell), cell.first_output) == (["outputs.output-missing"], 1)
    cell = one(code(out("a")), code(out("a"), out("oops", "stderr")))
    assert codes(cell) == ["outputs.output-added"]
    assert cell.findings[0].message == (
        'cell 0: gave an output that the locked run has not: stderr "oops"'
    )


def test_one_output_more_does_not_make_the_rest_differ():
    a, b, c = (data(text_plain=t) for t in "abc")
    assert codes(one(code(a, b, c), code(a, c))) == ["outputs.output-missing"]
    assert codes(one(code(a, c), code(a, b, c))) == ["outputs.output-added"]


def test_errors_are_compared_by_name_and_message_only():
    before = code(fails("ValueError", "no <A at 0x7f0011223344>", "one"))
    same = code(fails("ValueError", "no <A at 0x7f0011223355>", "two"))
    assert one(before, same).status is CellStatus.NORMALISED
    assert codes(one(before, code(fails("KeyError", "no")))) == ["outputs.error-differs"]
    assert codes(one(before, code(fails("ValueError", "other")))) == ["outputs.error-differs"]
    gone = one(before, code())
    assert codes(gone) == ["outputs.error-differs"]
    assert "did not raise ValueError" in gone.findings[0].message


def test_other_mime_types():
    cell = one(code(data(text_plain="a", text_html="<b>a</b>")), code(data(text_plain="a")))
    assert codes(cell) == ["outputs.mime-differs"]
    odd = {"output_type": "display_data", "data": {"chemical/x-pdb": "A"}}
    other = {"output_type": "display_data", "data": {"chemical/x-pdb": "B"}}
    assert one(code(odd), code(odd)).status is CellStatus.IDENTICAL
    assert codes(one(code(odd), code(other))) == ["outputs.text-differs"]


def test_of_several_forms_the_most_telling_is_told():
    cell = one(
        code(data(text_plain="1", text_html="<table><tr><td>1</td></tr></table>")),
        code(data(text_plain="2", text_html="<table><tr><td>2</td></tr></table>")),
    )
    assert codes(cell) == ["outputs.table-differs"]


@pytest.mark.parametrize("key", ["c", 0, "0"])
def test_excused_cells(key):
    before, after = code(out("1"), id="c"), code(out("2"), id="c")
    cell = one(before, after, excused={key: "prints the weather"})
    assert cell.status is CellStatus.EXCUSED
    assert cell.findings[0].severity is Severity.NOTE
    assert cell.findings[0].message.endswith("excused by the policy: prints the weather")
    assert one(before, before, excused={key: "x"}).status is CellStatus.IDENTICAL


@pytest.mark.parametrize(
    "source",
    [
        "%load_ext reprolock",
        "%reprolock capture",
        "!reprolock capture",
        "# c\n%reprolock capture\n",
    ],
)
def test_cells_that_only_call_reprolock(source):
    assert one(code(out("1"), source=source), code(source=source)).status is CellStatus.NOT_COMPARED


def test_a_cell_that_does_more_is_compared():
    source = "%load_ext reprolock\nprint(x)"
    cell = one(code(out("1"), source=source), code(out("2"), source=source))
    assert cell.status is CellStatus.DIFFERENT


@pytest.mark.parametrize("ids", [True, False])
def test_an_inserted_cell_shifts_nothing(ids):
    def cells(*names):
        return [code(out(n), source=f"print({n!r})", **({"id": n} if ids else {})) for n in names]

    result = compare_cells(cells("a", "b", "c"), cells("a", "new", "b", "c"), CompareOptions())
    assert [c.status for c in result.cells[:3]] == [CellStatus.IDENTICAL] * 3
    assert codes(result.cells[3]) == ["outputs.output-added"]
    result = compare_cells(cells("a", "new", "b", "c"), cells("a", "b", "c"), CompareOptions())
    assert codes(result.different[0]) == ["outputs.output-missing"]
    assert len(result.different) == 1


def test_an_edited_cell_without_id_is_compared_with_what_it_was():
    before = [code(out(n), source=n) for n in "abc"]
    after = [code(out("a"), source="a"), code(out("b"), source="b2"), code(out("c"), source="c")]
    assert compare_cells(before, after).bit_exact


def test_new_ids_do_not_matter():
    before = [code(out(n), source=n, id=n) for n in "ab"]
    after = [code(out(n), source=n, id=f"new-{n}") for n in "ab"]
    assert compare_cells(before, after).bit_exact


@pytest.mark.parametrize(
    "outputs",
    [
        None,
        "x",
        [{}],
        [{"output_type": "stream"}],
        [{"output_type": "stream", "text": None}],
        [{"output_type": "display_data"}],
        [{"output_type": "display_data", "data": None}],
        [{"output_type": "display_data", "data": {"text/plain": 3, "text/html": None}}],
        [{"output_type": "display_data", "data": {"image/png": None, "image/svg+xml": 3}}],
        [{"output_type": "error"}],
    ],
)
def test_bent_outputs_never_raise(outputs):
    good = code(out("a"), data(text_plain="b", text_html="<p>", image_png="AAAA"), fails("E", "v"))
    bent = {"cell_type": "code", "outputs": outputs}
    compare_cells([good], [bent])
    compare_cells([bent], [good])
    assert compare_cells([bent], [bent]).bit_exact


def widget(model, **more):
    view = {"version_major": 2, "model_id": model, **more}
    return {
        "output_type": "display_data",
        "data": {"application/vnd.jupyter.widget-view+json": view},
    }


def test_widget_views_without_state_are_not_compared():
    assert one(code(widget("a1")), code(widget("b2"))).status is CellStatus.NOT_COMPARED
    assert one(code(widget("a"), out("1")), code(widget("b"), out("1"))).status is (
        CellStatus.IDENTICAL
    )
    assert one(code(widget("a")), code(widget("b", x=1))).status is CellStatus.DIFFERENT
    assert one(code(widget("a")), code(widget("b")), disabled=frozenset({"json-ids"})).status is (
        CellStatus.DIFFERENT
    )


def model(name, module="@jupyter-widgets/controls", **state):
    return {"model_name": name, "model_module": module, "state": state}


def slider(mark, value, colour="red"):
    """Return the state of a box that knows its slider, which knows its box and its looks."""
    return {
        f"box{mark}": model("VBoxModel", children=[f"IPY_MODEL_s{mark}"]),
        f"s{mark}": model(
            "FloatSliderModel",
            value=value,
            parent=f"IPY_MODEL_box{mark}",
            style=f"IPY_MODEL_st{mark}",
        ),
        f"st{mark}": model("SliderStyleModel", handle_color=colour),
    }


def with_states(old, new, *roots, **options):
    cells = [[code(widget(root))] for root in roots]
    return compare_cells(*cells, CompareOptions(**options), widgets=(old, new)).cells[0]


def test_widgets_by_their_state():
    before = slider(1, 3.5)
    cell = with_states(before, slider(2, 3.5, "blue"), "box1", "box2")
    assert (cell.status, cell.normalisers) == (CellStatus.NORMALISED, ("json-ids",))
    assert with_states(before, before, "box1", "box1").status is CellStatus.IDENTICAL
    cell = with_states(before, slider(2, 3.6), "box1", "box2")
    assert cell.findings[0].message == (
        "cell 0: widget FloatSliderModel: $.value is 3.6, the locked run's 3.5"
    )
    assert with_states(before, slider(2, 3.6), "box1", "box2", atol=1).status is CellStatus.WITHIN
    (finding,) = with_states(before, {}, "box1", "box2").findings
    assert finding.message == "cell 0: the state of the widget is missing in the new run"
    (finding,) = with_states({}, before, "box1", "box1").findings
    assert finding.message == "cell 0: the state of the widget is missing in the locked run"


def test_widgets_that_have_other_parts():
    after = slider(2, 3.5)
    after["s2"]["model_name"] = "IntSliderModel"
    assert with_states(slider(1, 3.5), after, "box1", "box2").status is CellStatus.DIFFERENT
    after["box2"]["state"]["children"] = []
    assert with_states(slider(1, 3.5), after, "box1", "box2").status is CellStatus.DIFFERENT


def test_the_bar_of_tqdm_in_a_notebook():
    def bar(mark, count, clock):
        text = f" {count}/10 [{clock}&lt;00:00,  3.21it/s]"
        return {mark: model("HTMLModel", value=text)}

    cell = with_states(bar("a", 10, "00:03"), bar("b", 10, "00:04"), "a", "b")
    assert cell.normalisers == ("json-ids", "progress-bars")
    cell = with_states(bar("a", 10, "00:03"), bar("b", 9, "00:03"), "a", "b")
    assert cell.status is CellStatus.DIFFERENT


def test_what_an_output_widget_holds():
    def holds(mark, text):
        outputs = [out(text), widget(mark)]  # shows itself
        return {mark: model("OutputModel", "@jupyter-widgets/output", outputs=outputs, msg_id=mark)}

    same = with_states(holds("a", "1"), holds("b", "1"), "a", "b")
    assert same.status is CellStatus.NORMALISED
    cell = with_states(holds("a", "1"), holds("b", "2"), "a", "b")
    assert codes(cell) == ["outputs.number-differs"]


def test_binary_parts_of_widgets():
    def array(mark, values):
        buffers = [{"encoding": "base64", "path": ["x"], "data": values}]
        return {mark: {**model("PlotModel", "other"), "buffers": buffers}}

    assert with_states(array("a", "AA"), array("b", "AA"), "a", "b").status is CellStatus.NORMALISED
    assert with_states(array("a", "AA"), array("b", "AB"), "a", "b").status is CellStatus.DIFFERENT


@pytest.mark.parametrize(
    "state",
    [
        {"a": None},
        {"a": {}},
        {"a": {"state": []}},
        {"a": {"state": {"x": "IPY_MODEL_gone"}, "buffers": 3}},
        {"a": {"model_name": "OutputModel", "state": {"outputs": 3}}},
        {"a": {"model_name": "ImageModel", "buffers": [{"path": [1], "data": None}]}},
    ],
)
def test_bent_widget_states_never_raise(state):
    with_states(state, slider(1, 1.0), "a", "box1")
    with_states(slider(1, 1.0), state, "box1", "a")
    with_states(state, {"a": {"model_name": "ImageModel", "state": {}}}, "a", "a")


def test_ids_in_json_are_random_only_where_they_look_so():
    def named(**value):
        return code({"output_type": "display_data", "data": {"application/json": value}})

    for key in ("model_id", "uid", "id"):
        assert one(named(**{key: "resnet"}), named(**{key: "vgg"})).status is CellStatus.DIFFERENT
        cell = one(named(**{key: "0" * 32}), named(**{key: "f" * 32}))
        assert cell.normalisers == ("json-ids",)


CLOCKS = [
    "import time; t = time.time()",
    "t = perf_counter()",
    "from time import time",
    "t = dt.datetime.now()",
    "pd.Timestamp.now()",
    "%%time\nf()",
    "import timeit",
    "time.process_time_ns()",
]


@pytest.mark.parametrize("source", CLOCKS)
def test_durations_are_measured_after_a_cell_that_read_a_clock(source):
    def cells(seconds):
        texts = [code(out(f"took {seconds} s"), source=f"print({n})") for n in range(2)]
        return [texts[0], code(source=source), texts[1]]

    before, _, after = compare_cells(cells(3.2), cells(3.3)).cells
    assert before.status is CellStatus.DIFFERENT
    assert after.normalisers == ("labelled-durations",)


@pytest.mark.parametrize("source", ["time.sleep(1)", "from time import sleep", "x = 'time'"])
def test_not_every_word_of_time_is_a_clock(source):
    before, after = (code(out(f"took {s} s"), source=source) for s in (3.2, 3.3))
    assert one(before, after).status is CellStatus.DIFFERENT


def figure(*values, uid="0" * 32):
    spec = {"data": [{"y": list(values), "uid": uid}], "layout": {"title": "t"}}
    return {"output_type": "display_data", "data": {"application/vnd.plotly.v1+json": spec}}


def test_json_by_structure():
    assert (
        one(code(figure(1, 2.5)), code(figure(1, 2.5, uid="f" * 32))).status
        is CellStatus.NORMALISED
    )
    assert one(code(figure(1, 2.5)), code(figure(1, 2.51)), rtol=0.01).status is CellStatus.WITHIN
    cell = one(code(figure(1, 2.5)), code(figure(1, 2.6)))
    assert cell.findings[0].message == "cell 0: $.data[0].y[1] is 2.6, the locked run's 2.5"
    assert one(code(figure(1)), code(figure(1.0))).status is CellStatus.DIFFERENT
    assert one(code(figure(1)), code(figure(True)), atol=5).status is CellStatus.DIFFERENT
    assert one(code(figure(1, 2)), code(figure(1))).status is CellStatus.DIFFERENT


def test_json_as_deep_as_it_may_be():
    def deep(leaf):
        value = leaf
        for _ in range(50_000):
            value = [value]
        return {"output_type": "display_data", "data": {"application/json": {"a": value}}}

    before, after = deep(1), deep(2)
    assert codes(one(code(before), code(after))) == ["outputs.number-differs"]
    for value in (before, after):  # let it go level by level
        value["data"].clear()


def test_scripts_have_random_ids():
    script = "document.getElementById('{}').x = {}"
    ids = "0a1b2c3d-0000-4000-8000-0123456789ab", "ffffffff-0000-4000-8000-0123456789ab"
    before, *after = (
        {"output_type": "display_data", "data": {"application/javascript": script.format(i, n)}}
        for i, n in ((ids[0], 1), (ids[1], 1), (ids[1], 2))
    )
    assert one(code(before), code(after[0])).normalisers == ("html-ids",)
    assert one(code(before), code(after[1])).status is CellStatus.DIFFERENT
