"""Tables in and out: CSV that is read safely and written safely, and JSON Lines.

Reading streams and never trusts: any encoding people's programs write, any of their delimiters,
and a broken row (a quote that never closes, a cell of five megabytes) costs that row alone.

Writing guards against formulas: a cell that a spreadsheet might run gets a leading apostrophe.
The guard can be taken back exactly, `unguard(guard(text)) == text` for every text, so that our
own exports import again unchanged.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, BinaryIO, TextIO, TypeVar, cast

import xlsxwriter

from campaign.errors import Invalid

MAX_CELL_CHARS = 10_000
MAX_RECORD_CHARS = 128 * 1024
MAX_RECORD_LINES = 200
MAX_COLUMNS = 500
SHEET_NAME_CHARS = 31
"""So long may the name of a sheet be; programs for spreadsheets refuse longer ones."""
DELIMITERS = (",", ";", "\t", "|")
_SCAN_BYTES = 1024 * 1024
_BREAKS = "\r\n\x0b\x0c\x85\u2028\u2029"
_FORMULA = "=+\\-@\t＝＋－＠﹦﹢﹣﹫"
_LINE = f"(?:(?<=[{_BREAKS}])%s(?='*[{_FORMULA}])|(?<=[{_BREAKS[1:]}])%s(?='*\r(?!\n)))"
_INNER = re.compile(_LINE % ("", ""))
_GUARDED_INNER = re.compile(_LINE % ("'", "'"))
_UNSAFE = re.compile(f"\\A(?:'|[ \xa0\u3000\ufeff]*[\r\n{_FORMULA}])|{_INNER.pattern}")
STARTS = f"' \xa0\u3000\ufeff{_FORMULA}"
"""Characters that a cell must begin with to be guarded at all, unless there is one of `BREAKS`."""
BREAKS = _BREAKS
_SUSPECT = re.compile(f"(?:\\A|\0)[{STARTS}]|[{_BREAKS}]")

csv.field_size_limit(MAX_RECORD_CHARS * 2)  # ours is the limit that speaks: see _Lines


# The formula guard


def guard(text: str) -> str:
    """`text` so that no spreadsheet runs it.

    A cell that begins with = + - @, tab, a line break, one of their full-width kin, or with an
    apostrophe of its own, gets a leading apostrophe; so does every line inside the cell that
    begins so, for programs that break rows at any line break.
    """
    if _UNSAFE.search(text) is None:
        return text
    return "'" + _INNER.sub("'", text)


def unguard(text: str) -> str:
    """What `guard` was given. A text that it never makes comes back as it is."""
    if not text.startswith("'"):
        return text
    inside = text[1:]
    if _UNSAFE.search(inside) is None:
        return text
    return _GUARDED_INNER.sub("", inside)


# Reading


class Problem(StrEnum):
    """Why a row cannot be used as it stands in the file."""

    QUOTES = "quotes"
    TOO_LONG = "too long"
    TOO_MANY_CELLS = "too many cells"
    EMPTY = "empty"


class Unreadable(Invalid):
    """The whole file cannot be read; `kind` is one of spreadsheet, binary, empty, columns."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the file cannot be read: {kind}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `number` counts as a spreadsheet does, the header being row 1; `line` is where
    it starts in the file. With a `problem` the cells are empty."""

    number: int
    line: int
    cells: tuple[str, ...]
    problem: Problem | None = None


class CsvReader:
    """The rows of a CSV file, one at a time, whatever its size.

    The file must be binary and seekable: it is looked through once for its encoding (a Latin-1
    name may stand on the last line), or `look_bytes` of it, by who only wants to see how it
    begins. Raises Unreadable when there is no table in it.
    """

    def __init__(self, file: BinaryIO, *, look_bytes: int | None = None) -> None:
        self.encoding, errors = _encoding_of(file, look_bytes)
        file.seek(0)
        self._file = file
        self._text = io.TextIOWrapper(file, self.encoding, errors=errors, newline="")
        self._lines = _Lines(self._text)
        self.delimiter = self._find_delimiter()
        self._records = self._read()
        first = next((row for row in self._records if row.cells or row.problem), None)
        if first is None:
            raise Unreadable("empty")
        if first.problem not in {None, Problem.TOO_MANY_CELLS}:
            raise Unreadable("columns")
        header = [cell.strip() for cell in first.cells]
        while header and not header[-1]:
            header.pop()
        if not header or len(header) > MAX_COLUMNS:
            raise Unreadable("empty" if not header else "columns")
        self.header = tuple(header)

    def tell(self) -> int:
        """Roughly how many bytes of the file have been read."""
        return self._file.tell()

    def close(self) -> None:
        """Let go of the file without closing it."""
        self._text.detach()

    def __iter__(self) -> Iterator[Row]:
        """The rows below the header. Blank lines are none; every other line is in some row."""
        width = len(self.header)
        padding = ("",) * width
        for row in self._records:
            cells = row.cells
            if row.problem is not None:
                yield row
            elif not cells:
                continue
            elif not any(cells):
                yield Row(row.number, row.line, (), Problem.EMPTY)
            elif any(cells[width:]):
                yield Row(row.number, row.line, (), Problem.TOO_MANY_CELLS)
            elif len(cells) != width:
                yield Row(row.number, row.line, (cells + padding)[:width])
            else:
                yield row

    def _find_delimiter(self) -> str:
        """By Excel's own `sep=` line, else whichever stands most often in the first line."""
        first = ""
        while not first.strip():
            found = self._lines.peek()
            if found is None:
                return ","
            if found.strip():
                first = found
            else:
                self._lines.skip()
        declared = re.fullmatch(r'"?sep=(.)"?', first.rstrip("\r\n"), re.IGNORECASE)
        if declared:
            self._lines.skip()
            return declared[1]
        bare = re.sub(r'"[^"]*"', "", first)
        return max(DELIMITERS, key=bare.count)

    def _read(self) -> Iterator[Row]:
        lines = self._lines
        number = lines.number  # a blank line or a `sep=` line above the header is a row, too
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            lines.begin()
            number += 1
            line = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _RecordTooLongError) as error:
                too_long = isinstance(error, _RecordTooLongError) and error.is_one_line
                lines.keep_first_only()
                reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
                yield Row(number, line, (), Problem.TOO_LONG if too_long else Problem.QUOTES)
                continue
            if lines.size > MAX_CELL_CHARS and any(len(cell) > MAX_CELL_CHARS for cell in cells):
                yield Row(number, line, (), Problem.TOO_LONG)
            else:
                yield Row(number, line, tuple(cells))


class _RecordTooLongError(Exception):
    """A record has more characters or lines than any honest one: most likely an open quote."""

    def __init__(self, *, is_one_line: bool) -> None:
        super().__init__()
        self.is_one_line = is_one_line


class _Lines:
    """Physical lines for a csv reader that can be given back when a record turns out broken.

    An open quote would swallow the rest of the file: instead the record ends at the limit, its
    first line is refused and reading goes on at the second.
    """

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._returned: deque[str] = deque()
        self._taken: list[str] = []
        self.number = 0
        self.size = 0

    def begin(self) -> None:
        """A new record starts here."""
        self._taken.clear()
        self.size = 0

    def keep_first_only(self) -> None:
        """Give back all lines of this record but its first."""
        if self._taken:
            self._returned.extendleft(reversed(self._taken[1:]))
            self.number -= len(self._taken) - 1
        self.begin()

    def peek(self) -> str | None:
        """The next line without taking it."""
        if not self._returned:
            line = self._text.readline(MAX_RECORD_CHARS)
            if not line:
                return None
            self._returned.append(line)
        return self._returned[0]

    def skip(self) -> None:
        """Pass over the line that `peek` showed."""
        self._returned.popleft()
        self.number += 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else self._text.readline(MAX_RECORD_CHARS)
        if not line:
            raise StopIteration
        self.number += 1
        self._taken.append(line)
        self.size += len(line)
        if len(line) >= MAX_RECORD_CHARS:
            self._drain(line)
            raise _RecordTooLongError(is_one_line=len(self._taken) == 1)
        if self.size > MAX_RECORD_CHARS or len(self._taken) > MAX_RECORD_LINES:
            raise _RecordTooLongError(is_one_line=False)
        return line

    def _drain(self, line: str) -> None:
        """Pass over the rest of a line that is too long, without holding it in memory."""
        while line and line[-1] not in "\r\n":
            line = self._text.readline(MAX_RECORD_CHARS)
        if line.endswith("\r"):
            following = self._text.readline(MAX_RECORD_CHARS)
            if following and following != "\n":
                self._returned.append(following)


def _encoding_of(file: BinaryIO, look_bytes: int | None) -> tuple[str, str]:
    """The encoding, and how its errors are met ("strict" or "replace")."""
    file.seek(0)
    start = file.read(4096)
    if not start.strip():
        raise Unreadable("empty")
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Unreadable("spreadsheet")
    if start.startswith((b"\x89PNG", b"%PDF", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"SQLite ")):
        raise Unreadable("binary")
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return name, "replace"
    zeros = (start[0::2].count(0), start[1::2].count(0))
    if len(start) > 3 and max(zeros) > len(start) // 4 and min(zeros) <= len(start) // 16:
        return ("utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"), "replace"
    good, bad = _count_utf8(file, look_bytes)
    if bad == 0 or good >= bad:
        return "utf-8", "replace"
    return "cp1252", "replace"


def _count_utf8(file: BinaryIO, look_bytes: int | None) -> tuple[int, int]:
    """How many characters beyond ASCII are right UTF-8, and how many bytes are not.

    A damaged UTF-8 file keeps its right names: only its damaged rows show it. Latin-1 text is
    almost never right UTF-8 by chance.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    good = bad = 0
    file.seek(0)
    while chunk := file.read(_SCAN_BYTES):
        if look_bytes is not None and file.tell() > look_bytes:
            break
        if chunk.isascii() and not decoder.getstate()[0]:
            continue
        text = decoder.decode(chunk)
        wrong = sum(map(text.count, _ESCAPED)) if not _is_clean(text) else 0
        bad += wrong
        good += len(text) - wrong - len(text.encode("ascii", "ignore"))
    if decoder.getstate()[0] and look_bytes is None:
        bad += 1
    return good, bad


_ESCAPED = [chr(code) for code in range(0xDC80, 0xDD00)]


def _is_clean(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


Piece = TypeVar("Piece")


def read_ahead(
    pieces: Iterator[Piece],
    most: int = 2,
    within: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Piece]:
    """The same pieces, read by a thread of its own while whoever works on one waits for others.

    At most so many lie ready. What the reading raises is raised here, in its turn. The thread
    reads `within` a context of its own: it has neither the request nor the session of the caller.
    """
    ready: Queue[tuple[Piece | None, BaseException | None]] = Queue(most)
    is_over = Event()

    def hand_over(piece: Piece | None, error: BaseException | None = None) -> bool:
        while not is_over.is_set():
            with suppress(Full):
                ready.put((piece, error), timeout=0.2)
                return True
        return False

    def read() -> None:
        try:
            with within():
                for piece in pieces:
                    if not hand_over(piece):
                        return
            hand_over(None)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            hand_over(None, error)

    thread = Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            piece, error = ready.get()
            if error is not None:
                raise error
            if piece is None:
                return
            yield piece
    finally:
        is_over.set()
        thread.join()


# Writing


class CsvWriter:
    """Writes guarded rows as CSV (RFC 4180: commas, CRLF) in UTF-8.

    Without a header it goes on with a file that has one.
    """

    def __init__(self, file: BinaryIO | io.BufferedIOBase, header: Sequence[str] = ()) -> None:
        self._text = io.TextIOWrapper(cast(BinaryIO, file), "utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\r\n")
        if header:
            self.write(header)

    def write(self, cells: Iterable[object]) -> None:
        """One row; None is an empty cell."""
        row = ["" if cell is None else str(cell) for cell in cells]
        if _SUSPECT.search("\0".join(row)) is not None:  # one look at a row is cheaper than twelve
            row = [guard(cell) for cell in row]
        self._writer.writerow(row)

    def write_lines(self, lines: str) -> None:
        """Rows that are CSV already, guarded, each with its line end."""
        self._text.write(lines)

    def close(self) -> None:
        """Pass everything on to the file and let go of it without closing it."""
        self._text.detach()


class XlsxWriter:
    """Writes rows as an XLSX workbook whose size costs no memory: text alone, none of it run.

    A cell that a spreadsheet might run carries the mark that a typed apostrophe leaves, so that it
    stays text when somebody edits it. What does not fit on a sheet goes on on the next. `folder` is
    where the rows wait until the end; nobody else may read there.
    """

    MOST_ROWS = 1_048_576

    def __init__(
        self,
        file: BinaryIO | io.BufferedIOBase,
        header: Sequence[str],
        *,
        title: str,
        folder: Path | None = None,
    ) -> None:
        self._book = xlsxwriter.Workbook(
            file,
            {
                "constant_memory": True,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
                "tmpdir": str(folder) if folder else None,
            },
        )
        self._bold = self._book.add_format({"bold": True})
        self._quoted = self._book.add_format({"quote_prefix": True})
        self._header, self._title = header, title[: SHEET_NAME_CHARS - 4]
        self._sheets = 0
        self._begin()

    def _begin(self) -> None:
        self._sheets += 1
        name = self._title if self._sheets == 1 else f"{self._title} {self._sheets}"
        self._page = self._book.add_worksheet(name)
        self._page.freeze_panes(1, 0)
        self._page.set_column(0, len(self._header) - 1, 20)
        for column, cell in enumerate(self._header):
            self._page.write_string(0, column, cell, self._bold)
        self._line = 1

    def write(self, cells: Iterable[object]) -> None:
        """One row; None is an empty cell."""
        if self._line >= self.MOST_ROWS:
            self._begin()
        row = ["" if cell is None else str(cell) for cell in cells]
        is_suspect = _SUSPECT.search("\0".join(row)) is not None
        for column, cell in enumerate(row):
            if cell:
                is_unsafe = is_suspect and _UNSAFE.search(cell) is not None
                self._page.write_string(
                    self._line, column, cell, self._quoted if is_unsafe else None
                )
        self._line += 1

    def close(self) -> None:
        """Put the workbook together and pass it on to the file."""
        self._book.close()


class JsonLinesWriter:
    """Writes one JSON object a line in UTF-8."""

    def __init__(self, file: BinaryIO | io.BufferedIOBase) -> None:
        self._file = file

    def write(self, value: Mapping[str, Any]) -> None:
        """One object."""
        self._file.write(json_line(value).encode())

    def close(self) -> None:
        """Nothing is held back."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of a workbook, or a file of its own. `key` is its name for machines."""

    key: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]


def write_sheet(file: BinaryIO | io.BufferedIOBase, sheet: Sheet) -> None:
    """A sheet as CSV."""
    writer = CsvWriter(file, sheet.header)
    for row in sheet.rows:
        writer.write(row)
    writer.close()


def write_workbook(file: BinaryIO | io.BufferedIOBase, sheets: Iterable[Sheet]) -> None:
    """Sheets as an XLSX file: numbers as numbers, all else as text that no spreadsheet runs, and
    that stays text when somebody types in the cell."""
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(file, options) as book:
        bold = book.add_format({"bold": True})
        quoted = book.add_format({"quote_prefix": True})
        for sheet in sheets:
            page = book.add_worksheet(sheet.title[:SHEET_NAME_CHARS])
            page.freeze_panes(1, 0)
            for column, cell in enumerate(sheet.header):
                page.write_string(0, column, cell, bold)
                page.set_column(column, column, 40 if column == 0 else 16)
            for line, row in enumerate(sheet.rows, 1):
                for column, value in enumerate(row):
                    if isinstance(value, str):
                        is_safe = _UNSAFE.search(value) is None
                        page.write_string(line, column, value, None if is_safe else quoted)
                    elif value is not None:
                        page.write_number(line, column, value)


def json_line(value: Mapping[str, Any]) -> str:
    """`value` as one line of JSON with its line end."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
