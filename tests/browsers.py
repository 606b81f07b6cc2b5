"""A real browser for tests: Debian's Chromium, as a phone or a desk, with JavaScript or without.

Whatever page a test visits, it must load nothing from elsewhere and break no rule of its own
content policy; that is checked when the test ends. Without a browser these tests skip and say
so; where CI is set they fail instead.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DESK = {"viewport": {"width": 1280, "height": 900}}
LOCAL = {"127.0.0.1", "localhost", ""}
EXPECTED = ("the server responded with a status", "net::ERR_INTERNET_DISCONNECTED")
"""What a browser notes of answers that a test asked for, and of a network that it took away."""


def find_browser() -> str | None:
    """The path of a Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


_running: list[Browser] = []


def _start(path: str) -> Browser:
    """One browser for the whole process, however many files of tests bring their own fixture:
    a second start beside the first is refused."""
    if not _running:
        playwright = sync_playwright().start()
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        _running.append(browser)

        @atexit.register
        def stop() -> None:
            with contextlib.suppress(Exception):
                browser.close()
                playwright.stop()

    return _running[0]


@pytest.fixture(scope="session")
def chromium() -> Browser:
    """The browser, once for all tests of this process."""
    path = find_browser()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium, and CI must not skip what needs one")
        pytest.skip("there is no Chromium on this machine (apt install chromium)")
    return _start(path)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A new visitor's page: `visit()`, `visit(phone=True, script=False, locale="es-MX")`."""
    contexts = []
    complaints: list[str] = []

    def look_at_request(request: Request) -> None:
        if urlsplit(request.url).hostname not in LOCAL and request.url.startswith("http"):
            complaints.append(f"asked elsewhere: {request.url}")

    def look_at_message(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in EXPECTED):
            complaints.append(f"console: {message.text}")

    def make(
        *,
        phone: bool = False,
        script: bool = True,
        locale: str = "en-US",
        dark: bool = False,
        **more: Any,
    ) -> Page:
        context = chromium.new_context(
            **(PHONE if phone else DESK),
            java_script_enabled=script,
            locale=locale,
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
            **more,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", look_at_request)
        page.on("console", look_at_message)
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def axe(page: Page) -> list[str]:
    """What axe-core finds wrong on the page: one line for each kind of violation."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    violations = page.evaluate(
        "() => axe.run(document, {resultTypes: ['violations'], runOnly: {type: 'tag', values: "
        "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}})"
        ".then(found => found.violations)"  # what is in order is a megabyte
    )
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: "
        + "; ".join(node["html"][:160] for node in one["nodes"][:4])
        for one in violations
    ]


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the side, the words in a drawing included.

    A phone's window grows with a page that is too wide, so its screen counts.
    """
    return bool(
        page.evaluate(
            "() => { const width = Math.min(window.innerWidth, screen.width) + 1;"
            " return document.documentElement.scrollWidth <= width &&"
            " [...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect())"
            ".every(box => box.left >= -1 && box.right <= width) }"
        )
    )


def log_in(page: Page, url: str, email: str, password: str) -> None:
    """Log in by the form."""
    page.goto(f"{url}/login")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.locator("form:has(input[name=password]) button[type=submit]").click()
    page.wait_for_url(lambda address: "/login" not in address)
