"""A worker is killed in the middle of a mailing, twice, and Redis forgets everything.

Every recipient has the e-mail exactly once or is listed as unknown. MAILING_SIZE makes the
mailing larger or smaller; 20,000 is what the promise was made for.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Stack, wait_for

pytestmark = [
    pytest.mark.stack,
    pytest.mark.xdist_group("processes"),
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc"),
]

SIZE = int(os.environ.get("MAILING_SIZE", "20000"))
BATCH = 50
SUBJECT = "The council votes on Tuesday"
SENT_STATES = ("accepted", "delivered", "bounced", "complained")


def people(path: Path) -> set[str]:
    """A CSV of invented people; returns their addresses."""
    addresses = [f"person-{number:06}@people.example" for number in range(SIZE)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["first_name", "last_name", "email", "postal_code"])
        writer.writerows(["Ana", f"No{n}", address, "60608"] for n, address in enumerate(addresses))
    return set(addresses)


def status(stack: Stack, message: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.cli("mailings", "status", message))
    return found


def due(stack: Stack) -> int:
    """How many requests of the mailing wait, asked without starting a process for it."""
    found = stack.fetch("/readyz").json()["mail"]["due"]["bulk"]
    return int(found)


def mailed(stack: Stack) -> Counter[str]:
    """How often each address got the message."""
    found: Counter[str] = Counter()
    before = ""
    while True:
        page = stack.fetch(f"/mailbox/messages.json?limit=10000{before}").json()
        found.update(one["to"] for one in page if one["subject"] == SUBJECT)
        if len(page) < 10_000:
            return found
        before = f"&before={page[-1]['id']}"


def sender(stack: Stack) -> str:
    """The program that sends bulk."""
    return "bulk" if "REDIS_URL" in stack.environ else "worker"


def test_nobody_is_mailed_twice_or_forgotten(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    stack = make_stack(
        MAIL_BATCH_SIZE=str(BATCH),
        MAIL_LEASE_SECONDS="5",
        MAIL_UNKNOWN_WINDOW_SECONDS="5",
        MAIL_RATE_PER_SECOND=str(max(100, SIZE // 15)),
    ).start("--demo")
    everybody = people(tmp_path / "people.csv")
    told = stack.cli(
        *("people", "import", str(tmp_path / "people.csv"), "--organization", "stop"),
        *("--basis", "signed on paper at the vigil", "--list", "Vigil"),
    )
    assert f"added {SIZE}" in told
    (tmp_path / "body.md").write_text("Hello {{ first_name|neighbor }},\n\ncome to City Hall.\n")
    message = stack.cli(
        *("mailings", "create", "--organization", "stop", "--subject", SUBJECT),
        *("--body", str(tmp_path / "body.md"), "--list", "Vigil"),
    ).splitlines()[-1]
    sending = stack.cli_meanwhile("mailings", "send", message)
    chunks = SIZE // BATCH
    wait_for(lambda: due(stack) > chunks / 2, "the mailing to begin", seconds=120, every=0.02)
    for share in (0.75, 0.4):
        wait_for(
            lambda share=share: due(stack) < chunks * share,
            "the mailing to go on",
            seconds=90,
            every=0.02,
        )
        assert due(stack) > 0, "it was over before anything could be killed"
        stack.kill(sender(stack))
        if "REDIS_URL" in stack.environ:
            stack.flush_redis()
    assert sending.wait(60) == 0
    wait_for(
        lambda: status(stack, message)["state"] == "sent",
        "the mailing to be over",
        seconds=180,
        every=2,
    )
    final = status(stack, message)
    got = mailed(stack)
    twice = {address: count for address, count in got.items() if count > 1}
    assert twice == {}
    assert set(got) <= everybody
    unknown = final["counts"].get("unknown", 0) + final["counts"].get("unknown_final", 0)
    missing = everybody - set(got)
    assert len(missing) <= unknown, f"{len(missing)} are missing, {unknown} are said to be unknown"
    sent = sum(final["counts"].get(state, 0) for state in SENT_STATES)
    assert sent + unknown == SIZE
    assert sum(final["counts"].values()) == final["total"] == SIZE
    assert sum(final["reasons"].values()) == SIZE - sent
    verdict = json.loads(stack.cli("mail", "verify"))
    assert verdict["ok"] is True
    stack.cli("mailings", "send", message)
    time.sleep(1)
    assert mailed(stack) == got, "sending a sent message again mails nobody"
