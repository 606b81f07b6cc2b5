"""Workbooks as tables: what stands in the cells, and what is refused before it is unpacked."""

from __future__ import annotations

import csv
import io
import random
import re
import time
import tracemalloc
import zipfile
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign import workbooks
from campaign.tabular import CsvReader, Unreadable, unguard
from campaign.web.fields import hostile
from campaign.workbooks import (
    WRONG,
    check_workbook,
    is_workbook,
    shape_of,
    workbook_to_csv,
    written,
)


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


def noise(size: int) -> bytes:
    """Bytes that do not shrink to next to nothing."""
    return random.Random(size).randbytes(size // 8).hex().encode() * 4


BOOK = {"xl__workbook_xxml": b"<workbook/>"}


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (archive(readme=b"hello"), "binary"),
        (archive(**BOOK, xl__worksheets__sheet1_xxml=b"0" * 30_000_000), "bomb"),
        (archive(**BOOK, xl__sharedStrings_xxml=b"0" * 130_000_000), "bomb"),
        (archive(**BOOK, inner_xzip=b"PK"), "bomb"),
        (archive(**BOOK, xl__embeddings__more_xzip=b"PK"), "bomb"),
        (archive(**BOOK, **{f"n{n}": b"" for n in range(5_001)}), "bomb"),
        (archive(**BOOK), "empty"),
        (archive(**BOOK, **{f"{'n' * 60_000}{n}": b"" for n in range(40)}), "bomb"),
        (archive(**BOOK, xl__workbook_xbin=b"x"), "spreadsheet"),
        (archive(content_xxml=b"<ods/>"), "spreadsheet"),
        (archive(word__document_xxml=b"<doc/>"), "binary"),
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


START = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
END = "</sheetData></worksheet>"
TWO = "<c><v>2</v></c></row>"
HEADER = '<row r="1"><c r="A1" t="inlineStr"><is><t>email</t></is></c></row>'


def with_sheet(content: str | bytes, *, styles: str = "", strings: str = "") -> io.BytesIO:
    """A workbook whose only sheet is written by hand, as no program for spreadsheets would."""
    made, out = book(["email"], [1.5]), io.BytesIO()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            said: str | bytes = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                said = content
            elif name == "xl/styles.xml" and styles:
                said = re.sub("<cellXfs.*</cellXfs>", styles, old.read(name).decode())
            elif name == "xl/sharedStrings.xml" and strings:
                said = strings
            new.writestr(name, said)
    out.seek(0)
    return out


def cells_of(file: io.BytesIO) -> list[tuple[str, ...]]:
    """All cells as they are written, a row for a row."""
    out = io.BytesIO()
    for _rows in workbook_to_csv(file, out):
        pass
    lines = csv.reader(io.StringIO(out.getvalue().decode(), newline=""))
    return [tuple(map(unguard, line)) for line in lines]


def test_how_wide_a_sheet_claims_to_be_is_not_believed() -> None:
    """Some programs write "A1" whatever they hold; others no places at all, or out of order."""
    claimed = START.replace("<sheetData>", '<dimension ref="A1"/><sheetData>')
    for sheet in (
        f'{claimed}{HEADER}<row r="2"><c r="A2"><v>1</v></c><c r="B2"><v>2</v></c></row>{END}',
        f'{START}<row><c t="inlineStr"><is><t>email</t></is></c></row><row><c><v>1</v></c>{TWO}{END}',
        f'{START}{HEADER}<row r="1"><c r="B2"><v>2</v></c><c r="A2"><v>1</v></c></row>{END}',
        f'{START}{HEADER}<row r="2"><c r="A2"><v>1</v></c><c r="B2"><v>2</v></c></row>{END}'.replace(
            "<", "<x:"
        )
        .replace("<x:/", "</x:")
        .replace("xmlns=", "xmlns:x="),
    ):
        assert cells_of(with_sheet(sheet)) == [("email",), ("1", "2")]


def test_no_cell_attribute_row_or_style_takes_memory_or_time() -> None:
    """Each of these is some hundred kilobytes, and would be gigabytes where it is believed."""
    long = noise(24_000_000).decode()
    tracemalloc.start()
    started = time.process_time()
    for sheet, kind in (
        (f'{START}{HEADER}<row r="2" x="{long}"/>{END}', "bomb"),
        (f"{START}{HEADER}<!--{long}-->{END}", "bomb"),
        ("", "bomb"),  # its styles are longer than any honest ones
        (f'{START}{HEADER}<row r="2000000000"><c r="A1"><v>1</v></c></row>{END}', "bomb"),
        (f'{START}{HEADER}<row r="2"><c r="ZZZZZZ2"><v>1</v></c></row>{END}', "broken"),
        (f'{START}{HEADER}<row r="2"><c r="A2" s="x"><v>1</v></c></row>{END}', "broken"),
        (f"{START}{HEADER}" + "".join(f"<a{n}/>" for n in range(3_000)) + END, "bomb"),
    ):
        file = with_sheet(sheet, styles=f"<cellXfs><!--{long}--></cellXfs>" if not sheet else "")
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        with pytest.raises(Unreadable) as caught:
            list(workbook_to_csv(file, io.BytesIO()))
        assert caught.value.kind == kind
        assert tracemalloc.get_traced_memory()[1] - before < 20_000_000
    tracemalloc.stop()
    assert time.process_time() - started < 20


def test_a_cell_of_many_megabytes_costs_its_row_alone_and_no_memory() -> None:
    sheet = (
        f'{START}{HEADER}<row r="2"><c r="A2" t="inlineStr"><is><t>{noise(40_000_000).decode()}</t>'
        f'</is></c></row><row r="3"><c r="A3" t="inlineStr"><is><t>a@example.org</t></is></c></row>'
        f"{END}"
    )
    found = with_sheet(sheet)
    del sheet
    tracemalloc.start()
    out = io.BytesIO()
    list(workbook_to_csv(found, out))
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()
    out.seek(0)
    assert [(row.cells, row.problem is None) for row in CsvReader(out)] == [
        ((), False),
        (("a@example.org",), True),
    ]


def test_one_long_text_cannot_be_written_a_million_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MOST_WRITTEN", 1_000_000)
    strings = f"<sst><si><t>{'x' * 9_000}</t></si></sst>"
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(2, 500))
    with pytest.raises(Unreadable) as caught:
        cells_of(with_sheet(START + HEADER + rows + END, strings=strings))
    assert caught.value.kind == "bomb"


def test_what_is_no_value_is_told_from_one() -> None:
    """Errors, texts that are not there and formulas that nobody computed: no field takes them."""
    cells = (
        '<c r="A2" t="e"><v>#N/A</v></c><c r="B2" t="s"><v>77</v></c><c r="C2"><f>NOW()</f></c>'
        '<c r="D2"><v>twelve</v></c><c r="E2"/><c r="F2"><f>1+1</f><v>2</v></c>'
        '<c r="G2" t="d"><v>2026-06-30T00:00:00</v></c><c r="H2" t="inlineStr"><is><r><t>Gua</t></r>'
        '<r><t>dalupe_x0041_</t></r><rPh sb="0" eb="1"><t>sounds</t></rPh></is></c>'
    )
    (_header, row) = cells_of(with_sheet(f'{START}{HEADER}<row r="2">{cells}</row>{END}'))
    assert row == (
        *(f"{WRONG}#N/A", WRONG, f"{WRONG}=", f"{WRONG}twelve"),
        *("", "2", "2026-06-30", "GuadalupeA"),
    )
    assert hostile(WRONG)


@pytest.mark.parametrize(
    ("number", "code", "value", "said"),
    [
        ("14", "", "46203", "2026-06-30"),
        ("164", "dd/mm/yyyy;@", "46203.75", "2026-06-30 18:00:00"),
        ("164", "[$-409]mmmm d", "46203", "2026-06-30"),
        ("20", "", "0.75", "18:00:00"),
        ("164", "[h]:mm", "1.5", "1.5"),
        ("164", '0.00" days"', "1.5", "1.5"),
        ("164", "[Red]#,##0", "1234567", "1234567"),
        ("164", "00000", "2134", "02134"),
        ("164", "00000\\-0000", "21341234", "02134-1234"),
        ("164", "00000\\-0000", "2134", "02134"),
        ("164", "00000", "123456", "123456"),
        ("164", "00000", "-3", "-3"),
        ("0", "", "3125550100", "3125550100"),
        ("0", "", "1E3", "1000"),
        ("0", "", "0.30000000000000004", "0.3"),
        ("0", "", "12345678901234567890", "1.23456789012346e+19"),
        ("14", "", "0.5", "1899-12-31 12:00:00"),
        ("14", "", "59", "1900-02-28"),
        ("14", "", "61", "1900-03-01"),
        ("14", "", "1e300", f"{WRONG}1e+300"),
        ("14", "", "-1", f"{WRONG}-1"),
        ("14", "", "2958465.999999", f"{WRONG}2958465.999999"),
        ("14", "", "nan", f"{WRONG}nan"),
        ("0", "", "nan", "nan"),
    ],
)
def test_numbers_are_said_as_their_format_means_them(
    number: str, code: str, value: str, said: str
) -> None:
    assert written(value, shape_of(number, code)) == said


def test_days_of_a_mac_begin_in_1904() -> None:
    assert written("44741", "day", is_since_1904=True) == "2026-06-30"


@given(st.text(max_size=20), st.sampled_from(["", "day", "time", "5", "zip+4"]))
def test_no_number_ends_the_reading(said: str, shape: str) -> None:
    assert isinstance(written(said, shape), str)


@given(st.binary(max_size=200), st.integers(0, 200))
@settings(deadline=None, max_examples=60)
def test_a_damaged_file_is_refused_or_read_and_nothing_else(garbage: bytes, place: int) -> None:
    whole = SOUND.getvalue()
    at = len(whole) * place // 200
    file = io.BytesIO(whole[:at] + garbage + whole[at + len(garbage) :])
    with suppress(Unreadable):
        list(workbook_to_csv(file, io.BytesIO()))


SOUND = book(["email", "born"], ["a@example.org", date(2026, 6, 30)])


def test_rows_and_texts_stay_out_of_memory() -> None:
    file = book(["email"], *([f"person{n}@example.org"] for n in range(20_000)))
    tracemalloc.start()
    with TemporaryFile() as out:
        assert list(workbook_to_csv(file, out))[-1] == 20_001
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()


def test_hidden_sheets_come_last() -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as made:
        for name in ("Codes", "People"):
            made.add_worksheet(name).write_string(0, 0, name)
        made.worksheets()[1].activate()
        made.worksheets()[0].hide()
    out.seek(0)
    assert cells_of(out) == [("People",)]


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
