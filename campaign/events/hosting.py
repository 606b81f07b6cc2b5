"""Who invites: partners and volunteers asked to host, and volunteers who propose an event.

Nobody is a host before they have said so by their own link: anybody can type anybody's address.
A proposal is seen by an organizer once its host has pressed theirs, and by nobody else before an
organizer has approved it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.db import db
from campaign.errors import Conflict, Gone, Invalid
from campaign.events import delivery, desk, invitations, scheduling
from campaign.events.models import Event, EventState, Host, HostState
from campaign.events.scheduling import EventDetails
from campaign.mail.addresses import address_hash
from campaign.organizations import queries as organizations
from campaign.organizations.models import Organization
from campaign.organizations.services import record
from campaign.people import services as people
from campaign.people.services import PersonDetails

MOST_HOSTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDetails:
    """A volunteer: who is asked to host, or who proposes."""

    name: str
    email: str
    phone: str = ""
    language: str = "en"


# --- asked to host -----------------------------------------------------------------------------


def invite_partner(
    event: Event, partner_id: uuid.UUID, *, user_id: uuid.UUID | None = None
) -> Host:
    """Ask an organization of the campaign to invite along; its team gets the link.

    Raises Invalid at `partner` for one that is none, is asked already, or has nobody to ask.
    """
    partner = next(
        (
            row.partner
            for row in campaigns.partners_of(event.campaign_id)
            if row.partner_id == partner_id
        ),
        None,
    )
    if partner is None:
        raise Invalid(_l("Choose a partner of this campaign."), field="partner")
    addresses = team_of(partner)
    if not addresses:
        raise Invalid(
            _l("Nobody of this organization has an account yet. Invite a person by email."),
            field="partner",
        )
    host = _asked(event, Host.partner_id == partner_id, field="partner")
    host.partner_id, host.name, host.language = partner_id, partner.name, partner.language
    host.partner = partner
    return _invited(event, host, addresses, user_id)


def team_of(partner: Organization) -> list[str]:
    """The addresses of those who work for an organization."""
    return [row.user.email for row in organizations.members(partner.id)]


def invite_host(event: Event, details: HostDetails, *, user_id: uuid.UUID | None = None) -> Host:
    """Ask a volunteer by e-mail. Raises Invalid at `email` when they are asked already."""
    hashed = address_hash(details.email)
    host = _asked(event, Host.address_hash == hashed, field="email")
    host.name, host.email, host.phone = details.name, details.email, details.phone
    host.address_hash, host.language = hashed, details.language
    return _invited(event, host, [details.email], user_id)


def _asked(event: Event, who: object, *, field: str) -> Host:
    """A new row, or the one of somebody who had said no or was taken off."""
    if event.state == EventState.CANCELLED:
        raise Conflict(_l("This event is cancelled. Copy it to hold it once more."))
    found = db.session.scalar(
        select(Host).where(Host.event_id == event.id, who)  # type: ignore[arg-type]
    )
    if found is not None and found.state in {HostState.INVITED, HostState.ACTIVE}:
        raise Invalid(_l("They are asked already."), field=field)
    if len(desk.hosts_of(event.id)) >= MOST_HOSTS and found is None:
        raise Invalid(_l("An event can have at most %(most)s hosts.", most=MOST_HOSTS), field=field)
    return found or Host(organization_id=event.organization_id, event_id=event.id)


def _invited(event: Event, host: Host, addresses: list[str], user_id: uuid.UUID | None) -> Host:
    host.state, host.created_at, host.answered_at = HostState.INVITED, clock.now(), None
    db.session.add(host)
    db.session.flush()
    invitations.send("host_invited", event, host, addresses)
    _record("host.invited", host, user_id)
    return host


def take_off_host(host: Host, *, user_id: uuid.UUID | None = None) -> None:
    """They host no more, whatever their link says; `put_back_host` takes it back. Twice is once."""
    if host.state == HostState.REMOVED:
        return
    host.state = HostState.REMOVED
    db.session.flush()
    _record("host.taken_off", host, user_id)


def put_back_host(host: Host, *, user_id: uuid.UUID | None = None) -> None:
    """Take `take_off_host` back: they stand as they stood before."""
    if host.state != HostState.REMOVED:
        return
    host.state = HostState.ACTIVE if host.answered_at is not None else HostState.INVITED
    db.session.flush()
    _record("host.put_back", host, user_id)


def answer_host(host: Host, *, says_yes: bool, is_public: bool = False) -> None:
    """What a host answers behind their link; they may change their mind.

    Yes makes a person of a volunteer, who is then listed as having hosted. No to a proposal that
    nobody has seen takes it away altogether: somebody else had typed the address. Raises Gone
    when the event is cancelled, the proposal was declined or an organizer took them off.
    """
    event = db.session.get_one(Event, host.event_id)
    is_unseen = host.is_proposer and event.state == EventState.PROPOSED
    is_off = host.state == HostState.REMOVED or (is_unseen and host.state == HostState.DECLINED)
    if event.state == EventState.CANCELLED or is_off:
        raise Gone(_l("This is over. Thank you."))
    if is_unseen and not says_yes and host.state == HostState.INVITED:
        delivery.forget_proposal(event.id)
        db.session.expire_all()
        return
    host.state = HostState.ACTIVE if says_yes else HostState.DECLINED
    host.answered_at = clock.now()
    host.is_public = says_yes and is_public and host.email is not None
    if says_yes and host.email:
        first, _space, last = host.name.partition(" ")
        person = people.get_or_add_person(
            host.organization_id,
            PersonDetails(
                email=host.email,
                first_name=first,
                last_name=last,
                phone=host.phone,
                language=host.language,
                source=f"event {event.slug}"[:80],
            ),
        )
        host.person_id = person.id
    db.session.flush()
    _record("host.accepted" if says_yes else "host.declined", host, None)


# --- proposals ---------------------------------------------------------------------------------


def propose_event(
    organization_id: uuid.UUID, host: HostDetails, details: EventDetails, *, sends: bool = True
) -> Event:
    """Keep what a volunteer proposes, and send them the link that shows it to an organizer.

    `sends` is false for an address that has had its e-mails of the day: the page answers alike.
    """
    event = scheduling.create_event(organization_id, details, state=EventState.PROPOSED)
    row = Host(
        organization_id=organization_id,
        event_id=event.id,
        state=HostState.INVITED,
        is_proposer=True,
        name=host.name,
        email=host.email,
        address_hash=address_hash(host.email),
        phone=host.phone,
        language=host.language,
        created_at=clock.now(),
    )
    db.session.add(row)
    db.session.flush()
    if sends:
        invitations.send("proposal", event, row)
    return event


def proposer_of(event: Event) -> Host | None:
    """The volunteer who proposed an event."""
    return db.session.scalar(
        select(Host).where(Host.event_id == event.id, Host.is_proposer.is_(True))
    )


def approve_event(event: Event, *, user_id: uuid.UUID | None = None) -> None:
    """proposed → published; its host is told, with the address of the page.

    Raises Conflict when it is no proposal, Invalid at `starts` when its time has passed.
    """
    if event.state != EventState.PROPOSED:
        raise Conflict
    scheduling.publish_event(event, user_id=user_id)
    host = proposer_of(event)
    if host is not None:
        host.state = HostState.ACTIVE
        db.session.flush()
        invitations.send("proposal_approved", event, host)
    _record_event("event.approved", event, user_id)


def decline_event(event: Event, word: str, *, user_id: uuid.UUID | None = None) -> None:
    """Say no to a proposal, with a word. It stays unseen; twice tells nobody twice."""
    host = proposer_of(event)
    if event.state != EventState.PROPOSED or host is None:
        raise Conflict
    if host.state == HostState.DECLINED:
        return
    host.state = HostState.DECLINED
    db.session.flush()
    invitations.send("proposal_declined", event, host, word=word)
    _record_event("event.declined", event, user_id)


# --- erasing -----------------------------------------------------------------------------------


def erase_hosts(*, person_id: uuid.UUID | None = None, address_hash: str | None = None) -> int:
    """Erase who hosted: the event stays, nobody is named. Returns how many rows."""
    mine = [
        clause
        for clause in (
            Host.person_id == person_id if person_id is not None else None,
            Host.address_hash == address_hash if address_hash is not None else None,
        )
        if clause is not None
    ]
    if not mine:
        return 0
    found = db.session.scalars(select(Host).where(or_(*mine))).all()
    for host in found:
        host.name = host.phone = ""
        host.email = host.address_hash = host.person_id = None
        host.is_public = False
    db.session.flush()
    return len(found)


def _record(action: str, host: Host, user_id: uuid.UUID | None) -> None:
    record(
        action,
        organization_id=host.organization_id,
        user_id=user_id,
        subject_kind="event",
        subject_id=host.event_id,
        details={"host": host.id.hex},
    )


def _record_event(action: str, event: Event, user_id: uuid.UUID | None) -> None:
    record(
        action,
        organization_id=event.organization_id,
        user_id=user_id,
        subject_kind="event",
        subject_id=event.id,
    )
