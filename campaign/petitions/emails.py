"""What a signer is written: confirm, you had signed already, you are counted.

Subjects name neither the clinic nor the petition: a lock screen shows them to others. Everything
of one signer is a merge value, so that one stored letter serves all signers of a petition.
"""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from flask import current_app
from flask_babel import force_locale
from flask_babel import gettext as _

from campaign.db import db
from campaign.mail.letters import Letter, merge_tag, render_letter
from campaign.mail.services import Sender
from campaign.organizations.models import Organization
from campaign.organizations.services import sender_of
from campaign.petitions.models import Petition
from campaign.petitions.queries import Sheet
from campaign.web import links
from campaign.web.languages import known
from campaign.web.requests import settings

KIND = "signature"
TOKEN_BYTES = 16
HERE = "HERE"
DEVICE = "device"

_kept: dict[tuple[object, ...], Envelope] = {}
KEEP = 512


@dataclass(frozen=True, slots=True)
class Envelope:
    """A letter with the place that its signer's links go to."""

    letter: Letter
    sender: Sender


def confirmation_token(signature_id: uuid.UUID) -> str:
    """The token in a signer's links: the signature's id and 128 bits made of it by our key.

    It confirms and it withdraws, and it is stored as a hash only. Made rather than drawn, so that
    a second e-mail holds the same link as the first: whoever asks twice may press either.
    """
    mac = _begun(str(current_app.secret_key)).copy()
    mac.update(signature_id.bytes)
    seal = mac.digest()[:TOKEN_BYTES]
    return base64.urlsafe_b64encode(signature_id.bytes + seal)[:-1].decode()


@lru_cache(maxsize=4)
def _begun(key: str) -> hmac.HMAC:
    """The keyed hash that all such tokens begin with."""
    return hmac.new(key.encode(), b"campaign.confirm:", "sha256")


def envelope(kind: str, sheet: Sheet, language: str) -> Envelope:
    """The letter of a kind (`confirm`, `already`, `signed`) for a petition, kept in the process."""
    language = known(language) or "en"
    key = (kind, sheet.id, sheet.version, language)
    found = _kept.get(key)
    if found is None:
        if len(_kept) >= KEEP:
            _kept.clear()
        found = _kept[key] = _render(kind, sheet, language)
    return found


def _render(kind: str, sheet: Sheet, language: str) -> Envelope:
    petition = db.session.get_one(Petition, sheet.id)
    organization = db.session.get_one(Organization, sheet.organization_id)
    with force_locale(language):
        why = _(
            "You get this because this address was typed into a petition of %(name)s.",
            name=organization.name,
        )
    letter = render_letter(
        f"petitions/{kind}",
        language,
        title=petition.title.get_for(language),
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=petition.campaign.crisis_line or organization.crisis_line,
        thanks=petition.thanks.get_for(language),
        next_label=petition.next_label.get_for(language) if petition.next_url else "",
        next_url=links.whole(petition.next_url, language),
        petition_url=links.external("petitions.petition", petition=sheet.slug, lang=language),
        why=why,
        first_name=merge_tag("first_name"),
        confirm_url=merge_tag("confirm_url"),
        share_url=merge_tag("share_url"),
        withdraw_url=merge_tag("withdraw_url"),
        preferences_url=merge_tag("preferences_url"),
    )
    return Envelope(letter, sender_of(organization))


def values_for(
    signature_id: uuid.UUID,
    *,
    sheet: Sheet,
    first_name: str,
    language: str,
    referral_code: str,
    person_id: uuid.UUID | None = None,
    token: str = "",
) -> Mapping[str, str]:
    """The merge values of one signer. Links carry tokens, never a name or an address."""
    language = known(language) or "en"
    kind, row_id = (
        (links.PERSON, person_id) if person_id is not None else (links.SIGNATURE, signature_id)
    )
    token = token or confirmation_token(signature_id)
    confirm, withdraw, share = _addresses(settings().base_url, sheet.slug, language)
    return {
        "first_name": first_name,
        "confirm_url": confirm.replace(HERE, token),
        "withdraw_url": withdraw.replace(HERE, token),
        "share_url": share.replace(HERE, referral_code),
        "preferences_url": links.preferences_url(kind, row_id, language),
    }


@lru_cache(maxsize=512)
def _addresses(_base_url: str, slug: str, language: str) -> tuple[str, str, str]:
    """A signer's links to confirm, to withdraw and to share, HERE in place of what is their own."""
    return (
        links.external("petitions.confirm", token=HERE, lang=language),
        links.external("petitions.withdraw", token=HERE, lang=language),
        links.external("petitions.petition", petition=slug, ref=HERE),
    )
