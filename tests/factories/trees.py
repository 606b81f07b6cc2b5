"""A page as a tree: what stands in which cell, under which heading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

VOID = {"meta", "link", "input", "br", "img", "hr", "source", "base", "col", "wbr"}


@dataclass(eq=False)
class Node:
    """An element: its attributes, what is in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Node]:
        """All elements in it, in the order of the page."""
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child

    def all(self, tag: str) -> list[Node]:
        """The elements of a tag in it."""
        return [node for node in self if node.tag == tag]

    def __getitem__(self, name: str) -> str:
        """An attribute that is there."""
        return self.attributes[name]

    def get(self, name: str) -> str:
        """An attribute, or ""."""
        return self.attributes.get(name, "")

    @property
    def text(self) -> str:
        """Its words, blanks as one."""
        return " ".join(self._words().split())

    def _words(self) -> str:
        if self.tag in {"script", "style"}:
            return ""
        return "".join(
            child if isinstance(child, str) else child._words() for child in self.children
        )


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.path = [Node("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.path[-1].children.append(node)
        if tag not in VOID:
            self.path.append(node)

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self.path) - 1, 0, -1):
            if self.path[place].tag == tag:
                del self.path[place:]
                return

    def handle_data(self, data: str) -> None:
        self.path[-1].children.append(data)


def tree(response: TestResponse) -> Node:
    """The page of a response."""
    builder = _Builder()
    builder.feed(response.get_data(as_text=True))
    return builder.path[0]
