"""Workbooks (XLSX) as CSV files: row by row, whatever their size, and not one byte too many.

A workbook is a ZIP archive of XML. Before anything of it is unpacked its directory is looked at:
what would grow beyond all measure, or holds another archive, is refused at once. Every part is then
read as it is unpacked and never stands in memory whole, however its author meant it: a single cell
of a gigabyte, a million styles, six million texts, a row that claims to be the two-billionth. So
that the texts which a workbook keeps apart need no memory either they wait in a file.

What a cell says is what its file says. Formulas are never computed: their last result counts. How
wide a sheet claims to be is not believed; some programs write "A1" whatever they hold.
"""

from __future__ import annotations

import io
import re
import struct
import tempfile
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from mmap import ACCESS_READ, mmap
from pathlib import Path
from posixpath import join, normpath
from typing import IO, Any, BinaryIO
from xml.parsers import expat

from campaign.tabular import MAX_CELL_CHARS, MAX_COLUMNS, CsvWriter, Unreadable

MOST_PARTS = 5_000
MOST_DIRECTORY_BYTES = 2_000_000
MOST_BYTES = 1_500_000_000
MOST_RATIO = 120
SMALL_BYTES = 4_000_000
"""A part up to this size may be as thick as it likes."""
MOST_SIDE_BYTES = 20_000_000
"""What is neither a sheet nor its texts: styles, names, relations."""
MOST_TEXTS = 8_000_000
MOST_WRITTEN = 800_000_000
"""Characters. A cell of 24 bytes may point to a text of ten thousand, a million times."""
MOST_ROWS = 1_048_576
MOST_SHEETS = 1_000
MOST_COLUMNS = 16_384
MOST_TOKEN_BYTES = 1_000_000
MOST_NAMES = 2_000
MOST_PIECES = 400
ROWS_AT_ONCE = 5_000
WRONG = "\ufffd"
"""Stands before what a cell holds instead of a value; no field takes it, so its row is refused."""

_CHUNK = 64 * 1024
_TEXT_CHARS = 16 * 1024
_ARCHIVES = (
    ".zip",
    ".xlsx",
    ".xlsm",
    ".xlsb",
    ".docx",
    ".jar",
    ".gz",
    ".7z",
    ".rar",
    ".bz2",
    ".xz",
)
_EMBEDDED = re.compile(r"xl/embeddings/[^/]+\.(?:xls[xmb]|docx|pptx)", re.IGNORECASE)
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_ZEROS = re.compile(r"0{2,15}")
_DAYS = frozenset({14, 15, 16, 17, 22, *range(27, 32), 36, *range(50, 55), 57, 58})
_TIMES = frozenset({18, 19, 20, 21, 32, 33, 34, 35, 45, 47, 55, 56})

_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, expat.ExpatError, struct.error, EOFError),
    *(KeyError, ValueError, OverflowError, RuntimeError),  # what zipfile raises, too
)


def is_workbook(path: Path) -> bool:
    """Whether a file is a ZIP archive, as an XLSX file is."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


# Before anything is unpacked


def check_workbook(file: BinaryIO) -> None:
    """Raises Unreadable for an archive that is no workbook or would unpack beyond all measure.

    What the directory says of sizes may be a lie; but no part is unpacked beyond what it says.
    """
    with _archive(file):
        pass


def _archive(file: BinaryIO) -> zipfile.ZipFile:
    if _directory_bytes(file) > MOST_DIRECTORY_BYTES:
        raise Unreadable("bomb")
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGES:
        raise Unreadable("broken") from None
    parts = archive.infolist()
    names = {part.filename.lower() for part in parts}
    if "xl/workbook.bin" in names or "content.xml" in names:
        raise Unreadable("spreadsheet")
    if not any(name.startswith("xl/") and name.endswith(".xml") for name in names):
        raise Unreadable("binary")
    if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_BYTES:
        raise Unreadable("bomb")
    for part in parts:
        name = part.filename.lower()
        is_thick = part.file_size > max(part.compress_size, 1) * MOST_RATIO
        if (is_thick and part.file_size > SMALL_BYTES) or (
            name.endswith(_ARCHIVES) and not _EMBEDDED.fullmatch(name)
        ):
            raise Unreadable("bomb")
        if part.flag_bits & 1 or part.compress_type not in {
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        }:
            raise Unreadable("broken")
    return archive


def _directory_bytes(file: BinaryIO) -> int:
    """How long the archive's directory is: a million empty entries are a bomb, too."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - 22 - 0xFFFF, 0))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise Unreadable("broken")
    found = int(struct.unpack_from("<L", tail, at + 12)[0])
    if at >= 20 and tail.startswith(b"PK\x06\x07", at - 20):
        file.seek(min(struct.unpack_from("<Q", tail, at - 12)[0], size))
        record = file.read(56)
        if len(record) < 56 or not record.startswith(b"PK\x06\x06"):
            raise Unreadable("broken")
        found = max(found if found != 0xFFFFFFFF else 0, struct.unpack_from("<Q", record, 40)[0])
    return found


# Parts


class _Names(dict[str, str]):
    """The names of elements without their prefix."""

    def __missing__(self, name: str) -> str:
        if len(self) > MOST_NAMES:
            raise Unreadable("bomb")
        self[name] = name.rpartition(":")[2]
        return self[name]


def _nothing(_name: str) -> None:
    """Where the end of an element says nothing."""


def _reading(
    part: IO[bytes],
    begin: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] = _nothing,
    text: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hand the elements of one part to functions, by their full names; yields after each piece.

    Raises Unreadable for a document type (entities are what small bombs are made of) and for a
    token, like an attribute, that is longer than any honest one.
    """

    def on_doctype(*_args: object) -> None:
        raise Unreadable("bomb")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _TEXT_CHARS
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = on_doctype
    if text is not None:
        parser.CharacterDataHandler = text
    fed = 0
    while chunk := part.read(_CHUNK):
        parser.Parse(chunk, False)
        fed += len(chunk)
        if fed - parser.CurrentByteIndex > MOST_TOKEN_BYTES:
            raise Unreadable("bomb")
        yield
    parser.Parse(b"", True)
    yield


def _read(part: IO[bytes], *handlers: Any) -> None:
    """All of a part at once."""
    for _piece in _reading(part, *handlers):
        pass


def _whole(pieces: list[str]) -> str:
    """The text of a cell, up to one character more than it may have."""
    said = pieces[0] if len(pieces) == 1 else "".join(pieces)
    if len(said) > MAX_CELL_CHARS:
        said = said[: MAX_CELL_CHARS + 1]
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), said) if "_x" in said else said


class _Texts:
    """The texts that cells point to, by their place; they wait in a file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._ends = array("Q", [0])
        self._whole: mmap | bytes = b""

    def fill(self, part: IO[bytes]) -> None:
        """Put all of them into the file."""
        names, pieces = _Names(), list[str]()
        is_wanted = False
        silent = 0  # inside how a text is pronounced

        def begin(name: str, _attributes: dict[str, str]) -> None:
            nonlocal silent, is_wanted
            name = names[name]
            if name == "t":
                is_wanted = not silent
            elif name == "si":
                pieces.clear()
            elif name == "rPh":
                silent += 1

        def end(name: str) -> None:
            nonlocal silent, is_wanted
            name = names[name]
            if name == "t":
                is_wanted = False
            elif name == "si":
                if len(self._ends) > MOST_TEXTS:
                    raise Unreadable("bomb")
                said = _whole(pieces).encode("utf-8", "replace")
                self._file.write(said)
                self._ends.append(self._ends[-1] + len(said))
            elif name == "rPh":
                silent -= 1

        def text(piece: str) -> None:
            if is_wanted and len(pieces) < MOST_PIECES:
                pieces.append(piece)

        _read(part, begin, end, text)
        self._file.flush()
        if self._ends[-1]:
            self._whole = mmap(self._file.fileno(), 0, access=ACCESS_READ)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> str:
        return self._whole[self._ends[place] : self._ends[place + 1]].decode()

    def close(self) -> None:
        if isinstance(self._whole, mmap):
            self._whole.close()
        self._file.close()


@dataclass(slots=True)
class _Book:
    """What of a workbook tells how its cells are read: `shapes` are those of its styles."""

    archive: zipfile.ZipFile
    sheets: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    texts: _Texts = field(default_factory=_Texts)
    is_since_1904: bool = False

    @classmethod
    def of(cls, archive: zipfile.ZipFile) -> _Book:
        book = cls(archive)
        root = book._targets("_rels/.rels", "")
        place = next((to for kind, to in root.values() if kind == "officeDocument"), "")
        place = place if book._has(place) else "xl/workbook.xml"
        folder, _slash, name = place.rpartition("/")
        targets = book._targets(f"{folder}/_rels/{name}.rels", folder)
        book._look_at(place, targets)
        for kind, to in targets.values():
            if kind == "styles" and book._has(to):
                book._learn_styles(to)
            elif kind == "sharedStrings" and book._has(to):
                with archive.open(to) as part:
                    book.texts.fill(part)
        return book

    def _has(self, name: str) -> bool:
        return name in self.archive.NameToInfo

    def _small(self, name: str) -> IO[bytes]:
        if self.archive.getinfo(name).file_size > MOST_SIDE_BYTES:
            raise Unreadable("bomb")
        return self.archive.open(name)

    def _targets(self, name: str, folder: str) -> dict[str, tuple[str, str]]:
        """Relation → its kind, and the part it leads to."""
        found: dict[str, tuple[str, str]] = {}

        def begin(element: str, attributes: dict[str, str]) -> None:
            if element.endswith("Relationship") and len(found) <= MOST_SHEETS:
                kind = attributes.get("Type", "").rpartition("/")[2]
                target = attributes.get("Target", "")
                to = target.lstrip("/") if target.startswith("/") else join(folder, target)
                found[attributes.get("Id", "")] = (kind, normpath(to))

        if self._has(name):
            with self._small(name) as part:
                _read(part, begin)
        return found

    def _look_at(self, name: str, targets: dict[str, tuple[str, str]]) -> None:
        hidden: list[str] = []
        names = _Names()

        def begin(element: str, attributes: dict[str, str]) -> None:
            element = names[element]
            if element == "workbookPr":
                self.is_since_1904 = attributes.get("date1904") in {"1", "true"}
            elif element == "sheet" and len(self.sheets) < MOST_SHEETS:
                relation = next((at for key, at in attributes.items() if key.endswith(":id")), "")
                kind, to = targets.get(relation, ("", ""))
                if kind == "worksheet" and self._has(to):
                    is_shown = attributes.get("state", "visible") == "visible"
                    (self.sheets if is_shown else hidden).append(to)

        with self._small(name) as part:
            _read(part, begin)
        self.sheets += hidden

    def _learn_styles(self, name: str) -> None:
        codes: dict[str, str] = {}
        formats: list[str] = []
        is_inside = False
        names = _Names()

        def begin(element: str, attributes: dict[str, str]) -> None:
            nonlocal is_inside
            element = names[element]
            if element == "numFmt" and len(codes) < MOST_PARTS:
                codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")[:255]
            elif element == "cellXfs":
                is_inside = True
            elif element == "xf" and is_inside:
                formats.append(attributes.get("numFmtId", "0"))

        def end(element: str) -> None:
            nonlocal is_inside
            if names[element] == "cellXfs":
                is_inside = False

        with self._small(name) as part:
            _read(part, begin, end)
        shapes = {one: shape_of(one, codes.get(one, "")) for one in set(formats)}
        self.shapes = [shapes[one] for one in formats]


def shape_of(number: str, code: str) -> str:
    """What numbers of a format are: "day", "time", a count of zeros to fill up to, or "".

    `number` is its id (up to 163 all programs know what it means), `code` how it is written out.
    """
    if not code:
        known = int(number) if number.isdigit() and len(number) < 4 else 0
        return "day" if known in _DAYS else "time" if known in _TIMES else ""
    first = code.partition(";")[0]
    if _ZEROS.fullmatch(first):
        return str(len(first))
    if first.replace("\\", "") == "00000-0000":
        return "zip+4"
    bare = _QUOTED.sub("", first).lower()
    if bare == "general" or "[" in bare:
        return ""
    if "d" in bare or "y" in bare:
        return "day"
    if "h" in bare or "s" in bare:
        return "time"
    return "day" if "m" in bare else ""


# Rows


def workbook_to_csv(file: BinaryIO, out: BinaryIO | io.BufferedIOBase) -> Iterator[int]:
    """Write the first sheet that has rows as CSV; yields how many rows there are so far.

    Row for row: a blank row stays one, so that numbers in a report are those of the sheet. Sheets
    that are hidden come last. Raises Unreadable when it is damaged, refused by `check_workbook`,
    or wider than any honest table.
    """
    count = size = 0
    with _archive(file) as archive:
        writer = CsvWriter(out)
        book: _Book | None = None
        try:
            book = _Book.of(archive)
            for name in book.sheets:
                for number, cells in _rows(book, name):
                    if not size and len(cells) > MAX_COLUMNS:
                        raise Unreadable("columns")
                    while count < number - 1:
                        writer.write(())
                        count += 1
                    writer.write(cells)
                    count += 1
                    size += sum(map(len, cells)) + 1
                    if size > MOST_WRITTEN:
                        raise Unreadable("bomb")
                    if count % ROWS_AT_ONCE == 0:
                        yield count
                if count:
                    break
        except _DAMAGES:
            raise Unreadable("broken") from None
        finally:
            if book is not None:
                book.texts.close()
    if not count:
        raise Unreadable("empty")
    writer.close()
    yield count


def _rows(  # noqa: PLR0915 - closures over one state: methods took half as long again
    book: _Book, sheet: str
) -> Iterator[tuple[int, list[str]]]:
    """The rows of a sheet that hold something: number (from 1), and cells without blank ends."""
    names, columns, shapes = _Names(), _Columns(), book.shapes
    rows: list[tuple[int, list[str]]] = []
    cells: list[str] = []
    pieces: list[str] = []
    number = at = silent = 0
    kind = shape = ""
    is_wanted = has_formula = has_value = False

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal number, at, silent, kind, shape, cells, is_wanted, has_formula, has_value
        name = names[name]
        if name == "c":
            at = columns[attributes["r"].rstrip("0123456789")] if "r" in attributes else at + 1
            kind = attributes.get("t", "n")
            style = int(attributes.get("s", "0"))
            shape = shapes[style] if 0 <= style < len(shapes) else ""
            has_formula = has_value = False
            pieces.clear()
        elif name == "v":
            is_wanted = has_value = True
        elif name == "t":
            if kind == "inlineStr" and not silent:
                is_wanted = has_value = True
        elif name == "row":
            said = int(attributes.get("r", "0"))
            number = said if said > number else number + 1
            if number > MOST_ROWS:
                raise Unreadable("bomb")
            cells, at = [], 0
        elif name == "f":
            has_formula = True
        elif name == "rPh":
            silent += 1

    def end(name: str) -> None:
        nonlocal silent, is_wanted
        name = names[name]
        if name in ("v", "t"):
            is_wanted = False
        elif name == "c":
            value = ""
            if has_value:
                value = value_of(_whole(pieces))
            elif has_formula:
                value = f"{WRONG}="
            if value:
                place = min(at, MAX_COLUMNS + 1)
                if place == len(cells) + 1:
                    cells.append(value)
                elif place <= len(cells):
                    cells[place - 1] = value
                else:
                    cells.extend([""] * (place - 1 - len(cells)))
                    cells.append(value)
        elif name == "row":
            if cells:
                rows.append((number, cells))
        elif name == "rPh":
            silent -= 1

    def value_of(said: str) -> str:
        if kind == "s":
            texts = book.texts
            return texts[int(said)] if said.isdecimal() and int(said) < len(texts) else WRONG
        if kind == "n":
            return written(said, shape, is_since_1904=book.is_since_1904)
        if kind == "b":
            return "yes" if said == "1" else "no"
        if kind == "e":
            return f"{WRONG}{said}"
        if kind == "d":
            return said.replace("T00:00:00", "").replace("T", " ")
        return said

    def text(piece: str) -> None:
        if is_wanted and len(pieces) < MOST_PIECES:
            pieces.append(piece)

    with book.archive.open(sheet) as part:
        for _piece in _reading(part, begin, end, text):
            yield from rows
            rows.clear()


class _Columns(dict[str, int]):
    """Letters of columns → their numbers, from 1."""

    def __missing__(self, letters: str) -> int:
        found = 0
        for letter in letters.upper():
            found = found * 26 + ord(letter) - 64
        if not (letters.isascii() and letters.isalpha() and found <= MOST_COLUMNS):
            raise ValueError(letters)
        self[letters] = found
        return found


def written(said: str, shape: str = "", *, is_since_1904: bool = False) -> str:
    """A number of a sheet as somebody would type it: days as 2026-06-30, whole numbers without a
    point, as many digits as spreadsheets show, and the zeros at the front of a postal code."""
    if not shape and _PLAIN.fullmatch(said):
        return said
    try:
        number = float(said)
    except ValueError:
        return f"{WRONG}{said}" if said.strip() else ""
    if shape in ("day", "time"):
        return _moment(number, shape, is_since_1904=is_since_1904)
    is_whole = number.is_integer() and abs(number) < 1e15
    plain = str(int(number)) if is_whole else format(number, ".15g")
    if shape and is_whole and number >= 0:
        if shape == "zip+4":
            return f"{plain[:-4]:0>5}-{plain[-4:]}" if len(plain) > 5 else plain.zfill(5)
        return plain.zfill(int(shape))
    return plain


def _moment(number: float, shape: str, *, is_since_1904: bool) -> str:
    if not 0 <= number < 2_958_466:  # the last day of the year 9999
        return f"{WRONG}{number:.15g}"
    if is_since_1904:
        start = datetime(1904, 1, 1)  # noqa: DTZ001 - sheets know no zones
    else:  # the 29th of February 1900, which there never was, is day 60
        start = datetime(1899, 12, 30 if number >= 60 else 31)  # noqa: DTZ001
    try:
        moment = start + timedelta(seconds=round(number * 86_400))
    except OverflowError:
        return f"{WRONG}{number:.15g}"
    if shape == "time" and number < 1:
        return moment.time().isoformat()
    is_day = not (moment.hour or moment.minute or moment.second)
    return moment.date().isoformat() if is_day else moment.isoformat(" ")
