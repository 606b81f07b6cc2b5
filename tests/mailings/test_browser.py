"""A mailing from its template to its report, as two people of a team make it in a browser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from campaign import clock
from campaign.db import db
from campaign.mail import delivery as mail
from campaign.mail.models import Chunk, MailboxMessage
from campaign.mailings.models import ContestState, Message, MessageState, VariantState, Verdict
from campaign.organizations.models import Role
from tests.browsers import chromium, log_in, visit
from tests.factories.contests import click, groups, variant
from tests.factories.mailings import beat, deliver, freeze, make_readers
from tests.factories.organizations import make_member, make_organization
from tests.factories.outbox import outbox
from tests.live import Live, live

__all__ = ["chromium", "live", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PASSWORD = "two-of-us-have-read-it"
A, B = "Come on Monday", "The doors open on Monday"
TEST = timedelta(hours=4, minutes=1)


def press(page: Page, name: str | re.Pattern[str]) -> None:
    page.get_by_role("button", name=name).first.click()


def follow(page: Page, name: str | re.Pattern[str]) -> None:
    page.get_by_role("link", name=name).first.click()


def the_message() -> Message:
    return db.session.scalars(select(Message)).one()


def inboxes() -> list[tuple[str, str]]:
    """Who has got something, with what in the subject."""
    return [
        (one.address, one.content.subject)
        for one in db.session.scalars(select(MailboxMessage))
        if one.content.subject in (A, B)
    ]


def one_request() -> None:
    """A worker takes one chunk to the provider and is called away. Letters to the team go first."""
    mail.work(bulk=False, seconds=5)
    (claimed,) = mail.claim(mail.new_owner(), 1, bulk=True)
    assert mail.deliver(claimed)
    db.session.expire_all()


def hours_pass() -> None:
    """What the beat and the workers do by the time the test is over. The database's own clock
    does not move: the rest is due by it, too."""
    message, today = the_message(), clock.now()
    with time_machine.travel(today + TEST, tick=False):
        beat()
        freeze(message)
        rest = update(Chunk).where(Chunk.batch_id == message.batch_id)
        db.session.execute(rest.values(next_attempt_at=today))
        deliver()
        beat()


def test_from_a_template_to_the_report(live: Live, visit: Callable[..., Page]) -> None:
    live.app.extensions["settings"] = replace(live.app.extensions["settings"], mail_batch_size=4)
    with live.rows():
        organization = make_organization(name="STOP", second_look_above=10)
        for role, name in ((Role.ORGANIZER, "marta"), (Role.OWNER, "ana")):
            make_member(
                organization,
                role,
                name=name.title(),
                email=f"{name}@stop.example",
                password=PASSWORD,
            )
        make_readers(organization, 40, "Neighbors")

    page = visit()
    log_in(page, live.url, "marta@stop.example", PASSWORD)
    page.goto(f"{live.url}/organize/mailings/templates/")
    follow(page, "New template")
    page.fill("[name=name]", "Spring")
    page.fill("[name=header]", "From the neighbors of the clinic")
    press(page, "Save template")

    page.goto(f"{live.url}/organize/mailings/new")
    page.fill("[name=subject]", A)
    page.fill("[name=body]", "Hello {{ first_name|neighbor }},\n\n[Look](https://example.org/look)")
    page.select_option("[name=template_id]", label="Spring")
    page.locator("#compose button[value=on]").click()
    page.get_by_label("Write to Neighbors").check()
    expect(page.locator("#reach")).to_contain_text("40 people will get it")
    page.locator("#audience button[value=on]").click()
    follow(page, re.compile("Try two versions"))
    press(page, "Try two versions")
    page.fill("[name=b_subject]", B)
    for field, value in {"size": "50", "hours": "4"}.items():
        page.fill(f"[name={field}]", value)
    page.select_option("[name=measure]", "clicks")
    press(page, "Save and check")
    expect(page.locator("main")).to_contain_text("20 people test 2 versions, in groups of 10.")
    follow(page, "Go on to send")
    expect(page.get_by_role("button", name="Begin the test now")).to_have_count(0)
    press(page, "Ask for a second look")
    send_page = page.url

    second = visit()
    log_in(second, live.url, "ana@stop.example", PASSWORD)
    follow(second, re.compile(re.escape(A)))
    expect(second.locator("main")).to_contain_text("Marta asks you to read it.")
    press(second, "I have read it: it may go out")

    page.goto(send_page)
    expect(page.locator("main")).to_contain_text("Ana read it as it is now and agreed")
    press(page, "Begin the test now")
    with live.rows():
        assert the_message().state == MessageState.SCHEDULED
        beat()
        freeze(the_message())
        one_request()
        got = inboxes()
        assert len(got) == 4
    page.reload()
    expect(page.locator("#progress")).to_contain_text("4 of 20")
    press(page, "Pause")
    expect(page.locator("#progress .warn")).to_contain_text("16 people who wait")
    with live.rows():
        deliver()
        beat()
        assert inboxes() == got, "paused is paused"
    press(page, "Go on")
    with live.rows():
        deliver()
        assert Counter(subject for _to, subject in inboxes()) == {A: 10, B: 10}
        click(the_message(), "b", 30)
    page.goto("about:blank")  # hours of quiet end a log-in
    with live.rows():
        hours_pass()

    with live.rows():
        message, got = the_message(), inboxes()
        assert message.contest is not None
        assert (message.state, message.contest.state) == (MessageState.SENT, ContestState.OVER)
        assert message.contest.verdict == Verdict.CLEAR
        assert variant(message, "b").state == VariantState.WON
        assert Counter(subject for _to, subject in got) == {A: 10, B: 30}
        assert len({to for to, _subject in got}) == 40, "nobody gets two"
        assert {letter: len(people) for letter, people in groups(message).items()} == {
            "a": 10,
            "b": 10,
            "": 20,
        }
        assert all("From the neighbors of the clinic" in one.text for one in outbox(kind="mailing"))
    page.goto(f"{live.url}/organize/mailings/")
    follow(page, A)
    facts = page.locator(".facts").first
    expect(facts).to_contain_text("40")
    versions = page.locator("section[aria-labelledby=variants]")
    expect(versions.get_by_role("row")).to_have_count(4)
    expect(versions.get_by_role("row").nth(2)).to_contain_text("30")
    follow(page, "On its way")
    expect(page.locator("#standing")).to_contain_text("Version B did better than the others")
    follow(page, "Report")
    with page.expect_download() as waiting:
        follow(page, re.compile("XLSX"))
    assert waiting.value.suggested_filename.endswith(".xlsx")
