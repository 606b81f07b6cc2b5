"""Reading the library and the templates of an organization."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence

from sqlalchemy import Select, select

from campaign.db import db
from campaign.designs.looks import Logo, Look, look_of
from campaign.designs.models import Picture, PictureFile, Template
from campaign.errors import NotFound
from campaign.organizations.models import Organization
from campaign.web.links import external

PICTURES_SHOWN = 200
LOGO_WIDTH = 260
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


# --- templates -----------------------------------------------------------------------------------


def templates_of(organization_id: uuid.UUID) -> list[Template]:
    """The templates of an organization, the default first."""
    statement = (
        select(Template)
        .where(Template.organization_id == organization_id, Template.deleted_at.is_(None))
        .order_by(Template.is_default.desc(), Template.name, Template.id)
    )
    return list(db.session.scalars(statement))


def template_of(
    organization_id: uuid.UUID, template_id: uuid.UUID, *, is_deleted: bool = False
) -> Template:
    """A template of this organization. Raises NotFound for another's and unknown ones, and
    unless it is asked for one that was put away, for those."""
    found = _template(organization_id, template_id)
    if found is None or (found.deleted_at is not None) != is_deleted:
        raise NotFound
    return found


def _template(organization_id: uuid.UUID, template_id: uuid.UUID) -> Template | None:
    return db.session.scalar(
        select(Template).where(
            Template.id == template_id, Template.organization_id == organization_id
        )
    )


def default_template(organization_id: uuid.UUID) -> Template | None:
    """The template of messages that name no other."""
    return db.session.scalar(
        select(Template).where(
            Template.organization_id == organization_id,
            Template.is_default,
            Template.deleted_at.is_(None),
        )
    )


def template_for(organization_id: uuid.UUID, template_id: uuid.UUID | None) -> Template | None:
    """The template a message stands in: the one it names, put away or not, else the default."""
    named = _template(organization_id, template_id) if template_id else None
    return named or default_template(organization_id)


def look_for(organization: Organization, template: Template | None) -> Look:
    """How a letter of the organization looks in a template, or in none."""
    logo = None
    if template is not None and template.picture_id is not None:
        picture = db.session.get(Picture, template.picture_id)
        if picture is not None and picture.organization_id == organization.id:
            width = min(picture.width, LOGO_WIDTH)
            logo = Logo(
                picture_url(picture),
                picture.alt,
                width,
                max(1, round(picture.height * width / picture.width)),
            )
    return look_of(organization, template, logo)
