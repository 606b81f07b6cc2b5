"""The markup of a letter: a small tree of elements, written as HTML that mail programs take and
as plain text, so that both always say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from urllib.parse import unquote

VOID = frozenset({"br", "hr", "img"})
_BLOCKS = frozenset(
    {
        *("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote"),
        *("table", "pre", "hr", "bar", "div", "center", "section", "article"),
    }
)
_STRONG = frozenset({"strong", "em", "b", "i"})
_BARE = re.compile(r"https?://[^\s<>\"'\u201c\u201d]+[^\s<>\"'\u201c\u201d.,;:!?)\]*_~]")
_WEB = re.compile(r"https?://[^/\s]", re.IGNORECASE)
OPENS = re.compile(r"https?://[^/\s]|mailto:.|tel:.", re.IGNORECASE)

ALONE = "alone"
"""The class of a paragraph whose link becomes a button without its address below."""


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


def is_web(url: str) -> bool:
    """Whether `url` is a whole address of the web."""
    return bool(_WEB.match(url))


def words_of(node: Element | str) -> str:
    """The text inside, without tags."""
    return node if isinstance(node, str) else "".join(words_of(child) for child in node.children)


def elements(node: Element) -> Iterator[Element]:
    for child in node.children:
        if isinstance(child, Element):
            yield child
            yield from elements(child)


_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_CELLS = frozenset({"tbody", "thead", "tfoot", "tr", "td", "th"})


def paragraphs_of(node: Element, *, with_headings: bool = True) -> Iterator[str]:
    """The running text, each paragraph, item and cell by itself; code is none."""
    flowing: list[str] = []
    for child in node.children:
        if isinstance(child, str) or child.tag not in _BLOCKS | _CELLS:
            flowing.append(_flowing(child))
            continue
        yield from _paragraph(flowing)
        flowing = []
        if child.tag != "pre" and (with_headings or child.tag not in _HEADINGS):
            yield from paragraphs_of(child, with_headings=with_headings)
    yield from _paragraph(flowing)


def _paragraph(flowing: list[str]) -> Iterator[str]:
    said = " ".join("".join(flowing).split())
    if said:
        yield said


def _flowing(node: Element | str) -> str:
    if isinstance(node, str):
        return node
    return " " if node.tag == "br" else "".join(_flowing(child) for child in node.children)


def tree_of(html: str) -> Element:
    """Cleaned HTML as a tree. Addresses in its text become links."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root


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
    url = anchor.attributes.get("href", "")
    leads = is_web(url) or (node.attributes.get("class") == ALONE and OPENS.match(url))
    usable = leads and words and not _BARE.match(words)
    return anchor if usable else None


def html_of(tree: Element, *, address_words: str = "", makes_buttons: bool = True) -> str:
    """The tree as HTML. `address_words` introduces the address below a button; without
    `makes_buttons` a link that stands alone stays a link."""
    return "".join(_html(child, address_words, makes_buttons) for child in tree.children)


def text_of(tree: Element) -> str:
    """The tree as plain text."""
    return _Text().of(tree)


# --- HTML ----------------------------------------------------------------------------------------


def _html(node: Element | str, address_words: str, makes_buttons: bool) -> str:
    if isinstance(node, str):
        return escape(node, quote=False)
    if node.tag == "bar":
        return _bar(int(node.attributes["percent"]))
    button = _lone_link(node) if makes_buttons else None
    if button is not None:
        is_alone = node.attributes.get("class") == ALONE
        return _button(button, address_words, with_address=not is_alone)
    given = node.attributes
    if node.tag == "a" and not OPENS.match(given.get("href", "")):
        given = {}
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
    start = f"<{node.tag}{attributes}>"
    if node.tag in VOID:
        return start
    inside = "".join(_html(child, address_words, makes_buttons) for child in node.children)
    return f"{start}{inside}</{node.tag}>"


def _bar(percent: int) -> str:
    """A bar as two cells of a table: no mail program needs to know more than widths."""
    done = min(max(percent, 0), 100)
    cells = "".join(
        f'<td class="{kind}" width="{width}%" height="12">&nbsp;</td>'
        for kind, width in (("bar-done", done), ("bar-rest", 100 - done))
        if width
    )
    return (
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" '
        f'class="bar"><tr>{cells}</tr></table>'
    )


def _button(anchor: Element, address_words: str, *, with_address: bool = True) -> str:
    url = escape(anchor.attributes["href"])
    words = "".join(_html(child, "", False) for child in anchor.children)
    plain = escape(anchor.plain)
    below = f"{escape(address_words)}<br>" if address_words else ""
    button = (
        '<table role="presentation" cellpadding="0" cellspacing="0" border="0" '
        'class="button-table"><tr><td class="button-cell">'
        f'<a class="button" href="{url}">{words}</a></td></tr></table>\n'
    )
    if not with_address:
        return button
    return f'{button}<p class="address">{below}<a href="{plain}">{plain}</a></p>'


# --- plain text ----------------------------------------------------------------------------------


def _own_cells(node: Element) -> Iterator[Element]:
    """The cells of a table, without those of tables in it."""
    for child in node.children:
        if isinstance(child, Element):
            if child.tag == "td":
                yield child
            elif child.tag != "table":
                yield from _own_cells(child)


def _shown(anchor: Element) -> str:
    """The address of a link as one reads it."""
    url = anchor.attributes.get("href", "")
    if anchor.plain:
        return anchor.plain
    if url.lower().startswith("mailto:"):
        return unquote(url[len("mailto:") :].partition("?")[0])
    return url.removeprefix("tel:")


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
            return f"{words_of(button).strip()}:\n{_shown(button)}"
        if node.tag in {"ul", "ol"}:
            return self._list(node)
        if node.tag == "blockquote":
            return "\n".join(f"> {line}".rstrip() for line in self._blocks(node).split("\n"))
        if node.tag == "bar":
            return ""
        if node.tag == "table":
            return self._table(node)
        if node.tag == "pre":
            return "\n".join(f"    {line}" for line in words_of(node).strip("\n").split("\n"))
        if node.tag == "hr":
            return "* * *"
        return self._blocks(node)

    def _table(self, node: Element) -> str:
        """A table that says what its columns are, row by row; else it only lays things out, and
        its cells are read one after the other."""
        if any(element.tag == "th" for element in elements(node)):
            return "\n".join(self._rows(node))
        cells = list(_own_cells(node))
        return "\n\n".join(filter(None, (self._blocks(cell).strip() for cell in cells)))

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
        if node.tag == "a" and OPENS.match(url):
            plain = _shown(node)
            same = node.is_bare or inside.strip() in {plain, ""}
            return plain if same else f"{inside} ({plain})"
        return inside
