"""The codes of results in words."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from campaign.results import rules

STATES: dict[str, tuple[Any, str]] = {
    "delivered": (_l("Delivered"), "good"),
    "accepted": (_l("Taken by their mail service, not confirmed"), "lean"),
    "complained": (_l("Delivered, and marked as spam"), "warm"),
    "soft": (_l("Came back for now"), "leanno"),
    "hard": (_l("Came back for good"), "bad"),
    "failed": (_l("Not taken by the mail service"), "bad"),
    "unknown": (_l("Nobody knows whether it got there"), "plain"),
    "suppressed": (_l("Held back: takes no mail from you"), "plain"),
    "cancelled": (_l("Cancelled"), "plain"),
    "unanswered": (_l("The mail service has not answered yet"), "plain"),
    "waiting": (_l("Waiting to go out"), "plain"),
}
"""In the order of a reader's interest, each with the kind of its color."""
RETURNS: dict[str, Any] = {
    rules.NO_MAILBOX: _l("No such mailbox"),
    rules.OVER_QUOTA: _l("Mailbox full"),
    rules.MAILBOX_OFF: _l("Mailbox switched off"),
    rules.THEIR_SYSTEM: _l("Trouble in their mail system"),
    rules.UNREACHABLE: _l("Their mail server could not be reached"),
    rules.CONTENT: _l("Their filter did not like what it says"),
    rules.POLICY: _l("Refused by their rules, often as spam"),
    rules.OTHER: _l("No reason given"),
}
MEASURES: dict[str, Any] = {
    "sent": _l("Sent"),
    "delivered": _l("Delivered"),
    "clicks": _l("Links followed"),
    "actions": _l("Signed or answered"),
    "unsubscribed": _l("Unsubscribed"),
    "complained": _l("Marked as spam"),
    "came_back": _l("Came back"),
    "signatures": _l("Signed"),
    "answers": _l("Answered an event"),
}


def state_words(state: str) -> str:
    return str(STATES[state][0])


def state_kind(state: str) -> str:
    return STATES[state][1]


def return_words(reason: str) -> str:
    return str(RETURNS[reason])


def measure_words(name: str) -> str:
    return str(MEASURES[name])


def base_words(*, is_confirmed: bool) -> str:
    """What rates are taken of."""
    return str(_("of delivered") if is_confirmed else _("of sent, without what came back"))


def part_words(letter: str, *, has_variants: bool) -> str:
    """A variant by its letter; without one what went to the rest, or the whole."""
    if letter:
        return str(_("Version %(name)s", name=letter.upper()))
    return str(_("The rest") if has_variants else _("All"))


def mailbox_words(name: str) -> str:
    """A mail service, or all the small ones together."""
    return name or str(_("Others, and those with fewer than 10 people"))
