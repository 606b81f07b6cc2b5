"""Who may be handed to whom, and what a partner may know: its own numbers, nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Select, case, exists, func, or_, select
from sqlalchemy.orm import joinedload

from campaign import clock
from campaign.campaigns.models import Campaign, CampaignState, Partnership, PartnershipState
from campaign.db import db
from campaign.errors import NotFound
from campaign.exports.models import (
    Export,
    ExportedPerson,
    ExportedPiece,
    ExportKind,
    ExportState,
)
from campaign.mail.models import Scope, Suppression
from campaign.mail.queries import stops_bulk
from campaign.organizations.models import Organization
from campaign.people.models import Consent, Person, Purpose
from campaign.people.queries import live_consent
from campaign.petitions.models import Petition, Signature, SignatureState

CHART_DAYS = 30


# Campaigns that a partner takes part in


def shared_campaigns(partner_id: uuid.UUID) -> list[Campaign]:
    """The campaigns an organization is a partner in now, the latest first."""
    return list(
        db.session.scalars(
            select(Campaign)
            .join(Partnership, Partnership.campaign_id == Campaign.id)
            .where(
                Partnership.partner_id == partner_id,
                Partnership.state == PartnershipState.ACTIVE,
                Campaign.state != CampaignState.DRAFT,
            )
            .order_by(Campaign.id.desc())
        )
    )


def shared_campaign(partner_id: uuid.UUID, campaign_id: uuid.UUID | None) -> Campaign:
    """One of them. Raises NotFound for any other campaign."""
    for campaign in shared_campaigns(partner_id):
        if campaign.id == campaign_id:
            return campaign
    raise NotFound


# People


def shared_people(
    partner_id: uuid.UUID, lead_id: uuid.UUID, campaign_id: uuid.UUID | None = None
) -> Select[uuid.UUID]:
    """The ids of a lead's people with a live e-mail consent to the partner, at this moment.

    With a campaign: who gave it there or under no campaign in particular, or who signed there
    while it was in force already (ticking the same words twice adds no second line).
    """
    found = select(Person.id).where(
        Person.organization_id == lead_id,
        Person.erased_at.is_(None),
        Person.email.is_not(None),
        live_consent(partner_id, Purpose.EMAIL),
    )
    if campaign_id is None:
        return found
    given_there = exists().where(
        Consent.person_id == Person.id,
        Consent.grantee_id == partner_id,
        Consent.purpose == Purpose.EMAIL,
        Consent.is_granted,
        or_(Consent.campaign_id == campaign_id, Consent.campaign_id.is_(None)),
    )
    signed_there = exists().where(
        Signature.person_id == Person.id,
        Signature.state == SignatureState.CONFIRMED,
        Signature.petition_id.in_(select(Petition.id).where(Petition.campaign_id == campaign_id)),
    )
    return found.where(or_(given_there, signed_there))


def own_people(organization_id: uuid.UUID) -> Select[uuid.UUID]:
    """The ids of an organization's own people."""
    return select(Person.id).where(
        Person.organization_id == organization_id, Person.erased_at.is_(None)
    )


def count(found: Select[uuid.UUID]) -> int:
    """How many a select of ids finds."""
    return int(db.session.scalar(select(func.count()).select_from(found.subquery())) or 0)


def consents_to(grantee_id: uuid.UUID, person_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Consent]:
    """The e-mail consent in force to `grantee_id` of each of these people who gives one."""
    last: dict[uuid.UUID, Consent] = {}
    for line in db.session.scalars(
        select(Consent)
        .where(
            Consent.person_id.in_(person_ids),
            Consent.grantee_id == grantee_id,
            Consent.purpose == Purpose.EMAIL,
        )
        .options(joinedload(Consent.wording))
        .order_by(Consent.id)
    ):
        last[line.person_id] = line
    return {person_id: line for person_id, line in last.items() if line.is_granted}


def mail_stops(organization_id: uuid.UUID, hashes: Iterable[str | None]) -> dict[str, str]:
    """Address hash → OSDI's word for why an organization's bulk mail does not reach it."""
    wanted = {hashed for hashed in hashes if hashed}
    if not wanted:
        return {}
    rows = db.session.execute(
        select(Suppression.address_hash, func.min(weight()))
        .where(Suppression.address_hash.in_(wanted), stops_bulk(organization_id))
        .group_by(Suppression.address_hash)
    )
    return {address_hash: STOPS[found] for address_hash, found in rows}


STOPS = {1: "bouncing", 2: "spam complaint", 3: "unsubscribed"}
"""OSDI's words for why mail does not reach somebody; of several the weightiest is said."""


def weight() -> ColumnElement[int]:
    """Which of `STOPS` a suppression is."""
    complained = Suppression.reason.contains("complain") | Suppression.reason.contains("spam")
    return case((Suppression.scope == Scope.ADDRESS, 1), (complained, 2), else_=3)


# Exports


def find_export(organization_id: uuid.UUID, export_id: uuid.UUID, kind: ExportKind) -> Export:
    """An export of this organization and kind. Raises NotFound."""
    found = db.session.scalar(
        select(Export).where(
            Export.organization_id == organization_id, Export.id == export_id, Export.kind == kind
        )
    )
    if found is None:
        raise NotFound
    return found


def exports_of(organization_id: uuid.UUID, kind: ExportKind, limit: int = 30) -> list[Export]:
    """The latest exports, newest first."""
    return list(
        db.session.scalars(
            select(Export)
            .where(Export.organization_id == organization_id, Export.kind == kind)
            .order_by(Export.id.desc())
            .limit(limit)
        )
    )


def exports_holding(person_id: uuid.UUID) -> list[Export]:
    """The exports that held a person, the oldest first: whom to tell when they withdraw."""
    found = set(
        db.session.scalars(
            select(ExportedPerson.export_id).where(ExportedPerson.person_id == person_id)
        )
    )
    pieces = db.session.execute(
        select(ExportedPiece.export_id, ExportedPiece.people)
        .where(ExportedPiece.first_id <= person_id, ExportedPiece.last_id >= person_id)
        .execution_options(yield_per=20)
    )
    found |= {export_id for export_id, people in pieces if person_id in people}
    return list(db.session.scalars(select(Export).where(Export.id.in_(found)).order_by(Export.id)))


def withdrawn_since(export: Export) -> int:
    """How many people in a partner's export have no live consent to it any more."""
    return int(
        db.session.scalar(
            select(func.count())
            .select_from(ExportedPerson)
            .join(Person, Person.id == ExportedPerson.person_id)
            .where(
                ExportedPerson.export_id == export.id,
                ~live_consent(export.organization_id, Purpose.EMAIL),
            )
        )
        or 0
    )


def stalled_exports() -> list[uuid.UUID]:
    """Exports that nobody builds though they should: a lost call, a worker that died."""
    return list(
        db.session.scalars(
            select(Export.id).where(
                or_(
                    Export.state == ExportState.QUEUED,
                    (Export.state == ExportState.RUNNING) & (Export.lease_until < clock.now()),
                )
            )
        )
    )


def overdue_exports() -> list[Export]:
    """Ready exports whose day is over."""
    return list(
        db.session.scalars(
            select(Export).where(
                Export.state == ExportState.READY, Export.expires_at <= clock.now()
            )
        )
    )


# A partner's own numbers


@dataclass(frozen=True, slots=True)
class PartnerNumbers:
    """What a partner may know of a campaign: what came by its links, and who said yes to it."""

    campaign: Campaign
    lead: Organization
    petitions: Sequence[Petition]
    referred_count: int  # signatures by its links, confirmed or not
    confirmed_count: int  # of them confirmed
    shared_count: int  # people with a live consent to it
    days: Sequence[tuple[date, int]]  # confirmed by its links, day after day


def partner_numbers(partner: Organization, campaign: Campaign, zone_name: str) -> PartnerNumbers:
    """The numbers of one campaign; days are those of the zone, today the last."""
    petitions = list(
        db.session.scalars(
            select(Petition)
            .where(Petition.campaign_id == campaign.id, Petition.published_at.is_not(None))
            .order_by(Petition.id)
        )
    )
    came = (
        Signature.petition_id.in_(select(Petition.id).where(Petition.campaign_id == campaign.id)),
        Signature.source == partner.slug,
    )
    by_state = {
        row.state: int(row.number)
        for row in db.session.execute(
            select(Signature.state, func.count().label("number"))
            .where(*came)
            .group_by(Signature.state)
        )
    }
    shared = shared_people(partner.id, campaign.organization_id, campaign.id)
    return PartnerNumbers(
        campaign=campaign,
        lead=db.session.get_one(Organization, campaign.organization_id),
        petitions=petitions,
        referred_count=sum(by_state.values()),
        confirmed_count=by_state.get(SignatureState.CONFIRMED, 0),
        shared_count=count(shared),
        days=_by_day(came, zone_name),
    )


def _by_day(came: tuple[object, ...], zone_name: str) -> list[tuple[date, int]]:
    zone = clock.zone(zone_name)
    today = clock.now().astimezone(zone).date()
    first = today - timedelta(days=CHART_DAYS - 1)
    since = clock.to_utc(datetime.combine(first, datetime.min.time()), zone_name)
    counts = {first + timedelta(days=n): 0 for n in range(CHART_DAYS)}
    statement = select(Signature.confirmed_at).where(
        *came,  # type: ignore[arg-type]
        Signature.state == SignatureState.CONFIRMED,
        Signature.confirmed_at >= since,
    )
    for at in db.session.scalars(statement.execution_options(yield_per=1000)):
        if at is not None:
            day = at.astimezone(zone).date()
            counts[day] = counts.get(day, 0) + 1
    return sorted(counts.items())
