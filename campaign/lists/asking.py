"""What a message that is out meant to people, as conditions for a segment.

Who got it is asked of the outbox; who did what it asked, of the petitions and events that its
links lead to, by whatever way they came there.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute

from campaign.events.models import TOLD, Event, Occurrence, Rsvp
from campaign.lists.models import AskKind, MailedAsk, MailedMessage
from campaign.mail.models import Batch, Chunk, Delivery, DeliveryState
from campaign.petitions.models import Petition, Signature, SignatureState

MAILING = "mailing"
"""The kind of a mass e-mail's batches. Their key begins with the id of the message."""
MESSAGE_KEY = func.substr(Batch.key, 1, 36)
"""Which message a batch is of: variants of one are batches of their own."""
REACHED = (DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.COMPLAINED)

Found = tuple[InstrumentedAttribute[Any], list[ColumnElement[bool]]]
"""A column of people, and the conditions that hold for those meant."""


def got(message_id: uuid.UUID, organization_id: uuid.UUID) -> Found:
    """Those whose mail service took the message and did not give it back."""
    batches = select(Batch.id).where(
        Batch.organization_id == organization_id,
        Batch.kind == MAILING,
        MESSAGE_KEY.in_((str(message_id),)),
    )
    return Delivery.person_id, [Delivery.batch_id.in_(batches), *_reached()]


def got_any(organization_id: uuid.UUID, released: Sequence[ColumnElement[bool]] = ()) -> Found:
    """Those who got any mass e-mail of the organization, of those that `released` (conditions on
    their batches) leaves. `MESSAGE_KEY` tells one message from another."""
    return Delivery.person_id, [
        Batch.organization_id == organization_id,
        Batch.kind == MAILING,
        *released,
        Delivery.batch_id == Batch.id,
        *_reached(),
    ]


def _reached() -> list[ColumnElement[bool]]:
    return [
        Delivery.person_id.is_not(None),
        Chunk.id == Delivery.chunk_id,
        func.coalesce(Delivery.state, Chunk.state).in_(REACHED),
    ]


def did_asked(message_id: uuid.UUID, organization_id: uuid.UUID) -> list[Found]:
    """Those who did one of the things that the links of the message lead to.

    A petition counts as signed whenever it was: nobody can sign it again. An event counts by an
    answer (yes, maybe, in line) to a date that was not over when the message went out. The page of
    a campaign leads to all its petitions and events, so there only what was done since counts.
    """
    message = [
        MailedMessage.id == message_id,
        MailedMessage.organization_id == organization_id,
        MailedAsk.message_id == MailedMessage.id,
    ]
    signed = [
        *message,
        Signature.organization_id == organization_id,
        Signature.state.in_((SignatureState.CONFIRMED, SignatureState.UNVERIFIED)),
        Signature.person_id.is_not(None),
    ]
    answered = [
        *message,
        Rsvp.organization_id == organization_id,
        Rsvp.state.in_(TOLD),
        Rsvp.person_id.is_not(None),
    ]
    return [
        (
            Signature.person_id,
            [
                MailedAsk.kind == AskKind.PETITION,
                Signature.petition_id == MailedAsk.thing_id,
                *signed,
            ],
        ),
        (
            Rsvp.person_id,
            [
                MailedAsk.kind == AskKind.EVENT,
                Rsvp.event_id == MailedAsk.thing_id,
                Occurrence.id == Rsvp.occurrence_id,
                Occurrence.ends_at > MailedMessage.sent_at,
                *answered,
            ],
        ),
        (
            Rsvp.person_id,
            [
                MailedAsk.kind == AskKind.DATE,
                Rsvp.occurrence_id == MailedAsk.thing_id,
                *answered,
            ],
        ),
        (
            Signature.person_id,
            [
                MailedAsk.kind == AskKind.CAMPAIGN,
                Petition.campaign_id == MailedAsk.thing_id,
                Signature.petition_id == Petition.id,
                Signature.confirmed_at >= MailedMessage.sent_at,
                *signed,
            ],
        ),
        (
            Rsvp.person_id,
            [
                MailedAsk.kind == AskKind.CAMPAIGN,
                Event.campaign_id == MailedAsk.thing_id,
                Rsvp.event_id == Event.id,
                Rsvp.created_at >= MailedMessage.sent_at,
                *answered,
            ],
        ),
    ]
