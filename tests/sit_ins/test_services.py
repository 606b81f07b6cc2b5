"""The briefing, and the list of those who risk arrest: sealed, left at once, gone in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.db import Words, db
from campaign.errors import Conflict
from campaign.events.models import EventKind, Rsvp, RsvpState
from campaign.organizations.models import AuditEntry
from campaign.sit_ins import queries, services
from campaign.sit_ins.models import Acknowledgement, ArrestRisk
from campaign.sit_ins.queries import Confided
from campaign.sit_ins.tasks import purge_risks
from campaign.tokens import Signer
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.leftovers import traces_of
from tests.factories.organizations import make_user

BRIEFING = Words(en="# Stay calm\n\nSit down together.", es="# Mantenga la calma")
CONFIDED = Confided(
    legal_name="Xiomara Quetzal",
    born_on="May 4, 1961",
    emergency_contact="her sister, 312 555 0142",
    medical="insulin at nine",
)
WORDS = ("Xiomara", "Quetzal", "1961", "312 555 0142", "insulin")


def sit_in(**values: Any) -> Rsvp:
    event = make_event(kind=EventKind.SIT_IN, briefing=BRIEFING, **values)
    return make_rsvp(event)


def on_the_list() -> Rsvp:
    rsvp = sit_in()
    services.acknowledge(rsvp, 1)
    services.join_list(rsvp, CONFIDED)
    db.session.commit()
    return rsvp


def test_reading_is_kept_once_for_each_version(app: Flask) -> None:
    rsvp = sit_in()
    services.acknowledge(rsvp, 1)
    services.acknowledge(rsvp, 1)
    assert len(db.session.scalars(select(Acknowledgement)).all()) == 1
    rsvp.occurrence.event.briefing_version = 2
    with pytest.raises(Conflict):
        services.acknowledge(rsvp, 1)
    services.acknowledge(rsvp, 2)
    assert len(db.session.scalars(select(Acknowledgement)).all()) == 2


def test_a_new_version_asks_again(app: Flask) -> None:
    read, unread = sit_in(), None
    event = read.occurrence.event
    unread = make_rsvp(event, first_name="Zoe", last_name="Zimmer")
    make_rsvp(event, state=RsvpState.DECLINED)
    services.acknowledge(read, 1)
    found = queries.readers(read.occurrence)
    assert (found.has_read, [row.id for row, _older in found.not_yet]) == (1, [unread.id])
    event.briefing_version = 2
    db.session.flush()
    found = queries.readers(read.occurrence)
    assert (found.has_read, found.has_read_older, len(found.not_yet)) == (0, 1, 2)


def test_what_is_confided_is_sealed_in_the_database(app: Flask) -> None:
    rsvp = on_the_list()
    assert traces_of(*WORDS) == {}
    risk = queries.risk_by_rsvp(rsvp.id)
    assert risk is not None
    assert queries.open_seal(risk) == CONFIDED


def test_an_old_key_still_opens_and_a_lost_one_says_so(app: Flask) -> None:
    rsvp = on_the_list()
    risk = queries.risk_by_rsvp(rsvp.id)
    assert risk is not None
    before = app.extensions["signer"]
    old = app.config["SECRET_KEY"]
    try:
        app.extensions["signer"] = Signer("a-new-key-that-is-long-enough", (old,))
        assert queries.open_seal(risk) == CONFIDED
        app.extensions["signer"] = Signer("a-new-key-that-is-long-enough")
        assert queries.open_seal(risk) is None
    finally:
        app.extensions["signer"] = before


def test_a_seal_is_for_one_purpose(app: Flask) -> None:
    signer = Signer("a-key-that-is-long-enough")
    sealed = signer.seal("one", {"a": 1})
    assert signer.unseal("one", sealed) == {"a": 1}
    assert "a" not in sealed[:3]
    from campaign.errors import Gone

    with pytest.raises(Gone):
        signer.unseal("two", sealed)


def test_nobody_is_on_the_list_before_reading_or_where_there_is_none(app: Flask) -> None:
    with pytest.raises(Conflict):
        services.join_list(sit_in(), CONFIDED)
    vigil = make_rsvp(make_event(briefing=BRIEFING))
    services.acknowledge(vigil, 1)
    with pytest.raises(Conflict):
        services.join_list(vigil, CONFIDED)
    gone = sit_in()
    gone.state = RsvpState.CANCELLED
    with pytest.raises(Conflict):
        services.join_list(gone, CONFIDED)
    assert db.session.scalars(select(ArrestRisk)).all() == []


def test_leaving_deletes_at_once_and_twice_is_once(app: Flask) -> None:
    rsvp = on_the_list()
    services.leave_list(rsvp)
    services.leave_list(rsvp)
    assert db.session.scalars(select(ArrestRisk)).all() == []


def test_the_list_goes_seven_days_after_the_end(app: Flask) -> None:
    rsvp = on_the_list()
    ends = rsvp.occurrence.ends_at
    with time_machine.travel(ends + timedelta(days=6, hours=23), tick=False):
        purge_risks()
        assert len(db.session.scalars(select(ArrestRisk)).all()) == 1
    with time_machine.travel(ends + timedelta(days=7, minutes=1), tick=False):
        purge_risks()
        assert db.session.scalars(select(ArrestRisk)).all() == []
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.details) == ("arrests.purged", {"rows": 1})


def test_a_date_moved_on_keeps_the_list_and_one_moved_back_lets_go(app: Flask) -> None:
    rsvp = on_the_list()
    occurrence = occurrence_of(rsvp.occurrence.event)
    ends = occurrence.ends_at
    occurrence.ends_at = ends + timedelta(days=3)
    db.session.commit()
    with time_machine.travel(ends + timedelta(days=8), tick=False):
        purge_risks()
        assert db.session.scalars(select(ArrestRisk.purge_at)).one() == ends + timedelta(days=10)
    occurrence.ends_at = clock.now() - timedelta(days=8)
    db.session.commit()
    purge_risks()
    assert db.session.scalars(select(ArrestRisk)).all() == []


def test_what_became_of_somebody_is_noted_without_a_name(app: Flask) -> None:
    rsvp = on_the_list()
    risk = queries.risk_by_rsvp(rsvp.id)
    assert risk is not None
    services.set_status(risk, "arrested", "18th district, since 9 pm", user_id=make_user().id)
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.details) == ("arrests.noted", {"status": "arrested"})
    opened = queries.open_seal(risk)
    assert opened is not None
    assert (risk.status, opened.note) == ("arrested", "18th district, since 9 pm")
    assert traces_of("18th district") == {}
    services.join_list(rsvp, CONFIDED)
    opened = queries.open_seal(risk)
    assert opened is not None
    assert opened.note == "18th district, since 9 pm", "what the team noted outlives a correction"
