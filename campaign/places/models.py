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

    @property
    def sort_key(self) -> tuple[int, str]:
        return sort_key(self.code)

    def name_in(self, language: str) -> str:
        """The name as people say it: "20th Ward", "Distrito 20"."""
        return name_in(language, kind=self.kind, code=self.code, name=self.name)


def sort_key(code: str) -> tuple[int, str]:
    """By number, then by text: ward 2 comes before ward 10."""
    return (int(code) if code.isdecimal() else 10**9, code)


def name_in(language: str, *, kind: str, code: str, name: str) -> str:
    """A district's name as people say it; only wards with a number have an ordinal."""
    if kind != "ward" or not code.isdecimal():
        return name
    if language == "es":
        return f"Distrito {int(code)}"
    return f"{ordinal(int(code))} Ward"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th … 11th, 12th, 13th … 21st."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in {11, 12, 13} else ending}"


class PostalCodeShare(Model):
    """How much of a postal code's area lies in a district, 0 to 1."""

    __tablename__ = "postal_code_shares"

    postal_code: Mapped[str] = mapped_column(String(12), primary_key=True)
    district_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("districts.id", ondelete="CASCADE"), primary_key=True
    )
    share: Mapped[float]
