"""Reading our own PDFs back: the text of each page, through the fonts' tables of letters.

Only what `campaign/paper.py` writes is understood. It stands in Python because a bare machine has
no pdftotext.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
SHOWN = re.compile(rb"/(F\d+) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\) Tj|\b(ET)\b", re.DOTALL)
ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pages_of(pdf: bytes) -> list[str]:
    """The text of each page, a line for each piece that was drawn."""
    objects = {int(match[1]): match[2] for match in OBJECT.finditer(pdf)}
    fonts = {
        name: _letters(objects, int(number))
        for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", pdf)
    }
    pages = [body for body in objects.values() if re.search(rb"/Type /Page\b(?!s)", body)]
    contents = [_stream(objects[int(_find(rb"/Contents (\d+) 0 R", body))]) for body in pages]
    return ["\n".join(_lines(content, fonts)) for content in contents]


def _find(pattern: bytes, body: bytes) -> bytes:
    match = re.search(pattern, body)
    assert match is not None, pattern
    return match[1]


def _stream(body: bytes) -> bytes:
    data = body[body.index(b"stream\n") + 7 : body.rindex(b"\nendstream")]
    return zlib.decompress(data) if b"/FlateDecode" in body else data


def _letters(objects: dict[int, bytes], number: int) -> dict[int, str]:
    table = _stream(objects[int(_find(rb"/ToUnicode (\d+) 0 R", objects[number]))])
    return {
        int(code, 16): bytes.fromhex(letter.decode()).decode("utf-16-be")
        for code, letter in re.findall(rb"<([0-9A-Fa-f]+)> <([0-9A-Fa-f]+)>\n", table)
    }


def _lines(content: bytes, fonts: dict[bytes, dict[int, str]]) -> Iterator[str]:
    letters: dict[int, str] = {}
    line = ""
    for font, shown, end in SHOWN.findall(content):
        letters = fonts[font] if font else letters
        codes = ESCAPED.sub(lambda match: PLAIN.get(match[1], match[1]), shown)
        line += "".join(
            letters.get(int.from_bytes(codes[at : at + 2]), "?") for at in range(0, len(codes), 2)
        )
        if end and line:
            yield line
            line = ""
