"""Development's way out of the door: rows to read at `/mailbox/`. Nothing leaves the machine.

Rows are unique by delivery and hold the values, not the rendered page: a letter to twenty
thousand costs twenty thousand small rows, and is rendered when somebody reads it.
"""

from __future__ import annotations

import uuid
from email.utils import format_datetime

from sqlalchemy import select

from campaign import clock
from campaign.db import db, insert, uuid7
from campaign.mail.models import MailboxMessage
from campaign.mail.transports import Pace, Parcel, Report


class Mailbox:
    """Stores instead of sending, as strictly as a provider would: each delivery once."""

    name = "mailbox"
    is_stepwise = True

    def send(self, parcel: Parcel, pace: Pace) -> Report:
        report = Report()
        # As a mail reader shows it, not as it travels.
        sender = f"{parcel.from_name} <{parcel.from_email}>".strip()
        for start in range(0, len(parcel.recipients), pace.step):
            some = parcel.recipients[start : start + pace.step]
            if not pace(len(some)):
                report.untried.update(r.delivery_id for r in parcel.recipients[start:])
                break
            at = clock.now()
            date = format_datetime(at)
            rows = [
                {
                    "id": uuid7(),
                    "delivery_id": recipient.delivery_id,
                    "content_id": parcel.content_id,
                    "address": recipient.address,
                    "sender": sender,
                    "headers": {
                        "Date": date,
                        **({"Reply-To": parcel.reply_to} if parcel.reply_to else {}),
                        **parcel.headers_for(recipient),
                    },
                    "values": dict(recipient.values),
                    "sent_at": at,
                }
                for recipient in some
            ]
            db.session.execute(
                insert(MailboxMessage.__table__).on_conflict_do_nothing(
                    index_elements=["delivery_id"]
                ),
                rows,
            )
            db.session.commit()
            report.accepted += len(some)
        return report

    def reconcile(self, delivery_ids: list[uuid.UUID]) -> set[uuid.UUID] | None:
        found: set[uuid.UUID] = set()
        for start in range(0, len(delivery_ids), 500):
            mine = select(MailboxMessage.delivery_id).where(
                MailboxMessage.delivery_id.in_(delivery_ids[start : start + 500])
            )
            found.update(db.session.scalars(mine))
        return found
