"""Metrics: values that the notebook names, and expressions that the host asks for."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Tuple

from .cells import Running
from .journal import Journal


class Watch:
    def __init__(
        self,
        journal: Journal,
        running: Running,
        namespace: Dict[str, Any],
        requests: List[Dict[str, Any]],
    ) -> None:
        self._journal = journal
        self._running = running
        self._namespace = namespace
        self._waiting = list(requests)

    def begin(self) -> None:
        """Nothing to do: metrics are taken at the end of a cell."""

    def end(self) -> None:
        n = self._running.n
        due = [one for one in self._waiting if one["after"] is not None and one["after"] == n]
        self._waiting = [one for one in self._waiting if one not in due]
        for request in due:
            self._evaluate(request)

    def close(self) -> None:
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            if request["after"] is None:
                self._evaluate(request)
            else:
                self._failed(request["name"], "cell {} did not run".format(request["after"]))

    def given(self, name: Any, value: Any) -> None:
        """Record what the notebook calls a metric."""
        try:
            plain, dtype = plain_value(value)
        except TypeError as exc:
            self._failed(str(name), str(exc))
            return
        self._write(str(name), plain, dtype, source="api")

    def now(self, name: str, expression: str) -> Optional[str]:
        """Evaluate *expression* in the running cell; return what went wrong, None if nothing.

        The cell asks again by itself when it is run again: the expression is not kept.
        """
        return self._take(name, expression, {"source": "api"})

    def asked_for(self, words: List[str]) -> List[str]:
        """Take the values of ``--metric NAME=EXPR`` among the options of a capture.

        Returns the other options.
        """
        rest: List[str] = []
        waiting = False
        for word in words:
            if waiting or word.startswith("--metric="):
                text = word if waiting else word.partition("=")[2]
                name, _, expression = text.partition("=")
                self.now(name.strip(), expression)
                waiting = False
            elif word == "--metric":
                waiting = True
            else:
                rest.append(word)
        return rest

    def _evaluate(self, request: Dict[str, Any]) -> None:
        expression = request["expression"]
        kept = {"source": "expression", "expression": expression}
        self._take(request["name"], expression, kept)

    def _take(self, name: str, expression: str, facts: Dict[str, Any]) -> Optional[str]:
        try:
            code = compile(expression.strip(), "<metric {}>".format(name), "eval")
            plain, dtype = plain_value(eval(code, self._namespace))  # noqa: S307 - asked for
        except (Exception, SystemExit) as exc:
            problem = "{}: {}".format(type(exc).__name__, exc)
            self._failed(name, problem)
            return problem
        self._write(name, plain, dtype, **facts)
        return None

    def _write(self, name: str, value: Any, dtype: str, **facts: Any) -> None:
        self._journal.write(
            "metric", n=self._running.n, name=name, value=value, dtype=dtype, **facts
        )

    def _failed(self, name: str, error: str) -> None:
        self._journal.write("metric-error", n=self._running.n, name=name, error=error)


def plain_value(value: Any) -> Tuple[Any, str]:
    """Return *value* as JSON can hold it, and its type: ``int``, ``float64``, ``str``, ...

    Taken are int, float, bool and str, scalars of NumPy, and arrays and tensors without an axis.
    NaN and the infinities become ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``. Raises TypeError,
    naming the type that was found, for all else.
    """
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return _json(value, value), _type_name(value)
    if getattr(value, "ndim", 0) != 0:
        raise TypeError(
            "a metric is one number, text or truth value; found {} of shape {}".format(
                _type_name(value), tuple(value.shape)
            )
        )
    scalar = value if hasattr(value, "item") else value.numpy()
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    return _json(scalar.item(), value), "str" if name.startswith("str") else str(name)


def _json(value: Any, found: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    raise TypeError(
        "a metric is one number, text or truth value; found {}".format(_type_name(found))
    )


def _type_name(value: Any) -> str:
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return "{}.{}".format(kind.__module__, kind.__qualname__)
