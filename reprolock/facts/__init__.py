"""The fact families: what a Record is made of.

To add a family, add its module and one entry of `FAMILIES`; the lock, diff and verify walk that
tuple and know no family by name.
"""

from __future__ import annotations

from reprolock.facts import (
    data,
    hardware,
    installs,
    interpreter,
    metrics,
    notebook,
    packages,
    randomness,
    session,
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
    Family("session", session.Session, session, later=True),
    Family("installs", installs.Installs, installs, later=True),
)

__all__ = [
    "FAMILIES",
    "Family",
    "Record",
    "data",
    "hardware",
    "installs",
    "interpreter",
    "metrics",
    "notebook",
    "packages",
    "randomness",
    "session",
    "system",
]
