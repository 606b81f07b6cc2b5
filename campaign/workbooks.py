"""Workbooks (XLSX) as CSV files: row by row, whatever their size, and not one byte too many.

A workbook is a ZIP archive of XML. Before anything of it is unpacked its directory is looked at:
what would grow beyond all measure, or holds another archive, is refused at once. Rows are read one
after the other; only the texts that a workbook keeps apart stand in memory, and how many of those
there may be is limited, too. Formulas are never computed: their last result counts.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO

from campaign.tabular import MAX_COLUMNS, CsvWriter, Unreadable

MOST_PARTS = 5_000
MOST_BYTES = 1_500_000_000
MOST_TEXT_BYTES = 120_000_000
MOST_RATIO = 250
SMALL_BYTES = 4_000_000
ROWS_AT_ONCE = 5_000
_ARCHIVES = (".zip", ".xlsx", ".xlsm", ".xlsb", ".gz", ".7z", ".rar", ".bz2", ".xz")


def is_workbook(path: Path) -> bool:
    """Whether a file is a ZIP archive, as an XLSX file is."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def check_workbook(file: BinaryIO) -> None:
    """Raises Unreadable for an archive that is no workbook or would unpack beyond all measure.

    What the directory says of sizes may be a lie; but no part is unpacked beyond what it says.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError):
        raise Unreadable("broken") from None
    names = {part.filename for part in parts}
    if "xl/workbook.xml" not in names:
        raise Unreadable("binary")
    if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_BYTES:
        raise Unreadable("bomb")
    for part in parts:
        is_text = part.filename.lower().endswith("sharedstrings.xml")
        is_thick = part.file_size > max(part.compress_size, 1) * MOST_RATIO
        if (
            part.filename.lower().endswith(_ARCHIVES)
            or (is_text and part.file_size > MOST_TEXT_BYTES)
            or (is_thick and part.file_size > SMALL_BYTES)
        ):
            raise Unreadable("bomb")


def workbook_to_csv(file: BinaryIO, out: BinaryIO | io.BufferedIOBase) -> Iterator[int]:
    """Write the first sheet that has rows as CSV; yields how many rows there are so far.

    Row for row: a blank row stays one, so that numbers in a report are those of the sheet. Raises
    Unreadable when it is damaged, refused by `check_workbook`, or wider than any honest table.
    """
    check_workbook(file)
    from openpyxl import load_workbook  # half a second, and few processes need it

    file.seek(0)
    count = 0
    writer = CsvWriter(out)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about drawings and styles it leaves out
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
            sheet = next((one for one in book.worksheets if _has_rows(one)), None)
            if sheet is None:
                raise Unreadable("empty")
            for row in sheet.iter_rows(values_only=True):
                cells = [_written(value) for value in row]
                while cells and not cells[-1]:
                    cells.pop()
                if count == 0 and len(cells) > MAX_COLUMNS:
                    raise Unreadable("columns")
                writer.write(cells[: MAX_COLUMNS + 1])
                count += 1
                if count % ROWS_AT_ONCE == 0:
                    yield count
            book.close()
    except Unreadable:
        raise
    except Exception:  # noqa: BLE001 - a damaged file raises whatever its damage is
        raise Unreadable("broken") from None
    writer.close()
    yield count


def _has_rows(sheet: Any) -> bool:
    return next(iter(sheet.iter_rows(max_row=50, values_only=True)), None) is not None


def _written(value: object) -> str:
    """A cell as somebody would type it: days as 2026-06-30, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        is_day = value.time() == time()
        return value.date().isoformat() if is_day else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
