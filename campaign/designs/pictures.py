"""A file that somebody uploads, as a picture that e-mail programs show.

Whatever comes in is decoded and written anew: nothing of the file itself is kept, so no place,
camera or comment goes along, and what only looks like a picture ends here. JPEG, PNG and GIF come
out, because some mail programs know no WebP.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from enum import StrEnum

from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError

MEGABYTE = 1024 * 1024
MOST_BYTES = 10 * MEGABYTE
MOST_PIXELS = 50_000_000
MOST_MOVING_PIXELS = 40_000_000
MOST_MOVING_BYTES = 3 * MEGABYTE
MOST_FRAMES = 300
LARGE, SMALL = 1072, 360
HEAVY_PNG = 500_000
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
TYPES = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif"}


class Flaw(StrEnum):
    """Why a file cannot be used."""

    EMPTY = "empty"
    TOO_HEAVY = "too heavy"
    TOO_LARGE = "too large"
    NO_PICTURE = "no picture"
    BROKEN = "broken"


class Unusable(Exception):
    """This file becomes no picture."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture in both sizes. `was_moving`: it moved, and only its first moment is kept."""

    kind: str
    width: int
    height: int
    large: bytes
    small: bytes
    is_animated: bool = False
    was_moving: bool = False


def prepare(data: bytes) -> Prepared:
    """The picture in a file. Raises Unusable."""
    if not data:
        raise Unusable(Flaw.EMPTY)
    if len(data) > MOST_BYTES:
        raise Unusable(Flaw.TOO_HEAVY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _prepare(image)
        except UnidentifiedImageError:
            raise Unusable(Flaw.NO_PICTURE) from None
        except Image.DecompressionBombError:
            raise Unusable(Flaw.TOO_LARGE) from None
        except (OSError, SyntaxError, ValueError, EOFError, MemoryError, IndexError, TypeError):
            raise Unusable(Flaw.BROKEN) from None


def _prepare(image: Image.Image) -> Prepared:
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        raise Unusable(Flaw.TOO_LARGE)
    is_moving = bool(getattr(image, "is_animated", False))
    if is_moving and image.format == "GIF":
        moving = _moving(image)
        if moving is not None:
            return moving
        image.seek(0)
    if image.format == "JPEG":
        image.draft("RGB", (LARGE * 2, LARGE * 2))  # decodes a smaller one right away
    still = _srgb(ImageOps.exif_transpose(image))
    large = _fit(still, LARGE)
    kind = "png" if _is_clear(large) or image.format in {"PNG", "GIF"} else "jpg"
    body = _bytes(large, kind)
    if kind == "png" and len(body) > HEAVY_PNG and not _is_clear(large):
        kind, body = "jpg", _bytes(large, "jpg")
    return Prepared(
        kind,
        large.width,
        large.height,
        body,
        _bytes(_fit(still, SMALL), kind),
        was_moving=is_moving,
    )


def _moving(image: Image.Image) -> Prepared | None:
    """A moving GIF in the width of a letter; None where it would be too heavy."""
    frames = getattr(image, "n_frames", 1)
    if frames > MOST_FRAMES or frames * image.width * image.height > MOST_MOVING_PIXELS:
        return None
    pictures, times = [], []
    for frame in ImageSequence.Iterator(image):
        pictures.append(_fit(frame.convert("RGBA"), LARGE))
        times.append(int(frame.info.get("duration", 100) or 100))
    body = io.BytesIO()
    pictures[0].save(
        body,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=times,
        loop=int(image.info.get("loop", 0) or 0),
        disposal=2,
        comment=b"",
    )
    if len(body.getvalue()) > MOST_MOVING_BYTES:
        return None
    first = pictures[0]
    return Prepared(
        "gif",
        first.width,
        first.height,
        body.getvalue(),
        _bytes(_fit(first, SMALL), "gif"),
        is_animated=True,
    )


def _srgb(image: Image.Image) -> Image.Image:
    """Its colours as screens without a profile show them."""
    profile = image.info.get("icc_profile")
    clear = image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info
    if profile and image.mode in {"RGB", "CMYK", "L"} and not clear:
        try:
            found = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            found = None
        if found is not None:
            return found
    if image.mode.startswith("I"):  # 16 bits of grey
        image = image.point(lambda value: value / 256).convert("L")
    return image.convert("RGBA" if clear else "RGB")


def _fit(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image.copy()
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _is_clear(image: Image.Image) -> bool:
    """Whether something shines through it."""
    if image.mode != "RGBA":
        return False
    lowest, _highest = image.getchannel("A").getextrema()
    return bool(lowest < 255)  # type: ignore[operator]


def _bytes(image: Image.Image, kind: str) -> bytes:
    """Written without anything but its pixels."""
    plain = Image.new(image.mode, image.size)
    plain.paste(image)
    body = io.BytesIO()
    if kind == "jpg":
        plain.convert("RGB").save(body, "JPEG", quality=84, optimize=True, progressive=True)
    elif kind == "gif":
        plain.save(body, "GIF")
    else:
        (plain if _is_clear(plain) else plain.convert("RGB")).save(body, "PNG", optimize=True)
    return body.getvalue()
