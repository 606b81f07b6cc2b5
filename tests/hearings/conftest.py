"""What the tests of hearings share."""

from __future__ import annotations

import pytest
from flask import Flask

from campaign.db import db
from campaign.events.models import Rsvp
from campaign.hearings.models import Hearing, Testimony
from campaign.web.links import rsvp_token
from tests.factories.hearings import make_hearing
from tests.petitions.conftest import Mail, outbox


@pytest.fixture
def hearing(app: Flask) -> Hearing:
    """A hearing with ten slots of three minutes, in a week at 18:00."""
    found = make_hearing()
    db.session.commit()
    return found


def page_of(who: Rsvp | Testimony) -> str:
    """The path of a speaker's own page."""
    rsvp_id = who.id if isinstance(who, Rsvp) else who.rsvp_id
    assert rsvp_id is not None
    return f"/rsvp/{rsvp_token(rsvp_id)}/testimony"


def letters(to: str = "") -> list[Mail]:
    """The e-mails queued, in order."""
    return outbox(to)
