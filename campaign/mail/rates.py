"""The rate that all workers share: one row holds the tokens left and until when all must wait."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import literal, or_, select, update

from campaign.db import db, insert
from campaign.mail.models import RateWindow
from campaign.mail.outbox import now
from campaign.web.requests import settings

RATE = "rate"
BURST_SECONDS = 1.0
"""What a quiet second may save up."""
CHUNK_SECONDS = BURST_SECONDS / 2
"""The length of a chunk at a small rate: shorter than what may be saved up, so that nothing of
the rate is lost while a sender is busy with something else."""


_BLOCKED = select(RateWindow.__table__.c.blocked_until).where(RateWindow.__table__.c.name == RATE)
"""Built once: every chunk asks it."""


def wait_seconds() -> float:
    """How long everybody waits now because the provider asked for it; 0 if nobody must."""
    until = db.session.scalar(_BLOCKED)
    return 0.0 if until is None else max(0.0, (until - now()).total_seconds())


def shortage(count: int) -> float:
    """How long until `count` e-mails may go, as far as one can see without taking them."""
    wait = wait_seconds()
    rate = settings().mail_rate_per_second
    if not rate or wait:
        return wait
    row = db.session.execute(
        select(RateWindow.available, RateWindow.refilled_at).where(RateWindow.name == RATE)
    ).one_or_none()
    if row is None:
        return 0.0
    elapsed = max(0.0, (now() - row.refilled_at).total_seconds())
    return float(max(0.0, (count - row.available - elapsed * rate) / rate))


def block(seconds: float) -> None:
    """All workers wait this long: the provider said so."""
    until = now() + timedelta(seconds=seconds)
    ensure_row()
    db.session.execute(
        update(RateWindow)
        .where(
            RateWindow.name == RATE,
            or_(RateWindow.blocked_until.is_(None), RateWindow.blocked_until < until),
        )
        .values(blocked_until=until)
        .execution_options(synchronize_session=False)
    )


def reserve(count: int) -> float:
    """Take `count` e-mails out of MAIL_RATE_PER_SECOND; the seconds to wait if there are not so
    many yet (nothing is taken then), else 0. Paid in advance, so the rate is never exceeded."""
    rate = settings().mail_rate_per_second
    if not rate:
        return wait_seconds()
    ensure_row()
    row = db.session.execute(
        select(RateWindow.available, RateWindow.refilled_at, RateWindow.blocked_until)
        .where(RateWindow.name == RATE)
        .with_for_update()
    ).one()
    at = now()
    if row.blocked_until is not None and row.blocked_until > at:
        return float((row.blocked_until - at).total_seconds())
    elapsed = max(0.0, (at - row.refilled_at).total_seconds())
    available = min(row.available + elapsed * rate, max(float(count), rate * BURST_SECONDS))
    if available < count:
        return float((count - available) / rate)
    db.session.execute(
        update(RateWindow)
        .where(RateWindow.name == RATE)
        .values(available=available - count, refilled_at=at)
        .execution_options(synchronize_session=False)
    )
    return 0.0


def give_back(count: int) -> None:
    """Put back what was taken for e-mails that the provider did not want yet (429)."""
    if settings().mail_rate_per_second:
        db.session.execute(
            update(RateWindow)
            .where(RateWindow.name == RATE)
            .values(available=RateWindow.available + count)
            .execution_options(synchronize_session=False)
        )


def ensure_row() -> None:
    """The one row. It must be committed before a first refusal, or it would be undone with it."""
    if db.session.scalar(select(literal(1)).where(RateWindow.name == RATE)) is None:
        db.session.execute(
            insert(RateWindow.__table__).on_conflict_do_nothing(index_elements=["name"]),
            {"name": RATE, "available": 0.0, "refilled_at": now()},
        )
