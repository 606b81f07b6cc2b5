"""Reading the library and the templates of an organization."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence

from sqlalchemy import Select, select

from campaign.db import db
from campaign.designs.models import Picture, PictureFile, Template
from campaign.errors import NotFound
from campaign.web.links import external

PICTURES_SHOWN = 200
_ADDRESS = re.compile(r"/images/([A-Za-z0-9_-]{22})(?:-small)?\.(?:jpg|png|gif)")


# --- pictures ------------------------------------------------------------------------------------


def pictures_in(organization_id: uuid.UUID) -> Select[Picture]:
    """The library of an organization."""
    return select(Picture).where(
        Picture.organization_id == organization_id, Picture.deleted_at.is_(None)
    )


def pictures_of(organization_id: uuid.UUID, limit: int = PICTURES_SHOWN) -> list[Picture]:
    """The library, the newest first."""
    return list(
        db.session.scalars(pictures_in(organization_id).order_by(Picture.id.desc()).limit(limit))
    )


def picture_of(organization_id: uuid.UUID, picture_id: uuid.UUID) -> Picture:
    """A picture of this organization. Raises NotFound for another's, unknown and deleted ones."""
    found = db.session.scalar(pictures_in(organization_id).where(Picture.id == picture_id))
    if found is None:
        raise NotFound
    return found


def deleted_picture(organization_id: uuid.UUID, picture_id: uuid.UUID) -> Picture:
    """A deleted picture of this organization. Raises NotFound for anything else."""
    found = db.session.scalar(
        select(Picture).where(
            Picture.id == picture_id,
            Picture.organization_id == organization_id,
            Picture.deleted_at.is_not(None),
        )
    )
    if found is None:
        raise NotFound
    return found


def pictures_named(organization_id: uuid.UUID, names: Iterable[str]) -> dict[str, Picture]:
    """Pictures of the library by their names."""
    wanted = set(names)
    if not wanted:
        return {}
    rows = db.session.scalars(pictures_in(organization_id).where(Picture.name.in_(wanted)))
    return {picture.name: picture for picture in rows}


def taken_names(organization_id: uuid.UUID, beginning: str) -> set[str]:
    """The names that begin so, those of deleted pictures, too: a name is never given twice."""
    statement = select(Picture.name).where(
        Picture.organization_id == organization_id, Picture.name.startswith(beginning)
    )
    return set(db.session.scalars(statement))


def file_of(token: str, size: str) -> tuple[Picture, bytes] | None:
    """A picture and its bytes, for whoever has its address."""
    statement = (
        select(Picture, PictureFile.data)
        .join(PictureFile, PictureFile.picture_id == Picture.id)
        .where(Picture.token == token, PictureFile.size == size, Picture.deleted_at.is_(None))
    )
    row = db.session.execute(statement).first()
    return (row[0], row[1]) if row is not None else None


def picture_url(picture: Picture, *, small: bool = False) -> str:
    """Where everybody can see it who has the address."""
    name = f"{picture.token}-small" if small else picture.token
    return external("pictures.file", name=name, kind=picture.kind)


def tokens_in(text: str) -> set[str]:
    """The tokens of the pictures whose addresses stand in a text."""
    return set(_ADDRESS.findall(text))


def pictures_at(tokens: Sequence[str] | set[str]) -> list[Picture]:
    """Pictures by the tokens of their addresses, whosoever they are."""
    if not tokens:
        return []
    return list(db.session.scalars(select(Picture).where(Picture.token.in_(tokens))))


def templates_with(picture: Picture) -> list[Template]:
    """The templates that show a picture, those put away, too: messages may still use them."""
    return list(db.session.scalars(select(Template).where(Template.picture_id == picture.id)))
