"""HTML that somebody pastes, as a letter can hold it.

Rules of a style sheet go to the elements they mean, then only tags, attributes and styles that
mail programs take remain, by nh3. What was taken out is counted, so that it can be said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

import css_inline
import nh3

from campaign.designs.markup import VOID
from campaign.web.filters import ALLOWED_TAGS

TAGS = ALLOWED_TAGS | {
    *("h1", "h5", "h6", "b", "i", "u", "sup", "sub", "del", "small", "big", "font", "center"),
    *("div", "span", "section", "article", "header", "footer", "caption", "tfoot", "col"),
    *("colgroup", "figure", "figcaption", "dl", "dt", "dd", "abbr", "address"),
}
_SIZES = {"width", "height", "align", "valign", "bgcolor"}
ATTRIBUTES: dict[str, set[str]] = {
    "*": {"style", "dir", "lang", "align", "class"},
    "a": {"href", "title"},
    "img": {"src", "alt", "border", *_SIZES},
    "table": {"border", "cellpadding", "cellspacing", "role", *_SIZES},
    "tr": _SIZES,
    "td": {"colspan", "rowspan", *_SIZES},
    "th": {"colspan", "rowspan", "scope", *_SIZES},
    "col": {"span", "width"},
    "colgroup": {"span", "width"},
    "font": {"color", "face", "size"},
    "ol": {"start", "type"},
    "ul": {"type"},
    "hr": {"width", "size"},
}
CLASSES = frozenset(
    {
        *("button", "button-table", "button-cell", "address", "card", "card-cell", "card-title"),
        *("bar", "bar-done", "bar-rest", "who", "figure", "caption", "picture"),
        "alone",
    }
)
"""Names that our own style sheet knows: what was a block keeps its looks."""
STYLES = frozenset(
    {
        *("color", "background", "background-color", "font", "font-family", "font-size"),
        *("font-style", "font-weight", "font-variant", "line-height", "letter-spacing"),
        *("text-align", "text-decoration", "text-transform", "text-indent", "vertical-align"),
        *("white-space", "word-break", "word-wrap", "overflow-wrap", "direction"),
        *("width", "min-width", "max-width", "height", "max-height", "min-height", "display"),
        *("margin", "margin-top", "margin-right", "margin-bottom", "margin-left"),
        *("padding", "padding-top", "padding-right", "padding-bottom", "padding-left"),
        *("list-style", "list-style-type", "border-collapse", "border-spacing", "table-layout"),
        *("border", "border-top", "border-right", "border-bottom", "border-left"),
        *("border-color", "border-style", "border-width", "border-radius", "box-sizing"),
        *("mso-line-height-rule", "mso-table-lspace", "mso-table-rspace", "float", "clear"),
    }
)
_DROPPED_WHOLE = {
    *("script", "style", "title", "noscript", "template", "svg", "math", "iframe", "object"),
    *("select", "option", "textarea", "audio", "video", "canvas", "applet", "noframes"),
}
_KINDS = {
    "script": "script",
    "noscript": "script",
    **dict.fromkeys(("form", "input", "button", "select", "textarea", "option", "label"), "form"),
    **dict.fromkeys(("iframe", "frame", "frameset", "object", "embed", "applet"), "frame"),
    **dict.fromkeys(("audio", "video", "canvas", "svg", "math"), "media"),
}
_SILENT = {"html", "head", "body", "meta", "title", "style", "base", "o:p", "link"}
_UNSAFE = re.compile(r"url\s*\(|expression|javascript|@import|/\*|\\|[<>{}]", re.IGNORECASE)
_SCHEME = re.compile(r"[\s\x00-\x20]*([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_SCHEMES = {"http", "https", "mailto", "tel"}
_OPTIONAL_ENDS = {"p", "li", "td", "th", "tr", "tbody", "thead", "tfoot", "dt", "dd", "option"} | {
    *("html", "head", "body", "colgroup", "meta", "link", "input", "base", "embed", "col", "area"),
    "o:p",
}
_STYLE_BLOCK = re.compile(r"<style\b", re.IGNORECASE)
_inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What remains, and how many of what kind were taken out."""

    html: str
    removed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Break:
    """Something that does not end: `is_fatal` where it would swallow the rest."""

    tag: str
    line: int
    is_fatal: bool = False


def clean(source: str) -> Cleaned:
    """`source` with only what a letter can hold."""
    html = source
    if _STYLE_BLOCK.search(source):
        try:
            html = _inliner.inline(source)
        except (css_inline.InlineError, ValueError):
            html = source
    kept = nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        clean_content_tags=_DROPPED_WHOLE,
        attribute_filter=_attribute,
        url_schemes=_SCHEMES,
        link_rel=None,
        strip_comments=True,
    )
    return Cleaned(kept.strip(), _removed(source))


def breaks(source: str) -> list[Break]:
    """What is opened and never closed, in the order of its lines; only the first that swallows
    the rest."""
    walker = _Walker()
    walker.feed(source)
    rest = walker.rawdata
    if rest.lstrip().startswith("<") and re.match(r"\s*<[!/a-zA-Z]", rest):
        line = source.count("\n", 0, len(source) - len(rest)) + 1
        return [Break(rest.strip()[:30].split("\n")[0], line, is_fatal=True)]
    return [
        Break(f"<{tag}>", line, is_fatal=tag in _DROPPED_WHOLE)
        for tag, line in walker.open
        if tag not in _OPTIONAL_ENDS | VOID
    ]


def _removed(source: str) -> dict[str, int]:
    walker = _Walker()
    walker.feed(source)
    walker.close()
    return dict(walker.removed)


class _Walker(HTMLParser):
    """Notes what is taken out, and what stays open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.removed: Counter[str] = Counter()
        self.open: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append((tag, self.getpos()[0]))
        self._note(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS and tag not in _SILENT:
            self.removed[_KINDS.get(tag, "tag")] += 1
            return
        if tag == "link" and dict(attrs).get("rel") == "stylesheet":
            self.removed["sheet"] += 1
        for name, value in attrs:
            if name.startswith("on"):
                self.removed["handler"] += 1
            elif name in {"href", "src"} and tag != "link" and not _is_safe(value or ""):
                self.removed["address"] += 1
            elif name == "style":
                self._note_style(value or "")

    def _note_style(self, value: str) -> None:
        for declaration in value.split(";"):
            name = declaration.partition(":")[0].strip().lower()
            if name in {"position", "top", "left", "right", "bottom", "z-index"}:
                self.removed["position"] += 1
            elif name and not name.startswith(("mso-", "-")) and not style_of(declaration):
                self.removed["style"] += 1

    def handle_endtag(self, tag: str) -> None:
        for at in range(len(self.open) - 1, -1, -1):
            if self.open[at][0] == tag:
                crossed = [
                    one for one in self.open[at + 1 :] if one[0] not in _OPTIONAL_ENDS | VOID
                ]
                self.open[at:] = crossed
                return


def _is_safe(url: str) -> bool:
    scheme = _SCHEME.match(url)
    return scheme is None or scheme[1].lower() in _SCHEMES


def _attribute(_tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return "; ".join(filter(None, map(style_of, value.split(";")))) or None
    if name == "class":
        return " ".join(part for part in value.split() if part in CLASSES) or None
    return value


def style_of(declaration: str) -> str:
    """A declaration of a style if a letter can hold it, else ""."""
    name, _colon, value = declaration.partition(":")
    name, value = name.strip().lower(), " ".join(value.split())
    if name not in STYLES or not value or _UNSAFE.search(value):
        return ""
    if name.startswith("margin") and re.search(r"(^|\s)-", value):
        return ""  # it would be laid over what stands beside it
    return f"{name}: {value}"
