"""What an organizer wrote, as the HTML and the plain text of an e-mail, and what is wrong with it.

A body is Markdown, in which HTML may stand too. It becomes cleaned HTML (a fixed list of tags,
by nh3), and the plain text is made from that, so that both parts always say the same. Two rules
of our own: a line break is a line break, and a link that stands alone in its paragraph becomes a
button with its address below.

Merge fields are taken out before anything else looks at the text and put back at the end: no
dash, quote or escape of Markdown can change them, and they never get into an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from html import escape
from html.parser import HTMLParser

import nh3
from markdown_it import MarkdownIt

from campaign.mail import merge
from campaign.web.filters import ALLOWED_ATTRIBUTES, ALLOWED_TAGS

FIELDS = merge.PERSON_FIELDS
LONG_SUBJECT = 60
SHORTENERS = frozenset({"bit.ly", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd", "buff.ly"})
TAGS = ALLOWED_TAGS | {"h1", "b", "i", "u", "sup", "sub", "del"}
_markdown = MarkdownIt(
    "commonmark", {"html": True, "linkify": False, "typographer": True, "breaks": True}
).enable(["table", "strikethrough", "smartquotes", "replacements"])
VOID = frozenset({"br", "hr", "img"})
_BLOCKS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "ul", "ol", "li", "blockquote", "table", "pre", "hr"}
)
_STRONG = frozenset({"strong", "em", "b", "i"})
_BARE = re.compile(r"https?://[^\s<>\"'\u201c\u201d]+[^\s<>\"'\u201c\u201d.,;:!?)\]*_~]")
_BRACES = re.compile(r"\{\{[^{}\n]{0,200}\}\}|\{%[^{}\n]{0,200}%\}|\{[^{}\n]{0,200}\}")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)+([/?#:].*)?", re.ASCII)
_WEB = re.compile(r"https?://[^/\s]", re.IGNORECASE)
_OPENS = re.compile(r"https?://[^/\s]|mailto:.|tel:.", re.IGNORECASE)


class Level(StrEnum):
    """How bad a finding is."""

    STOP = "stop"  # it cannot go out like this
    LOOK = "look"  # it can, and somebody should look first


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


@dataclass(slots=True)
class Element:
    """A tag of the cleaned HTML.

    Of a link, `plain` is where it leads when its address is shown, and `is_bare` says that its
    words are that address.
    """

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)
    plain: str = ""
    is_bare: bool = False


LinkMap = Callable[[str], str]
Shield = dict[str, merge.Field | str]


def _same(url: str) -> str:
    return url


def render(
    source: str, *, link: LinkMap = _same, bare_link: LinkMap = _same, address_words: str = ""
) -> Written:
    """`source` as HTML and text.

    `link` says where a link leads instead (the counted address). Where an address itself is
    shown, in the plain text, below a button or as the words of a link, it goes through
    `bare_link` and leads where it says: words that name one place and lead to another look like
    fraud to mail readers, and nobody can read a token. `address_words` introduces the address
    below a button.
    """
    shielded, shield = _shield(source)
    tree = _tree(shielded)
    for anchor in _anchors(tree):
        url = anchor.attributes["href"]
        if has_field(url, shield):
            del anchor.attributes["href"]
        else:
            url = _unshield(url, shield, in_html=False)
            anchor.plain = bare_link(url)
            anchor.is_bare = names_itself(anchor)
            anchor.attributes["href"] = anchor.plain if anchor.is_bare else link(url)
    html = "".join(_html(child, address_words) for child in tree.children)
    text = _Text().of(tree)
    return Written(_unshield(html, shield, in_html=True), _unshield(text, shield, in_html=False))


def one_line_html(line: str) -> str:
    """A line (the preheader) escaped for HTML, its merge fields as they are."""
    return "".join(
        escape(part) if isinstance(part, str) else _tag(part, in_html=True)
        for part in merge.parse(line)
    )


def is_web(url: str) -> bool:
    """Whether `url` is a whole address of the web."""
    return bool(_WEB.match(url))


def names_itself(anchor: Element) -> bool:
    """Whether the words of a link are its own address."""
    words, url = words_of(anchor).strip().rstrip("/"), anchor.attributes.get("href", "")
    return words in {url.rstrip("/"), url.partition("://")[2].rstrip("/")}


def words_of(node: Element | str) -> str:
    """The text inside, without tags."""
    return node if isinstance(node, str) else "".join(words_of(child) for child in node.children)


def _elements(node: Element) -> Iterator[Element]:
    for child in node.children:
        if isinstance(child, Element):
            yield child
            yield from _elements(child)


def _anchors(tree: Element) -> Iterator[Element]:
    for element in _elements(tree):
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


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.path = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.path[-1].children.append(element)
        if tag not in VOID:
            self.path.append(element)

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self.path[1:]):
            while self.path.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        within = {element.tag for element in self.path}
        if within & {"a", "code", "pre"}:
            self.path[-1].children.append(data)
            return
        at = 0
        for match in _BARE.finditer(data):
            self.path[-1].children += [
                data[at : match.start()],
                Element("a", {"href": match[0]}, [match[0]]),
            ]
            at = match.end()
        self.path[-1].children.append(data[at:])


def _tree(shielded: str) -> Element:
    builder = _Builder()
    builder.feed(clean(str(_markdown.render(shielded))))
    builder.close()
    return builder.root


def _lone_link(node: Element) -> Element | None:
    """The link of a paragraph that holds nothing else, if it has words of its own."""
    if node.tag != "p":
        return None
    inside = [child for child in node.children if not isinstance(child, str) or child.strip()]
    while len(inside) == 1 and isinstance(inside[0], Element) and inside[0].tag in _STRONG:
        inside = inside[0].children
    if len(inside) != 1 or not isinstance(inside[0], Element) or inside[0].tag != "a":
        return None
    anchor = inside[0]
    words = words_of(anchor).strip()
    usable = is_web(anchor.attributes.get("href", "")) and words and not _BARE.match(words)
    return anchor if usable else None


# --- HTML ----------------------------------------------------------------------------------------


def _html(node: Element | str, address_words: str) -> str:
    if isinstance(node, str):
        return escape(node, quote=False)
    button = _lone_link(node)
    if button is not None:
        return _button(button, address_words)
    given = node.attributes
    if node.tag == "a" and not _OPENS.match(given.get("href", "")):
        given = {}
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
    start = f"<{node.tag}{attributes}>"
    if node.tag in VOID:
        return start
    inside = "".join(_html(child, address_words) for child in node.children)
    return f"{start}{inside}</{node.tag}>"


def _button(anchor: Element, address_words: str) -> str:
    url = escape(anchor.attributes["href"])
    words = "".join(_html(child, "") for child in anchor.children)
    plain = escape(anchor.plain)
    below = f"{escape(address_words)}<br>" if address_words else ""
    return (
        '<table role="presentation" cellpadding="0" cellspacing="0" border="0" '
        'class="button-table"><tr><td class="button-cell">'
        f'<a class="button" href="{url}">{words}</a></td></tr></table>\n'
        f'<p class="address">{below}<a href="{plain}">{plain}</a></p>'
    )


# --- plain text ----------------------------------------------------------------------------------


class _Text:
    """The tree as text: links as "words (address)", lists with their marks, quotes with ">"."""

    def of(self, root: Element) -> str:
        return self._blocks(root).strip("\n") + "\n"

    def _blocks(self, node: Element) -> str:
        """The children of a block, each block set apart by an empty line."""
        blocks: list[str] = []
        line: list[Element | str] = []
        for child in [*node.children, None]:
            if child is None or (isinstance(child, Element) and child.tag in _BLOCKS):
                flowing = self._inline(line).strip()
                if flowing:
                    blocks.append(flowing)
                line = []
                if child is not None:
                    blocks.append(self._block(child))
            else:
                line.append(child)
        return "\n\n".join(block for block in blocks if block.strip())

    def _block(self, node: Element) -> str:
        button = _lone_link(node)
        if button is not None:
            return f"{words_of(button).strip()}:\n{button.plain}"
        if node.tag in {"ul", "ol"}:
            return self._list(node)
        if node.tag == "blockquote":
            return "\n".join(f"> {line}".rstrip() for line in self._blocks(node).split("\n"))
        if node.tag == "table":
            return "\n".join(self._rows(node))
        if node.tag == "pre":
            return "\n".join(f"    {line}" for line in words_of(node).strip("\n").split("\n"))
        if node.tag == "hr":
            return "* * *"
        return self._blocks(node)

    def _list(self, node: Element) -> str:
        lines = []
        start = node.attributes.get("start", "1")
        number = int(start) if start.isascii() and start.isdigit() else 1
        for child in node.children:
            if isinstance(child, Element):
                mark = f"{number}. " if node.tag == "ol" else "- "
                number += 1
                inner = re.sub(r"\n\n(?=- |\d+\. )", "\n", self._blocks(child)).split("\n")
                lines.append(mark + f"\n{' ' * len(mark)}".join(inner))
        return "\n".join(re.sub(r"(?m)[ \t]+$", "", line) for line in lines)

    def _rows(self, node: Element) -> Iterator[str]:
        for child in node.children:
            if isinstance(child, Element) and child.tag == "tr":
                cells = [cell for cell in child.children if isinstance(cell, Element)]
                yield " | ".join(self._inline(cell.children).strip() for cell in cells)
            elif isinstance(child, Element):
                yield from self._rows(child)

    def _inline(self, nodes: list[Element | str]) -> str:
        flowing = "".join(self._words(node) for node in nodes)
        return re.sub(r" *\n *", "\n", flowing)

    def _words(self, node: Element | str) -> str:
        if isinstance(node, str):
            return re.sub(r"[ \t\r\n]+", " ", node)
        if node.tag == "br":
            return "\n"
        if node.tag == "img":
            words = node.attributes.get("alt", "").strip()
            return f"[{words}]" if words else ""
        inside = self._inline(node.children)
        url = node.attributes.get("href", "")
        if node.tag == "a" and _OPENS.match(url):
            plain = node.plain or url.removeprefix("mailto:").removeprefix("tel:")
            same = node.is_bare or inside.strip() in {plain, ""}
            return plain if same else f"{inside} ({plain})"
        return inside


# --- what a reader would stumble over ------------------------------------------------------------


def findings(subject: str, preheader: str, body: str) -> list[Finding]:
    """What is wrong with a text, the worst first; what the audience and the profile lack is not
    known here."""
    found = [
        *_about_subject(subject),
        *([Finding("no_body", Level.STOP)] if not body.strip() else []),
        *_about_fields(("subject", subject), ("preheader", preheader), ("body", body)),
        *_about_body(body),
    ]
    return sorted(found, key=lambda finding: finding.level != Level.STOP)


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


def _about_body(body: str) -> Iterator[Finding]:
    shielded, shield = _shield(body)
    seen: set[tuple[str, str]] = set()
    has_link = False
    for element in _elements(_tree(shielded)):
        for finding in _about_element(element, shield):
            if (finding.code, finding.detail) not in seen:
                seen.add((finding.code, finding.detail))
                yield finding
        has_link = has_link or element.tag == "a"
    if body.strip() and not has_link:
        yield Finding("no_link")


def _about_element(element: Element, shield: Shield) -> Iterator[Finding]:
    if element.tag == "img":
        if not element.attributes.get("alt", "").strip():
            yield Finding("no_alt", detail=element.attributes.get("src", "")[:120])
        if not is_web(element.attributes.get("src", "")):
            yield Finding("broken_image", Level.STOP, element.attributes.get("src", "")[:120])
    elif element.tag == "a":
        url = element.attributes.get("href", "")
        shown = _unshield(url, shield, in_html=False)[:120] or words_of(element).strip()[:120]
        if has_field(url, shield):
            yield Finding("field_in_link", Level.STOP, shown)
        elif not _OPENS.match(url):
            code = "no_scheme" if _HOST.fullmatch(url) else "broken_link"
            yield Finding(code, Level.STOP, shown)
        elif url.partition("://")[2].partition("/")[0].lower() in SHORTENERS:
            yield Finding("shortened_link", detail=shown)
        if not words_of(element).strip() and not _has_image(element):
            yield Finding("empty_link", detail=shown)


def _has_image(element: Element) -> bool:
    return any(child.tag == "img" for child in _elements(element))
