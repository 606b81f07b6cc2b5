"""Points in polygons, boxes, projection and paths, on made-up and on real shapes."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.places import geometry
from campaign.places.services import CHICAGO_WARDS
from tests.factories.campaigns import square

BLOCK = [square(0, 0, 4)]
RING_WITH_HOLE = [square(0, 0, 4), square(1, 1, 2)]
inside = st.floats(min_value=0, max_value=4, exclude_min=True, exclude_max=True)
anywhere = st.floats(min_value=-20, max_value=20)


@given(inside, inside)
def test_a_square_holds_what_is_inside(x: float, y: float) -> None:
    assert geometry.contains([BLOCK], x, y)


@given(anywhere, anywhere)
def test_a_polygon_holds_nothing_outside_its_box(x: float, y: float) -> None:
    box = geometry.box_of([BLOCK])
    if not (box.west <= x <= box.east and box.south <= y <= box.north):
        assert not geometry.contains([BLOCK], x, y)


@given(inside, inside)
def test_a_hole_is_outside(x: float, y: float) -> None:
    in_hole = 1 < x < 3 and 1 < y < 3
    on_its_edge = x in {1.0, 3.0} or y in {1.0, 3.0}
    if not on_its_edge:
        assert geometry.contains([RING_WITH_HOLE], x, y) is not in_hole


@given(anywhere, anywhere)
def test_each_point_of_two_neighbors_is_in_exactly_one(x: float, y: float) -> None:
    """A shared border belongs to one side only, or a point would count twice or never."""
    left, right = [square(-10, -10, 10)], [square(0, -10, 10)]
    both = geometry.contains([left], x, y) + geometry.contains([right], x, y)
    assert both == (1 if -10 <= x < 10 and -10 <= y < 0 else 0)


@given(inside, inside, st.permutations(range(4)))
def test_neither_start_nor_direction_of_a_ring_matters(
    x: float, y: float, order: list[int]
) -> None:
    corners = square(0, 0, 4)[:-1]
    start = order[0]
    ring = corners[start:] + corners[:start]
    assert geometry.contains([[[*ring, ring[0]]]], x, y)
    assert geometry.contains([[[*reversed(ring), ring[-1]]]], x, y)


def test_a_multipolygon_holds_points_of_each_part() -> None:
    shape = {
        "type": "MultiPolygon",
        "coordinates": [[square(0, 0)], [square(5, 5), square(5.2, 5.2, 0.5)]],
    }
    polygons = geometry.polygons_of(shape)
    assert geometry.contains(polygons, 0.5, 0.5)
    assert geometry.contains(polygons, 5.1, 5.1)
    assert not geometry.contains(polygons, 5.4, 5.4)
    assert not geometry.contains(polygons, 3, 3)


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [0, 0], [0, 0], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[1176000, 1900000], [0, 0], [1, 1]]]},
        {"type": "MultiPolygon", "coordinates": [[]]},
        {},
    ],
)
def test_what_is_no_district_is_refused(shape: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        geometry.polygons_of(shape)


@given(
    st.floats(min_value=-87.9, max_value=-87.5),
    st.floats(min_value=41.6, max_value=42.0),
)
def test_a_map_stays_in_its_frame_with_north_up(longitude: float, latitude: float) -> None:
    project = geometry.Projection(geometry.Box(-87.9, 41.6, -87.5, 42.0))
    x, y = project(longitude, latitude)
    assert 0 <= x <= geometry.MAP_WIDTH
    assert 0 <= y <= geometry.MAP_HEIGHT
    assert project(longitude, latitude + 0.1)[1] < y
    assert project(longitude + 0.1, latitude)[0] > x


def test_a_degree_east_is_shorter_than_a_degree_north() -> None:
    """At Chicago's latitude by cos(41.8°): else the city looks squashed."""
    project = geometry.Projection(geometry.Box(-88, 41.3, -87, 42.3))
    west, east = project(-88, 41.8)[0], project(-87, 41.8)[0]
    south, north = project(-88, 41.3)[1], project(-88, 42.3)[1]
    assert (east - west) / (south - north) == pytest.approx(0.7455, abs=0.001)


def corners_of(path: str) -> list[list[tuple[float, float]]]:
    """The absolute corners of an SVG path of M, relative l and z."""
    rings = []
    for start, rest in re.findall(r"M([^lz]+)(?:l([^z]*))?z", path):
        x, y = map(float, start.split())
        ring = [(x, y)]
        numbers = [float(n) for n in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", rest)]
        for right, down in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = round(x + right, 1), round(y + down, 1)
            ring.append((x, y))
        rings.append(ring)
    return rings


def test_a_path_draws_the_corners_of_the_shape() -> None:
    """Read back, each real ward's path lies within a twentieth of a unit of its corners."""
    features = json.loads(CHICAGO_WARDS.read_text("utf-8"))["features"]
    everything = [p for f in features for p in geometry.polygons_of(f["geometry"])]
    project = geometry.Projection(geometry.box_of(everything))
    for feature in features:
        polygons = geometry.polygons_of(feature["geometry"])
        drawn = corners_of(geometry.svg_path(polygons, project))
        rings = [ring for polygon in polygons for ring in polygon]
        assert len(drawn) == len(rings)
        for ring, found in zip(rings, drawn, strict=True):
            corners = set(found)
            for point in ring:
                x, y = project(point[0], point[1])
                assert any(abs(x - a) <= 0.051 and abs(y - b) <= 0.051 for a, b in corners)


def test_the_centre_of_a_square_with_a_hole() -> None:
    assert geometry.center_of([[square(10, 20)]]) == pytest.approx((10.5, 20.5, 1.0))
    # A hole in the right half moves the centre to the left.
    x, y, area = geometry.center_of([[square(0, 0, 4), square(2, 1, 2)]])
    assert (x, y, area) == pytest.approx(((16 * 2 - 4 * 3) / 12, 2.0, 12.0))


def test_the_way_a_ring_winds_does_not_matter() -> None:
    ring = square(3, 4)
    assert geometry.center_of([[ring[::-1]]]) == pytest.approx(geometry.center_of([[ring]]))


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ((41.8781, -87.6298), (41.8781, -87.6298), 0.0),
        ((41.8781, -87.6298), (40.7128, -74.0060), 1144.3),  # Chicago to New York
        ((0.0, 179.9), (0.0, -179.9), 22.24),  # across the date line
        ((90.0, 0.0), (-90.0, 0.0), 20015.1),
    ],
)
def test_distances(one: tuple[float, float], other: tuple[float, float], km: float) -> None:
    assert geometry.distance_km(one, other) == pytest.approx(km, rel=1e-3)
    assert geometry.distance_km(other, one) == pytest.approx(geometry.distance_km(one, other))
