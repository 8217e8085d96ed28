"""The fact families: what a Record is made of.

To add a family, add its module and one entry of `FAMILIES`; the lock, diff and verify walk that
tuple and know no family by name.
"""

from __future__ import annotations

from reprolock.facts import (
    data,
    hardware,
    interpreter,
    metrics,
    notebook,
    packages,
    randomness,
    system,
)
from reprolock.facts.family import Family, Record

FAMILIES: tuple[Family, ...] = (
    Family("notebook", notebook.Notebook, notebook),
    Family("interpreter", interpreter.Interpreter, interpreter),
    Family("packages", packages.Packages, packages),
    Family("system", system.System, system),
    Family("hardware", hardware.Hardware, hardware),
    Family("data", data.Data, data),
    Family("randomness", randomness.Randomness, randomness),
    Family("metrics", metrics.Metrics, metrics),
)

__all__ = [
    "FAMILIES",
    "Family",
    "Record",
    "data",
    "hardware",
    "interpreter",
    "metrics",
    "notebook",
    "packages",
    "randomness",
    "system",
]
