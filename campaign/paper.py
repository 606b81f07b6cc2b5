"""PDFs to hand over, to sign and to pin up: the one file that knows fpdf2.

A `Paper` has a title, a running head, page numbers and a font that writes the names of a whole
city ("Nguyễn", "Peña", "Łukasz", "Ирина"). Tables are drawn by hand, cell by cell: fpdf2's own
are a hundred times slower. The same input gives the same bytes, so a sheet can be compared and a
test can hold it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from flask_babel import gettext as _
from fpdf import FPDF
from fpdf.fonts import TTFFont

from campaign.spelling import spell

FONTS = Path(__file__).resolve().parent / "static" / "vendor"
FAMILY = "paper"
INK, SOFT, LINE = (27, 38, 40), (82, 98, 102), (188, 182, 172)
ACCENT, WASH = (11, 93, 90), (238, 244, 242)
MARGIN = 18.0
POINT = 0.352778  # millimetres
BODY, SMALL = 10.5, 8.5
TICK, HAIR = 4.0, 0.01
LEADING = 1.36
TOTAL = "\ue000total\ue000"  # becomes the number of pages when the last one is known

_SPACE = re.compile(r"[^\S\n]")  # CLDR writes narrow ones, which few fonts have

Align = Literal["left", "right", "center"]
Colour = tuple[int, int, int]
Line = tuple[str, str]
"""A line of a cell and its style ("B" is strong)."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head, its share of the width, how it stands.

    `is_strong`: what stands before the first line break of a cell is set off from the rest.
    `is_tick`: whatever stands in a cell, it becomes a square large enough for a pen.
    """

    title: str
    share: float = 1.0
    align: Align = "left"
    is_strong: bool = False
    is_tick: bool = False


@dataclass(frozen=True, slots=True)
class _Grid:
    """A table as it is drawn: its columns, how wide each is, and its letters' size."""

    columns: Sequence[Column]
    widths: Sequence[float]
    size: float
    least: float
    is_ruled: bool


class Paper:
    """A PDF being written, from top to bottom; `finish` gives its bytes.

    Sizes are millimetres. `size` is "letter" or "a4". `running` stands at the foot of every page
    (who hands it over, how to reach them). `made_at` is the file's date: nothing else in it
    depends on when it was made.
    """

    def __init__(
        self,
        title: str,
        *,
        made_at: datetime,
        subtitle: str = "",
        running: str = "",
        size: str = "letter",
        is_landscape: bool = False,
        language: str = "en",
    ) -> None:
        self._pdf = _Sheets(self, "landscape" if is_landscape else "portrait", size)
        pdf = self._pdf
        pdf.add_font(FAMILY, "", FONTS / "campaign-paper-sans-regular.ttf")
        pdf.add_font(FAMILY, "B", FONTS / "campaign-paper-sans-semibold.ttf")
        font = pdf.fonts[FAMILY]
        self._letters = frozenset(font.cmap) if isinstance(font, TTFFont) else frozenset()
        self.title, self.running = self._clean(title), self._clean(running)
        pdf.set_title(self.title)
        pdf.set_lang(language)
        pdf.set_creator("Campaign")
        pdf.set_producer("Campaign")
        pdf.set_creation_date(made_at)
        pdf.alias_nb_pages(TOTAL)
        pdf.set_margins(MARGIN, MARGIN, MARGIN)
        pdf.set_auto_page_break(False)
        self.left, self.right = MARGIN, float(pdf.w) - MARGIN
        self.bottom = float(pdf.h) - MARGIN - 8
        self.y = MARGIN
        self._width_of = lru_cache(maxsize=8192)(self._measure)
        self._begin_page()
        self._title(subtitle)

    # --- what a page is made of ----------------------------------------------------------------

    def heading(self, text: str) -> None:
        """A heading; it never stands alone at the foot of a page."""
        self._keep(26)
        self.y += 5
        self._write(self._wrap(self._clean(text), self.width, 13, "B"), 13, "B")
        self.y += 1.5

    def text(self, text: str, *, is_soft: bool = False, size: float = BODY) -> None:
        """Paragraphs; a blank line begins a new one."""
        for part in self._clean(text).split("\n\n"):
            lines = self._wrap(part, self.width, size, "")
            self._write(lines, size, "", SOFT if is_soft else INK)
            self.y += 2.2

    def facts(self, items: Sequence[tuple[str, str]]) -> None:
        """Lines of "label: value", the labels in a column of their own."""
        items = [(self._clean(label), self._clean(value)) for label, value in items if value]
        if not items:
            return
        labels = max(self._width(label, BODY, "") for label, _value in items) + 6
        for label, value in items:
            lines = self._wrap(value, self.width - labels, BODY, "B")
            self._keep(self._line(BODY))
            self._put((self.left, self.y), label, BODY, colour=SOFT)
            self._write(lines, BODY, "B", indent=labels)
            self.y += 0.8
        self.y += 2.5

    def space(self, height: float) -> None:
        """Room of this height."""
        self.y += height

    def write_lines(self, count: int, height: float = 9.0) -> None:
        """Lines to write on by hand."""
        for _number in range(count):
            self._keep(height)
            self.y += height
            self._rule(self.y)
        self.y += 2

    def code(self, matrix: Sequence[Sequence[int]], size: float = 34.0, caption: str = "") -> None:
        """A QR code, as drawn squares: `matrix` holds 1 for dark. It stands at the right."""
        self._keep(size + 8)
        step = size / max(len(matrix), 1)
        left = self.right - size
        self._pdf.set_fill_color(*INK)
        for row, cells in enumerate(matrix):
            begin = None
            for place, cell in enumerate([*cells, 0]):
                if cell and begin is None:
                    begin = place
                elif not cell and begin is not None:
                    self._pdf.rect(
                        left + begin * step,
                        self.y + row * step,
                        (place - begin) * step,
                        step + 0.02,
                        style="F",
                    )
                    begin = None
        lines = self._wrap(self._clean(caption), self.width - size - 8, BODY, "") if caption else []
        top = self.y
        self._write(lines, BODY, "")
        self.y = max(self.y, top + size + 4)

    def table(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str]],
        *,
        row_height: float = 0.0,
        blank: int = 0,
        is_ruled: bool = False,
        size: float = BODY,
    ) -> None:
        """A table; its head stands again on each page it runs on to.

        `row_height` is the least a row takes (9 and more to be written on by hand), `blank` adds
        empty rows, `is_ruled` draws lines between the columns too. A row too tall for the rest
        of a page goes to the next; one taller than a page is split.
        """
        grid = _Grid(columns, self._widths(columns), size, row_height, is_ruled)
        self._head(grid)
        for row in [*rows, *([""] * len(columns) for _number in range(blank))]:
            self._row(grid, self._lines_of(grid, row))
        self.y += 4

    def height_to_fit(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str]],
        *,
        least: float,
        most: float,
        size: float = BODY,
    ) -> float:
        """The greatest `row_height` with which all rows of a table stay on the rest of the page.

        Rows that need more than that take it from the others.
        """
        grid = _Grid(columns, self._widths(columns), size, 0.0, is_ruled=False)
        needs = [self._need(grid, self._lines_of(grid, row)) for row in rows]
        room = self.bottom - self.y - self._head_height(self._head_lines(grid)) - HAIR
        height = most
        for _round in needs:
            tall = [need for need in needs if need > height]
            if len(tall) == len(needs) or sum(tall) + height * (len(needs) - len(tall)) <= room:
                break
            height = (room - sum(tall)) / (len(needs) - len(tall))
        return max(least, min(most, height))

    def _widths(self, columns: Sequence[Column]) -> list[float]:
        whole = sum(column.share for column in columns)
        return [self.width * column.share / whole for column in columns]

    def _lines_of(self, grid: _Grid, row: Sequence[str]) -> list[list[Line]]:
        return [
            self._cell(text, width - 4, grid.size, is_strong=column.is_strong)
            for text, width, column in zip(row, grid.widths, grid.columns, strict=True)
        ]

    def _need(self, grid: _Grid, cells: Sequence[list[Line]]) -> float:
        return max(map(len, cells)) * self._line(grid.size) + 3.2

    def finish(self) -> bytes:
        """The file."""
        return bytes(self._pdf.output())

    @property
    def width(self) -> float:
        """Of what may be written on."""
        return self.right - self.left

    @property
    def page_count(self) -> int:
        return int(self._pdf.page)

    def next_page(self) -> None:
        """Go on on a new page."""
        self._begin_page()

    def _clean(self, text: str) -> str:
        """Text as it can be drawn: composed letters, no controls, and letters that the font lacks
        written in those it has."""
        lines = _SPACE.sub(" ", text.replace("\r\n", "\n")).split("\n")
        return "\n".join(spell(line, self._has) for line in lines).strip()

    def _has(self, letter: str) -> bool:
        return ord(letter) in self._letters

    # --- how it is drawn -----------------------------------------------------------------------

    def _title(self, subtitle: str) -> None:
        self._pdf.set_fill_color(*ACCENT)
        self._pdf.rect(self.left, self.y, 14, 1.4, style="F")
        self.y += 6
        self._write(self._wrap(self.title, self.width, 22, "B"), 22, "B", leading=1.18)
        if subtitle:
            self.y += 1
            self._write(self._wrap(self._clean(subtitle), self.width, 12, ""), 12, "", SOFT)
        self.y += 5

    def _begin_page(self) -> None:
        self._pdf.add_page()
        self.y = MARGIN
        if self._pdf.page > 1:
            shown = self._fit(self.title, self.width, SMALL)
            self._put((self.left, self.y - 6), shown, SMALL, colour=SOFT)
            self._rule(self.y)
            self.y += 5

    def _keep(self, height: float) -> None:
        """Go to a new page unless this much is left."""
        if self.y + height > self.bottom:
            self._begin_page()

    def _head_lines(self, grid: _Grid) -> list[list[Line]]:
        return [
            [(line, "B") for line in self._wrap(self._clean(column.title), width - 4, SMALL, "B")]
            for column, width in zip(grid.columns, grid.widths, strict=True)
        ]

    def _head_height(self, heads: Sequence[list[Line]]) -> float:
        return max(map(len, heads)) * self._line(SMALL) + 3

    def _head(self, grid: _Grid) -> None:
        heads = self._head_lines(grid)
        height = self._head_height(heads)
        self._keep(height + max(self._line(grid.size) + 4, grid.least))
        self._pdf.set_fill_color(*WASH)
        self._pdf.rect(self.left, self.y, self.width, height, style="F")
        self._cells(grid, heads, self.y + 1.5, is_head=True)
        self.y += height
        self._rule(self.y, ACCENT, 0.4)

    def _cell(self, text: str, width: float, size: float, *, is_strong: bool) -> list[Line]:
        """The lines of a cell with their style."""
        first, _break, rest = self._clean(text).partition("\n")
        style = "B" if is_strong else ""
        lines = [(line, style) for line in self._wrap(first, width, size, style)]
        if rest:
            lines += [(line, "") for line in self._wrap(rest, width, size, "")]
        return lines

    def _row(self, grid: _Grid, cells: Sequence[list[Line]]) -> None:
        line = self._line(grid.size)
        rest = [list(lines) for lines in cells]
        while True:
            count = max(map(len, rest))
            height = max(count * line + 3.2, grid.least)
            left = self.bottom - self.y
            if height > left and (self.y > MARGIN + 60 or grid.least > left):
                self._begin_page()
                self._head(grid)
                left = self.bottom - self.y
            fits = min(count, max(int((left - 3.2) / line), 1))
            height = max(fits * line + 3.2, grid.least)
            self._cells(grid, [lines[:fits] for lines in rest], self.y + 1.3)
            if grid.is_ruled:
                self._uprights(grid.widths, self.y, self.y + height)
            self.y += height
            self._rule(self.y)
            rest = [lines[fits:] for lines in rest]
            if not any(rest):
                return

    def _cells(
        self, grid: _Grid, cells: Sequence[Sequence[Line]], top: float, *, is_head: bool = False
    ) -> None:
        left, size = self.left, SMALL if is_head else grid.size
        for column, width, lines in zip(grid.columns, grid.widths, cells, strict=True):
            y = top
            if column.is_tick and not is_head:
                if any(text for text, _style in lines):
                    self._square(left + (width - TICK) / 2, y + 0.3)
                left += width
                continue
            for text, style in lines:
                room = width - 4 - self._width(text, size, style)
                shift = {"left": 0.0, "right": room, "center": room / 2}[column.align]
                self._put((left + 2 + shift, y), text, size, style)
                y += self._line(size)
            left += width

    def _square(self, x: float, y: float) -> None:
        self._pdf.set_draw_color(*INK)
        self._pdf.set_line_width(0.3)
        self._pdf.rect(x, y, TICK, TICK)

    def _uprights(self, widths: Sequence[float], top: float, bottom: float) -> None:
        self._pdf.set_draw_color(*LINE)
        self._pdf.set_line_width(0.2)
        x = self.left
        self._pdf.line(x, top, x, bottom)
        for width in widths:
            x += width
            self._pdf.line(x, top, x, bottom)

    def _rule(self, y: float, colour: Colour = LINE, thickness: float = 0.2) -> None:
        self._pdf.set_draw_color(*colour)
        self._pdf.set_line_width(thickness)
        self._pdf.line(self.left, y, self.right, y)

    def _write(
        self,
        lines: Sequence[str],
        size: float,
        style: str,
        colour: Colour = INK,
        *,
        indent: float = 0.0,
        leading: float = LEADING,
    ) -> None:
        """Lines of text at the left, from `y` down."""
        for text in lines:
            self._keep(self._line(size))
            self._put((self.left + indent, self.y), text, size, style, colour=colour)
            self.y += size * POINT * leading

    def _put(
        self,
        at: tuple[float, float],
        text: str,
        size: float,
        style: str = "",
        *,
        colour: Colour = INK,
    ) -> None:
        """A line of text whose top left corner is `at`."""
        if text:
            self._pdf.set_font(FAMILY, style, size)
            self._pdf.set_text_color(*colour)
            self._pdf.text(at[0], at[1] + size * POINT * 1.02, text)

    def _line(self, size: float) -> float:
        return size * POINT * LEADING

    def _measure(self, text: str, size: float, style: str) -> float:
        self._pdf.set_font(FAMILY, style, size)
        return float(self._pdf.get_string_width(text))

    def _width(self, text: str, size: float, style: str) -> float:
        return self._width_of(text, size, style)

    def _fit(self, text: str, width: float, size: float) -> str:
        """As much of one line as there is room for."""
        if self._width(text, size, "") <= width:
            return text
        while text and self._width(f"{text}…", size, "") > width:
            text = text[:-1]
        return f"{text}…"

    def _wrap(self, text: str, width: float, size: float, style: str) -> list[str]:
        """The lines of `text` in this width; a word too long for a line is broken, at a
        hyphen where it has one."""
        lines = []
        space = self._width(" ", size, style)
        for part in text.split("\n"):
            line, used = "", 0.0
            for word in part.split():
                long = self._width(word, size, style)
                if line and used + space + long <= width:
                    line, used = f"{line} {word}", used + space + long
                    continue
                if line:
                    lines.append(line)
                while long > width and len(word) > 1:
                    count = self._count_of(word, width, size, style)
                    count = word.rfind("-", 0, count) + 1 or count
                    lines.append(word[:count])
                    word = word[count:]  # noqa: PLW2901
                    long = self._width(word, size, style)
                line, used = word, long
            lines.append(line)
        return lines

    def _count_of(self, word: str, width: float, size: float, style: str) -> int:
        """How many letters of a word fit, at least one."""
        used = 0.0
        for count, letter in enumerate(word):
            used += self._width(letter, size, style)
            if used > width:
                return max(count, 1)
        return len(word)


class _Sheets(FPDF):
    """The pages with what stands at the foot of each."""

    def __init__(self, paper: Paper, orientation: str, size: str) -> None:
        super().__init__(orientation=orientation, unit="mm", format=size)
        self._paper = paper

    def footer(self) -> None:
        """Who hands it over, and the page's number."""
        paper, top = self._paper, self.h - MARGIN - 3
        paper._rule(top)
        label = _("Page %(number)s of %(total)s", number=self.page, total=TOTAL)
        self.set_font(FAMILY, "", SMALL)
        self.set_text_color(*SOFT)
        room = paper._width(label.replace(TOTAL, str(self.page)), SMALL, "")
        shown = paper._fit(paper.running, paper.width - room - 8, SMALL)
        paper._put((paper.left, top + 2), shown, SMALL, colour=SOFT)
        self.set_font(FAMILY, "", SMALL)
        self.set_xy(paper.right - room - 2 * self.c_margin, top + 1.4)
        self.cell(room + 2 * self.c_margin, 5, label)
