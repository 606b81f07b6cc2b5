"""Wishing, agreeing, declining, ending and blocking; erasing."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select

from campaign import clock
from campaign.buddies import delivery, emails, queries, tasks
from campaign.buddies.models import Block, Introduction, IntroductionState, Wish, WishState
from campaign.db import db, insert
from campaign.errors import Conflict, Gone, Invalid
from campaign.events.models import COMING, Company, Rsvp
from campaign.organizations.services import record
from campaign.worker import enqueue


def change_wish(rsvp: Rsvp, *, kind: str, wish: str) -> None:
    """Ask for company, offer it, or neither. What changes ends an introduction that is live.

    Raises Gone when the date is over or they do not come, Invalid for an unknown kind.
    """
    try:
        chosen = Company(kind)
    except ValueError:
        raise Invalid(_l("Choose one."), field="company") from None
    if rsvp.state not in COMING or not rsvp.occurrence.is_open(clock.now()):
        raise Gone(_l("This is only for those who come, and until it begins."))
    mine = queries.wish_of(rsvp.id, lock=True)
    rsvp.company, rsvp.company_wish = chosen.value, wish
    if mine is None:
        if chosen is not Company.NONE:
            db.session.add(delivery.wish_from(rsvp))
    elif chosen is Company.NONE:
        delivery.end_wish(mine)
    else:
        if mine.kind != chosen and (found := queries.introduction_of(mine)) is not None:
            delivery.end_introduction(found, told=found.other(mine))
        mine.kind, mine.wish, mine.language = chosen.value, wish, rsvp.language
        if mine.state == WishState.ENDED:
            mine.state = WishState.OPEN
    db.session.flush()
    enqueue(tasks.find_company)


def agree(wish: Wish) -> Introduction:
    """Say yes to the one we suggested. When both have, each is told how to reach the other.

    Raises Conflict when there is nobody to agree to (any more).
    """
    introduction = _live(wish)
    was_agreed = introduction.state == IntroductionState.AGREED
    if introduction.agree(wish, clock.now()) and not was_agreed:
        other = introduction.other(wish)
        emails.send_agreed(wish, other)
        emails.send_agreed(other, wish)
    db.session.flush()
    return introduction


def say_no(wish: Wish) -> None:
    """Decline, or end what was agreed, without a reason; both are looked for anew.

    Raises Conflict when there is nobody (any more).
    """
    introduction = _live(wish)
    delivery.end_introduction(introduction, told=introduction.other(wish))
    enqueue(tasks.find_company)


def block(wish: Wish) -> None:
    """End it, and never introduce these two again, at whatever event.

    The other one is told as by `say_no`: nobody learns that they were blocked.
    """
    introduction = _live(wish)
    other = introduction.other(wish)
    if wish.address_hash and other.address_hash:
        db.session.execute(
            insert(Block.__table__).on_conflict_do_nothing(),
            {
                "by_hash": wish.address_hash,
                "blocked_hash": other.address_hash,
                "created_at": clock.now(),
            },
        )
    say_no(wish)


def end_for(introduction: Introduction, *, user_id: uuid.UUID) -> None:
    """An organizer ends an introduction, because somebody asked for it. Both are told.

    Raises Conflict when it is over already.
    """
    asker, offerer = introduction.asker, introduction.offerer
    delivery.end_introduction(introduction, told=asker)
    emails.send_ended(offerer, introduction)
    record(
        "buddies.ended",
        organization_id=introduction.organization_id,
        user_id=user_id,
        subject_kind="introduction",
        subject_id=introduction.id,
    )


def _live(wish: Wish) -> Introduction:
    found = queries.introduction_of(wish)
    if found is None:
        raise Conflict(_l("This has changed meanwhile. Please look again."))
    locked = db.session.scalars(
        select(Introduction)
        .where(Introduction.id == found.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if not locked.is_live:
        raise Conflict(_l("This has changed meanwhile. Please look again."))
    return locked


def erase_wishes(rsvp_ids: Collection[uuid.UUID]) -> int:
    """Erase what was wished with these answers; whoever was met is told that it ended.

    Returns how many wishes. Call it before the answers are erased.
    """
    if not rsvp_ids:
        return 0
    found = select(Wish).where(Wish.rsvp_id.in_(rsvp_ids)).order_by(Wish.id).with_for_update()
    wishes = list(db.session.scalars(found))
    for wish in wishes:
        delivery.end_wish(wish)
    delivery.forget([wish.id for wish in wishes])
    return len(wishes)


def forget_blocks(address_hash: str) -> None:
    """Forget whom an address did not want to meet, once nobody holds that address any more.

    A block against it stays, like a suppression: it is a hash, and it protects somebody else.
    """
    db.session.execute(delete(Block).where(Block.by_hash == address_hash))
