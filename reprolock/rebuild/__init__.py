"""From a lock to an environment: plan, interpreter, installer, cache, check."""

from __future__ import annotations

from reprolock.rebuild.make import Environment, as_json, rebuild

__all__ = ["Environment", "as_json", "rebuild"]
