"""What a metric is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

SOURCES = ("expression", "api", "tag", "output")
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Metric:
    """One value that a run is judged by.

    *value*: float, int, bool or str; anything else stands as its JSON text. *cell*: index in the
    notebook, None for an expression evaluated at the end. *dtype*: the name of its type in the
    kernel, such as ``float``, ``float32`` or ``bool``. *source*: one of SOURCES.
    """

    name: str
    value: float | bool | str
    cell: int | None = None
    cell_id: str | None = None
    dtype: str = "float"
    source: str = "output"
    expression: str | None = None


@dataclass(frozen=True)
class FailedMetric:
    """A metric that the kernel could not give."""

    name: str
    error: str
    cell: int | None = None


@dataclass(frozen=True)
class Metrics:
    metrics: tuple[Metric, ...] = ()
    failed: tuple[FailedMetric, ...] = ()

    @property
    def names(self) -> set[str]:
        return {m.name for m in self.metrics} | {f.name for f in self.failed}

    def get(self, name: str) -> Metric | None:
        return next((m for m in self.metrics if m.name == name), None)


class Request(NamedTuple):
    """*cell*: index of the cell after which *expression* is evaluated; None: after the last."""

    name: str
    expression: str
    cell: int | None


def kind_of(dtype: str) -> str:
    for kind in ("bool", "int", "uint", "float", "bfloat", "str"):
        if dtype.startswith(kind):
            return {"uint": "int", "bfloat": "float"}.get(kind, kind)
    return "float" if dtype in ("double", "longdouble", "half") else "other"
