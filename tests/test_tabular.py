"""Tables in and out: nothing runs, nothing vanishes, everything comes back."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campaign.tabular import (
    MAX_CELL_CHARS,
    CsvReader,
    CsvWriter,
    JsonLinesWriter,
    Problem,
    Unreadable,
    guard,
    unguard,
)

TRIGGERS = "=+-@\t\r＝＋－＠"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NASTY = st.text(st.sampled_from("'=+-@\t\r\n＝ab, \"\u2028"), max_size=12)


def rows_of(data: bytes) -> list[tuple[int, tuple[str, ...], Problem | None]]:
    return [(row.number, row.cells, row.problem) for row in CsvReader(io.BytesIO(data))]


def cells_of(data: bytes) -> list[tuple[str, ...]]:
    return [cells for _number, cells, _problem in rows_of(data)]


def written(header: list[str], rows: list[list[str]]) -> bytes:
    file = io.BytesIO()
    writer = CsvWriter(file, header)
    for row in rows:
        writer.write(row)
    writer.close()
    return file.getvalue()


@given(TEXT | NASTY)
@example("'")
@example("''=")
@example("a\r\n=1")
@example("a\r\r=1")
@example("a\n'=1")
@example("\r'")
def test_the_guard_can_be_taken_back(text: str) -> None:
    assert unguard(guard(text)) == text


@given(NASTY)
def test_no_guarded_text_begins_a_line_with_a_formula(text: str) -> None:
    safe = guard(text)
    assert safe[:1] not in set(TRIGGERS)
    for before, after in pairwise(safe):
        if before in "\r\n":
            assert after not in "=+-@\t＝"


@pytest.mark.parametrize("start", TRIGGERS)
def test_each_trigger_gets_a_leading_apostrophe(start: str) -> None:
    assert guard(f"{start}1+1") == f"'{start}1+1"
    assert guard(f"x\n{start}1").startswith("'x\n'")


def test_what_is_harmless_stays() -> None:
    for text in ("", "O'Brien", "a=b", "1-2", "josé@example.org", "two\r\n\r\nlines"):
        assert guard(text) == text
        assert unguard(text) == text
    assert unguard("'tis") == "'tis"  # not ours: nothing to take back


@settings(max_examples=150)
@given(st.lists(st.lists(TEXT | NASTY, min_size=3, max_size=3), max_size=8))
def test_what_is_written_is_read_again(rows: list[list[str]]) -> None:
    data = written(["a", "b", "c"], rows)
    found = [tuple(unguard(cell) for cell in cells) for cells in cells_of(data)]
    expected = [tuple(row) if any(row) else () for row in rows]
    assert found == expected


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_unreadable(data: bytes) -> None:
    try:
        rows = rows_of(b"email,name\n" + data)
    except Unreadable:
        return
    assert all(len(cells) == 2 or problem for _number, cells, problem in rows)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "utf-32"]
)
def test_encodings(encoding: str) -> None:
    text = "email,first_name\r\njose@example.org,José\r\nnun@example.org,Núñez\r\n"
    data = text.encode(encoding)
    if encoding in {"utf-16-le", "utf-16-be"}:
        assert not data.startswith((b"\xff\xfe", b"\xfe\xff"))
    assert cells_of(data) == [("jose@example.org", "José"), ("nun@example.org", "Núñez")]


def test_latin_1_is_found_on_the_last_line() -> None:
    lines = "".join(f"p{n}@example.org,Ann\n" for n in range(100_000))
    data = ("email,first_name\n" + lines).encode() + "z@example.org,Peña\n".encode("latin-1")
    assert cells_of(data)[-1] == ("z@example.org", "Peña")


def test_a_damaged_utf8_file_keeps_its_right_names() -> None:
    data = "email,first_name\na@example.org,José\n".encode() + b"b@example.org,Ann\xff\n"
    assert cells_of(data) == [("a@example.org", "José"), ("b@example.org", "Ann\ufffd")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    data = f"email{delimiter}name\na@example.org{delimiter}Ann\n".encode()
    assert cells_of(data) == [("a@example.org", "Ann")]


def test_excel_says_its_delimiter() -> None:
    reader = CsvReader(io.BytesIO(b"sep=;\r\nemail;name\r\na@example.org;Ann, the first\r\n"))
    assert reader.header == ("email", "name")
    assert [(row.number, row.cells) for row in reader] == [(3, ("a@example.org", "Ann, the first"))]


def test_a_quoted_header_does_not_mislead() -> None:
    reader = CsvReader(io.BytesIO(b'"a,b,c";x\n1;2\n'))
    assert reader.header == ("a,b,c", "x")


def test_line_ends_of_every_system_and_within_cells() -> None:
    assert cells_of(b"a,b\r1,2\r3,4\r") == [("1", "2"), ("3", "4")]
    data = b'a,b\r\n"1\r\n1",2\r\n\r\n3,4'
    assert rows_of(data) == [(2, ("1\r\n1", "2"), None), (4, ("3", "4"), None)]


def test_an_open_quote_costs_one_row() -> None:
    many = "".join(f"{n},x\n" for n in range(1000))
    for tail in (many, many + '5,"fine"\n', "1,2\n"):
        rows = rows_of(f'a,b\n1,"open\n{tail}'.encode())
        assert rows[0] == (2, (), Problem.QUOTES)
        assert [cells[0] for _n, cells, _p in rows[1:]] == [
            line.split(",")[0] for line in tail.splitlines()
        ]
        assert [number for number, _c, _p in rows] == list(range(2, len(rows) + 2))


def test_a_stray_quote_costs_one_row() -> None:
    assert rows_of(b'a,b\n"x"y,1\n2,3\n') == [(2, (), Problem.QUOTES), (3, ("2", "3"), None)]
    assert rows_of(b'a,b\n5" pipe,1\n') == [(2, ('5" pipe', "1"), None)]


@pytest.mark.parametrize("size", [MAX_CELL_CHARS + 1, 200_000, 1_000_000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_oversized_cell_costs_one_row(size: int, end: str) -> None:
    data = end.join(["a,b", "1,2", f"3,{'x' * size}", f'4,"{"y" * size}"', "5,6", ""]).encode()
    assert rows_of(data) == [
        (2, ("1", "2"), None),
        (3, (), Problem.TOO_LONG),
        (4, (), Problem.TOO_LONG),
        (5, ("5", "6"), None),
    ]


def test_rows_of_other_widths() -> None:
    data = b"a,b,c\n1\n1,2,3,,,\n1,2,3,4\n,,\n\n"
    assert rows_of(data) == [
        (2, ("1", "", ""), None),
        (3, ("1", "2", "3"), None),
        (4, (), Problem.TOO_MANY_CELLS),
        (5, (), Problem.EMPTY),
    ]


def test_nul_is_kept_for_the_reader_to_refuse() -> None:
    assert cells_of(b"a,b\n1\x00,2\n3,4\n") == [("1\x00", "2"), ("3", "4")]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b",,,\n1,2\n", "empty"),
        (b"PK\x03\x04 the rest of a workbook", "spreadsheet"),
        (b"\x89PNG\r\n\x1a\n", "binary"),
        (b",".join(b"c%d" % n for n in range(600)), "columns"),
        (b'"open\n1,2\n', "columns"),
    ],
)
def test_files_without_a_table(data: bytes, kind: str) -> None:
    with pytest.raises(Unreadable) as caught:
        CsvReader(io.BytesIO(data))
    assert caught.value.kind == kind


def test_a_line_of_fifty_megabytes_takes_little_memory() -> None:
    class Endless(io.RawIOBase):
        """A header and one line that goes on and on, made as it is read."""

        total = 30_000_000

        def __init__(self) -> None:
            self.at = 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            self.at = offset
            return offset

        def tell(self) -> int:
            return self.at

        def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
            head = b"a,b\n1," if self.at == 0 else b""
            size = min(len(buffer), self.total - self.at)
            chunk = (head + b"x" * size)[:size]
            buffer[:size] = chunk
            self.at += size
            return size

    tracemalloc.start()
    rows = list(CsvReader(io.BufferedReader(Endless())))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.problem for row in rows] == [Problem.TOO_LONG]
    assert peak < 8_000_000


def test_written_csv_is_what_other_programs_read() -> None:
    data = written(["name", "phone"], [["Ann, Bee", "+1 312"], ['say "hi"', ""]])
    assert list(csv.reader(io.StringIO(data.decode(), newline=""))) == [
        ["name", "phone"],
        ["Ann, Bee", "'+1 312"],
        ['say "hi"', ""],
    ]
    assert data.endswith(b"\r\n")


def test_json_lines() -> None:
    file = io.BytesIO()
    writer = JsonLinesWriter(file)
    writer.write({"name": "José\nPeña"})
    writer.write({"n": 1})
    writer.close()
    assert [json.loads(line) for line in file.getvalue().splitlines()] == [
        {"name": "José\nPeña"},
        {"n": 1},
    ]
