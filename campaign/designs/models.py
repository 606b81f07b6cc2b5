"""Pictures for e-mails, and the templates that messages stand in."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from campaign.db import Key, Model, Owned, Short, Timestamped

COLUMN = 536
"""The width of what is written in a letter, in pixels."""


class Picture(Owned, Timestamped, Model):
    """A picture of an organization's library. Everybody on the web can see it who knows `token`.

    `name` is how a block calls it, unique in the organization for ever. `kept_at` is when it went
    out in an e-mail: from then on it stays, for the e-mail is in inboxes.
    """

    __tablename__ = "pictures"
    __table_args__ = (UniqueConstraint("organization_id", "name"),)

    id: Mapped[Key]
    author_id: Mapped[uuid.UUID | None]
    name: Mapped[str] = mapped_column(String(80))
    token: Mapped[str] = mapped_column(String(32), unique=True)
    kind: Mapped[str] = mapped_column(String(4))  # jpg, png, gif
    width: Mapped[int]
    height: Mapped[int]
    is_animated: Mapped[bool] = mapped_column(default=False)
    alt: Mapped[str] = mapped_column(String(300))
    kept_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    @property
    def shown_width(self) -> int:
        """How wide it is in a letter: a large one fills the column, and its pixels, twice as
        many, keep it sharp on a phone."""
        return min(self.width, COLUMN)

    @property
    def shown_height(self) -> int:
        return max(1, round(self.height * self.shown_width / self.width))


class PictureFile(Model):
    """The bytes of a picture in one size: `large` for letters, `small` for the library."""

    __tablename__ = "picture_files"

    picture_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True
    )
    size: Mapped[str] = mapped_column(String(5), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Template(Owned, Timestamped, Model):
    """What messages stand in: a header, a footer, colours for light and for dark.

    It holds neither the postal address nor the way to unsubscribe: those are ours to add. The
    default serves every message that names no other. A message goes on with the template it
    names when that is put away.
    """

    __tablename__ = "mail_templates"
    __table_args__ = (
        Index(
            "uq_mail_templates_default",
            "organization_id",
            unique=True,
            postgresql_where=text("is_default AND deleted_at IS NULL"),
            sqlite_where=text("is_default AND deleted_at IS NULL"),
        ),
    )

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(120))
    is_default: Mapped[bool] = mapped_column(default=False, server_default=false())
    picture_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("pictures.id", ondelete="SET NULL")
    )
    header: Mapped[Short]  # "": with a logo nothing, without one the organization's name
    footer: Mapped[str] = mapped_column(Text, default="")  # Markdown, above what we add
    accent: Mapped[str] = mapped_column(String(7), default="")
    accent_dark: Mapped[str] = mapped_column(String(7), default="")
    paper: Mapped[str] = mapped_column(String(7), default="")
    paper_dark: Mapped[str] = mapped_column(String(7), default="")
    deleted_at: Mapped[datetime | None]
