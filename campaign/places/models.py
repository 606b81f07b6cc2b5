"""Districts and postal codes."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Key, Model, Short


class District(Model):
    """An area with an elected seat. `ocd_id` is its Open Civic Data id; geometry is WGS 84."""

    __tablename__ = "districts"
    __table_args__ = (Index("ix_districts_kind_code", "kind", "code", unique=True),)

    id: Mapped[Key]
    kind: Mapped[str] = mapped_column(String(40), default="ward")
    code: Mapped[str] = mapped_column(String(20))  # "20"
    name: Mapped[Short]  # "20th Ward"
    ocd_id: Mapped[str] = mapped_column(String(200), unique=True)
    geometry: Mapped[dict[str, Any]] = mapped_column(JSON)
    west: Mapped[float]
    south: Mapped[float]
    east: Mapped[float]
    north: Mapped[float]
    svg_path: Mapped[str] = mapped_column(Text, default="")


class PostalCodeShare(Model):
    """How much of a postal code's area lies in a district, 0 to 1."""

    __tablename__ = "postal_code_shares"

    postal_code: Mapped[str] = mapped_column(String(12), primary_key=True)
    district_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("districts.id", ondelete="CASCADE"), primary_key=True
    )
    share: Mapped[float]
