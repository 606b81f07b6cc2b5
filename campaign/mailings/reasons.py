"""Why somebody gets no e-mail of a mailing, and why one is paused, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

REASONS: dict[str, Any] = {
    "not_chosen": _l("Not among those you chose"),
    "no_address": _l("No email address"),
    "excluded": _l("Left out by you"),
    "no_consent": _l("Has not agreed to email from you"),
    "bounced": _l("Address does not take mail"),
    "complained": _l("Marked your email as spam"),
    "unsubscribed_everything": _l("Wants no mass email at all"),
    "unsubscribed": _l("Unsubscribed from you"),
    "unsubscribed_list": _l("Left this list"),
    "enough": _l("Got enough mailings this week"),
    "same_address": _l("Shares an address with somebody who gets it"),
    "stopped": _l("You stopped the message"),
    "its variant was stopped": _l("Its version was stopped"),
    "cancelled": _l("Cancelled"),
    "erased": _l("Erased"),
    "hard bounce": _l("Address does not take mail"),
    "bounced address": _l("Address does not take mail"),
    "invalid address": _l("Address does not exist"),
    "soft bounce": _l("Mailbox full or away for now"),
    "soft bounces": _l("Mailbox full or away several times"),
    "complained before": _l("Marked your email as spam"),
    "unsubscribed at provider": _l("Unsubscribed from you"),
    "worker lost": _l("We do not know whether it got there"),
    "too many attempts": _l("The mail service did not take it after many tries"),
    "unknown": _l("No reason given"),
}

PAUSES: dict[str, Any] = {
    "organizer": _l("Somebody of your team paused it."),
    "provider errors": _l(
        "Too many tries failed, so we paused it. We test with single emails whether it works again."
    ),
    "complaints": _l(
        "Too many people marked it as spam, so we paused it. Please look at the text and at who gets it."
    ),
    "variants": _l(
        "Each of its versions was stopped: too many marked them as spam, or too much came back."
    ),
}


def reason_words(reason: str) -> str:
    """A reason as people say it; the provider's own words stay as they are."""
    return str(REASONS.get(reason) or reason or _("No reason given"))


def reasons_in_words(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons with their counts, those of the same words added up, the most first."""
    counts: dict[str, int] = {}
    for reason, count in reasons.items():
        said = reason_words(reason)
        counts[said] = counts.get(said, 0) + count
    return sorted(counts.items(), key=lambda pair: -pair[1])


def pause_words(reason: str) -> str:
    return str(PAUSES.get(reason) or PAUSES["organizer"])
