"""The protocol: freeze, claim, attempt, call, record, sweep. What is killed is found again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Select, func, select, update

from campaign import clock
from campaign.db import db
from campaign.errors import Busy, Conflict, Unknown
from campaign.mail import delivery, freezing, outbox, queries, rates, services, sweeping
from campaign.mail.addresses import address_hash
from campaign.mail.models import (
    Attempt,
    Batch,
    BatchState,
    Chunk,
    Content,
    Delivery,
    DeliveryState,
    MailboxMessage,
    Priority,
    ProviderEvent,
    RateWindow,
    Scope,
)
from campaign.mail.transports import Invalid, Report, Throttled
from campaign.settings import Settings
from tests.factories.mail import (
    CALENDAR,
    LETTER,
    audience,
    chunks_of,
    claim_one,
    crowd,
    make_batch,
    queue,
    states_of,
)

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture(autouse=True)
def proof(app: Flask) -> Iterator[None]:
    """After every test, whatever happened in it, the books must balance."""
    yield
    with app.app_context():
        report = queries.invariants()
    assert report["ok"], report["checks"]


@pytest.fixture
def small(with_settings: Callable[..., Settings]) -> Settings:
    return with_settings(mail_batch_size=2)


def outbox_of(address: str = "") -> list[MailboxMessage]:
    rows = select(MailboxMessage).order_by(MailboxMessage.id)
    if address:
        rows = rows.where(MailboxMessage.address == address)
    return list(db.session.scalars(rows))


def expire_leases() -> None:
    db.session.execute(update(Chunk).values(lease_until=clock.now() - timedelta(seconds=1)))
    db.session.commit()


def silence(seconds: int) -> None:
    """Let every unknown be that old."""
    db.session.execute(
        update(Chunk)
        .where(Chunk.unknown_since.is_not(None))
        .values(unknown_since=clock.now() - timedelta(seconds=seconds))
    )
    db.session.commit()


def answer(monkeypatch: pytest.MonkeyPatch, *outcomes: object) -> list[delivery.Try]:
    """Let the provider answer with these in turn, the last one for ever; returns the calls."""
    calls: list[delivery.Try] = []

    def call(attempted: delivery.Try) -> object:
        calls.append(attempted)
        outcome = outcomes[min(len(calls), len(outcomes)) - 1]
        if outcome is Report:
            return Report(accepted=len(attempted.parcel.recipients))
        return outcome

    monkeypatch.setattr(delivery, "call", call)
    monkeypatch.setattr(delivery.transport().__class__, "reconcile", lambda _self, _ids: None)
    return calls


# Freezing


def test_freezing_twice_adds_nobody(small: Settings) -> None:
    people = crowd(5)
    batch = make_batch(people, is_released=False)
    assert freezing.add_recipients(batch, audience(people)) == 0
    db.session.commit()
    assert batch.total_count == 5
    assert [chunk.size for chunk in chunks_of(batch)] == [2, 2, 1]


def test_one_address_gets_one_email_however_many_people_share_it(small: Settings) -> None:
    people = crowd(3)
    shared = [(people[0][0], "Ada@home.example", "Ada"), (people[1][0], "ada@HOME.example", "Bea")]
    batch = make_batch([*shared, people[2]])
    assert batch.total_count == 2
    assert delivery.work(bulk=True, seconds=5) is False
    assert len(outbox_of()) == 2


def test_a_person_whose_address_changed_meanwhile_is_not_added_again(small: Settings) -> None:
    people = crowd(1)
    batch = make_batch(people, is_released=False)
    moved = [(people[0][0], "new@people.example", "New")]
    assert freezing.add_recipients(batch, audience(moved)) == 0


def test_a_released_audience_is_frozen() -> None:
    batch = make_batch(2)
    with pytest.raises(Conflict):
        freezing.add_recipients(batch, audience(crowd(1)))


def fill(batch: Batch, people: Select[Any], turns: freezing.Turns | None = None) -> list[int]:
    """Write all slices that are left, a transaction each; how many each had."""
    found = []
    while (slice_ := freezing.take_slice([batch.id])) is not None:
        found.append(freezing.add_slice(slice_, batch, people, turns=turns))
        db.session.commit()
    return found


def test_slices_let_the_caller_commit_between(small: Settings) -> None:
    people = audience(crowd(7))
    batch = make_batch([], is_released=False)
    assert freezing.plan_recipients(batch, people, limit=3) == 3
    db.session.commit()
    assert freezing.has_slices([batch.id])
    assert fill(batch, people) == [3, 3, 1]
    assert batch.total_count == 7
    assert not freezing.has_slices([batch.id])
    assert sum(chunk.size for chunk in chunks_of(batch)) == 7


def test_who_joins_within_a_slice_after_it_was_planned_is_not_lost(small: Settings) -> None:
    people = sorted(crowd(40))
    batch = make_batch([], is_released=False)
    first_and_last = audience([people[0], people[-1]])
    assert freezing.plan_recipients(batch, first_and_last) == 1
    db.session.commit()
    assert fill(batch, audience(people)) == [40]
    assert batch.total_count == 40
    assert max(chunk.size for chunk in chunks_of(batch)) <= small.mail_batch_size
    assert sum(chunk.size for chunk in chunks_of(batch)) == 40


def test_a_dropped_slice_writes_nobody(small: Settings) -> None:
    people = audience(crowd(6))
    batch = make_batch([], is_released=False)
    freezing.plan_recipients(batch, people, limit=3)
    db.session.commit()
    slice_ = freezing.take_slice([batch.id])
    assert slice_ is not None
    freezing.add_slice(slice_, batch, people)
    freezing.drop_slices([batch.id])
    db.session.commit()
    assert fill(batch, people) == []
    assert batch.total_count == 3


@given(
    count=st.integers(0, 40),
    limit=st.integers(1, 45),
    least=st.integers(1, 12),
)
def test_slices_are_all_of_the_audience_once(count: int, limit: int, least: int) -> None:
    people = sorted(crowd(count))
    with patch.object(freezing, "LEAST_SLICE", least):
        ends = freezing._slice_ends(audience(people), limit) if people else []
    places = [place for _, place in ends]
    assert places == sorted(set(places))
    assert [person for person, _ in ends] == [people[place - 1][0] for place in places]
    assert not people or places[-1] == count
    sizes = [end - start for start, end in pairwise([0, *places])]
    assert all(0 < size <= limit for size in sizes)


def test_the_same_content_is_stored_once() -> None:
    first, second = services.freeze_letter(LETTER), services.freeze_letter(LETTER)
    db.session.commit()
    assert first == second
    assert db.session.scalar(select(func.count()).select_from(Content)) == 1


def test_a_calendar_file_makes_it_another_content() -> None:
    plain = services.freeze_letter(LETTER)
    with_file = services.freeze_letter(replace(LETTER, calendar=CALENDAR))
    db.session.commit()
    parts = "\0".join((LETTER.subject, LETTER.text, LETTER.html)).encode()
    assert plain == uuid.UUID(bytes=sha256(parts).digest()[:16])
    assert with_file != plain
    assert db.session.get_one(Content, with_file).calendar == CALENDAR
    assert db.session.get_one(Content, plain).calendar == ""


# Sending


def test_a_mailing_reaches_everybody_once_with_their_own_words(small: Settings) -> None:
    people = crowd(5)
    batch = make_batch(people)
    delivery.work(bulk=True, seconds=5)
    sent = outbox_of()
    assert sorted(message.address for message in sent) == sorted(one[1] for one in people)
    by_address = {one[1]: one[2] for one in people}
    for message in queries.mailbox(limit=10):
        assert message.subject == f"News for {by_address[message.to]}"
    assert states_of(batch) == ["accepted"] * 5
    assert batch.finished_at is not None
    assert queries.batch_counts(batch.id) == {"accepted": 5}


def test_every_bulk_email_carries_what_the_standards_ask() -> None:
    batch = make_batch(1)
    delivery.work(bulk=True, seconds=5)
    headers = outbox_of()[0].headers
    assert headers["List-Unsubscribe"].startswith("<http://127.0.0.1:8000/unsubscribe/")
    assert headers["List-Unsubscribe"].count("<") == 1
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Id"] == f"Keep Our Clinics <{batch.organization_id.hex}.127.0.0.1>"
    assert headers["Message-ID"].endswith("@127.0.0.1>")
    assert headers["Date"]
    assert "Auto-Submitted" not in headers


def test_a_single_email_says_it_is_automatic_and_cannot_be_unsubscribed_by_header() -> None:
    queue("ada@people.example")
    delivery.work(bulk=False, seconds=5)
    headers = outbox_of()[0].headers
    assert headers["Auto-Submitted"] == "auto-generated"
    assert not [name for name in headers if name.startswith("List-")]


def test_a_single_email_is_emptied_when_it_has_served() -> None:
    delivery_id = queue(values={"confirm_url": "https://x.example/confirm/secret"})
    delivery.work(bulk=False, seconds=5)
    row = db.session.get(Delivery, delivery_id)
    assert row is not None
    assert (row.address, row.values) == (None, None)


def test_a_finished_mailing_is_emptied_by_the_sweep(small: Settings) -> None:
    batch = make_batch(5)
    delivery.work(bulk=True, seconds=5)
    for _ in range(3):
        sweeping.sweep()
    rows = db.session.execute(
        select(Delivery.address, Delivery.values).where(Delivery.batch_id == batch.id)
    ).all()
    assert set(rows) == {(None, None)}
    assert batch.emptied_at is not None


def test_a_key_sends_once_whoever_asks() -> None:
    first = queue("ada@people.example", key="signature-1")
    assert queue("ada@people.example", key="signature-1") == first
    assert queue("ada@people.example", key="signature-2") != first
    delivery.work(bulk=False, seconds=5)
    assert len(outbox_of("ada@people.example")) == 2


def test_single_emails_go_before_bulk(small: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    make_batch(6)
    queue("urgent@people.example")
    calls = answer(monkeypatch, Report)
    delivery.work(bulk=True, seconds=5)
    assert calls[0].parcel.recipients[0].address == "urgent@people.example"


def test_a_hard_bounce_stops_single_emails_too() -> None:
    services.suppress(
        address_hash("gone@people.example"), scope=Scope.ADDRESS, reason="hard bounce"
    )
    assert queue("Gone@people.example") is None


# Claims and leases


def test_a_chunk_is_claimed_by_one() -> None:
    make_batch(2)
    first = delivery.claim("one", 5, bulk=True)
    assert len(first) == 1
    assert delivery.claim("two", 5, bulk=True) == []
    delivery.work(bulk=True, seconds=2)
    assert outbox_of() == []


def test_a_lease_that_ran_out_cannot_be_attempted() -> None:
    batch = make_batch(2)
    claimed = claim_one()
    expire_leases()
    assert delivery.attempt(claimed) is None
    sweeping.sweep()
    assert states_of(batch) == ["queued", "queued"]


def test_killed_after_claiming_it_is_sent_by_another() -> None:
    make_batch(2)
    claim_one()
    expire_leases()
    sweeping.sweep()
    delivery.work(bulk=True, seconds=2)
    assert len(outbox_of()) == 2


def test_killed_after_the_provider_took_it_nobody_gets_it_twice() -> None:
    batch = make_batch(3)
    attempted = delivery.attempt(claim_one())
    assert attempted is not None
    delivery.call(attempted)
    expire_leases()
    sweeping.sweep()
    delivery.work(bulk=True, seconds=2)
    assert len(outbox_of()) == 3
    assert states_of(batch) == ["accepted"] * 3


def test_killed_before_the_call_the_mailbox_says_so_and_it_goes_out() -> None:
    batch = make_batch(3)
    assert delivery.attempt(claim_one()) is not None
    expire_leases()
    sweeping.sweep()
    delivery.work(bulk=True, seconds=2)
    assert len(outbox_of()) == 3
    assert states_of(batch) == ["accepted"] * 3


def test_a_worker_whose_lease_ran_out_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, Report)
    batch = make_batch(2)
    attempted = delivery.attempt(claim_one())
    assert attempted is not None
    expire_leases()
    sweeping.sweep()
    assert states_of(batch) == ["unknown", "unknown"]
    assert delivery.record(attempted, Report(accepted=2)) is False
    assert states_of(batch) == ["unknown", "unknown"]


def test_the_attempt_is_committed_before_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    make_batch(1)
    seen: list[tuple[bool, int]] = []

    def send(_self: object, parcel: object, _pace: object) -> Report:
        open_transaction = db.session().in_transaction()
        rows = db.session.scalar(select(func.count()).select_from(Attempt)) or 0
        db.session.rollback()
        seen.append((open_transaction, rows))
        return Report(accepted=1)

    monkeypatch.setattr(delivery.transport().__class__, "send", send)
    delivery.work(bulk=True, seconds=2)
    assert seen == [(False, 1)]


# Suppression, pause, stop


def test_an_unsubscribe_during_a_blast_is_honoured(small: Settings) -> None:
    people = crowd(4)
    batch = make_batch(people)
    claimed = claim_one()
    services.suppress(
        address_hash(people[0][1]),
        scope=Scope.ORGANIZATION,
        scope_id=batch.organization_id,
        reason="unsubscribed",
    )
    db.session.commit()
    delivery.deliver(claimed)
    delivery.work(bulk=True, seconds=5)
    assert outbox_of(people[0][1]) == []
    assert states_of(batch) == ["accepted"] * 3 + ["suppressed"]
    assert queries.batch_reasons(batch.id) == {"unsubscribed": 1}


def test_suppression_is_read_again_at_the_attempt(small: Settings) -> None:
    """Even one that came by a way that cancels nothing (another worker, a restored backup)."""
    people = crowd(2)
    batch = make_batch(people)
    from campaign.mail.models import Suppression

    db.session.add(
        Suppression(
            address_hash=address_hash(people[1][1]),
            scope=Scope.EVERYTHING,
            reason="complained",
            since=clock.now(),
        )
    )
    db.session.commit()
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted", "suppressed"]
    assert queries.batch_reasons(batch.id) == {"complained": 1}


def test_another_organizations_suppression_does_not_reach(small: Settings) -> None:
    people = crowd(1)
    other = make_batch(crowd(1)).organization_id
    services.suppress(
        address_hash(people[0][1]), scope=Scope.ORGANIZATION, scope_id=other, reason="unsubscribed"
    )
    batch = make_batch(people)
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted"]


def test_pause_and_resume_repeat_nobody(small: Settings) -> None:
    batch = make_batch(6)
    delivery.deliver(claim_one())
    services.pause(batch)
    db.session.commit()
    delivery.work(bulk=True, seconds=2)
    assert len(outbox_of()) == 2
    services.resume(batch)
    db.session.commit()
    delivery.work(bulk=True, seconds=5)
    assert len(outbox_of()) == 6
    assert len({message.delivery_id for message in outbox_of()}) == 6


def test_a_pause_reaches_a_chunk_that_is_claimed_already(small: Settings) -> None:
    batch = make_batch(2)
    claimed = claim_one()
    services.pause(batch)
    db.session.commit()
    assert delivery.attempt(claimed) is None
    assert states_of(batch) == ["queued", "queued"]


def test_stop_cancels_what_waits_and_says_why(small: Settings) -> None:
    batch = make_batch(6)
    delivery.deliver(claim_one())
    assert services.stop(batch) == 4
    db.session.commit()
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["accepted"] * 2 + ["cancelled"] * 4
    assert queries.batch_reasons(batch.id) == {"stopped": 4}
    with pytest.raises(Conflict):
        services.resume(batch)


def test_erasure_leaves_no_trace_of_the_person(small: Settings) -> None:
    people = crowd(2)
    batch = make_batch(people)
    queue(people[0][1], person_id=people[0][0])
    delivery.work(bulk=False, seconds=2)
    services.forget_person(people[0][0], address_hash(people[0][1]))
    db.session.commit()
    delivery.work(bulk=True, seconds=2)
    assert outbox_of(people[0][1]) == []
    assert states_of(batch) == ["accepted", "cancelled"]
    rows = db.session.scalars(select(Delivery).where(Delivery.person_id == people[0][0])).all()
    assert rows == []
    hashed = address_hash(people[0][1])
    for row in db.session.scalars(select(Delivery)):
        assert row.address_hash != hashed
        assert row.unique_key != uuid.UUID(hex=hashed[:32])


# Outcomes


def test_a_bad_address_harms_only_itself(
    with_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(mail_batch_size=8)
    people = crowd(8)
    bad = people[5][1]
    taken: list[str] = []

    def call(attempted: delivery.Try) -> object:
        addresses = [recipient.address for recipient in attempted.parcel.recipients]
        if bad in addresses:
            return Invalid("status 400")
        taken.extend(addresses)
        return Report(accepted=len(addresses))

    monkeypatch.setattr(delivery, "call", call)
    batch = make_batch(people)
    delivery.work(bulk=True, seconds=10)
    assert sorted(taken) == sorted(one[1] for one in people if one[1] != bad)
    assert states_of(batch) == ["accepted"] * 7 + ["failed"]
    assert queries.batch_reasons(batch.id) == {"status 400": 1}


def test_everybody_waits_when_the_provider_says_so(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make_batch(4)
    calls = answer(monkeypatch, Throttled("status 429", retry_after=60), Report)
    delivery.work(bulk=True, seconds=2)
    assert len(calls) == 1
    assert 50 < rates.wait_seconds() <= 60
    assert states_of(batch) == ["queued"] * 4
    assert {chunk.failures for chunk in chunks_of(batch)} == {0}


def test_a_429_never_uses_up_the_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch(1)
    answer(monkeypatch, *[Throttled("status 429", retry_after=0.01)] * 20, Report)
    delivery.work(bulk=True, seconds=10)
    assert states_of(batch) == ["accepted"]


def test_busy_is_tried_again_later_and_at_last_fails_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = make_batch(1)
    calls = answer(monkeypatch, Busy("not connected"))
    for _ in range(12):
        db.session.execute(update(Chunk).values(next_attempt_at=clock.now()))
        db.session.commit()
        delivery.work(bulk=True, seconds=2)
    assert len(calls) == delivery.MAX_FAILURES
    assert states_of(batch) == ["failed"]
    assert queries.batch_reasons(batch.id) == {"not connected": 1}
    assert batch.finished_at is not None
    assert services.requeue(batch_id=batch.id) == 1
    db.session.commit()
    answer(monkeypatch, Report)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["accepted"]


def test_each_recipient_has_an_outcome_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch(5)
    attempted = delivery.attempt(claim_one())
    assert attempted is not None
    ids = [recipient.delivery_id for recipient in attempted.parcel.recipients]
    delivery.record(
        attempted,
        Report(
            accepted=1,
            refused={ids[1]: "smtp 550 5.1.1"},
            busy={ids[2]: "smtp 451"},
            unknown={ids[3]: "connection lost"},
            untried={ids[4]},
        ),
    )
    assert states_of(batch) == ["accepted", "failed", "queued", "retry", "unknown"]
    assert queries.batch_counts(batch.id) == {
        "accepted": 1, "failed": 1, "queued": 1, "retry": 1, "unknown": 1,
    }  # fmt: skip
    assert queries.batch_reasons(batch.id) == {"smtp 550 5.1.1": 1}


def test_too_many_errors_pause_the_message_and_one_probe_resumes_it(
    with_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(mail_batch_size=1)
    batch = make_batch(30)
    calls = answer(monkeypatch, Busy("not connected"))
    delivery.work(bulk=True, seconds=20)
    db.session.refresh(batch)
    assert len(calls) == delivery.BREAKER_ERRORS + 1
    assert (batch.state, batch.pause_reason) == (BatchState.PAUSED, "provider errors")
    delivery.work(bulk=True, seconds=1)
    assert len(calls) == delivery.BREAKER_ERRORS + 1
    due = clock.now() - timedelta(seconds=1)
    db.session.execute(update(Batch).values(probe_at=due))
    db.session.commit()
    delivery.work(bulk=True, seconds=1)
    assert len(calls) == delivery.BREAKER_ERRORS + 2, "the probe goes alone"
    db.session.execute(update(Batch).values(probe_at=due))
    db.session.commit()
    answer(monkeypatch, Report)
    delivery.work(bulk=True, seconds=5)
    db.session.refresh(batch)
    assert batch.state == BatchState.RELEASED
    db.session.execute(update(Chunk).values(next_attempt_at=due))
    db.session.commit()
    delivery.work(bulk=True, seconds=5)
    assert states_of(batch) == ["accepted"] * 30


def test_an_organizers_pause_is_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch(1)
    services.pause(batch)
    db.session.commit()
    calls = answer(monkeypatch, Report)
    delivery.work(bulk=True, seconds=1)
    assert calls == []


# Unknown


def unknown_batch(monkeypatch: pytest.MonkeyPatch, **given: object) -> Batch:
    batch = make_batch(2, **given)
    answer(monkeypatch, Unknown("status 500"), Report)
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["unknown", "unknown"]
    return batch


def test_silence_alone_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = unknown_batch(monkeypatch)
    sweeping.sweep()
    assert states_of(batch) == ["unknown", "unknown"], "the window is not over"
    silence(31 * 60)
    sweeping.sweep()
    assert states_of(batch) == ["unknown_final"] * 2
    assert queries.batch_reasons(batch.id) == {"status 500": 2}
    assert services.send_again(batch) == 2
    db.session.commit()
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["accepted"] * 2


def test_silence_of_a_living_webhook_means_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = unknown_batch(monkeypatch)
    silence(31 * 60)
    db.session.add(
        ProviderEvent(
            event_id="newer", kind="delivered", happened_at=clock.now(), received_at=clock.now()
        )
    )
    db.session.commit()
    sweeping.sweep()
    assert states_of(batch) == ["queued"] * 2
    delivery.work(bulk=True, seconds=2)
    assert states_of(batch) == ["accepted"] * 2


def test_an_event_from_before_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = unknown_batch(monkeypatch)
    long_ago = clock.now() - timedelta(hours=2)
    db.session.add(
        ProviderEvent(event_id="old", kind="delivered", happened_at=long_ago, received_at=long_ago)
    )
    silence(31 * 60)
    sweeping.sweep()
    assert states_of(batch) == ["unknown_final"] * 2


@pytest.mark.parametrize(("policy", "state"), [("park", "unknown_final"), ("retry", "queued")])
def test_the_policy_decides_at_once(
    policy: str,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
    with_settings: Callable[..., Settings],
) -> None:
    with_settings(mail_unknown_policy=policy)
    batch = unknown_batch(monkeypatch)
    sweeping.sweep()
    assert states_of(batch) == [state] * 2


def test_a_single_email_of_unknown_fate_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    queue("ada@people.example")
    calls = answer(monkeypatch, Unknown("status 502"), Report)
    delivery.work(bulk=False, seconds=2)
    silence(30)
    sweeping.sweep()
    delivery.work(bulk=False, seconds=2)
    assert len(calls) == 1
    silence(61)
    sweeping.sweep()
    delivery.work(bulk=False, seconds=2)
    assert len(calls) == 2


def test_the_windows(with_settings: Callable[..., Settings]) -> None:
    assert sweeping.unknown_window(Priority.SINGLE) == timedelta(seconds=60)
    assert sweeping.unknown_window(Priority.TIMELY) == timedelta(minutes=5)
    assert sweeping.unknown_window(Priority.BULK) == timedelta(minutes=30)
    with_settings(mail_unknown_window_seconds=7)
    assert sweeping.unknown_window(Priority.BULK) == timedelta(seconds=7)


# Rate


def test_the_rate_is_paid_in_advance(with_settings: Callable[..., Settings]) -> None:
    with_settings(mail_rate_per_second=10.0)
    first = rates.reserve(5)
    assert 0.3 < first <= 0.5
    db.session.commit()
    assert outbox.now() is not None


def test_what_the_provider_did_not_want_yet_is_not_paid_for(
    with_settings: Callable[..., Settings],
) -> None:
    with_settings(mail_rate_per_second=100.0)
    rates.ensure_row()
    db.session.execute(update(RateWindow).values(available=50.0, refilled_at=outbox.now()))
    assert rates.reserve(50) == 0
    assert rates.reserve(50) > 0.3
    rates.give_back(50)
    assert rates.reserve(50) == 0


def test_a_small_rate_makes_small_chunks(with_settings: Callable[..., Settings]) -> None:
    with_settings(mail_rate_per_second=4.0, mail_batch_size=500)
    assert delivery.chunk_size() == 2
    with_settings(mail_rate_per_second=0.0)
    assert delivery.chunk_size() == 500


@pytest.mark.parametrize("state", [state.value for state in DeliveryState])
def test_verify_wants_a_reason_from_whoever_got_none(state: str) -> None:
    batch = make_batch(1)
    row = db.session.scalars(select(Delivery).where(Delivery.batch_id == batch.id)).one()
    row.state = state
    db.session.flush()
    breaches = queries.invariants()["checks"]["whoever got none has a reason"]["breaches"]
    assert breaches == (1 if state in queries.NOT_SENT else 0)
    db.session.rollback()
