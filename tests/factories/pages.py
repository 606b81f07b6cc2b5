"""Reading pages as a browser does: forms with their fields, links, the visible text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.conftest import Client

FRAME = ("/logout", "/organize/switch/")
VOID_TYPES = {"submit", "button", "image", "reset", "file"}


class Page(HTMLParser):
    """The forms, links and text of an HTML page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self.links: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._select: str | None = None
        self._area: str | None = None
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {"script", "style"}:
            self._hidden += 1
        elif tag == "a":
            self.links.append((given.get("href", ""), given))
        elif tag == "form":
            self.forms.append(
                {
                    "action": given.get("action", ""),
                    "method": given.get("method", "get").lower(),
                    "fields": [],
                }
            )
        elif self.forms and tag == "input" and given.get("name"):
            kind = given.get("type", "text")
            if kind in VOID_TYPES or (kind in {"checkbox", "radio"} and "checked" not in given):
                return
            self.forms[-1]["fields"].append(
                (given["name"], given.get("value", "on" if kind == "checkbox" else ""))
            )
        elif self.forms and tag == "textarea":
            self._area = given.get("name")
            self.forms[-1]["fields"].append((self._area, ""))
        elif self.forms and tag == "select":
            self._select = given.get("name")
        elif self.forms and tag == "option" and self._select and "selected" in given:
            self.forms[-1]["fields"].append((self._select, given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._hidden -= 1
        elif tag == "textarea":
            self._area = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            name, value = self.forms[-1]["fields"][-1]
            self.forms[-1]["fields"][-1] = (
                name,
                (value + data).replace("\r\n", "\n").removeprefix("\n"),
            )
        elif not self._hidden:
            self.text = (
                f"{self.text} {' '.join(data.split())}".strip() if data.strip() else self.text
            )


def read(response: TestResponse) -> Page:
    """The page of a response."""
    return Page(response.get_data(as_text=True))


def form_on(page: Page, which: int | str | None) -> dict[str, Any]:
    """The form at a position, or the first whose action contains a text, or the page's own first
    POST form: not one of the console's frame."""
    forms = [form for form in page.forms if form["method"] == "post"]
    if isinstance(which, int):
        return forms[which]
    if isinstance(which, str):
        return next(form for form in forms if which in form["action"])
    return next(form for form in forms if not form["action"].startswith(FRAME))


def submit(
    client: Client,
    path: str,
    data: dict[str, Any],
    *,
    form: int | str | None = None,
    follow_redirects: bool = False,
    **kwargs: Any,
) -> TestResponse:
    """Load `path`, fill a form in and post it. A value of None leaves the field out."""
    response = client.get(path, **kwargs)
    assert response.status_code == 200, f"{path} answered {response.status_code}"
    found = form_on(read(response), form)
    fields: list[tuple[str, Any]] = [pair for pair in found["fields"] if pair[0] not in data]
    for name, value in data.items():
        if isinstance(value, list):
            fields += [(name, part) for part in value]
        elif value is not None:
            fields.append((name, value))
    from werkzeug.datastructures import MultiDict

    return client.post(
        urljoin(path, found["action"]) if found["action"] else path,
        data=MultiDict(fields),
        follow_redirects=follow_redirects,
        **kwargs,
    )
