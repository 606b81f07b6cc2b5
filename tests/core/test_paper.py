"""PDFs: their text, their pages, the same bytes for the same input, and bad input."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask
from flask_babel import force_locale

from campaign.paper import FONTS, Column, Paper
from tests.factories.pdfs import pages_of

AT = datetime(2026, 12, 1, 16, 0, tzinfo=UTC)
COLUMNS = (Column("No.", 0.4, "right"), Column("Name", 2, is_strong=True), Column("Way"))


@pytest.fixture(autouse=True)
def _translated(app: Flask) -> None:
    """The page numbers are in the reader's language."""


def sheet(rows: int, **more: str) -> bytes:
    paper = Paper("Running order", made_at=AT, running="STOP · 555 0100", **more)
    paper.facts([("Where", "City Hall"), ("Empty", "")])
    paper.heading("Speakers")
    paper.table(COLUMNS, [[str(n), f"Person {n}", "In person"] for n in range(1, rows + 1)])
    paper.text("Bring a copy.\n\nBe there early.", is_soft=True)
    return paper.finish()


def test_pages_carry_title_rows_head_and_numbers() -> None:
    pages = pages_of(sheet(80))
    assert len(pages) == 4
    assert pages[0].startswith("Running order\nWhere\nCity Hall\nSpeakers\nNo.\nName\nWay\n1\n")
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of 4" in page
        assert "STOP · 555 0100" in page
        assert "Name" in page.split("\n")  # the table's head stands on each
    found = re.findall(r"^Person (\d+)$", "\n".join(pages), re.MULTILINE)
    assert found == [str(n) for n in range(1, 81)]
    assert "Empty" not in pages[0]
    assert pages[-1].endswith("Bring a copy.\nBe there early.\nSTOP · 555 0100\nPage 4 of 4")


def test_the_same_input_gives_the_same_bytes() -> None:
    assert sheet(30) == sheet(30)
    assert sheet(30) != sheet(31)


def test_sizes_and_spanish() -> None:
    assert b"/MediaBox [0 0 612" in sheet(1)
    assert b"/MediaBox [0 0 595" in sheet(1, size="a4")
    with force_locale("es"):
        assert "Página 1 de 1" in pages_of(sheet(1, language="es"))[0]


def test_names_of_a_whole_city() -> None:
    names = ["Nguyễn Thị Hồng", "José Peña", "Łukasz Żak", "Ирина", "Ελένη", "O’Brien – “Bo”"]
    paper = Paper("Names", made_at=AT)
    paper.table([Column("Name")], [[name] for name in names])
    assert pages_of(paper.finish())[0].split("\n")[2 : 2 + len(names)] == names


def test_letters_we_lack_are_written_otherwise_and_controls_go() -> None:
    paper = Paper("A\x00B\u202eC\ue000", made_at=AT, subtitle="6:00\u202fPM\u00a0CST")
    paper.text("李 🙂 e\u0301\ud800")
    assert pages_of(paper.finish())[0].split("\n")[:3] == [
        "ABC",
        "6:00 PM CST",
        "[Chinese characters] é",
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("محمد علي", "Mhmd Aly"),
        ("שרה כהן", "Shrh Khn"),
        ("김영희", "Gimyeonghyi"),
        ("さくら タナカ", "Sakura Tanaka"),
        ("राम कुमार", "Raama Kumaara"),
        ("王小明 Wang", "[Chinese characters] Wang"),
        ("ไทย", "[other letters]"),
        ("Ana 😀 Reyes", "Ana Reyes"),
        ("Ａｎａ 𝕬𝖓𝖓", "Ana Ann"),
    ],
)
def test_a_name_in_other_letters_can_be_read_out(name: str, shown: str) -> None:
    paper = Paper("Names", made_at=AT)
    paper.table([Column("Name")], [[name]])
    assert pages_of(paper.finish())[0].split("\n")[2] == shown


def test_long_words_long_rows_and_lines_to_write_on() -> None:
    paper = Paper("t" * 300, made_at=AT, subtitle="s" * 500, running="r" * 500, is_landscape=True)
    paper.table([Column("A"), Column("B")], [["x" * 400, "short"], ["y " * 6000, "z"]])
    paper.table([Column("Name"), Column("Signature")], [], row_height=10, blank=60, is_ruled=True)
    paper.code([[1, 0, 1], [1, 1, 1], [0, 1, 0]], caption="Scan me")
    paper.write_lines(4)
    pages = pages_of(paper.finish())
    whole = "\n".join(pages)
    assert whole.count("x") == 400
    assert whole.count("y") == 6000
    assert all("…" in page for page in pages)  # the foot is cut, not run over
    assert "Scan me" in whole


def test_the_fonts_are_what_the_list_says() -> None:
    listed = Path(FONTS / "VENDORED.md").read_text("utf-8")
    for font in sorted(FONTS.glob("*.ttf")):
        assert f"| `{font.name}` |" in listed
        assert sha256(font.read_bytes()).hexdigest() in listed
