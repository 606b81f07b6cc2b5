"""A small form's body, read before Flask for the paths that a crowd takes at once.

What is read here is read as Flask reads it. Whatever is out of the ordinary (large, no plain
form, not UTF-8) is left to it.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 16 * 1024
MOST_FIELDS = 60


def take_body(environ: WSGIEnvironment) -> bytes | None:
    """The body of a small form, which whoever comes after finds there as well; else None."""
    length = environ.get("CONTENT_LENGTH", "")
    if environ.get("CONTENT_TYPE") != FORM or not length.isdecimal() or int(length) > MOST_BYTES:
        return None
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = BytesIO(body)
    return body if len(body) == int(length) else None


def fields_of(body: bytes) -> dict[str, str] | None:
    """Field → its first value; None for what is not written as browsers write it."""
    parts = body.split(b"&")
    if len(parts) > MOST_FIELDS or not body.isascii():
        return None
    found: dict[str, str] = {}
    for part in body.decode("ascii").split("&"):
        if not part:
            continue
        name, _sign, value = part.partition("=")
        if "%" in part or "+" in part:
            try:
                name, value = _decoded(name), _decoded(value)
            except UnicodeDecodeError:
                return None
        found.setdefault(name, value)
    return found


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="strict") if "%" in text or "+" in text else text
