"""The main job, as people do it: from a signature on a phone to a sent e-mail and an export."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browsers import axe, fits, log_in
from tests.stack import Stack, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.xdist_group("journeys")]

PETITION = "/p/keep-our-clinics-open"
ORGANIZER = ("organizer@stop.example", "knock-on-every-door")
OWNER = ("owner@stop.example", "open-the-front-door")
PARTNER = ("partner@afscme-31.example", "stand-side-by-side")
ONE_CLICK = {"Content-Type": "application/x-www-form-urlencoded"}


def new_address() -> str:
    return f"rosa-{uuid.uuid4().hex[:10]}@example.org"


def total(stack: Stack) -> int:
    return int(stack.fetch(f"{PETITION}.json").json()["total"])


def sign(page: Page, stack: Stack, email: str, *, agree: tuple[str, ...] = ()) -> None:
    """Fill the petition's form in and send it."""
    page.goto(stack.url + PETITION)
    page.fill("[name=first_name]", "Rosa")
    page.fill("[name=last_name]", "Villanueva")
    page.fill("[name=email]", email)
    page.fill("[name=postal_code]", "60608")
    for slug in agree:
        page.check(f"[name=consent-{slug}]")
    page.click("form:has([name=postal_code]) button[type=submit]")
    page.wait_for_url(re.compile(r"/thanks"))


def link_in(message: dict[str, Any], part: str) -> str:
    """The first link of an e-mail that holds `part`."""
    return next(link for link in message["links"] if part in link)


def confirm(page: Page, stack: Stack, email: str) -> None:
    """Follow the link of the e-mail and press the button."""
    page.goto(link_in(stack.wait_for_mail(email), "/confirm/"))
    page.locator("form[action*='/confirm/'] button[type=submit]").first.click()
    page.wait_for_load_state()
    expect(page.locator("h1")).to_contain_text("Rosa")


def sign_and_confirm(
    visit: Callable[..., Page], stack: Stack, *agree: str, script: bool = False
) -> str:
    email = new_address()
    page = visit(phone=True, script=script)
    sign(page, stack, email, agree=agree)
    confirm(page, stack, email)
    return email


def test_a_signature_on_a_phone_without_javascript_counts_once_confirmed(
    stack: Stack, visit: Callable[..., Page]
) -> None:
    before = total(stack)
    email = new_address()
    page = visit(phone=True, script=False)
    sign(page, stack, email, agree=("stop", "afscme-31"))
    assert page.context.cookies() == []
    message = stack.wait_for_mail(email)
    for word in ("clinic", "health", "mental", "illness"):
        assert word not in message["subject"].lower()
    link = link_in(message, "/confirm/")
    page.goto(link)
    page.goto(link)
    assert total(stack) == before, "opening the link counts nothing"
    confirm(page, stack, email)
    wait_for(lambda: total(stack) == before + 1, "the count to rise by one", seconds=15)
    page.goto(link)
    assert total(stack) == before + 1


def test_an_organizer_writes_to_signers_and_one_leaves_by_one_click(
    stack: Stack, visit: Callable[..., Page]
) -> None:
    stays = sign_and_confirm(visit, stack, "stop")
    leaves = sign_and_confirm(visit, stack, "stop")
    silent = sign_and_confirm(visit, stack)
    subject = f"Council votes on Tuesday {uuid.uuid4().hex[:6]}"
    page = visit()
    log_in(page, stack.url, *ORGANIZER)
    write_to_signers(page, stack, subject)
    expect(page.locator("#progress, .facts")).to_be_visible()
    wait_for(
        lambda: stack.mailbox(leaves)[0]["subject"] == subject, "the mailing to arrive", seconds=60
    )
    expect(page.locator(".facts")).to_contain_text("taken by their mail service", timeout=30_000)
    read = stack.mailbox(stays)[0]
    assert read["subject"] == subject
    assert "Hello Rosa" in read["text"]
    assert silent not in {
        one["to"] for one in stack.mailbox(limit=2000) if one["subject"] == subject
    }
    one_click(stack, leaves)
    second = f"And again {uuid.uuid4().hex[:6]}"
    write_to_signers(page, stack, second)
    wait_for(lambda: stack.mailbox(stays)[0]["subject"] == second, "the second mailing", seconds=60)
    assert stack.mailbox(leaves)[0]["subject"] == subject, "who has unsubscribed gets no more"


def test_a_ladder_thanks_whoever_signs_from_now_on(
    stack: Stack, visit: Callable[..., Page]
) -> None:
    subject = f"Thank you {uuid.uuid4().hex[:6]}"
    page = visit(script=False)
    log_in(page, stack.url, *ORGANIZER)
    page.goto(f"{stack.url}/organize/ladders/new")
    page.fill("[name=name]", subject)
    page.select_option("[name=trigger]", "signed")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Write the first step").click()
    page.get_by_role("link", name="Send an email").click()
    page.fill("[name=subject_en]", subject)
    page.fill("[name=body_en]", "Hello {{ first_name|neighbor }}")
    page.get_by_role("button", name="Add the step").click()
    page.get_by_role("button", name="Switch on").click()
    agrees = sign_and_confirm(visit, stack, "stop")
    silent = sign_and_confirm(visit, stack)
    wait_for(
        lambda: stack.mailbox(agrees)[0]["subject"] == subject, "the email to arrive", seconds=90
    )
    assert "Hello Rosa" in stack.mailbox(agrees)[0]["text"]
    assert subject not in {one["subject"] for one in stack.mailbox(silent)}

    def is_quiet() -> bool:
        page.reload()
        return "Nobody at the moment." in page.content()

    wait_for(is_quiet, "everybody to be through", seconds=90)
    expect(page.locator(".rungs")).to_contain_text("sent to 1")
    page.get_by_role("button", name="Switch off").click()  # or it thanks those of other tests


def write_to_signers(page: Page, stack: Stack, subject: str) -> None:
    """Compose, choose everybody who signed, check, send; stays on the report."""
    page.goto(f"{stack.url}/organize/mailings/new")
    page.fill("[name=subject]", subject)
    page.fill("[name=body]", "Hello {{ first_name|neighbor }},\n\ncome to **City Hall**.")
    page.locator("#compose button[value=on]").click()
    page.locator("input[name=include][value^=petition]").first.check()
    expect(page.locator("#reach")).to_contain_text(re.compile(r"\d"))
    page.locator("#audience button[value=on]").click()
    page.get_by_role("link", name="Go on to send").click()
    page.get_by_role("button", name=re.compile(r"^Send to ")).click()
    page.wait_for_url(re.compile(r"/organize/mailings/[0-9a-f-]{36}$"))


def one_click(stack: Stack, email: str) -> None:
    """Unsubscribe as a mail program does (RFC 8058): no cookie, no token, that body alone."""
    headers = stack.mailbox(email)[0]["headers"]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = headers["List-Unsubscribe"].strip("<>")
    for _ in range(2):
        answer = stack.fetch(address, data=b"List-Unsubscribe=One-Click", headers=ONE_CLICK)
        assert answer.status == 200
        assert "Set-Cookie" not in answer.headers


def test_a_partner_exports_exactly_those_who_agreed(
    stack: Stack, visit: Callable[..., Page], tmp_path: Path
) -> None:
    agreed = sign_and_confirm(visit, stack, "stop", "afscme-31")
    other = sign_and_confirm(visit, stack, "stop", "nurses")
    page = visit()
    log_in(page, stack.url, *PARTNER)
    page.goto(f"{stack.url}/partner/")
    assert other not in page.content()
    page.get_by_role("link", name="Export the people who agreed").first.click()
    page.fill("[name=reason]", "Invitation to our members' meeting")
    page.locator("form:has([name=reason]) button[type=submit]").click()
    link = page.get_by_role("link", name="Download the file")
    expect(link).to_be_visible(timeout=30_000)
    with page.expect_download() as waiting:
        link.click()
    path = tmp_path / "export.csv"
    waiting.value.save_as(path)
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    exported = {row["email"] for row in rows}
    assert len(exported) == len(rows)
    assert agreed in exported
    assert other not in exported
    said = stack.cli(
        "people", "export", "--organization", "stop", "--partner", "afscme-31", "--format", "jsonl"
    )
    told = {
        address["address"]
        for line in said.splitlines()
        for address in json.loads(line)["email_addresses"]
    }
    assert exported == told


def test_the_first_wrong_field_has_the_focus_and_what_was_typed_is_kept(
    stack: Stack, visit: Callable[..., Page]
) -> None:
    page = visit(phone=True)
    page.goto(stack.url + PETITION)
    page.fill("[name=first_name]", "Rosa")
    page.fill("[name=last_name]", "Villa\u202enueva")
    page.fill("[name=email]", "rosa")
    page.check("[name=consent-nurses]")
    page.locator(".sign form button[type=submit]").click()
    expect(page.locator("#last_name")).to_be_focused()
    expect(page.locator("#last_name-error")).to_be_in_viewport()
    expect(page.locator("#first_name")).to_have_value("Rosa")
    expect(page.locator("#consent-nurses")).to_be_checked()
    first, last = page.evaluate(  # in one moment: the page may still be scrolling
        "['first_name', 'last_name'].map(id => document.getElementById(id).getBoundingClientRect().y)"
    )
    assert last > first, "a long message has the whole width"
    page.locator("#errors a[href='#email']").click()
    expect(page.locator("#email")).to_be_focused()


PUBLIC = ["/", "/c/keep-our-clinics", PETITION, f"{PETITION}?lang=es", "/privacy", "/login"]


@pytest.mark.parametrize("path", PUBLIC)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_public_pages_are_accessible_and_fit_a_phone(
    stack: Stack, visit: Callable[..., Page], path: str, dark: bool
) -> None:
    page = visit(phone=True, dark=dark)
    page.goto(stack.url + path)
    assert axe(page) == []
    assert fits(page)


FILE = re.compile(r"(/file|\.(csv|xlsx|pdf|txt|ics))(\?|$)")


def kind_of(path: str) -> str:
    """A path without its ids: one page of each kind is looked at."""
    return re.sub(
        r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", path.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0]
    )


def look_at(page: Page) -> list[str]:
    """What is wrong with a page, at a desk by day and on a phone by night."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    complaints = axe(page) + ([] if fits(page) else ["too wide at 1280"])
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    return complaints + axe(page) + ([] if fits(page) else ["too wide at 390"])


@pytest.mark.parametrize(
    ("who", "start", "least"),
    [(OWNER, "/organize/", 75), (PARTNER, "/partner/", 4)],
    ids=["owner", "partner"],
)
def test_every_page_of_the_console_is_accessible_and_fits(
    stack: Stack, visit: Callable[..., Page], who: tuple[str, str], start: str, least: int
) -> None:
    page = visit()
    log_in(page, stack.url, *who)
    found = {kind_of(start): start}
    wrong: dict[str, list[str]] = {}
    done = 0
    while done < len(found):
        kind, path = list(found.items())[done]
        done += 1
        answer = page.goto(stack.url + path)
        assert answer is not None
        assert answer.status == 200, path
        links = page.locator("a[href^='/']:not([download]):not([target])")
        # All at once: a page that brings itself up to date changes between two questions.
        for target in links.evaluate_all("all => all.map(link => link.getAttribute('href'))"):
            if re.match(r"/(organize|partner)/", target) and not FILE.search(target):
                found.setdefault(kind_of(target), target)
        complaints = look_at(page)
        if complaints:
            wrong[kind] = complaints
    assert wrong == {}
    assert len(found) >= least


def test_the_petition_page_weighs_less_than_60_kb_and_sets_no_cookie(
    stack: Stack, visit: Callable[..., Page]
) -> None:
    page = visit(phone=True)
    sizes: dict[str, int] = {}

    def weigh(response: Any) -> None:
        size = response.request.sizes()
        sizes[response.url] = size["responseBodySize"] + size["responseHeadersSize"]

    page.on("response", weigh)
    page.goto(stack.url + PETITION)
    page.wait_for_load_state("networkidle")
    assert page.context.cookies() == []
    assert sum(sizes.values()) < 60 * 1024, sizes


def test_a_spanish_speaker_signs_in_spanish(stack: Stack, visit: Callable[..., Page]) -> None:
    email = new_address()
    page = visit(phone=True, script=False, locale="es-MX")
    sign(page, stack, email)
    assert page.locator("html").get_attribute("lang") == "es"
    message = stack.wait_for_mail(email)
    page.goto(link_in(message, "/confirm/"))
    assert page.locator("html").get_attribute("lang") == "es"
