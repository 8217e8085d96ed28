"""Widgets: the state of the models that a view shows, without the ids drawn for them.

Format: https://ipywidgets.readthedocs.io, "widget state" in the metadata of a notebook: model id
-> {"model_name", "state", "buffers"}; a string "IPY_MODEL_<id>" in a state refers to a model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reprolock.compare.images import compare_images
from reprolock.compare.model import IDENTICAL, Degree, Outcome, different, excerpt
from reprolock.compare.structure import compare_json
from reprolock.compare.tables import compare_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reprolock.compare.model import CompareOptions

_REFERENCE = "IPY_MODEL_"
_DEEPEST = 30  # output widgets in output widgets
_DIFFERS = "outputs.text-differs"
# How it looks, which message an output widget listens to, which release of the page draws it.
_DULL = frozenset(
    {"_view_count", "_model_module_version", "_view_module_version", "_view_module", "msg_id"}
)
_LOOKS = ("@jupyter-widgets/base", "@jupyter-widgets/controls")
_HTML = frozenset({"HTMLModel", "HTMLMathModel"})


@dataclass(frozen=True)
class WidgetStates:
    """The models of both notebooks by id, and the pairs of ids that are being compared."""

    expected: Mapping[str, Any]
    observed: Mapping[str, Any]
    open: frozenset[tuple[str, str]] = frozenset()


def compare_widgets(
    expected: Mapping[str, Any],
    observed: Mapping[str, Any],
    options: CompareOptions,
    states: WidgetStates,
    nested: Callable[[Any, Any, WidgetStates], Outcome],
) -> Outcome:
    """Compare two widget views by the state of all models that can be reached from them.

    *nested* compares the outputs that two output widgets hold. Where neither notebook has the
    state, only the views are compared, and the outcome says so (*compared* is False).
    """
    view = compare_json(expected, observed, options, random_keys=frozenset({"model_id"}))
    if view.degree is Degree.DIFFERENT:
        return view
    ids = str(expected.get("model_id")), str(observed.get("model_id"))
    old, new = _Models(states.expected, ids[0]), _Models(states.observed, ids[1])
    if not (old.order or new.order):
        return replace(view, compared=False)
    if not (old.order and new.order):
        which = "the new run" if old.order else "the locked run"
        return different(_DIFFERS, f"the state of the widget is missing in {which}")
    if ids in states.open:
        return view
    if len(states.open) >= _DEEPEST:
        return different(_DIFFERS, f"output widgets are nested more than {_DEEPEST} deep")
    inner = replace(states, open=states.open | {ids})
    outcome = _models(old, new, options, lambda a, b: nested(a, b, inner))
    return max(view, outcome, key=lambda o: o.degree).plus(view.normalisers | outcome.normalisers)


class _Models:
    """The models that can be reached from one, in the order in which they are met."""

    def __init__(self, states: Mapping[str, Any], root: str) -> None:
        self.states = states
        self.order: dict[str, int] = {}
        if not isinstance(states.get(root), Mapping):
            return
        waiting = deque([root])
        while waiting:
            key = waiting.popleft()
            if key not in self.order:
                self.order[key] = len(self.order)
                waiting.extend(_references(self.state(key)))

    def model(self, key: str) -> Mapping[str, Any]:
        model = self.states.get(key)
        return model if isinstance(model, Mapping) else {}

    def name(self, key: str) -> str:
        return str(self.model(key).get("model_name", "missing model"))

    def state(self, key: str) -> dict[str, Any]:
        """Return the state of a model without what only says how it looks."""
        state = self.model(key).get("state")
        items = state.items() if isinstance(state, Mapping) else ()
        return {k: v for k, v in items if k not in _DULL and not self._looks(v)}

    def _looks(self, value: Any) -> bool:
        if not (isinstance(value, str) and value.startswith(_REFERENCE)):
            return False
        model = self.model(value[len(_REFERENCE) :])
        name = str(model.get("model_name"))
        return model.get("model_module") in _LOOKS and name.endswith(("LayoutModel", "StyleModel"))

    def place(self, text: str) -> int | None:
        """Return which of the models *text* refers to."""
        return self.order.get(text[len(_REFERENCE) :]) if text.startswith(_REFERENCE) else None


def _references(state: Any) -> Iterator[str]:
    waiting = [state]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend(reversed(list(value.values())))
        elif isinstance(value, (list, tuple)):
            waiting.extend(reversed(value))
        elif isinstance(value, str) and value.startswith(_REFERENCE):
            yield value[len(_REFERENCE) :]


def _models(
    old: _Models, new: _Models, options: CompareOptions, nested: Callable[[Any, Any], Outcome]
) -> Outcome:
    worst, names = IDENTICAL, frozenset[str]()

    def same(one: str, other: str) -> bool:
        place = old.place(one)
        return place is not None and place == new.place(other)

    for before, after in zip(old.order, new.order, strict=False):
        name = old.name(before)
        if name != new.name(after):
            said = f"the widget is a {excerpt(new.name(after))}, the locked run's a {excerpt(name)}"
            return different(_DIFFERS, said, excerpt(name), excerpt(new.name(after)))
        for outcome in _parts(name, (old, before), (new, after), options, same, nested):
            names |= outcome.normalisers
            if outcome.degree > worst.degree:
                worst = outcome
                if outcome.degree is Degree.DIFFERENT:
                    worst = replace(outcome, message=f"widget {excerpt(name)}: {outcome.message}")
    if worst.degree is not Degree.DIFFERENT and len(old.order) != len(new.order):
        said = f"the widget has {len(new.order)} parts, the locked run's {len(old.order)}"
        worst = different(_DIFFERS, said, len(old.order), len(new.order))
    return worst.plus(names)


def _parts(
    name: str,
    expected: tuple[_Models, str],
    observed: tuple[_Models, str],
    options: CompareOptions,
    same: Callable[[str, str], bool],
    nested: Callable[[Any, Any], Outcome],
) -> Iterator[Outcome]:
    """Yield the comparisons of the parts of two models of the kind *name*."""
    one, other = (models.state(key) for models, key in (expected, observed))
    if name == "OutputModel":
        yield nested(one.pop("outputs", None), other.pop("outputs", None))
    values = one.get("value"), other.get("value")
    if name in _HTML and isinstance(values[0], str) and isinstance(values[1], str):
        yield compare_html(values[0], values[1], options)
        del one["value"], other["value"]
    # Order of keys means nothing here; ids of models are told apart by *same*.
    yield _quietly(compare_json(one, other, options, same=same))
    buffers = [models.model(key).get("buffers") for models, key in (expected, observed)]
    yield _buffers(name, *buffers, options=options)


def _quietly(outcome: Outcome) -> Outcome:
    """Take "nothing differs but layout" for the same."""
    same = outcome.degree is Degree.NORMALISED and outcome.normalisers == {"json-layout"}
    return IDENTICAL if same else outcome


def _buffers(name: str, old: Any, new: Any, *, options: CompareOptions) -> Outcome:
    if old == new:
        return IDENTICAL
    pairs = _by_path(old), _by_path(new)
    if name == "ImageModel" and pairs[0].keys() == pairs[1].keys():
        outcomes = [compare_images(pairs[0][k], pairs[1][k], options) for k in pairs[0]]
        return max(outcomes, key=lambda o: o.degree, default=IDENTICAL)
    if pairs[0] == pairs[1]:
        return IDENTICAL
    return different(_DIFFERS, "its binary data differ")


def _by_path(buffers: Any) -> dict[str, str]:
    listed = buffers if isinstance(buffers, (list, tuple)) else ()
    entries = [b for b in listed if isinstance(b, Mapping)]
    return {str(b.get("path")): f"{b.get('data')}" for b in entries}
