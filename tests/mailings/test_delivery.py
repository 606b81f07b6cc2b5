"""Freezing: the same set whoever does it and however often, and nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.app import create_app
from campaign.db import Model, db
from campaign.mail import delivery as mail_delivery
from campaign.mail import services as mail
from campaign.mail.models import Batch, BatchState, Content, Delivery, Scope
from campaign.mailings import delivery, queries, services, tasks
from campaign.mailings.models import Message, MessageLink, MessageState
from campaign.settings import Settings
from tests.conftest import TEST_KEY, database_url
from tests.factories.lists import make_list
from tests.factories.mailings import (
    beat,
    deliver,
    freeze,
    make_message,
    make_reader,
    make_readers,
    send_out,
    to_list,
)
from tests.factories.organizations import make_organization


def frozen(message: Message) -> set[tuple[object, object, object]]:
    """Who is in the outbox of a message, and with which values."""
    rows = db.session.scalars(select(Delivery).where(Delivery.batch_id == message.batch_id))
    return {(row.person_id, row.address, str(row.values)) for row in rows}


@pytest.mark.usefixtures("app")
def test_the_outbox_holds_the_audience_and_only_the_values_that_are_used() -> None:
    organization = make_organization()
    ana = make_reader(organization, first_name="Ana", email="Ana+x@People.Example")
    message = make_message(organization)
    services.send_message(message)
    db.session.commit()
    freeze(message)
    assert frozen(message) == {(ana.id, "Ana+x@People.Example", "{'first_name': 'Ana'}")}
    assert message.state == MessageState.SENDING
    assert message.recipient_count == 1


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("done", range(1, 9))
def test_killed_after_any_step_and_begun_again_it_is_the_same_set(done: int) -> None:
    organization = make_organization()
    message = make_message(organization, to_list(make_readers(organization, 5)))
    services.send_message(message)
    db.session.commit()
    message_id = message.id
    for _ in range(done):
        delivery.build_outbox(message_id, limit=2)
        db.session.commit()
    if delivery.build_outbox(message_id, limit=2):
        db.session.rollback()  # this worker is killed in the middle of a step
    db.session.expire_all()
    freeze(message, limit=2)
    assert len(frozen(message)) == 5
    assert message.recipient_count == 5
    assert message.state == MessageState.SENDING
    before = frozen(message)
    freeze(message, limit=2)
    beat()
    assert frozen(message) == before


@pytest.mark.usefixtures("app")
def test_what_is_not_due_is_left_alone() -> None:
    organization = make_organization()
    make_reader(organization)
    draft, later = make_message(organization), make_message(organization)
    later.move(MessageState.SCHEDULED)
    later.scheduled_at = clock.now().replace(year=clock.now().year + 1)
    db.session.commit()
    for message in (draft, later):
        assert not delivery.build_outbox(message.id)
        assert message.batch_id is None
    assert queries.due_messages(clock.now()) == []


@pytest.mark.usefixtures("app")
def test_the_beat_starts_what_is_due_and_what_was_left_half_frozen(
    rung: list[tuple[object, tuple[object, ...]]],
) -> None:
    organization = make_organization()
    make_reader(organization)
    due, half = make_message(organization), make_message(organization)
    for message in (due, half):
        services.send_message(message)
    db.session.commit()
    delivery.build_outbox(half.id)
    db.session.commit()
    rung.clear()
    beat()
    assert {call for function, call in rung if function is tasks.start_message} == {
        (str(due.id),),
        (str(half.id),),
    }


@pytest.mark.usefixtures("app")
def test_an_audience_of_nobody_is_sent_at_once() -> None:
    organization = make_organization()
    make_reader(organization, consents=False)
    message = make_message(organization)
    send_out(message)
    assert message.state == MessageState.SENT
    assert message.excluded == {"no_consent": 1}


@pytest.mark.usefixtures("app")
def test_content_is_frozen_with_the_first_step() -> None:
    organization = make_organization()
    make_readers(organization, 2)
    message = make_message(organization)
    services.send_message(message)
    db.session.commit()
    delivery.build_outbox(message.id)
    db.session.commit()
    message.body = "Changed behind its back"
    db.session.commit()
    freeze(message)
    content = db.session.scalars(
        select(Content)
        .join(Batch, Batch.content_id == Content.id)
        .where(Batch.id == message.batch_id)
    ).one()
    assert "the clinic is open on Monday" in content.text
    assert "Changed" not in content.text


@pytest.mark.usefixtures("app")
def test_links_are_counted_by_their_own_rows_once_for_each_address() -> None:
    organization = make_organization()
    make_reader(organization)
    body = (
        "[a](https://a.example/x) [again](https://a.example/x) https://b.example/y\n\n"
        "[Sign](http://127.0.0.1:8000/p/keep?lang=es) [mail](mailto:a@b.example)"
    )
    message = make_message(organization, body=body)
    send_out(message)
    links = queries.links_of(message.id)
    assert [(link.words, link.url) for link in links] == [
        ("https://a.example/x", "https://a.example/x"),
        (
            "http://127.0.0.1:8000/p/keep?lang=es",
            f"http://127.0.0.1:8000/p/keep?lang=es&source={message.source}",
        ),
    ]
    html = db.session.scalar(
        select(Content.html)
        .join(Batch, Batch.content_id == Content.id)
        .where(Batch.id == message.batch_id)
    )
    assert html is not None
    assert html.count("/go/") == 3
    assert 'href="https://b.example/y"' in html


@pytest.mark.usefixtures("app")
def test_who_unsubscribes_while_it_goes_out_gets_nothing() -> None:
    organization = make_organization()
    gone, stays = make_reader(organization), make_reader(organization)
    message = make_message(organization)
    services.send_message(message)
    db.session.commit()
    freeze(message)
    assert gone.address_hash
    mail.suppress(
        gone.address_hash,
        scope=Scope.ORGANIZATION,
        scope_id=organization.id,
        reason="unsubscribed",
    )
    db.session.commit()
    deliver()
    beat()
    state = queries.progress(message)
    assert state.counts == {"accepted": 1, "suppressed": 1}
    assert queries.not_sent_reasons(message) == {"unsubscribed": 1}
    assert message.state == MessageState.SENT
    assert stays.address_hash


@pytest.mark.usefixtures("app")
def test_paused_nobody_gets_it_resumed_everybody_once_stopped_nobody_more(
    with_settings: object,
) -> None:
    with_settings(mail_batch_size=2)  # type: ignore[operator]
    organization = make_organization()
    message = make_message(organization, to_list(make_readers(organization, 6)))
    user_id = organization.id
    services.send_message(message)
    db.session.commit()
    freeze(message)
    (claimed,) = mail_delivery.claim("worker", 1, bulk=True)
    mail_delivery.deliver(claimed)
    services.pause_message(message, user_id=user_id)
    db.session.commit()
    deliver()
    assert queries.progress(message).counts == {"accepted": 2, "queued": 4}
    assert queries.progress(message).state == MessageState.PAUSED
    services.resume_message(message, user_id=user_id)
    db.session.commit()
    (claimed,) = mail_delivery.claim("worker", 1, bulk=True)
    mail_delivery.deliver(claimed)
    services.stop_message(message, user_id=user_id)
    db.session.commit()
    deliver()
    assert queries.progress(message).counts == {"accepted": 4, "cancelled": 2}
    assert queries.not_sent_reasons(message) == {"stopped": 2}
    assert message.state == MessageState.STOPPED


@pytest.mark.usefixtures("app")
def test_a_pause_of_mails_own_is_shown_and_its_end_too() -> None:
    organization = make_organization()
    message = make_message(organization, to_list(make_readers(organization, 2)))
    services.send_message(message)
    db.session.commit()
    freeze(message)
    batch = queries.batch_of(message)
    assert batch
    mail.pause(batch, "complaints")
    db.session.commit()
    beat()
    assert message.state == MessageState.PAUSED
    assert queries.progress(message).pause_reason == "complaints"
    mail.resume(batch)
    db.session.commit()
    beat()
    assert message.state == MessageState.SENDING


@pytest.fixture
def own_app(tmp_path: Path, worker_id: str) -> Iterator[Flask]:
    """An application with a database of its own, for workers that run side by side."""
    settings = Settings(
        secret_key=TEST_KEY,
        data_dir=tmp_path,
        database_url=database_url(f"campaign_mailings_{worker_id}"),
    )
    app = create_app(settings)
    with app.app_context():
        Model.metadata.create_all(db.engine)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def test_started_thrice_at_once_everybody_is_there_once(own_app: Flask) -> None:
    with own_app.app_context():
        organization = make_organization()
        list_ = make_list(organization, [make_reader(organization) for _ in range(40)])
        message = make_message(organization, to_list(list_))
        services.send_message(message)
        db.session.commit()
        message_id = message.id
    done: list[str] = []
    ready = threading.Barrier(3)

    def work() -> None:
        with own_app.app_context():
            ready.wait(10)
            for _ in range(400):
                delivery.build_outbox(message_id, limit=3)
                db.session.commit()
                state = db.session.scalar(select(Message.state).where(Message.id == message_id))
                if state == MessageState.SENDING:
                    done.append(state)
                    break
            db.session.remove()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(done) == 3
    with own_app.app_context():
        message = db.session.get_one(Message, message_id)
        assert message.state == MessageState.SENDING
        assert message.recipient_count == 40
        people = db.session.scalars(
            select(Delivery.person_id).where(Delivery.batch_id == message.batch_id)
        ).all()
        assert len(people) == len(set(people)) == 40
        batches = db.session.scalars(select(Batch).where(Batch.is_bulk)).all()
        assert [batch.state for batch in batches] == [BatchState.RELEASED]
        links = db.session.scalar(select(func.count()).select_from(MessageLink))
        assert links == 1
