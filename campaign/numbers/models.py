"""What was counted at the end of a day."""

from __future__ import annotations

import uuid
from datetime import date
from enum import StrEnum

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from campaign.db import Model


class Topic(StrEnum):
    """What is counted; `key` says of which."""

    PEOPLE = "people"  # all who are known; key ""
    MAIL = "mail"  # of them who agreed to e-mail from the organization; key ""
    SOURCE = "source"  # by the source they first came by; key is the source
    DISTRICT = "district"  # by ward; key is the district's id
    LIST = "list"  # on a list; key is the list's id


class SavedNumber(Model):
    """A count at the end of a day, as days are in the organization's time zone. Never changed."""

    __tablename__ = "saved_numbers"

    organization_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(String(10), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(80), primary_key=True, default="")
    count: Mapped[int]
