"""What waits in the outbox, with its merge values filled in: what a person would read."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from campaign.db import db
from campaign.mail.models import Batch, Chunk, Content, Delivery


@dataclass(frozen=True)
class Queued:
    """One e-mail of the outbox."""

    to: str
    kind: str
    subject: str
    text: str
    html: str
    values: dict[str, str]


def outbox(to: str = "", kind: str = "") -> list[Queued]:
    """The e-mails to an address, or of a kind, in the order in which they were queued."""
    rows = db.session.execute(
        select(Delivery, Content, Batch)
        .join(Chunk, Chunk.id == Delivery.chunk_id)
        .join(Content, Content.id == Chunk.content_id)
        .join(Batch, Batch.id == Delivery.batch_id)
        .order_by(Delivery.id)
    )
    found = []
    for delivery, content, batch in rows:
        if (to and delivery.address != to) or (kind and batch.kind != kind):
            continue
        values = {name: str(value) for name, value in (delivery.values or {}).items()}
        found.append(
            Queued(
                to=delivery.address or "",
                kind=batch.kind,
                subject=filled(content.subject, values),
                text=filled(content.text, values),
                html=filled(content.html, values),
                values=values,
            )
        )
    return found


def filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text
