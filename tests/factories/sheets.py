"""Reading a workbook as a spreadsheet does, from its XML."""

from __future__ import annotations

import io
import re
import zipfile
from xml.etree import ElementTree as ET

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheets_in(data: bytes) -> list[list[list[str]]]:
    """Each sheet's rows with the text of their cells. Fails where there is any formula."""
    found = []
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        shared = _shared(book)
        names = sorted(
            (name for name in book.namelist() if name.startswith("xl/worksheets/sheet")),
            key=lambda name: int(re.sub(r"\D", "", name)),
        )
        for name in names:
            root = ET.fromstring(book.read(name))
            assert root.find(f".//{_MAIN}f") is None, "a formula"
            found.append([_cells(row, shared) for row in root.iter(f"{_MAIN}row")])
    return found


def quoted_cells(data: bytes) -> int:
    """In how many cells of the first sheet the mark of a typed apostrophe stands."""
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        styles = ET.fromstring(book.read("xl/styles.xml"))
        formats = styles.find(f"{_MAIN}cellXfs")
        assert formats is not None
        quoted = {str(n) for n, one in enumerate(formats) if one.get("quotePrefix") == "1"}
        root = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
        return sum(1 for cell in root.iter(f"{_MAIN}c") if cell.get("s") in quoted)


def _shared(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    root = ET.fromstring(book.read("xl/sharedStrings.xml"))
    return ["".join(part.text or "" for part in one.iter(f"{_MAIN}t")) for one in root]


def _cells(row: ET.Element, shared: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in row:
        column = 0
        for letter in re.sub(r"\d", "", cell.get("r", "")):
            column = column * 26 + ord(letter) - 64
        cells += [""] * (column - 1 - len(cells))
        if cell.get("t") == "inlineStr":
            cells.append("".join(part.text or "" for part in cell.iter(f"{_MAIN}t")))
        else:
            value = cell.find(f"{_MAIN}v")
            text = value.text or "" if value is not None else ""
            cells.append(shared[int(text)] if cell.get("t") == "s" else text)
    return cells
