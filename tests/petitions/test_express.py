"""The express desk: what it takes, what it leaves to the view, and that nobody can tell which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Never
from urllib.parse import quote, urlencode

import pytest
import time_machine
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from werkzeug.formparser import parse_form_data
from werkzeug.test import EnvironBuilder, TestResponse

from campaign import clock
from campaign.campaigns import boxes
from campaign.db import db
from campaign.people.models import ConsentWording
from campaign.petitions import newcomers, queries, services
from campaign.petitions.forms import SignForm, plain_details
from campaign.petitions.models import Petition, Signature, SignatureState
from campaign.petitions.views import express
from campaign.web.posts import MOST_BYTES, fields_of
from tests.conftest import Client
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.pages import read
from tests.factories.petitions import make_petition, make_signature
from tests.petitions.conftest import ANA, outbox

PASSED = ("headers", "content_type")
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What the desk said about each post that came to it: the answer's address, or None."""
    said: list[str | None] = []
    original = express._sign

    def spy(*arguments: Any) -> str | None:
        said.append(original(*arguments))
        return said[-1]

    monkeypatch.setattr(express, "_sign", spy)
    return said


class Post:
    """A visitor who has the petition's form open; the first post with it goes through the view."""

    def __init__(self, client: Client, petition: Petition) -> None:
        self.client, self.path = client, f"/p/{petition.slug}"
        page = read(client.get(self.path))
        form = next(form for form in page.forms if form["action"].startswith(self.path))
        self.fields = {**dict(form["fields"]), **ANA}

    def __call__(self, *, query: str = "", body: bytes | None = None, **values: Any) -> Any:
        if values.pop("has_cookie", False):
            self.client.set_cookie("a", "b")
        options = {name: values.pop(name) for name in PASSED if name in values}
        return self.client.post(
            f"{self.path}{query}",
            data=urlencode(self.fields | values) if body is None else body,
            **({"content_type": FORM} | options),
        )


@pytest.fixture
def petition() -> Petition:
    campaign = make_campaign()
    make_partner(campaign)
    made = make_petition(campaign)
    db.session.commit()
    return made


@pytest.fixture
def post(client: Client, petition: Petition) -> Iterator[Post]:
    with time_machine.travel(clock.now(), tick=True) as travel:
        found = Post(client, petition)
        travel.shift(timedelta(seconds=5))
        assert found(email="first@example.org").status_code == 303
        yield found


def told(answer: TestResponse) -> tuple[Any, ...]:
    """All that an answer tells, without the number of the request."""
    headers = [pair for pair in answer.headers if pair[0] != "X-Request-Id"]
    return answer.status, headers, answer.data


def fail(*_: object) -> Never:
    raise OperationalError("", {}, Exception("the disk is full"))


def row_of(email: str) -> Signature:
    return db.session.scalars(select(Signature).where(Signature.email == email)).one()


def test_takes_an_ordinary_post_and_answers_as_the_view_does(
    post: Post, taken: list[str | None]
) -> None:
    boxes = {f"consent-{box.slug}": "1" for box in queries.sheet(post.path[3:]).boxes}
    by_desk = post(email="desk@example.org", source="flyer", **boxes)
    assert taken == [f"{post.path}/thanks"]
    by_view = post(email="view@example.org", source="flyer", has_cookie=True, **boxes)
    assert len(taken) == 1
    assert told(by_desk) == told(by_view)
    assert by_desk.headers["X-Request-Id"] != by_view.headers["X-Request-Id"]
    one, other = row_of("view@example.org"), row_of("desk@example.org")
    own = {"id", "email", "address_hash", "referral_code", "token_hash", "created_at", "expires_at"}
    for column in Signature.__table__.columns.keys():  # noqa: SIM118 - no mapping
        assert (getattr(one, column) == getattr(other, column)) is (column not in own), column
    assert len(one.wordings) == 2
    assert len(outbox("desk@example.org")) == 1


def test_a_crowd_does_not_ask_again_for_words_that_its_first_has_settled(
    post: Post, taken: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticked = {f"consent-{box.slug}": "1" for box in queries.sheet(post.path[3:]).boxes}
    assert len(ticked) == 2
    db.session.commit()  # a request's work is not inside the test's own
    asked: list[str] = []
    original = boxes.people.wording_for

    def spy(*arguments: Any, **more: Any) -> ConsentWording:
        asked.append(more["text"])
        return original(*arguments, **more)

    monkeypatch.setattr(boxes.people, "wording_for", spy)
    with monkeypatch.context() as broken:
        broken.setattr(newcomers, "add", fail)
        assert post(email="unlucky@example.org", **ticked).status_code == 503
    assert len(asked) == 2
    assert post(email="second@example.org", **ticked).status_code == 303
    assert len(asked) == 4, "what was taken back with the failed post is not remembered"
    assert post(email="next@example.org", **ticked).status_code == 303
    assert len(asked) == 4
    assert len(row_of("next@example.org").wordings) == 2


@pytest.mark.parametrize("state", [None, *SignatureState])
def test_answers_alike_whoever_has_signed(
    post: Post, petition: Petition, taken: list[str | None], state: str | None
) -> None:
    if state is not None:
        make_signature(petition, state, email="ana@example.org")
        db.session.commit()
    fresh = post(email="fresh@example.org")
    known = post(email="ana@example.org")
    assert told(known) == told(fresh)
    assert len(taken) == 2
    assert None not in taken


def test_answers_alike_over_the_limit(post: Post, taken: list[str | None], app: Flask) -> None:
    within = post(email="one@example.org")
    app.extensions["limiter"].reset()
    limit = app.extensions["settings"].sign_limit_per_petition
    assert app.extensions["limiter"].hit(
        f"{limit} per minute", "sign", db.session.scalars(select(Petition.id)).one().hex, cost=limit
    )
    post.client.environ_base["REMOTE_ADDR"] = "198.51.100.7"  # this machine is not limited
    over = post(email="two@example.org")
    assert told(over) == told(within)
    assert len(taken) == 2
    assert None not in taken


@pytest.mark.parametrize(
    ("query", "language", "accepted"),
    [("", "es", "en"), ("?lang=es", "en", "en"), ("", "es", "es"), ("", "", "es-MX,es;q=0.9")],
)
def test_keeps_the_language_as_the_view_does(
    post: Post, taken: list[str | None], query: str, language: str, accepted: str
) -> None:
    headers = {"Accept-Language": accepted}
    by_desk = post(query=query, language=language, email="d@example.org", headers=headers)
    assert len(taken) == 1
    assert taken[0] is not None
    by_view = post(
        query=query,
        language=language,
        email="v@example.org",
        headers=headers,
        has_cookie=True,
    )
    assert told(by_desk) == told(by_view)
    assert row_of("d@example.org").language == row_of("v@example.org").language == "es"


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"first_name": ""}, 400),
        ({"email": "nobody"}, 400),
        ({"email": ""}, 303),
        ({"postal_code": "SW1A 1AA"}, 303),
        ({"first_name": "李"}, 303),
        ({"comment": "It is the only one on our side of town."}, 303),
        ({"website": "https://spam.example"}, 303),
        ({"csrf_token": "forged"}, 400),
        ({"csrf_token": ""}, 400),
        ({"display": "everything"}, 400),
        ({"query": "?source=flyer"}, 303),
        ({"has_cookie": True}, 303),
        ({"headers": {"X-CSRF-Token": "forged"}}, 400),
        ({"body": b"x=" + b"y" * MOST_BYTES}, 400),
        ({"body": b"first_name=%ff"}, 400),
        ({"content_type": "text/plain"}, 400),
    ],
)
def test_leaves_to_the_view_what_is_not_ordinary(
    post: Post, taken: list[str | None], values: dict[str, Any], status: int
) -> None:
    assert post(**values).status_code == status
    assert taken in ([], [None])


def test_leaves_a_closed_petition_and_an_old_form_to_the_view(
    post: Post, petition: Petition, taken: list[str | None]
) -> None:
    with time_machine.travel(clock.now() + timedelta(hours=25)):
        assert post(email="late@example.org").status_code == 400
    petition.close(clock.now())
    db.session.commit()
    queries.forget_sheets()
    assert post(email="late@example.org").status_code == 410
    assert taken == [None, None]


def test_an_unknown_petition_is_not_found(
    post: Post, client: Client, taken: list[str | None]
) -> None:
    post.path = "/p/no-such-petition"
    assert post().status_code == 404
    assert taken == []  # it raised


@pytest.mark.parametrize(
    ("error", "status"),
    [(OperationalError("INSERT", {}, Exception("gone")), 503), (RuntimeError("broken"), 500)],
)
def test_an_error_becomes_the_page_it_always_becomes(
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    app: Flask,
    taken: list[str | None],
    error: Exception,
    status: int,
) -> None:
    calls = []

    def fail(*_: Any) -> None:
        calls.append(1)
        raise error

    monkeypatch.setattr(services, "sign_petition", fail)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    answer = post(email="desk@example.org")
    assert answer.status_code == status
    assert "text/html" in answer.headers["Content-Type"]
    assert len(calls) == 1, "what failed at the desk is not tried again"


def test_changed_words_of_a_box_are_shown_again(post: Post, taken: list[str | None]) -> None:
    box = queries.sheet(post.path[3:]).boxes[0].field
    answer = post(email="desk@example.org", **{box: "0123456789abcdef"[: boxes.MARK_LENGTH]})
    assert answer.status_code == 400
    assert "These words have changed" in answer.get_data(as_text=True)
    assert taken == []


def test_is_counted_as_a_request(post: Post, taken: list[str | None], client: Client) -> None:
    def count() -> float:
        text = client.get("/metrics").get_data(as_text=True)
        lines = [line for line in text.splitlines() if "requests_total" in line]
        return sum(float(line.split()[-1]) for line in lines if 'petitions.sign"' in line)

    before = count()
    post(email="desk@example.org")
    assert taken != []
    assert count() == before + 1


def test_takes_nothing_for_a_host_that_flask_has_not_answered(
    post: Post, taken: list[str | None]
) -> None:
    for _ in range(2):
        with suppress(Exception):  # whatever Flask says to it
            post(headers={"Host": "evil.example"})
    assert taken == []


# --- reading -----------------------------------------------------------------------------------

PLAIN = {**ANA, "display": "initial", "language": "en", "source": "a flyer", "ref": "abc_-9"}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"first_name": "María José", "last_name": "O'Brien-Núñez"},
        {"first_name": "J.", "last_name": "de la Cruz"},
        {"first_name": " Ana"},
        {"first_name": "Ana\u0301"},
        {"last_name": "x" * 101},
        {"email": "Ana.Ruiz+tag@EXAMPLE.org"},
        {"email": "a..b@example.org"},
        {"email": "ana@exa_mple.org"},
        {"email": "ana@localhost"},
        {"email": "ana@bücher.example"},
        {"email": "ana@[127.0.0.1]"},
        {"email": "a@b@example.org"},
        {"postal_code": "60637-1234"},
        {"postal_code": "606371234"},
        {"postal_code": "6063"},
        {"postal_code": " 60637 "},
        {"display": "full"},
        {"display": "nonsense"},
        {"display": ""},
        {"language": "es-MX"},
        {"language": "tlh"},
        {"source": "<b>flyer</b>" * 20},
        {"ref": "no code!"},
        {"consent-one": "1", "consent-two": "", "consent-" + "x" * 100: "y" * 100},
        {"phone": "312 555 0142"},
        {"comment": "Because."},
    ],
)
def test_the_desk_reads_what_the_form_reads(
    app: Flask, petition: Petition, changed: dict[str, str]
) -> None:
    values = PLAIN | changed
    sheet = queries.sheet(petition.slug)
    read_here = plain_details(sheet, values, {}, "es", "192.0.2.1")
    with app.test_request_context(
        f"/p/{petition.slug}", method="POST", data=values, headers={"Accept-Language": "es"}
    ):
        form = SignForm.of(sheet)
        if read_here is not None:
            assert form.validate(), form.errors
            assert replace(read_here, signals=[]) == form.details([], "192.0.2.1")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)


@given(
    st.lists(st.tuples(TEXT, TEXT), max_size=12),
    st.booleans(),
)
def test_reads_a_form_as_werkzeug_does(pairs: list[tuple[str, str]], is_loose: bool) -> None:
    loose = (f"{quote(name, safe='%+')}={quote(value, safe='%+=;')}" for name, value in pairs)
    body = "&".join(loose) if is_loose else urlencode(pairs)
    environ = EnvironBuilder(method="POST", data=body, content_type=FORM).get_environ()
    _stream, form, _files = parse_form_data(environ)
    found = fields_of(body.encode())
    assert found is None or found == form.to_dict()


@pytest.mark.parametrize("body", ["a=1&a=2", "a&b=", "&&a=1", "=x", "a=b=c", "a+b=c%20d", "a=%zz"])
def test_reads_odd_forms_as_werkzeug_does(body: str) -> None:
    environ = EnvironBuilder(method="POST", data=body, content_type=FORM).get_environ()
    assert fields_of(body.encode()) == parse_form_data(environ)[1].to_dict()
