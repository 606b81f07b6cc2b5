"""Changing the library and the templates of an organization."""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from collections.abc import Callable
from pathlib import PurePath

from flask_babel import gettext as _
from sqlalchemy import update

from campaign import clock
from campaign.db import db, uuid7
from campaign.designs import pictures, queries
from campaign.designs.models import Picture, PictureFile
from campaign.designs.pictures import MEGABYTE, MOST_BYTES, MOST_PIXELS, Flaw, Prepared, Unusable
from campaign.errors import Conflict, Invalid
from campaign.organizations import services as organizations

MOST_PICTURES = 2_000
IsWaiting = Callable[[Picture], bool]
"""Whether something that waits to go out shows a picture: what lies above knows."""


# --- pictures ------------------------------------------------------------------------------------


def add_picture(
    organization_id: uuid.UUID,
    data: bytes,
    *,
    filename: str,
    alt: str,
    author_id: uuid.UUID | None = None,
) -> tuple[Picture, Prepared]:
    """A picture in the library. Raises Invalid (field `file`) where the file cannot be used."""
    try:
        prepared = pictures.prepare(data)
    except Unusable as error:
        raise Invalid(flaw_words(error.flaw), field="file") from None
    picture = Picture(
        id=uuid7(),
        organization_id=organization_id,
        author_id=author_id,
        name=_free_name(organization_id, filename),
        token=secrets.token_urlsafe(16),
        kind=prepared.kind,
        width=prepared.width,
        height=prepared.height,
        is_animated=prepared.is_animated,
        alt=alt,
    )
    db.session.add(picture)
    db.session.flush()
    db.session.add_all(
        PictureFile(picture_id=picture.id, size=size, data=body)
        for size, body in (("large", prepared.large), ("small", prepared.small))
    )
    db.session.flush()
    return picture, prepared


def flaw_words(flaw: Flaw) -> str:
    """Why a file cannot be used, for whoever chose it."""
    limit = MOST_BYTES // MEGABYTE
    texts = {
        Flaw.EMPTY: _("Choose a picture."),
        Flaw.TOO_HEAVY: _("This file is larger than %(limit)s MB. Save it smaller.", limit=limit),
        Flaw.TOO_LARGE: _(
            "This picture has more than %(limit)s million pixels. Save it smaller.",
            limit=MOST_PIXELS // 1_000_000,
        ),
        Flaw.NO_PICTURE: _("This is no picture that we can use. Choose a JPEG, PNG, GIF or WebP."),
        Flaw.BROKEN: _("This picture is damaged. Save it again, or choose another."),
    }
    return str(texts[flaw])


def _free_name(organization_id: uuid.UUID, filename: str) -> str:
    """A name of small letters, digits and hyphens, made from that of the file."""
    plain = unicodedata.normalize("NFKD", PurePath(filename).stem).encode("ascii", "ignore")
    name = re.sub(r"[^a-z0-9]+", "-", plain.decode().lower()).strip("-")[:60] or "picture"
    taken = queries.taken_names(organization_id, name)
    if name not in taken:
        return name
    return next(found for n in range(2, 10_000) if (found := f"{name}-{n}") not in taken)


def describe_picture(picture: Picture, alt: str) -> None:
    """Say what a picture shows, for those who do not see it."""
    picture.alt = alt


def delete_picture(picture: Picture, is_waiting: IsWaiting, *, user_id: uuid.UUID) -> None:
    """Put a picture away: its address shows nothing any more; `restore_picture` brings it back.

    Raises Conflict where it is in an e-mail that went out or will, or in a template.
    """
    if picture.kept_at is not None:
        raise Conflict(
            _("This picture is in email that went out, so it stays: people open old email, too.")
        )
    shown_in = queries.templates_with(picture)
    if shown_in:
        raise Conflict(
            _(
                "This picture is in the template “%(name)s”. Take it out there first.",
                name=shown_in[0].name,
            )
        )
    if is_waiting(picture):
        raise Conflict(
            _(
                "This picture is in email that is scheduled. Take it back first, or keep the picture."
            )
        )
    picture.deleted_at = clock.now()
    organizations.record(
        "picture.delete",
        organization_id=picture.organization_id,
        user_id=user_id,
        subject_kind="picture",
        subject_id=picture.id,
    )


def restore_picture(picture: Picture) -> None:
    """Bring a deleted picture back."""
    picture.deleted_at = None


def keep_pictures(html: str) -> None:
    """Note that these pictures have gone out: nobody deletes them from now on."""
    tokens = queries.tokens_in(html)
    if tokens:
        db.session.execute(
            update(Picture)
            .where(Picture.token.in_(tokens), Picture.kept_at.is_(None))
            .values(kept_at=clock.now())
            .execution_options(synchronize_session=False)
        )
