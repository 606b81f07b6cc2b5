"""Batches that are not bulk: rows made in Python, before mailings, behind single e-mails, in time."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select, update

from campaign import clock
from campaign.db import db, uuid7
from campaign.errors import Conflict, Unknown
from campaign.mail import delivery, queries, services, sweeping, tasks
from campaign.mail.addresses import address_hash
from campaign.mail.letters import Letter
from campaign.mail.models import (
    Batch,
    Chunk,
    Delivery,
    DeliveryState,
    MailboxMessage,
    Priority,
    Scope,
)
from campaign.mail.services import Addressee
from campaign.settings import Settings
from tests.factories.mail import chunks_of, make_batch, queue, states_of

pytestmark = pytest.mark.usefixtures("app")

ENGLISH = Letter("Reminder", "Come, {{ first_name }}: {{ link }}", "<p>{{ first_name }}</p>")
SPANISH = Letter("Recordatorio", "Venga, {{ first_name }}: {{ link }}", "<p>{{ first_name }}</p>")


@pytest.fixture(autouse=True)
def proof(app: Flask) -> Iterator[None]:
    """After every test, whatever happened in it, the books must balance."""
    yield
    with app.app_context():
        report = queries.invariants()
    assert report["ok"], report["checks"]


def key_of(name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_DNS, name)


def some(count: int, prefix: str = "coming") -> list[Addressee]:
    return [
        Addressee(
            unique_key=key_of(f"{prefix}{n}"),
            address=f"{prefix}{n}@people.example",
            address_hash=address_hash(f"{prefix}{n}@people.example"),
            values={"first_name": f"Name{n}", "link": f"https://example.org/{n}"},
        )
        for n in range(count)
    ]


def building(**given: object) -> Batch:
    return services.create_batch(
        organization_id=given.pop("organization_id", None) or uuid7(),  # type: ignore[arg-type]
        kind="reminder",
        key=str(given.pop("key", "one")),
        letter=ENGLISH,
        sender=services.Sender("Keep Our Clinics", "hello@clinics.example"),
        is_bulk=False,
        **given,  # type: ignore[arg-type]
    )


def reminder(count: int = 3, **given: object) -> Batch:
    """A released batch of reminders."""
    batch = building(**given)
    services.add_addressees(batch, ENGLISH, some(count))
    services.release(batch)
    db.session.commit()
    return batch


def inbox() -> list[str]:
    return list(db.session.scalars(select(MailboxMessage.address).order_by(MailboxMessage.id)))


def send() -> None:
    delivery.work(bulk=True, seconds=5)


# Rows


def test_rows_are_written_in_chunks_and_read_as_they_were_made(
    with_settings: Callable[..., Settings],
) -> None:
    with_settings(mail_batch_size=2)
    batch = building()
    assert services.add_addressees(batch, ENGLISH, some(3)) == 3
    assert services.add_addressees(batch, SPANISH, some(2, "viene")) == 2
    services.release(batch)
    db.session.commit()
    assert [chunk.size for chunk in chunks_of(batch)] == [2, 1, 2]
    assert {chunk.priority for chunk in chunks_of(batch)} == {Priority.TIMELY}
    assert batch.total_count == 5
    send()
    texts = {item.to: item.text for item in queries.mailbox(limit=10)}
    assert texts["coming1@people.example"] == "Come, Name1: https://example.org/1"
    assert texts["viene0@people.example"] == "Venga, Name0: https://example.org/0"


def test_added_again_nobody_is_in_it_twice() -> None:
    batch = building()
    services.add_addressees(batch, ENGLISH, some(4))
    db.session.commit()
    assert services.add_addressees(batch, SPANISH, some(6)) == 2
    assert (
        services.add_addressees(building(organization_id=batch.organization_id), ENGLISH, []) == 0
    )
    services.release(batch)
    db.session.commit()
    assert batch.total_count == 6
    assert sorted(chunk.size for chunk in chunks_of(batch)) == [2, 4]


def test_two_of_one_household_are_both_in_it() -> None:
    batch = building()
    both = [
        Addressee(key_of(str(n)), "home@people.example", address_hash("home@people.example"), {})
        for n in range(2)
    ]
    services.add_addressees(batch, ENGLISH, both)
    services.release(batch)
    db.session.commit()
    send()
    assert inbox() == ["home@people.example"] * 2


def test_a_released_batch_takes_nobody_any_more() -> None:
    batch = reminder()
    with pytest.raises(Conflict):
        services.add_addressees(batch, ENGLISH, some(1, "late"))


def test_a_second_of_the_same_key_in_one_call_is_left_out() -> None:
    batch = building()
    assert services.add_addressees(batch, ENGLISH, [*some(2), *some(1)]) == 2
    services.release(batch)
    db.session.commit()
    assert [chunk.size for chunk in chunks_of(batch)] == [2]


def test_twenty_thousand_are_queued_in_seconds() -> None:
    people = some(20_000)
    batch = building()
    began = time.perf_counter()
    services.add_addressees(batch, ENGLISH, people)
    services.release(batch)
    db.session.commit()
    assert time.perf_counter() - began < 10, "5 s are promised; a busy machine gets twice that"
    assert batch.total_count == 20_000


# Which goes first


def test_single_first_then_reminders_then_mailings() -> None:
    make_batch(1)
    reminder(1)
    queue("single@people.example")
    claims = delivery.claim(delivery.new_owner(), 3, bulk=True)
    priorities = [db.session.get_one(Chunk, one.chunk_id).priority for one in claims]
    assert priorities == [Priority.SINGLE, Priority.TIMELY, Priority.BULK]


def test_the_sender_of_single_emails_leaves_reminders_alone(
    rung: list[tuple[object, tuple[object, ...]]],
) -> None:
    reminder(2)
    delivery.work(bulk=False, seconds=2)
    assert inbox() == []
    assert (tasks.deliver_bulk, (0,)) in rung
    assert tasks.deliver_transactional not in [function for function, _ in rung]


# What stops them


def test_no_unsubscribing_stops_a_reminder_but_a_dead_address_does() -> None:
    batch = building()
    services.add_addressees(batch, ENGLISH, some(4))
    for number, (scope, scope_id) in enumerate(
        [(Scope.EVERYTHING, ""), (Scope.ORGANIZATION, batch.organization_id), (Scope.ADDRESS, "")]
    ):
        services.suppress(
            address_hash(f"coming{number}@people.example"),
            scope=scope,
            scope_id=scope_id or "",
            reason="bounced" if scope == Scope.ADDRESS else "unsubscribed",
        )
    services.release(batch)
    db.session.commit()
    send()
    assert inbox() == [f"coming{n}@people.example" for n in (0, 1, 3)]
    assert queries.batch_reasons(batch.id) == {"bounced": 1}


def test_it_carries_no_unsubscribe_header_and_says_that_a_machine_wrote_it() -> None:
    reminder(1)
    send()
    (item,) = queries.mailbox(limit=1)
    assert "List-Unsubscribe" not in item.headers
    assert item.headers["Auto-Submitted"] == "auto-generated"


def test_one_addressee_can_be_taken_out() -> None:
    batch = reminder(3, key="a")
    other = reminder(3, key="b", organization_id=batch.organization_id)
    foreign = reminder(3, key="a")
    count = services.cancel_addressee(
        key_of("coming1"),
        organization_id=batch.organization_id,
        keys=["a", "b"],
        reason="no longer coming",
    )
    db.session.commit()
    assert count == 2
    assert states_of(batch) == states_of(other) == ["cancelled", "queued", "queued"]
    assert states_of(foreign) == ["queued"] * 3
    assert queries.batch_reasons(batch.id) == {"no longer coming": 1}


# In time or not at all


def test_what_has_not_left_in_time_is_cancelled_by_the_sweep() -> None:
    batch = reminder(3, expires_at=clock.now() + timedelta(hours=1))
    with time_machine.travel(clock.now() + timedelta(hours=1), tick=False):
        sweeping.sweep()
    assert states_of(batch) == ["cancelled"] * 3
    assert queries.batch_reasons(batch.id) == {"late": 3}
    assert batch.finished_at is not None
    held = select(func.count()).where(Delivery.address.is_not(None))
    assert db.session.scalar(held) == 0


def test_a_sender_that_comes_late_sends_nothing() -> None:
    batch = reminder(3, expires_at=clock.now() + timedelta(hours=1))
    (claimed,) = delivery.claim(delivery.new_owner(), 1, bulk=True)
    db.session.execute(update(Batch).values(expires_at=clock.now()))
    db.session.commit()
    assert delivery.attempt(claimed) is None
    assert states_of(batch) == ["cancelled"] * 3
    assert inbox() == []


def test_before_that_it_goes_out() -> None:
    batch = reminder(3, expires_at=clock.now() + timedelta(hours=1))
    sweeping.sweep()
    send()
    assert states_of(batch) == ["accepted"] * 3


def test_an_unknown_that_comes_back_after_the_end_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = reminder(1, expires_at=clock.now() + timedelta(hours=1))
    fail(monkeypatch)
    send()
    assert states_of(batch) == ["unknown"]
    db.session.execute(update(Chunk).values(state=DeliveryState.QUEUED, unknown_since=None))
    db.session.commit()
    with time_machine.travel(clock.now() + timedelta(hours=2), tick=False):
        sweeping.sweep()
    assert states_of(batch) == ["cancelled"]


def test_an_unknown_reminder_parks_where_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = reminder(2)
    fail(monkeypatch)
    send()
    since = clock.now() - timedelta(seconds=301)
    db.session.execute(update(Chunk).values(unknown_since=since))
    db.session.commit()
    sweeping.sweep()
    assert states_of(batch) == ["unknown_final"] * 2


def test_what_comes_back_to_a_stopped_batch_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = reminder(2)
    fail(monkeypatch)
    send()
    assert services.stop(batch, reason="moved") == 0
    db.session.execute(update(Chunk).values(state=DeliveryState.QUEUED, unknown_since=None))
    db.session.commit()
    sweeping.sweep()
    assert states_of(batch) == ["cancelled"] * 2
    assert batch.finished_at is not None


def fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call ends in the dark."""

    def answer(*_: object) -> None:
        raise Unknown("status 502")

    way = delivery.transport().__class__
    monkeypatch.setattr(way, "send", answer)
    monkeypatch.setattr(way, "reconcile", lambda *_: None)


def test_a_finished_one_forgets_addresses_and_links() -> None:
    batch = reminder(2)
    send()
    for _ in range(3):
        sweeping.sweep()
    assert batch.finished_at is not None
    assert batch.emptied_at is not None
    rows = db.session.execute(select(Delivery.address, Delivery.values)).all()
    assert [tuple(row) for row in rows] == [(None, None)] * 2


def test_a_batch_is_found_by_its_key() -> None:
    batch = reminder(1, key="this")
    assert queries.batch_of(batch.organization_id or uuid.uuid4(), "reminder", "this") == batch
    assert queries.batch_of(uuid7(), "reminder", "this") is None
