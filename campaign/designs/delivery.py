"""What becomes of pictures that were put away."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from campaign import clock
from campaign.db import db
from campaign.designs.models import Picture, PictureFile

UNDO_DAYS = 30


def forget_pictures() -> int:
    """Drop the bytes of pictures that were deleted a month ago; returns how many files. Their
    names stay taken, so that an old draft never shows another picture."""
    gone = select(Picture.id).where(
        Picture.deleted_at < clock.now() - timedelta(days=UNDO_DAYS), Picture.kept_at.is_(None)
    )
    result = db.session.execute(
        delete(PictureFile)
        .where(PictureFile.picture_id.in_(gone))
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
