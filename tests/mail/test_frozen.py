"""A worker that stood still (a frozen machine, a full disk, a debugger) and wakes up too late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from campaign import clock
from campaign.db import db
from campaign.mail import delivery, queries, sweeping
from campaign.mail.models import Batch, Chunk
from campaign.mail.transports import Report
from campaign.settings import Settings
from tests.factories.mail import chunks_of, make_batch, states_of
from tests.factories.sendgrid_server import SendGridServer

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def server(app: Flask, with_settings: Callable[..., Settings]) -> Iterator[SendGridServer]:
    with SendGridServer() as server:
        with_settings(
            mail_transport="sendgrid",
            sendgrid_api_key="SG.test",
            sendgrid_base_url=server.url,
            mail_unknown_policy="retry",
        )
        yield server
        with app.app_context():
            report = queries.invariants()
        assert report["ok"], report["checks"]


def attempted(batch: Batch) -> delivery.Try:
    (claimed,) = delivery.claim("frozen", 1, bulk=True)
    found = delivery.attempt(claimed)
    assert found is not None
    return found


def lease_is_over() -> None:
    past = clock.now() - timedelta(seconds=1)
    db.session.execute(update(Chunk).values(lease_until=past))
    db.session.commit()
    sweeping.sweep()


def a_while_ago(one: delivery.Try) -> delivery.Try:
    return replace(one, began_at=one.began_at - 300)


def test_frozen_before_the_first_byte_it_sends_nothing(server: SendGridServer) -> None:
    batch = make_batch(3)
    frozen = attempted(batch)
    lease_is_over()
    delivery.work(bulk=True, seconds=5)
    assert server.unique == 3
    outcome = delivery.call(a_while_ago(frozen))
    assert isinstance(outcome, Report)
    assert len(outcome.untried) == 3
    assert delivery.record(frozen, outcome) is False
    assert (server.unique, server.duplicates) == (3, 0)
    assert states_of(batch) == ["accepted"] * 3


def test_frozen_but_not_given_away_it_goes_on(server: SendGridServer) -> None:
    batch = make_batch(3)
    frozen = attempted(batch)
    outcome = delivery.call(a_while_ago(frozen))
    assert delivery.record(frozen, outcome) is True
    assert states_of(batch) == ["accepted"] * 3


def test_frozen_behind_its_request_it_writes_nothing(server: SendGridServer) -> None:
    """Another has taken over, and what the first one heard is of no account any more."""
    batch = make_batch(3)
    frozen = attempted(batch)
    outcome = delivery.call(frozen)
    lease_is_over()
    before = [(chunk.state, chunk.attempts) for chunk in chunks_of(batch)]
    assert delivery.record(frozen, outcome) is False
    assert [(chunk.state, chunk.attempts) for chunk in chunks_of(batch)] == before
