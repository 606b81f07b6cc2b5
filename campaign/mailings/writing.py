"""What an organizer wrote, as the HTML and the plain text of an e-mail, and what is wrong with it.

A body is Markdown, in which HTML and blocks may stand too, or HTML alone. It becomes cleaned HTML
(a fixed list of tags, by nh3), and the plain text is made from that, so that both parts always
say the same. Two rules of our own for Markdown: a line break is a line break, and a link that
stands alone in its paragraph becomes a button with its address below.

Merge fields are taken out before anything else looks at the text and put back at the end: no
dash, quote or escape of Markdown can change them, and they never get into an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from html import escape

import nh3
from markdown_it import MarkdownIt

from campaign.designs import blocks, cards, leads, pasted, queries, reading
from campaign.designs.blocks import Block, PetitionFact
from campaign.designs.cards import NOTHING, Cards
from campaign.designs.leads import Pages, Wrong
from campaign.designs.markup import (
    OPENS,
    Element,
    elements,
    html_of,
    is_web,
    paragraphs_of,
    text_of,
    tree_of,
    words_of,
)
from campaign.mail import merge
from campaign.web.filters import ALLOWED_ATTRIBUTES, ALLOWED_TAGS

FIELDS = merge.PERSON_FIELDS
LONG_SUBJECT = 60
SHORTENERS = frozenset({"bit.ly", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd", "buff.ly"})
FEWEST_SHOUTED = 20
NOBODY = "Ana"
"""Who stands in a text that is measured, for a merge field without a fallback."""
HOLDS = frozenset({Wrong.MISSING, Wrong.PERSONAL})
"""What is wrong with a link for whoever reads the letter, whenever it goes out."""
SAYS_NOTHING = frozenset(
    {
        *("here", "click here", "click", "this", "this link", "link", "more", "read more"),
        *("learn more", "see more", "tap here", "go here", "press here"),
        *("aquí", "aqui", "clic aquí", "haga clic aquí", "haz clic aquí", "pulse aquí", "enlace"),
        *("este enlace", "más", "leer más", "ver más", "lea más", "más información", "toque aquí"),
    }
)
"""Words of a link that say nothing to whoever hears the links of a letter one by one."""
TAGS = ALLOWED_TAGS | {"h1", "b", "i", "u", "sup", "sub", "del"}
_markdown = MarkdownIt(
    "commonmark", {"html": True, "linkify": False, "typographer": True, "breaks": True}
).enable(["table", "strikethrough", "smartquotes", "replacements"])
_BRACES = re.compile(r"\{\{[^{}\n]{0,200}\}\}|\{%[^{}\n]{0,200}%\}|\{[^{}\n]{0,200}\}")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)+([/?#:].*)?", re.ASCII)


class Level(StrEnum):
    """How bad a finding is."""

    STOP = "stop"  # it cannot go out like this
    LOOK = "look"  # it can, and somebody should look first
    NOTE = "note"  # nothing is wrong: only to know


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a reader would stumble over. `code` is translated by the console."""

    code: str
    level: Level = Level.LOOK
    detail: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """Both parts of the body, with merge fields in them."""

    html: str
    text: str


LinkMap = Callable[[str], str]
Shield = dict[str, merge.Field | str]


def _same(url: str) -> str:
    return url


class Format(StrEnum):
    """How a body is written."""

    MARKDOWN = "markdown"
    HTML = "html"


def render(
    source: str,
    *,
    link: LinkMap = _same,
    bare_link: LinkMap = _same,
    address_words: str = "",
    form: str = Format.MARKDOWN,
    known: Cards = NOTHING,
) -> Written:
    """`source` as HTML and text.

    `link` says where a link leads instead (the counted address). Where an address itself is
    shown, in the plain text, below a button or as the words of a link, it goes through
    `bare_link` and leads where it says: words that name one place and lead to another look like
    fraud to mail readers, and nobody can read a token. `address_words` introduces the address
    below a button. `known` is what its blocks stand for; a block that stands for nothing is left
    out.
    """
    tree, shield = _read(source, form, known)
    for anchor in _anchors(tree):
        url = anchor.attributes["href"]
        if has_field(url, shield):
            del anchor.attributes["href"]
        else:
            url = _unshield(url, shield, in_html=False)
            anchor.plain = bare_link(url)
            anchor.is_bare = names_itself(anchor)
            anchor.attributes["href"] = anchor.plain if anchor.is_bare else link(url)
    is_markdown = form != Format.HTML
    html = html_of(tree, address_words=address_words, makes_buttons=is_markdown)
    text = text_of(tree)
    return Written(_unshield(html, shield, in_html=True), _unshield(text, shield, in_html=False))


def links_in(source: str, form: str = Format.MARKDOWN, known: Cards = NOTHING) -> list[str]:
    """The addresses of the web that its links lead to, each once."""
    tree, shield = _read(source, form, known)
    urls = (
        _unshield(anchor.attributes["href"], shield, in_html=False)
        for anchor in _anchors(tree)
        if not has_field(anchor.attributes["href"], shield)
    )
    return list(dict.fromkeys(urls))


def cleaned(source: str) -> pasted.Cleaned:
    """Pasted HTML as it is kept: with only what a letter can hold, its merge fields as they were."""
    shielded, shield = _shield_fields(source)
    found = pasted.clean(shielded)
    return replace(found, html=_raw(found.html, shield))


def breaks(source: str) -> list[pasted.Break]:
    """What pasted HTML opens and never closes."""
    return pasted.breaks(_shield_fields(source)[0])


def is_empty(source: str, form: str) -> bool:
    """Whether nothing is left to read or to see."""
    tree, _shield = _read(source, form, NOTHING)
    return not words_of(tree).strip() and not _has_image(tree)


def one_line_html(line: str) -> str:
    """A line (the preheader) escaped for HTML, its merge fields as they are."""
    return "".join(
        escape(part) if isinstance(part, str) else _tag(part, in_html=True)
        for part in merge.parse(line)
    )


def names_itself(anchor: Element) -> bool:
    """Whether the words of a link are its own address."""
    words, url = words_of(anchor).strip().rstrip("/"), anchor.attributes.get("href", "")
    return words in {url.rstrip("/"), url.partition("://")[2].rstrip("/")}


def _anchors(tree: Element) -> Iterator[Element]:
    for element in elements(tree):
        if element.tag == "a" and is_web(element.attributes.get("href", "")):
            yield element


# --- merge fields --------------------------------------------------------------------------------


def _shield(source: str) -> tuple[str, Shield]:
    """`source` with a word of its own for each merge field and for whatever else is in braces."""
    mark = sha256(source.encode("utf-8", "replace")).hexdigest()[:10]
    shield: Shield = {}

    def keep(piece: merge.Field | str) -> str:
        word = f"mf{mark}n{len(shield)}x"
        shield[word] = piece
        return word

    pieces = [
        _BRACES.sub(lambda match: keep(match[0]), part) if isinstance(part, str) else keep(part)
        for part in merge.parse(source)
    ]
    return "".join(pieces), shield


def _shield_fields(source: str) -> tuple[str, Shield]:
    """`source` with a word of its own for each merge field; other braces are a style sheet's."""
    mark = sha256(source.encode("utf-8", "replace")).hexdigest()[:10]
    shield: Shield = {}
    pieces = []
    for part in merge.parse(source):
        word = part if isinstance(part, str) else f"mf{mark}n{len(shield)}x"
        if not isinstance(part, str):
            shield[word] = part
        pieces.append(word)
    return "".join(pieces), shield


def _raw(text: str, shield: Shield) -> str:
    """The shielded text with its merge fields as a person wrote them."""
    if not shield:
        return text
    fields = {
        word: _tag(piece, in_html=False)
        for word, piece in shield.items()
        if isinstance(piece, merge.Field)
    }
    return re.sub("|".join(fields), lambda match: fields[match[0]], text)


def _unshield(text: str, shield: Shield, *, in_html: bool) -> str:
    if not shield:
        return text

    def put_back(match: re.Match[str]) -> str:
        piece = shield[match[0]]
        if isinstance(piece, merge.Field):
            return _tag(piece, in_html=in_html)
        return escape(piece) if in_html else piece

    return re.sub("|".join(shield), put_back, text)


def has_field(text: str, shield: Shield) -> bool:
    """Whether a merge field stands in a shielded text."""
    return any(word in text for word, piece in shield.items() if isinstance(piece, merge.Field))


def _tag(field: merge.Field, *, in_html: bool) -> str:
    fallback = escape(field.fallback) if in_html else field.fallback
    return f"{{{{ {field.name}|{fallback} }}}}" if fallback else f"{{{{ {field.name} }}}}"


# --- from Markdown to a cleaned tree -------------------------------------------------------------


def clean(html: str) -> str:
    """`html` with only what a letter needs."""
    return nh3.clean(
        html,
        tags=TAGS,
        attributes={**ALLOWED_ATTRIBUTES, "a": {"href"}},
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel=None,
    )


def _read(source: str, form: str, known: Cards) -> tuple[Element, Shield]:
    """The tree of a body, its blocks built, its merge fields taken out."""
    if form == Format.HTML:
        shielded, shield = _shield_fields(source)
        return tree_of(pasted.clean(shielded).html), shield
    shielded, shield = _shield(source)
    return _tree(shielded, shield, known), shield


def _tree(shielded: str, shield: Shield, known: Cards) -> Element:
    """Each block is a paragraph of one word while Markdown is read, and its elements after."""
    mark = sha256(shielded.encode("utf-8", "replace")).hexdigest()[:10]
    standing: dict[str, Block] = {}
    pieces = []
    for piece in blocks.parse(shielded).pieces:
        if isinstance(piece, Block):
            word = f"block{mark}n{len(standing)}x"
            standing[word] = piece
            pieces.append(f"\n{word}\n")
        else:
            pieces.append(piece)
    tree = tree_of(clean(str(_markdown.render("\n".join(pieces)))))
    if standing:
        _put_blocks(tree, standing, shield, known)
    return tree


def _put_blocks(node: Element, standing: dict[str, Block], shield: Shield, known: Cards) -> None:
    children: list[Element | str] = []
    for child in node.children:
        if isinstance(child, Element):
            block = standing.get(words_of(child).strip()) if child.tag == "p" else None
            if block is None:
                _put_blocks(child, standing, shield, known)
                children.append(child)
                continue
            named = replace(block, name=_unshield(block.name, shield, in_html=False))
            built = blocks.build(block, known.fact(named))
            children += [built] if built is not None else []
        else:
            children.append(_back(child, standing))
    node.children = children


def _back(text: str, standing: dict[str, Block]) -> str:
    """A text without the words of blocks: one that landed inside of something stays as typed."""
    return re.sub("|".join(standing), lambda match: standing[match[0]].source, text)


# --- what a reader would stumble over ------------------------------------------------------------


def findings(
    subject: str,
    preheader: str,
    body: str,
    *,
    form: str = Format.MARKDOWN,
    known: Cards = NOTHING,
    pages: Pages | None = None,
    language: str = "en",
) -> list[Finding]:
    """What is wrong with a text, the worst first; what the audience and the profile lack is not
    known here.

    `pages` is how the pages of this installation stand that it may lead to; without it nobody
    looks where links lead. `language` is the text's, where its words do not tell.
    """
    found = [
        *_about_subject(subject),
        *([Finding("no_body", Level.STOP)] if not body.strip() else []),
        *_about_fields(("subject", subject), ("preheader", preheader), ("body", body)),
        *_about_blocks(body, form, known),
        *_about_body(body, form, known, pages),
        *_about_reading(body, form, known, language),
    ]
    return worst_first(found)


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """Findings as they are shown: what stops it, what to look at, what is only to know."""
    levels = list(Level)
    return sorted(found, key=lambda finding: levels.index(finding.level))


def unknown_fields(text: str) -> list[merge.Problem]:
    """The merge fields of `text` that nobody can fill in, with their places."""
    return merge.problems(text, FIELDS)


def _about_subject(subject: str) -> Iterator[Finding]:
    words = "".join(
        part if isinstance(part, str) else "xxxxxxx" for part in merge.parse(subject.strip())
    )
    letters = [letter for letter in words if letter.isalpha()]
    if not words:
        yield Finding("no_subject", Level.STOP)
    elif len(words) > LONG_SUBJECT:
        yield Finding("long_subject", detail=str(len(words)))
    if len(letters) >= 8 and sum(letter.isupper() for letter in letters) > len(letters) * 0.7:
        yield Finding("shouting_subject")
    if words.count("!") > 1:
        yield Finding("exclaiming_subject")


def _about_fields(*texts: tuple[str, str]) -> Iterator[Finding]:
    bare: dict[str, None] = {}
    for where, text in texts:
        for problem in unknown_fields(text):
            line = problem.line if where == "body" else 0
            yield Finding(f"unknown_field_in_{where}", Level.STOP, problem.name, line)
        for part in merge.parse(text):
            if isinstance(part, merge.Field) and part.name in FIELDS:
                bare.update({} if part.fallback else {part.name: None})
    for name in bare:
        yield Finding("no_fallback", detail=name)


def _about_blocks(body: str, form: str, known: Cards) -> Iterator[Finding]:
    if form == Format.HTML:
        if body.strip() and is_empty(body, form):
            yield Finding("nothing_left", Level.STOP)
    else:
        parsed = blocks.parse(body)
        for problem in parsed.problems:
            yield Finding("block", Level.STOP, cards.problem_words(problem), problem.line)
        for block in parsed.blocks:
            missing = known.missing(block)
            if missing is not None:
                said = cards.missing_words(block, missing)
                yield Finding("block", Level.STOP, said, block.line)
            fact = known.fact(block)
            if isinstance(fact, PetitionFact) and not fact.is_open:
                yield Finding("petition_closed", detail=fact.title, line=block.line)
    if known.strangers & queries.tokens_in(body):
        yield Finding("strange_picture", Level.STOP)


def _about_body(body: str, form: str, known: Cards, pages: Pages | None) -> Iterator[Finding]:
    tree, shield = _read(body, form, known)
    seen: set[tuple[str, str]] = set()
    has_link = False
    for element in elements(tree):
        for finding in _about_element(element, shield, pages):
            if (finding.code, finding.detail) not in seen:
                seen.add((finding.code, finding.detail))
                yield finding
        has_link = has_link or element.tag == "a"
    shouted = next(filter(_is_shouted, paragraphs_of(tree)), "")
    if shouted:
        yield Finding("shouting_body", detail=_short(_unshield(shouted, shield, in_html=False)))
    if _has_image(tree) and not words_of(tree).strip():
        yield Finding("no_plain_text")
    if body.strip() and not has_link:
        yield Finding("no_link")


def _is_shouted(paragraph: str) -> bool:
    """Whether it is longer than a name or a date, and mostly in capitals."""
    letters = [letter for letter in paragraph if letter.isalpha()]
    return (
        len(letters) >= FEWEST_SHOUTED
        and sum(letter.isupper() for letter in letters) > len(letters) * 0.7
    )


def _short(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else f"{text[:limit].rpartition(' ')[0] or text[:limit]} …"


def _about_element(element: Element, shield: Shield, pages: Pages | None) -> Iterator[Finding]:
    if element.tag == "img":
        if not element.attributes.get("alt", "").strip():
            yield Finding("no_alt", detail=element.attributes.get("src", "")[:120])
        if not is_web(element.attributes.get("src", "")):
            yield Finding("broken_image", Level.STOP, element.attributes.get("src", "")[:120])
    elif element.tag == "a":
        yield from _about_link(element, shield, pages)


def _about_link(element: Element, shield: Shield, pages: Pages | None) -> Iterator[Finding]:
    url = element.attributes.get("href", "")
    words = words_of(element).strip()
    whole = _unshield(url, shield, in_html=False)
    shown = whole[:120] or words[:120]
    if has_field(url, shield):
        yield Finding("field_in_link", Level.STOP, shown)
    elif not OPENS.match(url):
        code = "no_scheme" if _HOST.fullmatch(url) else "broken_link"
        yield Finding(code, Level.STOP, shown)
    elif is_web(url) and not leads.is_readable(whole):
        yield Finding("broken_link", Level.STOP, shown)
    elif leads.host_of(whole) in SHORTENERS:
        yield Finding("shortened_link", detail=shown)
    else:
        wrong = leads.wrong_with(whole, pages) if pages is not None else None
        if wrong is not None:
            level = Level.STOP if wrong in HOLDS else Level.LOOK
            yield Finding(f"link_{wrong}", level, shown)
    if not _has_image(element):
        if not words:
            yield Finding("empty_link", detail=shown)
        elif _plain_words(words) in SAYS_NOTHING:
            yield Finding("vague_link", detail=words)


def _plain_words(words: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", words.casefold()).split())


def _about_reading(body: str, form: str, known: Cards, language: str) -> Iterator[Finding]:
    """How hard it is to read, for each language of which there is enough; never a reason to
    stop."""
    tree, shield = _read(body, form, known)
    paragraphs = paragraphs_of(tree, with_headings=False)
    for found in reading.read((_spoken(one, shield) for one in paragraphs), language):
        if found.grade is not None:
            detail, line = _short(found.longest, 240), found.grade
            code = "grade_fine" if found.is_comfortable else "grade_high"
        else:
            detail, line = _short(found.longest, 240), round(found.ease or 0)
            code = f"ease_{found.step.replace(' ', '_')}"
        yield Finding(code, Level.NOTE if found.is_comfortable else Level.LOOK, detail, line)


def _spoken(text: str, shield: Shield) -> str:
    """A shielded text as it is read aloud: with the fallbacks of its merge fields."""
    if not shield:
        return text

    def say(match: re.Match[str]) -> str:
        piece = shield[match[0]]
        return (piece.fallback or NOBODY) if isinstance(piece, merge.Field) else piece

    return re.sub("|".join(shield), say, text)


def _has_image(element: Element) -> bool:
    return any(child.tag == "img" for child in elements(element))
