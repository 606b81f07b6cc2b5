"""The demo: a campaign of 2009 retold, so that a first start has something to look at.

That year people who used Chicago's public mental health clinics, tenants, unions and boards of
the neighborhoods kept four of them open. The places are real; every person, quote and number is
invented, and the pages say so. Dates are counted from the day it is loaded. It is loaded once:
when one of its organizations is there, nothing is touched.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from random import Random

from sqlalchemy import select, update

from campaign import clock
from campaign.accounts import queries as accounts_queries
from campaign.accounts import services as accounts
from campaign.accounts.models import User
from campaign.campaigns import services as campaigns
from campaign.campaigns.models import Clinic, ClinicStatus, ClinicStatusChange
from campaign.campaigns.services import (
    CampaignDetails,
    ClinicDetails,
    MilestoneDetails,
    PartnerDetails,
    StatusDetails,
)
from campaign.db import Words, db, insert
from campaign.lists import rules as segments
from campaign.lists import services as lists
from campaign.mailings import services as mailings
from campaign.mailings.models import Audience, Choice, ChoiceKind
from campaign.mailings.services import MessageDetails
from campaign.operations.demo_contests import DemoContest
from campaign.operations.demo_designs import DemoDesigns
from campaign.operations.demo_events import DemoEvents
from campaign.operations.demo_ladders import DemoLadders
from campaign.operations.demo_results import HARD, SOFT, DemoResults, Sent
from campaign.operations.invented import COMMENTS, Somebody, key_at, somebody
from campaign.organizations import queries as organizations_queries
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization, Role
from campaign.organizations.services import Profile
from campaign.people import services as people
from campaign.people.models import Consent, Person, Purpose
from campaign.people.services import PersonDetails
from campaign.petitions import queries as petitions
from campaign.petitions import rules
from campaign.petitions.models import (
    CommentState,
    Display,
    Petition,
    Signature,
    SignatureDelta,
    SignatureState,
)
from campaign.places import queries as places
from campaign.places import services as places_services
from campaign.tokens import random_token
from campaign.web.links import external
from campaign.web.requests import settings

ZONE = "America/Chicago"
CAMPAIGN = "keep-our-clinics"
PETITION = "keep-our-clinics-open"
DAYS = 28
DECISION_IN_DAYS = 23

ORGANIZATIONS: dict[str, Profile] = {
    "stop": Profile(
        name="Southside Together",
        postal_address="61 Example Street, Chicago, IL 60637",
        sender_name="Southside Together",
        sender_email="hello@stop.example",
        reply_to="hello@stop.example",
        crisis_line="Warmline · línea de apoyo: 312 555 0142, 9 am – 9 pm (demo number)",
        time_zone=ZONE,
    ),
    "afscme-31": Profile(
        name="AFSCME Council 31",
        postal_address="31 Example Avenue, Chicago, IL 60602",
        sender_email="hello@afscme-31.example",
        time_zone=ZONE,
    ),
    "nurses": Profile(
        name="Illinois Nurses",
        postal_address="12 Example Avenue, Chicago, IL 60606",
        sender_email="hello@nurses.example",
        time_zone=ZONE,
    ),
    "next-steps": Profile(
        name="Next Steps",
        postal_address="7 Example Street, Chicago, IL 60653",
        sender_email="hello@next-steps.example",
        time_zone=ZONE,
    ),
}


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """A log-in for everybody to see: it exists in development only."""

    role: str
    email: str
    password: str
    name: str = ""
    organization: str = "stop"


LOGINS = (
    DemoLogin(Role.OWNER, "owner@stop.example", "open-the-front-door", "Ruth Ellison"),
    DemoLogin(Role.ORGANIZER, "organizer@stop.example", "knock-on-every-door", "Denise Marrow"),
    DemoLogin(Role.DATA_ENTRY, "data-entry@stop.example", "type-it-in-twice", "Omar Quintana"),
    DemoLogin(Role.VIEWER, "viewer@stop.example", "only-here-to-look", "Grace Tolliver"),
    DemoLogin(Role.LEGAL, "legal@stop.example", "call-me-from-inside", "Ida Moreau"),
    DemoLogin(
        Role.PARTNER, "partner@afscme-31.example", "stand-side-by-side", "Hector Lund", "afscme-31"
    ),
)


def demo_logins() -> list[DemoLogin]:
    """The log-ins that are there: in development, once the demo is loaded; else none."""
    if not settings().is_development:
        return []
    emails = {login.email: login for login in LOGINS}
    there = set(
        db.session.scalars(
            select(User.email).where(User.is_demo, User.is_active, User.email.in_(emails))
        )
    )
    return [login for login in LOGINS if login.email in there]


def load_demo() -> bool:
    """Load the demo; False, with nothing changed, when it is there already.

    The caller commits: the whole demo is there or nothing of it.
    """
    if any(organizations_queries.organization_by_slug(slug) for slug in ORGANIZATIONS):
        return False
    _Demo(clock.now()).load()
    return True


class _Demo:
    """One loading, with what its steps hand on to each other."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.random = Random(2009)  # noqa: S311 - invented people need no secrecy
        self.today = now.astimezone(clock.zone(ZONE)).date()
        self.decision = self.today + timedelta(days=DECISION_IN_DAYS)
        self.organizations: dict[str, Organization] = {}
        self.users: dict[str, User] = {}

    def load(self) -> None:
        places_services.load_chicago()
        self._add_organizations()
        self._add_campaign()
        self._add_petition()
        signers = self._signers()
        results = DemoResults(self.lead, self.petition, self.organizer_id, self.random)
        out = []
        for sent in self._mailings():
            at = self._at(sent.days_ago, sent.hour)
            self._sign([signer for signer in signers if signer.at < at])
            signers = [signer for signer in signers if signer.at >= at]
            out.append((sent, results.send(sent, at)))
        DemoContest(self.lead, self.petition, self.organizer_id).send(
            self._at(3, 11), external("front.campaign", campaign=CAMPAIGN)
        )
        self._add_lists()
        self._sign(signers)
        self._write_mailings()
        DemoEvents(
            campaign=self.campaign,
            decision=self.decision,
            organizer_id=self.organizer_id,
            zone=ZONE,
            now=self.now,
            random=self.random,
        ).load()
        db.session.flush()
        results.act(out)
        DemoDesigns(self.lead, self.petition, self.organizer_id).load()
        DemoLadders(self.lead, self.petition, self.organizer_id, self.now).load()
        db.session.flush()

    def _at(self, days_ago: int, hour: int, minute: int = 0) -> datetime:
        """A time of day in Chicago, some days ago."""
        day = datetime.combine(self.today - timedelta(days=days_ago), time(hour, minute))
        return clock.to_utc(day, ZONE)

    def _day(self, days_ago: int) -> date:
        return self.today - timedelta(days=days_ago)

    # Organizations and log-ins

    def _add_organizations(self) -> None:
        for slug, profile in ORGANIZATIONS.items():
            self.organizations[slug] = organizations.create_organization(slug, profile)
        self.lead = self.organizations["stop"]
        if settings().is_development:
            for login in LOGINS:
                self._add_login(login)
        self.organizer = self.users.get(Role.ORGANIZER)

    def _add_login(self, login: DemoLogin) -> None:
        user = accounts_queries.user_by_email(login.email) or accounts.create_user(
            login.email,
            name=login.name,
            password=login.password,
            time_zone=ZONE,
            is_demo=True,
        )
        organizations.add_member(
            self.organizations[login.organization].id, user, Role(login.role), by=None
        )
        self.users[login.role] = user

    @property
    def organizer_id(self) -> uuid.UUID | None:
        return self.organizer.id if self.organizer else None

    # The campaign

    def _add_campaign(self) -> None:
        self.campaign = campaigns.create_campaign(
            self.lead.id,
            CampaignDetails(
                slug=CAMPAIGN,
                title=TITLE,
                summary=SUMMARY,
                story=STORY,
                decision_on=self.decision,
                decision_label=Words(en="City Council votes", es="El Concejo Municipal vota"),
            ),
            user_id=self.organizer_id,
        )
        campaigns.publish_campaign(self.campaign, user_id=self.organizer_id)
        self.campaign.created_at = self.campaign.published_at = self._at(DAYS, 9)
        for site in CLINICS:
            self._add_clinic(site)
        for milestone in MILESTONES:
            campaigns.add_milestone(
                self.campaign,
                MilestoneDetails(
                    on=self._day(milestone.days_ago), title=milestone.title, result=milestone.result
                ),
            )
        for slug, details in PARTNERS.items():
            campaigns.add_partner(
                self.campaign, self.organizations[slug], details, user_id=self.organizer_id
            )

    def _add_clinic(self, site: Site) -> None:
        district = places.district_at(site.longitude, site.latitude)
        clinic = campaigns.add_clinic(
            self.campaign,
            ClinicDetails(
                name=site.name,
                address=site.address,
                postal_code=site.postal_code,
                district_id=district.id if district else None,
                people_served=site.people_served,
                services=site.services,
            ),
            StatusDetails(
                status=ClinicStatus.CLOSING,
                on=self.decision + timedelta(days=14),
            ),
            user_id=self.organizer_id,
        )
        self._date_last_change(clinic, self._at(27, 17))
        if site.is_saved:
            campaigns.change_clinic_status(
                clinic,
                StatusDetails(
                    status=ClinicStatus.SAVED,
                    on=self._day(4),
                    note=Words(
                        en="Kept open after the town hall.",
                        es="Sigue abierta después de la asamblea.",
                    ),
                ),
                user_id=self.organizer_id,
            )
            self._date_last_change(clinic, self._at(4, 20))

    def _date_last_change(self, clinic: Clinic, at: datetime) -> None:
        db.session.execute(
            update(ClinicStatusChange)
            .where(ClinicStatusChange.clinic_id == clinic.id, ClinicStatusChange.at >= self.now)
            .values(at=at)
        )

    def _add_petition(self) -> None:
        petition = Petition(
            organization_id=self.lead.id,
            campaign_id=self.campaign.id,
            slug=PETITION,
            title=PETITION_TITLE,
            summary=SUMMARY,
            text=PETITION_TEXT,
            target=Words(
                en="the Mayor and City Council of Chicago",
                es="la alcaldía y el Concejo Municipal de Chicago",
            ),
            thanks=PETITION_THANKS,
            next_label=Words(
                en="See the campaign and what comes next", es="Vea la campaña y qué sigue"
            ),
            next_url=f"/c/{CAMPAIGN}",
            goal=500,
            own_wording=Words(
                en="Southside Together may email me about this campaign.",
                es="Southside Together puede escribirme sobre esta campaña.",
            ),
        )
        petition.publish(self._at(DAYS, 9))
        petition.created_at = self._at(DAYS, 8)
        db.session.add(petition)
        db.session.flush()
        self.petition = petition

    # Signers

    def _signers(self) -> list[_Signer]:
        """Everybody who signs, in the order of time: more each week, most on the loud days."""
        signers = []
        number = 0
        comments = list(COMMENTS)
        self.random.shuffle(comments)
        for days_ago in range(DAYS - 1, -1, -1):
            for _ in range(DAY_COUNTS[DAYS - 1 - days_ago]):
                number += 1
                signers.append(self._signer(number, days_ago, comments))
        return sorted((s for s in signers if s.at < self.now), key=lambda signer: signer.at)

    def _signer(self, number: int, days_ago: int, comments: list[tuple[str, str]]) -> _Signer:
        random = self.random
        who = somebody(number, random, postal_codes=POSTAL_CODES)
        at = self._at(days_ago, random.randint(7, 22), random.randint(0, 59))
        at += timedelta(seconds=random.randint(0, 59))
        comment = ""
        if random.random() < 0.085:
            fitting = [pair for pair in comments if pair[0] == who.language]
            if fitting:
                comments.remove(fitting[0])
                comment = fitting[0][1]
        return _Signer(
            who=who,
            at=at,
            state=self._state(number, days_ago),
            source=random.choices(list(SOURCES), weights=list(SOURCES.values()))[0],
            display=random.choices(
                [Display.HIDDEN, Display.INITIAL, Display.FULL], weights=[46, 34, 20]
            )[0],
            comment=comment,
            grantees=tuple(slug for slug, share in GRANTS.items() if random.random() < share),
        )

    @staticmethod
    def _state(number: int, days_ago: int) -> SignatureState:
        if number % 31 == 0:
            return SignatureState.UNVERIFIED
        if number % 53 == 0:
            return SignatureState.REVIEW
        if number % 97 == 0:
            return SignatureState.WITHDRAWN
        if days_ago < 6 and number % 11 == 0:
            return SignatureState.PENDING
        return SignatureState.CONFIRMED

    def _sign(self, signers: Sequence[_Signer]) -> None:
        """Write signatures, and for those that were confirmed the person, consents and count."""
        boxes = {box.slug: box for box in petitions.boxes_of(self.petition)}
        wordings = {
            (slug, language): people.wording_for(
                box.grantee_id, language=language, text=box.wording.get_for(language)
            ).id
            for slug, box in boxes.items()
            for language in ("en", "es")
        }
        known = [
            s for s in signers if s.state in {SignatureState.CONFIRMED, SignatureState.WITHDRAWN}
        ]
        merged = people.merge_people(self.lead.id, [self._details(signer) for signer in known])
        person_ids = {
            id(signer): found.person_id for signer, found in zip(known, merged, strict=True)
        }
        signatures, deltas, consents, dates = [], [], [], []
        for signer in signers:
            person_id = person_ids.get(id(signer))
            choices = {
                boxes[slug].grantee_id: wordings[(slug, signer.who.language)]
                for slug in signer.grantees
                if signer.has_email
            }
            signatures.append(self._signature(signer, person_id, choices))
            deltas += self._deltas(signer)
            if person_id is None:
                continue
            confirmed_at = signer.at + timedelta(minutes=6)
            dates.append({"id": person_id, "created_at": confirmed_at, "updated_at": confirmed_at})
            consents += [
                {
                    "id": key_at(confirmed_at, self.random),
                    "organization_id": self.lead.id,
                    "person_id": person_id,
                    "grantee_id": grantee_id,
                    "purpose": Purpose.EMAIL,
                    "is_granted": True,
                    "wording_id": wording_id,
                    "source": "page",
                    "source_detail": f"/p/{PETITION}",
                    "campaign_id": self.campaign.id,
                    "at": confirmed_at,
                }
                for grantee_id, wording_id in choices.items()
            ]
        for table, rows in ((Signature, signatures), (SignatureDelta, deltas), (Consent, consents)):
            if rows:
                db.session.execute(insert(table), rows)
        if dates:
            db.session.execute(update(Person), dates)

    def _details(self, signer: _Signer) -> PersonDetails:
        district_id, share = places.district_for(signer.who.postal_code)
        return PersonDetails(
            email=signer.who.email,
            first_name=signer.who.first_name,
            last_name=signer.who.last_name,
            postal_code=signer.who.postal_code,
            language=signer.who.language,
            source=signer.source or f"petition {PETITION}",
            district_id=district_id,
            district_share=share,
        )

    def _signature(
        self,
        signer: _Signer,
        person_id: uuid.UUID | None,
        choices: dict[uuid.UUID, uuid.UUID],
    ) -> dict[str, object]:
        who = signer.who
        district_id, share = places.district_for(who.postal_code)
        email = who.email if signer.has_email else ""
        is_withdrawn = signer.state == SignatureState.WITHDRAWN
        is_known = person_id is not None
        comment = "" if is_withdrawn else signer.comment
        return {
            "id": key_at(signer.at, self.random),
            "organization_id": self.lead.id,
            "petition_id": self.petition.id,
            "person_id": person_id,
            "state": signer.state,
            "address_hash": rules.signer_hash(
                email, who.first_name, who.last_name, who.postal_code
            ),
            "slot": 1,
            "email": email or None,
            "first_name": who.first_name,
            "last_name": who.last_name,
            "postal_code": who.postal_code,
            "district_id": district_id,
            "district_share": share,
            "display": Display.HIDDEN if is_withdrawn else signer.display,
            "comment": comment,
            "comment_state": self._comment_state(signer, comment),
            "language": who.language,
            "source": signer.source,
            "channel": "web",
            "referral_code": random_token(12),
            "wordings": {key.hex: value.hex for key, value in choices.items()},
            "review_reason": "many from one place, disposable address"
            if signer.state == SignatureState.REVIEW
            else "",
            "created_at": signer.at,
            "expires_at": signer.at + timedelta(days=rules.CONFIRM_DAYS)
            if signer.state == SignatureState.PENDING
            else None,
            "confirmed_at": signer.at + timedelta(minutes=6) if is_known else None,
            "withdrawn_at": signer.at + timedelta(hours=20) if is_withdrawn else None,
        }

    def _comment_state(self, signer: _Signer, comment: str) -> CommentState:
        if not comment:
            return CommentState.NONE
        is_recent = signer.at > self.now - timedelta(days=4)
        return CommentState.WAITING if is_recent else CommentState.APPROVED

    def _deltas(self, signer: _Signer) -> list[dict[str, object]]:
        district_id, _share = places.district_for(signer.who.postal_code)
        steps: list[tuple[str, int, datetime]] = []
        if signer.state in {SignatureState.CONFIRMED, SignatureState.WITHDRAWN}:
            steps.append((SignatureState.CONFIRMED, 1, signer.at + timedelta(minutes=6)))
        if signer.state == SignatureState.WITHDRAWN:
            steps.append((SignatureState.CONFIRMED, -1, signer.at + timedelta(hours=20)))
        if signer.state == SignatureState.UNVERIFIED:
            steps.append((SignatureState.UNVERIFIED, 1, signer.at))
        return [
            {
                "id": key_at(at, self.random),
                "petition_id": self.petition.id,
                "district_key": district_id.hex if district_id else "",
                "kind": kind,
                "amount": amount,
                "created_at": at,
            }
            for kind, amount, at in steps
        ]

    # Lists, segments, tags

    def _add_lists(self) -> None:
        ids = list(
            db.session.scalars(
                select(Person.id)
                .where(Person.organization_id == self.lead.id)
                .order_by(Person.created_at, Person.id)
            )
        )
        for name, step in TAGS.items():
            people.add_tag_to(people.tag_named(self.lead.id, name), ids[step::step])
        helpers = lists.create_list(
            self.lead.id, "Vigil helpers", "People who said they can carry, drive or greet."
        )
        lists.add_to_list(helpers, ids[3::9])
        for key, text in zip(ids[3::60], NOTES, strict=False):
            people.add_note(db.session.get_one(Person, key), text, author_id=self.organizer_id)
        wards = {district.code: district.id for district in places.districts()}
        signed = segments.Signed(petition_id=self.petition.id)
        lists.save_segment(
            self.lead.id,
            "Signed, near Woodlawn",
            segments.Group(
                rules=(
                    signed,
                    segments.InDistrict(
                        district_ids=tuple(wards[code] for code in ("4", "5", "20"))
                    ),
                )
            ),
        )
        lists.save_segment(
            self.lead.id,
            "Signed, reads Spanish",
            segments.Group(rules=(signed, segments.Speaks(language="es"))),
        )

    # Mailings

    def _mailings(self) -> tuple[Sent, ...]:
        """Those of the last weeks, the first one first."""
        places = {
            "campaign": external("front.campaign", campaign=CAMPAIGN),
            "petition": external("petitions.petition", petition=PETITION),
        }
        return tuple(
            replace(sent, details=replace(sent.details, body=sent.details.body.format(**places)))
            for sent in SENT
        )

    def _write_mailings(self) -> None:
        """A draft, and one that goes out in six days (in development; elsewhere a second draft)."""
        petition_url = external("petitions.petition", petition=PETITION)
        mailings.create_message(
            self.lead.id,
            MessageDetails(
                name="Bring a neighbor",
                subject="Could you bring one neighbor, {{ first_name|friend }}?",
                preheader="One more name from each of us.",
                body=DRAFT_BODY.format(petition=petition_url),
            ),
            author_id=self.organizer_id,
            audience=Audience(include=(Choice(ChoiceKind.PETITION, self.petition.id),)),
        )
        soon = mailings.create_message(
            self.lead.id,
            MessageDetails(
                name="The week of the hearing",
                subject="Three minutes at City Hall",
                preheader="How to speak, and how to listen.",
                body=SCHEDULED_BODY,
            ),
            author_id=self.organizer_id,
            audience=Audience(include=(Choice(ChoiceKind.EVERYBODY),)),
        )
        if self.organizer is not None:
            wall = datetime.combine(self.today + timedelta(days=6), time(10, 0))
            mailings.schedule_message(soon, wall, ZONE, user_id=self.organizer.id)


@dataclass(frozen=True, slots=True, eq=False)
class _Signer:
    """Somebody who signs: who, when, and what became of it."""

    who: Somebody
    at: datetime
    state: SignatureState
    source: str
    display: Display
    comment: str
    grantees: tuple[str, ...]

    @property
    def has_email(self) -> bool:
        return self.state != SignatureState.UNVERIFIED


@dataclass(frozen=True, slots=True)
class Site:
    """A clinic: where it is (public facts of 2009), and how many come there (invented)."""

    name: str
    address: str
    postal_code: str
    longitude: float
    latitude: float
    people_served: int
    services: Words
    is_saved: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the timeline."""

    days_ago: int
    title: Words
    result: Words


def _services(en: str, es: str) -> Words:
    """What a clinic offers, with the word that its number is invented."""
    return Words(en=f"{en} (Number invented.)", es=f"{es} (Número inventado.)")


CLINICS = (
    Site(
        "Woodlawn",
        "6337 S. Woodlawn Ave.",
        "60637",
        -87.5964,
        41.7787,
        540,
        _services(
            "A group every Tuesday, medicine, someone to talk to.",
            "Un grupo cada martes, medicinas, alguien con quien hablar.",
        ),
    ),
    Site(
        "Back of the Yards",
        "4313 S. Ashland Ave.",
        "60609",
        -87.6650,
        41.8155,
        480,
        _services("Care in English and Spanish.", "Atención en inglés y español."),
    ),
    Site(
        "Beverly Morgan Park",
        "1987 W. 111th St.",
        "60643",
        -87.6745,
        41.6918,
        390,
        _services(
            "Care for families on the Far South Side.", "Atención para familias del extremo sur."
        ),
        is_saved=True,
    ),
    Site(
        "Greater Grand/Mid-South",
        "4314 S. Cottage Grove Ave.",
        "60653",
        -87.6066,
        41.8160,
        610,
        _services("Walk in on weekday mornings.", "Sin cita por las mañanas, de lunes a viernes."),
    ),
)

MILESTONES = (
    Event(
        27,
        Words(
            en="The city said it would close four of twelve clinics",
            es="La ciudad dijo que cerraría cuatro de doce clínicas",
        ),
        Words(),
    ),
    Event(
        24,
        Words(
            en="Forty of us met at Woodlawn and asked: who decides?",
            es="Cuarenta nos reunimos en Woodlawn y preguntamos: ¿quién decide?",
        ),
        Words(
            en="Two unions and a tenants’ group joined.",
            es="Se unieron dos sindicatos y un grupo de inquilinos.",
        ),
    ),
    Event(
        18,
        Words(
            en="We brought 900 letters to City Hall",
            es="Llevamos 900 cartas al Ayuntamiento",
        ),
        Words(
            en="The council agreed to hold a hearing.",
            es="El Concejo aceptó celebrar una audiencia.",
        ),
    ),
    Event(
        11,
        Words(
            en="Seventy people stood with candles outside Back of the Yards",
            es="Setenta personas velaron con velas frente a Back of the Yards",
        ),
        Words(
            en="Three council members came, and said they will vote no.",
            es="Vinieron tres concejales y dijeron que votarán en contra.",
        ),
    ),
    Event(
        4,
        Words(
            en="Our town hall was so full that people stood in the yard",
            es="Nuestra asamblea se llenó tanto que hubo gente de pie en el patio",
        ),
        Words(
            en="Beverly Morgan Park stays open. One of four.",
            es="Beverly Morgan Park sigue abierta. Una de cuatro.",
        ),
    ),
)

PARTNERS: dict[str, PartnerDetails] = {
    "afscme-31": PartnerDetails(
        wording=Words(
            en="AFSCME Council 31 may email me about public services in Chicago.",
            es="AFSCME Council 31 puede escribirme sobre los servicios públicos de Chicago.",
        ),
        about=Words(
            en="The union of the people who work in the clinics.",
            es="El sindicato de quienes trabajan en las clínicas.",
        ),
    ),
    "nurses": PartnerDetails(
        wording=Words(
            en="Illinois Nurses may email me about health care in Chicago.",
            es="Illinois Nurses puede escribirme sobre la salud en Chicago.",
        ),
        about=Words(
            en="Nurses who see each day what happens when care is far away.",
            es="Enfermeras que ven cada día qué pasa cuando la atención queda lejos.",
        ),
    ),
    "next-steps": PartnerDetails(
        wording=Words(
            en="Next Steps may email me about its groups, led by people who use services.",
            es="Next Steps puede escribirme sobre sus grupos, guiados por usuarios de servicios.",
        ),
        about=Words(
            en="People who have been there, working so that others are heard.",
            es="Personas que pasaron por ello y trabajan para que se escuche a los demás.",
        ),
    ),
}

GRANTS = {"stop": 0.74, "afscme-31": 0.31, "nurses": 0.38, "next-steps": 0.22}
"""Which share of signers ticks which box."""

SOURCES = {
    "": 40,
    "whatsapp": 22,
    "flyer-woodlawn": 14,
    "facebook": 11,
    "qr-waiting-room": 9,
    "afscme-31": 12,
    "nurses": 7,
    "radio": 3,
}
TAGS = {"volunteer": 7, "wants to speak": 17, "has a car": 13, "faith leader": 41}
NOTES = (
    "Can lend folding chairs. Ask a week ahead.",
    "Prefers a call in the morning.",
    "Would like to read her letter at the hearing.",
    "Knows the alderman’s staff from the block club.",
)

POSTAL_CODES = {
    "60637": 22, "60609": 18, "60653": 15, "60643": 15, "60615": 9, "60619": 12, "60620": 11,
    "60621": 9, "60636": 9, "60649": 11, "60628": 9, "60608": 9, "60632": 8, "60629": 8,
    "60616": 8, "60617": 8, "60623": 8, "60644": 7, "60651": 7, "60624": 6, "60612": 6, "60622": 6,
    "60647": 7, "60618": 6, "60625": 6, "60640": 7, "60626": 6, "60657": 4, "60614": 4, "60610": 3,
    "60639": 5, "60641": 4, "60634": 3, "60652": 5, "60655": 4, "60638": 4, "60660": 4, "60645": 3,
    "60630": 2, "60659": 3, "60613": 3, "60646": 2, "60631": 1, "60302": 2,
}  # fmt: skip
DAY_COUNTS = (
    4, 6, 10, 8, 7, 9, 8, 7, 8, 10, 18, 14, 10, 9, 10, 9, 21, 17, 13, 11, 12, 11, 15, 35, 27, 21, 19, 14
)  # fmt: skip
"""Signatures by day, the first day first; the town hall is the peak."""

TITLE = Words(en="Keep our four clinics open", es="Que sigan abiertas nuestras cuatro clínicas")
SUMMARY = Words(
    en=(
        "The city plans to close four public mental health clinics. Two thousand of us would "
        "lose the place that keeps us well. City Council can stop it."
    ),
    es=(
        "La ciudad planea cerrar cuatro clínicas públicas de salud mental. Dos mil personas "
        "perderíamos el lugar que nos mantiene bien. El Concejo Municipal puede impedirlo."
    ),
)
_DEMO_NOTE_EN = (
    "*This is a demo. It retells the campaign that kept four Chicago clinics open in 2009. The "
    "clinics were real. All people, quotes and numbers here are invented.*"
)
_DEMO_NOTE_ES = (
    "*Esto es una demostración. Cuenta de nuevo la campaña que en 2009 mantuvo abiertas cuatro "
    "clínicas de Chicago. Las clínicas existieron. Todas las personas, citas y cifras de aquí son "
    "inventadas.*"
)
STORY = Words(
    en=f"""{_DEMO_NOTE_EN}

## What happens if they close

Each clinic has people who have come for ten, fifteen, twenty years. They know the bus. They know who sits at the desk. The nearest place left would be two buses away.

When clinics closed before, people ended up in emergency rooms and in jail cells. Some just stopped coming.

> “My group meets here every Tuesday. It is the reason I get up on Tuesdays.”
>
> A member of the Tuesday group (an invented voice)

## What we ask

- Keep all four clinics open, with the staff who know us.
- Ask the people who use a clinic before you decide about it.
- Tell the public what it costs to close one.
""",
    es=f"""{_DEMO_NOTE_ES}

## Qué pasa si cierran

En cada clínica hay personas que vienen desde hace diez, quince, veinte años. Conocen el autobús. Conocen a quien atiende en la entrada. El lugar más cercano que quedaría está a dos autobuses.

Cuando antes cerraron clínicas, la gente terminó en salas de emergencia y en celdas. Algunos simplemente dejaron de venir.

> “Mi grupo se reúne aquí todos los martes. Por eso me levanto los martes.”
>
> Una persona del grupo de los martes (una voz inventada)

## Qué pedimos

- Que sigan abiertas las cuatro clínicas, con el personal que nos conoce.
- Que pregunten a quienes usan una clínica antes de decidir sobre ella.
- Que digan al público cuánto cuesta cerrar una.
""",
)
PETITION_TITLE = Words(en="Keep all four clinics open", es="Que las cuatro clínicas sigan abiertas")
PETITION_TEXT = Words(
    en=f"""{_DEMO_NOTE_EN}

## What happens if they close

Each clinic has people who have come for ten, fifteen, twenty years. The nearest place left would be two buses away. When clinics closed before, people ended up in emergency rooms and jail cells.

> “My group meets here every Tuesday. It is the reason I get up on Tuesdays.”
>
> A member of the Tuesday group (an invented voice)

## What we ask you to do

Vote to keep the Woodlawn, Back of the Yards, Beverly Morgan Park and Greater Grand/Mid-South clinics open, with the staff who know us. And before you decide about a clinic, ask the people who use it.
""",
    es=f"""{_DEMO_NOTE_ES}

## Qué pasa si cierran

En cada clínica hay personas que vienen desde hace diez, quince, veinte años. El lugar más cercano que quedaría está a dos autobuses. Cuando antes cerraron clínicas, la gente terminó en salas de emergencia y en celdas.

> “Mi grupo se reúne aquí todos los martes. Por eso me levanto los martes.”
>
> Una persona del grupo de los martes (una voz inventada)

## Qué les pedimos

Voten por mantener abiertas las clínicas de Woodlawn, Back of the Yards, Beverly Morgan Park y Greater Grand/Mid-South, con el personal que nos conoce. Y antes de decidir sobre una clínica, pregunten a quienes la usan.
""",
)
PETITION_THANKS = Words(
    en="Thank you. You are one more neighbor who will not let the door be locked.",
    es="Gracias. Es usted una persona más que no dejará que cierren la puerta.",
)

SENT_BODY = """Dear {{{{ first_name|friend }}}},

City Council has set the day. We have a little over three weeks, and we know how to use them.

**This week:** tell one person who does not know yet. Most people sign when a neighbor asks them.

**Next week:** we practice speaking. Three minutes is longer than you think, and we help you write it.

[See where we stand]({campaign})

With you,

Denise, for Southside Together

*This letter is part of a demo. People and quotes are invented.*
"""

FIRST_BODY = """Dear {{{{ first_name|neighbor }}}},

there is a list at City Hall, and our four clinics are on it. The people who wrote it have never sat in one of the waiting rooms. We have.

[Tell them with us]({campaign})

If you have signed already, send this to somebody who uses a clinic, or did once: {petition}

*This letter is part of a demo. People and quotes are invented.*
"""
WARD_BODY = """Dear {{{{ first_name|neighbor }}}},

your alderman will vote on it, and counts the names from your ward. In some wards eleven names would change a mind.

[See how many we are in your ward]({campaign})

[Send the petition on]({petition})

*This letter is part of a demo. People and quotes are invented.*
"""
SENT = (
    Sent(
        19,
        18,
        MessageDetails(
            name="The list",
            subject="Four clinics are on a list",
            preheader="We have two months to get them off it.",
            body=FIRST_BODY,
        ),
        returns=(HARD, HARD, SOFT),
        stops=1,
        clicks=0.42,
        signed=0.16,
    ),
    Sent(
        12,
        9,
        MessageDetails(
            name="Ward by ward",
            subject="How many names from your ward?",
            preheader="Eleven more could be enough.",
            body=WARD_BODY,
        ),
        returns=(HARD, SOFT, SOFT),
        complaints=1,
        stops=2,
        clicks=0.31,
        signed=0.12,
    ),
    Sent(
        5,
        10,
        MessageDetails(
            name="The vote has a date",
            subject="City Council has set the day",
            preheader="What we do until then, step by step.",
            body=SENT_BODY,
        ),
        returns=(HARD, HARD, SOFT, SOFT, SOFT, HARD, HARD),
        stops=3,
        clicks=0.55,
        signed=0.2,
    ),
)
"""The mailings of the last weeks."""
DRAFT_BODY = """Dear {{{{ first_name|friend }}}},

One of our four clinics is safe. Three are not.

If each of us brings one neighbor, we double. Send them this page. It takes a minute, and their name stays hidden unless they choose to show it.

[Sign the petition]({petition})

Thank you for standing with us.

*This letter is part of a demo. People and quotes are invented.*
"""
SCHEDULED_BODY = """Dear {{ first_name|friend }},

The hearing is near. You can speak for three minutes, or come and just be there. Both help.

- Bring water, and someone you trust.
- There is a quiet room. Ask anyone with a yellow ribbon.
- If you would rather write, we will read your words for you.

*This letter is part of a demo. People and quotes are invented.*
"""
