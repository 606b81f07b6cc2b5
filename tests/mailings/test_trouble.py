"""A mailing that pauses or is stopped: who hears of it, what the pages say, and nobody twice."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from campaign import clock
from campaign.accounts.models import User
from campaign.app import create_app
from campaign.db import Model, db
from campaign.errors import Busy
from campaign.mail import delivery as mail
from campaign.mail import sweeping
from campaign.mail.models import Batch, Chunk, Delivery
from campaign.mail.transports import Pace, Parcel, Report
from campaign.mailings import queries, services, standing, tasks
from campaign.mailings.models import Message, MessageState
from campaign.organizations.models import Organization, Role
from campaign.settings import Settings
from tests.conftest import TEST_KEY, Client, database_url
from tests.factories.contests import answer, make_contest, variant
from tests.factories.mailings import beat, deliver, freeze, make_message, make_readers, to_list
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.outbox import Queued, outbox
from tests.factories.pages import read
from tests.factories.sendgrid_server import SendGridServer


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together")


@pytest.fixture
def sender(organization: Organization, client: Client) -> User:
    user = make_member(organization, Role.ORGANIZER, name="Marta", language="es")
    log_in(client, user)
    return user


class Sink:
    """A way out that counts who got it; it fails while `is_down`."""

    name = "sink"
    is_stepwise = False

    def __init__(self) -> None:
        self.got: list[uuid.UUID] = []
        self.calls = 0
        self.is_down = False

    def send(self, parcel: Parcel, _pace: Pace) -> Report:
        if not parcel.is_bulk:
            return Report(accepted=len(parcel.recipients))
        self.calls += 1
        if self.is_down:
            raise Busy("down")
        self.got += [recipient.delivery_id for recipient in parcel.recipients]
        return Report(accepted=len(parcel.recipients))

    def reconcile(self, _ids: list[uuid.UUID]) -> set[uuid.UUID] | None:
        return None


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    made = Sink()
    monkeypatch.setattr(mail, "transport", lambda: made)
    return made


def told() -> list[Queued]:
    return outbox(kind="mailing-trouble")


def send(organization: Organization, user: User, readers: int) -> Message:
    message = make_message(organization, to_list(make_readers(organization, readers)))
    services.send_message(message, user_id=user.id)
    db.session.commit()
    freeze(message)
    return message


# --- the mail service fails ----------------------------------------------------------------------


def test_a_failing_service_pauses_tells_once_is_probed_and_nobody_gets_two(
    client: Client,
    organization: Organization,
    sender: User,
    sink: Sink,
    with_settings: Callable[..., Settings],
) -> None:
    with_settings(mail_batch_size=1)
    make_member(organization, Role.ORGANIZER, name="Denise")  # she did not send it
    message = send(organization, sender, 60)
    sink.is_down = True
    deliver()
    beat()
    beat()
    assert message.state == MessageState.PAUSED
    calls = sink.calls
    assert calls <= mail.BREAKER_ERRORS + mail.BULK_CLAIM
    assert [one.subject for one in told()] == ["Su envío está en pausa"]
    assert "el servicio de correo falla demasiado" in told()[0].text
    page = read(client.get(f"/organize/mailings/{message.id}")).text
    assert "Probamos con correos sueltos" in page
    assert "Sigue por sí solo en cuanto" in page
    home = read(client.get("/organize/")).text
    assert "“Come on Monday” está en pausa" in home or "«Come on Monday» está en pausa" in home
    deliver()
    assert sink.calls == calls, "paused is paused"
    probe_is_due(message)
    deliver()
    assert sink.calls == calls + 1, "the probe goes alone"
    sink.is_down = False
    probe_is_due(message)
    deliver()
    everybody_is_due(message)
    deliver()
    beat()
    assert message.state == MessageState.SENT
    assert len(sink.got) == len(set(sink.got)) == 60
    assert len(told()) == 1


def probe_is_due(message: Message) -> None:
    past = clock.now() - timedelta(seconds=1)
    db.session.execute(update(Batch).where(Batch.id == message.batch_id).values(probe_at=past))
    everybody_is_due(message)


def everybody_is_due(message: Message) -> None:
    past = clock.now() - timedelta(minutes=1)
    db.session.execute(
        update(Chunk).where(Chunk.batch_id == message.batch_id).values(next_attempt_at=past)
    )
    db.session.commit()


# --- complaints ----------------------------------------------------------------------------------


@pytest.fixture
def provider(app: Flask, with_settings: Callable[..., Settings]) -> Iterator[SendGridServer]:
    with SendGridServer() as server:
        with_settings(
            mail_transport="sendgrid",
            sendgrid_api_key="SG.test",
            sendgrid_base_url=server.url,
            sendgrid_webhook_public_key=server.webhook_public_key,
            mail_batch_size=10,
        )
        yield server


def complain(client: Client, provider: SendGridServer, message: Message, count: int) -> None:
    """The provider's webhook says that so many who got it called it spam."""
    ids = db.session.scalars(
        select(Delivery.id)
        .join(Chunk, Chunk.id == Delivery.chunk_id)
        .where(
            Delivery.batch_id.in_(queries.batch_ids(message)),
            Chunk.state == "accepted",
            Delivery.state.is_(None),
        )
        .limit(count)
    ).all()
    body = json.dumps([provider.event("spamreport", str(one)) for one in ids]).encode()
    answered = client.post("/webhooks/sendgrid", data=body, headers=provider.signed(body))
    assert answered.status_code == 204


def test_complaints_pause_and_going_on_repeats_nobody(
    client: Client, organization: Organization, sender: User, provider: SendGridServer
) -> None:
    message = send(organization, sender, 40)
    for claimed in mail.claim("worker", 2, bulk=True):
        mail.deliver(claimed)
    complain(client, provider, message, 2)
    beat()
    beat()
    assert message.state == MessageState.PAUSED
    assert [one.subject for one in told()] == ["Su envío está en pausa"]
    assert "más de tres personas de cada mil" in told()[0].text
    deliver()
    assert queries.progress(message).of("queued") == 20
    page = read(client.get(f"/organize/mailings/{message.id}")).text
    assert "Si sigue, escribe a las 20 personas que esperan, y a nadie dos veces." in page
    client.submit(f"/organize/mailings/{message.id}", {}, form="/resume")
    deliver()
    beat()
    db.session.expire_all()
    assert message.state == MessageState.SENT
    assert queries.progress(message).of("accepted", "complained") == 40


def test_complaints_after_it_was_sent_are_told_once_and_shown_at_home(
    client: Client, organization: Organization, sender: User
) -> None:
    message = send(organization, sender, 30)
    deliver()
    beat()
    assert message.state == MessageState.SENT
    tasks.watch_complaints()
    assert told() == []
    answer(message.batch_id, 2)
    for _ in range(3):
        db.session.commit()
        tasks.watch_complaints()
    assert [one.subject for one in told()] == ["Su envío se marca como correo no deseado"]
    assert "se marca como correo no deseado" in read(client.get("/organize/")).text


def test_home_asks_for_a_choice_and_tells_of_a_stopped_version(
    client: Client, organization: Organization, sender: User
) -> None:
    message = make_contest(
        organization, to_list(make_readers(organization, 40)), is_automatic=False
    )
    services.send_message(message, user_id=sender.id)
    db.session.commit()
    freeze(message)
    deliver()
    answer(variant(message, "b").batch_id, 2)
    beat()
    assert "Se detuvo una versión de «Come on Monday»" in read(client.get("/organize/")).text
    assert message.contest is not None
    message.contest.decide_at = clock.now() - timedelta(minutes=1)
    db.session.commit()
    assert "«Come on Monday»: ¿qué versión sigue?" in read(client.get("/organize/")).text


def test_who_may_no_longer_send_is_not_told_but_the_others_are(
    organization: Organization, sink: Sink, with_settings: Callable[..., Settings]
) -> None:
    with_settings(mail_batch_size=1)
    gone = make_member(organization, Role.VIEWER)
    make_member(organization, Role.OWNER)
    make_member(organization, Role.ORGANIZER)
    message = send(organization, gone, 30)
    sink.is_down = True
    deliver()
    beat()
    beat()
    assert message.state == MessageState.PAUSED
    assert len(told()) == 2


# --- how long it takes ---------------------------------------------------------------------------


def test_the_time_left_is_said_by_the_pace_of_late(
    client: Client,
    organization: Organization,
    sender: User,
    with_settings: Callable[..., Settings],
) -> None:
    with_settings(mail_batch_size=10)
    message = send(organization, sender, 60)
    assert standing.seconds_left(message) is None  # nothing tells yet
    for claimed in mail.claim("worker", 3, bulk=True):
        mail.deliver(claimed)
    batch = queries.batch_of(message)
    assert batch is not None
    batch.released_at = clock.now() - timedelta(minutes=1)
    db.session.commit()
    left = standing.seconds_left(message)
    assert left is not None
    assert 55 < left < 70  # thirty in a minute, thirty left
    batch.released_at = clock.now() - timedelta(minutes=10)
    db.session.commit()
    left = standing.seconds_left(message)
    assert left is not None
    assert 110 < left < 130  # of the last two minutes only
    assert "faltan unos 2 minutos" in read(client.get(f"/organize/mailings/{message.id}")).text
    deliver()
    assert standing.seconds_left(message) is None


# --- stop ----------------------------------------------------------------------------------------


class SlowSink:
    """A mail server that takes one letter after the other, slowly; it keeps who got it when."""

    name = "slow"
    is_stepwise = True

    def __init__(self) -> None:
        self.got: list[tuple[uuid.UUID, float]] = []
        self.has_begun = threading.Event()

    def send(self, parcel: Parcel, pace: Pace) -> Report:
        done = 0
        untried = {one.delivery_id for one in parcel.recipients}
        for recipient in parcel.recipients:
            if not pace(1):
                break
            time.sleep(0.05)
            self.got.append((recipient.delivery_id, time.monotonic()))
            self.has_begun.set()
            done += 1
            untried.discard(recipient.delivery_id)
        return Report(accepted=done, untried=untried)

    def reconcile(self, _ids: list[uuid.UUID]) -> set[uuid.UUID] | None:
        return None


@pytest.mark.parametrize("has_variants", [False, True], ids=["one text", "two versions"])
def test_within_five_seconds_of_stop_nothing_leaves_any_more(
    tmp_path: Path, worker_id: str, monkeypatch: pytest.MonkeyPatch, has_variants: bool
) -> None:
    slow = SlowSink()
    monkeypatch.setattr(mail, "transport", lambda: slow)
    app = create_app(
        Settings(
            secret_key=TEST_KEY,
            data_dir=tmp_path,
            database_url=database_url(f"campaign_stop_{worker_id}"),
            mail_batch_size=500,
        )
    )
    with app.app_context():
        Model.metadata.create_all(db.engine)
        organization = make_organization()
        user_id = make_member(organization, Role.ORGANIZER).id
        readers = to_list(make_readers(organization, 600))
        message = (
            make_contest(organization, readers, size=100)
            if has_variants
            else make_message(organization, readers)
        )
        services.send_message(message, user_id=user_id)
        db.session.commit()
        freeze(message)
        message_id = message.id
        db.session.remove()
    over = threading.Event()

    def work() -> None:
        with app.app_context():
            while not over.is_set():
                mail.work(bulk=True, seconds=1)
                db.session.remove()
                over.wait(0.05)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        assert slow.has_begun.wait(20)
        time.sleep(1)
        with app.app_context():
            message = db.session.scalars(
                select(Message).where(Message.id == message_id).with_for_update()
            ).one()
            services.stop_message(message, user_id=user_id)
            db.session.commit()
            db.session.remove()
        stopped_at = time.monotonic()
        time.sleep(6)
    finally:
        over.set()
        for worker in workers:
            worker.join(30)
    last = max(at for _one, at in slow.got)
    assert last - stopped_at < 5
    with app.app_context():
        sweeping.sweep()
        message = db.session.get_one(Message, message_id)
        state = queries.progress(message)
        people = [one for one, _at in slow.got]
        assert len(people) == len(set(people))
        assert 0 < state.of("accepted") == len(people) < 600
        assert state.of("accepted", "cancelled") == 600
        assert message.state == MessageState.STOPPED
        db.session.remove()
        db.engine.dispose()
