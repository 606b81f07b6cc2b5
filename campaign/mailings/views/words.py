"""The codes of mailings in words: findings and states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from babel import Locale
from flask_babel import force_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from campaign.mail import merge
from campaign.mailings.writing import Finding
from campaign.outward import Found, State
from campaign.web.filters import number
from campaign.web.languages import language

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
    "vague_link": _l(
        "A link says only “%(detail)s”. Some people hear the links of a letter one by one: let it say where it leads."
    ),
    "link_missing": _l("A link leads to a page that does not exist here: %(detail)s"),
    "link_personal": _l(
        "A link is one person's own. Whoever follows it acts in their name: %(detail)s"
    ),
    "link_team": _l("A link leads to a page that only your team can open: %(detail)s"),
    "link_draft": _l("A link leads to a page that is not published yet: %(detail)s"),
    "link_cancelled": _l("A link leads to an event that is cancelled: %(detail)s"),
    "link_over": _l("A link leads to an event that has no date to come: %(detail)s"),
    "link_closed": _l("A link leads to a petition that takes no more names: %(detail)s"),
    "link_http": _l(
        "A link to this site begins with http:. Write https:, and nobody can read along: %(detail)s"
    ),
    "link_local": _l("A link leads to a computer that your readers cannot reach: %(detail)s"),
    "link_sample": _l("A link leads to a made-up address: %(detail)s"),
    "link_mailto": _l("A link to write an email has an address that cannot be: %(detail)s"),
    "link_tel": _l("A link to call has a phone number that cannot be: %(detail)s"),
    "dead_link": _l("A link did not work when we tried it: %(detail)s"),
    "shouting_body": _l(
        "A part of the text is in capitals. They are hard to read, and spam filters dislike them: %(detail)s"
    ),
    "no_plain_text": _l(
        "There are only pictures in it. People who see no pictures get nothing to read, and spam filters dislike that."
    ),
    "grade_high": _l(
        "It reads at grade %(line)s. Most people read comfortably at 8 or below. The longest sentence is: “%(detail)s”"
    ),
    "grade_fine": _l("It reads at grade %(line)s: most people read that comfortably."),
    "ease_hard": _l(
        "The Spanish is somewhat hard to read (%(line)s of 100; from 55 on most people read comfortably). The longest sentence is: “%(detail)s”"
    ),
    "ease_very_hard": _l(
        "The Spanish is very hard to read (%(line)s of 100; from 55 on most people read comfortably). The longest sentence is: “%(detail)s”"
    ),
    "ease_normal": _l("The Spanish reads comfortably (%(line)s of 100)."),
    "ease_easy": _l("The Spanish is easy to read (%(line)s of 100)."),
    "ease_very_easy": _l("The Spanish is very easy to read (%(line)s of 100)."),
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


@dataclass(frozen=True, slots=True)
class MergeField:
    """A merge field to put into a text: as it is written, what it is, what readers see."""

    code: str
    label: str
    meaning: str


def merge_fields(letter_language: str) -> list[MergeField]:
    """All that can be put in about whoever reads, each with a word for those of whom it is not
    known: in the language of the letter, for it stands there."""
    with force_locale(letter_language):
        fallbacks = {
            "first_name": _("neighbor"),
            "last_name": _("neighbor"),
            "postal_code": _("your area"),
            "ward": _("your ward"),
        }
    said = {
        "first_name": (_("First name"), _("What they are called: “Ana”.")),
        "last_name": (_("Last name"), _("Their family name: “Rivera”.")),
        "postal_code": (_("ZIP code"), _("Where they live: “60637”.")),
        "ward": (
            _("Ward"),
            _("The ward they live in, where their address tells: “Ward 20”."),
        ),
    }
    return [
        MergeField(f"{{{{ {name}|{fallbacks[name]} }}}}", *said[name])
        for name in merge.PERSON_FIELDS
    ]


LINKS: dict[State, tuple[Any, str]] = {
    State.OK: (_l("Works"), ""),
    State.MOVED: (_l("Works, and leads on"), ""),
    State.GONE: (_l("There is no such page"), "bad"),
    State.SHY: (_l("Does not answer programs: open it yourself"), "warn"),
    State.BROKEN: (_l("Answers with an error"), "warn"),
    State.CERTIFICATE: (_l("Browsers warn of it: its certificate is not valid"), "bad"),
    State.UNREACHABLE: (_l("Cannot be reached"), "bad"),
    State.CIRCLE: (_l("Leads on without an end"), "warn"),
    State.REFUSED: (_l("Not tried: not a public address of the web"), "warn"),
    State.LATE: (_l("Not tried: too many links at once"), "plain"),
}


def link_words(found: Found | None) -> tuple[str, str]:
    """What became of trying a link, and the kind of its tag."""
    if found is None:
        return str(_("Not tried yet")), "plain"
    words, kind = LINKS[found.state]
    return (f"{words} ({found.status})" if found.status >= 400 else str(words)), kind


def language_name(code: str) -> str:
    """A language as one says it in a sentence of the page's own."""
    return str(Locale.parse(language()).languages.get(code) or code)


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
