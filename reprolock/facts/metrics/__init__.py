"""Metrics: asked for, reported by the notebook, tagged, or found in what it printed."""

from __future__ import annotations

from reprolock.facts.metrics.asked import parse_request, parse_tolerance
from reprolock.facts.metrics.differences import compare
from reprolock.facts.metrics.discover import discover, tag_problems
from reprolock.facts.metrics.journal import from_journal, merge
from reprolock.facts.metrics.lockform import from_toml, to_toml
from reprolock.facts.metrics.model import SOURCES, FailedMetric, Metric, Metrics, Request

__all__ = [
    "SOURCES",
    "FailedMetric",
    "Metric",
    "Metrics",
    "Request",
    "compare",
    "discover",
    "from_journal",
    "from_toml",
    "merge",
    "parse_request",
    "parse_tolerance",
    "tag_problems",
    "to_toml",
]
