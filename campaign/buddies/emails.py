"""What two people are written about going together. Until both agree, no letter names anybody."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from flask_babel import force_locale, format_datetime
from flask_babel import gettext as _

from campaign import clock
from campaign.buddies.models import Introduction, Wish
from campaign.db import db
from campaign.events.models import Company, Event
from campaign.mail.letters import merge_tag, render_letter
from campaign.mail.services import queue_email
from campaign.organizations.models import Organization
from campaign.organizations.services import sender_of
from campaign.web import links
from campaign.web.languages import known
from campaign.web.phones import phone_words

KIND = "buddies"


def send_suggested(wish: Wish, other: Wish) -> uuid.UUID | None:
    """There may be somebody: look, and say yes or no."""
    return _send("suggested", wish, {"wish": other.wish})


def send_agreed(wish: Wish, other: Wish) -> uuid.UUID | None:
    """Both agreed: here is how to reach each other."""
    mine = other.rsvp
    return _send(
        "agreed",
        wish,
        {
            "other_name": mine.first_name,
            "other_email": mine.email or "",
            "other_phone": phone_words(mine.phone),
        },
    )


def send_ended(wish: Wish, introduction: Introduction) -> uuid.UUID | None:
    """It does not come about, or has ended: we go on looking. Nobody is told why."""
    return _send("ended", wish, {}, key=f"{introduction.id.hex}:{wish.id.hex}:ended")


def _send(kind: str, wish: Wish, values: Mapping[str, str], *, key: str = "") -> uuid.UUID | None:
    rsvp = wish.rsvp
    if not rsvp.email:
        return None
    language = known(rsvp.language) or "en"
    event = db.session.get_one(Event, rsvp.event_id)
    organization = db.session.get_one(Organization, wish.organization_id)
    local = wish.occurrence.starts_at.astimezone(clock.zone(event.zone))
    with force_locale(language):
        when = format_datetime(
            local, "EEEE, MMMM d" if language == "en" else "EEEE d 'de' MMMM", rebase=False
        )
        why = _(
            "You get this because you told %(name)s that you would like to go together.",
            name=organization.name,
        )
    letter = render_letter(
        f"buddies/{kind}",
        language,
        title=event.title.get_for(language),
        when=when,
        is_asking=wish.kind == Company.ASK,
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=event.campaign.crisis_line or organization.crisis_line,
        why=why,
        first_name=merge_tag("first_name"),
        wish=merge_tag("wish"),
        has_wish=bool(values.get("wish")),
        has_phone=bool(values.get("other_phone")),
        other_name=merge_tag("other_name"),
        other_email=merge_tag("other_email"),
        other_phone=merge_tag("other_phone"),
        company_url=merge_tag("company_url"),
        preferences_url=merge_tag("preferences_url"),
    )
    kind_of_link, row_id = (
        (links.PERSON, rsvp.person_id) if rsvp.person_id else (links.RSVP, rsvp.id)
    )
    return queue_email(
        rsvp.email,
        letter,
        organization_id=wish.organization_id,
        kind=KIND,
        values={
            "first_name": rsvp.first_name,
            "company_url": links.external(
                "buddies.company", token=links.rsvp_token(rsvp.id), lang=language
            ),
            "preferences_url": links.preferences_url(kind_of_link, row_id, language),
            **values,
        },
        person_id=rsvp.person_id,
        sender=sender_of(organization),
        key=key,
    )
