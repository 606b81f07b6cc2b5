"""Load districts and postal codes. Safe to repeat: the same file changes nothing."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select

from campaign.db import db
from campaign.errors import Invalid
from campaign.places import geometry, queries
from campaign.places.models import District, PostalCodeShare, name_in

CHICAGO_WARDS = Path(__file__).parent / "data" / "chicago-wards.geojson"
CHICAGO_POSTAL_CODES = Path(__file__).parent / "data" / "chicago-zip-to-ward.csv"


def district_id(ocd_id: str) -> uuid.UUID:
    """A district's key: the same on every installation, for its Open Civic Data id is."""
    return uuid.uuid5(uuid.NAMESPACE_URL, ocd_id)


def load_districts(geojson: str | bytes | Mapping[str, Any], kind: str = "ward") -> int:
    """Add or update the districts of a GeoJSON FeatureCollection; returns how many it holds.

    Each feature names its `code`, `name` and `ocd_id`. Nothing is removed: signatures point at
    districts that a new map may no longer have. Raises Invalid with the reason and the number
    of the feature; then nothing has changed.
    """
    features = _features(geojson)
    read = [_read(feature, number) for number, feature in enumerate(features, 1)]
    whole = geometry.box_of(
        polygon for _properties, polygons, _shape in read for polygon in polygons
    )
    project = geometry.Projection(whole)
    known = {
        district.ocd_id: district
        for district in db.session.scalars(select(District).where(District.kind == kind))
    }
    for properties, polygons, shape in read:
        ocd_id = str(properties["ocd_id"])
        district = known.get(ocd_id)
        if district is None:
            district = District(id=district_id(ocd_id), ocd_id=ocd_id, kind=kind)
            db.session.add(district)
        box = geometry.box_of(polygons)
        district.code = str(properties["code"])
        district.name = name_in("en", kind=kind, code=district.code, name=_name_of(properties))
        if district.geometry != shape:
            district.geometry = dict(shape)
        district.west, district.south = box.west, box.south
        district.east, district.north = box.east, box.north
        district.svg_path = geometry.svg_path(polygons, project)
    db.session.flush()
    queries.forget_cached()
    return len(read)


def _name_of(properties: Mapping[str, Any]) -> str:
    return str(properties.get("name") or properties["code"])


def _features(geojson: str | bytes | Mapping[str, Any]) -> list[Any]:
    try:
        data = json.loads(geojson) if isinstance(geojson, str | bytes) else geojson
    except ValueError as error:
        raise Invalid("This is not a GeoJSON file.") from error
    features = data.get("features") if isinstance(data, Mapping) else None
    if not isinstance(features, list) or not features:
        raise Invalid("A GeoJSON file of districts is a FeatureCollection with features.")
    return features


def _read(
    feature: Any, number: int
) -> tuple[Mapping[str, Any], list[geometry.Polygon], Mapping[str, Any]]:
    try:
        properties, shape = feature["properties"], feature["geometry"]
        if not properties["ocd_id"] or not properties["code"]:
            raise KeyError("ocd_id")
        return properties, geometry.polygons_of(shape), shape
    except (KeyError, TypeError, IndexError) as error:
        raise Invalid(f"District {number} needs a shape, a code and an ocd_id.") from error
    except ValueError as error:
        raise Invalid(f"District {number}: {error}.") from error


def load_postal_codes(text: str | bytes, kind: str = "ward") -> int:
    """Take over a CSV of `postal_code`, `ward` (or `code`) and `area_share`; returns its rows.

    Codes named in the file are replaced as a whole, others are left alone. Raises Invalid with
    the line that cannot be taken: an unknown district, a share outside 0 to 1, or shares of one
    code that add up to more than 1.01.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Invalid("This is not a CSV file in UTF-8.") from error
    ids = {district.code: district.id for district in queries.districts(kind)}
    shares: dict[tuple[str, uuid.UUID], float] = {}
    for line, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        code = queries.normalize_postal_code(row.get("postal_code"))
        found = ids.get((row.get("ward") or row.get("code") or "").strip())
        try:
            share = float(row.get("area_share") or row.get("share") or "")
        except ValueError:
            share = -1.0
        if not code or found is None or not 0 < share <= 1:
            raise Invalid(f"Line {line} needs a postal code, a known district and a share.")
        shares[(code, found)] = share
    totals: dict[str, float] = {}
    for (code, _found), share in shares.items():
        totals[code] = totals.get(code, 0.0) + share
    for code, total in totals.items():
        if total > 1.01:
            raise Invalid(f"The shares of {code} add up to {total:.2f}.")
    present = {
        (code, found): share
        for code, found, share in db.session.execute(
            select(PostalCodeShare.postal_code, PostalCodeShare.district_id, PostalCodeShare.share)
            .join(District, District.id == PostalCodeShare.district_id)
            .where(District.kind == kind)
        )
        if code in totals
    }
    if present != shares:
        db.session.execute(
            delete(PostalCodeShare).where(
                PostalCodeShare.postal_code.in_(list(totals)),
                PostalCodeShare.district_id.in_(list(ids.values())),
            )
        )
        db.session.execute(
            insert(PostalCodeShare),
            [
                {"postal_code": code, "district_id": found, "share": share}
                for (code, found), share in shares.items()
            ],
        )
    queries.forget_cached()
    return len(shares)


def load_chicago() -> tuple[int, int]:
    """The wards and postal codes that come with the software; (districts, shares)."""
    return (
        load_districts(CHICAGO_WARDS.read_bytes(), "ward"),
        load_postal_codes(CHICAGO_POSTAL_CODES.read_bytes(), "ward"),
    )
