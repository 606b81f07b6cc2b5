"""Which district a postal code or a point lies in; the map."""

from __future__ import annotations

import csv
import uuid
from collections import defaultdict

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from campaign.db import db
from campaign.places import geometry, queries, services
from campaign.places.models import District, PostalCodeShare, ordinal
from campaign.places.services import CHICAGO_POSTAL_CODES
from tests.factories.campaigns import collection, make_wards, square

WAYS_TO_WRITE = (
    "60637",
    " 60637 ",
    "60637-1234",
    "60637 1234",
    "606371234",
    "6 0 6 3 7",
    "60637–1234",
    "６０６３７",
    "٦٠٦٣٧",
)


@pytest.mark.parametrize("text", WAYS_TO_WRITE)
def test_a_us_code_has_one_form(text: str) -> None:
    assert queries.normalize_postal_code(text) == "60637"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("k1a  0b1", "K1A 0B1"),
        ("SW1A 1AA", "SW1A 1AA"),
        ("60637-12", "60637-12"),
        ("606371", "606371"),
        ("", ""),
        (None, ""),
        ("abcdefghijklmnopq", "ABCDEFGHIJKL"),
    ],
)
def test_other_codes_stay_text(text: str | None, stored: str) -> None:
    assert queries.normalize_postal_code(text) == stored


@given(st.text(max_size=40))
def test_normalizing_never_fails_and_twice_is_once(text: str) -> None:
    once = queries.normalize_postal_code(text)
    assert len(once) <= 12
    assert queries.normalize_postal_code(once) == once


@given(st.integers(0, 99999), st.integers(0, 9999), st.sampled_from(["-", " ", "", "–", " - "]))
def test_zip_plus_4_is_its_zip(five: int, four: int, between: str) -> None:
    code = f"{five:05d}"
    assert queries.normalize_postal_code(f"{code}{between}{four:04d}") == code


def test_shares_of_each_code_add_up_to_no_more_than_the_whole() -> None:
    totals: dict[str, float] = defaultdict(float)
    for row in csv.DictReader(CHICAGO_POSTAL_CODES.read_text("utf-8").splitlines()):
        share = float(row["area_share"])
        assert 0 < share <= 1
        totals[row["postal_code"]] += share
    assert len(totals) > 40
    assert all(total <= 1.01 for total in totals.values())


def test_the_largest_share_wins(app: Flask) -> None:
    make_wards()
    district_id, share = queries.district_for("60637-1234")
    assert district_id is not None
    ward = db.session.get_one(District, district_id)
    assert (ward.code, share) == ("20", 0.516)
    assert [(d.code, s) for d, s in queries.shares_of("60637")] == [
        ("20", 0.516),
        ("5", 0.413),
        ("6", 0.069),
    ]


def test_a_code_outside_the_map_has_no_district(app: Flask) -> None:
    make_wards()
    assert queries.district_for("99999") == (None, None)
    assert queries.district_for("") == (None, None)
    assert queries.district_for("K1A 0B1") == (None, None)


def test_the_cache_forgets_when_codes_are_loaded(app: Flask) -> None:
    services.load_districts(collection(d1=[square(0, 0)], d2=[square(1, 0)]))
    assert queries.district_for("00001") == (None, None)
    services.load_postal_codes("postal_code,ward,area_share\n00001,2,0.6\n00001,1,0.4\n")
    assert queries.district_for("00001") == (services.district_id("ocd-division/test:d2"), 0.6)


def test_one_database_never_answers_from_anothers_cache(app: Flask) -> None:
    """Each test has its own connection: what one learnt must not leak into the next."""
    assert queries.district_for("60637") == (None, None)


@pytest.mark.parametrize(
    ("longitude", "latitude", "code"),
    [
        (-87.5964, 41.7787, "20"),
        (-87.6745, 41.6918, "19"),
        (-87.6066, 41.8160, "4"),
        (-87.9, 41.98, "41"),
    ],
)
def test_a_point_lies_in_its_ward(app: Flask, longitude: float, latitude: float, code: str) -> None:
    make_wards()
    found = queries.district_at(longitude, latitude)
    assert found is not None
    assert found.code == code


def test_a_point_in_the_lake_lies_nowhere(app: Flask) -> None:
    make_wards()
    assert queries.district_at(-87.40, 41.85) is None


def test_a_point_in_a_hole_lies_nowhere(app: Flask) -> None:
    services.load_districts(collection(d1=[square(0, 0, 4), square(1, 1, 2)]))
    assert queries.district_at(2, 2) is None
    assert queries.district_at(0.5, 0.5) is not None


def test_names_are_ordinals_in_each_language(app: Flask) -> None:
    make_wards()
    english, spanish = queries.district_names("en"), queries.district_names("es")
    assert list(english.values())[:4] == ["1st Ward", "2nd Ward", "3rd Ward", "4th Ward"]
    assert list(spanish.values())[19] == "Distrito 20"
    assert [district.code for district in queries.districts()] == [str(n) for n in range(1, 51)]


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"),
     (21, "21st"), (42, "42nd"), (111, "111th"), (1012, "1012th")],
)  # fmt: skip
def test_ordinals(number: int, word: str) -> None:
    assert ordinal(number) == word


def test_other_kinds_keep_their_name(app: Flask) -> None:
    district = District(kind="state house", code="26", name="House District 26")
    assert district.name_in("en") == district.name_in("es") == "House District 26"


def test_a_map_has_every_district_with_its_value(app: Flask) -> None:
    make_wards()
    first, second = (queries.districts()[position].id for position in (0, 19))
    shapes = queries.map_shapes({first: 2, second: 90}, language="es")
    assert len(shapes) == 50
    assert [shape.code for shape in shapes[:3]] == ["1", "2", "3"]
    assert (shapes[19].name, shapes[19].value, shapes[19].level) == ("Distrito 20", 90, 4)
    assert (shapes[0].value, shapes[0].level) == (2, 0)
    assert all(shape.path.startswith("M") and shape.path.endswith("z") for shape in shapes)


def test_a_map_without_values_is_pale(app: Flask) -> None:
    make_wards()
    assert {shape.level for shape in queries.map_shapes({})} == {0}
    assert {shape.value for shape in queries.map_shapes({uuid.uuid4(): 7})} == {0}


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_levels_rise_with_the_value(value: int, top: int) -> None:
    level = queries.level_of(value, top)
    assert 0 <= level <= 4
    assert queries.level_of(value + 1, max(top, value + 1)) >= level or top > value
    if value == 0:
        assert level == 0
    if value == top >= 4:
        assert level == 4


def test_a_single_signer_is_not_pointed_at() -> None:
    assert queries.level_of(1, 60) == 0


def test_shares_are_kept_for_each_district_once(app: Flask) -> None:
    make_wards()
    make_wards()
    assert db.session.query(PostalCodeShare).count() == 175


def test_a_code_lies_about_where_its_districts_are(app: Flask) -> None:
    make_wards()
    latitude, longitude = queries.center_of("60637-1234") or (0.0, 0.0)
    woodlawn = (41.7808, -87.6026)
    assert geometry.distance_km((latitude, longitude), woodlawn) < 3
    assert queries.center_of("99999") is None
    assert queries.center_of("") is None
    south_loop = queries.center_of("60616")
    assert south_loop is not None
    assert geometry.distance_km(south_loop, (41.845, -87.63)) < 3


def test_every_code_of_the_map_lies_in_the_city(app: Flask) -> None:
    make_wards()
    codes = queries.codes_near((41.84, -87.68), 1000)
    assert len(codes) == len(set(db.session.scalars(select(PostalCodeShare.postal_code))))
    for code in codes:
        latitude, longitude = queries.center_of(code) or (0.0, 0.0)
        assert 41.6 < latitude < 42.1
        assert -88.0 < longitude < -87.5


def test_codes_near_a_point_grow_with_the_distance(app: Flask) -> None:
    services.load_districts(collection(d1=[square(0, 0)], d2=[square(1, 0)], d3=[square(5, 0)]))
    services.load_postal_codes(
        "postal_code,ward,area_share\n00001,1,1\n00002,1,0.5\n00002,2,0.5\n00003,3,0.2\n"
    )
    assert queries.center_of("00001") == pytest.approx((0.5, 0.5))
    assert queries.center_of("00002") == pytest.approx((0.5, 1.0))
    assert queries.center_of("00003") == pytest.approx((0.5, 5.5))
    assert queries.codes_near((0.5, 0.5), 10) == ["00001"]
    assert queries.codes_near((0.5, 0.5), 60) == ["00001", "00002"]
    services.load_postal_codes("postal_code,ward,area_share\n00009,3,1\n")
    assert "00009" in queries.codes_near((0.5, 0.5), 1000)
