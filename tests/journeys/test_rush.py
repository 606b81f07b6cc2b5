"""Two hundred posts of one address at the same moment, in forty spellings: one signature."""

from __future__ import annotations

import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stack import Answer, Stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("journeys")]

PETITION = "/p/keep-our-clinics-open"
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def spellings(name: str) -> list[str]:
    """Forty ways to write one mailbox: dots, capitals, tags, white space, the other domain."""
    dotted = [name, f"{name[:3]}.{name[3:]}", ".".join(name), f"{name[:5]}.{name[5:]}"]
    cased = [one.upper() for one in dotted] + [one.title() for one in dotted]
    locals_ = dotted + cased
    tagged = [f"{one}+clinic" for one in locals_] + [f"{one}+{n}" for n, one in enumerate(dotted)]
    every = [f"{one}@gmail.com" for one in locals_ + tagged]
    every += [f"{one}@GoogleMail.com" for one in dotted]
    every += [f" {one}@Gmail.com " for one in dotted + cased]
    return list(dict.fromkeys(every))[:40]


def shape(answer: Answer) -> tuple[int, str, str]:
    """What a stranger could compare: status, address and body, without the tokens."""
    where = re.sub(r"[\w-]{20,}(\.[\w-]+)*", "…", answer.headers.get("location", ""))
    return answer.status, where, re.sub(r"[\w-]{20,}(\.[\w-]+)*", "…", answer.text)


def test_one_address_in_forty_spellings_is_one_signature(stack: Stack) -> None:
    name = f"rosa{uuid.uuid4().hex[:8]}"
    forty = spellings(name)
    assert len(forty) == 40
    before = stack.fetch(f"{PETITION}.json").json()["total"]
    found = TOKEN.search(stack.fetch(PETITION).text)
    assert found is not None
    time.sleep(4)  # as long as a person needs at least

    def post(number: int) -> Answer:
        return stack.fetch(
            PETITION,
            data={
                "csrf_token": found[1],
                "first_name": "Rosa",
                "last_name": "Villanueva",
                "email": forty[number % 40],
                "postal_code": "60608",
                "display": "hidden",
            },
        )

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(200)))
    assert {answer.status for answer in answers} == {303}
    assert len({shape(answer) for answer in answers}) == 1, "the answers tell nothing apart"

    def letters() -> list[dict[str, object]]:
        sent = stack.mailbox(limit=1000)
        return [one for one in sent if name in str(one["to"]).lower().replace(".", "")]

    wait_for(letters, "the confirmation", seconds=30)
    time.sleep(3)
    assert 1 <= len(letters()) <= 3, "at most three e-mails a day to one address"
    links = {str(link) for one in letters() for link in one["links"] if "/confirm/" in str(link)}
    assert links
    for link in sorted(links) * 2:
        page = stack.fetch(link)
        token = TOKEN.search(page.text)
        if page.status == 200 and token is not None:
            stack.fetch(link.split("?")[0], data={"csrf_token": token[1]})
    wait_for(
        lambda: stack.fetch(f"{PETITION}.json").json()["total"] == before + 1, "the count to rise"
    )
    time.sleep(2)
    assert stack.fetch(f"{PETITION}.json").json()["total"] == before + 1
