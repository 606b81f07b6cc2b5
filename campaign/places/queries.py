"""Which district a postal code or a point lies in, and districts as a map."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import select

from campaign.db import db
from campaign.places import geometry
from campaign.places.models import District, PostalCodeShare, name_in, sort_key

LEVELS = 5
CACHE_SECONDS = 600.0
CACHE_SIZE = 20_000
LONGEST_CODE = 12

_US_CODE = re.compile(r"([0-9]{5})(-?[0-9]{4})?")
_STRANGE = re.compile(r"[^A-Z0-9\s-]")
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")

Answer = tuple[uuid.UUID | None, float | None]
_cache: WeakKeyDictionary[Any, dict[tuple[str, str], tuple[float, Answer]]] = WeakKeyDictionary()

Point = tuple[float, float]
"""Latitude and longitude in degrees."""

_points: WeakKeyDictionary[Any, dict[str, tuple[float, dict[str, Point]]]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Shape:
    """One district of a map. `level` is 0 (none or few) to 4 (most)."""

    id: uuid.UUID
    code: str
    name: str
    path: str
    value: int
    level: int


def normalize_postal_code(text: str | None) -> str:
    """A postal code in the one form we store.

    US codes become their five digits: "60637-1234", "606371234", " 60 637 " are all "60637", in
    any script's digits. Codes of other countries stay text: Latin capitals, digits, hyphens and
    single spaces, at most twelve characters. Never fails: whether it is a code a form asks.
    """
    if text is not None and len(text) == 5 and text.isascii() and text.isdecimal():
        return text
    folded = unicodedata.normalize("NFKC", text or "")
    digits = "".join(
        str(unicodedata.decimal(letter, letter)) if letter.isdecimal() else letter
        for letter in folded
    )
    words = _STRANGE.sub("", _DASHES.sub("-", digits).upper()).split()
    compact = "".join(words)
    match = _US_CODE.fullmatch(compact)
    if match:
        return match[1]
    spaced = " ".join(words)
    return spaced if len(spaced) <= LONGEST_CODE else compact[:LONGEST_CODE]


def district_for(postal_code: str | None, kind: str = "ward") -> Answer:
    """The district that holds the largest share of a postal code, and that share (0 to 1).

    (None, None) for a code outside the map. Answers are kept in the process for ten minutes,
    for each database apart: a thousand signatures ask for the same twenty codes.
    """
    code = normalize_postal_code(postal_code)
    if not code:
        return None, None
    known = _cache.setdefault(db.engine, {})
    found = known.get((kind, code))
    if found is not None and found[0] > monotonic():
        return found[1]
    answer = _look_up(code, kind)
    if len(known) >= CACHE_SIZE:
        known.clear()
    known[(kind, code)] = (monotonic() + CACHE_SECONDS, answer)
    return answer


def _look_up(code: str, kind: str) -> Answer:
    row = db.session.execute(
        select(PostalCodeShare.district_id, PostalCodeShare.share)
        .join(District, District.id == PostalCodeShare.district_id)
        .where(PostalCodeShare.postal_code == code, District.kind == kind)
        .order_by(PostalCodeShare.share.desc(), District.code)
        .limit(1)
    ).first()
    return (row.district_id, row.share) if row else (None, None)


def forget_cached() -> None:
    """Ask the database again: after loading districts or postal codes."""
    _cache.clear()
    _points.clear()


def center_of(postal_code: str | None, kind: str = "ward") -> Point | None:
    """About where a postal code lies: (latitude, longitude), or None outside the map.

    We hold no shapes of postal codes, only how much of each lies in which district. The centres
    of its districts, weighed by those shares, are within two or three kilometres of the truth:
    enough to say "within 10 km", never to draw a pin.
    """
    return _centers(kind).get(normalize_postal_code(postal_code))


def codes_near(center: Point, km: float, kind: str = "ward") -> list[str]:
    """The postal codes whose centre lies within `km` of a point, in their order."""
    near = _centers(kind).items()
    return sorted(code for code, point in near if geometry.distance_km(center, point) <= km)


def _centers(kind: str) -> dict[str, Point]:
    """Every postal code's centre, kept like `district_for`: reading all shapes takes a while."""
    known = _points.setdefault(db.engine, {})
    found = known.get(kind)
    if found is not None and found[0] > monotonic():
        return found[1]
    middles = {
        district_id: geometry.center_of(geometry.polygons_of(shape))
        for district_id, shape in db.session.execute(
            select(District.id, District.geometry).where(District.kind == kind)
        )
    }
    sums: dict[str, list[float]] = {}
    for code, district_id, share in db.session.execute(
        select(PostalCodeShare.postal_code, PostalCodeShare.district_id, PostalCodeShare.share)
    ):
        if district_id in middles:
            x, y, _ = middles[district_id]
            total = sums.setdefault(code, [0.0, 0.0, 0.0])
            total[0] += share * y
            total[1] += share * x
            total[2] += share
    points = {code: (y / all_, x / all_) for code, (y, x, all_) in sums.items() if all_ > 0}
    known[kind] = (monotonic() + CACHE_SECONDS, points)
    return points


def shares_of(postal_code: str, kind: str = "ward") -> list[tuple[District, float]]:
    """All districts a postal code touches, the largest share first."""
    rows = db.session.execute(
        select(District, PostalCodeShare.share)
        .join(PostalCodeShare, PostalCodeShare.district_id == District.id)
        .where(
            PostalCodeShare.postal_code == normalize_postal_code(postal_code), District.kind == kind
        )
        .order_by(PostalCodeShare.share.desc(), District.code)
    )
    return [(district, share) for district, share in rows]


def districts(kind: str = "ward") -> list[District]:
    """All districts of a kind, in the order of their numbers."""
    rows = db.session.scalars(select(District).where(District.kind == kind))
    return sorted(rows, key=lambda district: district.sort_key)


def district_names(language: str = "en", kind: str = "ward") -> dict[uuid.UUID, str]:
    """District id → name as people say it, in the order of the numbers, without the shapes."""
    rows = db.session.execute(
        select(District.id, District.code, District.name).where(District.kind == kind)
    )
    return {
        row.id: name_in(language, kind=kind, code=row.code, name=row.name)
        for row in sorted(rows, key=lambda row: sort_key(row.code))
    }


def district_at(longitude: float, latitude: float, kind: str = "ward") -> District | None:
    """The district that holds a point (degrees, WGS 84), or None."""
    near = db.session.scalars(
        select(District)
        .where(
            District.kind == kind,
            District.west <= longitude,
            District.east >= longitude,
            District.south <= latitude,
            District.north >= latitude,
        )
        .order_by(District.code)
    )
    for district in near:
        if geometry.contains(geometry.polygons_of(district.geometry), longitude, latitude):
            return district
    return None


def map_shapes(
    values: Mapping[uuid.UUID, int], *, language: str = "en", kind: str = "ward"
) -> list[Shape]:
    """The districts of a kind with a number each, for the `ward_map` macro and its table."""
    rows = db.session.execute(
        select(District.id, District.code, District.name, District.svg_path).where(
            District.kind == kind
        )
    )
    top = max(values.values(), default=0)
    return [
        Shape(
            id=row.id,
            code=row.code,
            name=name_in(language, kind=kind, code=row.code, name=row.name),
            path=row.svg_path,
            value=values.get(row.id, 0),
            level=level_of(values.get(row.id, 0), top),
        )
        for row in sorted(rows, key=lambda row: sort_key(row.code))
    ]


def level_of(value: int, top: int) -> int:
    """0 to 4: which fifth of the way to `top` a value has come.

    The lowest fifth holds none and few alike: a map must not point at a single person.
    """
    return max(value, 0) * LEVELS // (max(top, value, 0) + 1)
