"""From a lock to an environment: plan, interpreter, installer, cache, check."""

from __future__ import annotations

from reprolock.rebuild.how import How
from reprolock.rebuild.make import Environment, as_json, rebuild

__all__ = ["Environment", "How", "as_json", "rebuild"]
