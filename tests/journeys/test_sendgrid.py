"""The same job through a server in SendGrid's shape, with its failures and its signed webhook."""

from __future__ import annotations

import csv
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.factories.sendgrid_server import Fault, SendGridServer
from tests.stack import Stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("processes")]

PETITION = "/p/keep-our-clinics-open"
SIZE = 1200


@pytest.fixture
def server() -> Iterator[SendGridServer]:
    with SendGridServer() as running:
        yield running


@pytest.fixture
def installation(make_stack: Callable[..., Stack], server: SendGridServer) -> Stack:
    return make_stack(
        MAIL_TRANSPORT="sendgrid",
        SENDGRID_API_KEY="SG.test",
        SENDGRID_BASE_URL=server.url,
        SENDGRID_WEBHOOK_PUBLIC_KEY=server.webhook_public_key,
        MAIL_BATCH_SIZE="20",
        MAIL_UNKNOWN_WINDOW_SECONDS="4",
        MAIL_LEASE_SECONDS="10",
    ).start("--demo")


def token_on(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found is not None
    return found[1]


def path_in(text: str, stack: Stack, part: str) -> str:
    """The first address in a text that leads to `part` of the installation."""
    found = re.search(re.escape(stack.url) + rf"({part}[^\s\"<>]+)", text)
    assert found is not None, text
    return found[1].replace("&amp;", "&")


def status(stack: Stack, message: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.cli("mailings", "status", message))
    return found


def test_a_confirmation_arrives_and_counts(installation: Stack, server: SendGridServer) -> None:
    stack = installation
    before = stack.fetch(f"{PETITION}.json").json()["total"]
    email = f"rosa-{uuid.uuid4().hex[:8]}@example.org"
    form = {
        "csrf_token": token_on(stack.fetch(PETITION).text),
        "first_name": "Rosa",
        "last_name": "Villanueva",
        "email": email,
        "postal_code": "60608",
        "display": "hidden",
    }
    assert stack.fetch(PETITION, data=form).status == 303
    letter = wait_for(
        lambda: next((one for one in server.taken if one.to == email), None), "the confirmation"
    )
    assert email not in str(letter.headers)
    path = path_in(letter.text, stack, "/confirm/")
    page = stack.fetch(path)
    assert page.status == 200
    answer = stack.fetch(path.split("?")[0], data={"csrf_token": token_on(page.text)})
    assert answer.status in {200, 302, 303}
    wait_for(
        lambda: stack.fetch(f"{PETITION}.json").json()["total"] == before + 1, "the count to rise"
    )
    events = [server.event(kind, letter.delivery) for kind in ("processed", "delivered")]
    assert server.post_events(stack.url, events) in {200, 202, 204}
    forged = stack.fetch(
        "/webhooks/sendgrid",
        data=json.dumps(events).encode(),
        headers={**server.signed(b"something else"), "Content-Type": "application/json"},
    )
    assert forged.status == 403


def test_a_mailing_survives_every_way_in_which_sendgrid_can_fail(
    installation: Stack, server: SendGridServer, tmp_path: Path
) -> None:
    stack = installation
    everybody = [f"person-{number:05}@people.example" for number in range(SIZE)]
    with (tmp_path / "people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["first_name", "email"])
        writer.writerows(["Ana", address] for address in everybody)
    stack.cli(
        *("people", "import", str(tmp_path / "people.csv"), "--organization", "stop"),
        *("--basis", "signed on paper at the vigil", "--list", "Vigil"),
    )
    (tmp_path / "body.md").write_text("Hello {{ first_name|neighbor }},\n\ncome to City Hall.\n")
    message = stack.cli(
        *("mailings", "create", "--organization", "stop", "--subject", "Tuesday"),
        *("--body", str(tmp_path / "body.md"), "--list", "Vigil"),
    ).splitlines()[-1]
    server.bad_addresses.add(everybody[7])
    server.faults += [
        Fault("429", every=17, times=3, retry_after="1"),
        Fault("500", every=19, times=2),
        Fault("500", every=23, times=1, after=True),
        Fault("drop", every=29, times=1, after=True),
    ]
    stack.cli("mailings", "send", message)

    def told() -> bool:
        """Let the webhook tell what was taken; True once nothing is on its way any more."""
        events = [server.event("delivered", one.delivery) for one in list(server.taken)]
        for start in range(0, len(events), 500):
            assert server.post_events(stack.url, events[start : start + 500]) < 300
        return str(status(stack, message)["state"]) == "sent"

    wait_for(told, "the mailing to be over", seconds=240, every=2)
    final = status(stack, message)
    taken = {one.to for one in server.taken if one.subject == "Tuesday"}
    assert server.duplicates == 0
    assert taken <= set(everybody)
    assert everybody[7] not in taken
    assert final["counts"].get("failed", 0) == 1, "a bad address harms only itself"
    unknown = final["counts"].get("unknown_final", 0) + final["counts"].get("unknown", 0)
    assert len(taken) + unknown + 1 >= SIZE
    assert sum(final["counts"].values()) == SIZE
    stack.cli("mail", "verify")
