"""What the tests of answering share: a form filled in as a person would, and the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from werkzeug.test import TestResponse

from campaign import clock
from campaign.events import queries, tasks
from tests.conftest import Client
from tests.petitions.conftest import Mail, outbox

__all__ = ["ANA", "Answer", "Mail", "answer", "outbox"]

ANA: dict[str, Any] = {
    "first_name": "Ana",
    "last_name": "Ruiz",
    "email": "ana@example.org",
    "postal_code": "60637",
}
Answer = Callable[..., TestResponse]


@pytest.fixture
def answer(client: Client) -> Iterator[Answer]:
    """Load the event's page, wait five seconds as a person would, and send the form."""
    with time_machine.travel(clock.now(), tick=True) as travel:

        def send(slug: str, path: str = "", **values: Any) -> TestResponse:
            keywords = {
                name: values.pop(name)
                for name in ("headers", "environ_overrides", "follow_redirects")
                if name in values
            }
            original = client.post
            client.application.extensions["pages"].clear()
            queries.forget_sheets()

            def post_later(*args: Any, **more: Any) -> TestResponse:
                travel.shift(timedelta(seconds=5))
                return original(*args, **more)

            client.post = post_later  # type: ignore[method-assign]
            try:
                sent = client.submit(
                    path or f"/e/{slug}", ANA | values, form=f"/e/{slug}", **keywords
                )
                work_off()
                return sent
            finally:
                client.post = original  # type: ignore[method-assign]

        yield send


def work_off() -> None:
    """As a worker would, right after."""
    tasks.settle_rsvps()
    tasks.work_repeats()
