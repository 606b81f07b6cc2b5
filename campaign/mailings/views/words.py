"""The codes of mailings in words: findings and states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from campaign.mailings.writing import Finding
from campaign.web.filters import number

FINDINGS: dict[str, Any] = {
    "no_subject": _l("There is no subject yet."),
    "no_body": _l("There is no text yet."),
    "no_audience": _l("Nobody is chosen yet to get it."),
    "nobody_left": _l("Of those you chose, nobody can get it."),
    "no_postal_address": _l(
        "Your profile has no postal address. The law asks for one in every mass email."
    ),
    "no_sender": _l(
        "Your profile has no sender address, so it goes out from the address of this installation."
    ),
    "free_mailer": _l(
        "Your sender address is at %(detail)s. Mail services refuse mass email in its name that it did not send itself. Use an address at a domain of your own."
    ),
    "not_tested": _l("Nobody has read a test of this version yet."),
    "long_subject": _l(
        "The subject has %(detail)s characters. On phones about 60 of them are seen."
    ),
    "shouting_subject": _l(
        "The subject is mostly in capitals. Spam filters and people dislike that."
    ),
    "exclaiming_subject": _l(
        "The subject has more than one exclamation mark. Spam filters dislike that."
    ),
    "unknown_field_in_subject": _l(
        "The subject has a merge field that we do not know: %(detail)s."
    ),
    "unknown_field_in_preheader": _l(
        "The first line has a merge field that we do not know: %(detail)s."
    ),
    "unknown_field_in_body": _l("Line %(line)s has a merge field that we do not know: %(detail)s."),
    "no_fallback": _l(
        "The merge field %(detail)s has no word for people of whom we do not know it."
    ),
    "field_in_link": _l("An address cannot hold a merge field: %(detail)s"),
    "no_scheme": _l("A link lacks https:// in front: %(detail)s"),
    "broken_link": _l("A link leads nowhere: %(detail)s"),
    "empty_link": _l("A link has no words: %(detail)s"),
    "shortened_link": _l(
        "A shortened link looks like spam to filters. Use the whole address: %(detail)s"
    ),
    "no_alt": _l("A picture has no description for people who cannot see it: %(detail)s"),
    "broken_image": _l("A picture needs a whole web address: %(detail)s"),
    "same_variants": _l("Versions %(detail)s say the same. Change one, or take it out."),
    "too_few_to_test": _l("Too few people test: each of the %(detail)s versions needs somebody."),
    "small_groups": _l(
        "Groups of %(line)s are too small: what they do is mostly chance. To see that one version does twice as well, each needs about %(detail)s people."
    ),
    "block": _l("Line %(line)s: %(detail)s"),
    "petition_closed": _l("The petition “%(detail)s” takes no more names."),
    "nothing_left": _l("Of this HTML nothing remains to read."),
    "strange_picture": _l("A picture in it is not from your library. Add it there first."),
    "no_link": _l("There is no link in it. What can people do next?"),
}
REMOVED: dict[str, Any] = {
    "script": _l("scripts"),
    "form": _l("forms"),
    "frame": _l("frames and embedded things"),
    "media": _l("videos and drawings"),
    "handler": _l("event handlers"),
    "address": _l("addresses that are none of the web"),
    "position": _l("positions on the screen"),
    "style": _l("styles that mail programs do not know"),
    "sheet": _l("style sheets from elsewhere"),
    "tag": _l("tags that mail programs do not know"),
}
ABOUT_SENDING = frozenset({"no_postal_address", "no_sender", "free_mailer"})
"""Findings that are mended on the page about sending e-mail, not in the text."""
STATES: dict[str, tuple[Any, str]] = {
    "draft": (_l("Draft"), "plain"),
    "scheduled": (_l("Scheduled"), ""),
    "calculating": (_l("Getting ready"), ""),
    "sending": (_l("Going out"), ""),
    "paused": (_l("Paused"), "warn"),
    "stopped": (_l("Stopped"), "bad"),
    "sent": (_l("Sent"), "plain"),
}


def removed_words(removed: Mapping[str, int]) -> list[str]:
    """What was taken out of pasted HTML, with how many of each."""
    return [f"{REMOVED[kind]} ({count})" for kind, count in removed.items()]


def finding_words(finding: Finding) -> str:
    """A finding as a sentence."""
    message = FINDINGS.get(finding.code)
    if message is None:
        return finding.code
    detail, line = _readable(finding.detail), number(finding.line)
    said = str(message) % {"detail": detail, "line": line}
    variants = getattr(finding, "variants", "")
    return _("Version %(names)s: %(what)s", names=variants, what=said) if variants else said


def _readable(detail: str) -> str:
    """A number as people write it; anything else as it is."""
    return number(int(detail)) if detail.isascii() and detail.isdigit() else detail


def state_words(state: str) -> tuple[str, str]:
    """A state and the kind of its tag."""
    words, kind = STATES[state]
    return str(words), kind
