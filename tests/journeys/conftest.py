"""Journeys share one running installation and one browser for each test process."""

from __future__ import annotations

from tests.browsers import chromium, visit
from tests.stack import make_stack, stack

__all__ = ["chromium", "make_stack", "stack", "visit"]
