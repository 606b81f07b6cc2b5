"""An organization with one row of everything that a console route can name."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from campaign import clock
from campaign.accounts import services as accounts
from campaign.accounts.models import Session, User
from campaign.db import db
from campaign.exports.models import Export, ExportKind
from campaign.imports.models import Import
from campaign.ladders import queries as ladders
from campaign.mailings.models import Contest, Message, Variant
from campaign.organizations.models import Invitation, Organization, Role
from campaign.people import services as people
from campaign.petitions.models import Invalidation
from campaign.table.models import ManyChange
from tests.factories.buddies import make_introduction
from tests.factories.campaigns import make_campaign, make_clinic, make_milestone, make_partner
from tests.factories.checkin import make_head_count, make_sign_in
from tests.factories.designs import make_picture, make_template
from tests.factories.events import make_event, make_host, make_rsvp, make_shift, occurrence_of
from tests.factories.fields import make_field
from tests.factories.hearings import make_hearing, make_task, make_testimony
from tests.factories.ladders import make_follow_up, make_ladder, make_run, send
from tests.factories.lists import make_list, make_segment
from tests.factories.organizations import make_membership, make_organization, make_user
from tests.factories.people import make_person
from tests.factories.petitions import make_petition, make_signature
from tests.factories.sit_ins import make_risk


@dataclass(frozen=True)
class World:
    """`ids` maps the names of route parameters to rows of this organization, `slugs` to names."""

    organization: Organization
    owner: User
    session: Session
    ids: dict[str, uuid.UUID]
    slugs: dict[str, Any]

    def id_for(self, endpoint: str, name: str) -> uuid.UUID:
        """The id for a parameter; some endpoints mean their own kind of row by it.

        Raises KeyError for a name that no row was made for: make one in `make_world`.
        """
        return self.ids.get(f"{endpoint.split('.', maxsplit=1)[0]}.{name}") or self.ids[name]


def make_world() -> World:
    """A new organization, its owner, and one row of each kind."""
    organization = make_organization()
    owner = make_user()
    make_membership(owner, organization)
    campaign = make_campaign(organization)
    petition = make_petition(campaign)
    event = make_event(campaign)
    occurrence = occurrence_of(event)
    rsvp = make_rsvp(event)
    hearing = make_hearing(campaign)
    person = make_person(organization)
    people.add_tag(person, "volunteer")
    tag = people.add_tag(person, "driver")
    now = clock.now()
    mine: dict[str, Any] = {"organization_id": organization.id}
    introduction = make_introduction(event)
    invitation = Invitation(
        **mine,
        email="guest@example.org",
        role=Role.VIEWER,
        token_hash=uuid.uuid4().hex,
        created_at=now,
        expires_at=now + timedelta(days=7),
    )
    invalidation = Invalidation(**mine, petition_id=petition.id, rule={}, reason="test", at=now)
    message = Message(**mine, subject="Hello", body="Hello", author_id=owner.id)
    message.contest = Contest(variants=[Variant(letter=letter) for letter in "ab"])
    export = Export(**mine, lead_id=organization.id, kind=ExportKind.PEOPLE, reason="test")
    partner_export = Export(**mine, lead_id=organization.id, kind=ExportKind.PARTNER, reason="test")
    ladder = make_ladder(organization, send())
    import_ = Import(**mine, filename="people.csv", basis="test", created_at=now)
    change = ManyChange(**mine, act="tag", target_id=tag.id, state="done", created_at=now)
    rows: dict[str, Any] = {
        "change_id": change,
        "campaign_id": campaign,
        "clinic_id": make_clinic(campaign),
        "milestone_id": make_milestone(campaign),
        "partnership_id": make_partner(campaign),
        "petition_id": petition,
        "event_id": event,
        "occurrence_id": occurrence,
        "rsvp_id": rsvp,
        "testimony_id": make_testimony(hearing),
        "task_id": make_task(hearing),
        "organize_hearings.event_id": hearing.event,
        "organize_hearings.occurrence_id": occurrence_of(hearing.event),
        "shift_id": make_shift(event),
        "host_id": make_host(event),
        "introduction_id": introduction,
        "sign_in_id": make_sign_in(event),
        "head_count_id": make_head_count(event),
        "risk_id": make_risk(rsvp),
        "signature_id": make_signature(petition),
        "invalidation_id": invalidation,
        "person_id": person,
        "tag_id": tag,
        "list_id": make_list(organization, [person]),
        "segment_id": make_segment(organization),
        "field_id": make_field(organization),
        "import_id": import_,
        "message_id": message,
        "picture_id": make_picture(organization),
        "template_id": make_template(organization),
        "ladder_id": ladder,
        "step_id": ladders.steps_of(ladder.id)[0],
        "run_id": make_run(ladder, person),
        "follow_up_id": make_follow_up(person),
        "export_id": export,
        "partner.export_id": partner_export,
        "invitation_id": invitation,
        "membership_id": make_membership(make_user(), organization, Role.VIEWER),
        "session_id": accounts.begin_session(owner, ip="203.0.113.8", user_agent=""),
        "organization_id": organization,
    }
    db.session.add_all([invitation, invalidation, message, export, partner_export, import_, change])
    session = accounts.begin_session(owner, ip="203.0.113.7", user_agent="Test browser")
    session.organization_id = organization.id
    db.session.flush()
    ids = {name: row.id for name, row in rows.items()}
    db.session.commit()
    return World(
        organization=organization,
        owner=owner,
        session=session,
        ids=ids,
        slugs={
            "letter": "a",
            "petition": petition.slug,
            "campaign": campaign.slug,
            "event": event.slug,
        },
    )
