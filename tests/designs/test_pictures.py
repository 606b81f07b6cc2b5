"""Files that people upload: what becomes a picture, what does not, and what is left out of it."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from campaign.designs import pictures
from campaign.designs.pictures import Flaw, Unusable, prepare
from tests.factories.designs import image_bytes


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def refused(data: bytes) -> Flaw:
    with pytest.raises(Unusable) as caught:
        prepare(data)
    return caught.value.flaw


@pytest.mark.parametrize(
    ("kind", "color", "expected"),
    [
        ("PNG", (200, 0, 0), "png"),
        ("PNG", (200, 0, 0, 100), "png"),
        ("JPEG", (200, 0, 0), "jpg"),
        ("GIF", (200, 0, 0), "png"),
        ("WEBP", (200, 0, 0), "jpg"),
        ("WEBP", (200, 0, 0, 90), "png"),
    ],
)
def test_what_comes_in_is_written_anew(kind: str, color: tuple[int, ...], expected: str) -> None:
    prepared = prepare(image_bytes(kind, (1600, 800), color))
    assert prepared.kind == expected
    assert (prepared.width, prepared.height) == (1072, 536)
    assert opened(prepared.large).size == (1072, 536)
    assert opened(prepared.small).size == (360, 180)
    if len(color) == 4:
        assert opened(prepared.large).mode == "RGBA"


def test_small_ones_are_not_blown_up() -> None:
    assert prepare(image_bytes(size=(40, 30))).width == 40


def test_place_camera_and_comments_stay_behind_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "SECRETCAMERA"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (41.0, 46.0, 1.0)
    source = image_bytes("JPEG", (80, 40), exif=exif, comment=b"SECRETNOTE")
    assert b"SECRETCAMERA" in source
    assert b"SECRETNOTE" in source
    prepared = prepare(source)
    assert (prepared.width, prepared.height) == (40, 80)
    for data in (prepared.large, prepared.small):
        assert b"SECRET" not in data
        assert not opened(data).getexif()


def moving(frames: int, size: tuple[int, int], kind: str = "GIF") -> bytes:
    body = io.BytesIO()
    images = [Image.new("RGB", size, (n * 20 % 255, 0, 90)) for n in range(frames)]
    images[0].save(body, kind, save_all=True, append_images=images[1:], duration=80, loop=0)
    return body.getvalue()


def test_a_gif_goes_on_moving_while_it_is_light() -> None:
    prepared = prepare(moving(5, (200, 100)))
    assert (prepared.kind, prepared.is_animated, prepared.was_moving) == ("gif", True, False)
    assert getattr(opened(prepared.large), "n_frames", 1) == 5


def test_a_heavy_one_keeps_its_first_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_MOVING_PIXELS", 1000)
    prepared = prepare(moving(5, (200, 100)))
    assert (prepared.is_animated, prepared.was_moving, prepared.kind) == (False, True, "png")


def test_a_webp_that_moves_keeps_its_first_moment() -> None:
    prepared = prepare(moving(3, (60, 60), "WEBP"))
    assert (prepared.is_animated, prepared.was_moving) == (False, True)


def test_too_heavy_and_empty_files() -> None:
    assert refused(b"") is Flaw.EMPTY
    assert refused(b"\x89PNG" + b"x" * pictures.MOST_BYTES) is Flaw.TOO_HEAVY


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000))
        + chunk(b"IEND", b"")
    )
    assert refused(bomb) is Flaw.TOO_LARGE


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%PDF-1.7 ...",
        b"<html><script>alert(1)</script></html>",
        b"II*\x00" + b"\0" * 40,
        b"BM" + b"\0" * 60,
    ],
)
def test_anything_else_is_no_picture(data: bytes) -> None:
    assert refused(data) is Flaw.NO_PICTURE


def test_half_a_picture_is_damaged() -> None:
    whole = image_bytes("JPEG", (300, 300))
    assert refused(whole[: len(whole) // 2]) is Flaw.BROKEN


def test_what_hides_behind_a_picture_is_dropped() -> None:
    assert b"<script" not in prepare(image_bytes() + b"<script>alert(1)</script>").large


@given(
    st.binary(max_size=300),
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF0000WEBP", b""]),
)
def test_no_bytes_break_it(data: bytes, beginning: bytes) -> None:
    with contextlib.suppress(Unusable):
        prepare(beginning + data)
