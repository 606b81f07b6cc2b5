"""What the tests of petitions share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from campaign import clock
from campaign.db import db
from campaign.mail.models import Content, Delivery
from campaign.petitions import queries, tasks
from tests.conftest import Client

ANA: dict[str, Any] = {
    "first_name": "Ana",
    "last_name": "Ruiz",
    "email": "ana@example.org",
    "postal_code": "60637",
}


@pytest.fixture(autouse=True)
def _nothing_kept(app: Flask) -> None:
    """Pages and sheets of another test are not read in this one."""
    app.extensions["pages"].clear()
    queries.forget_sheets()


Sign = Callable[..., TestResponse]


@pytest.fixture
def sign(client: Client) -> Iterator[Sign]:
    """Load the petition's page, wait five seconds as a person would, and send the form."""
    with time_machine.travel(clock.now(), tick=True) as travel:

        def send(slug: str, path: str = "", **values: Any) -> TestResponse:
            keywords = {
                name: values.pop(name)
                for name in ("headers", "environ_overrides", "follow_redirects")
                if name in values
            }
            original = client.post
            client.application.extensions["pages"].clear()

            def post_later(*args: Any, **more: Any) -> TestResponse:
                travel.shift(timedelta(seconds=5))
                return original(*args, **more)

            client.post = post_later  # type: ignore[method-assign]
            try:
                answer = client.submit(
                    path or f"/p/{slug}", ANA | values, form=f"/p/{slug}", **keywords
                )
                tasks.work_repeats()  # as a worker would, right after
                return answer
            finally:
                client.post = original  # type: ignore[method-assign]

        yield send


class Mail:
    """What is queued for an address, the latest last: subject, text and links filled in."""

    def __init__(self, delivery: Delivery, content: Content) -> None:
        self.to = delivery.address
        self.values: dict[str, str] = dict(delivery.values or {})
        self.subject = content.subject
        self.text = self._fill(content.text)
        self.html = self._fill(content.html)

    def _fill(self, text: str) -> str:
        return re.sub(r"\{\{ (\w+) \}\}", lambda match: self.values[match[1]], text)

    @property
    def links(self) -> list[str]:
        return sorted(
            set(re.findall(r"http://127\.0\.0\.1:8000(/[^\s\"<]*)", self.text + self.html))
        )

    def link(self, kind: str) -> str:
        return next(link for link in self.links if link.startswith(f"/{kind}/"))


def outbox(to: str = "") -> list[Mail]:
    """The e-mails queued, in order."""
    from campaign.mail.models import Chunk

    rows = db.session.execute(
        select(Delivery, Content)
        .join(Chunk, Chunk.id == Delivery.chunk_id)
        .join(Content, Content.id == Chunk.content_id)
        .order_by(Delivery.id)
    )
    return [Mail(*row) for row in rows if not to or row[0].address == to]
