"""Changing the library and the templates of an organization."""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from flask_babel import gettext as _
from sqlalchemy import update

from campaign import clock
from campaign.db import db, uuid7
from campaign.designs import looks, pictures, queries
from campaign.designs.models import Picture, PictureFile, Template
from campaign.designs.pictures import MEGABYTE, MOST_BYTES, MOST_PIXELS, Flaw, Prepared, Unusable
from campaign.errors import Conflict, Invalid
from campaign.mail import merge
from campaign.organizations import colours
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization

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


# --- templates -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDetails:
    """What somebody wrote about a template. An empty colour is the organization's, or ours."""

    name: str
    header: str = ""
    picture_id: uuid.UUID | None = None
    footer: str = ""
    accent: str = ""
    accent_dark: str = ""
    paper: str = ""
    paper_dark: str = ""
    is_default: bool = False


def create_template(organization_id: uuid.UUID, details: TemplateDetails) -> Template:
    """A new template. Raises Invalid at the field of a colour that cannot be read."""
    template = Template(id=uuid7(), organization_id=organization_id)
    _write(template, details)
    db.session.add(template)
    db.session.flush()
    return template


def edit_template(template: Template, details: TemplateDetails) -> None:
    """Change a template, for every message in it that has not gone out. Raises Invalid as
    `create_template`."""
    _write(template, details)
    db.session.flush()


def copy_template(template: Template, name: str) -> Template:
    """A new template that looks the same."""
    return create_template(
        template.organization_id,
        TemplateDetails(
            name=name,
            header=template.header,
            picture_id=template.picture_id,
            footer=template.footer,
            accent=template.accent,
            accent_dark=template.accent_dark,
            paper=template.paper,
            paper_dark=template.paper_dark,
        ),
    )


def delete_template(template: Template) -> None:
    """Put a template away; messages in it keep it. `restore_template` brings it back."""
    template.deleted_at = clock.now()
    template.is_default = False


def restore_template(template: Template) -> None:
    """Bring a template back. The default it is not any more."""
    template.deleted_at = None


def preview_of(organization: Organization, details: TemplateDetails) -> Template:
    """A template that is not stored, for looking at what somebody types: colours that cannot be
    read yet are left out."""
    template = Template(id=uuid7(), organization_id=organization.id)
    try:
        found = _colours(organization, details)
    except Invalid:
        found = ("", "", "", "")
    _put(template, details, found)
    return template


def _write(template: Template, details: TemplateDetails) -> None:
    organization = db.session.get_one(Organization, template.organization_id)
    _put(template, details, _colours(organization, details))
    if merge.names_in(details.header, details.footer):
        raise Invalid(
            _("A template holds no merge fields: it is the same for everybody."), field="footer"
        )
    if details.picture_id is not None:
        queries.picture_of(template.organization_id, details.picture_id)
    if details.is_default and not template.is_default:
        _take_default_from_others(template)
    template.is_default = details.is_default


def _put(template: Template, details: TemplateDetails, found: tuple[str, str, str, str]) -> None:
    template.name = details.name
    template.header = details.header
    template.picture_id = details.picture_id
    template.footer = details.footer
    template.accent, template.accent_dark, template.paper, template.paper_dark = found


def _take_default_from_others(template: Template) -> None:
    """There is one default: whoever makes another waits for the organization's row."""
    db.session.get_one(
        Organization, template.organization_id, with_for_update=True, populate_existing=True
    )
    db.session.execute(
        update(Template)
        .where(Template.organization_id == template.organization_id, Template.is_default)
        .values(is_default=False)
        .execution_options(synchronize_session="fetch")
    )


def _colours(organization: Organization, details: TemplateDetails) -> tuple[str, str, str, str]:
    """The four colours as we store them. Raises Invalid where text could not be read."""
    found: dict[str, str] = {}
    for field in ("accent", "accent_dark", "paper", "paper_dark"):
        typed = getattr(details, field)
        try:
            found[field] = colours.parse(typed) if typed else ""
        except ValueError:
            raise Invalid(
                _("Please write a color as # and six digits, like #0b5d5a."), field=field
            ) from None
    for field in ("paper", "paper_dark"):
        if found[field] and not looks.is_readable(found[field]):
            raise Invalid(
                _("Text on this color is hard to read. Please choose a lighter or a darker one."),
                field=field,
            )
    for field, paper in (
        ("accent", found["paper"] or looks.PAPER),
        ("accent_dark", found["paper_dark"] or looks.PAPER_DARK),
    ):
        if found[field] and not looks.fits(found[field], paper):
            raise Invalid(
                _(
                    "Links in this color are hard to read on the background %(paper)s. Please choose one that differs more.",
                    paper=paper,
                ),
                field=field,
            )
    return found["accent"], found["accent_dark"], found["paper"], found["paper_dark"]
