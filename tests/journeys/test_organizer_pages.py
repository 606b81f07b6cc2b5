"""Every page on which an organizer works at events, hearings, the door, buddies and sit-ins: axe
finds nothing and nothing sticks out, at a desk and on a phone, in both languages, light and dark,
and what is wrong with a form is said as accessibly as the form itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import current_app
from playwright.sync_api import Page, expect
from sqlalchemy import select

from campaign import clock
from campaign.db import Words, db
from campaign.events.models import HostState, Need, RsvpState
from campaign.hearings import services as hearings
from campaign.hearings.models import HearingTask
from campaign.hearings.services import HearingDetails
from campaign.imports.models import Import, ImportState
from campaign.mail import domains, signing
from campaign.mail import services as mail
from campaign.mail.models import SenderDomain
from campaign.organizations.models import Organization, Role
from campaign.people import services as people
from campaign.sit_ins import services as sit_ins
from campaign.sit_ins.queries import Confided
from campaign.table.models import ManyChange
from tests.browsers import axe, chromium, fits, log_in, visit
from tests.factories.buddies import make_introduction
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.checkin import make_head_count, make_sign_in
from tests.factories.contests import make_contest
from tests.factories.designs import make_picture, make_template
from tests.factories.events import (
    make_event,
    make_host,
    make_occurrence,
    make_rsvp,
    make_shift,
    occurrence_of,
)
from tests.factories.fields import fill, make_field
from tests.factories.hearings import make_testimony
from tests.factories.ladders import follow_up, make_follow_up, make_ladder, make_run, send, wait
from tests.factories.lists import make_list
from tests.factories.mailings import make_message, make_reader, make_readers, send_out, to_list
from tests.factories.organizations import make_member, make_organization
from tests.factories.people import make_person
from tests.factories.results import HERE
from tests.live import Live, live

__all__ = ["chromium", "live", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

OWNER, LEGAL, PASSWORD = "owner@example.org", "legal@example.org", "twenty-tabs-are-open"
LOOKS = [("en", False), ("es", True)]
NAMES = ["en-light", "es-dark"]
EVENTS, DATES, DOOR = "/organize/events", "/organize/events/dates", "/organize/checkin"
LONG = {"first_name": "Guadalupe", "last_name": "Hernández-Featherstonehaugh"}


def wall(days: int, hour: int) -> str:
    day = datetime.now(UTC).date() + timedelta(days=days)
    return f"{day.isoformat()}T{hour:02}:00"


class Office:
    """An organization in the middle of its work, and the address of every page of that work."""

    def __init__(self) -> None:
        organization = make_organization(name="STOP")
        make_member(organization, Role.OWNER, email=OWNER, password=PASSWORD)
        make_member(organization, Role.LEGAL, email=LEGAL, password=PASSWORD)
        self.campaign = make_campaign(organization)
        self.pages: dict[str, str] = {
            "home": "/organize/",
            "events": f"{EVENTS}/",
            "over": f"{EVENTS}/?part=past",
            "proposals": f"{EVENTS}/?part=proposals",
            "cancelled": f"{EVENTS}/?part=cancelled",
            "nothing fits": f"{EVENTS}/?q=zebra",
            "new event": f"{EVENTS}/new",
            "segments": "/organize/segments/new",
            "doors": f"{DOOR}/",
        }
        self._sending(organization)
        self._mass_mail(organization)
        self._fields(organization)
        self._imports(organization)
        self._vigil()
        self._over()
        self._states()
        self._hearing()
        self._sit_in()

    def _sending(self, organization: Organization) -> None:
        """Records of which one is in order, one wrong, one missing with the long text to add."""
        domain = domains.domain_of(organization.sender_email)
        key = signing.Published(domain, "campaign1", "A" * 392)
        found = domains.examine(
            domain,
            domains.Way("smtp", "a:mail.example.org", key),
            {
                domain: ["v=spf1 mx +all", "other"],
                f"_dmarc.{domain}": ["v=DMARC1; p=reject"],
            }.get,
        )
        mail.ask_about_domain(domain)
        row = db.session.get_one(SenderDomain, domain)
        row.looked_at, row.verdict = clock.now(), domains.verdict_of(found)
        row.findings = {name: asdict(finding) for name, finding in found.items()}
        self.pages |= {
            "sending": "/organize/organization/sending",
            "profile": "/organize/organization",
            "mailings": "/organize/mailings/",
        }

    def _imports(self, organization: Organization) -> None:
        """A file in each of its states; the rows of it stand in the data of the test server."""
        folder = Path(current_app.extensions["settings"].data_dir)
        file = folder / "import.csv"
        file.write_text("email,name,Years\nann@example.org,Ann Lee,3\nbroken,,\n")
        trial = {"rows": 2, "is_whole": True, "added": 1, "updated": 0, "unchanged": 0}
        states: dict[str, dict[str, Any]] = {
            "draft": {"path": str(file), "trial": trial | {"refused": 1, "suppressed": 1}},
            "reading": {"state": ImportState.READING, "path": str(file)},
            "running": {"state": ImportState.RUNNING, "begun_at": clock.now(), "done_count": 1},
            "stopped": {"state": ImportState.STOPPED, "path": str(file), "done_count": 1},
            "failed": {"state": ImportState.FAILED, "failure": "There is nothing in this file."},
        }
        for name, values in states.items():
            row = Import(
                organization_id=organization.id,
                filename="signers.csv",
                basis="Signed our sheets",
                row_count=2,
                created_at=clock.now(),
                lease_until=clock.now() + timedelta(hours=1),
                **values,
            )
            db.session.add(row)
            db.session.flush()
            self.pages[f"import {name}"] = f"/organize/people/import/{row.id}"
        self.pages["import"] = "/organize/people/import"
        db.session.commit()

    def _mass_mail(self, organization: Organization) -> None:
        """Writing to many. The crawl of the demo looks at these pages in English."""
        message = make_contest(
            organization,
            to_list(make_readers(organization, 40)),
            details={"body": f"[Sign]({HERE}/p/x)", "name": "The council votes on Monday"},
        )
        send_out(message)
        out, message_id = "/organize/results", message.id
        draft = make_contest(organization)
        short = make_message(organization, body="")
        ladder = make_ladder(organization, wait(2), send(), follow_up())
        make_run(ladder, make_reader(organization, **LONG))
        make_follow_up(make_reader(organization), "Call, and ask whether she would speak.")
        picture, template = make_picture(organization), make_template(organization, is_default=True)
        mailing, steps = f"/organize/mailings/{draft.id}", f"/organize/ladders/{ladder.id}"
        self.mass_mail = {
            "mailings": "/organize/mailings/",
            "way": f"/organize/mailings/{message_id}",
            "report": f"{out}/{message_id}",
            "again": f"{out}/{message_id}/again",
            "compare": f"{out}/",
            "audience": f"{mailing}/audience",
            "check": mailing,
            "versions": f"{mailing}/versions",
            "no versions": f"/organize/mailings/{short.id}/versions",
            "send": f"{mailing}/send",
            "templates": "/organize/mailings/templates/",
            "template": f"/organize/mailings/templates/{template.id}",
            "pictures": "/organize/mailings/pictures/",
            "picture": f"/organize/mailings/pictures/{picture.id}",
            "ladders": "/organize/ladders/",
            "new ladder": "/organize/ladders/new",
            "ladder": steps,
            "ladder's beginning": f"{steps}/edit",
            "what a step does": f"{steps}/steps/new",
            **{
                f"step {kind}": f"{steps}/steps/new/{kind}"
                for kind in ("wait", "wait-event", "send", "if", "follow-up")
            },
            "follow-ups": "/organize/ladders/follow-ups",
        }
        self._links_and_readers(organization)

    def _links_and_readers(self, organization: Organization) -> None:
        """A draft with something to say about each of its links, and one of its readers."""
        hard = "Notwithstanding administrative considerations, representatives deliberated. " * 20
        reader = make_reader(organization, language="es", **LONG)
        body = (
            f"Hi {{{{ first_name|friend }}}},\n\n{hard}\n\n[here](https://news.city.gov/a) "
            "[the rules](https://news.city.gov/b) [the plan](https://news.city.gov/c)"
        )
        message = make_message(
            organization, to_list(make_readers(organization, 1)), subject="COME NOW!!", body=body
        )
        message.links_found = {
            "https://news.city.gov/a": "moved 200 https://news.city.gov/" + "long-" * 30,
            "https://news.city.gov/b": "gone 404",
        }
        message.links_looked_at = clock.now()
        tried = make_message(organization, body=body)
        tried.links_asked_at = clock.now()
        here = f"/organize/mailings/{message.id}"
        self.mass_mail |= {
            "compose": f"{here}/edit?person={reader.id.hex}",
            "check with links": here,
            "check while links are tried": f"/organize/mailings/{tried.id}",
            "read as somebody": f"{here}/read?q=guada&person={reader.id.hex}",
        }

    def _fields(self, organization: Organization) -> None:
        """Fields of every kind, with a person who has something under each."""
        kinds = {"text": "Local", "number": "1200.5", "date": "2009-04-01", "yes_no": "yes"}
        fields = {kind: make_field(organization, kind, kind) for kind in kinds}
        choice = make_field(organization, "Comes", "choice")
        clinic = make_field(organization, "Clinic", is_sensitive=True)
        person = make_person(organization, **LONG)
        for kind, typed in kinds.items():
            fill(person, fields[kind], typed)
        fill(person, choice, "By bus")
        fill(person, clinic, "Woodlawn")
        self._table(organization)
        here = f"/organize/people/{person.id}"
        self.pages |= {
            "numbers": "/organize/numbers/",
            "fields": "/organize/fields/",
            "field": f"/organize/fields/{choice.id}",
            "new field": "/organize/fields/new",
            "person": here,
            "more about them": f"{here}/fields",
            "sensitive": f"{here}/sensitive",
        }

    def _table(self, organization: Organization) -> None:
        """The table of people with all its filters, and a change of many at work and done."""
        tag = people.tag_named(organization.id, "Speaker")
        list_ = make_list(organization, name="Walk list, ward 20")
        now = clock.now()
        working, over = (
            ManyChange(
                organization_id=organization.id,
                act=act,
                target_id=target.id,
                target_name=target.name,
                state=state,
                people_count=12_431,
                done_count=done,
                changed_count=done - 7,
                lease_until=now + timedelta(hours=1),
                created_at=now,
                frozen_at=now,
                finished_at=now if state == "done" else None,
            )
            for act, target, state, done in (
                ("tag", tag, "running", 5000),
                ("enlist", list_, "done", 12_431),
            )
        )
        db.session.add_all([working, over])
        db.session.flush()
        table = "/organize/people/"
        self.pages |= {
            "table": table,
            "table filtered": f"{table}?q=guada&sort=name&list={list_.id}&tag=speaker&since=2026-01-01",
            "table asked wrongly": f"{table}?since=soon&field=number&how=begins&value=1",
            "columns": f"{table}columns",
            "change at work": f"{table}changes/{working.id}",
            "change done": f"{table}changes/{over.id}",
            "new export": "/organize/exports/new?tag=speaker",
            "exports": "/organize/exports/",
        }

    def _vigil(self) -> None:
        event = make_event(
            self.campaign,
            capacity=3,
            starts_in_days=0,
            needs_asked=[Need.RIDE, Need.INTERPRETATION],
            asks_company=True,
            recurrence={"frequency": "dates", "dates": [wall(30, 18)]},
        )
        other = make_occurrence(event, wall(30, 18))
        shift, partner = make_shift(event, capacity=4), make_partner(self.campaign).partner
        make_host(event)
        make_host(event, state=HostState.INVITED)
        make_host(event, partner_id=partner.id, email=None, state=HostState.INVITED)
        make_introduction(event)
        rsvp = make_rsvp(event, **LONG, needs=["ride"], needs_note="Third floor, no elevator")
        make_rsvp(event, state=RsvpState.WAITING)
        here, date = f"{EVENTS}/{event.id}", occurrence_of(event)
        self.pages |= {
            "event": here,
            "edit": f"{here}/edit",
            "shifts": f"{here}/shifts",
            "shift": f"{EVENTS}/shifts/{shift.id}",
            "hosts": f"{here}/hosts",
            "buddies": f"{here}/buddies",
            "one date": f"{DATES}/{other.id}",
            "answer": f"{EVENTS}/answers/{rsvp.id}",
            "message": f"/organize/mailings/new?to=event:{event.id.hex}",
            **{
                f"answers {part}": f"{DATES}/{date.id}/{part}"
                for part in ("answers", "answers/new", "answers/print", "needs", "shifts")
            },
            **{f"answers {part}": f"{DATES}/{date.id}/{part}" for part in ("line", "held")},
            "door": f"{DOOR}/{date.id}",
            **{
                f"door {part}": f"{DOOR}/{date.id}/{part}"
                for part in ("walk-in", "heads", "sheets", "enter", "report")
            },
        }

    def _over(self) -> None:
        event = make_event(self.campaign, starts_in_days=-3)
        rsvp = make_rsvp(event, **LONG)
        make_sign_in(event, rsvp)
        make_head_count(event, 61)
        date = occurrence_of(event)
        self.pages |= {
            "event over": f"{EVENTS}/{event.id}",
            "report": f"{DOOR}/{date.id}/report",
            "report on paper": f"{DOOR}/{date.id}/report?view=print",
        }

    def _states(self) -> None:
        idea = make_event(self.campaign, state="proposed", published_at=None)
        make_host(idea, is_proposer=True, state=HostState.INVITED)
        off = make_event(self.campaign, state="cancelled", cancelled_at=clock.now())
        draft = make_event(
            self.campaign, state="draft", published_at=None, title=Words(en="Only in English")
        )
        self.pages |= {
            "proposal": f"{EVENTS}/{idea.id}",
            "cancelled event": f"{EVENTS}/{off.id}",
            "draft": f"{EVENTS}/{draft.id}",
            "preview": f"{EVENTS}/{draft.id}/preview",
        }

    def _hearing(self) -> None:
        bare = make_event(self.campaign, kind="hearing")
        event = make_event(self.campaign, kind="hearing", starts_in_days=9)
        body = Words(en="Chicago City Council", es="Concejo Municipal de Chicago")
        found = hearings.set_up_hearing(
            event, HearingDetails(body=body, slot_count=2), template="chicago"
        )
        ana = make_testimony(found, wants_reader=True, person=LONG)
        bea = make_testimony(found, offers_to_read=True, language="es")
        ana.reader_id = bea.id
        make_testimony(found, state="waiting")
        task = db.session.scalars(select(HearingTask).where(HearingTask.event_id == event.id))
        here, date = f"{EVENTS}/{event.id}/hearing", occurrence_of(event)
        self.pages |= {
            "no speakers yet": f"{EVENTS}/{bare.id}/hearing",
            "take speakers": f"{EVENTS}/{bare.id}/hearing/edit",
            "speakers": here,
            "hearing": f"{here}/edit",
            "new task": f"{here}/tasks/new",
            "task": f"/organize/hearing-tasks/{task.first().id}",  # type: ignore[union-attr]
            "speaker": f"/organize/speakers/{ana.id}",
            "new speaker": f"/organize/dates/{date.id}/speakers/new",
            "running order": f"/organize/dates/{date.id}/running-order",
        }

    def _sit_in(self) -> None:
        event = make_event(self.campaign, kind="sit-in", briefing=Words(en="Water.", es="Agua."))
        rsvp, date = make_rsvp(event, **LONG), occurrence_of(event)
        sit_ins.acknowledge(rsvp, event.briefing_version)
        sit_ins.join_list(
            rsvp,
            Confided(legal_name="Guadalupe Hernández", medical="Asthma", emergency_contact="Ola"),
        )
        self.pages |= {
            "sit-in": f"{EVENTS}/{event.id}",
            "edit a sit-in": f"{EVENTS}/{event.id}/edit",
            "briefing": f"/organize/briefings/{date.id}",
        }
        self.legal = {"legal": "/organize/legal/", "people": f"/organize/legal/{date.id}"}


def look(page: Page, name: str, wrong: dict[str, Any]) -> None:
    """What is wrong with a page at a desk and on a phone, with all that is folded away open."""
    for fold in page.query_selector_all("details.fold:not([open]) > summary"):
        fold.click()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        complaints = axe(page) + ([] if fits(page) else ["too wide"])
        if complaints:
            wrong[f"{name} at {width}"] = complaints


@pytest.mark.parametrize(("lang", "dark"), LOOKS, ids=NAMES)
def test_every_page_is_for_everybody(
    live: Live, visit: Callable[..., Page], lang: str, dark: bool
) -> None:
    with live.rows():
        office = Office()
    wrong: dict[str, Any] = {}
    owned = office.pages | (office.mass_mail if lang == "es" else {})
    for who, pages in ((OWNER, owned), (LEGAL, office.legal)):
        page = visit(dark=dark)
        log_in(page, live.url, who, PASSWORD)
        for name, path in pages.items():
            answer = page.goto(f"{live.url}{path}{'&' if '?' in path else '?'}lang={lang}")
            assert answer is not None
            assert answer.status == 200, (name, path)
            look(page, name, wrong)
    assert wrong == {}


@pytest.mark.parametrize(("lang", "dark"), LOOKS, ids=NAMES)
def test_what_is_wrong_is_said_to_everybody(
    live: Live, visit: Callable[..., Page], lang: str, dark: bool
) -> None:
    with live.rows():
        office = Office()
    page = visit(dark=dark)
    log_in(page, live.url, OWNER, PASSWORD)
    wrong: dict[str, Any] = {}
    for name, fields in {
        "edit": {"ends": wall(-300, 9), "capacity": "1"},
        "one date": {"ends": wall(1, 9)},
        "hearing": {"slot_count": "1"},
        "speaker": {"minutes": "0"},
        "door enter": {"first_name": ""},
        "door heads": {"count": ""},
        "answers answers/new": {"first_name": "", "email": "nobody"},
    }.items():
        page.set_viewport_size({"width": 1280, "height": 844})
        page.goto(f"{live.url}{office.pages[name]}?lang={lang}")
        for fold in page.query_selector_all("details.fold:not([open]) > summary"):
            fold.click()
        for field, value in fields.items():
            page.locator(f"main [name={field}]").first.fill(value)
        page.locator(f"main form:has([name={next(iter(fields))}]) [type=submit]").first.click()
        expect(page.locator("#errors"), name).to_have_count(1)
        look(page, f"{name} refused", wrong)
    assert wrong == {}
