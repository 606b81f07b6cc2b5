"""Plane geometry for districts: which polygon holds a point, and a polygon as an SVG path.

Coordinates are WGS 84 longitude and latitude in degrees, as GeoJSON writes them (RFC 7946). A
city is small enough to be treated as flat: longitude is shortened by cos(latitude), nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Ring = Sequence[Sequence[float]]
Polygon = Sequence[Ring]

MAP_WIDTH = 344
MAP_HEIGHT = 420
MARGIN = 2


@dataclass(frozen=True, slots=True)
class Box:
    """A bounding box in degrees."""

    west: float
    south: float
    east: float
    north: float


def polygons_of(geometry: Mapping[str, Any]) -> list[Polygon]:
    """The polygons of a GeoJSON Polygon or MultiPolygon, each an outer ring and its holes.

    Raises ValueError for any other shape, for a ring of fewer than three corners, and for
    coordinates that lie outside the earth.
    """
    kind = geometry.get("type")
    polygons: Any = geometry.get("coordinates")
    if kind == "Polygon":
        polygons = [polygons]
    elif kind != "MultiPolygon":
        raise ValueError(f"a district is a Polygon or a MultiPolygon, not {kind!r}")
    if not isinstance(polygons, list) or not polygons:
        raise ValueError("the shape has no coordinates")
    for polygon in polygons:
        _check_polygon(polygon)
    return list(polygons)


def _check_polygon(polygon: Any) -> None:
    if not isinstance(polygon, list) or not polygon:
        raise ValueError("a polygon has no ring")
    for ring in polygon:
        if not isinstance(ring, list) or len({tuple(point[:2]) for point in ring}) < 3:
            raise ValueError("a ring has fewer than three corners")
        for point in ring:
            if not (abs(point[0]) <= 180 and abs(point[1]) <= 90):
                raise ValueError("a coordinate lies outside the earth: the file must be WGS 84")


def box_of(polygons: Iterable[Polygon]) -> Box:
    """The smallest box around all of them."""
    points = [point for polygon in polygons for ring in polygon for point in ring]
    return Box(
        west=min(point[0] for point in points),
        south=min(point[1] for point in points),
        east=max(point[0] for point in points),
        north=max(point[1] for point in points),
    )


def contains(polygons: Iterable[Polygon], longitude: float, latitude: float) -> bool:
    """Whether the point lies in one of the polygons and in none of that polygon's holes."""
    return any(
        _in_ring(polygon[0], longitude, latitude)
        and not any(_in_ring(hole, longitude, latitude) for hole in polygon[1:])
        for polygon in polygons
    )


def center_of(polygons: Iterable[Polygon]) -> tuple[float, float, float]:
    """The centre by area (longitude, latitude) of all of them together, and the area in square
    degrees: what a hole takes away counts as taken away."""
    total = sum_x = sum_y = 0.0
    for polygon in polygons:
        for place, ring in enumerate(polygon):
            area, x, y = _ring_center(ring)
            area = -area if place else area
            total, sum_x, sum_y = total + area, sum_x + area * x, sum_y + area * y
    return sum_x / total, sum_y / total, total


def _ring_center(ring: Ring) -> tuple[float, float, float]:
    """Area (never negative) and centre of a ring, by the shoelace formula about its first corner:
    far from the origin the products would swallow the digits that matter."""
    origin_x, origin_y = ring[0][0], ring[0][1]
    twice = sum_x = sum_y = 0.0
    x1, y1 = ring[-1][0] - origin_x, ring[-1][1] - origin_y
    for point in ring:
        x2, y2 = point[0] - origin_x, point[1] - origin_y
        cross = x1 * y2 - x2 * y1
        twice, sum_x, sum_y = twice + cross, sum_x + (x1 + x2) * cross, sum_y + (y1 + y2) * cross
        x1, y1 = x2, y2
    if not twice:
        return 0.0, origin_x, origin_y
    return abs(twice) / 2, origin_x + sum_x / (3 * twice), origin_y + sum_y / (3 * twice)


KM_PER_DEGREE = 111.195  # of latitude, on a sphere of the earth's mean radius


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Kilometres between two points (latitude, longitude), along the earth's surface."""
    south, north = math.radians(one[0]), math.radians(other[0])
    up, across = north - south, math.radians(other[1] - one[1])
    chord = math.sin(up / 2) ** 2 + math.cos(south) * math.cos(north) * math.sin(across / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(chord)))) * KM_PER_DEGREE


def _in_ring(ring: Ring, x: float, y: float) -> bool:
    """Ray casting: a ray to the east crosses the ring an odd number of times from inside.

    An edge counts with its lower end and without its upper one, so that a ray through a corner
    is counted once, and a border shared by two districts belongs to exactly one of them.
    """
    inside = False
    x1, y1 = ring[-1][0], ring[-1][1]
    for point in ring:
        x2, y2 = point[0], point[1]
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
        x1, y1 = x2, y2
    return inside


@dataclass(frozen=True, slots=True)
class Projection:
    """Degrees to map units: equirectangular about the box's middle latitude, north up.

    One projection serves a whole set of districts, so that their paths fit together.
    """

    box: Box

    def __call__(self, longitude: float, latitude: float) -> tuple[float, float]:
        squeeze = math.cos(math.radians((self.box.south + self.box.north) / 2))
        width = (self.box.east - self.box.west) * squeeze or 1e-9
        height = self.box.north - self.box.south or 1e-9
        scale = min((MAP_WIDTH - 2 * MARGIN) / width, (MAP_HEIGHT - 2 * MARGIN) / height)
        left = (MAP_WIDTH - width * scale) / 2
        top = (MAP_HEIGHT - height * scale) / 2
        return (
            left + (longitude - self.box.west) * squeeze * scale,
            top + (self.box.north - latitude) * scale,
        )


def svg_path(polygons: Iterable[Polygon], project: Projection) -> str:
    """The outline as an SVG path for a viewbox of MAP_WIDTH by MAP_HEIGHT.

    Corners are rounded to a tenth of a unit and written relative to the one before, which halves
    the page; corners that fall together are left out. Holes stay open by the default fill rule,
    for GeoJSON winds them the other way round (RFC 7946, 3.1.6).
    """
    parts: list[str] = []
    for polygon in polygons:
        for ring in polygon:
            corners: list[tuple[int, int]] = []
            for point in ring:
                x, y = project(point[0], point[1])
                corner = (round(x * 10), round(y * 10))
                if not corners or corners[-1] != corner:
                    corners.append(corner)
            if len(corners) > 1 and corners[0] == corners[-1]:
                corners.pop()
            parts.append(_ring_path(corners))
    return "".join(parts)


def _ring_path(corners: list[tuple[int, int]]) -> str:
    x, y = corners[0]
    text = f"M{_tenths(x)} {_tenths(y)}l"
    steps = []
    for to_x, to_y in corners[1:]:
        right, down = _tenths(to_x - x), _tenths(to_y - y)
        steps.append(f"{right}{down if down.startswith('-') else ' ' + down}")
        x, y = to_x, to_y
    return text + " ".join(steps) + "z" if steps else f"M{_tenths(x)} {_tenths(y)}z"


def _tenths(number: int) -> str:
    """A number of tenths as SVG reads it, as short as it goes: 12 → "1.2", -3 → "-.3"."""
    sign, (whole, rest) = "-" if number < 0 else "", divmod(abs(number), 10)
    return f"{sign}{whole or ('' if rest else '0')}{f'.{rest}' if rest else ''}"
