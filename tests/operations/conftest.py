"""Tests of processes start installations of their own."""

from __future__ import annotations

from tests.stack import make_stack, stack

__all__ = ["make_stack", "stack"]
