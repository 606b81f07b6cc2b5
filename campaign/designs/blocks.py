"""Blocks: parts of a letter that are more than text, written in the text where they stand.

    ::: petition keep-our-clinics-open
    button: Sign now
    :::

A line of three colons with the kind and, for some, a name; lines of "key: value"; three colons.
That is the whole grammar. A person can read it, copy it and undo it, and what is not exactly like
it is refused with its line and the reason. `parse` finds them, `build` makes the elements of a
letter from one and what its name stands for, which `cards.py` has looked up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote

from campaign.designs.markup import ALONE, Element, is_web

MOST_BLOCKS = 40
LONGEST_LINE = 2_000
_OPENING = re.compile(r":::[ \t]*([A-Za-z]+)(?:[ \t]+(\S+))?[ \t]*")
_CLOSING = re.compile(r":::[ \t]*")
_LINE = re.compile(r"[ \t]*([A-Za-z]+)[ \t]*:[ \t]*(.*?)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_EMAIL = re.compile(r"[^@\s:/?]+@[^@\s:/?]+\.[^@\s:/?]+")


class Kind(StrEnum):
    """What a block shows."""

    BUTTON = "button"
    IMAGE = "image"
    QUOTE = "quote"
    EVENT = "event"
    PETITION = "petition"
    LETTER = "letter"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a kind of block is made of. `named`: it says which one. The first keys must be there."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    named: bool = False
    addresses: tuple[str, ...] = ()


SHAPES: dict[Kind, Shape] = {
    Kind.BUTTON: Shape(("words", "to"), addresses=("to",)),
    Kind.IMAGE: Shape((), ("alt", "link", "caption"), named=True, addresses=("link",)),
    Kind.QUOTE: Shape(("words",), ("who",)),
    Kind.EVENT: Shape((), ("button",), named=True),
    Kind.PETITION: Shape((), ("button",), named=True),
    Kind.LETTER: Shape(("words", "to", "button"), ("title", "subject", "text"), addresses=("to",)),
}


class Flaw(StrEnum):
    """Why a block cannot be taken."""

    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"
    NO_NAME = "no name"
    NAME = "name"
    NOT_CLOSED = "not closed"
    STRAY_END = "stray end"
    LINE = "line"
    KEY = "key"
    TWICE = "twice"
    LACKS = "lacks"
    ADDRESS = "address"
    TOO_MANY = "too many"
    TOO_LONG = "too long"


@dataclass(frozen=True, slots=True)
class Problem:
    """A flaw, its line (from 1), and what it is about."""

    flaw: Flaw
    line: int
    detail: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it was written. `line` is where it begins, `source` all of it."""

    kind: Kind
    name: str
    values: Mapping[str, str]
    line: int
    source: str

    @property
    def key(self) -> tuple[str, str]:
        return str(self.kind), self.name


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text as its pieces in order, and what is wrong with its blocks."""

    pieces: tuple[str | Block, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Block))


@dataclass(slots=True)
class _Reading:
    """Where a parser is."""

    pieces: list[str | Block] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def flush(self) -> None:
        if self.text:
            self.pieces.append("\n".join(self.text))
            self.text = []


def parse(source: str) -> Parsed:
    """The text and the blocks of a body. Never raises: what is wrong is a problem, and its lines
    stay text."""
    if ":::" not in source:
        return Parsed((source,))
    reading, lines, at, fence = _Reading(), source.split("\n"), 0, ""
    while at < len(lines):
        line = lines[at]
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        if fence or not line.startswith(":::"):
            reading.text.append(line)
            at += 1
            continue
        end = _end_of(lines, at)
        block = _read(lines, at, end, reading.problems)
        if block is None:
            reading.text += lines[at : end + 1]
        else:
            reading.flush()
            reading.pieces.append(block)
        at = end + 1
    reading.flush()
    blocks = [piece for piece in reading.pieces if isinstance(piece, Block)]
    if len(blocks) > MOST_BLOCKS:
        reading.problems.append(Problem(Flaw.TOO_MANY, blocks[MOST_BLOCKS].line, str(MOST_BLOCKS)))
    return Parsed(tuple(reading.pieces), tuple(reading.problems))


def _end_of(lines: list[str], start: int) -> int:
    """The line that ends what begins at `start`: its three colons, or `start` where there are
    none before the next block or the end."""
    if _CLOSING.fullmatch(lines[start]):
        return start
    for at in range(start + 1, len(lines)):
        if lines[at].startswith(":::"):
            return at if _CLOSING.fullmatch(lines[at]) else start
    return start


def _read(lines: list[str], start: int, end: int, problems: list[Problem]) -> Block | None:
    opening = _OPENING.fullmatch(lines[start])
    line = start + 1

    def wrong(flaw: Flaw, at: int = line, detail: str = "", kind: str = "") -> None:
        problems.append(Problem(flaw, at, detail[:80], kind))

    if _CLOSING.fullmatch(lines[start]):
        wrong(Flaw.STRAY_END)
        return None
    if opening is None:
        wrong(Flaw.UNREADABLE, detail=lines[start])
        return None
    try:
        kind = Kind(opening[1].lower())
    except ValueError:
        wrong(Flaw.UNKNOWN, detail=opening[1])
        return None
    if end == start:
        wrong(Flaw.NOT_CLOSED, kind=kind)
        return None
    shape, name, before = SHAPES[kind], opening[2] or "", len(problems)
    if shape.named and not name:
        wrong(Flaw.NO_NAME, kind=kind)
    elif name and not shape.named:
        wrong(Flaw.NAME, detail=name, kind=kind)
    values = _values(lines, start + 1, end, kind, problems)
    for key in shape.required:
        if not values.get(key) and len(problems) == before:
            wrong(Flaw.LACKS, detail=key, kind=kind)
    for key in shape.addresses:
        if values.get(key) and not address_of(values[key]):
            wrong(Flaw.ADDRESS, detail=values[key], kind=kind)
    if len(problems) > before:
        return None
    return Block(kind, name, values, line, "\n".join(lines[start : end + 1]))


def _values(
    lines: list[str], start: int, end: int, kind: Kind, problems: list[Problem]
) -> dict[str, str]:
    shape, values = SHAPES[kind], {}
    for at in range(start, end):
        if not lines[at].strip():
            continue
        if len(lines[at]) > LONGEST_LINE:
            problems.append(Problem(Flaw.TOO_LONG, at + 1, str(LONGEST_LINE), kind))
            continue
        match = _LINE.fullmatch(lines[at])
        if match is None:
            problems.append(Problem(Flaw.LINE, at + 1, lines[at].strip()[:80], kind))
            continue
        key = match[1].lower()
        if key not in (*shape.required, *shape.optional):
            problems.append(Problem(Flaw.KEY, at + 1, key[:80], kind))
        elif key in values:
            problems.append(Problem(Flaw.TWICE, at + 1, key, kind))
        else:
            values[key] = match[2]
    return values


def address_of(typed: str) -> str:
    """A typed address as a link's: of the web, or an e-mail address; "" for anything else."""
    if is_web(typed) and not re.search(r"\s", typed):
        return typed
    if typed.lower().startswith("mailto:") and _EMAIL.fullmatch(typed[7:].partition("?")[0]):
        return typed
    return f"mailto:{typed}" if _EMAIL.fullmatch(typed) else ""


def write(kind: Kind, name: str = "", /, **values: str) -> str:
    """The text of a block, for whoever inserts one."""
    lines = [f"{key}: {' '.join(value.split())}" for key, value in values.items() if value]
    return "\n".join((f"::: {kind} {name}".rstrip(), *lines, ":::"))


# --- what a name stands for ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventFact:
    """An event as a letter shows it."""

    title: str
    when: str
    where: str
    url: str
    button: str


@dataclass(frozen=True, slots=True)
class PetitionFact:
    """A petition as a letter shows it. One that is closed has its own words on the button."""

    title: str
    url: str
    button: str
    percent: int = 0
    said: str = ""
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class PictureFact:
    """A picture as a letter shows it."""

    url: str
    alt: str
    width: int
    height: int


Fact = EventFact | PetitionFact | PictureFact


# --- elements ------------------------------------------------------------------------------------


def build(block: Block, fact: Fact | None) -> Element | None:
    """The elements of a block; None where what it names is not there."""
    values = block.values
    if block.kind is Kind.BUTTON:
        return _link_paragraph(values["words"], address_of(values["to"]), is_alone=False)
    if block.kind is Kind.QUOTE:
        who = [Element("p", {"class": "who"}, [f"— {values['who']}"])] if values.get("who") else []
        return Element("blockquote", {}, [Element("p", {}, [values["words"]]), *who])
    if block.kind is Kind.LETTER:
        return _letter(values)
    if isinstance(fact, PictureFact):
        return _image(values, fact)
    if isinstance(fact, EventFact):
        return _card(
            _title(fact.title),
            Element(
                "p", {}, [fact.when, Element("br", {}), fact.where] if fact.where else [fact.when]
            ),
            _link_paragraph(values.get("button") or fact.button, fact.url),
        )
    if isinstance(fact, PetitionFact):
        words = (values.get("button") if fact.is_open else "") or fact.button
        return _card(
            _title(fact.title),
            Element("bar", {"percent": str(fact.percent)}),
            Element("p", {}, [fact.said]),
            _link_paragraph(words, fact.url),
        )
    return None


def _title(words: str) -> Element:
    return Element("p", {"class": "card-title"}, [Element("strong", {}, [words])])


def _link_paragraph(words: str, url: str, *, is_alone: bool = True) -> Element:
    attributes = {"class": ALONE} if is_alone or not is_web(url) else {}
    return Element("p", attributes, [Element("a", {"href": url}, [words])])


def _card(*parts: Element) -> Element:
    cell = Element("td", {"class": "card-cell"}, list(parts))
    attributes = {
        "role": "presentation",
        "width": "100%",
        "cellpadding": "0",
        "cellspacing": "0",
        "border": "0",
        "class": "card",
    }
    return Element("table", attributes, [Element("tr", {}, [cell])])


def _letter(values: Mapping[str, str]) -> Element:
    url = address_of(values["to"])
    if url.lower().startswith("mailto:") and "?" not in url:
        asked = {"subject": values.get("subject", ""), "body": values.get("text", "")}
        query = "&".join(f"{name}={quote(said, safe='')}" for name, said in asked.items() if said)
        url = f"{url}?{query}" if query else url
    title = values.get("title", "")
    points = values.get("text", "") if is_web(url) else ""
    return _card(
        *(
            [Element("p", {"class": "card-title"}, [Element("strong", {}, [title])])]
            if title
            else []
        ),
        Element("p", {}, [values["words"]]),
        *([Element("p", {}, [points])] if points else []),
        _link_paragraph(values["button"], url),
    )


def _image(values: Mapping[str, str], fact: PictureFact) -> Element:
    image = Element(
        "img",
        {
            "src": fact.url,
            "alt": values.get("alt") or fact.alt,
            "width": str(fact.width),
            "height": str(fact.height),
            "class": "picture",
        },
    )
    link = address_of(values.get("link", ""))
    shown: Element = Element("a", {"href": link}, [image]) if link else image
    caption = values.get("caption", "")
    parts = [Element("p", {"class": "figure"}, [shown])]
    if caption:
        parts.append(Element("p", {"class": "caption"}, [caption]))
    return Element("div", {}, list(parts))
