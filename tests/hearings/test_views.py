"""A speaker's pages and the console's, as people meet them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.db import Words, db
from campaign.events.models import RsvpState
from campaign.hearings import models, queries
from campaign.hearings.models import Hearing, HearingTask, SpeakerState, Way
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.web.links import rsvp_token
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.hearings import make_hearing, make_task, make_testimony
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.pdfs import pages_of
from tests.hearings.conftest import letters, page_of


def row_of(rsvp_id: uuid.UUID) -> models.Testimony:
    return db.session.scalars(
        select(models.Testimony).where(models.Testimony.rsvp_id == rsvp_id)
    ).one()


# --- in public ---------------------------------------------------------------------------------


def test_the_way_to_a_slot_is_told_to_everybody(client: Client, hearing: Hearing) -> None:
    make_task(hearing)
    hearing.rules_note = Words(en="Bring an *ID*.")
    db.session.commit()
    page = client.get(f"/e/{hearing.event.slug}/speak")
    text = read(page).text
    for part in ("Speak at the hearing", "Chicago City Council", "3 minutes", "Bring an ID"):
        assert part in text
    assert "Ask to speak by phone" in text
    assert "Set-Cookie" not in page.headers
    spanish = read(client.get(f"/e/{hearing.event.slug}/speak?lang=es")).text
    assert "Hablar en la audiencia" in spanish
    assert "Concejo de Chicago" in spanish
    hearing.slot_count = 0
    db.session.commit()
    assert "All slots are taken" in read(client.get(f"/e/{hearing.event.slug}/speak")).text
    hearing.is_open = False
    db.session.commit()
    assert "list of speakers is closed" in read(client.get(f"/e/{hearing.event.slug}/speak")).text


def test_no_way_where_nothing_is_taken(client: Client, hearing: Hearing) -> None:
    vigil = make_event()
    bare = make_event(kind="hearing")
    draft = make_hearing(event=make_event(kind="hearing", state="draft"))
    db.session.commit()
    for slug in (vigil.slug, bare.slug, draft.event.slug, "no-such-thing"):
        assert client.get(f"/e/{slug}/speak").status_code == 404


def test_ask_draft_tick_and_withdraw_without_a_script(client: Client, hearing: Hearing) -> None:
    task = make_task(hearing)
    rsvp = make_rsvp(hearing.event, first_name="Ana", email="ana@example.org")
    db.session.commit()
    at = page_of(rsvp)
    asked = {"way": "in-person", "spoken": "es", "topic": "Mi clínica", "wants_reader": "y"}
    assert client.submit(at, asked, form=at).status_code == 303
    row = row_of(rsvp.id)
    assert (row.state, row.language, row.topic, row.wants_reader) == (
        "speaking",
        "es",
        "Mi clínica",
        True,
    )
    assert [mail.subject for mail in letters("ana@example.org")] == ["You are on the list"]
    shown = read(client.get(at)).text
    assert "You are on the list to speak" in shown
    assert "Number 1, at about 6:00" in shown
    assert client.submit(at, {"draft": "palabra " * 400}, form=f"{at}/draft").status_code == 303
    shown = read(client.get(at)).text
    assert "400 words, about 3.5 minutes to say" in shown
    assert "You have 3 minutes. Shorten it a little" in shown
    tick = f"{at}/tasks/{task.id}"
    client.submit(at, {}, form=tick)
    assert queries.done_by([row.id])[row.id] == {task.id}
    assert "Not done yet" in read(client.get(at)).text
    client.submit(at, {}, form=tick)
    assert queries.done_by([row.id])[row.id] == set()
    client.submit(at, {}, form=f"{at}/withdraw")
    assert row_of(rsvp.id).state == SpeakerState.WITHDRAWN
    shown = read(client.get(at)).text
    assert "You can ask again; what you wrote is still here" in shown
    assert client.post(f"{at}/draft", data=token_in(client, at) | {"draft": "x"}).status_code == 410


def test_what_is_over_is_said_plainly_and_stands_last(client: Client, hearing: Hearing) -> None:
    late = make_task(hearing, title=Words(en="Ask by phone"), opens="", closes="7d@00:00")
    make_task(hearing, title=Words(en="Bring copies"), opens="", closes="0d@09:00", text=Words())
    rsvp = make_rsvp(hearing.event)
    testimony = make_testimony(hearing, rsvp=rsvp)
    db.session.commit()
    for path in (f"/e/{hearing.event.slug}/speak", page_of(rsvp)):
        shown = read(client.get(path)).text
        assert "This was due on" in shown
        assert shown.index("Bring copies") < shown.index("Ask by phone")
    assert "I did it in time" in shown
    client.submit(page_of(rsvp), {}, form=f"tasks/{late.id}")
    assert queries.done_by([testimony.id])[testimony.id] == {late.id}
    shown = read(client.get(page_of(rsvp))).text
    assert "This was due on" not in shown
    assert "Not done yet" in shown


def test_the_answers_page_leads_there(client: Client, hearing: Hearing) -> None:
    rsvp = make_rsvp(hearing.event)
    db.session.commit()
    page = read(client.get(page_of(rsvp).removesuffix("/testimony")))
    assert page_of(rsvp) in [href.split("?")[0] for href, _attributes in page.links]


def token_in(client: Client, path: str) -> dict[str, str]:
    form = next(one for one in read(client.get(path)).forms if one["method"] == "post")
    return {"csrf_token": dict(form["fields"])["csrf_token"]}


def test_in_line_then_offered_then_given_back(client: Client, hearing: Hearing) -> None:
    hearing.slot_count = 1
    first = make_testimony(hearing)
    bea, cleo = (make_rsvp(hearing.event, first_name=n) for n in ("Bea", "Cleo"))
    db.session.commit()
    for rsvp in (bea, cleo):
        at = page_of(rsvp)
        assert "All slots are taken" in read(client.get(at)).text
        client.submit(at, {}, form=at)
    assert "Your place in line" in read(client.get(page_of(cleo))).text
    client.submit(page_of(first), {}, form=f"{page_of(first)}/withdraw")
    shown = read(client.get(page_of(bea)))
    assert "A slot came free, and it is yours" in shown.text
    client.submit(page_of(bea), {}, form=f"{page_of(bea)}/withdraw")
    assert row_of(cleo.id).state == SpeakerState.SPEAKING
    assert row_of(bea.id).state == SpeakerState.WITHDRAWN


def test_opening_a_page_changes_nothing(client: Client, hearing: Hearing) -> None:
    testimony = make_testimony(hearing)
    db.session.commit()
    before = [str(row) for row in db.session.execute(select(models.Testimony.__table__))]
    at = page_of(testimony)
    for path in (at, f"{at}.pdf", f"{at}.txt", f"/e/{hearing.event.slug}/speak"):
        assert client.get(path).status_code == 200
    assert [str(row) for row in db.session.execute(select(models.Testimony.__table__))] == before
    assert "no-store" in client.get(at).headers["Cache-Control"]


def test_the_script_saves_and_gets_length_and_a_fresh_token(
    client: Client, hearing: Hearing
) -> None:
    testimony = make_testimony(hearing)
    db.session.commit()
    at = page_of(testimony)
    answer = client.post(
        f"{at}/draft",
        data=token_in(client, at) | {"draft": "one two three"},
        headers={"Accept": "application/json"},
    )
    assert answer.json is not None
    assert answer.json["length"] == "3 words, about 0.5 minutes to say"
    assert (answer.json["warning"], bool(answer.json["token"])) == ("", True)
    assert row_of(testimony.rsvp_id).draft == "one two three"  # type: ignore[arg-type]
    answer = client.post(
        f"{at}/draft",
        data={"csrf_token": answer.json["token"], "draft": "x" * 30_001},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json is not None
    assert "30000" in answer.json["error"]


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        ("a\x00b", "characters we cannot use"),
        ("a\u202eb", "change the direction of text"),
        ("word " * 6001, "under 30000 characters"),
    ],
)
def test_bad_words_are_told_at_the_field_and_kept(
    client: Client, hearing: Hearing, draft: str, message: str
) -> None:
    testimony = make_testimony(hearing, draft="Before")
    db.session.commit()
    at = page_of(testimony)
    answer = client.post(f"{at}/draft", data=token_in(client, at) | {"draft": draft})
    assert answer.status_code == 400
    assert message in read(answer).text
    if "\x00" not in draft:
        assert draft.strip()[:200] in answer.get_data(as_text=True)
    assert row_of(testimony.rsvp_id).draft == "Before"  # type: ignore[arg-type]


def test_a_megabyte_is_refused_not_a_crash(client: Client, hearing: Hearing) -> None:
    testimony = make_testimony(hearing)
    db.session.commit()
    at = page_of(testimony)
    token = token_in(client, at)
    assert client.post(f"{at}/draft", data=token | {"draft": "x" * 900_000}).status_code == 400
    assert client.post(f"{at}/draft", data=token | {"draft": "x" * 1_200_000}).status_code == 413


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("way", "by-pigeon", "Please choose one of these"),
        ("way", "", "Please choose one of these"),
        ("spoken", "xx", "Not a valid choice"),
        ("topic", "a\x00b", "characters we cannot use"),
        ("topic", "a\u202eb", "change the direction of text"),
        ("topic", "x" * 151, "under 150 characters"),
    ],
)
def test_bad_asking_is_told_at_the_field_and_kept(
    client: Client, hearing: Hearing, field: str, value: str, message: str
) -> None:
    rsvp = make_rsvp(hearing.event)
    db.session.commit()
    at = page_of(rsvp)
    typed = {"way": "remote", "spoken": "es", "topic": "Kept words", "offers_to_read": "y"}
    answer = client.submit(at, typed | {field: value}, form=at)
    assert answer.status_code == 400
    assert message in read(answer).text
    if field != "topic":
        assert "Kept words" in answer.get_data(as_text=True)
    assert queries.testimony_by_rsvp(rsvp.id) is None


def test_repeated_and_strange_fields(client: Client, hearing: Hearing) -> None:
    rsvp = make_rsvp(hearing.event)
    db.session.commit()
    at = page_of(rsvp)
    data: dict[str, Any] = token_in(client, at) | {
        "way": ["remote", "written"],
        "spoken": ["en", "es"],
        "minutes": "99",
        "state": "x",
    }
    assert client.post(at, data=data).status_code == 303
    assert (row_of(rsvp.id).way, row_of(rsvp.id).minutes) == ("remote", 3)


def test_forged_and_foreign_tokens(client: Client, hearing: Hearing) -> None:
    mine = make_testimony(hearing)
    other_event = make_rsvp(make_event())
    task = make_task(make_hearing())
    db.session.commit()
    at = page_of(mine)
    token = token_in(client, at)
    forged = at.replace(at.split("/")[2][-4:], "AAAA", 1)
    for path in (
        forged,
        "/rsvp/x/testimony",
        page_of(other_event),
        f"/rsvp/{rsvp_token(uuid.uuid4())}/testimony",
    ):
        assert client.get(path).status_code == 404, path
        for tail in ("", "/draft", "/withdraw", "/reader", f"/tasks/{task.id}"):
            assert client.post(path + tail, data=token | {"draft": "x"}).status_code == 404
    assert client.post(f"{at}/tasks/{task.id}", data=token).status_code == 404
    assert client.post(f"{at}/tasks/{uuid.uuid4()}", data=token).status_code == 404


def test_an_outdated_form_keeps_what_was_typed(client: Client, hearing: Hearing) -> None:
    testimony = make_testimony(hearing)
    rsvp = make_rsvp(hearing.event)
    db.session.commit()
    at = page_of(testimony)
    answer = client.post(f"{at}/draft", data={"csrf_token": "old", "draft": "Long words"})
    assert answer.status_code == 400
    assert "Long words" in answer.get_data(as_text=True)
    assert "open for a long time" in read(answer).text
    answer = client.post(page_of(rsvp), data={"csrf_token": "old", "topic": "My topic"})
    assert "My topic" in answer.get_data(as_text=True)


def test_whoever_took_the_answer_back_or_was_erased(client: Client, hearing: Hearing) -> None:
    gone = make_rsvp(hearing.event, state=RsvpState.CANCELLED)
    erased = make_rsvp(hearing.event, state=RsvpState.CANCELLED, first_name="", email=None)
    db.session.commit()
    assert "You took your answer back" in read(client.get(page_of(gone))).text
    assert client.get(page_of(erased)).status_code == 410


def test_the_reader_sees_the_words_and_nobody_else(client: Client, hearing: Hearing) -> None:
    ana = make_testimony(
        hearing,
        person={"first_name": "Ana", "email": "ana@example.org"},
        wants_reader=True,
        draft="My secret words",
    )
    bea = make_testimony(hearing, person={"first_name": "Bea"}, offers_to_read=True)
    cleo = make_testimony(hearing, person={"first_name": "Cleo"})
    db.session.commit()
    client.submit(page_of(ana), {}, form=f"{page_of(ana)}/reader")
    assert row_of(ana.rsvp_id).reader_id == bea.id  # type: ignore[arg-type]
    assert "Bea reads your words" in read(client.get(page_of(ana))).text
    reading = f"{page_of(bea)}/reading/{ana.id}"
    assert "The words of Ana" in read(client.get(page_of(bea))).text
    assert "My secret words" in read(client.get(reading)).text
    assert client.get(f"{page_of(cleo)}/reading/{ana.id}").status_code == 404
    assert "My secret words" not in client.get(page_of(bea)).get_data(as_text=True)
    client.submit(reading, {}, form=reading)
    assert row_of(ana.rsvp_id).reader_id is None  # type: ignore[arg-type]
    assert client.get(reading).status_code == 404
    assert letters("ana@example.org")[-1].subject == "Your reader cannot do it"


def test_the_statement_to_take_along(client: Client, hearing: Hearing) -> None:
    testimony = make_testimony(
        hearing, person={"first_name": "Hồng", "last_name": "Nguyễn"}, draft="My words.\n\nMore."
    )
    db.session.commit()
    pdf = client.get(f"{page_of(testimony)}.pdf")
    assert pdf.headers["Content-Disposition"].startswith("attachment")
    text = "\n".join(pages_of(pdf.data))
    for part in ("My clinic", "Hồng Nguyễn", "Chicago City Council", "My words.", "More."):
        assert part in text
    assert client.get(f"{page_of(testimony)}.txt").get_data(as_text=True) == "My words.\n\nMore."


# --- the console -------------------------------------------------------------------------------


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization()


@pytest.fixture
def mine(organization: Organization) -> Hearing:
    found = make_hearing(make_campaign(organization), slot_count=2)
    db.session.commit()
    return found


@pytest.fixture
def organizer(client: Client, organization: Organization) -> Client:
    log_in(client, make_member(organization, Role.ORGANIZER), organization)
    return client


def at_hearing(hearing: Hearing) -> str:
    return f"/organize/events/{hearing.event_id}/hearing"


def test_switch_testimony_on_with_the_councils_rules(
    organizer: Client, organization: Organization
) -> None:
    campaign = make_campaign(organization)
    event = make_event(campaign, kind="hearing")
    practice = make_event(campaign, kind="training", title=Words(en="Practice night"))
    db.session.commit()
    at = f"/organize/events/{event.id}/hearing"
    assert "Take speakers" in read(organizer.get(at)).text
    typed = {
        "body_en": "Chicago City Council",
        "slot_count": "20",
        "minutes_each": "2",
        "practice": practice.id.hex,
        "template": "chicago",
        "rules_note_en": "Bring an ID.",
    }
    opened = read(organizer.get(f"{at}/edit")).forms
    fields = next(one["fields"] for one in opened if "body_en" in dict(one["fields"]))
    pressed = {name: [value for key, value in fields if key == name] for name, _value in fields}
    pressed |= typed
    for _press in range(2):
        answer = organizer.post(f"{at}/edit", data=pressed)
        assert answer.status_code == 303, read(answer).text
    found = queries.hearing_of(event.id)
    assert found is not None
    assert (found.slot_count, found.minutes_each, found.practice_event_id) == (20, 2, practice.id)
    assert len(queries.tasks_of(event.id)) == 3
    shown = read(organizer.get(at)).text
    for part in ("Keep your phone free", "0 / 20", "Practice night", "Takes speakers"):
        assert part in shown
    organizer.submit(at, {}, form=f"{at}/close")
    assert not queries.hearing_of(event.id).is_open  # type: ignore[union-attr]
    organizer.submit(at, {}, form=f"{at}/open")
    actions = list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.n)))
    assert [one for one in actions if one != "hearing.listed"] == [
        "hearing.opened",
        "hearing.changed",
        "hearing.closed",
        "hearing.opened",
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("body_en", "", "Write before whom"),
        ("body_en", "a\x00b", "characters we cannot use"),
        ("minutes_each", "0", "from 1 to 60"),
        ("minutes_each", "", "Please fill this in"),
        ("slot_count", "many", "whole number"),
        ("slot_count", "501", "from 0 to 500"),
        ("slot_count", "99999999999", "from 0 to"),
        ("most_pages", "0", "from 1 to 100"),
        ("practice", "0" * 32, "Not a valid choice"),
        ("ways", "by-pigeon", "not a valid choice"),
        ("template", "boston", "Not a valid choice"),
    ],
)
def test_bad_hearings_are_told_at_the_field_and_kept(
    organizer: Client, organization: Organization, field: str, value: str, message: str
) -> None:
    event = make_event(make_campaign(organization), kind="hearing")
    db.session.commit()
    typed = {"body_en": "Council", "rules_note_en": "My long note"}
    answer = organizer.submit(f"/organize/events/{event.id}/hearing/edit", typed | {field: value})
    assert answer.status_code == 200
    assert message in read(answer).text
    assert "My long note" in answer.get_data(as_text=True)
    assert queries.hearing_of(event.id) is None


def test_fewer_slots_than_taken_are_refused_at_the_field(organizer: Client, mine: Hearing) -> None:
    for _n in range(2):
        make_testimony(mine)
    db.session.commit()
    answer = organizer.submit(f"{at_hearing(mine)}/edit", {"slot_count": "1"})
    assert "2 people have a slot already" in read(answer).text
    answer = organizer.submit(f"{at_hearing(mine)}/edit", {"slot_count": ""})
    assert answer.status_code == 303
    assert queries.hearing_of(mine.event_id).slot_count is None  # type: ignore[union-attr]


def test_two_organizers_do_not_undo_each_other_unseen(organizer: Client, mine: Hearing) -> None:
    db.session.commit()
    path = f"{at_hearing(mine)}/edit"
    page = read(organizer.get(path))
    form = next(one for one in page.forms if ("minutes_each", "3") in one["fields"])
    opened: dict[str, Any] = {}
    for name, value in form["fields"]:
        opened.setdefault(name, []).append(value)
    assert organizer.submit(path, {"minutes_each": "2"}).status_code == 303
    refused = organizer.post(path, data=opened | {"slot_count": "40"})
    assert refused.status_code == 200
    assert "It differs in: How many may speak, Minutes for each. " in read(refused).text
    assert queries.hearing_of(mine.event_id).minutes_each == 2  # type: ignore[union-attr]


def test_tasks_are_added_changed_and_removed(organizer: Client, mine: Hearing) -> None:
    written = {
        "title_en": "Bring 20 copies",
        "closes_day": "0d",
        "closes_time": "09:30",
        "first_day": "1d",
        "first_time": "8:05",
        "ways": "in-person",
    }
    answer = organizer.submit(f"{at_hearing(mine)}/tasks/new", written)
    assert answer.status_code == 303, read(answer).text
    task = db.session.scalars(select(HearingTask)).one()
    assert (task.opens, task.closes, task.reminders) == ("", "0d@09:30", ["1d@08:05"])
    page = organizer.get(f"/organize/hearing-tasks/{task.id}").get_data(as_text=True)
    assert 'value="09:30"' in page
    task.closes = "90m"  # as the API writes it
    db.session.commit()
    organizer.submit(f"/organize/hearing-tasks/{task.id}", {"title_es": "Traiga 20 copias"})
    db.session.refresh(task)
    assert (task.closes, task.title["es"]) == ("90m", "Traiga 20 copias")
    organizer.submit(f"/organize/hearing-tasks/{task.id}", {}, form="remove")
    assert db.session.scalar(select(HearingTask)) is None


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"title_en": ""}, "at least one language"),
        ({"closes_time": ""}, "Write a time"),
        ({"closes_time": "25:00"}, "Write a time"),
        ({"closes_time": "soon\x00"}, "characters we cannot use"),
        ({"closes_day": "fortnight"}, "Not a valid choice"),
        ({"opens_day": "0d", "opens_time": "12:00"}, "end before it begins"),
        ({"ways": "nobody"}, "not a valid choice"),
        ({"first_day": "1d"}, "Write a time"),
    ],
)
def test_bad_tasks_are_told_at_the_field_and_kept(
    organizer: Client, mine: Hearing, typed: dict[str, str], message: str
) -> None:
    fine = {
        "title_en": "Do it",
        "text_en": "Kept words",
        "closes_day": "0d",
        "closes_time": "09:00",
    }
    answer = organizer.submit(f"{at_hearing(mine)}/tasks/new", fine | typed)
    assert answer.status_code == 200
    assert message in read(answer).text
    assert "Kept words" in answer.get_data(as_text=True)
    assert db.session.scalar(select(HearingTask)) is None


def test_the_order_the_outcome_and_undo(organizer: Client, mine: Hearing) -> None:
    ana = make_testimony(mine, person={"first_name": "Ana"}, draft="SECRET WORDS")
    ana.draft_saved_at = ana.created_at
    bea = make_testimony(mine, person={"first_name": "Bea"}, wants_reader=True)
    make_testimony(mine, person={"first_name": "Cleo"}, state=SpeakerState.WAITING)
    db.session.commit()
    at = at_hearing(mine)
    page = organizer.get(at)
    assert "SECRET" not in page.get_data(as_text=True)
    assert "2 words" in read(page).text
    organizer.submit(at, {}, form=f"/organize/speakers/{bea.id}/up")
    assert order(mine) == ["Bea", "Ana"]
    organizer.submit(at, {}, form=f"/organize/speakers/{bea.id}/down")  # the flash's undo
    assert order(mine) == ["Ana", "Bea"]
    answer = organizer.submit(f"/organize/speakers/{ana.id}", {}, form="remove")
    assert order(mine) == ["Bea", "Cleo"]
    page = organizer.get(answer.location.split("#")[0])
    organizer.submit(f"/organize/speakers/{bea.id}", {"minutes": "5", "topic": "Longer"})
    db.session.refresh(bea)
    assert (bea.minutes, bea.topic) == (5, "Longer")
    organizer.post(f"/organize/speakers/{ana.id}/return", data=token_in(organizer, at))
    db.session.refresh(ana)
    assert ana.state == SpeakerState.WAITING
    organizer.post(
        f"/organize/speakers/{bea.id}/outcome",
        data=token_in(organizer, at) | {"outcome": "spoke"},
    )
    organizer.post(
        f"/organize/speakers/{bea.id}/outcome",
        data=token_in(organizer, at) | {"outcome": "flew"},
    )
    db.session.refresh(bea)
    assert bea.outcome == "spoke"


def order(hearing: Hearing) -> list[str]:
    db.session.expire_all()
    return [
        row.rsvp.first_name
        for row in queries.speakers(occurrence_of(hearing.event).id)
        if row.rsvp is not None
    ]


def test_pairing_only_who_asks_with_who_offers(organizer: Client, mine: Hearing) -> None:
    ana = make_testimony(mine, person={"first_name": "Ana"}, wants_reader=True)
    bea = make_testimony(mine, person={"first_name": "Bea"}, offers_to_read=True)
    cleo = make_testimony(mine, person={"first_name": "Cleo"}, way=Way.WRITTEN)
    db.session.commit()
    at = f"/organize/speakers/{ana.id}"
    organizer.submit(at, {"reader": str(bea.id)}, form=f"{at}/reader")
    db.session.refresh(ana)
    assert ana.reader_id == bea.id
    for bad in (str(cleo.id), str(uuid.uuid4()), "x"):
        organizer.submit(at, {"reader": bad}, form=f"{at}/reader")
        db.session.refresh(ana)
        assert ana.reader_id == bea.id
    organizer.submit(at, {"reader": ""}, form=f"{at}/reader")
    db.session.refresh(ana)
    assert ana.reader_id is None


def test_numbers_for_everybody_names_for_few(
    client: Client, organization: Organization, mine: Hearing
) -> None:
    make_testimony(mine, person={"first_name": "Ana", "last_name": "Secret"})
    db.session.commit()
    log_in(client, make_member(organization, Role.VIEWER), organization)
    page = read(client.get(at_hearing(mine))).text
    assert "1 / 2" in page
    assert "Secret" not in page
    here = occurrence_of(mine.event).id
    assert client.get(f"/organize/dates/{here}/running-order").status_code == 403
    assert client.get(f"/organize/dates/{here}/running-order.pdf").status_code == 403
    assert db.session.query(AuditEntry).count() == 0


def test_the_running_order_on_screen_and_paper(organizer: Client, mine: Hearing) -> None:
    ana = make_testimony(
        mine,
        person={"first_name": "Ana", "last_name": "Nguyễn"},
        topic="Woodlawn",
        minutes=4,
        wants_reader=True,
    )
    bea = make_testimony(
        mine, person={"first_name": "Bea"}, language="es", way=Way.REMOTE, offers_to_read=True
    )
    make_testimony(mine, person={"first_name": "Cleo"}, way=Way.WRITTEN, position=None)
    make_testimony(mine, person={"first_name": "Dan"}, state=SpeakerState.WAITING)
    ana.reader_id = bea.id
    db.session.commit()
    here = occurrence_of(mine.event)
    screen = read(organizer.get(f"/organize/dates/{here.id}/running-order")).text
    answer = organizer.get(f"/organize/dates/{here.id}/running-order.pdf")
    paper = "\n".join(pages_of(answer.data))
    for text in (screen, paper):
        for part in ("Ana Nguyễn", "Woodlawn", "6:00", "6:04", "Bea", "interpreter", "Cleo"):
            assert part in text
        assert "Dan" not in text
    assert "2 speakers, about 7 minutes" in paper
    assert "Spanish (1)" in paper
    again = organizer.get(f"/organize/dates/{here.id}/running-order.pdf")
    assert again.data == answer.data
    a4 = organizer.get(f"/organize/dates/{here.id}/running-order.pdf?size=a4")
    assert b"/MediaBox [0 0 595" in a4.data
    assert organizer.get(f"/organize/dates/{here.id}/running-order.pdf?size=x").status_code == 200
    listed = db.session.query(AuditEntry).filter_by(action="hearing.listed").count()
    assert listed == 5


def test_other_kinds_of_events_have_no_hearing(
    organizer: Client, organization: Organization
) -> None:
    vigil = make_event(make_campaign(organization))
    db.session.commit()
    for tail in ("", "/edit", "/tasks/new"):
        assert organizer.get(f"/organize/events/{vigil.id}/hearing{tail}").status_code == 404


def test_add_a_speaker_by_hand(organizer: Client, mine: Hearing) -> None:
    here = occurrence_of(mine.event)
    at = f"/organize/dates/{here.id}/speakers/new"
    typed = {"first_name": "Ana", "last_name": "Ruiz", "email": "ana@example.org", "topic": "Bus"}
    answer = organizer.submit(at, typed)
    assert answer.status_code == 303, read(answer).text
    row = queries.speakers(here.id)[0]
    assert row.rsvp is not None
    assert (row.rsvp.email, row.topic, row.minutes) == ("ana@example.org", "Bus", 3)
    db.session.refresh(here)
    assert here.taken_count == 1
    organizer.submit(at, typed | {"topic": "Other"})  # the same person again: changed, not doubled
    assert [one.topic for one in queries.speakers(here.id)] == ["Other"]
    organizer.submit(at, {"first_name": "Bea", "way": "written"})  # without an address
    db.session.refresh(here)
    assert (len(queries.speakers(here.id)), here.taken_count) == (2, 1)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("first_name", "", "Please write a first name"),
        ("first_name", "a\x00", "characters we cannot use"),
        ("email", "nonsense", "does not look like an email"),
        ("postal_code", "!", "does not look like a ZIP code"),
        ("phone", "call me", "does not look like a phone number"),
        ("minutes", "61", "from 1 to 60"),
        ("minutes", "x", "whole number"),
        ("way", "pigeon", "Please choose one of these"),
        ("spoken", "xx", "Not a valid choice"),
    ],
)
def test_bad_speakers_are_told_at_the_field_and_kept(
    organizer: Client, mine: Hearing, field: str, value: str, message: str
) -> None:
    here = occurrence_of(mine.event).id
    typed = {"first_name": "Ana", "topic": "Kept words"}
    answer = organizer.submit(f"/organize/dates/{here}/speakers/new", typed | {field: value})
    assert answer.status_code == 200
    assert message in read(answer).text
    assert "Kept words" in answer.get_data(as_text=True)
    assert queries.speakers(here) == []
