"""What the tests of events share."""

from __future__ import annotations

import pytest
from flask import Flask

from campaign.events import queries
from tests.browsers import chromium, visit
from tests.events.answering import answer

__all__ = ["answer", "chromium", "visit"]


@pytest.fixture(autouse=True)
def _nothing_kept(app: Flask) -> None:
    """Pages and sheets of another test are not read in this one."""
    app.extensions["pages"].clear()
    queries.forget_sheets()
