"""The pages: written, switched on and watched without a script, by those who may."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from campaign.accounts.models import User
from campaign.db import db
from campaign.ladders import queries, services
from campaign.ladders.models import (
    FollowUp,
    Ladder,
    LadderRun,
    LadderState,
    RunState,
    StepKind,
    Trigger,
)
from campaign.ladders.rules import Details
from campaign.lists import services as lists
from campaign.organizations.models import AuditEntry, Organization, Role
from campaign.people import services as people
from campaign.privacy import queries as privacy
from campaign.privacy import services as erasing
from tests.conftest import Client
from tests.factories.campaigns import make_campaign
from tests.factories.events import make_event
from tests.factories.ladders import (
    STOP,
    make_follow_up,
    make_ladder,
    make_run,
    names_of_steps,
    send,
    wait,
)
from tests.factories.lists import make_list, make_segment
from tests.factories.mailings import make_reader
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read
from tests.factories.petitions import make_petition

HOME = "/organize/ladders"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(name="STOP")


@pytest.fixture
def user(client: Client, organization: Organization) -> User:
    user = make_member(organization)
    log_in(client, user, organization)
    return user


def text_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return read(response).text


def only_ladder() -> Ladder:
    return db.session.scalars(select(Ladder)).one()


@pytest.mark.usefixtures("user")
class TestWriting:
    def test_from_nothing_to_a_ladder_that_is_on(
        self, client: Client, organization: Organization
    ) -> None:
        petition = make_petition(make_campaign(organization))
        db.session.commit()
        assert "No ladders yet" in text_of(client, f"{HOME}/")
        client.submit(f"{HOME}/new", {"name": "Welcome", "trigger": f"signed:{petition.id.hex}"})
        ladder = only_ladder()
        page = f"{HOME}/{ladder.id}"
        client.submit(f"{page}/steps/new/wait", {"amount": "2", "unit": "hours"})
        client.submit(
            f"{page}/steps/new/send",
            {"subject_en": "Thank you", "body_en": "Dear {{ first_name|neighbor }},"},
        )
        client.submit(f"{page}/steps/new/tag", {"tag": "Signer"})
        said = text_of(client, page)
        for sentence in ("Wait 2 hours", "Send “Thank you”", "Add the tag “Signer”"):
            assert sentence in said
        client.submit(page, form=f"{page}/on")
        ladder = only_ladder()
        assert ladder.state == LadderState.ON
        assert ladder.on_at is not None
        assert db.session.scalars(
            select(AuditEntry.action).where(AuditEntry.subject_id == ladder.id)
        ).all() == ["ladder.on"]

    @pytest.mark.parametrize(
        ("kind", "data", "words"),
        [
            ("wait", {"amount": "two"}, "Write a whole number, like 2."),
            ("wait", {"amount": "0"}, "Write a whole number from 1 to 999."),
            ("wait", {"amount": "721", "unit": "hours"}, "This is too long: 720 at most."),
            ("send", {"body_en": "Hello"}, "Write a subject first."),
            ("send", {"subject_en": "Hello"}, "Write a text first."),
            (
                "send",
                {"subject_en": "Hi", "body_en": "Dear {{ name }}"},
                "We do not know {{ name }} (line 1, character 6).",
            ),
            (
                "send",
                {"subject_en": "Hi", "body_en": "x", "body_es": "x"},
                "Write a subject first.",
            ),
            ("tag", {"tag": " "}, "A tag needs a name."),
            ("if", {}, "Choose one."),
            ("follow-up", {"text": "", "amount": "0"}, "Write what there is to do."),
        ],
    )
    def test_what_is_wrong_is_said_at_its_field(
        self, client: Client, organization: Organization, kind: str, data: Any, words: str
    ) -> None:
        ladder = make_ladder(organization, is_on=False)
        response = client.submit(f"{HOME}/{ladder.id}/steps/new/{kind}", data)
        assert words in read(response).text
        assert queries.steps_of(ladder.id) == []

    def test_every_kind_is_written_and_written_again(
        self, client: Client, organization: Organization
    ) -> None:
        list_, segment = make_list(organization), make_segment(organization)
        event = make_event(make_campaign(organization))
        ladder = make_ladder(organization, is_on=False)
        db.session.commit()
        page = f"{HOME}/{ladder.id}"
        given: dict[str, dict[str, str]] = {
            "send": {"subject_en": "Hi", "body_en": "x"},
            "wait": {"amount": "1"},
            "wait-day": {"weekday": "1", "hour": "10"},
            "wait-event": {"amount": "1", "event_id": event.id.hex},
            "if": {"segment_id": segment.id.hex, "otherwise": "skip"},
            "tag": {"tag": "x"},
            "list-add": {"list_id": list_.id.hex},
            "list-remove": {"list_id": list_.id.hex},
            "follow-up": {"text": "Call.", "amount": "1"},
            "stop": {},
        }
        assert set(given) == set(StepKind)
        for kind, data in given.items():
            client.submit(f"{page}/steps/new/{kind}", data)
        steps = queries.steps_of(ladder.id)
        assert [step.kind for step in steps] == list(given)
        before = [step.details for step in steps]
        for step in steps:  # saved as it stands, it says the same
            assert client.submit(f"{page}/steps/{step.id}", {}).status_code == 303
        assert [step.details for step in queries.steps_of(ladder.id)] == before
        assert text_of(client, f"{page}?lang=es")

    def test_insert_move_delete_and_undo(self, client: Client, organization: Organization) -> None:
        ladder = make_ladder(organization, wait(), send(), is_on=False)
        page = f"{HOME}/{ladder.id}"
        first, second = queries.steps_of(ladder.id)
        client.submit(f"{page}/steps/new/stop?before={second.id}", {})
        assert names_of_steps(ladder) == ["wait", "stop", "send"]
        client.submit(page, {"direction": "up"}, form=f"{page}/steps/{second.id}/move")
        assert names_of_steps(ladder) == ["wait", "send", "stop"]
        client.submit(page, {}, form=f"{page}/steps/{first.id}/delete")
        assert names_of_steps(ladder) == ["send", "stop"]
        client.submit(page, {}, form=f"{page}/steps/{first.id}/restore")
        assert names_of_steps(ladder) == ["wait", "send", "stop"]

    def test_what_a_colleague_changed_meanwhile_is_not_undone_unseen(
        self, client: Client, organization: Organization
    ) -> None:
        ladder = make_ladder(organization, wait(1))
        (step,) = queries.steps_of(ladder.id)
        path = f"{HOME}/{ladder.id}/steps/{step.id}"
        form = read(client.get(path)).forms[-1]
        services.edit_step(ladder, step, Details(amount=5))
        db.session.commit()
        response = client.post(path, data={**dict(form["fields"]), "amount": "9"})
        assert "This was changed after you opened the page." in read(response).text
        assert queries.steps_of(ladder.id)[0].details["amount"] == 5

    def test_preview(self, client: Client, organization: Organization) -> None:
        ladder = make_ladder(
            organization, send("Hi", subject_es="Hola", body_es="Qué tal"), is_on=False
        )
        (step,) = queries.steps_of(ladder.id)
        frame = client.get(f"{HOME}/{ladder.id}/steps/{step.id}/frame")
        assert "Dear neighbor," in frame.text
        assert "sandbox" in frame.headers["Content-Security-Policy"]
        page = read(client.get(f"{HOME}/{ladder.id}/steps/{step.id}"))
        token = dict(page.forms[-1]["fields"])["csrf_token"]
        shown = client.post(
            f"{HOME}/preview?language=es",
            data={"csrf_token": token, "subject_es": "Hola", "body_es": "Hola {{ first_name|tú }}"},
        )
        assert "Hola tú" in shown.text


@pytest.mark.usefixtures("user")
class TestSwitchingOn:
    """What is missing is said where it is missing, and nothing goes on."""

    def refused(self, client: Client, ladder: Ladder) -> str:
        page = f"{HOME}/{ladder.id}"
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get(page).text)
        assert token is not None
        response = client.post(f"{page}/on", data={"csrf_token": token[1]})
        assert response.status_code == 400
        db.session.refresh(ladder)
        assert ladder.state == LadderState.DRAFT
        return read(response).text

    def test_without_a_step(self, client: Client, organization: Organization) -> None:
        ladder = make_ladder(organization, is_on=False)
        assert "There is no step yet." in self.refused(client, ladder)

    def test_without_a_postal_address(self, client: Client, organization: Organization) -> None:
        organization.postal_address = ""
        ladder = make_ladder(organization, send(), is_on=False)
        assert "Your profile has no postal address." in self.refused(client, ladder)

    def test_with_things_that_are_gone(self, client: Client, organization: Organization) -> None:
        list_, segment = make_list(organization), make_segment(organization)
        ladder = make_ladder(
            organization,
            (StepKind.LIST_ADD, Details(list_id=list_.id)),
            (StepKind.IF, Details(segment_id=segment.id)),
            (StepKind.TAG, Details(tag_id=uuid.uuid4())),
            (StepKind.WAIT_EVENT, Details(amount=1)),
            trigger_id=uuid.uuid4(),
            is_on=False,
        )
        lists.delete_list(list_)
        lists.delete_segment(segment)
        db.session.commit()
        said = self.refused(client, ladder)
        for words in (
            "This list is no longer there.",
            "This segment is no longer there.",
            "This tag is no longer there.",
            "No event brings people in here.",
            "What begins it is no longer there, or closed.",
        ):
            assert words in said


@pytest.mark.usefixtures("user")
class TestWatching:
    def test_counts_and_people(self, client: Client, organization: Organization) -> None:
        ladder = make_ladder(organization, wait(), send())
        step = queries.steps_of(ladder.id)[1]
        step.done_count, step.entered_count = 3, 5
        step.passed_over = {"no_consent": 2}
        run = make_run(ladder, make_reader(organization, first_name="Rosa"))
        make_run(ladder, make_reader(organization, first_name="Walter"))
        db.session.commit()
        page = f"{HOME}/{ladder.id}"
        said = text_of(client, page)
        for words in ("sent to 3", "Has not agreed to email from you (2)", "Rosa", "Walter"):
            assert words in said
        found = text_of(client, f"{page}?q=rosa")
        assert "Rosa" in found
        assert "Walter" not in found
        client.submit(page, {}, form=f"{page}/runs/{run.id}/stop")
        assert db.session.get_one(LadderRun, run.id).state == RunState.STOPPED

    def test_pause_resume_off_delete_undo(self, client: Client, organization: Organization) -> None:
        ladder = make_ladder(organization, wait())
        run = make_run(ladder, make_reader(organization))
        db.session.commit()
        page = f"{HOME}/{ladder.id}"
        for action, state in (("pause", LadderState.PAUSED), ("resume", LadderState.ON)):
            client.submit(page, {}, form=f"{page}/{action}")
            assert only_ladder().state == state
        client.submit(page, {"inside": "stop"}, form=f"{page}/off")
        assert only_ladder().state == LadderState.OFF
        assert db.session.get_one(LadderRun, run.id).state == RunState.STOPPED
        client.submit(page, {}, form=f"{page}/delete")
        assert client.get(page).status_code == 404
        assert only_ladder().deleted_at is not None
        client.submit(f"{HOME}/", {}, form=f"{page}/restore")
        assert only_ladder().deleted_at is None

    def test_a_ladder_in_use_is_not_deleted(
        self, client: Client, organization: Organization
    ) -> None:
        ladder = make_ladder(organization, wait())
        page = f"{HOME}/{ladder.id}"
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get(page).text)
        assert token is not None
        client.post(f"{page}/delete", data={"csrf_token": token[1]})
        assert only_ladder().deleted_at is None


class TestFollowUps:
    def test_it_stands_on_the_first_page_and_the_persons_until_it_is_ticked(
        self, client: Client, organization: Organization, user: User
    ) -> None:
        person = make_reader(organization, first_name="Rosa", phone="312 555 0142")
        row = make_follow_up(person, "Call about the hearing.")
        make_run(make_ladder(organization, STOP, name="Welcome"), person)
        db.session.commit()
        assert "1 person waits to hear from you" in text_of(client, "/organize/")
        about = text_of(client, f"/organize/people/{person.id}")
        assert "Call about the hearing." in about
        assert "Welcome" in about
        page = f"{HOME}/follow-ups"
        assert "(312) 555-0142" in text_of(client, page)
        client.submit(page, {}, form=f"{page}/{row.id}/done")
        done = db.session.get_one(FollowUp, row.id)
        assert (done.done_at is not None, done.done_by) == (True, user.id)
        assert "Nothing to follow up" in text_of(client, page)


@pytest.mark.usefixtures("user")
def test_a_ladder_that_is_stuck_is_said_on_the_first_page(
    client: Client, organization: Organization
) -> None:
    segment = make_segment(organization)
    make_ladder(organization, (StepKind.IF, Details(segment_id=segment.id)), name="Welcome")
    assert "is stuck" not in text_of(client, "/organize/")
    lists.delete_segment(segment)
    db.session.commit()
    assert "“Welcome” is stuck Somebody inside cannot go on." in " ".join(
        text_of(client, "/organize/").split()
    )


@pytest.mark.parametrize(
    ("role", "sees_names", "may_edit"),
    [(Role.ORGANIZER, True, True), (Role.DATA_ENTRY, True, False), (Role.VIEWER, False, False)],
)
def test_roles(
    client: Client, organization: Organization, role: str, sees_names: bool, may_edit: bool
) -> None:
    ladder = make_ladder(organization, wait())
    make_run(ladder, make_reader(organization, first_name="Rosa"))
    log_in(client, make_member(organization, role), organization)
    page = f"{HOME}/{ladder.id}"
    said = text_of(client, page)
    assert ("Rosa" in said) == sees_names
    assert (client.get(f"{page}/steps/new").status_code == 200) == may_edit


def test_what_is_held_is_shown_and_erased(
    client: Client, organization: Organization, user: User
) -> None:
    person, other = make_reader(organization), make_reader(organization)
    ladder = make_ladder(organization, wait(), name="Welcome")
    for one in (person, other):
        run = make_run(ladder, one)
        make_follow_up(one, "Call.", run_id=run.id)
    db.session.commit()
    plain = privacy.as_plain(privacy.holding_of(person))
    assert plain["Series of steps you are in or went through"][0]["Name"] == "Welcome"
    assert plain["What somebody of the team was asked to do"][0]["What"] == "Call."
    erasing.erase_person(person)
    db.session.commit()
    assert db.session.scalars(select(LadderRun.person_id)).all() == [other.id]
    assert db.session.scalars(select(FollowUp.person_id)).all() == [other.id]
    assert ladder.entered_count == 2, "what was counted stays"


def test_another_organizations_ids_are_not_there(
    client: Client, organization: Organization, user: User
) -> None:
    foreign = make_organization()
    theirs = make_ladder(foreign, wait())
    step = queries.steps_of(theirs.id)[0]
    run = make_run(theirs, make_reader(foreign))
    mine = make_ladder(organization, wait())
    tag = people.tag_named(foreign.id, "theirs")
    db.session.commit()
    for path in (
        f"{HOME}/{theirs.id}",
        f"{HOME}/{theirs.id}/edit",
        f"{HOME}/{mine.id}/steps/{step.id}",
        f"{HOME}/{mine.id}/steps/{step.id}/frame",
    ):
        assert client.get(path).status_code == 404
    page = f"{HOME}/{mine.id}"
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get(page).text)
    assert token is not None
    for path in (f"{page}/steps/{step.id}/delete", f"{page}/runs/{run.id}/stop"):
        assert client.post(path, data={"csrf_token": token[1]}).status_code == 404
    response = client.submit(
        f"{HOME}/new", {"name": "Stolen", "trigger": f"{Trigger.TAGGED}:{tag.id.hex}"}
    )
    assert response.status_code == 200, "what is not ours cannot be chosen"
