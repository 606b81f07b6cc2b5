"""The pages of results, as an organizer, a viewer, a partner and somebody else's organizer see
them; and their files."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db, uuid7
from campaign.mail.models import Delivery
from campaign.mailings import queries as mailings
from campaign.mailings.models import Message, MessageState
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.people import services as people
from campaign.results import queries
from tests.conftest import Client
from tests.factories.contests import click, make_contest
from tests.factories.mailings import beat, deliver, freeze, make_message, make_reader, send_out
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature
from tests.factories.results import BOUNCE, deliveries_of, say, sent_to, tell

HOME = "/organize/results/"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="Southside Together")


@pytest.fixture
def organizer(organization: Organization, client: Client) -> User:
    user = make_member(organization, Role.ORGANIZER, name="Denise")
    log_in(client, user)
    return user


def audit() -> list[tuple[str, object]]:
    return [
        (row.action, row.details)
        for row in db.session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        if row.action.startswith("mailing.re")
    ]


def table(client: Client, path: str) -> list[list[str]]:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store"
    return list(csv.reader(io.StringIO(answer.text)))


# --- the report ----------------------------------------------------------------------------------


def test_a_report_says_what_happened(
    client: Client, organization: Organization, organizer: User
) -> None:
    petition = make_petition(organization_id=organization.id)
    message, people_ = sent_to(organization, 20, f"/p/{petition.slug}")
    tell(message, *((person, say("delivered")) for person in people_[:19]), (people_[19], BOUNCE))
    for person in people_[:6]:
        make_signature(petition, person=person, source=message.source)
    db.session.commit()
    text = read(client.get(f"{HOME}{message.id}")).text
    assert "Everybody who was to get it is counted here once." in text
    assert "32% of delivered" in text
    assert petition.title.get_for("en") in text
    assert "No such mailbox" in text
    assert "We do not count who opens an email" in text
    assert "people.example" in text
    for person in people_:
        assert person.first_name not in text
        assert (person.email or "") not in text


def test_a_small_message_tells_no_hours_and_no_small_numbers(
    client: Client, organization: Organization, organizer: User
) -> None:
    petition = make_petition(organization_id=organization.id)
    message, people_ = sent_to(organization, 4, f"/p/{petition.slug}")
    make_signature(petition, person=people_[0], source=message.source)
    db.session.commit()
    text = read(client.get(f"{HOME}{message.id}")).text
    assert "fewer than 5" in text
    assert "Fewer than 10 people got this" in text
    assert "Show as a table" not in text
    assert "By mail service" not in text
    beat()
    listed = read(client.get("/organize/mailings/")).text
    assert "fewer than 5" in listed
    assert len(table(client, f"{HOME}{message.id}/files/times.csv")) == 1
    assert len(table(client, f"{HOME}{message.id}/files/domains.csv")) == 1
    rows = table(client, f"{HOME}{message.id}/files/summary.csv")
    assert ["", "Signed", "fewer than 5", "", "of sent, without what came back"] in rows


def test_a_message_that_is_not_out_shows_how_far_it_is(
    client: Client, organization: Organization, organizer: User
) -> None:
    draft = make_message(organization)
    answer = client.get(f"{HOME}{draft.id}")
    assert (answer.status_code, answer.location) == (303, f"/organize/mailings/{draft.id}")
    assert client.get(f"{HOME}{draft.id}/files/report.xlsx").status_code == 303


def test_variants_stand_side_by_side(
    client: Client, organization: Organization, organizer: User
) -> None:
    for _ in range(60):
        make_reader(organization)
    db.session.commit()
    message = make_contest(organization, size=80)
    send_out(message)
    click(message, "b", 7)
    report = queries.report_of(message, "en")
    assert report.letters == ["a", "b"]
    assert report.is_whole
    assert report.total.people == message.recipient_count
    by_letter = {part.letter: figures for part, figures in report.parts}
    assert (by_letter["a"].clicks, by_letter["b"].clicks) == (0, 7)
    text = read(client.get(f"{HOME}{message.id}")).text
    assert "Version A" in text
    assert "Version B" in text
    rows = table(client, f"{HOME}{message.id}/files/links.csv")
    assert rows[0] == ["Link", "Leads to", "Links followed", "Version A", "Version B"]
    assert rows[1][2:] == ["7", "0", "7"]
    assert ["Version B", "Recipients", str(by_letter["b"].people), "", ""] in table(
        client, f"{HOME}{message.id}/files/summary.csv"
    )


# --- who may -------------------------------------------------------------------------------------

PATHS = (
    "{id}",
    "{id}/files/report.xlsx",
    "{id}/files/links.csv",
    "{id}/again",
)


@pytest.mark.parametrize("path", PATHS)
def test_another_organizations_message_is_not_there(
    client: Client, organizer: User, path: str
) -> None:
    message, _people = sent_to(make_organization(), 3)
    here = HOME + path.format(id=message.id)
    assert client.get(here).status_code == 404
    assert client.get(HOME + path.format(id=uuid7())).status_code == 404
    if path.endswith("again"):
        page = client.get("/organize/mailings/new")
        found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert found
        data = {"csrf_token": found[1], "subject": "Mine now"}
        assert client.post(here, data=data).status_code == 404
    assert audit() == []


def test_a_deleted_message_has_no_report(
    client: Client, organization: Organization, organizer: User
) -> None:
    message, _people = sent_to(organization, 3)
    message.deleted_at = clock.now()
    db.session.commit()
    assert client.get(f"{HOME}{message.id}").status_code == 404
    assert client.get(f"{HOME}{message.id}/again").status_code == 404


@pytest.mark.parametrize(
    ("role", "sees", "writes"),
    [
        (Role.OWNER, 200, 200),
        (Role.ORGANIZER, 200, 200),
        (Role.DATA_ENTRY, 200, 403),
        (Role.VIEWER, 200, 403),
        (Role.LEGAL, 403, 403),
        (Role.PARTNER, 403, 403),
    ],
)
def test_roles(
    client: Client, organization: Organization, role: Role, sees: int, writes: int
) -> None:
    petition = make_petition(organization_id=organization.id)
    message, _people = sent_to(organization, 3, f"/p/{petition.slug}")
    log_in(client, make_member(organization, role))
    for path in ("", f"{message.id}", f"{message.id}/files/report.xlsx", "files/comparison.csv"):
        assert client.get(HOME + path).status_code == sees, path
    assert client.get(f"{HOME}{message.id}/again").status_code == writes


# --- files ---------------------------------------------------------------------------------------

FORMULA = '=HYPERLINK("http://evil.example","x")'


def test_no_file_runs_what_somebody_wrote(
    client: Client, organization: Organization, organizer: User
) -> None:
    message, _people = sent_to(
        organization, 12, subject=FORMULA, body="[Look](http://a.example/=1+1) +cmd"
    )
    rows = table(client, f"{HOME}{message.id}/files/summary.csv")
    assert ["", "Subject", f"'{FORMULA}", "", ""] in rows
    rows = table(client, f"{HOME}files/comparison.csv")
    assert rows[1][1] == f"'{FORMULA}"
    for path in (f"{message.id}/files/report.xlsx", "files/comparison.xlsx"):
        answer = client.get(HOME + path)
        assert answer.mimetype.endswith("spreadsheetml.sheet")
        with zipfile.ZipFile(io.BytesIO(answer.data)) as book:
            sheets = [book.read(name).decode() for name in book.namelist() if "/sheet" in name]
            shared = book.read("xl/sharedStrings.xml").decode()
            styles = book.read("xl/styles.xml").decode()
        assert not any("<f>" in sheet or "<hyperlink" in sheet for sheet in sheets)
        assert "=HYPERLINK(" in shared
        assert 'quotePrefix="1"' in styles


def test_a_workbook_has_all_sheets_and_numbers_are_numbers(
    client: Client, organization: Organization, organizer: User
) -> None:
    message, _people = sent_to(organization, 12)
    answer = client.get(f"{HOME}{message.id}/files/report.xlsx")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as book:
        names = re.findall(r'<sheet name="([^"]+)"', book.read("xl/workbook.xml").decode())
        first = book.read("xl/worksheets/sheet1.xml").decode()
    assert names == ["Summary", "Links and actions", "Mail services", "Reasons", "Over time"]
    assert "<v>12</v>" in first


def test_each_file_is_logged_and_holds_no_person(
    client: Client, organization: Organization, organizer: User
) -> None:
    message, readers = sent_to(organization, 12, "/a")
    tell(message, (readers[0], BOUNCE))
    wanted = ["report.xlsx", *(f"{name}.csv" for name in ("summary", "links", "domains", "reasons", "times"))]  # fmt: skip
    for name in wanted:
        answer = client.get(f"{HOME}{message.id}/files/{name}")
        assert answer.status_code == 200, name
        data = answer.data
        if name.endswith("xlsx"):
            with zipfile.ZipFile(io.BytesIO(data)) as book:
                data = b"".join(book.read(part) for part in book.namelist())
        for person in readers:
            assert str(person.email).encode() not in data
            assert str(person.id).encode() not in data
    client.get(f"{HOME}files/comparison.xlsx")
    assert audit() == [
        *(("mailing.report", {"file": name, "messages": 1}) for name in wanted),
        ("mailing.report", {"file": "comparison.xlsx", "messages": 1}),
    ]


@pytest.mark.parametrize(
    "name", ["people.csv", "report.csv", "summary.xlsx", "..%2Freport.xlsx", "report.xlsx.csv", "x"]
)
def test_there_are_no_other_files(
    client: Client, organization: Organization, organizer: User, name: str
) -> None:
    message, _people = sent_to(organization, 3)
    assert client.get(f"{HOME}{message.id}/files/{name}").status_code == 404
    assert client.get(f"{HOME}files/{name}").status_code == 404


# --- side by side --------------------------------------------------------------------------------


def three(organization: Organization) -> list[Message]:
    found = []
    for number, subject in enumerate(("Alpha", "Bravo", "Charlie")):
        message, readers = sent_to(organization, 12 + number, subject=subject)
        assert message.started_at
        message.started_at -= timedelta(days=number)
        tell(message, *((person, BOUNCE) for person in readers[: number * 5]))
        found.append(message)
    db.session.commit()
    return found


def order(client: Client, query: str = "") -> list[str]:
    text = client.get(f"{HOME}{query}").text
    body = text.split("<tbody>")[1].split("</tbody>")[0]
    return re.findall(r'href="/organize/results/[^"]+">([A-Z][a-z]+)</a>', body)


def test_comparing_sorts_without_a_script(
    client: Client, organization: Organization, organizer: User
) -> None:
    alpha, bravo, charlie = three(organization)
    sent_to(make_organization(), 12, subject="Theirs")
    assert order(client) == ["Alpha", "Bravo", "Charlie"]
    assert order(client, "?sort=sent") == ["Charlie", "Bravo", "Alpha"]
    assert order(client, "?sort=-came_back") == ["Charlie", "Bravo", "Alpha"]
    assert order(client, "?sort=people") == ["Alpha", "Bravo", "Charlie"]
    assert order(client, "?sort=-subject") == ["Charlie", "Bravo", "Alpha"]
    chosen = f"?id={alpha.id}&id={charlie.id}&id={uuid7()}&id=nonsense"
    assert order(client, chosen) == ["Alpha", "Charlie"]
    rows = table(client, f"{HOME}files/comparison.csv{chosen}&sort=sent")
    assert [row[1] for row in rows] == ["Subject", "Charlie", "Alpha"]
    links = dict(read(client.get(HOME + chosen)).links)
    assert any(f"id={alpha.id.hex}" in link and "sort=clicks" in link for link in links)
    assert bravo.subject in read(client.get(HOME + chosen)).text


@pytest.mark.parametrize(
    "query", ["?sort=nonsense", "?sort=-", "?q=%00", "?q=" + "x" * 500, "?id=", "?q=%27%25"]
)
def test_an_address_that_makes_no_sense_is_a_page(
    client: Client, organization: Organization, organizer: User, query: str
) -> None:
    three(organization)
    assert client.get(HOME + query).status_code == 200


def test_messages_are_found_by_their_words(
    client: Client, organization: Organization, organizer: User
) -> None:
    three(organization)
    text = client.get(f"{HOME}?q=brav").text
    offered = re.findall(r'name="id" value="[0-9a-f]{32}"[^>]*><span>([A-Z][a-z]+)', text)
    assert offered.count("Bravo") == 1
    assert "Nothing fits these words." in client.get(f"{HOME}?q=zebra").text


def test_nothing_to_compare_says_so(client: Client, organizer: User) -> None:
    assert "Nothing to compare yet" in client.get(HOME).text


# --- again ---------------------------------------------------------------------------------------


def test_writing_again_to_those_who_did_not_act(
    client: Client, organization: Organization, organizer: User
) -> None:
    petition = make_petition(organization_id=organization.id)
    message, readers = sent_to(organization, 15, f"/p/{petition.slug}")
    make_signature(petition, person=readers[0], source="flyer")
    make_signature(petition, person=readers[1], source=message.source)
    tell(message, (readers[2], BOUNCE), (readers[3], say("unsubscribe")))
    tell(message, (readers[4], say("spamreport")))
    people.withdraw_consent(readers[5], grantee_id=organization.id, purpose="email", source="page")
    db.session.commit()
    page = f"{HOME}{message.id}/again"
    text = read(client.get(page)).text
    assert "9 people would get it" in text
    assert petition.title.get_for("en") in text
    again = client.submit(page, {"subject": " come ON monday "})
    assert again.status_code == 200
    assert "They have seen this subject" in again.text
    assert "field" in again.text
    assert client.submit(page, {"subject": ""}).status_code == 200
    assert db.session.query(Message).count() == 1

    done = client.submit(page, {"subject": "One more time"})
    draft = db.session.scalars(select(Message).where(Message.state == MessageState.DRAFT)).one()
    assert done.location == f"/organize/mailings/{draft.id}"
    assert (draft.subject, draft.body, draft.name) == (
        "One more time",
        message.body,
        "Again: Come on Monday",
    )
    assert audit() == [("mailing.resend", {"of": str(message.id)})]
    checked = read(client.get(done.location)).text
    assert "9 people will get it" in checked
    assert "Got: Come on Monday" in checked
    assert "Did what it asked: Come on Monday" in checked
    form = read(client.get(f"/organize/mailings/{draft.id}/audience"))
    assert form.text.count("Did what a message asked") == 1

    make_signature(petition, person=readers[6])  # acts while the draft lies there
    db.session.commit()
    send_out(draft)
    assert set(deliveries_of(draft)) == {person.id for person in readers[7:]}

    make_signature(petition, person=readers[7])
    db.session.commit()
    assert "7 people would get it" in read(client.get(f"{HOME}{draft.id}/again")).text


def refusal(client: Client, message: Message) -> str:
    answer = client.get(f"{HOME}{message.id}/again")
    assert (answer.status_code, answer.location) == (303, f"{HOME}{message.id}")
    return read(client.get(answer.location)).text


def test_what_cannot_be_sent_again_says_why(
    client: Client, organization: Organization, organizer: User
) -> None:
    petition = make_petition(organization_id=organization.id)
    path = f"/p/{petition.slug}"
    aimless, _people = sent_to(organization, 3)
    assert "None of its links leads to a petition" in refusal(client, aimless)
    stopped, _people = sent_to(organization, 3, path)
    stopped.state = MessageState.STOPPED
    db.session.commit()
    assert "You stopped this message" in refusal(client, stopped)
    moving = make_message(organization, body=f"[x](http://127.0.0.1:8000{path})")
    moving.scheduled_at, moving.state = clock.now(), MessageState.SCHEDULED
    db.session.commit()
    freeze(moving)
    assert "It is still on its way" in read(client.get(f"{HOME}{moving.id}")).text
    assert "still on its way. Wait" in refusal(client, moving)
    deliver()
    assert client.get(f"{HOME}{moving.id}/again").status_code == 200


def test_hostile_subjects_are_refused_at_the_field(
    client: Client, organization: Organization, organizer: User
) -> None:
    petition = make_petition(organization_id=organization.id)
    message, _people = sent_to(organization, 3, f"/p/{petition.slug}")
    for subject in ("a\r\nBcc: x@people.example", "x" * 201, "\u202egnp", "Hi {{ nickname }}"):
        answer = client.submit(f"{HOME}{message.id}/again", {"subject": subject})
        assert answer.status_code == 200, subject
        assert 'href="#subject"' in answer.text
    assert db.session.query(Message).count() == 1


def test_of_variants_the_best_words_go_again(
    client: Client, organization: Organization, organizer: User
) -> None:
    petition = make_petition(organization_id=organization.id)
    for _ in range(60):
        make_reader(organization)
    db.session.commit()
    body = f"Dear all, [sign](http://127.0.0.1:8000/p/{petition.slug})"
    message = make_contest(organization, details={"body": body}, size=80)
    contest = message.contest
    assert contest is not None
    contest.variants[1].own_body = f"Better words. [sign](http://127.0.0.1:8000/p/{petition.slug})"
    db.session.commit()
    send_out(message)
    contest.winner_id, contest.state = contest.variants[1].id, "over"
    message.state = MessageState.SENT
    db.session.commit()
    page = f"{HOME}{message.id}/again"
    seen = client.submit(page, {"subject": "Doors open on Monday"})
    assert "They have seen this subject" in seen.text
    client.submit(page, {"subject": "Last call"})
    draft = db.session.scalars(select(Message).where(Message.state == MessageState.DRAFT)).one()
    assert draft.contest is None
    assert draft.body.startswith("Better words.")
    reach = mailings.reach(organization.id, draft.chosen)
    assert reach.total == message.recipient_count
    assert db.session.query(Delivery).count() == message.recipient_count
