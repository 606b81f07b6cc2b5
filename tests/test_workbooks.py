"""Workbooks as tables: what stands in the cells, and what is refused before it is unpacked."""

from __future__ import annotations

import io
import time
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from campaign.tabular import CsvReader, Unreadable, unguard
from campaign.workbooks import check_workbook, is_workbook, workbook_to_csv


def book(*rows: list[Any], sheets: int = 1, formula: str = "") -> io.BytesIO:
    """A workbook whose last sheet has these rows."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"default_date_format": "yyyy-mm-dd"}) as made:
        pages = [made.add_worksheet() for _ in range(sheets)]
        for y, row in enumerate(rows):
            for x, value in enumerate(row):
                if isinstance(value, str):
                    pages[-1].write_string(y, x, value)
                else:
                    pages[-1].write(y, x, value)
        if formula:
            pages[-1].write_formula(len(rows), 0, formula, value="a@example.org")
    out.seek(0)
    return out


def table(file: io.BytesIO) -> CsvReader:
    out = io.BytesIO()
    for _rows in workbook_to_csv(file, out):
        pass
    out.seek(0)
    return CsvReader(out)


def test_cells_are_as_somebody_would_type_them() -> None:
    moment = datetime(2026, 6, 30, 18, 5)  # noqa: DTZ001 - a cell has no zone
    found = table(
        book(
            ["email", "zip", "born", "seen", "share", "yes", "text"],
            ["a@example.org", 60637, date(2026, 6, 30), moment, 0.25, True, "=1+1"],
        )
    )
    (row,) = found
    assert [unguard(cell) for cell in row.cells] == [
        "a@example.org",
        "60637",
        "2026-06-30",
        "2026-06-30 18:05:00",
        "0.25",
        "yes",
        "=1+1",
    ]


def test_rows_keep_their_numbers_and_empty_sheets_are_passed_over() -> None:
    found = table(book(["email"], [], ["a@example.org"], [None], ["b@example.org"], sheets=3))
    assert [(row.number, row.cells) for row in found] == [
        (3, ("a@example.org",)),
        (5, ("b@example.org",)),
    ]


def test_of_a_formula_the_last_result_counts() -> None:
    (row,) = table(book(["email"], formula='=HYPERLINK("https://evil.example")'))
    assert row.cells == ("a@example.org",)


def archive(**parts: bytes) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name.replace("__", "/").replace("_x", "."), content)
    out.seek(0)
    return out


BOOK = {"xl__workbook_xxml": b"<workbook/>"}


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (archive(readme=b"hello"), "binary"),
        (archive(**BOOK, xl__worksheets__sheet1_xxml=b"0" * 30_000_000), "bomb"),
        (archive(**BOOK, xl__sharedStrings_xxml=b"0" * 130_000_000), "bomb"),
        (archive(**BOOK, inner_xzip=b"PK"), "bomb"),
        (archive(**BOOK, xl__embeddings__more_xxlsx=b"PK"), "bomb"),
        (archive(**BOOK, **{f"n{n}": b"" for n in range(5_001)}), "bomb"),
        (archive(**BOOK), "broken"),
        (io.BytesIO(b"PK\x03\x04" + b"\x00" * 100), "broken"),
        (io.BytesIO(b""), "broken"),
    ],
)
def test_what_is_no_workbook_or_would_fill_the_disk_is_refused_at_once(
    file: io.BytesIO, kind: str
) -> None:
    started = time.process_time()
    with pytest.raises(Unreadable) as caught:
        list(workbook_to_csv(file, io.BytesIO()))
    assert caught.value.kind == kind
    assert time.process_time() - started < 5


def test_entities_do_not_grow() -> None:
    """A billion laughs in the sheet: refused, and nobody waits for it."""
    laughs = '<!DOCTYPE l [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    made = book(["email"], ["a@example.org"])
    out = io.BytesIO()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name.endswith("sharedStrings.xml"):
                head, tail = content.split("?>", 1)
                content = f"{head}?>{laughs}]>{tail.replace('email', '&j;', 1)}"
            new.writestr(name, content)
    started = time.process_time()
    with pytest.raises(Unreadable):
        table(out)
    assert time.process_time() - started < 5


def test_an_empty_book_and_one_wider_than_any_table_are_refused() -> None:
    for file, kind in ((book(), "empty"), (book(["x"] * 501), "columns")):
        with pytest.raises(Unreadable) as caught:
            list(workbook_to_csv(file, io.BytesIO()))
        assert caught.value.kind == kind


def test_a_row_wider_than_the_header_costs_that_row_alone() -> None:
    rows = list(table(book(["email"], ["a@example.org"], ["x"] * 600, ["b@example.org"])))
    assert [row.problem is None for row in rows] == [True, False, True]


def test_a_workbook_is_told_by_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(book(["email"]).getvalue())
    assert is_workbook(path)
    with path.open("rb") as file:
        check_workbook(file)
    path.write_text("email\n")
    assert not is_workbook(path)
