"""What runs by the clock: rolling up counts, letting unconfirmed signatures go, cutting IPs.

Each function does one bounded piece, claims its rows first and may run any number of times side
by side; the task commits.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections import Counter
from datetime import timedelta

from sqlalchemy import and_, delete, or_, select, update

from campaign import clock
from campaign.db import db, insert, is_postgres, uuid7
from campaign.petitions.models import (
    Petition,
    PetitionState,
    Signature,
    SignatureDelta,
    SignatureState,
    SignatureTotal,
    SigningMail,
)

DELTAS_AT_ONCE = 5000
ROWS_AT_ONCE = 1000
IP_DAYS = 30
REVIEW_DAYS = 90
MAIL_COUNT_DAYS = 2
IPV4_PREFIX, IPV6_PREFIX = 24, 48


def roll_up() -> int:
    """Add deltas to the totals and remove them, in one transaction; returns how many.

    A reader sees a delta in one place or in the other, never in both and never in none. Two that
    run at once take different deltas, and totals always in the same order.
    """
    chosen = select(SignatureDelta.id).order_by(SignatureDelta.id).limit(DELTAS_AT_ONCE)
    if is_postgres():
        chosen = chosen.with_for_update(skip_locked=True)
    claimed = chosen.cte("claimed")
    rows = db.session.execute(
        delete(SignatureDelta)
        .where(SignatureDelta.id.in_(select(claimed.c.id)))
        .returning(
            SignatureDelta.petition_id,
            SignatureDelta.district_key,
            SignatureDelta.kind,
            SignatureDelta.amount,
        )
        .execution_options(synchronize_session=False)
    ).all()
    sums: Counter[tuple[uuid.UUID, str, str]] = Counter()
    for petition_id, district_key, kind, amount in rows:
        sums[petition_id, district_key, kind] += amount
    totals = SignatureTotal.__table__
    for (petition_id, district_key, kind), amount in sorted(sums.items()):
        added = insert(totals).values(
            id=uuid7(),
            petition_id=petition_id,
            district_key=district_key,
            kind=kind,
            count=amount,
        )
        db.session.execute(
            added.on_conflict_do_update(
                index_elements=["petition_id", "district_key", "kind"],
                set_={"count": totals.c.count + added.excluded.count},
            )
        )
    return len(rows)


def drop_unconfirmed() -> int:
    """Delete what nobody confirmed in seven days, and reviews nobody decided in ninety."""
    now = clock.now()
    late = or_(
        and_(Signature.state == SignatureState.PENDING, Signature.expires_at < now),
        and_(
            Signature.state == SignatureState.REVIEW,
            Signature.created_at < now - timedelta(days=REVIEW_DAYS),
        ),
    )
    chosen = select(Signature.id).where(late).limit(ROWS_AT_ONCE)
    if is_postgres():
        chosen = chosen.with_for_update(skip_locked=True)
    ids = list(db.session.scalars(chosen))
    if ids:
        db.session.execute(delete(Signature).where(Signature.id.in_(ids), late))
    db.session.execute(
        delete(SigningMail).where(SigningMail.day < (now - timedelta(days=MAIL_COUNT_DAYS)).date())
    )
    return len(ids)


def cut_ips() -> int:
    """Cut addresses older than 30 days to their network, and drop those of closed petitions."""
    now = clock.now()
    closed = select(Petition.id).where(
        or_(
            Petition.state == PetitionState.CLOSED,
            and_(Petition.closes_at.is_not(None), Petition.closes_at < now - timedelta(days=1)),
        )
    )
    over = and_(Signature.ip != "", Signature.petition_id.in_(closed))
    gone = list(db.session.scalars(select(Signature.id).where(over).limit(ROWS_AT_ONCE)))
    if gone:
        db.session.execute(
            update(Signature)
            .where(Signature.id.in_(gone))
            .values(ip="")
            .execution_options(synchronize_session=False)
        )
    old = db.session.execute(
        select(Signature.id, Signature.ip)
        .where(
            Signature.ip != "",
            ~Signature.ip.contains("/"),
            Signature.created_at < now - timedelta(days=IP_DAYS),
        )
        .limit(ROWS_AT_ONCE)
    ).all()
    for signature_id, ip in old:
        db.session.execute(
            update(Signature)
            .where(Signature.id == signature_id)
            .values(ip=network_of(ip))
            .execution_options(synchronize_session=False)
        )
    return len(gone) + len(old)


def network_of(ip: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 one; "" for what is no address."""
    try:
        address = ipaddress.ip_address(ip.split("%", maxsplit=1)[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = IPV4_PREFIX if address.version == 4 else IPV6_PREFIX
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))
