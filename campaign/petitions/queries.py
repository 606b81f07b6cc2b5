"""What is asked about petitions and signatures.

Counts are read from the totals and the deltas not yet rolled up, in one statement: a reader takes
no lock that a signature waits for, and sees each delta exactly once.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, String, cast, func, or_, select, union_all

from campaign import clock
from campaign.campaigns.boxes import Box, boxes_for, key_of
from campaign.campaigns.models import SLUG
from campaign.db import Words, db, reading
from campaign.errors import Gone, NotFound
from campaign.fields import queries as fields
from campaign.fields.models import Question
from campaign.mail.addresses import address_hash
from campaign.organizations.models import Organization
from campaign.people import strangers
from campaign.people.models import ConsentWording
from campaign.petitions import rules
from campaign.petitions.models import (
    CommentState,
    Display,
    Invalidation,
    Petition,
    PetitionState,
    Signature,
    SignatureDelta,
    SignatureState,
    SignatureTotal,
)
from campaign.places import queries as places
from campaign.places.models import District
from campaign.tokens import fingerprint
from campaign.web.page_cache import PageCache

Key = TypeVar("Key")
SHEET_SECONDS = 3.0
TOKEN_BYTES = 32
COUNTED = (SignatureState.CONFIRMED, SignatureState.UNVERIFIED)


@dataclass(frozen=True, slots=True)
class Counts:
    """Signatures of a petition that count. `unverified` have no e-mail and are told apart."""

    confirmed: int = 0
    unverified: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """What signing must know of a petition, read once and kept for a moment.

    `version` changes whenever anything that an e-mail about it says has changed, `boxes_key` with
    the words of the consent boxes.
    """

    id: uuid.UUID
    organization_id: uuid.UUID
    campaign_id: uuid.UUID
    slug: str
    title: Words
    state: str
    closes_at: datetime | None
    has_comments: bool
    asks_phone: bool
    most_public: str
    boxes: tuple[Box, ...]
    boxes_key: str
    questions: tuple[Question, ...]
    version: str

    def is_open(self, now: datetime) -> bool:
        return self.state == PetitionState.PUBLISHED and (
            self.closes_at is None or now < self.closes_at
        )

    def box_for(self, slug: str) -> Box | None:
        return next((box for box in self.boxes if box.slug == slug), None)


def answers_of(signature: Signature, language: str) -> list[tuple[str, str]]:
    """What a signer answered besides, for themself: until it stands with their person."""
    return fields.answers_in_words(
        signature.organization_id, signature.answers, language, with_sensitive=True
    )


# --- petitions ---------------------------------------------------------------------------------


def petition_by_slug(slug: str) -> Petition:
    """A petition that the public may see. Raises NotFound for drafts and unknown ones."""
    if not SLUG.fullmatch(slug):
        raise NotFound
    petition = db.session.scalar(select(Petition).where(Petition.slug == slug))
    if petition is None or petition.state == PetitionState.DRAFT:
        raise NotFound
    return petition


def petition_of(organization_id: uuid.UUID, petition_id: uuid.UUID) -> Petition:
    """A petition of this organization. Raises NotFound for another's and unknown ones."""
    petition = db.session.scalar(
        select(Petition).where(
            Petition.id == petition_id, Petition.organization_id == organization_id
        )
    )
    if petition is None:
        raise NotFound
    return petition


def petitions_of(organization_id: uuid.UUID) -> list[Petition]:
    """All petitions of an organization, the newest first."""
    return list(
        db.session.scalars(
            select(Petition)
            .where(Petition.organization_id == organization_id)
            .order_by(Petition.id.desc())
        )
    )


def open_petitions(campaign_id: uuid.UUID) -> list[Petition]:
    """The petitions of a campaign that can be signed now, the newest first."""
    return list(
        db.session.scalars(
            select(Petition)
            .where(
                Petition.campaign_id == campaign_id,
                Petition.state == PetitionState.PUBLISHED,
                or_(Petition.closes_at.is_(None), Petition.closes_at > clock.now()),
            )
            .order_by(Petition.published_at.desc(), Petition.id.desc())
        )
    )


def boxes_of(petition: Petition) -> tuple[Box, ...]:
    """The consent boxes on a petition: the lead organization's own, then one per partner."""
    return boxes_for(petition.organization_id, petition.campaign_id, petition.own_wording)


def sheet_of(petition: Petition) -> Sheet:
    """The sheet of a petition as it is now."""
    lead = db.session.get_one(Organization, petition.organization_id)
    campaign, boxes = petition.campaign, boxes_of(petition)
    return Sheet(
        id=petition.id,
        organization_id=petition.organization_id,
        campaign_id=petition.campaign_id,
        slug=petition.slug,
        title=petition.title,
        state=petition.state,
        closes_at=petition.closes_at,
        has_comments=petition.has_comments,
        asks_phone=petition.asks_phone,
        most_public=petition.most_public,
        boxes=boxes,
        boxes_key=key_of(boxes),
        questions=fields.questions(petition.organization_id, petition.field_ids),
        version="/".join(str(row.updated_at.timestamp()) for row in (petition, lead, campaign)),
    )


_sheets: WeakKeyDictionary[Any, PageCache] = WeakKeyDictionary()


def sheet(slug: str) -> Sheet:
    """The sheet of a public petition, at most three seconds old: after two, one who signs reads
    it again while the others go on. Raises NotFound like its page."""
    kept = _sheets.get(db.engine)
    if kept is None:
        kept = _sheets.setdefault(db.engine, PageCache(SHEET_SECONDS))
    return kept.get(slug, lambda: _read_sheet(slug))


def _read_sheet(slug: str) -> Sheet:
    """Read it in a transaction that ends here: on SQLite nobody waits for it to write."""
    has_begun = db.session.registry.has() and db.session().in_transaction()
    with reading():
        try:
            return sheet_of(petition_by_slug(slug))
        finally:
            if not has_begun:
                db.session.rollback()


def forget_sheets() -> None:
    """Read again: after a petition was changed."""
    _sheets.clear()


# --- counts ------------------------------------------------------------------------------------


def _parts(*where: Any, delta_where: Any = ()) -> Any:
    """Rolled-up and not yet rolled-up counts as (petition_id, district_key, kind, amount)."""
    totals = select(
        SignatureTotal.petition_id,
        SignatureTotal.district_key,
        SignatureTotal.kind,
        SignatureTotal.count.label("amount"),
    ).where(*where)
    deltas = select(
        SignatureDelta.petition_id,
        SignatureDelta.district_key,
        SignatureDelta.kind,
        SignatureDelta.amount,
    ).where(*delta_where)
    return union_all(totals, deltas).subquery()


def count(petition_id: uuid.UUID) -> Counts:
    """How many signatures count, as shown in public."""
    return counts([petition_id]).get(petition_id, Counts())


def counts(petition_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Counts]:
    """`count` of several petitions at once."""
    if not petition_ids:
        return {}
    parts = _parts(
        SignatureTotal.petition_id.in_(petition_ids),
        delta_where=(SignatureDelta.petition_id.in_(petition_ids),),
    )
    found: dict[uuid.UUID, dict[str, int]] = {}
    rows = db.session.execute(
        select(parts.c.petition_id, parts.c.kind, func.sum(parts.c.amount)).group_by(
            parts.c.petition_id, parts.c.kind
        )
    )
    for petition_id, kind, amount in rows:
        found.setdefault(petition_id, {})[kind] = int(amount)
    return {
        petition_id: Counts(kinds.get("confirmed", 0), kinds.get("unverified", 0))
        for petition_id, kinds in found.items()
    }


def counts_by_district(petition_id: uuid.UUID) -> dict[uuid.UUID | None, int]:
    """Confirmed signatures by district; under None those without one."""
    parts = _parts(
        SignatureTotal.petition_id == petition_id,
        SignatureTotal.kind == SignatureState.CONFIRMED,
        delta_where=(
            SignatureDelta.petition_id == petition_id,
            SignatureDelta.kind == SignatureState.CONFIRMED,
        ),
    )
    rows = db.session.execute(
        select(parts.c.district_key, func.sum(parts.c.amount)).group_by(parts.c.district_key)
    )
    return {(uuid.UUID(key) if key else None): int(amount) for key, amount in rows if int(amount)}


def counts_by_ward(petition_id: uuid.UUID) -> dict[str, int]:
    """Confirmed signatures by the district's code ("20"), in the order of the numbers."""
    found = counts_by_district(petition_id)
    ids = [key for key in found if key is not None]
    codes = db.session.execute(select(District.id, District.code).where(District.id.in_(ids))).all()
    pairs = [(code, found[district_id]) for district_id, code in codes]
    return dict(sorted(pairs, key=lambda pair: (len(pair[0]), pair[0])))


def recount(petition_id: uuid.UUID) -> Counts:
    """The count from the signatures themselves: what the shown one must agree with."""
    rows = dict(
        db.session.execute(
            select(Signature.state, func.count())
            .where(Signature.petition_id == petition_id, Signature.state.in_(COUNTED))
            .group_by(Signature.state)
        ).all()
    )
    return Counts(rows.get(SignatureState.CONFIRMED, 0), rows.get(SignatureState.UNVERIFIED, 0))


# --- the public page ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PublicSigner:
    """Somebody as far as they wish to be seen. A blank name: they asked not to be named."""

    name: str = ""
    ward: str = ""
    comment: str = ""


def public_signers(petition: Petition, language: str, limit: int = 12) -> list[PublicSigner]:
    """The latest signers who chose to be seen, the latest first."""
    if petition.most_public == Display.HIDDEN:
        return []
    rows = db.session.scalars(
        select(Signature)
        .where(
            Signature.petition_id == petition.id,
            Signature.state == SignatureState.CONFIRMED,
            Signature.display != Display.HIDDEN,
        )
        .order_by(Signature.confirmed_at.desc(), Signature.id.desc())
        .limit(limit)
    )
    wards = places.district_names(language)
    return [as_public(row, petition, wards) for row in rows]


def public_comments(petition: Petition, language: str, limit: int = 6) -> list[PublicSigner]:
    """Approved comments with the name as far as its owner wishes, the latest first."""
    rows = db.session.scalars(
        select(Signature)
        .where(
            Signature.petition_id == petition.id,
            Signature.state.in_(COUNTED),
            Signature.comment_state == CommentState.APPROVED,
        )
        .order_by(Signature.id.desc())
        .limit(limit)
    )
    wards = places.district_names(language)
    return [as_public(row, petition, wards) for row in rows]


def as_public(
    signature: Signature, petition: Petition, wards: Mapping[uuid.UUID, str]
) -> PublicSigner:
    """What may be shown of a signature: never more than its owner and the petition allow."""
    display = rules.least(signature.display, petition.most_public)
    ward = wards.get(signature.district_id, "") if signature.district_id else ""
    if display == Display.FULL:
        name = f"{signature.first_name} {signature.last_name}".strip()
        return PublicSigner(name=name, comment=signature.comment)
    if display == Display.INITIAL:
        return PublicSigner(name=signature.first_name, ward=ward, comment=signature.comment)
    return PublicSigner(comment=signature.comment)


def district_count(kind: str = "ward") -> int:
    """How many districts there are on the map."""
    return (
        db.session.scalar(select(func.count()).select_from(District).where(District.kind == kind))
        or 0
    )


def wordings_in(signature: Signature) -> list[str]:
    """The consents a signature carries, in the words that were shown."""
    ids = [uuid.UUID(wording) for wording in signature.wordings.values()]
    return list(
        db.session.scalars(
            select(ConsentWording.text)
            .where(ConsentWording.id.in_(ids))
            .order_by(ConsentWording.id)
        )
    )


# --- signatures --------------------------------------------------------------------------------


def signature_by_token(token: str, *, lock: bool = False, in_time: bool = True) -> Signature:
    """The signature of a signer's link. Raises NotFound, and where it matters whether it is used
    `in_time` (to confirm), Gone when it was not."""
    statement = select(Signature).where(Signature.id == _id_in(token))
    if lock:
        statement = statement.with_for_update()
    signature = db.session.scalar(statement)
    if signature is None or not hmac.compare_digest(signature.token_hash or "", fingerprint(token)):
        raise NotFound
    if in_time and is_expired(signature):
        raise Gone
    return signature


def _id_in(token: str) -> uuid.UUID:
    """The id at the beginning of a signer's token, whose other half is the secret."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=")
    except (ValueError, UnicodeError):
        raise NotFound from None
    if len(raw) != TOKEN_BYTES:
        raise NotFound
    return uuid.UUID(bytes=raw[:16])


def is_expired(signature: Signature) -> bool:
    """Whether it was not confirmed in time. The link of a counted one goes on saying thanks."""
    return (
        signature.state == SignatureState.PENDING
        and signature.expires_at is not None
        and signature.expires_at <= clock.now()
    )


def signature_by_id(signature_id: uuid.UUID) -> Signature | None:
    """A signature, for links that carry the permission."""
    return db.session.get(Signature, signature_id)


def has_signed(petition_id: uuid.UUID, earlier: Signature) -> bool:
    """Whether whoever made `earlier` is counted on this petition, too."""
    found = db.session.scalars(
        select(Signature).where(
            Signature.petition_id == petition_id,
            Signature.address_hash == earlier.address_hash,
            Signature.state == SignatureState.CONFIRMED,
        )
    )
    name = (earlier.first_name, earlier.last_name)
    return any(strangers.is_same_name((one.first_name, one.last_name), name) for one in found)


def signature_by_referral(code: str) -> Signature | None:
    """The counted signature whose link brought somebody here."""
    return db.session.scalar(
        select(Signature).where(
            Signature.referral_code == code[:24], Signature.state == SignatureState.CONFIRMED
        )
    )


def signatures_of(person_id: uuid.UUID) -> list[Signature]:
    """What a person signed, the latest first."""
    return list(
        db.session.scalars(
            select(Signature).where(Signature.person_id == person_id).order_by(Signature.id.desc())
        )
    )


def signatures_by_address(hashed: str) -> list[Signature]:
    """Signatures under an address that belong to nobody's row yet, too; the latest first."""
    return list(
        db.session.scalars(
            select(Signature).where(Signature.address_hash == hashed).order_by(Signature.id.desc())
        )
    )


def signers(
    petition_id: uuid.UUID, *, states: Sequence[str] = (SignatureState.CONFIRMED,)
) -> Select[Any]:
    """The people whose signature counts, as a select of ids for lists and exports."""
    return select(Signature.person_id).where(
        Signature.petition_id == petition_id,
        Signature.state.in_(states),
        Signature.person_id.is_not(None),
    )


def any_of(clauses: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    """One of several clauses."""
    return or_(*clauses)


# --- the console -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which signatures to invalidate: all that fit every field filled in."""

    name: str = ""
    email: str = ""
    domain: str = ""
    ip: str = ""
    postal_code: str = ""
    from_at: datetime | None = None
    until_at: datetime | None = None

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, field) for field in self.__slots__)

    def as_kept(self) -> dict[str, str]:
        """The rule as the log keeps it: of an address only its hash, its form and its domain."""
        kept = {field: getattr(self, field) for field in self.__slots__ if getattr(self, field)}
        if self.email:
            kept["email"] = f"{self.email[:1]}…@{self.email.rpartition('@')[2]}"
            kept["address_hash"] = address_hash(self.email)
        return {
            field: value.isoformat() if isinstance(value, datetime) else value
            for field, value in kept.items()
        }


def fitting(petition_id: uuid.UUID, rule: Rule) -> list[ColumnElement[bool]]:
    """The clauses of signatures that `rule` means, among those that count or still may."""
    clauses: list[ColumnElement[bool]] = [
        Signature.petition_id == petition_id,
        Signature.state.in_((*COUNTED, SignatureState.PENDING, SignatureState.REVIEW)),
    ]
    if rule.name:
        whole = Signature.first_name + " " + Signature.last_name
        spellings = {rule.name, rule.name.lower(), rule.name.upper(), rule.name.title()}
        clauses.append(or_(func.lower(whole) == rule.name.lower(), whole.in_(sorted(spellings))))
    if rule.email:
        clauses.append(Signature.address_hash == address_hash(rule.email))
    if rule.domain:
        ending = "%@" + _escaped(rule.domain.lower().lstrip("@"))
        clauses.append(func.lower(Signature.email).like(ending, escape="\\"))
    if rule.ip:
        clauses.append(Signature.ip.in_(_ips_within(petition_id, rule.ip)))
    if rule.postal_code:
        clauses.append(Signature.postal_code == rule.postal_code)
    if rule.from_at is not None:
        clauses.append(Signature.created_at >= rule.from_at)
    if rule.until_at is not None:
        clauses.append(Signature.created_at < rule.until_at)
    return clauses


def _escaped(text: str) -> str:
    """`text` for LIKE, its own signs meaning themselves."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _ips_within(petition_id: uuid.UUID, asked: str) -> list[str]:
    """The addresses and cut networks seen on a petition that lie in an address or network."""
    try:
        wanted = ipaddress.ip_network(asked, strict=False)
    except ValueError:
        return []
    seen = db.session.scalars(
        select(Signature.ip)
        .where(Signature.petition_id == petition_id, Signature.ip != "")
        .distinct()
    )
    return [ip for ip in seen if _is_within(ip, wanted)]


def _is_within(ip: str, wanted: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        network = ipaddress.ip_network(ip.split("%", maxsplit=1)[0], strict=False)
    except ValueError:
        return False
    return network.version == wanted.version and network.subnet_of(wanted)  # type: ignore[arg-type]


def _counter(statement: Select[Key, int]) -> Counter[Key]:
    """Key → count of a grouped statement."""
    return Counter(dict(db.session.execute(statement).all()))


def count_fitting(petition_id: uuid.UUID, rule: Rule) -> Counter[str]:
    """How many signatures `rule` means, by their state."""
    return _counter(
        select(Signature.state, func.count())
        .where(*fitting(petition_id, rule))
        .group_by(Signature.state)
    )


def invalidations_of(petition_id: uuid.UUID) -> list[Invalidation]:
    """What was invalidated on a petition, the latest first."""
    return list(
        db.session.scalars(
            select(Invalidation)
            .where(Invalidation.petition_id == petition_id)
            .order_by(Invalidation.id.desc())
        )
    )


def invalidation_of(petition_id: uuid.UUID, invalidation_id: uuid.UUID) -> Invalidation:
    """An invalidation on this petition. Raises NotFound."""
    found = db.session.scalar(
        select(Invalidation).where(
            Invalidation.id == invalidation_id, Invalidation.petition_id == petition_id
        )
    )
    if found is None:
        raise NotFound
    return found


def states_of(petition_id: uuid.UUID) -> Counter[str]:
    """How many signatures are in each state."""
    return _counter(
        select(Signature.state, func.count())
        .where(Signature.petition_id == petition_id)
        .group_by(Signature.state)
    )


def waiting_comments(petition_ids: Sequence[uuid.UUID]) -> Counter[uuid.UUID]:
    """How many comments of counted signatures wait to be read, by petition."""
    return _counter(
        select(Signature.petition_id, func.count())
        .where(
            Signature.petition_id.in_(petition_ids),
            Signature.state.in_(COUNTED),
            Signature.comment_state == CommentState.WAITING,
        )
        .group_by(Signature.petition_id)
    )


def confirmed_since(petition_ids: Sequence[uuid.UUID], since: datetime) -> Counter[uuid.UUID]:
    """How many signatures were confirmed since, by petition."""
    return _counter(
        select(Signature.petition_id, func.count())
        .where(
            Signature.petition_id.in_(petition_ids),
            Signature.state == SignatureState.CONFIRMED,
            Signature.confirmed_at >= since,
        )
        .group_by(Signature.petition_id)
    )


def growth(petition_id: uuid.UUID, zone: ZoneInfo, days: int) -> list[tuple[date, int]]:
    """Confirmed signatures of each of the last `days` days, days of `zone`, the oldest first."""
    today = clock.now().astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    hour = func.substr(cast(Signature.confirmed_at, String), 1, 13)  # "2026-06-16 18", in UTC
    rows = db.session.execute(
        select(hour, func.count())
        .where(
            Signature.petition_id == petition_id,
            Signature.state == SignatureState.CONFIRMED,
            Signature.confirmed_at >= begin,
        )
        .group_by(hour)
    )
    found: Counter[date] = Counter()
    for text, count in rows:
        at = datetime.fromisoformat(f"{text}:00:00+00:00")
        found[at.astimezone(zone).date()] += count
    return [(day, found[day]) for day in (first + timedelta(days=n) for n in range(days))]


def sources(petition_id: uuid.UUID, limit: int = 12) -> list[tuple[str, int]]:
    """Where counted signatures came from, the most first; "" is a plain visit."""
    rows = db.session.execute(
        select(Signature.source, func.count().label("count"))
        .where(Signature.petition_id == petition_id, Signature.state.in_(COUNTED))
        .group_by(Signature.source)
        .order_by(func.count().desc(), Signature.source)
        .limit(limit)
    )
    return [(source, count) for source, count in rows]


def referred(petition_id: uuid.UUID) -> int:
    """How many counted signatures came through another signer's own link."""
    return (
        db.session.scalar(
            select(func.count()).where(
                Signature.petition_id == petition_id,
                Signature.state.in_(COUNTED),
                Signature.referrer_id.is_not(None),
            )
        )
        or 0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What an organizer looks for among the signatures. Blank means any."""

    state: str = ""
    source: str | None = None
    district_id: uuid.UUID | None = None
    from_at: datetime | None = None
    until_at: datetime | None = None
    text: str = ""


def signatures(petition_id: uuid.UUID, filters: Filters) -> Select[Any]:
    """The signatures of a petition that fit, for a keyset page by `Signature.id`."""
    statement = select(Signature).where(Signature.petition_id == petition_id)
    if filters.state:
        statement = statement.where(Signature.state == filters.state)
    if filters.source is not None:
        statement = statement.where(Signature.source == filters.source)
    if filters.district_id is not None:
        statement = statement.where(Signature.district_id == filters.district_id)
    if filters.from_at is not None:
        statement = statement.where(Signature.created_at >= filters.from_at)
    if filters.until_at is not None:
        statement = statement.where(Signature.created_at < filters.until_at)
    for word in filters.text.split()[:5]:
        part = f"%{_escaped(word)}%"
        statement = statement.where(
            or_(
                *(
                    column.ilike(part, escape="\\")
                    for column in (
                        Signature.first_name,
                        Signature.last_name,
                        Signature.email,
                        Signature.postal_code,
                    )
                )
            )
        )
    return statement


def held(petition_id: uuid.UUID) -> Select[Any]:
    """Signatures held for a look."""
    return signatures(petition_id, Filters(state=SignatureState.REVIEW))


def comments(petition_id: uuid.UUID, state: str) -> Select[Any]:
    """Signatures that count and carry a comment in `state`."""
    return select(Signature).where(
        Signature.petition_id == petition_id,
        Signature.state.in_(COUNTED),
        Signature.comment_state == state,
    )
