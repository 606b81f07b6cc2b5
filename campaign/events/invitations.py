"""Letters to those who host: an invitation, a proposal to confirm, what became of it.

Their subjects name neither the clinic nor the cause: mail is read over shoulders.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from flask_babel import force_locale
from flask_babel import gettext as _

from campaign.db import db
from campaign.events import rules
from campaign.events.models import Event, Host
from campaign.events.recurrence import read_wall, resolve
from campaign.mail.letters import merge_tag, render_letter
from campaign.mail.services import queue_email
from campaign.organizations.models import Organization
from campaign.organizations.services import sender_of
from campaign.web import links
from campaign.web.languages import known

KIND = "host"


def send(
    what: str, event: Event, host: Host, addresses: Iterable[str] = (), *, word: str = ""
) -> None:
    """Queue a letter of `templates/email/events/<what>` to a host, in their language.

    `addresses` are those of a partner's members; a volunteer has one of their own.
    """
    here = known(host.language) or "en"
    organization = db.session.get_one(Organization, event.organization_id)
    with force_locale(here):
        why = _("You get this because of an event of %(name)s.", name=organization.name)
    letter = render_letter(
        f"events/{what}",
        here,
        title=event.title.get_for(here),
        when=when_of(event, here),
        where=", ".join(part for part in (event.venue, event.city) if part),
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=event.campaign.crisis_line or organization.crisis_line,
        partner=host.partner.name if host.partner is not None else "",
        word=word,
        why=why,
        event_url=links.external("events.event", event=event.slug, lang=here),
        name=merge_tag("name"),
        url=merge_tag("url"),
        preferences_url=merge_tag("preferences_url") if host.person_id else "",
    )
    values = {
        "name": host.name,
        "url": links.external("hosts.host", token=links.host_token(host.id), lang=here),
    }
    if host.person_id is not None:
        values["preferences_url"] = links.preferences_url(links.PERSON, host.person_id, here)
    for address in dict.fromkeys(addresses or [host.email or ""]):
        if address:
            queue_email(
                address,
                letter,
                organization_id=organization.id,
                kind=KIND,
                values=values,
                person_id=host.person_id,
                sender=sender_of(organization),
            )


def when_of(event: Event, language: str) -> str:
    """The first date with its hours, by the clock at its place."""
    begins = resolve(read_wall(event.starts_wall), event.zone).at
    ends = begins + timedelta(minutes=event.duration_minutes)
    hours = rules.hours_of(begins, ends, event.zone, language, is_all_day=event.is_all_day)
    day = rules.day_of(begins, event.zone, language)
    return f"{day}, {hours}" if hours else day
