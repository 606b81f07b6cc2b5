"""What the suite itself stands on."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("guard")
def test_tests_of_one_group_share_a_process(request: pytest.FixtureRequest) -> None:
    """Browsers, started processes and crowds each keep to one of the two: side by side they starve
    each other and fail for it. Versions of pytest and xdist that do not fit ignore groups
    without a word."""
    is_parallel = "PYTEST_XDIST_WORKER" in os.environ
    assert request.node.nodeid.endswith("@guard") == is_parallel
