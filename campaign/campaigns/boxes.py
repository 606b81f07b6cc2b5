"""Consent boxes: who may write, in which words, beside whatever somebody signs or comes to.

Nothing is ticked beforehand, and nobody agrees to what they did not read: a page says by a mark
which words it showed, and the ledger keeps those.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from weakref import WeakKeyDictionary

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from campaign.campaigns import queries
from campaign.db import Words, db, when_committed
from campaign.errors import Invalid
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.people.models import ConsentWording, Person, Purpose

MARK_LENGTH = 16
MOST_SETTLED = 5000
_MARK = re.compile(rf"[0-9a-f]{{{MARK_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Box:
    """One unticked consent box: who may write, in which words."""

    grantee_id: uuid.UUID
    slug: str
    name: str
    wording: Words

    @property
    def field(self) -> str:
        return f"consent-{self.slug}"


@lru_cache(maxsize=1024)
def mark_of(text: str) -> str:
    """How a page says which words a consent box showed: the beginning of their hash."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:MARK_LENGTH]


def is_mark(value: str) -> bool:
    """Whether this is a mark, and not somebody's "1" or "on"."""
    return _MARK.fullmatch(value) is not None


def own_words(organization: Organization) -> Words:
    """What a consent box says when nobody wrote its words."""
    return Words(
        en=f"{organization.name} may email me.",
        es=f"{organization.name} puede escribirme por correo electrónico.",
    )


def boxes_for(lead_id: uuid.UUID, campaign_id: uuid.UUID, own_wording: Words) -> tuple[Box, ...]:
    """The boxes of a petition or an event: the lead organization's own, then one per partner."""
    lead = db.session.get_one(Organization, lead_id)
    own = own_wording if any(own_wording.values()) else own_words(lead)
    boxes = [Box(lead.id, lead.slug, lead.name, own)]
    for partnership in queries.partners_of(campaign_id):
        partner = partnership.partner
        if partner.id != lead.id:
            wording = Words({code: text for code, text in partnership.wording.items() if text})
            boxes.append(Box(partner.id, partner.slug, partner.name, wording or own_words(partner)))
    return tuple(boxes)


def key_of(boxes: Sequence[Box]) -> str:
    """What changes with the words of any of the boxes."""
    return mark_of(repr([(box.grantee_id, box.slug, box.wording) for box in boxes]))


def wordings_of(
    boxes: Sequence[Box], boxes_key: str, consents: Mapping[str, str], language: str
) -> dict[str, str]:
    """Grantee → id of the exact wording agreed to. Unknown organizations are left out.

    A mark names the wording that the page showed; any other value means the present one. What the
    same ticks came to is kept from the first commit on, so that a crowd at a new petition does not
    queue at the writer's lock for words that one of them has settled. Raises Invalid when the
    words shown are not known any more.
    """
    if not consents:
        return {}
    kept = _settled_for(db.engine)
    key = (boxes_key, language, tuple(consents.items()))
    chosen = kept.get(key)
    if chosen is None:
        by_slug = {box.slug: box for box in boxes}
        wordings = [
            _wording(by_slug[slug], given, language)
            for slug, given in consents.items()
            if slug in by_slug
        ]
        chosen = {row.grantee_id.hex: row.id.hex for row in wordings}
        when_committed(partial(kept.__setitem__, key, chosen))
    return chosen


_settled: WeakKeyDictionary[Any, dict[Any, dict[str, str]]] = WeakKeyDictionary()
"""What the same ticks came to, by database: wordings never change, so nobody asks twice."""


def _settled_for(engine: object) -> dict[Any, dict[str, str]]:
    kept = _settled.get(engine)
    if kept is None or len(kept) > MOST_SETTLED:
        kept = _settled[engine] = {}
    return kept


def _wording(box: Box, given: str, language: str) -> ConsentWording:
    text = box.wording.get_for(language)
    if not is_mark(given) or given == mark_of(text):
        return people.wording_for(box.grantee_id, language=language, text=text)
    older = db.session.scalar(
        select(ConsentWording).where(
            ConsentWording.grantee_id == box.grantee_id,
            ConsentWording.purpose == Purpose.EMAIL,
            ConsentWording.text_hash.startswith(given),
        )
    )
    if older is None:
        raise Invalid(_l("These words have changed. Please read them again."), field=box.field)
    return older


def grant(
    person: Person,
    wordings: Mapping[str, str],
    *,
    lead_id: uuid.UUID,
    campaign_id: uuid.UUID,
    source_detail: str,
    source: str = "page",
    user_id: uuid.UUID | None = None,
) -> None:
    """Put the boxes ticked into the ledger; a partner that left meanwhile gets nothing.

    `user_id` is who of the team typed it in, None when the person themself ticked.
    """
    grantees = {lead_id} | {row.partner_id for row in queries.partners_of(campaign_id)}
    for grantee, wording in wordings.items():
        if uuid.UUID(grantee) in grantees:
            people.grant_consent(
                person,
                grantee_id=uuid.UUID(grantee),
                purpose=Purpose.EMAIL,
                wording_id=uuid.UUID(wording),
                source=source,
                source_detail=source_detail,
                campaign_id=campaign_id,
                user_id=user_id,
            )
