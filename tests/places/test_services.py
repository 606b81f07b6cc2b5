"""Loading districts and postal codes."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from campaign.db import db
from campaign.errors import Invalid
from campaign.places import queries, services
from campaign.places.models import District, PostalCodeShare
from tests.factories.campaigns import collection, square


def test_loading_twice_changes_nothing(app: Flask) -> None:
    assert services.load_chicago() == (50, 175)
    before = {d.id: (d.svg_path, d.west, d.name) for d in db.session.query(District)}
    assert services.load_chicago() == (50, 175)
    db.session.expire_all()
    after = {d.id: (d.svg_path, d.west, d.name) for d in db.session.query(District)}
    assert before == after
    assert db.session.query(PostalCodeShare).count() == 175


def test_a_district_keeps_its_id_and_takes_a_new_shape(app: Flask) -> None:
    services.load_districts(collection(d1=[square(0, 0)]))
    before = queries.districts()[0]
    old_id, old_east = before.id, before.east
    services.load_districts(collection(d1=[square(0, 0, 3)]))
    after = db.session.get_one(District, old_id)
    assert (old_east, after.east) == (1, 3)
    assert queries.district_at(2, 2) is not None


def test_a_box_encloses_the_shape(app: Flask) -> None:
    services.load_districts(collection(d7=[square(-3, 5, 2)]))
    found = queries.districts()[0]
    assert (found.west, found.south, found.east, found.north) == (-3, 5, -1, 7)
    assert found.name == "7th Ward"


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"type": "FeatureCollection", "features": []}',
        '{"features": [{"properties": {"code": "1"}, "geometry": {}}]}',
        '{"features": [7]}',
        json.dumps(
            {
                "features": [
                    {
                        "properties": {"code": "1", "ocd_id": "x"},
                        "geometry": {"type": "Point", "coordinates": [0, 0]},
                    }
                ]
            }
        ),
        json.dumps(
            {
                "features": [
                    {
                        "properties": {"code": "1", "ocd_id": "x"},
                        "geometry": {"type": "Polygon", "coordinates": [[["a", "b"]]]},
                    }
                ]
            }
        ),
    ],
)
def test_what_is_no_map_is_refused(app: Flask, text: str) -> None:
    with pytest.raises(Invalid):
        services.load_districts(text)
    assert queries.districts() == []


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ("00001,9,0.5", "Line 2"),
        ("00001,1,lots", "Line 2"),
        ("00001,1,0", "Line 2"),
        ("00001,1,1.2", "Line 2"),
        (",1,0.2", "Line 2"),
        ("00001,1,0.9\n00001,2,0.2", "1.10"),
    ],
)
def test_a_wrong_row_is_named(app: Flask, rows: str, where: str) -> None:
    services.load_districts(collection(d1=[square(0, 0)], d2=[square(1, 0)]))
    with pytest.raises(Invalid, match=where):
        services.load_postal_codes(f"postal_code,ward,area_share\n{rows}\n")
    assert db.session.query(PostalCodeShare).count() == 0


def test_codes_of_the_file_are_replaced_and_others_stay(app: Flask) -> None:
    services.load_districts(collection(d1=[square(0, 0)], d2=[square(1, 0)]))
    services.load_postal_codes(b"\xef\xbb\xbfpostal_code,ward,area_share\n00001,1,0.7\n00002,1,1\n")
    services.load_postal_codes("postal_code,ward,area_share\n00001,2,0.8\n")
    assert [(d.code, s) for d, s in queries.shares_of("00001")] == [("2", 0.8)]
    assert [(d.code, s) for d, s in queries.shares_of("00002")] == [("1", 1.0)]
