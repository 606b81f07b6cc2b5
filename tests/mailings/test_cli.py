"""`campaign mailings create`, `send`, `status`: what programs rely on."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from campaign.db import db, uuid7
from campaign.mailings import queries
from campaign.mailings.models import Message
from campaign.organizations.models import Organization
from tests.factories.lists import make_list, make_segment
from tests.factories.mailings import make_message, make_reader, make_readers, to_list
from tests.factories.organizations import make_organization
from tests.factories.outbox import outbox


@pytest.fixture
def run(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Any:
    from campaign.mail import delivery
    from campaign.mailings import cli

    # The test's transaction lives on one connection: the sending is done between two looks.
    monkeypatch.setattr(cli, "_lane", lambda _app, _over: None)
    monkeypatch.setattr(cli.time, "sleep", lambda _seconds: delivery.work(bulk=True, seconds=30))

    def run(*arguments: str, input: str | None = None) -> Result:
        result = app.test_cli_runner().invoke(args=["mailings", *arguments], input=input)
        db.session.rollback()
        db.session.expire_all()
        return result

    return run


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization(slug="stop")


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "letter.md"
    path.write_text("Dear {{ first_name|friend }},\n\n[Look](https://a.example)\n", "utf-8")
    return path


def create(run: Any, body: Path, *more: str) -> Result:
    result: Result = run(
        "create", "--organization", "stop", "--subject", "Come", "--body", str(body), *more
    )
    return result


def status(run: Any, message_id: str) -> dict[str, Any]:
    result = run("status", message_id)
    assert result.exit_code == 0
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_create_prints_the_id_alone_on_its_last_line(
    run: Any, organization: Organization, body: Path
) -> None:
    make_readers(organization, 2, name="Woodlawn clinic")
    result = create(run, body, "--list", "woodlawn CLINIC")
    assert result.exit_code == 0, result.output
    message = db.session.get_one(Message, uuid.UUID(result.stdout.splitlines()[-1]))
    assert message.organization_id == organization.id
    assert message.body.startswith("Dear {{ first_name|friend }}")
    assert message.state == "draft"


def test_send_wait_status_and_send_again(run: Any, organization: Organization, body: Path) -> None:
    readers = [make_reader(organization, first_name=f"R{n}") for n in range(3)]
    stranger = make_reader(organization, consents=False)
    make_list(organization, [*readers, stranger], name="All")
    message_id = create(run, body, "--list", "All").stdout.strip()
    assert status(run, message_id)["state"] == "draft"
    sent = run("send", message_id, "--wait")
    assert sent.exit_code == 0, sent.output
    answer = status(run, message_id)
    assert (answer["id"], answer["state"]) == (message_id, "sent")
    assert (answer["total"], answer["recipients"]) == (4, 3)
    assert answer["counts"] == {"accepted": 3, "suppressed": 1}
    assert answer["reasons"] == {"no_consent": 1}
    assert sum(answer["counts"].values()) == answer["total"]
    assert sum(answer["reasons"].values()) == answer["total"] - answer["counts"]["accepted"]
    again = run("send", message_id, "--wait")
    assert again.exit_code == 0
    assert "nobody is mailed again" in again.stderr
    assert len(outbox(kind="mailing")) == 3
    assert status(run, message_id) == answer


def test_send_without_wait_freezes_and_leaves_the_rest_to_workers(
    run: Any, organization: Organization, body: Path
) -> None:
    make_readers(organization, 2, name="All")
    message_id = create(run, body, "--list", "All").stdout.strip()
    result = run("send", message_id)
    assert result.exit_code == 0
    answer = status(run, message_id)
    assert (answer["state"], answer["counts"]) == ("sending", {"queued": 2})


def test_a_segment_and_a_body_from_standard_input(run: Any, organization: Organization) -> None:
    make_reader(organization)
    make_segment(organization, name="Everybody")
    result = run(
        "create",
        *("--organization", "stop", "--subject", "Hi", "--body", "-", "--segment", "everybody"),
        input="\ufeffHello\r\nthere [x](https://a.example)",
    )
    message = db.session.get_one(Message, uuid.UUID(result.stdout.strip()))
    assert message.body == "Hello\nthere [x](https://a.example)"
    assert queries.reach(organization.id, message.chosen).included == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--list", "Nobody knows"), 1, "no list called 'Nobody knows'"),
        (("--segment", "Nobody knows"), 1, "no segment called"),
        ((), 2, "--list NAME or --segment NAME"),
    ],
)
def test_create_says_what_is_wrong(
    run: Any,
    organization: Organization,
    body: Path,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    make_readers(make_organization(), 1, name="Nobody knows")  # somebody else's
    result = create(run, body, *arguments)
    assert result.exit_code == code
    assert words in result.stderr


@pytest.mark.parametrize(
    ("subject", "text", "words"),
    [
        ("Come", "Dear {{ nickname }}", "nickname"),
        ("Come", "nul \x00", "body"),
        ("Come\nBcc: x@y.example", "text", "subject"),
        ("x" * 201, "text", "under 200"),
        ("Come", "x" * 100_001, "under 100000"),
        ("Come", " \n ", "nothing in it"),
        (" ", "text", "nothing in it"),
    ],
)
def test_create_refuses_what_cannot_be_sent(
    run: Any, organization: Organization, tmp_path: Path, subject: str, text: str, words: str
) -> None:
    make_readers(organization, 1, name="All")
    path = tmp_path / "bad.md"
    path.write_text(text, "utf-8")
    result = run(
        *("create", "--organization", "stop", "--subject", subject),
        *("--body", str(path), "--list", "All"),
    )
    assert result.exit_code == 1
    assert words in result.stderr


def test_a_body_that_is_no_text(run: Any, organization: Organization, tmp_path: Path) -> None:
    make_readers(organization, 1, name="All")
    path = tmp_path / "bad.md"
    path.write_bytes(b"\xff\xfe\x00caf\xe9")
    result = create(run, path, "--list", "All")
    assert result.exit_code == 1
    assert "not UTF-8" in result.stderr


def test_wrong_use_is_2_and_unknown_is_1(run: Any, organization: Organization, body: Path) -> None:
    assert run("send", "no-id").exit_code == 2
    assert run("status", "no-id").exit_code == 2
    assert run("send", str(uuid7())).exit_code == 1
    assert run("status", str(uuid7())).exit_code == 1
    nowhere = run("create", "--organization", "x", "--subject", "x", "--body", str(body))
    assert nowhere.exit_code == 2
    missing = create(run, body.with_name("missing"), "--list", "x")
    assert missing.exit_code == 2


def test_a_stopped_or_paused_message_is_not_sent(run: Any, organization: Organization) -> None:
    from campaign.mailings import services
    from tests.factories.mailings import freeze

    for step, words in (
        (services.pause_message, "paused"),
        (services.stop_message, "stopped for good"),
    ):
        message = make_message(organization, to_list(make_readers(organization, 1)))
        services.send_message(message)
        db.session.commit()
        freeze(message)
        step(message, user_id=uuid7())
        db.session.commit()
        result = run("send", str(message.id), "--wait")
        assert result.exit_code == 1
        assert words in result.stderr
    assert "accepted" not in queries.progress(message).counts


@pytest.mark.parametrize("command", ["create", "send", "status"])
def test_help_shows_an_example(run: Any, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert re.search(rf"Example:\s+campaign\s+mailings\s+{command}", result.stdout)
